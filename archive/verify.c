/* verify: the ledger against its own tree, the catalog against the ledger, the files against both.
 * Each stage has a file of its own; here is what they share, and which comes when.
 *
 * Ledger and catalog are looked through in every run, also where the segments are done in several:
 * they are read in order, and take a minute where segments hold a terabyte. */
#include "archive/verify.h"

#include "archive/limits.h"

#include <assert.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

enum { WHOLE_PAGES = 64 * 1024 }; /* the kernel keeps those that are named in part */

int verify_open(struct store *s, enum verify_depth depth, struct verify **ret, struct fault *f)
{
	struct verify *v CLEANUP(verify_closep) = calloc(1, sizeof *v);
	struct segment_row row = {0};
	int r;

	if (!v)
		return fault_memory(f);
	v->s = s;
	v->depth = depth;
	v->segment.fd = -1;
	v->found = calloc(FOUND_MAX, sizeof *v->found);
	if (!v->found)
		return fault_memory(f);
	v->scratch = buffer_make(LIMIT_LEDGER_LINE * 2);
	v->round.began = moment_now();
	if (store_open_catalog(s, f) < 0 || catalog_get_state(s->catalog, s->id, &v->known, f) < 0)
		return -1;
	while ((r = catalog_next_segment(s->catalog, row.number, &row, f)) == 0)
		v->all += row.state == SEGMENT_REPLACED ? 0 : row.length;
	if (r < 0)
		return -1;
	*ret = TAKE(v);
	return 0;
}

struct verify *verify_close(struct verify *v)
{
	if (!v)
		return NULL;
	verify_segment_end(v);
	(void)sqlite3_finalize(v->missing);
	verify_ledger_free(v->ledger);
	dir_closep(&v->files);
	free(v->chunk);
	free(v->seal);
	free(v->found);
	buffer_deinit(&v->scratch);
	free(v);
	return NULL;
}

void verify_closep(struct verify **v)
{
	*v = verify_close(*v);
}

const struct verify_sums *verify_sums(const struct verify *v)
{
	return &v->sums;
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

void verify_go_on(struct verify *v, const struct scrub *round, int64_t max_ms)
{
	struct segment_row row = {0};
	struct fault ignored;

	v->until = max_ms > 0 ? monotonic_ms() + max_ms : 0;
	if (round->began == 0)
		return;
	v->round = *round;
	v->segment.row.number = round->segment;
	/* What is behind it now: others have come, and some have gone. */
	v->all = v->done = round->done;
	row.number = round->segment;
	while (catalog_next_segment(v->s->catalog, row.number, &row, &ignored) == 0)
		v->all += row.state == SEGMENT_REPLACED ? 0 : row.length;
}

int verify_round(const struct verify *v, struct scrub *ret)
{
	*ret = v->round;
	ret->damaged += v->sums.damaged;
	return v->stage == STAGE_DONE ? VERIFY_ROUND_ENDS : 0;
}

void verify_progress(const struct verify *v, uint64_t *ret_done, uint64_t *ret_all)
{
	uint64_t inside = v->inside ? verify_segment_offset(v) : 0;

	*ret_done = v->done + inside < v->all ? v->done + inside : v->all;
	*ret_all = v->all;
}

/* ---- Findings -------------------------------------------------------------------------------- */

static struct damage *queue(struct verify *v, int kind, const char *file, uint64_t from,
	uint64_t to, const char *format, va_list args)
{
	assert(v->found_n < FOUND_MAX);
	struct finding *found = &v->found[v->found_n++];
	struct damage *d = &found->damage;
	int n = 0;

	*found = (struct finding){.kind = kind};
	d->has_bytes = to > from;
	d->from = from;
	d->to = to;
	(void)snprintf(d->file, sizeof d->file, "%s", file ? file : "");
	if (d->has_bytes)
		n = snprintf(d->text, sizeof d->text, "%s, bytes %" PRIu64 " to %" PRIu64 ": ",
			d->file, from, to - 1);
	else if (file)
		n = snprintf(d->text, sizeof d->text, "%s: ", d->file);
	(void)vsnprintf(d->text + n, sizeof d->text - (size_t)n, format, args);
	return d;
}

struct damage *verify_found(
	struct verify *v, const char *file, uint64_t from, uint64_t to, const char *format, ...)
{
	va_list args;

	v->sums.damaged++;
	va_start(args, format);
	struct damage *d = queue(v, VERIFY_DAMAGE, file, from, to, format, args);
	va_end(args);
	return d;
}

struct damage *verify_note(
	struct verify *v, const char *file, uint64_t from, uint64_t to, const char *format, ...)
{
	va_list args;

	v->sums.notes++;
	va_start(args, format);
	struct damage *d = queue(v, VERIFY_NOTE, file, from, to, format, args);
	va_end(args);
	return d;
}

void verify_reread(struct verify *v, const char *file, uint64_t from, uint64_t to)
{
	(void)verify_note(v, file, from, to,
		"read wrong once and right the second time: memory or disk of this machine may be "
		"failing");
	v->sums.notes--;
	v->sums.reread++;
}

void verify_advise(struct damage *d, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(d->advice, sizeof d->advice, format, args);
	va_end(args);
}

void verify_hit(struct damage *d, const struct digest *message, uint64_t id)
{
	d->has_message = true;
	d->message = *message;
	d->id = id;
}

void verify_uncache(int fd, uint64_t from, uint64_t to)
{
	from -= from % WHOLE_PAGES;
	if (to > from)
		to += WHOLE_PAGES - to % WHOLE_PAGES;
	(void)posix_fadvise(
		fd, (off_t)from, to > from ? (off_t)(to - from) : 0, POSIX_FADV_DONTNEED);
}

int verify_is_lost(struct verify *v, uint64_t id, bool *ret, struct fault *f)
{
	*ret = false;
	if (catalog_schema(v->s->catalog) < SCHEMA_UPKEEP)
		return 0;
	sqlite3_stmt *row = catalog_statement(v->s->catalog, SQL_IS_LOST, f);
	if (!row)
		return -1;
	bind_number(row, 1, id);
	int r = catalog_step(v->s->catalog, row, f);
	(void)sqlite3_reset(row);
	*ret = r > 0;
	return r < 0 ? -1 : 0;
}

/* ---- Stages ---------------------------------------------------------------------------------- */

/* Messages without a place. */
static int verify_missing(struct verify *v, struct fault *f)
{
	struct message m CLEANUP(message_deinit) = {0};
	bool lost;

	if (!v->missing)
		v->missing = catalog_cursor(v->s->catalog, SQL_NOT_LOCATED, f);
	if (!v->missing)
		return -1;
	int r = catalog_step(v->s->catalog, v->missing, f);
	if (r < 0 || (r > 0 && message_from_row(v->s, v->missing, &m, f) < 0))
		return -1;
	if (r == 0) {
		(void)sqlite3_finalize(v->missing);
		v->missing = NULL;
		v->stage = STAGE_SEGMENTS;
		return 0;
	}
	if (verify_is_lost(v, m.id, &lost, f) < 0)
		return -1;
	if (lost)
		return 0;
	v->sums.messages++;
	struct damage *d = verify_found(v, NULL, 0, 0, "the message is in no segment");
	verify_hit(d, &m.digest, m.id);
	return 0;
}

static int do_stage(struct verify *v, struct fault *f)
{
	switch (v->stage) {
	case STAGE_LEDGER:
		return verify_ledger(v, f);
	case STAGE_SEALS:
		return verify_seals(v, f);
	case STAGE_FILES:
		return verify_files(v, f);
	case STAGE_MISSING:
		return verify_missing(v, f);
	case STAGE_SEGMENTS:
		return verify_segments(v, f);
	case STAGE_DONE:
	case STAGE_PAUSED:
		break;
	}
	return 0;
}

int verify_step(struct verify *v, struct damage *ret, struct fault *f)
{
	if (v->told == v->found_n) {
		if (v->stage >= STAGE_DONE)
			return 0;
		v->told = v->found_n = 0;
		if (do_stage(v, f) < 0)
			return -1;
	}
	if (v->told == v->found_n)
		return VERIFY_MORE;
	const struct finding *next = &v->found[v->told++];
	*ret = next->damage;
	return next->kind;
}
