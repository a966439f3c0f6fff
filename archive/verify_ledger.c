/* The ledger against its own tree, and the catalog against it. */
#include "archive/limits.h"
#include "archive/verify.h"

#include <fcntl.h>
#include <stdio.h>

enum { LINES_A_STEP = 4096, FILE_NAME = 64 };

struct verify_ledger {
	struct ledger_reader *reader;
	struct ledger_at before; /* behind the group before */
	uint64_t before_from;	 /* where that one begins */
	bool in_group;
	bool again;	  /* it is read a second time, because of what looked damaged: */
	char suspect[64]; /* in this file */
	uint64_t from, to;
	bool damaged;
	uint64_t checked; /* lines below this were compared with the catalog */
	uint64_t keeps;	  /* messages of the catalog that have their line */
};

struct verify_ledger *verify_ledger_free(struct verify_ledger *l)
{
	if (!l)
		return NULL;
	ledger_reader_close(l->reader);
	free(l);
	return NULL;
}

static int begin(struct verify *v, struct fault *f)
{
	struct ledger_at start = {0};

	v->ledger->reader = ledger_reader_close(v->ledger->reader);
	v->ledger->before = start;
	v->ledger->in_group = false;
	return ledger_reader_open(v->s->ledger_fd, &start, &v->ledger->reader, f);
}

static void file_name(uint64_t number, char ret[static FILE_NAME])
{
	char name[LEDGER_NAME];

	ledger_name(number ? number : 1, name);
	(void)snprintf(ret, FILE_NAME, FOLDER_LEDGER "/%s", name);
}

static void uncache_files(struct verify *v)
{
	char name[LEDGER_NAME];
	uint64_t last = 0;
	struct fault ignored;

	if (ledger_last_file(v->s->ledger_fd, &last, &ignored) < 0)
		return;
	for (uint64_t i = 1; i <= last; i++) {
		ledger_name(i, name);
		int fd CLEANUP(fd_closep) = openat(v->s->ledger_fd, name, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			verify_uncache(fd, 0, 0);
	}
}

/* Damage at first sight: true when it was read a second time by now. Otherwise the ledger is begun
 * again, from the disk. */
static int suspect(struct verify *v, const char *file, uint64_t from, uint64_t to, bool *ret_sure,
	struct fault *f)
{
	struct verify_ledger *l = v->ledger;

	*ret_sure = l->again;
	l->damaged = l->again;
	if (l->again)
		return 0;
	l->again = true;
	(void)snprintf(l->suspect, sizeof l->suspect, "%s", file);
	l->from = from;
	l->to = to;
	uncache_files(v);
	return begin(v, f);
}

static int found(struct verify *v, const char *file, uint64_t from, uint64_t to, const char *why,
	struct fault *f)
{
	bool sure;

	if (suspect(v, file, from, to, &sure, f) < 0)
		return -1;
	if (sure)
		verify_advise(verify_found(v, file, from, to, "%s", why),
			"restore %s from a copy; messages can still be read", file);
	return 0;
}

/* ---- Lines against the catalog --------------------------------------------------------------- */

static int find_by(struct verify *v, enum catalog_statement which, uint64_t id,
	const struct digest *digest, uint64_t *ret_id, bool *ret_same, struct fault *f)
{
	sqlite3_stmt *row = catalog_statement(v->s->catalog, which, f);

	if (!row)
		return -1;
	if (which == SQL_FIND_DIGEST)
		bind_bytes(row, 1, slice_of(digest->byte, DIGEST_LEN));
	else
		bind_number(row, 1, id);
	int r = catalog_step(v->s->catalog, row, f);
	*ret_id = r > 0 ? column_number(row, 0) : 0;
	*ret_same = r > 0 &&
		    (which == SQL_FIND_DIGEST || slice_compare(column_bytes(row, 1),
							 slice_of(digest->byte, DIGEST_LEN)) == 0);
	(void)sqlite3_reset(row);
	return r;
}

/* A keep line must have its message in the catalog, under its number. Looked up by the number: the
 * rows are in this order, those of the digests' index are anywhere. */
static int check_keep(struct verify *v, const struct event *e, uint64_t number, struct fault *f)
{
	uint64_t id;
	bool same, lost;

	if (find_by(v, SQL_MESSAGE_BY_ID, number, &e->digest, &id, &same, f) < 0)
		return -1;
	if (same) {
		v->ledger->keeps++;
		return 0;
	}
	if (verify_is_lost(v, number, &lost, f) < 0)
		return -1;
	if (lost)
		return 0;
	if (find_by(v, SQL_FIND_DIGEST, 0, &e->digest, &id, &same, f) < 0)
		return -1;
	struct damage *d =
		verify_found(v, FILE_CATALOG, 0, 0, "it %s message of ledger line %" PRIu64,
			same ? "has another number for the" : "lacks the", number);
	verify_advise(d, "run `popkeep rebuild`");
	verify_hit(d, &e->digest, number);
	return 0;
}

static int check_line(struct verify *v, struct slice line, uint64_t number, struct fault *f)
{
	struct verify_ledger *l = v->ledger;
	struct event e;
	char file[FILE_NAME];

	/* What is committed since the catalog was read is another process's business. */
	if (number >= v->known.tree.size || number < l->checked)
		return 0;
	l->checked = number + 1;
	int p = line.len < LIMIT_LEDGER_LINE ? event_parse(line, &v->scratch, &e, f) : EVENT_BAD;
	if (p < 0)
		return -1;
	if (p == 0 && e.kind == EVENT_SEAL)
		return verify_add_seal(v, &e, f);
	if (p == 0)
		return e.kind == EVENT_KEEP ? check_keep(v, &e, number, f) : 0;
	file_name(ledger_reader_at(l->reader)->file, file);
	(void)verify_found(v, file, 0, 0, "line %" PRIu64 " cannot be read", number);
	return 0;
}

static int check_some_lines(struct verify *v, struct fault *f)
{
	struct slice line;
	uint64_t number;

	for (int n = 0; n < LINES_A_STEP && v->found_n < FOUND_MAX; n++) {
		if (!ledger_reader_line(v->ledger->reader, &line, &number)) {
			v->ledger->in_group = false;
			return 0;
		}
		if (check_line(v, line, number, f) < 0)
			return -1;
	}
	return 0;
}

static int check_lines(struct verify *v, struct fault *f)
{
	if (catalog_hold(v->s->catalog, f) < 0)
		return -1;
	int r = check_some_lines(v, f);
	catalog_let_go(v->s->catalog);
	return r;
}

/* ---- Groups ---------------------------------------------------------------------------------- */

/* At the place where both meet the tree must be the same. */
static bool fits(const struct verify *v, const struct ledger_at *at)
{
	size_t nodes = (size_t)__builtin_popcountll(at->tree.size);

	return at->tree.size != v->known.tree.size ||
	       (at->file == v->known.file && at->length == v->known.length &&
		       memcmp(at->tree.node, v->known.tree.node, nodes * DIGEST_LEN) == 0);
}

static int check_group(struct verify *v, int what, const char *why, struct fault *f)
{
	struct verify_ledger *l = v->ledger;
	const struct ledger_at *at = ledger_reader_at(l->reader);
	uint64_t from = at->file == l->before.file ? l->before.length : 0;
	uint64_t to = at->length;
	uint64_t number = at->file;
	char file[FILE_NAME], text[FAULT_TEXT_MAX];

	if (what == LEDGER_BAD && ledger_reader_blames_before(l->reader)) {
		number = l->before.file;
		from = l->before_from;
		to = l->before.length;
	}
	file_name(number, file);
	l->in_group = true;
	l->before_from = from;
	l->before = *at;
	if (what == LEDGER_GROUP && fits(v, at))
		return 0;
	/* *f is written to below. */
	(void)snprintf(text, sizeof text, "%s",
		what == LEDGER_BAD
			? why
			: "it does not fit the catalog: its last line has changed, or the "
			  "catalog is wrong (then `popkeep rebuild` mends it)");
	return found(v, file, from, to, text, f);
}

/* Messages that no line keeps. */
static int check_count(struct verify *v, struct fault *f)
{
	sqlite3_stmt *row = catalog_statement(v->s->catalog, SQL_COUNT_BELOW, f);

	if (!row)
		return -1;
	bind_number(row, 1, v->known.tree.size);
	int r = catalog_step(v->s->catalog, row, f);
	uint64_t have = r > 0 ? column_number(row, 0) : 0;
	(void)sqlite3_reset(row);
	if (r < 0)
		return -1;
	if (have > v->ledger->keeps && !v->ledger->damaged)
		verify_advise(verify_found(v, FILE_CATALOG, 0, 0,
				      "it has %" PRIu64 " messages that no ledger line keeps",
				      have - v->ledger->keeps),
			"run `popkeep rebuild`");
	return 0;
}

static int end_ledger(struct verify *v, int what, struct fault *f)
{
	struct verify_ledger *l = v->ledger;
	const struct ledger_at *at = ledger_reader_at(l->reader);
	struct ledger_tail tail = ledger_reader_tail(l->reader);
	char file[FILE_NAME], why[128];

	if (at->tree.size < v->known.tree.size) {
		uint64_t from = what == LEDGER_TAIL ? tail.offset : at->length;
		uint64_t to = what == LEDGER_TAIL ? tail.offset + tail.bytes : at->length;

		(void)snprintf(why, sizeof why,
			"it has %" PRIu64 " whole lines, but the catalog knows %" PRIu64
			": its end is damaged or lost",
			at->tree.size, v->known.tree.size);
		file_name(what == LEDGER_TAIL ? tail.file : at->file, file);
		bool first = !l->again;
		if (found(v, file, from, to, why, f) < 0)
			return -1;
		if (first)
			return 0;
	}
	if (l->again && !l->damaged)
		verify_reread(v, l->suspect, l->from, l->to);
	v->stage = STAGE_SEALS;
	return check_count(v, f);
}

int verify_ledger(struct verify *v, struct fault *f)
{
	if (!v->ledger) {
		v->ledger = calloc(1, sizeof *v->ledger);
		if (!v->ledger)
			return fault_memory(f);
		return begin(v, f);
	}
	if (v->ledger->in_group)
		return check_lines(v, f);
	int r = ledger_reader_next(v->ledger->reader, f);
	if (r == 0 || r == LEDGER_TAIL)
		return end_ledger(v, r, f);
	if (r > 0)
		return check_group(v, r, f->text, f);
	if (f->code != FAULT_DAMAGE)
		return -1;
	/* What cannot be read at all ends the ledger. */
	char file[FILE_NAME], why[FAULT_TEXT_MAX];
	bool first = !v->ledger->again;
	(void)snprintf(why, sizeof why, "%s", f->text);
	file_name(ledger_reader_at(v->ledger->reader)->file, file);
	if (!first)
		v->stage = STAGE_SEALS;
	return found(v, file, 0, 0, why, f);
}
