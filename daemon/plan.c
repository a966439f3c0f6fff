#include "daemon/plan_rows.h"

#include "archive/limits.h"

enum { FIRST_ROOM = 64 };

/* A mark is verdict, counted << 3, refusal << 5. */
static uint8_t mark_of(enum verdict verdict, enum counted counted, enum refusal reason)
{
	return (uint8_t)((unsigned)verdict | (unsigned)counted << 3 | (unsigned)reason << 5);
}

enum verdict plan_verdict(const struct plan *p, size_t entry)
{
	return (enum verdict)(p->marks[entry] & 7);
}

enum counted plan_counted(const struct plan *p, size_t entry)
{
	return (enum counted)(p->marks[entry] >> 3 & 3);
}

enum refusal plan_refusal(const struct plan *p, size_t entry)
{
	return (enum refusal)(p->marks[entry] >> 5);
}

void plan_init(struct plan *p)
{
	*p = (struct plan){.gone_uidls = buffer_make(LIMIT_LISTED_UIDLS)};
}

void plan_deinit(struct plan *p)
{
	free(p->fetch.at);
	free(p->too_large.at);
	free(p->pending.at);
	free(p->vanished);
	free(p->marks);
	buffer_deinit(&p->gone_uidls);
	plan_init(p);
}

static int add_entry(struct entry_list *list, size_t entry, struct fault *f)
{
	if (list->n == list->room) {
		size_t room = list->room ? list->room * 2 : FIRST_ROOM;
		uint32_t *more = reallocarray(list->at, room, sizeof *more);
		if (!more)
			return fault_memory(f);
		list->at = more;
		list->room = room;
	}
	list->at[list->n++] = (uint32_t)entry;
	return 0;
}

/* ---- One UIDL -------------------------------------------------------------------------------- */

/* What is being merged: the entries from first up to end share a UIDL, rows are what is known of
 * it. While a UIDL is worked on its marks say ARCHIVED for what kept messages account for, NEW for
 * what nothing has explained yet. */
struct merge {
	struct plan *plan;
	const struct listing *listing;
	const struct plan_terms *terms;
	struct plan_rows rows;
	size_t first, end;
	bool by_size; /* sizes tell messages of this UIDL apart */
	struct entry_list scratch;
	bool any_known; /* of all that is listed */
	uint64_t kept_rows;
};

static uint64_t size_at(const struct merge *m, size_t entry)
{
	return m->listing->entries[entry].size;
}

static bool is_too_large(const struct merge *m, size_t entry)
{
	uint64_t size = size_at(m, entry);

	return size != SIZE_UNKNOWN && size > m->terms->max_message_size;
}

static void set_mark(struct merge *m, size_t entry, enum verdict verdict, enum counted counted)
{
	m->plan->marks[entry] = mark_of(verdict, counted, 0);
}

static bool sizes_tell(const struct merge *m)
{
	/* Entries are ordered by size, unknown last. */
	return m->terms->sizes == SIZES_COMPARED && !m->rows.has_unknown_size &&
	       size_at(m, m->end - 1) != SIZE_UNKNOWN;
}

/* Both sides are ordered by size. */
static void account_by_size(struct merge *m)
{
	const struct plan_rows *r = &m->rows;
	uint64_t taken = 0;
	size_t row = 0;

	for (size_t e = m->first; e < m->end; e++) {
		while (row < r->kept_n && (r->kept[row].size < size_at(m, e) ||
						  (r->kept[row].size == size_at(m, e) &&
							  taken == r->kept[row].copies))) {
			row++;
			taken = 0;
		}
		if (row < r->kept_n && r->kept[row].size == size_at(m, e)) {
			set_mark(m, e, VERDICT_ARCHIVED, COUNTED_ARCHIVED);
			taken++;
		} else {
			set_mark(m, e, VERDICT_NEW, COUNTED_PENDING);
		}
	}
}

/* As many are new as are listed more than kept: those that are too large first, which cannot be
 * fetched and so cannot be told apart, then the last ones. */
static void account_by_count(struct merge *m)
{
	uint64_t n = m->end - m->first;
	uint64_t left = n > m->rows.copies ? n - m->rows.copies : 0;

	for (size_t e = m->first; e < m->end; e++) {
		bool is_new = left > 0 && is_too_large(m, e);
		left -= is_new;
		set_mark(m, e, is_new ? VERDICT_NEW : VERDICT_ARCHIVED,
			is_new ? COUNTED_PENDING : COUNTED_ARCHIVED);
	}
	for (size_t e = m->end; left > 0 && e > m->first; e--) {
		if (plan_verdict(m->plan, e - 1) == VERDICT_ARCHIVED) {
			set_mark(m, e - 1, VERDICT_NEW, COUNTED_PENDING);
			left--;
		}
	}
}

static bool is_due(const struct merge *m, const struct refused_row *row, size_t entry)
{
	if (is_too_large(m, entry))
		return false;
	if (row->reason == REFUSAL_TOO_LARGE && row->tries <= 1 &&
		size_at(m, entry) != SIZE_UNKNOWN)
		return true;
	return row->next_try <= m->terms->now;
}

static void claim(struct merge *m, struct refused_row *row, size_t entry)
{
	row->used = true;
	m->plan->marks[entry] = mark_of(is_due(m, row, entry) ? VERDICT_RETRY : VERDICT_REFUSED,
		COUNTED_REFUSED, row->reason);
}

/* Each refusal takes one of the messages that nothing explains: of its size, else any. */
static void claim_refused(struct merge *m)
{
	struct plan_rows *r = &m->rows;
	size_t row = 0;

	for (size_t e = m->first; e < m->end && row < r->refused_n; e++) {
		if (plan_verdict(m->plan, e) != VERDICT_NEW)
			continue;
		while (row < r->refused_n && r->refused[row].size < size_at(m, e))
			row++;
		if (row < r->refused_n && r->refused[row].size == size_at(m, e))
			claim(m, &r->refused[row++], e);
	}
	row = 0;
	for (size_t e = m->first; e < m->end; e++) {
		if (plan_verdict(m->plan, e) != VERDICT_NEW)
			continue;
		while (row < r->refused_n && r->refused[row].used)
			row++;
		if (row == r->refused_n)
			return;
		claim(m, &r->refused[row], e);
	}
}

static int entry_order(const void *a, const void *b, void *context)
{
	const struct listing *l = context;
	uint32_t x = l->entries[*(const uint32_t *)a].number,
		 y = l->entries[*(const uint32_t *)b].number;

	return (x > y) - (x < y);
}

static void sort_by_number(struct entry_list *list, const struct listing *l)
{
	for (size_t i = 1; i < list->n; i++) {
		if (l->entries[list->at[i - 1]].number > l->entries[list->at[i]].number) {
			qsort_r(list->at, list->n, sizeof *list->at, entry_order,
				(void *)(uintptr_t)l);
			return;
		}
	}
}

/* All that might be new is fetched. Which of it is kept already will turn out; until then those
 * that are fetched first count as archived, so that the sums never promise more than there is. */
static int fetch_all(struct merge *m, struct fault *f)
{
	size_t archived = 0;

	m->scratch.n = 0;
	for (size_t e = m->first; e < m->end; e++) {
		enum verdict v = plan_verdict(m->plan, e);
		if ((v != VERDICT_ARCHIVED || is_too_large(m, e)) && v != VERDICT_NEW)
			continue;
		if (add_entry(&m->scratch, e, f) < 0)
			return -1;
		archived += v == VERDICT_ARCHIVED;
	}
	sort_by_number(&m->scratch, m->listing);
	for (size_t i = 0; i < m->scratch.n; i++)
		set_mark(m, m->scratch.at[i], VERDICT_AGAIN,
			i < archived ? COUNTED_ARCHIVED : COUNTED_PENDING);
	return 0;
}

/* What is marked NEW and too large is refused; *ret tells whether anything asks for fetching the
 * whole UIDL. */
static bool refuse_too_large(struct merge *m)
{
	bool all = false;

	for (size_t e = m->first; e < m->end; e++) {
		enum verdict v = plan_verdict(m->plan, e);
		if (v == VERDICT_NEW && is_too_large(m, e)) {
			set_mark(m, e, VERDICT_TOO_LARGE, COUNTED_REFUSED);
			v = VERDICT_TOO_LARGE;
		}
		if (v == VERDICT_NEW ||
			(!m->by_size && (v == VERDICT_TOO_LARGE || v == VERDICT_RETRY)))
			all = true;
	}
	return all && m->rows.copies > 0;
}

static int judge(struct merge *m, struct fault *f)
{
	if (m->end == m->first)
		return 0;
	m->by_size = sizes_tell(m);
	if (m->by_size)
		account_by_size(m);
	else
		account_by_count(m);
	claim_refused(m);
	if (refuse_too_large(m))
		return fetch_all(m, f);
	return 0;
}

/* ---- What becomes of the UIDL's states ------------------------------------------------------- */

static int add_vanished(struct merge *m, struct slice uidl, struct fault *f)
{
	struct plan *p = m->plan;

	if (p->gone_uidls.len + uidl.len > p->gone_uidls.max)
		return 0;
	if (p->vanished_n == p->vanished_room) {
		size_t room = p->vanished_room ? p->vanished_room * 2 : FIRST_ROOM;
		struct gone *more = reallocarray(p->vanished, room, sizeof *more);
		if (!more)
			return fault_memory(f);
		p->vanished = more;
		p->vanished_room = room;
	}
	size_t uidl_at = p->gone_uidls.len;
	if (buffer_append(&p->gone_uidls, uidl.data, uidl.len, f) < 0)
		return -1;
	p->vanished[p->vanished_n++] = (struct gone){.listed_size = m->rows.unkept_size,
		.uidl_at = (uint32_t)uidl_at,
		.uidl_len = (uint16_t)uidl.len};
	p->sums.vanished++;
	return 0;
}

static bool has_unaccepted(const struct plan_rows *r)
{
	for (size_t i = 0; i < r->refused_n; i++) {
		if (!r->refused[i].accepted)
			return true;
	}
	return false;
}

/* All that is listed of the UIDL is kept. Is what was pending or refused under it still among that?
 * Only where sizes tell messages apart, and none has its size, is it certainly gone. */
static bool is_gone(const struct merge *m)
{
	uint64_t size = m->rows.unkept_size;

	if (m->rows.pending == 0 && !has_unaccepted(&m->rows))
		return false;
	if (m->first == m->end)
		return true;
	if (!m->by_size || size == SIZE_UNKNOWN)
		return false;
	for (size_t e = m->first; e < m->end; e++) {
		if (size_at(m, e) == size)
			return false;
	}
	return true;
}

static int change_states(struct merge *m, struct slice uidl, struct fault *f)
{
	struct plan *p = m->plan;
	bool all_kept = true, revived = false;
	size_t pending = m->end;

	for (size_t e = m->first; e < m->end; e++) {
		enum counted c = plan_counted(p, e);
		all_kept = all_kept && c == COUNTED_ARCHIVED;
		revived =
			revived || c == COUNTED_PENDING || plan_verdict(p, e) == VERDICT_TOO_LARGE;
		if (c == COUNTED_PENDING && pending == m->end)
			pending = e;
	}
	if (pending != m->end && m->rows.pending == 0 && add_entry(&p->pending, pending, f) < 0)
		return -1;
	if (!revived)
		p->sums.vanished += m->rows.vanished;
	if (all_kept && is_gone(m))
		return add_vanished(m, uidl, f);
	return 0;
}

/* ---- The merge ------------------------------------------------------------------------------- */

static int merge_uidl(struct merge *m, struct slice uidl, struct fault *f)
{
	const struct listing *l = m->listing;

	while (m->end < l->n && slice_compare(listing_uidl(l, &l->entries[m->end]), uidl) == 0)
		m->end++;
	size_t n = m->end - m->first;
	int rows = plan_rows_read(&m->rows, uidl, f);
	if (rows < 0)
		return -1;
	if (n > 1)
		m->plan->repeated += n;
	m->any_known = m->any_known || (rows > 0 && n > 0);
	m->kept_rows += m->rows.kept_n;
	m->plan->unlisted += n == 0 && m->rows.kept_n > 0;
	if (judge(m, f) < 0)
		return -1;
	return change_states(m, uidl, f);
}

static int merge_all(struct merge *m, struct buffer *uidl, struct fault *f)
{
	const struct listing *l = m->listing;

	while (m->end < l->n || m->rows.has_ahead) {
		struct slice next = m->rows.ahead.uidl;

		m->first = m->end;
		if (m->end < l->n) {
			struct slice listed = listing_uidl(l, &l->entries[m->end]);
			if (!m->rows.has_ahead || slice_compare(listed, next) <= 0)
				next = listed;
		}
		/* A known row's UIDL is borrowed until the next row is read. */
		buffer_clear(uidl);
		if (buffer_append(uidl, next.data, next.len, f) < 0)
			return -1;
		if (merge_uidl(m, buffer_slice(uidl), f) < 0)
			return -1;
	}
	return 0;
}

static int list_entries(struct plan *p, const struct listing *l, struct fault *f)
{
	for (size_t e = 0; e < l->n; e++) {
		enum verdict v = plan_verdict(p, e);
		enum counted c = plan_counted(p, e);
		bool fetch = v == VERDICT_NEW || v == VERDICT_AGAIN || v == VERDICT_RETRY;

		p->sums.archived += c == COUNTED_ARCHIVED;
		p->sums.pending += c == COUNTED_PENDING;
		p->sums.refused += c == COUNTED_REFUSED;
		if (fetch && add_entry(&p->fetch, e, f) < 0)
			return -1;
		if (v == VERDICT_TOO_LARGE && add_entry(&p->too_large, e, f) < 0)
			return -1;
		uint64_t size =
			fetch && l->entries[e].size != SIZE_UNKNOWN ? l->entries[e].size : 0;
		if (__builtin_add_overflow(p->fetch_bytes, size, &p->fetch_bytes))
			p->fetch_bytes = UINT64_MAX;
	}
	p->sums.listed = l->n;
	sort_by_number(&p->fetch, l);
	sort_by_number(&p->too_large, l);
	return 0;
}

int plan_make(struct plan *p, const struct listing *l, struct known_source known,
	const struct plan_terms *terms, struct fault *f)
{
	struct merge m = {.plan = p, .listing = l, .terms = terms};
	struct buffer uidl CLEANUP(buffer_deinit) = buffer_make(LIMIT_UIDL);

	plan_deinit(p);
	p->marks = calloc(l->n + 1, 1);
	if (!p->marks)
		return fault_memory(f);
	int r = plan_rows_init(&m.rows, known, f);
	if (r == 0)
		r = merge_all(&m, &uidl, f);
	if (r == 0)
		r = list_entries(p, l, f);
	p->renumbered = l->n > 0 && !m.any_known && m.kept_rows > 0;
	plan_rows_deinit(&m.rows);
	free(m.scratch.at);
	if (r < 0)
		plan_deinit(p);
	return r;
}

/* ---- What came of it ------------------------------------------------------------------------- */

static uint64_t *sum_of(struct plan *p, enum counted counted)
{
	switch (counted) {
	case COUNTED_ARCHIVED:
		return &p->sums.archived;
	case COUNTED_PENDING:
		return &p->sums.pending;
	case COUNTED_REFUSED:
		break;
	}
	return &p->sums.refused;
}

static void count_as(struct plan *p, size_t entry, enum counted counted)
{
	(*sum_of(p, plan_counted(p, entry)))--;
	(*sum_of(p, counted))++;
	p->marks[entry] = mark_of(plan_verdict(p, entry), counted, plan_refusal(p, entry));
}

void plan_set_archived(struct plan *p, size_t entry)
{
	count_as(p, entry, COUNTED_ARCHIVED);
}

void plan_set_refused(struct plan *p, size_t entry)
{
	count_as(p, entry, COUNTED_REFUSED);
}
