/* The journal of a restore: text, a line for each step, only ever appended to.
 *
 *	popkeep-restore 1 <archive id> <target>			the first line
 *	folder <n> <name>					n counts from 0
 *	mailbox <n> <uidvalidity> <uidnext> <t>			seen when a run began
 *	intent <n> <id> <digest> <size> <t>			about to be sent
 *	done <n> <id> <digest> <size> <uidvalidity> <uid>	it is in the mailbox
 *	compared <n> <id> <digest>				was fetched back
 *	not <n> <id> <digest>					was not taken
 *
 * Numbers are decimal, t in milliseconds since 1970, digest the first 16 hex digits of the
 * message's, of which readers compare six (a done that was added when the UID became known has no
 * others); names and target are percent-encoded (0x21 to 0x7e but % stand for themselves). Each
 * line ends with a space, the first 8 hex digits of the SHA-256 of what stands before that space,
 * and LF. Readers pass over lines that they do not know.
 *
 * The order, for each message:
 *
 *	1. its intent is written and synced (many at once)
 *	2. APPEND is sent, and may take effect at any time from here on
 *	3. the server's OK comes: done is written; it becomes durable with the next sync. A server
 *	   without UIDPLUS says no UID: done is written with 0, and again when the folder is
 *	   listed in the end
 *
 * So a run that begins finds, of each message: nothing, and it was never sent; done, and it is
 * there under that UID as long as UIDVALIDITY is the same; an intent alone, or a done without UID,
 * and only the mailbox can tell: it is looked for there, by size and Message-ID, then by all its
 * bytes.
 *
 * What a crash leaves at the end (half a line, or bytes that fail the check) is cut off. A damaged
 * line before good ones is passed over: without its intent or done, a message is looked for in the
 * mailbox like any other mail that may be there already. */
#include "cli/restore_journal.h"

#include "archive/decimal.h"
#include "archive/escape.h"
#include "archive/limits.h"
#include "cli/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { CHECK_HEX = 8, JOURNAL_BUFFER = 64 * 1024, WORDS_MAX = 8 };

struct journal {
	int fd;
	struct hasher *hasher;
	struct buffer in; /* read, and not taken yet */
	size_t taken;	  /* of in */
	uint64_t at;	  /* where in.data + taken lies in the file */
	uint64_t good;	  /* where the last good line ends */
	uint64_t damaged, damaged_at_end;
	bool ended;	    /* all was read; lines can be added */
	bool broken;	    /* a write or sync failed */
	struct buffer out;  /* not written yet */
	struct buffer text; /* of a line's name, decoded */
	char shown[256];
};

static int journal_error(const struct journal *j, int error, const char *what, struct fault *f)
{
	return fault_errno(
		f, FAULT_SYSTEM, SCOPE_ARCHIVE, error, "cannot %s the journal %s", what, j->shown);
}

uint64_t journal_digest(const struct digest *d)
{
	uint64_t value = 0;

	for (size_t i = 0; i < sizeof value; i++)
		value = value << 8 | d->byte[i];
	return value;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static void check_of(struct journal *j, struct slice text, char ret[static DIGEST_HEX + 1])
{
	struct digest d;

	hasher_add(j->hasher, text.data, text.len);
	hasher_end(j->hasher, &d);
	digest_hex(&d, ret);
}

static int encode(struct buffer *to, struct slice bytes, struct fault *f)
{
	for (size_t i = 0; i < bytes.len; i++) {
		uint8_t c = bytes.data[i];
		bool plain = c > 0x20 && c < 0x7f && c != '%';

		if (plain ? buffer_append(to, &c, 1, f) < 0
			  : buffer_append_format(to, f, "%%%02X", (unsigned)c) < 0)
			return -1;
	}
	return 0;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* JOURNAL_LINE, 0 where it is not well-formed. */
static int decode(struct buffer *to, struct slice text, struct fault *f)
{
	buffer_clear(to);
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (c == '%') {
			int high = i + 2 < text.len ? hex_digit(text.data[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(text.data[i + 2]) : -1;

			if (low < 0)
				return 0;
			c = (uint8_t)(high * 16 + low);
			i += 2;
		}
		if (buffer_append(to, &c, 1, f) < 0)
			return -1;
	}
	return JOURNAL_LINE;
}

/* What stands behind `from` in out becomes a line. */
static int end_line(struct journal *j, size_t from, struct fault *f)
{
	char hex[DIGEST_HEX + 1];

	check_of(j, slice_of(j->out.data + from, j->out.len - from), hex);
	return buffer_append_format(&j->out, f, " %.*s\n", CHECK_HEX, hex);
}

static int add_words(struct journal *j, const struct journal_line *l, struct fault *f)
{
	switch (l->kind) {
	case JOURNAL_FOLDER:
		if (buffer_append_format(&j->out, f, "folder %" PRIu32 " ", l->folder) < 0)
			return -1;
		return encode(&j->out, l->name, f);
	case JOURNAL_MAILBOX:
		return buffer_append_format(&j->out, f,
			"mailbox %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRId64, l->folder,
			l->uid_validity, l->uid, l->t);
	case JOURNAL_INTENT:
		return buffer_append_format(&j->out, f,
			"intent %" PRIu32 " %" PRIu64 " %016" PRIx64 " %" PRIu64 " %" PRId64,
			l->folder, l->id, l->digest, l->size, l->t);
	case JOURNAL_DONE:
		return buffer_append_format(&j->out, f,
			"done %" PRIu32 " %" PRIu64 " %016" PRIx64 " %" PRIu64 " %" PRIu32
			" %" PRIu32,
			l->folder, l->id, l->digest, l->size, l->uid_validity, l->uid);
	case JOURNAL_COMPARED:
	case JOURNAL_NOT:
		break;
	}
	return buffer_append_format(&j->out, f, "%s %" PRIu32 " %" PRIu64 " %016" PRIx64,
		l->kind == JOURNAL_NOT ? "not" : "compared", l->folder, l->id, l->digest);
}

int journal_add(struct journal *j, const struct journal_line *line, struct fault *f)
{
	size_t from = j->out.len;

	if (add_words(j, line, f) < 0 || end_line(j, from, f) < 0) {
		j->out.len = from;
		return -1;
	}
	return j->out.len >= JOURNAL_BUFFER ? journal_flush(j, f) : 0;
}

int journal_flush(struct journal *j, struct fault *f)
{
	if (j->broken)
		return fault_set(f, FAULT_WRITE, SCOPE_ARCHIVE, 0,
			"the journal %s could not be written", j->shown);
	if (new_file_append(j->fd, buffer_slice(&j->out)) < 0) {
		j->broken = true;
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot write the journal %s", j->shown);
	}
	buffer_clear(&j->out);
	return 0;
}

int journal_sync(struct journal *j, struct fault *f)
{
	if (journal_flush(j, f) < 0)
		return -1;
	if (fdatasync(j->fd) == 0)
		return 0;
	j->broken = true;
	return fault_errno(
		f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot sync the journal %s", j->shown);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static size_t split_words(struct slice text, struct slice words[static WORDS_MAX])
{
	size_t n = 0;

	while (n < WORDS_MAX) {
		const uint8_t *space = text.len ? memchr(text.data, ' ', text.len) : NULL;
		size_t len = space ? (size_t)(space - text.data) : text.len;

		words[n++] = slice_of(text.data, len);
		if (!space)
			break;
		text = slice_of(space + 1, text.len - len - 1);
	}
	return n;
}

static bool is_word(struct slice word, const char *text)
{
	return slice_compare(word, slice_text(text)) == 0;
}

static bool number32(struct slice word, uint32_t *ret)
{
	uint64_t value;

	if (!decimal_parse(word, &value) || value > UINT32_MAX)
		return false;
	*ret = (uint32_t)value;
	return true;
}

static bool hex64(struct slice word, uint64_t *ret)
{
	uint64_t value = 0;

	if (word.len != 16)
		return false;
	for (size_t i = 0; i < word.len; i++) {
		int digit = hex_digit(word.data[i]);

		if (digit < 0)
			return false;
		value = value << 4 | (uint64_t)digit;
	}
	*ret = value;
	return true;
}

static bool moment_of(struct slice word, moment_ms *ret)
{
	uint64_t value;

	if (!decimal_parse(word, &value) || value > INT64_MAX)
		return false;
	*ret = (moment_ms)value;
	return true;
}

static bool message_of(const struct slice *w, struct journal_line *l)
{
	return number32(w[1], &l->folder) && decimal_parse(w[2], &l->id) && hex64(w[3], &l->digest);
}

/* JOURNAL_LINE; 0: of a later version, or not well-formed. */
static int parse(struct journal *j, struct slice text, struct journal_line *l, struct fault *f)
{
	struct slice w[WORDS_MAX];
	size_t n = split_words(text, w);
	bool good = false;

	*l = (struct journal_line){0};
	if (n == 3 && is_word(w[0], "folder")) {
		l->kind = JOURNAL_FOLDER;
		int r = decode(&j->text, w[2], f);
		if (r <= 0)
			return r;
		l->name = buffer_slice(&j->text);
		good = number32(w[1], &l->folder);
	} else if (n == 5 && is_word(w[0], "mailbox")) {
		l->kind = JOURNAL_MAILBOX;
		good = number32(w[1], &l->folder) && number32(w[2], &l->uid_validity) &&
		       number32(w[3], &l->uid) && moment_of(w[4], &l->t);
	} else if (n == 6 && is_word(w[0], "intent")) {
		l->kind = JOURNAL_INTENT;
		good = message_of(w, l) && decimal_parse(w[4], &l->size) && moment_of(w[5], &l->t);
	} else if (n == 7 && is_word(w[0], "done")) {
		l->kind = JOURNAL_DONE;
		good = message_of(w, l) && decimal_parse(w[4], &l->size) &&
		       number32(w[5], &l->uid_validity) && number32(w[6], &l->uid);
	} else if (n == 4 && (is_word(w[0], "not") || is_word(w[0], "compared"))) {
		l->kind = is_word(w[0], "not") ? JOURNAL_NOT : JOURNAL_COMPARED;
		good = message_of(w, l);
	}
	return good ? JOURNAL_LINE : 0;
}

/* More of the file behind what is in `in`. >0: there is no more. */
static int read_more(struct journal *j, struct fault *f)
{
	if (j->taken > 0) {
		memmove(j->in.data, j->in.data + j->taken, j->in.len - j->taken);
		j->in.len -= j->taken;
		j->taken = 0;
	}
	if (buffer_reserve(&j->in, JOURNAL_BUFFER, f) < 0)
		return -1;
	ssize_t n =
		pread(j->fd, j->in.data + j->in.len, JOURNAL_BUFFER, (off_t)(j->at + j->in.len));
	if (n < 0)
		return journal_error(j, errno, "read", f);
	j->in.len += (size_t)n;
	return n == 0;
}

enum { LINE_WHOLE = 1, LINE_BAD = 2 };

/* The next line without its LF and, LINE_WHOLE, its check. 0 at the end: what is left has no LF. */
static int next_line(struct journal *j, struct slice *ret, struct fault *f)
{
	char hex[DIGEST_HEX + 1];

	for (;;) {
		const uint8_t *from = j->in.data + j->taken;
		size_t left = j->in.len - j->taken;
		const uint8_t *lf = left ? memchr(from, '\n', left) : NULL;

		if (lf) {
			size_t len = (size_t)(lf - from);

			j->taken += len + 1;
			j->at += len + 1;
			if (len <= CHECK_HEX || from[len - CHECK_HEX - 1] != ' ')
				return LINE_BAD;
			*ret = slice_of(from, len - CHECK_HEX - 1);
			check_of(j, *ret, hex);
			return memcmp(hex, lf - CHECK_HEX, CHECK_HEX) == 0 ? LINE_WHOLE : LINE_BAD;
		}
		if (left > LIMIT_JOURNAL_LINE) {
			/* No line is as long: damage, passed over in pieces. */
			j->at += left;
			j->taken = j->in.len;
			return LINE_BAD;
		}
		int r = read_more(j, f);
		if (r != 0)
			return r < 0 ? -1 : 0;
	}
}

static int cut_end(struct journal *j, struct fault *f)
{
	j->ended = true;
	j->damaged -= j->damaged_at_end;
	buffer_deinit(&j->in);
	if (ftruncate(j->fd, (off_t)j->good) < 0)
		return journal_error(j, errno, "cut the torn end of", f);
	return lseek(j->fd, (off_t)j->good, SEEK_SET) < 0 ? journal_error(j, errno, "read", f) : 0;
}

int journal_next(struct journal *j, struct journal_line *ret, struct fault *f)
{
	struct slice text;

	for (;;) {
		int r = next_line(j, &text, f);

		if (r < 0)
			return -1;
		if (r == 0)
			return cut_end(j, f);
		if (r == LINE_BAD) {
			j->damaged++;
			j->damaged_at_end++;
			continue;
		}
		j->good = j->at;
		j->damaged_at_end = 0;
		r = parse(j, text, ret, f);
		if (r != 0)
			return r;
	}
}

uint64_t journal_damaged(const struct journal *j)
{
	return j->damaged;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int format_head(struct journal *j, const char *archive, const char *target,
	struct buffer *to, struct fault *f)
{
	if (buffer_append_format(to, f, "popkeep-restore 1 %s ", archive) < 0 ||
		encode(to, slice_text(target), f) < 0)
		return -1;
	(void)j;
	return 0;
}

/* A file that has no whole first line was just being made: it begins anew. */
static int check_head(struct journal *j, const char *archive, const char *target, struct fault *f)
{
	struct buffer head CLEANUP(buffer_deinit) = buffer_make(LIMIT_JOURNAL_LINE);
	struct slice found;
	int r = next_line(j, &found, f);

	if (r < 0 || format_head(j, archive, target, &head, f) < 0)
		return -1;
	if (r == LINE_WHOLE && slice_compare(found, buffer_slice(&head)) == 0) {
		j->good = j->at;
		return 0;
	}
	bool begun = r == 0 && (j->in.len == 0 || memcmp(j->in.data, "popkeep-restore 1 ",
							  j->in.len < 18 ? j->in.len : 18) == 0);
	if (!begun)
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s is not the journal of restoring this archive to this target; name "
			"another with --journal",
			j->shown);
	if (ftruncate(j->fd, 0) < 0)
		return journal_error(j, errno, "begin", f);
	buffer_clear(&j->in);
	j->at = j->good = 0;
	if (buffer_append(&j->out, head.data, head.len, f) < 0 || end_line(j, 0, f) < 0)
		return -1;
	return journal_sync(j, f);
}

static int lock(const struct journal *j, struct fault *f)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(j->fd, F_OFD_SETLK, &whole) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return fault_set(f, FAULT_BUSY, SCOPE_ARCHIVE, 0,
			"another restore to this target is running (it has %s)", j->shown);
	return journal_error(j, errno, "lock", f);
}

int journal_open(const char *path, const char *archive, const char *target, struct journal **ret,
	struct fault *f)
{
	struct journal *j CLEANUP(journal_closep) = calloc(1, sizeof *j);

	if (!j)
		return fault_memory(f);
	j->fd = -1;
	j->in = buffer_make(2 * JOURNAL_BUFFER + LIMIT_JOURNAL_LINE);
	j->out = buffer_make(2 * JOURNAL_BUFFER + LIMIT_JOURNAL_LINE);
	j->text = buffer_make(LIMIT_JOURNAL_LINE);
	(void)escape_text(slice_text(path), j->shown, sizeof j->shown);
	if (hasher_new(&j->hasher, f) < 0 || new_folders_above(path, f) < 0)
		return -1;
	j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->fd < 0)
		return journal_error(j, errno, "open", f);
	if (lock(j, f) < 0 || check_head(j, archive, target, f) < 0)
		return -1;
	/* A run that was killed may have left a name that is not durable. */
	if (new_file_sync_above(path) < 0)
		return journal_error(j, errno, "sync the folder of", f);
	j->good = j->good ? j->good : (uint64_t)lseek(j->fd, 0, SEEK_CUR);
	j->at = j->good;
	*ret = TAKE(j);
	return 0;
}

struct journal *journal_close(struct journal *j)
{
	if (!j)
		return NULL;
	fd_closep(&j->fd);
	hasher_free(j->hasher);
	buffer_deinit(&j->in);
	buffer_deinit(&j->out);
	buffer_deinit(&j->text);
	free(j);
	return NULL;
}

void journal_closep(struct journal **j)
{
	*j = journal_close(*j);
}
