#include "archive/ledger.h"
#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { CHUNK = 64 * 1024 };

struct ledger_reader {
	int folder, fd;
	struct ledger_at at;   /* behind the group that was given last */
	uint64_t file, offset; /* what is open, and how far it was read into text */
	struct buffer text;    /* what was read and not given yet */
	uint64_t base;	       /* where text begins in the file */
	size_t group;	       /* length of the group that was given last, in text */
	size_t shown;	       /* how far ledger_reader_line() came */
	uint64_t shown_number;
	bool eof;
	bool blames_before;		     /* see ledger_reader_blames_before() */
	bool broken;			     /* roots fail to fit since a place that was reported */
	struct merkle tree;		     /* over what was scanned */
	struct hasher *hasher, *file_hasher; /* file_hasher: of the file so far, when read from 0 */
	bool file_hashed;
	struct digest file_digest; /* of the file before */
	struct buffer scratch;
};

static int open_file(struct ledger_reader *r, uint64_t number, uint64_t offset, struct fault *f)
{
	char name[LEDGER_NAME];

	fd_closep(&r->fd);
	ledger_name(number, name);
	r->fd = openat(r->folder, name, O_RDONLY | O_CLOEXEC);
	if (r->fd < 0)
		return fault_errno(
			f, FAULT_DAMAGE, SCOPE_ARCHIVE, errno, "cannot open ledger/%s", name);
	r->file = number;
	r->offset = r->base = offset;
	r->eof = false;
	r->file_hashed = offset == 0;
	return 0;
}

int ledger_reader_open(
	int folder_fd, const struct ledger_at *from, struct ledger_reader **ret, struct fault *f)
{
	struct ledger_reader *r CLEANUP(ledger_reader_closep) = calloc(1, sizeof *r);

	if (!r)
		return fault_memory(f);
	r->folder = folder_fd;
	r->fd = -1;
	r->at = *from;
	r->tree = from->tree;
	r->text = buffer_make(LIMIT_LEDGER_GROUP + CHUNK);
	r->scratch = buffer_make(LIMIT_LEDGER_LINE * 2);
	if (hasher_new(&r->hasher, f) < 0 || hasher_new(&r->file_hasher, f) < 0)
		return -1;
	r->eof = true; /* of "file 0", which precedes the first */
	if (from->file > 0 && open_file(r, from->file, from->length, f) < 0)
		return -1;
	*ret = TAKE(r);
	return 0;
}

struct ledger_reader *ledger_reader_close(struct ledger_reader *r)
{
	if (!r)
		return NULL;
	fd_closep(&r->fd);
	buffer_deinit(&r->text);
	buffer_deinit(&r->scratch);
	hasher_free(r->hasher);
	hasher_free(r->file_hasher);
	free(r);
	return NULL;
}

void ledger_reader_closep(struct ledger_reader **r)
{
	*r = ledger_reader_close(*r);
}

const struct ledger_at *ledger_reader_at(const struct ledger_reader *r)
{
	return &r->at;
}

struct ledger_tail ledger_reader_tail(const struct ledger_reader *r)
{
	return (struct ledger_tail){r->file, r->base, r->text.len};
}

bool ledger_reader_line(struct ledger_reader *r, struct slice *ret, uint64_t *ret_number)
{
	if (r->shown >= r->group)
		return false;
	const uint8_t *line = r->text.data + r->shown;
	const uint8_t *end = memchr(line, '\n', r->group - r->shown);
	size_t len = end ? (size_t)(end - line) : r->group - r->shown;

	*ret = slice_of(line, len);
	*ret_number = r->shown_number++;
	r->shown += len + 1;
	return true;
}

bool ledger_reader_blames_before(const struct ledger_reader *r)
{
	return r->blames_before;
}

/* ---- Bytes of the files -------------------------------------------------------------------- */

/* More text; r->eof at the end of this file. */
static int fill(struct ledger_reader *r, struct fault *f)
{
	ssize_t n;

	if (buffer_reserve(&r->text, CHUNK, f) < 0)
		return -1;
	do {
		n = pread(r->fd, r->text.data + r->text.len, CHUNK, (off_t)r->offset);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return fault_errno(f, FAULT_DAMAGE, SCOPE_ARCHIVE, errno,
			"cannot read ledger file %" PRIu64, r->file);
	if (r->file_hashed)
		hasher_add(r->file_hasher, r->text.data + r->text.len, (size_t)n);
	r->text.len += (size_t)n;
	r->offset += (uint64_t)n;
	r->eof = n == 0;
	return 0;
}

/* The file's digest for the link in the next one, also where reading began in its middle. */
static int finish_file(struct ledger_reader *r, struct fault *f)
{
	uint8_t chunk[16384];
	ssize_t n;

	if (!r->file_hashed) {
		for (uint64_t at = 0; (n = pread(r->fd, chunk, sizeof chunk, (off_t)at)) != 0;
			at += (uint64_t)n) {
			if (n < 0)
				return fault_errno(f, FAULT_DAMAGE, SCOPE_ARCHIVE, errno,
					"cannot read ledger file %" PRIu64, r->file);
			hasher_add(r->file_hasher, chunk, (size_t)n);
		}
	}
	hasher_end(r->file_hasher, &r->file_digest);
	return 0;
}

static bool file_exists(int folder, uint64_t number)
{
	char name[LEDGER_NAME];
	struct stat st;

	ledger_name(number, name);
	return fstatat(folder, name, &st, 0) == 0;
}

/* ---- Groups --------------------------------------------------------------------------------- */

static int bad(struct ledger_reader *r, struct fault *f, const char *what)
{
	bool first = !r->broken;

	r->broken = true;
	fault_record(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
		"ledger file %" PRIu64 ", lines %" PRIu64 " to %" PRIu64 ": %s", r->file,
		r->at.tree.size, r->tree.size ? r->tree.size - 1 : 0, what);
	return first ? LEDGER_BAD : LEDGER_GROUP;
}

static const char before_changed[] = "the file before it has changed";

/* The line that a new file begins with. */
static const char *check_begin(struct ledger_reader *r, const struct event *e)
{
	if (e->kind != EVENT_BEGIN)
		return "does not begin with its begin line";
	if (e->leaf != r->tree.size)
		return "a file before it is missing or too short";
	if (e->leaf > 0 && digest_compare(&e->root, &r->file_digest) != 0)
		return before_changed;
	return NULL;
}

struct scan {
	size_t offset; /* in text: how far lines were read */
	moment_ms last;
	const char *trouble;
	bool committed;
	bool counts; /* the commit line's size fits */
	bool zeros;  /* NUL bytes, which nobody writes: sectors that never came to the disk */
	size_t last_line;
};

/* Looks at one line; adds it to the tree. */
static int scan_line(struct ledger_reader *r, struct scan *s, struct slice line, struct fault *f)
{
	struct event e = {0};
	struct digest root;
	bool first = r->base == 0 && s->offset == 0;
	int p = line.len < LIMIT_LEDGER_LINE ? event_parse(line, &r->scratch, &e, f) : EVENT_BAD;

	if (p < 0)
		return -1;
	s->zeros = s->zeros || (line.len > 0 && memchr(line.data, 0, line.len));
	if (p == EVENT_BAD && !s->trouble)
		s->trouble = "a line is not well-formed";
	if (first && p == 0 && !s->trouble)
		s->trouble = check_begin(r, &e);
	if (p == 0 && e.kind == EVENT_COMMIT) {
		merkle_root(&r->tree, r->hasher, &root);
		s->committed = true;
		s->counts = e.size == r->tree.size;
		if (!s->counts && !s->trouble)
			s->trouble = "lines are missing";
		if (digest_compare(&e.root, &root) != 0 && !s->trouble)
			s->trouble = "a line has changed: the tree's root does not fit";
	}
	if (p == 0)
		s->last = e.t;
	merkle_add(&r->tree, line, r->hasher);
	return 0;
}

/* Reads lines up to and with a commit line; s->committed false when the file ends before. */
static int scan_group(struct ledger_reader *r, struct scan *s, struct fault *f)
{
	while (!s->committed) {
		const uint8_t *at = r->text.data + s->offset;
		const uint8_t *end =
			r->text.len > s->offset ? memchr(at, '\n', r->text.len - s->offset) : NULL;

		if (!end && r->eof)
			return 0;
		if (!end && r->text.len > LIMIT_LEDGER_GROUP)
			return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
				"ledger file %" PRIu64 ": no commit line for %zu bytes", r->file,
				r->text.len);
		if (!end) {
			if (fill(r, f) < 0)
				return -1;
			continue;
		}
		if (scan_line(r, s, slice_of(at, (size_t)(end - at)), f) < 0)
			return -1;
		s->last_line = s->offset;
		s->offset += (size_t)(end - at) + 1;
	}
	return 0;
}

/* A torn group lacks bytes, at its end or inside. Where every line is there, or where there are two
 * commit lines, it was once whole: then it is damage. A line that is longer than a sector can be
 * there and have lost one. */
static bool was_whole(const struct ledger_reader *r, const struct scan *s)
{
	static const char commit[] = " event=commit "; /* a value holds no space */

	return (s->committed && s->counts && !s->zeros) ||
	       memmem(r->text.data, s->last_line, commit, sizeof commit - 1) != NULL;
}

/* Whether a later commit line follows: then what is bad is damage, and not a torn end. */
static int more_follows(struct ledger_reader *r, size_t offset, bool *ret, struct fault *f)
{
	struct event e;

	*ret = file_exists(r->folder, r->file + 1);
	while (!*ret) {
		const uint8_t *at = r->text.data + offset;
		const uint8_t *end =
			r->text.len > offset ? memchr(at, '\n', r->text.len - offset) : NULL;

		if (!end && (r->eof || r->text.len > LIMIT_LEDGER_GROUP))
			return 0;
		if (!end) {
			if (fill(r, f) < 0)
				return -1;
			continue;
		}
		struct slice line = slice_of(at, (size_t)(end - at));
		int p = line.len < LIMIT_LEDGER_LINE ? event_parse(line, &r->scratch, &e, f)
						     : EVENT_BAD;
		if (p < 0)
			return -1;
		*ret = p == 0 && e.kind == EVENT_COMMIT;
		offset += line.len + 1;
	}
	return 0;
}

/* Drops the group that was given last from text. */
static void forget_group(struct ledger_reader *r)
{
	if (r->group > 0)
		memmove(r->text.data, r->text.data + r->group, r->text.len - r->group);
	r->text.len -= r->group;
	r->base += r->group;
	r->group = r->shown = 0;
}

static int next_file(struct ledger_reader *r, struct fault *f)
{
	if (r->file > 0 && finish_file(r, f) < 0)
		return -1;
	return open_file(r, r->file + 1, 0, f);
}

/* Accepts the lines up to s->offset as a group. */
static void take_group(struct ledger_reader *r, const struct scan *s, uint64_t first)
{
	r->group = s->offset;
	r->shown = 0;
	r->shown_number = first;
	r->at.file = r->file;
	r->at.length = r->base + s->offset;
	r->at.tree = r->tree;
	r->at.last = s->last;
}

int ledger_reader_next(struct ledger_reader *r, struct fault *f)
{
	struct scan s = {.last = r->at.last};
	uint64_t first = r->tree.size;
	bool more = false;

	forget_group(r);
	if (r->fd >= 0 && r->text.len == 0 && fill(r, f) < 0)
		return -1;
	while (r->text.len == 0) {
		if (!file_exists(r->folder, r->file + 1))
			return 0;
		if (next_file(r, f) < 0 || fill(r, f) < 0)
			return -1;
	}
	if (scan_group(r, &s, f) < 0)
		return -1;
	if (s.committed && !s.trouble) {
		r->broken = false;
		take_group(r, &s, first);
		return LEDGER_GROUP;
	}
	if (more_follows(r, s.offset, &more, f) < 0)
		return -1;
	if (!more && !r->broken && !was_whole(r, &s)) {
		r->tree = r->at.tree; /* as if it had not been read */
		return LEDGER_TAIL;
	}
	if (!s.committed)
		s.offset = r->text.len;
	r->blames_before = s.trouble == before_changed;
	int result = bad(r, f, s.trouble ? s.trouble : "no commit line");
	take_group(r, &s, first);
	return result;
}
