#include "archive/batch.h"

#include "archive/limits.h"

struct item *item_new(enum item_kind kind, uint64_t maildrop, struct fault *f)
{
	struct item *i = calloc(1, sizeof *i);

	if (!i) {
		(void)fault_memory(f);
		return NULL;
	}
	i->kind = kind;
	i->maildrop = maildrop;
	i->uidl = buffer_make(LIMIT_UIDL);
	i->listed_size = SIZE_UNKNOWN;
	i->copy = 1;
	return i;
}

static void free_listed(struct listed_uidl *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buffer_deinit(&all[i].uidl);
	free(all);
}

struct item *item_free(struct item *i)
{
	if (!i)
		return NULL;
	buffer_deinit(&i->uidl);
	buffer_deinit(&i->name);
	buffer_deinit(&i->server);
	buffer_deinit(&i->user);
	spool_free(i->spool);
	free_listed(i->pending, i->pending_n);
	free_listed(i->vanished, i->vanished_n);
	free(i);
	return NULL;
}

void item_freep(struct item **i)
{
	*i = item_free(*i);
}

void batch_init(struct batch *g)
{
	*g = (struct batch){0};
	g->end = &g->first;
}

void batch_deinit(struct batch *g)
{
	for (struct item *i; (i = batch_take(g));)
		item_free(i);
}

void batch_add(struct batch *g, struct item *i)
{
	if (g->items == 0)
		g->oldest = monotonic_ms();
	i->next = NULL;
	*g->end = i;
	g->end = &i->next;
	g->items++;
	g->bytes += i->spool ? spool_size(i->spool) : 0;
}

struct item *batch_take(struct batch *g)
{
	struct item *i = g->first;

	if (!i)
		return NULL;
	g->first = i->next;
	i->next = NULL;
	g->items--;
	g->bytes -= i->spool ? spool_size(i->spool) : 0;
	if (!g->first)
		batch_init(g);
	return i;
}

bool batch_is_due(const struct batch *g, int64_t now_ms)
{
	return g->items > 0 && (g->bytes >= LIMIT_GROUP_BYTES || g->items >= LIMIT_GROUP_ITEMS ||
				       now_ms - g->oldest >= LIMIT_GROUP_MS);
}
