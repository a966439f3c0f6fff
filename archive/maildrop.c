#include "archive/maildrop.h"

#include "archive/handle.h"
#include "archive/limits.h"

void sums_add(struct sums *to, const struct sums *s)
{
	to->listed += s->listed;
	to->archived += s->archived;
	to->pending += s->pending;
	to->refused += s->refused;
	to->vanished += s->vanished;
}

void maildrop_deinit(struct maildrop *m)
{
	free(m->name);
	free(m->server);
	free(m->user);
	*m = (struct maildrop){0};
}

void maildrops_free(struct maildrop *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		maildrop_deinit(&all[i]);
	free(all);
}

static int maildrop_from_row(sqlite3_stmt *row, struct maildrop *ret, struct fault *f)
{
	struct maildrop m = {
		.number = column_number(row, 0),
		.name = strdup((const char *)sqlite3_column_text(row, 1)),
		.server = strdup((const char *)sqlite3_column_text(row, 2)),
		.user = strdup((const char *)sqlite3_column_text(row, 3)),
		.sums = {column_number(row, 4), column_number(row, 5), column_number(row, 6),
			column_number(row, 7), column_number(row, 8)},
		.polled = sqlite3_column_int64(row, 9),
		.sizes_unreliable = column_number(row, 10) != 0,
	};

	if (!m.name || !m.server || !m.user) {
		maildrop_deinit(&m);
		return fault_memory(f);
	}
	*ret = m;
	return 0;
}

static int find_maildrop(struct store *s, const char *server, const char *user,
	struct maildrop *ret, struct fault *f)
{
	sqlite3_stmt *row = catalog_statement(s->catalog, SQL_FIND_MAILDROP, f);

	if (!row)
		return -1;
	bind_text(row, 1, slice_text(server));
	bind_text(row, 2, slice_text(user));
	int r = catalog_step(s->catalog, row, f);
	if (r > 0)
		r = maildrop_from_row(row, ret, f) < 0 ? -1 : 1;
	(void)sqlite3_reset(row);
	return r < 0 ? -1 : r > 0 ? 0 : CATALOG_NONE;
}

static int one_number(struct store *s, enum catalog_statement which, const char *name,
	uint64_t *ret, struct fault *f)
{
	sqlite3_stmt *row = catalog_statement(s->catalog, which, f);

	if (!row)
		return -1;
	if (name)
		bind_text(row, 1, slice_text(name));
	int r = catalog_step(s->catalog, row, f);
	*ret = r > 0 ? column_number(row, 0) : 0;
	(void)sqlite3_reset(row);
	return r < 0 ? -1 : 0;
}

/* Adds its line to the group. */
static int add_line(
	struct batch *g, uint64_t number, const struct maildrop_request *q, struct fault *f)
{
	struct item *i CLEANUP(item_freep) = item_new(ITEM_ACCOUNT, number, f);

	if (!i)
		return -1;
	i->name = i->server = i->user = buffer_make(LIMIT_LEDGER_LINE);
	if (buffer_append_text(&i->name, q->name, f) < 0 ||
		buffer_append_text(&i->server, q->server, f) < 0 ||
		buffer_append_text(&i->user, q->user, f) < 0)
		return -1;
	batch_add(g, TAKE(i));
	return 0;
}

/* Whether it is there under this name: the usual case, without a turn. */
static int find_as_is(struct store *s, struct maildrop_request *q, struct fault *f)
{
	struct maildrop m CLEANUP(maildrop_deinit) = {0};
	int r = find_maildrop(s, q->server, q->user, &m, f);

	if (r != 0 || strcmp(m.name, q->name) != 0)
		return r < 0 ? -1 : CATALOG_NONE;
	q->maildrop = m;
	q->outcome = MAILDROP_KNOWN;
	m = (struct maildrop){0};
	return 0;
}

enum { UNSETTLED = -1, WRITTEN = -2 }; /* outcomes on the way */

/* One that is not there under its name: what it is, and a line for it. *last is the highest number
 * that was given out. */
static int plan_line(struct store *s, struct maildrop_request *q, uint64_t *last, struct batch *g,
	int *ret_outcome, struct fault *f)
{
	struct maildrop m CLEANUP(maildrop_deinit) = {0};
	uint64_t namesake;
	int r = find_maildrop(s, q->server, q->user, &m, f);

	if (r < 0 || one_number(s, SQL_NAME_IN_USE, q->name, &namesake, f) < 0)
		return -1;
	*ret_outcome = r == 0							 ? MAILDROP_RENAMED
		       : namesake > 0 && strcmp(q->server, MAILDROP_IMPORT) != 0 ? MAILDROP_REPLACED
										 : MAILDROP_NEW;
	return add_line(g, r == 0 ? m.number : ++*last, q, f);
}

/* Two of one group that mean one maildrop, or have one name: the later one waits for the earlier.
 */
static bool must_wait(const struct maildrop_request *all, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (all[j].outcome < 0 && (strcmp(all[j].name, all[i].name) == 0 ||
						  (strcmp(all[j].server, all[i].server) == 0 &&
							  strcmp(all[j].user, all[i].user) == 0)))
			return true;
	}
	return false;
}

/* One group of lines for those that are not settled yet. Under TURN_REGISTER: two processes must
 * not give one number to two maildrops. The highest number must be the ledger's, or two maildrops
 * get one, and the UIDLs of one are taken for those of the other: a process that died after it
 * wrote its line has left the catalog behind. */
static int register_group(
	struct store *s, struct maildrop_request *all, size_t n, size_t *ret_left, struct fault *f)
{
	struct batch g CLEANUP(batch_deinit);
	int *outcome CLEANUP(freep) = calloc(n, sizeof *outcome);
	uint64_t last;

	batch_init(&g);
	if (!outcome)
		return fault_memory(f);
	if (store_catch_up(s, f) < 0 || one_number(s, SQL_LAST_MAILDROP, NULL, &last, f) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (all[i].outcome != UNSETTLED || must_wait(all, i))
			continue;
		int r = find_as_is(s, &all[i], f); /* somebody else was faster */
		if (r < 0 || (r > 0 && plan_line(s, &all[i], &last, &g, &outcome[i], f) < 0))
			return -1;
		if (r > 0)
			all[i].outcome = WRITTEN;
	}
	if (g.items > 0 && store_commit(s, &g, f) < 0)
		return -1;
	*ret_left = 0;
	for (size_t i = 0; i < n; i++) {
		*ret_left += all[i].outcome == UNSETTLED;
		if (all[i].outcome != WRITTEN)
			continue;
		if (find_as_is(s, &all[i], f) != 0)
			return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
				"catalog.db lost a maildrop; run `popkeep rebuild`");
		all[i].outcome = outcome[i];
	}
	return 0;
}

static int find_or_register(
	struct store *s, struct maildrop_request *all, size_t n, struct fault *f)
{
	size_t left = 0;

	if (store_open_catalog(s, f) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		int r = find_as_is(s, &all[i], f);

		if (r < 0)
			return -1;
		left += r > 0;
	}
	if (left == 0)
		return 0;
	if (turn_wait(s->lock_fd, TURN_REGISTER, LIMIT_LOCK_MS, f) < 0)
		return -1;
	int r = 0;
	while (left > 0 && r == 0)
		r = register_group(s, all, n, &left, f);
	turn_release(s->lock_fd, TURN_REGISTER);
	return r;
}

int store_register_maildrops(
	struct store *s, struct maildrop_request *all, size_t n, struct fault *f)
{
	for (size_t i = 0; i < n; i++) {
		all[i].outcome = UNSETTLED;
		all[i].maildrop = (struct maildrop){0};
	}
	if (find_or_register(s, all, n, f) == 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		maildrop_deinit(&all[i].maildrop);
	return -1;
}

int store_maildrop(struct store *s, const char *name, const char *server, const char *user,
	struct maildrop *ret, struct fault *f)
{
	struct maildrop_request one = {.name = name, .server = server, .user = user};

	if (store_register_maildrops(s, &one, 1, f) < 0)
		return -1;
	*ret = one.maildrop;
	return one.outcome;
}

int store_maildrops(struct store *s, struct maildrop **ret, size_t *ret_n, struct fault *f)
{
	struct maildrop *all = NULL;
	size_t n = 0, size = 0;
	int r;

	if (store_open_catalog(s, f) < 0)
		return -1;
	for (uint64_t number = 0;; number = all[n - 1].number) {
		sqlite3_stmt *row = catalog_statement(s->catalog, SQL_NEXT_MAILDROP, f);

		if (!row)
			goto failed;
		bind_number(row, 1, number);
		r = catalog_step(s->catalog, row, f);
		if (r <= 0)
			break;
		if (n == size) {
			size = size ? size * 2 : 16;
			struct maildrop *grown = realloc(all, size * sizeof *grown);

			if (!grown) {
				(void)fault_memory(f);
				goto failed;
			}
			all = grown;
		}
		if (maildrop_from_row(row, &all[n], f) < 0)
			goto failed;
		n++;
	}
	if (r < 0)
		goto failed;
	*ret = all;
	*ret_n = n;
	return 0;
failed:
	maildrops_free(all, n);
	return -1;
}

int maildrop_lock(struct store *s, uint64_t number, struct fault *f)
{
	int r = turn_try(s->lock_fd, TURN_MAILDROPS + number, f);

	if (r == TURN_TAKEN)
		return fault_set(f, FAULT_BUSY, SCOPE_ACCOUNT, 0,
			"another popkeep process is polling this account; try again when it is "
			"done");
	return r;
}

void maildrop_unlock(struct store *s, uint64_t number)
{
	turn_release(s->lock_fd, TURN_MAILDROPS + number);
}
