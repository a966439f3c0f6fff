#include "daemon/plan_rows.h"

#include "archive/limits.h"

enum { FIRST_ROOM = 8 };

static int read_ahead(struct plan_rows *r, struct fault *f)
{
	int n = r->source.next(r->source.context, &r->ahead, f);

	r->has_ahead = n == KNOWN_ROW;
	return n < 0 ? -1 : 0;
}

int plan_rows_init(struct plan_rows *r, struct known_source source, struct fault *f)
{
	*r = (struct plan_rows){.source = source};
	return read_ahead(r, f);
}

void plan_rows_deinit(struct plan_rows *r)
{
	free(r->kept);
	free(r->refused);
	*r = (struct plan_rows){0};
}

static int add_kept(struct plan_rows *r, struct fault *f)
{
	if (r->kept_n == r->kept_room) {
		size_t room = r->kept_room ? r->kept_room * 2 : FIRST_ROOM;
		struct kept_row *kept = reallocarray(r->kept, room, sizeof *kept);
		if (!kept)
			return fault_memory(f);
		r->kept = kept;
		r->kept_room = room;
	}
	r->kept[r->kept_n++] = (struct kept_row){r->ahead.listed_size, r->ahead.copies};
	r->copies += r->ahead.copies;
	if (r->ahead.listed_size == SIZE_UNKNOWN)
		r->has_unknown_size = true;
	return 0;
}

static int add_refused(struct plan_rows *r, struct fault *f)
{
	const struct known *k = &r->ahead;

	if (r->refused_n == r->refused_room) {
		size_t room = r->refused_room ? r->refused_room * 2 : FIRST_ROOM;
		struct refused_row *refused = reallocarray(r->refused, room, sizeof *refused);
		if (!refused)
			return fault_memory(f);
		r->refused = refused;
		r->refused_room = room;
	}
	r->refused[r->refused_n++] = (struct refused_row){.size = k->listed_size,
		.next_try = k->next_try,
		.tries = k->tries,
		.reason = k->reason,
		.accepted = k->accepted};
	return 0;
}

static int add_ahead(struct plan_rows *r, struct fault *f)
{
	switch (r->ahead.state) {
	case KNOWN_KEPT:
		return add_kept(r, f);
	case KNOWN_REFUSED:
		if (!r->ahead.accepted)
			r->unkept_size = r->ahead.listed_size;
		return add_refused(r, f);
	case KNOWN_PENDING:
		r->pending++;
		r->unkept_size = r->ahead.listed_size;
		return 0;
	case KNOWN_VANISHED:
		r->vanished += !r->ahead.accepted;
		return 0;
	}
	return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0, "the catalog has an unknown state %d",
		(int)r->ahead.state);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = ((const struct kept_row *)a)->size, y = ((const struct kept_row *)b)->size;

	return (x > y) - (x < y);
}

int plan_rows_read(struct plan_rows *r, struct slice uidl, struct fault *f)
{
	int rows = 0;

	r->kept_n = r->refused_n = 0;
	r->copies = r->pending = r->vanished = 0;
	r->unkept_size = SIZE_UNKNOWN;
	r->has_unknown_size = false;
	while (r->has_ahead && slice_compare(r->ahead.uidl, uidl) == 0) {
		if (add_ahead(r, f) < 0 || read_ahead(r, f) < 0)
			return -1;
		rows = 1;
	}
	/* A catalog may well give a UIDL's few rows in another order. */
	if (r->kept_n > 1)
		qsort(r->kept, r->kept_n, sizeof *r->kept, by_size);
	return rows;
}
