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
	i->folder = buffer_make(LIMIT_FOLDER);
	i->flags = buffer_make(LIMIT_FLAGS);
	i->listed_size = SIZE_UNKNOWN;
	i->copy = 1;
	return i;
}

int item_set_import_uidl(struct item *i, struct fault *f)
{
	enum { UIDL_BYTES = 16 };
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	struct digest d;
	char hex[DIGEST_HEX + 1];

	if (hasher_new(&h, f) < 0)
		return -1;
	hasher_add(h, i->folder.data, i->folder.len);
	hasher_add(h, "", 1);
	hasher_add(h, spool_digest(i->spool)->byte, DIGEST_LEN);
	hasher_end(h, &d);
	digest_hex(&d, hex);
	buffer_clear(&i->uidl);
	return buffer_append(&i->uidl, hex, UIDL_BYTES * 2, f);
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
	buffer_deinit(&i->folder);
	buffer_deinit(&i->flags);
	buffer_deinit(&i->name);
	buffer_deinit(&i->server);
	buffer_deinit(&i->user);
	spool_free(i->spool);
	health_free(i->health, i->health ? 1 : 0);
	free_listed(i->pending, i->pending_n);
	free_listed(i->vanished, i->vanished_n);
	free(i);
	return NULL;
}

void item_freep(struct item **i)
{
	*i = item_free(*i);
}

/* Bytes of a ledger line at most, beside a UIDL of which each byte may be escaped. */
enum { LINE = 256, ESCAPED = 3 };

static uint64_t weigh_listed(const struct listed_uidl *all, size_t n)
{
	uint64_t weight = 0;

	for (size_t i = 0; i < n; i++)
		weight += LINE + ESCAPED * all[i].uidl.len;
	return weight;
}

/* LIMIT_GROUP_BYTES of it stay well below LIMIT_LEDGER_GROUP, whatever a server lists. */
static uint64_t weigh(const struct item *i)
{
	uint64_t weight =
		LINE + ESCAPED * (i->uidl.len + strlen(i->text) + i->folder.len + i->flags.len);

	weight += weigh_listed(i->pending, i->pending_n);
	weight += weigh_listed(i->vanished, i->vanished_n);
	return weight + (i->spool ? spool_size(i->spool) : 0);
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
	g->bytes += weigh(i);
}

struct item *batch_take(struct batch *g)
{
	struct item *i = g->first;

	if (!i)
		return NULL;
	g->first = i->next;
	i->next = NULL;
	g->items--;
	uint64_t weight = weigh(i);
	g->bytes -= weight < g->bytes ? weight : g->bytes; /* its spool may be gone */
	if (!g->first)
		batch_init(g);
	return i;
}

bool batch_is_due(const struct batch *g, int64_t now_ms)
{
	return g->items > 0 && (g->bytes >= LIMIT_GROUP_BYTES || g->items >= LIMIT_GROUP_ITEMS ||
				       now_ms - g->oldest >= LIMIT_GROUP_MS);
}
