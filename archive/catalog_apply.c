/* The ledger's events, put into the catalog's tables. */
#include "archive/catalog.h"
#include "archive/catalog_drops.h"

int catalog_get_sums(struct catalog *c, uint64_t maildrop, struct sums *ret, moment_ms *ret_polled,
	struct fault *f)
{
	struct drop *drop;

	if (drops_get(c, maildrop, &drop, f) < 0)
		return -1;
	*ret = drop->sums;
	*ret_polled = drop->polled;
	return 0;
}

/* ---- UIDLs without a message ---------------------------------------------------------------- */

int catalog_get_unkept(struct catalog *c, uint64_t maildrop, struct slice uidl, struct unkept *ret,
	struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_GET_UNKEPT, f);

	if (!s)
		return -1;
	bind_number(s, 1, maildrop);
	bind_bytes(s, 2, uidl);
	int r = catalog_step(c, s, f);
	if (r >= 0)
		*ret = (struct unkept){0};
	if (r > 0)
		*ret = (struct unkept){.state = sqlite3_column_int(s, 0),
			.tries = column_number(s, 1),
			.accepted = column_number(s, 2) != 0,
			.reason = (enum refusal)sqlite3_column_int(s, 3)};
	(void)sqlite3_reset(s);
	return r < 0 ? -1 : 0;
}

static int unkept_state(struct catalog *c, uint64_t maildrop, struct slice uidl, struct fault *f)
{
	struct unkept row;

	return catalog_get_unkept(c, maildrop, uidl, &row, f) < 0 ? -1 : row.state;
}

int catalog_count_vanished(struct catalog *c, uint64_t maildrop, uint64_t *ret, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_COUNT_VANISHED, f);

	if (!s)
		return -1;
	bind_number(s, 1, maildrop);
	int r = catalog_step(c, s, f);
	if (r > 0)
		*ret = column_number(s, 0);
	(void)sqlite3_reset(s);
	return r < 0 ? -1 : 0;
}

/* One leaves `from`. Where there is none, it was listed without being counted, as when a server
 * gives one UIDL to several messages: listed stays the sum of the others all the same, and the next
 * poll says how it is. */
static void take_one(struct sums *sums, uint64_t *from)
{
	if (*from > 0)
		(*from)--;
	else
		sums->listed++;
}

/* A UIDL has its message now: it leaves `refused` or else `pending` for `archived`. A vanished one
 * was counted as pending again when it was listed again. */
int catalog_settle(struct catalog *c, uint64_t maildrop, struct slice uidl, struct fault *f)
{
	int state = unkept_state(c, maildrop, uidl, f);

	if (state <= 0)
		return state;
	sqlite3_stmt *s = catalog_statement(c, SQL_DELETE_UNKEPT, f);
	if (!s)
		return -1;
	bind_number(s, 1, maildrop);
	bind_bytes(s, 2, uidl);
	return catalog_run(c, s, f) < 0 ? -1 : state;
}

static int count_archived(struct catalog *c, const struct event *e, struct fault *f)
{
	struct drop *drop;
	int state = catalog_settle(c, e->maildrop, e->uidl, f);

	if (state < 0 || drops_get(c, e->maildrop, &drop, f) < 0)
		return -1;
	take_one(&drop->sums, state == UNKEPT_REFUSED ? &drop->sums.refused : &drop->sums.pending);
	drop->sums.archived++;
	drop->dirty = true;
	return 0;
}

static int apply_refuse(struct catalog *c, const struct event *e, struct fault *f)
{
	struct drop *drop;
	int state = unkept_state(c, e->maildrop, e->uidl, f);

	if (state < 0 || drops_get(c, e->maildrop, &drop, f) < 0)
		return -1;
	if (state != UNKEPT_REFUSED) {
		take_one(&drop->sums, &drop->sums.pending);
		drop->sums.refused++;
		drop->dirty = true;
	}
	sqlite3_stmt *s = catalog_statement(c, SQL_PUT_REFUSED, f);
	if (!s)
		return -1;
	uint32_t tries = e->tries > UINT32_MAX ? UINT32_MAX : (uint32_t)e->tries;
	bind_number(s, 1, e->maildrop);
	bind_bytes(s, 2, e->uidl);
	bind_number(s, 3, e->listed);
	bind_number(s, 4, e->reason);
	bind_number(s, 5, tries);
	bind_number(s, 6, (uint64_t)refusal_next_try(e->t, tries));
	return catalog_run(c, s, f);
}

static int apply_to_unkept(
	struct catalog *c, enum catalog_statement which, const struct event *e, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, which, f);

	if (!s)
		return -1;
	bind_number(s, 1, e->maildrop);
	bind_bytes(s, 2, e->uidl);
	return catalog_run(c, s, f);
}

/* A refusal stays one of `refused`, as it stays listed; what vanished is not counted any more. A
 * UIDL that is neither, in a rebuilt catalog or a damaged ledger, is left as it is. */
static int apply_accept(struct catalog *c, const struct event *e, struct fault *f)
{
	struct unkept row;
	struct drop *drop;

	if (catalog_get_unkept(c, e->maildrop, e->uidl, &row, f) < 0 ||
		drops_get(c, e->maildrop, &drop, f) < 0)
		return -1;
	if (row.accepted || (row.state != UNKEPT_REFUSED && row.state != UNKEPT_VANISHED))
		return 0;
	if (row.state == UNKEPT_VANISHED && drop->sums.vanished > 0) {
		drop->sums.vanished--;
		drop->dirty = true;
	}
	return apply_to_unkept(c, SQL_PUT_ACCEPTED, e, f);
}

int catalog_set_pending(
	struct catalog *c, uint64_t maildrop, struct slice uidl, uint64_t listed, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_PUT_PENDING, f);

	if (!s)
		return -1;
	bind_number(s, 1, maildrop);
	bind_bytes(s, 2, uidl);
	bind_number(s, 3, listed);
	return catalog_run(c, s, f);
}

int catalog_set_polled(struct catalog *c, uint64_t maildrop, moment_ms t, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_SET_POLLED, f);

	if (!s)
		return -1;
	bind_number(s, 1, maildrop);
	bind_number(s, 2, (uint64_t)t);
	return catalog_run(c, s, f);
}

/* ---- Messages ------------------------------------------------------------------------------- */

/* *ret_maildrop: under which it came first. 0, or CATALOG_NONE. */
static int find_digest(struct catalog *c, const struct digest *d, uint64_t *ret_id,
	uint64_t *ret_maildrop, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_FIND_DIGEST, f);

	if (!s)
		return -1;
	bind_bytes(s, 1, slice_of(d->byte, DIGEST_LEN));
	int r = catalog_step(c, s, f);
	if (r > 0) {
		*ret_id = column_number(s, 0);
		*ret_maildrop = column_number(s, 1);
	}
	(void)sqlite3_reset(s);
	return r < 0 ? -1 : r > 0 ? 0 : CATALOG_NONE;
}

struct uidl_row {
	uint64_t listed, copies;
};

static int get_uidl(struct catalog *c, const struct event *e, uint64_t message,
	struct uidl_row *ret, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_GET_UIDL, f);

	if (!s)
		return -1;
	bind_number(s, 1, e->maildrop);
	bind_bytes(s, 2, e->uidl);
	bind_number(s, 3, message);
	int r = catalog_step(c, s, f);
	if (r > 0)
		*ret = (struct uidl_row){column_number(s, 0), column_number(s, 1)};
	(void)sqlite3_reset(s);
	return r < 0 ? -1 : r > 0 ? 0 : CATALOG_NONE;
}

static int put_uidl(struct catalog *c, const struct event *e, uint64_t message, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_PUT_UIDL, f);

	if (!s)
		return -1;
	bind_number(s, 1, e->maildrop);
	bind_bytes(s, 2, e->uidl);
	bind_number(s, 3, message);
	bind_number(s, 4, e->listed);
	bind_number(s, 5, e->copy);
	return catalog_run(c, s, f);
}

int catalog_classify(struct catalog *c, const struct event *keep, struct fault *f)
{
	uint64_t id, maildrop;
	struct uidl_row row;
	int r = find_digest(c, &keep->digest, &id, &maildrop, f);

	if (r != 0)
		return r < 0 ? -1 : CATALOG_NEW;
	r = get_uidl(c, keep, id, &row, f);
	if (r != 0)
		return r < 0 ? -1 : CATALOG_NEW_UIDL;
	if (row.copies < keep->copy)
		return CATALOG_NEW_UIDL;
	return keep->listed != SIZE_UNKNOWN && keep->listed != row.listed ? CATALOG_RESIZED : 0;
}

/* What an import knew; the first word on a folder counts. */
static int put_filing(struct catalog *c, const struct event *e, uint64_t message, struct fault *f)
{
	if (!e->filed)
		return 0;
	sqlite3_stmt *s = catalog_statement(c, SQL_PUT_FILING, f);
	if (!s)
		return -1;
	bind_number(s, 1, message);
	bind_number(s, 2, e->maildrop);
	bind_bytes(s, 3, e->folder);
	bind_bytes(s, 4, e->flags);
	bind_number(s, 5, (uint64_t)e->received);
	return catalog_run(c, s, f);
}

static int apply_keep(struct catalog *c, const struct event *e, uint64_t number,
	const struct location *at, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_PUT_MESSAGE, f);

	if (!s)
		return -1;
	bind_number(s, 1, number);
	bind_bytes(s, 2, slice_of(e->digest.byte, DIGEST_LEN));
	bind_number(s, 3, e->size);
	bind_number(s, 4, (uint64_t)e->t);
	bind_number(s, 5, e->maildrop);
	if (slice_compare(e->class_, slice_text("default")) != 0)
		bind_text(s, 6, e->class_);
	if (at) {
		bind_number(s, 7, at->segment);
		bind_number(s, 8, at->frame_offset);
		bind_number(s, 9, at->entry_offset);
	}
	if (catalog_run(c, s, f) < 0 || put_uidl(c, e, number, f) < 0 ||
		put_filing(c, e, number, f) < 0)
		return -1;
	return count_archived(c, e, f);
}

static int apply_see(struct catalog *c, const struct event *e, struct fault *f)
{
	uint64_t id, first_maildrop;
	struct uidl_row row = {0};
	struct drop *drop;
	char hex[DIGEST_HEX + 1];
	int r = find_digest(c, &e->digest, &id, &first_maildrop, f);

	if (r == CATALOG_NONE) {
		digest_hex(&e->digest, hex);
		return fault_set(f, FAULT_DAMAGE, SCOPE_MESSAGE, 0,
			"the ledger sees message %s, which it never kept", hex);
	}
	if (r < 0 || (r = get_uidl(c, e, id, &row, f)) < 0 || put_uidl(c, e, id, f) < 0 ||
		put_filing(c, e, id, f) < 0)
		return -1;
	if (r == CATALOG_NONE || row.copies < e->copy) {
		sqlite3_stmt *s = catalog_statement(c, SQL_PUT_ALSO, f);
		if (!s)
			return -1;
		bind_number(s, 1, id);
		bind_number(s, 2, e->maildrop);
		if (e->maildrop != first_maildrop && catalog_run(c, s, f) < 0)
			return -1;
		return count_archived(c, e, f);
	}
	/* The same bytes under the same UIDL with another size: LIST cannot be trusted here. */
	if (drops_get(c, e->maildrop, &drop, f) < 0)
		return -1;
	drop->sizes_unreliable = true;
	drop->dirty = true;
	return catalog_settle(c, e->maildrop, e->uidl, f) < 0 ? -1 : 0;
}

static int apply_account(struct catalog *c, const struct event *e, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_PUT_MAILDROP, f);

	if (!s)
		return -1;
	bind_number(s, 1, e->maildrop);
	bind_text(s, 2, e->name);
	bind_text(s, 3, e->server);
	bind_text(s, 4, e->user);
	return catalog_run(c, s, f);
}

static int apply_poll(struct catalog *c, const struct event *e, struct fault *f)
{
	struct drop *drop;

	if (drops_get(c, e->maildrop, &drop, f) < 0)
		return -1;
	drop->sums = e->sums;
	drop->polled = e->t;
	drop->dirty = true;
	return catalog_set_polled(c, e->maildrop, e->t, f);
}

int catalog_apply(struct catalog *c, const struct event *e, uint64_t number,
	const struct location *at, struct fault *f)
{
	switch (e->kind) {
	case EVENT_ACCOUNT:
		return apply_account(c, e, f);
	case EVENT_KEEP:
		return apply_keep(c, e, number, at, f);
	case EVENT_SEE:
		return apply_see(c, e, f);
	case EVENT_REFUSE:
		return apply_refuse(c, e, f);
	case EVENT_ACCEPT:
		return apply_accept(c, e, f);
	case EVENT_VANISH:
		return apply_to_unkept(c, SQL_PUT_VANISHED, e, f);
	case EVENT_POLL:
		return apply_poll(c, e, f);
	case EVENT_SEAL: {
		uint64_t moved;

		return catalog_apply_seal(c, e, &moved, f);
	}
	case EVENT_LOST:
		return catalog_apply_lost(c, e, f);
	case EVENT_EXPORT:
	case EVENT_RESTORE:
	case EVENT_UNKNOWN:
	case EVENT_BEGIN:
	case EVENT_COMMIT:
		break;
	}
	return 0;
}
