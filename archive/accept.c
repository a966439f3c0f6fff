#include "archive/accept.h"

#include "archive/handle.h"
#include "archive/limits.h"

#include <stdio.h>

static int check_reason(const char *reason, struct fault *f)
{
	size_t len = strlen(reason);

	if (len == 0)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0, "the reason is empty");
	if (len > LIMIT_ACCEPT_REASON)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"the reason is longer than %d bytes", LIMIT_ACCEPT_REASON);
	return 0;
}

static int add(
	struct batch *g, uint64_t maildrop, struct slice uidl, const char *reason, struct fault *f)
{
	struct item *i CLEANUP(item_freep) = item_new(ITEM_ACCEPT, maildrop, f);

	_Static_assert(sizeof i->text > LIMIT_ACCEPT_REASON, "an item has room for a reason");
	if (!i || buffer_append(&i->uidl, uidl.data, uidl.len, f) < 0)
		return -1;
	(void)snprintf(i->text, sizeof i->text, "%s", reason);
	batch_add(g, TAKE(i));
	return 0;
}

int store_accept(
	struct store *s, uint64_t maildrop, struct slice uidl, const char *reason, struct fault *f)
{
	struct batch g CLEANUP(batch_deinit);

	batch_init(&g);
	if (check_reason(reason, f) < 0)
		return -1;
	if (uidl.len > LIMIT_UIDL)
		return ACCEPT_NOTHING;
	if (add(&g, maildrop, uidl, reason, f) < 0 || store_commit(s, &g, f) < 0)
		return -1;
	switch (g.first->outcome) {
	case OUTCOME_ACCEPTED:
		return 0;
	case OUTCOME_ALREADY:
		return ACCEPT_ALREADY;
	case OUTCOME_NONE:
	case OUTCOME_KEPT:
	case OUTCOME_SEEN:
	case OUTCOME_KNOWN:
	case OUTCOME_NOTHING:
		break;
	}
	return ACCEPT_NOTHING;
}

/* ---- All of a kind --------------------------------------------------------------------------- */

struct sweep {
	struct store *s;
	uint64_t maildrop;
	int state;
	const char *reason;
	struct buffer last; /* the last UIDL that was looked at */
};

/* The next of them, as many as one group holds. */
static int collect(struct sweep *w, struct batch *g, struct fault *f)
{
	if (store_open_catalog(w->s, f) < 0)
		return -1;
	sqlite3_stmt *row = catalog_statement(w->s->catalog, SQL_TO_ACCEPT, f);
	int r = 0;

	if (!row)
		return -1;
	bind_number(row, 1, w->maildrop);
	bind_bytes(row, 2, buffer_slice(&w->last));
	bind_number(row, 3, (uint64_t)w->state);
	while (g->items < LIMIT_GROUP_ITEMS && g->bytes < LIMIT_GROUP_BYTES &&
		(r = catalog_step(w->s->catalog, row, f)) > 0) {
		if (add(g, w->maildrop, column_bytes(row, 0), w->reason, f) < 0) {
			r = -1;
			break;
		}
	}
	(void)sqlite3_reset(row); /* a group is committed by this connection */
	return r < 0 ? -1 : 0;
}

/* One that somebody else accepted meanwhile does not count. */
static int finish(struct sweep *w, struct batch *g, uint64_t *done, struct fault *f)
{
	for (struct item *i; (i = batch_take(g)); item_free(i)) {
		*done += i->outcome == OUTCOME_ACCEPTED;
		if (g->first)
			continue;
		buffer_clear(&w->last);
		if (buffer_append(&w->last, i->uidl.data, i->uidl.len, f) < 0) {
			item_free(i);
			return -1;
		}
	}
	return 0;
}

static int sweep(struct sweep *w, uint64_t *done, struct fault *f)
{
	for (;;) {
		struct batch g CLEANUP(batch_deinit);

		batch_init(&g);
		if (collect(w, &g, f) < 0)
			return -1;
		if (g.items == 0)
			return 0;
		if (store_commit(w->s, &g, f) < 0 || finish(w, &g, done, f) < 0)
			return -1;
	}
}

int store_accept_all(struct store *s, uint64_t maildrop, enum known_state which, const char *reason,
	uint64_t *ret, struct fault *f)
{
	struct sweep w = {.s = s,
		.maildrop = maildrop,
		.state = which == KNOWN_VANISHED ? UNKEPT_VANISHED : UNKEPT_REFUSED,
		.reason = reason,
		.last = buffer_make(LIMIT_UIDL)};

	*ret = 0;
	/* What others committed is in the ledger, but perhaps not in the catalog yet. */
	int r = check_reason(reason, f) < 0 || store_catch_up(s, f) < 0 ? -1 : sweep(&w, ret, f);
	buffer_deinit(&w.last);
	return r;
}
