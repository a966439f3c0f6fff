/* What is known of a maildrop: two ordered queries merged. */
#include "archive/known.h"

#include "archive/handle.h"

struct known_cursor {
	struct store *store;
	sqlite3_stmt *kept, *unkept;
	bool has_kept, has_unkept; /* a row is waiting */
	sqlite3_stmt *given;	   /* whose row was given last */
};

static int step(struct known_cursor *c, sqlite3_stmt *s, bool *ret, struct fault *f)
{
	int r = catalog_step(c->store->catalog, s, f);

	*ret = r > 0;
	return r < 0 ? -1 : 0;
}

/* A query of its own, at its first row. */
static int begin(struct known_cursor *c, enum catalog_statement which, uint64_t maildrop,
	sqlite3_stmt **ret, bool *ret_has, struct fault *f)
{
	*ret = catalog_cursor(c->store->catalog, which, f);
	if (!*ret)
		return -1;
	bind_number(*ret, 1, maildrop);
	return step(c, *ret, ret_has, f);
}

static int open_cursor(struct store *s, struct known_cursor **ret, struct fault *f)
{
	struct known_cursor *c CLEANUP(known_closep) = calloc(1, sizeof *c);

	if (!c)
		return fault_memory(f);
	if (store_open_catalog(s, f) < 0)
		return -1;
	c->store = s;
	*ret = TAKE(c);
	return 0;
}

int known_open_unkept(
	struct store *s, uint64_t maildrop, struct known_cursor **ret, struct fault *f)
{
	struct known_cursor *c CLEANUP(known_closep) = NULL;

	if (open_cursor(s, &c, f) < 0 ||
		begin(c, SQL_KNOWN_UNKEPT, maildrop, &c->unkept, &c->has_unkept, f) < 0)
		return -1;
	*ret = TAKE(c);
	return 0;
}

int known_open(struct store *s, uint64_t maildrop, struct known_cursor **ret, struct fault *f)
{
	struct known_cursor *c CLEANUP(known_closep) = NULL;

	/* The first step of the first begins a snapshot that the second then reads too. */
	if (open_cursor(s, &c, f) < 0 ||
		begin(c, SQL_KNOWN_KEPT, maildrop, &c->kept, &c->has_kept, f) < 0 ||
		begin(c, SQL_KNOWN_UNKEPT, maildrop, &c->unkept, &c->has_unkept, f) < 0)
		return -1;
	*ret = TAKE(c);
	return 0;
}

struct known_cursor *known_close(struct known_cursor *c)
{
	if (!c)
		return NULL;
	(void)sqlite3_finalize(c->kept);
	(void)sqlite3_finalize(c->unkept);
	free(c);
	return NULL;
}

void known_closep(struct known_cursor **c)
{
	*c = known_close(*c);
}

static enum known_state unkept_state(int state)
{
	return state == UNKEPT_PENDING	 ? KNOWN_PENDING
	       : state == UNKEPT_REFUSED ? KNOWN_REFUSED
					 : KNOWN_VANISHED;
}

static void fill_kept(sqlite3_stmt *s, struct known *ret)
{
	*ret = (struct known){.uidl = column_bytes(s, 0),
		.state = KNOWN_KEPT,
		.listed_size = column_number(s, 1),
		.copies = column_number(s, 2)};
}

static void fill_unkept(sqlite3_stmt *s, struct known *ret)
{
	*ret = (struct known){.uidl = column_bytes(s, 0),
		.state = unkept_state(sqlite3_column_int(s, 1)),
		.listed_size = column_number(s, 2),
		.reason = (enum refusal)sqlite3_column_int(s, 3),
		.tries = (uint32_t)sqlite3_column_int64(s, 4),
		.next_try = sqlite3_column_int64(s, 5),
		.accepted = column_number(s, 6) != 0};
}

int known_next(struct known_cursor *c, struct known *ret, struct fault *f)
{
	/* The row that was given last is left only now: its bytes were borrowed. */
	if (c->given &&
		step(c, c->given, c->given == c->kept ? &c->has_kept : &c->has_unkept, f) < 0)
		return -1;
	c->given = NULL;
	if (!c->has_kept && !c->has_unkept)
		return 0;
	bool kept = c->has_kept && (!c->has_unkept || slice_compare(column_bytes(c->kept, 0),
							      column_bytes(c->unkept, 0)) <= 0);
	c->given = kept ? c->kept : c->unkept;
	if (kept)
		fill_kept(c->kept, ret);
	else
		fill_unkept(c->unkept, ret);
	return KNOWN_ROW;
}
