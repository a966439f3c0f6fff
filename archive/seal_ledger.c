/* The bytes of a sealed segment's LEDGER: the lines of its messages and of their maildrops, in
 * order, unchanged, as far as the ledger went when the plan was made. */
#include "archive/file.h"
#include "archive/seal_private.h"

#include <errno.h>

enum { FIRST_SIZE = 16, OUT_SIZE = 256 * 1024 };

/* Where a maildrop stands among those of the plan, or would. */
static size_t find_maildrop(const struct seal_plan *p, uint64_t maildrop)
{
	size_t from = 0, to = p->maildrops;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (p->maildrop[middle] < maildrop)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static bool has_maildrop(const struct seal_plan *p, uint64_t maildrop)
{
	size_t at = find_maildrop(p, maildrop);

	return at < p->maildrops && p->maildrop[at] == maildrop;
}

int seal_add_maildrop(struct seal_plan *p, uint64_t maildrop, struct fault *f)
{
	size_t at = find_maildrop(p, maildrop);

	if (has_maildrop(p, maildrop))
		return 0;
	if (p->maildrops == p->maildrops_size) {
		size_t size = p->maildrops_size ? p->maildrops_size * 2 : FIRST_SIZE;
		uint64_t *grown = reallocarray(p->maildrop, size, sizeof *grown);

		if (!grown)
			return fault_memory(f);
		p->maildrop = grown;
		p->maildrops_size = size;
	}
	memmove(p->maildrop + at + 1, p->maildrop + at, (p->maildrops - at) * sizeof *p->maildrop);
	p->maildrop[at] = maildrop;
	p->maildrops++;
	return 0;
}

/* ---- One reading ----------------------------------------------------------------------------- */

struct pass {
	struct seal_plan *p;
	struct hasher *hasher;
	struct buffer out;
	struct buffer scratch;
	uint64_t written;
	bool again; /* a maildrop turned up whose account line was passed over */
};

static void pass_deinit(struct pass *a)
{
	hasher_free(a->hasher);
	buffer_deinit(&a->out);
	buffer_deinit(&a->scratch);
}

static int flush(struct pass *a, struct fault *f)
{
	if (file_write_at(a->p->ledger_fd, buffer_slice(&a->out), a->written) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot write a temporary file in the archive");
	hasher_add(a->hasher, a->out.data, a->out.len);
	a->written += a->out.len;
	buffer_clear(&a->out);
	return 0;
}

static int take_line(struct pass *a, struct slice line, struct fault *f)
{
	if (a->out.len + line.len + 1 > OUT_SIZE && flush(a, f) < 0)
		return -1;
	if (buffer_append(&a->out, line.data, line.len, f) < 0)
		return -1;
	return buffer_append(&a->out, "\n", 1, f);
}

static int look_at_line(struct pass *a, struct slice line, struct fault *f)
{
	struct event e;
	int r = line.len < LIMIT_LEDGER_LINE ? event_parse(line, &a->scratch, &e, f) : EVENT_BAD;

	if (r != 0)
		return r < 0 ? -1 : 0;
	if (e.kind == EVENT_ACCOUNT)
		return has_maildrop(a->p, e.maildrop) ? take_line(a, line, f) : 0;
	if ((e.kind != EVENT_KEEP && e.kind != EVENT_SEE) ||
		seal_plan_find(a->p, &e.digest) >= a->p->mails)
		return 0;
	if (!has_maildrop(a->p, e.maildrop)) {
		a->again = true;
		if (seal_add_maildrop(a->p, e.maildrop, f) < 0)
			return -1;
	}
	return take_line(a, line, f);
}

static int read_ledger(struct pass *a, struct store *s, struct fault *f)
{
	struct ledger_reader *reader CLEANUP(ledger_reader_closep) = NULL;
	struct ledger_at start = {0};
	struct slice line;
	uint64_t number;

	if (ledger_reader_open(s->ledger_fd, &start, &reader, f) < 0)
		return -1;
	while (ledger_reader_at(reader)->tree.size < a->p->known.tree.size) {
		int r = ledger_reader_next(reader, f);

		if (r < 0)
			return -1;
		if (r == LEDGER_BAD)
			return fault_prefix(f, "the ledger is damaged; run `popkeep verify`");
		if (r != LEDGER_GROUP)
			return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
				"the ledger is shorter than the catalog knows it; run `popkeep "
				"verify`");
		while (ledger_reader_line(reader, &line, &number)) {
			if (look_at_line(a, line, f) < 0)
				return -1;
		}
	}
	return flush(a, f);
}

int seal_write_ledger(struct seal_plan *p, struct store *s, struct fault *f)
{
	struct pass a CLEANUP(pass_deinit) = {.p = p,
		.out = buffer_make(OUT_SIZE + LIMIT_LEDGER_LINE),
		.scratch = buffer_make(LIMIT_LEDGER_LINE * 2)};

	if (hasher_new(&a.hasher, f) < 0)
		return -1;
	p->ledger_fd = file_open_unlinked(s->folder_fd);
	if (p->ledger_fd < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot make a temporary file in the archive");
	/* What the catalog says of maildrops makes the second reading rare. */
	do {
		a.again = false;
		a.written = 0;
		if (read_ledger(&a, s, f) < 0)
			return -1;
		hasher_end(a.hasher, &p->ledger_digest);
	} while (a.again);
	p->ledger_size = a.written;
	return 0;
}
