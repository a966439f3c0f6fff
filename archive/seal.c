/* Sealing: an open segment becomes a dense one that never changes again. FORMAT.md, "Sealing", says
 * what states a crash can leave. The steps, under TURN_MAINTENANCE:
 *
 *   1. in a turn to commit: the segment is closed to appending    seal.c
 *      its messages are listed, the bytes of LEDGER made          seal_plan.c, seal_ledger.c
 *   2. a worker makes the new file out of it: seal.tmp            seal_exchange.c
 *   3. it is read back, every message put together and digested   seal_check.c
 *   4. to 7. it is put in place, and the open one removed         seal_place.c
 *
 * Until 4 everything can be thrown away. A worker is not trusted with anything but the bytes of the
 * new file, and those only after 3. */
#include "archive/seal_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* ---- Which are due --------------------------------------------------------------------------- */

static bool is_open(const struct segment_row *row)
{
	return (row->state == SEGMENT_OPEN || row->state == SEGMENT_CLOSED) && row->messages > 0;
}

static bool is_due(const struct segment_row *row, const struct seal_due *due, moment_ms now)
{
	if (!is_open(row))
		return false;
	/* Nothing will come to it any more. */
	if (row->state == SEGMENT_CLOSED || (due->bytes == 0 && due->age_ms == 0))
		return true;
	return (due->bytes > 0 && row->bytes >= due->bytes) ||
	       (due->age_ms > 0 && now - row->first >= due->age_ms);
}

/* The first behind `after`. SEAL_NOTHING. */
static int next_due(struct store *s, uint64_t after, const struct seal_due *due,
	struct segment_row *ret, struct fault *f)
{
	moment_ms now = moment_now();
	int r;

	ret->number = after;
	while ((r = catalog_next_segment(s->catalog, ret->number, ret, f)) == 0) {
		if (is_due(ret, due, now))
			return 0;
	}
	return r < 0 ? -1 : SEAL_NOTHING;
}

int store_seal_is_due(struct store *s, const struct seal_due *due, struct fault *f)
{
	struct segment_row row;

	return store_open_catalog(s, f) < 0 ? -1 : next_due(s, 0, due, &row, f);
}

/* ---- Steps 2 to 7 ---------------------------------------------------------------------------- */

/* Why a worker failed is of interest when it is not its fault: a message that cannot be read. */
static void look_for_damage(struct store *s, struct seal_plan *p, struct fault *f)
{
	struct fault damage;

	if (f->code != FAULT_SYSTEM)
		return;
	if (seal_check_sources(s, p, &damage) < 0 && damage.code == FAULT_DAMAGE)
		*f = damage;
}

int seal_make(struct store *s, struct seal_plan *p, const struct seal_job *job,
	struct seal_result *ret, struct fault *f)
{
	struct sealed_file file;
	struct seal_result made = {.sources = p->sources, .messages = p->mails, .bytes = p->bytes};

	if (seal_plan_finish(p, s, f) < 0)
		return -1;
	if (seal_exchange(s, p, job, &file, f) < 0) {
		look_for_damage(s, p, f);
		return -1;
	}
	for (size_t i = 0; i < p->sources; i++)
		made.from_size += p->source[i].row.length;
	made.size = file.size;
	if (seal_check(s, p, job, &file, f) < 0 || seal_place(s, p, &file, &made.segment, f) < 0) {
		(void)unlinkat(s->segments_fd, FILE_SEAL_TMP, 0); /* unless it has its name */
		return -1;
	}
	*ret = made;
	return 0;
}

/* ---- One after the other --------------------------------------------------------------------- */

/* What a job tries, and what became of it. A segment that cannot be sealed must not keep others
 * from their turn: the next one is tried, and those that failed before come last. */
struct trial {
	const struct seal_due *due;
	uint64_t repack_bytes;
	uint64_t after;	 /* numbers up to this one had their turn */
	uint64_t last;	 /* file when the job began: what ingest begins meanwhile can wait */
	bool failed_too; /* those that failed before are tried */
	struct seal_plan *p;
	int outcome; /* of planning: 0 or SEAL_NOTHING */
};

static bool has_failed(const struct store *s, uint64_t number)
{
	for (size_t i = 0; i < s->unsealable_n; i++) {
		if (s->unsealable[i] == number)
			return true;
	}
	return false;
}

static void note_failure(struct store *s, uint64_t number)
{
	if (!has_failed(s, number) &&
		s->unsealable_n < sizeof s->unsealable / sizeof *s->unsealable)
		s->unsealable[s->unsealable_n++] = number;
}

/* Step 1. */
static int plan_seal(struct store *s, struct seal_turn *turn, void *context, struct fault *f)
{
	struct trial *t = context;
	struct segment_row row;

	if (t->last == 0 && segment_last_file(s->segments_fd, &t->last, f) < 0)
		return -1;
	do {
		t->outcome = next_due(s, t->after, t->due, &row, f);
		if (t->outcome == 0 && row.number > t->last)
			t->outcome = SEAL_NOTHING;
		if (t->outcome != 0)
			return t->outcome < 0 ? -1 : 0;
		t->after = row.number;
	} while (has_failed(s, row.number) != t->failed_too);
	t->p->known = turn->at;
	if (row.state == SEGMENT_OPEN) {
		row.state = SEGMENT_CLOSED;
		if (catalog_put_segment(s->catalog, &row, f) < 0)
			return -1;
	}
	return seal_plan_add(t->p, s, &row, f);
}

/* Whether another segment may have more luck. */
static bool is_its_own(const struct fault *f)
{
	return f->code == FAULT_DAMAGE || f->code == FAULT_SYSTEM || f->code == FAULT_LIMIT;
}

static int try_next(struct store *s, struct trial *t, seal_turn_work *plan,
	const struct seal_job *job, struct seal_result *ret, struct fault *f)
{
	struct seal_plan *p CLEANUP(freep) = malloc(sizeof *p);

	if (!p)
		return fault_memory(f);
	seal_plan_init(p);
	t->p = p;
	t->outcome = 0;
	int r = seal_in_turn(s, plan, t, f);
	if (r == 0 && t->outcome == 0)
		r = seal_make(s, p, job, ret, f);
	else if (r == 0)
		r = t->outcome;
	seal_plan_deinit(p);
	return r;
}

/* Two rounds: what failed before comes last. */
static int try_all(struct store *s, struct trial *t, seal_turn_work *plan,
	const struct seal_job *job, struct seal_result *ret, struct fault *f)
{
	struct fault first = {0}, why;
	int r = SEAL_NOTHING;

	for (int round = 0; round < 2; round++) {
		t->failed_too = round == 1;
		uint64_t before = t->after = 0;
		while ((r = try_next(s, t, plan, job, ret, &why)) < 0 && is_its_own(&why) &&
			t->after > before) {
			before = t->after;
			note_failure(s, t->after);
			if (first.code == FAULT_NONE)
				first = why;
		}
		if (r != SEAL_NOTHING || first.code != FAULT_NONE)
			break;
	}
	if (r == 0 && first.code != FAULT_NONE)
		store_notice(s, "not sealed: %s", first.text);
	if (r < 0)
		*f = why;
	if (r != SEAL_NOTHING || first.code == FAULT_NONE)
		return r;
	*f = first;
	return -1;
}

static int run(struct store *s, struct trial *t, seal_turn_work *plan, const struct seal_job *job,
	struct seal_result *ret, struct fault *f)
{
	if (turn_wait(s->lock_fd, TURN_MAINTENANCE, LIMIT_MAINTENANCE_MS, f) < 0)
		return -1;
	int r = seal_tidy(s, f);
	if (r == 0)
		r = try_all(s, t, plan, job, ret, f);
	turn_release(s->lock_fd, TURN_MAINTENANCE);
	return r;
}

int store_seal(struct store *s, const struct seal_due *due, const struct seal_job *job,
	struct seal_result *ret, struct fault *f)
{
	struct trial t = {.due = due};

	return run(s, &t, plan_seal, job, ret, f);
}

/* ---- Repack ---------------------------------------------------------------------------------- */

enum { MONTH = 7 }; /* characters of 2026-01 */

/* The same class, and the month of the first message. */
static bool belong_together(const struct segment_row *a, const struct segment_row *b)
{
	char month_a[MOMENT_TEXT], month_b[MOMENT_TEXT];

	moment_format(a->first, month_a);
	moment_format(b->first, month_b);
	return strcmp(a->class_, b->class_) == 0 && memcmp(month_a, month_b, MONTH) == 0;
}

static bool is_small(const struct segment_row *row, uint64_t bytes)
{
	return row->state == SEGMENT_SEALED && row->messages > 0 && row->bytes < bytes / 2 &&
	       row->messages < LIMIT_SEGMENT_MESSAGES;
}

/* The segments that go together with this one, itself first. */
static int collect(struct store *s, const struct segment_row *first, uint64_t bytes,
	struct segment_row ret[static LIMIT_REPACK_SOURCES], size_t *ret_n, struct fault *f)
{
	struct segment_row row = *first;
	uint64_t sum = first->bytes, messages = first->messages;
	int r = 0;

	ret[0] = *first;
	*ret_n = 1;
	while (*ret_n < LIMIT_REPACK_SOURCES &&
		(r = catalog_next_segment(s->catalog, row.number, &row, f)) == 0) {
		if (!is_small(&row, bytes) || !belong_together(first, &row) ||
			sum + row.bytes > bytes ||
			messages + row.messages > LIMIT_SEGMENT_MESSAGES ||
			has_failed(s, row.number))
			continue;
		sum += row.bytes;
		messages += row.messages;
		ret[(*ret_n)++] = row;
	}
	return r < 0 ? -1 : 0;
}

static int plan_repack(struct store *s, struct seal_turn *turn, void *context, struct fault *f)
{
	struct trial *t = context;
	struct segment_row row = {.number = t->after}, all[LIMIT_REPACK_SOURCES];
	size_t n = 0;
	int r;

	while (n < 2 && (r = catalog_next_segment(s->catalog, row.number, &row, f)) == 0) {
		t->after = row.number;
		if (!is_small(&row, t->repack_bytes) || has_failed(s, row.number) != t->failed_too)
			continue;
		if (collect(s, &row, t->repack_bytes, all, &n, f) < 0)
			return -1;
	}
	if (n < 2 && r < 0)
		return -1;
	t->outcome = n < 2 ? SEAL_NOTHING : 0;
	t->p->known = turn->at;
	for (size_t i = 0; t->outcome == 0 && i < n; i++) {
		if (seal_plan_add(t->p, s, &all[i], f) < 0)
			return -1;
	}
	return 0;
}

int store_repack(struct store *s, uint64_t bytes, const struct seal_job *job,
	struct seal_result *ret, struct fault *f)
{
	struct trial t = {.repack_bytes = bytes};

	return run(s, &t, plan_repack, job, ret, f);
}
