#include "archive/record.h"

#include "archive/batch.h"
#include "archive/limits.h"

static struct slice cut(struct slice text, size_t most)
{
	return slice_of(text.data, text.len < most ? text.len : most);
}

int store_record(struct store *s, const struct record *r, struct fault *f)
{
	struct batch g CLEANUP(batch_deinit);
	struct record told = *r;
	struct item *i = item_new(ITEM_RECORD, 0, f);

	batch_init(&g);
	if (!i)
		return -1;
	/* Escaped, the line stays below LIMIT_LEDGER_LINE. */
	told.query = cut(r->query, LIMIT_QUERY);
	told.target = cut(r->target, LIMIT_CONFIG_VALUE / 2);
	i->record = &told;
	batch_add(&g, i);
	return store_commit(s, &g, f);
}
