#include "archive/catalog_drops.h"

#include <inttypes.h>

struct drops {
	struct drop *drop;
	size_t n, size;
};

int drops_new(struct drops **ret, struct fault *f)
{
	struct drops *d = calloc(1, sizeof *d);

	if (!d)
		return fault_memory(f);
	*ret = d;
	return 0;
}

void drops_free(struct drops *d)
{
	if (d)
		free(d->drop);
	free(d);
}

void drops_clear(struct drops *d)
{
	d->n = 0;
}

static int read_drop(struct catalog *c, uint64_t number, struct drop *ret, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_GET_SUMS, f);

	if (!s)
		return -1;
	bind_number(s, 1, number);
	int r = catalog_step(c, s, f);
	if (r < 0)
		return -1;
	if (r == 0) {
		(void)sqlite3_reset(s);
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
			"the ledger speaks of maildrop %" PRIu64 ", which it never named", number);
	}
	*ret = (struct drop){.number = number,
		.sums = {column_number(s, 0), column_number(s, 1), column_number(s, 2),
			column_number(s, 3), column_number(s, 4)},
		.sizes_unreliable = column_number(s, 5) != 0,
		.polled = sqlite3_column_int64(s, 6)};
	(void)sqlite3_reset(s);
	return 0;
}

int drops_get(struct catalog *c, uint64_t number, struct drop **ret, struct fault *f)
{
	struct drops *d = catalog_drops(c);

	for (size_t i = d->n; i-- > 0;) {
		if (d->drop[i].number == number) {
			*ret = &d->drop[i];
			return 0;
		}
	}
	if (d->n == d->size) {
		size_t size = d->size ? d->size * 2 : 16;
		struct drop *grown = realloc(d->drop, size * sizeof *grown);

		if (!grown)
			return fault_memory(f);
		d->drop = grown;
		d->size = size;
	}
	if (read_drop(c, number, &d->drop[d->n], f) < 0)
		return -1;
	*ret = &d->drop[d->n++];
	return 0;
}

int drops_write(struct catalog *c, struct fault *f)
{
	struct drops *d = catalog_drops(c);

	for (size_t i = 0; i < d->n; i++) {
		const struct drop *drop = &d->drop[i];

		if (!drop->dirty)
			continue;
		sqlite3_stmt *s = catalog_statement(c, SQL_SET_SUMS, f);
		if (!s)
			return -1;
		bind_number(s, 1, drop->number);
		bind_number(s, 2, drop->sums.listed);
		bind_number(s, 3, drop->sums.archived);
		bind_number(s, 4, drop->sums.pending);
		bind_number(s, 5, drop->sums.refused);
		bind_number(s, 6, drop->sums.vanished);
		bind_number(s, 7, drop->sizes_unreliable);
		if (catalog_run(c, s, f) < 0)
			return -1;
	}
	drops_clear(d);
	return 0;
}
