#include "daemon/agenda.h"

#include <assert.h>

enum { FIRST_SIZE = 64 };

void agenda_deinit(struct agenda *a)
{
	free(a->heap);
	*a = (struct agenda){0};
}

static void place(struct agenda *a, size_t at, struct agenda_entry *e)
{
	a->heap[at - 1] = e;
	e->at = at;
}

static void sift_up(struct agenda *a, struct agenda_entry *e)
{
	size_t at = e->at;

	for (; at > 1 && a->heap[at / 2 - 1]->due > e->due; at /= 2)
		place(a, at, a->heap[at / 2 - 1]);
	place(a, at, e);
}

static void sift_down(struct agenda *a, struct agenda_entry *e)
{
	size_t at = e->at;

	for (size_t child; (child = 2 * at) <= a->n; at = child) {
		if (child < a->n && a->heap[child]->due < a->heap[child - 1]->due)
			child++;
		if (a->heap[child - 1]->due >= e->due)
			break;
		place(a, at, a->heap[child - 1]);
	}
	place(a, at, e);
}

static int make_room(struct agenda *a, struct fault *f)
{
	size_t size = a->size ? 2 * a->size : FIRST_SIZE;

	if (a->n < a->size)
		return 0;
	struct agenda_entry **heap = reallocarray(a->heap, size, sizeof(struct agenda_entry *));
	if (!heap)
		return fault_memory(f);
	a->heap = heap;
	a->size = size;
	return 0;
}

static void move(struct agenda *a, struct agenda_entry *e, int64_t due)
{
	assert(e->at <= a->n && a->heap[e->at - 1] == e);
	e->due = due;
	sift_up(a, e);
	sift_down(a, e);
}

int agenda_put(struct agenda *a, struct agenda_entry *e, int64_t due, struct fault *f)
{
	if (agenda_has(e)) {
		move(a, e, due);
		return 0;
	}
	if (make_room(a, f) < 0)
		return -1;
	e->due = due;
	place(a, ++a->n, e);
	sift_up(a, e);
	return 0;
}

void agenda_remove(struct agenda *a, struct agenda_entry *e)
{
	if (!agenda_has(e))
		return;
	assert(e->at <= a->n && a->heap[e->at - 1] == e);
	struct agenda_entry *last = a->heap[--a->n];
	if (last != e) {
		place(a, e->at, last);
		sift_up(a, last);
		sift_down(a, last);
	}
	e->at = 0;
}

struct agenda_entry *agenda_take(struct agenda *a, int64_t now)
{
	struct agenda_entry *e = agenda_first(a);

	if (!e || e->due > now)
		return NULL;
	agenda_remove(a, e);
	return e;
}
