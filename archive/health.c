#include "archive/health.h"

#include "archive/escape.h"
#include "archive/handle.h"
#include "archive/limits.h"

static void health_deinit(struct health *h)
{
	free(h->account);
	free(h->text);
	*h = (struct health){0};
}

void health_free(struct health *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		health_deinit(&all[i]);
	free(all);
}

/* What is cut is not cut inside a character. */
static char *copy_text(struct slice text)
{
	size_t n = text.len;

	if (n > LIMIT_HEALTH_TEXT) {
		n = LIMIT_HEALTH_TEXT;
		while (n > 0 && (text.data[n] & 0xc0) == 0x80)
			n--;
	}
	return n ? strndup((const char *)text.data, n) : strdup("");
}

struct item *item_new_health(const struct health *h, struct fault *f)
{
	struct item *i CLEANUP(item_freep) = item_new(ITEM_HEALTH, 0, f);

	if (!i)
		return NULL;
	i->health = calloc(1, sizeof *i->health);
	if (i->health) {
		*i->health = *h;
		i->health->account = strdup(h->account);
		i->health->text = copy_text(slice_text(h->text ? h->text : ""));
	}
	if (!i->health || !i->health->account || !i->health->text) {
		(void)fault_memory(f);
		return NULL;
	}
	return TAKE(i);
}

int catalog_put_health(struct catalog *c, const struct health *h, struct fault *f)
{
	bool well = h->state == HEALTH_WELL;
	sqlite3_stmt *s = catalog_statement(c, well ? SQL_DELETE_HEALTH : SQL_PUT_HEALTH, f);

	if (!s)
		return -1;
	bind_text(s, 1, slice_text(h->account));
	if (!well) {
		bind_number(s, 2, h->state);
		bind_number(s, 3, (uint64_t)h->since);
		bind_number(s, 4, (uint64_t)h->tried);
		bind_number(s, 5, (uint64_t)h->next);
		bind_number(s, 6, h->failures);
		bind_number(s, 7, h->code);
		bind_text(s, 8, slice_text(h->text));
	}
	return catalog_run(c, s, f);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* A later version may have stored numbers that this one does not know. */
static enum health_state state_of(int state)
{
	return state == HEALTH_FAILING ? HEALTH_FAILING : HEALTH_ATTENTION;
}

static enum fault_code code_of(int code)
{
	return code > FAULT_NONE && code <= FAULT_INTERRUPT ? (enum fault_code)code : FAULT_SYSTEM;
}

/* Whoever could write the catalog may have put into it what no fault's text holds. */
static char *safe_text(struct slice text)
{
	char safe[LIMIT_HEALTH_TEXT * 4 + 1];
	char *cut CLEANUP(freep) = copy_text(text);

	return cut ? strdup(escape_again(slice_text(cut), safe, sizeof safe)) : NULL;
}

static int health_from_row(sqlite3_stmt *row, struct health *ret, struct fault *f)
{
	struct health h = {
		.account = strdup((const char *)sqlite3_column_text(row, 0)),
		.state = state_of(sqlite3_column_int(row, 1)),
		.since = sqlite3_column_int64(row, 2),
		.tried = sqlite3_column_int64(row, 3),
		.next = sqlite3_column_int64(row, 4),
		.failures = (uint32_t)sqlite3_column_int64(row, 5),
		.code = code_of(sqlite3_column_int(row, 6)),
		.text = safe_text(column_bytes(row, 7)),
	};

	if (!h.account || !h.text) {
		health_deinit(&h);
		return fault_memory(f);
	}
	*ret = h;
	return 0;
}

/* Room for one more. */
static int grow(struct health **all, size_t n, size_t *size, struct fault *f)
{
	if (n < *size)
		return 0;
	size_t more = *size ? *size * 2 : 16;
	struct health *grown = reallocarray(*all, more, sizeof *grown);

	if (!grown)
		return fault_memory(f);
	*all = grown;
	*size = more;
	return 0;
}

static int read_all(struct store *s, struct health **all, size_t *n, struct fault *f)
{
	sqlite3_stmt *row = catalog_statement(s->catalog, SQL_ALL_HEALTH, f);
	size_t size = 0;
	int r;

	if (!row)
		return -1;
	while ((r = catalog_step(s->catalog, row, f)) > 0) {
		if (grow(all, *n, &size, f) < 0 || health_from_row(row, &(*all)[*n], f) < 0) {
			r = -1;
			break;
		}
		(*n)++;
	}
	(void)sqlite3_reset(row);
	return r;
}

int store_health(struct store *s, struct health **ret, size_t *ret_n, struct fault *f)
{
	struct health *all = NULL;
	size_t n = 0;

	if (store_open_catalog(s, f) < 0)
		return -1;
	/* Readers migrate nothing: a catalog of before has no such table until somebody writes. */
	if (catalog_schema(s->catalog) >= SCHEMA_HEALTH && read_all(s, &all, &n, f) < 0) {
		health_free(all, n);
		return -1;
	}
	*ret = all;
	*ret_n = n;
	return 0;
}
