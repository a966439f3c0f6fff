#include "cli/report.h"

#include "archive/known.h"

#include <errno.h>
#include <sys/statvfs.h>

/* ---- Looking up ------------------------------------------------------------------------------ */

/* Maildrops in order of server and user, and what is known of each by its place in
 * report.maildrops.
 */
struct reading {
	struct report *report;
	struct store *store;
	const struct config *config;
	const struct report_terms *terms;
	const struct maildrop **sorted;
	bool *replaced, *shown;
};

static void reading_deinit(struct reading *r)
{
	free(r->sorted);
	free(r->replaced);
	free(r->shown);
}

static int by_server_and_user(const void *a, const void *b)
{
	const struct maildrop *x = *(const struct maildrop *const *)a,
			      *y = *(const struct maildrop *const *)b;
	int order = strcmp(x->server, y->server);

	return order ? order : strcmp(x->user, y->user);
}

static int by_name_and_number(const void *a, const void *b)
{
	const struct maildrop *x = *(const struct maildrop *const *)a,
			      *y = *(const struct maildrop *const *)b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->number > y->number) - (x->number < y->number);
}

static bool is_import(const struct maildrop *m)
{
	return strcmp(m->server, MAILDROP_IMPORT) == 0;
}

static size_t place_of(const struct report *r, const struct maildrop *m)
{
	return (size_t)(m - r->maildrops);
}

static int sort_maildrops(struct reading *r, struct fault *f)
{
	size_t n = r->report->maildrops_n;

	r->sorted = calloc(n + 1, sizeof(const struct maildrop *));
	r->replaced = calloc(n + 1, sizeof *r->replaced);
	r->shown = calloc(n + 1, sizeof *r->shown);
	if (!r->sorted || !r->replaced || !r->shown)
		return fault_memory(f);
	for (size_t i = 0; i < n; i++)
		r->sorted[i] = &r->report->maildrops[i];
	/* A name that a later maildrop has: its account went on to another server or user. What it
	 * had pending cannot come any more, and what of it is still there is listed by the new one.
	 */
	qsort(r->sorted, n, sizeof(const struct maildrop *), by_name_and_number);
	const struct maildrop *later = NULL;
	for (size_t i = n; i-- > 0;) {
		if (is_import(r->sorted[i])) /* beside the one that is polled, not in its place */
			continue;
		r->replaced[place_of(r->report, r->sorted[i])] =
			later && strcmp(r->sorted[i]->name, later->name) == 0;
		later = r->sorted[i];
	}
	qsort(r->sorted, n, sizeof(const struct maildrop *), by_server_and_user);
	return 0;
}

static const struct maildrop *maildrop_of(const struct reading *r, char *server, char *user)
{
	const struct maildrop wanted = {.server = server, .user = user};
	const struct maildrop *key = &wanted;
	const struct maildrop **found = bsearch(&key, r->sorted, r->report->maildrops_n,
		sizeof(const struct maildrop *), by_server_and_user);

	return found ? *found : NULL;
}

static int by_account(const void *name, const void *health)
{
	return strcmp(name, ((const struct health *)health)->account);
}

static const struct health *health_of(const struct report *r, const char *name)
{
	return r->health_n ? bsearch(name, r->health, r->health_n, sizeof *r->health, by_account)
			   : NULL;
}

/* ---- What an account needs ------------------------------------------------------------------- */

static int count_to_accept(
	struct store *s, const struct maildrop *m, uint64_t *ret, struct fault *f)
{
	struct known_cursor *c CLEANUP(known_closep) = NULL;
	struct known k;
	int r;

	if (m->sums.refused == 0)
		return 0;
	if (known_open_unkept(s, m->number, &c, f) < 0)
		return -1;
	while ((r = known_next(c, &k, f)) == KNOWN_ROW)
		*ret += k.state == KNOWN_REFUSED && !k.accepted;
	return r;
}

static bool lasts(const struct health *h, const struct account *account, moment_ms now)
{
	moment_ms patience = REPORT_FAILING_MS;

	if (h->state == HEALTH_ATTENTION)
		return true;
	if ((moment_ms)account->interval_ms * REPORT_INTERVALS < patience)
		patience = (moment_ms)account->interval_ms * REPORT_INTERVALS;
	return now - h->since >= patience;
}

static bool is_stale(const struct reading *r, const struct account_report *a)
{
	moment_ms polled = a->maildrop ? a->maildrop->polled : 0, now = r->terms->now;

	if (r->terms->max_age_ms == REPORT_ANY_AGE || a->replaced || a->imported)
		return false;
	if (polled == 0)
		return a->configured;
	if (!a->configured && r->config)
		return false;
	return polled < now && (uint64_t)(now - polled) > r->terms->max_age_ms;
}

/* account: NULL where it is not configured. A maildrop that is not may come from a mistyped --url,
 * and nothing polls it. */
static int find_needs(
	struct reading *r, struct account_report *a, const struct account *account, struct fault *f)
{
	const struct maildrop *m = a->maildrop;

	/* The time of a poll is not in the ledger, its sums are: a rebuilt catalog knows them. */
	if (account && (!m || (m->polled == 0 && m->sums.listed == 0 && m->sums.vanished == 0)))
		a->needs |= NEEDS_FIRST_POLL;
	if (account && a->health && lasts(a->health, account, r->terms->now))
		a->needs |= NEEDS_POLLS;
	a->stale = is_stale(r, a);
	if (a->stale)
		a->needs |= NEEDS_FRESH;
	if (!m)
		return 0;
	a->sums = m->sums;
	if (a->replaced)
		return 0;
	if (m->sums.pending)
		a->needs |= NEEDS_PENDING;
	if (m->sums.vanished)
		a->needs |= NEEDS_VANISHED;
	if (count_to_accept(r->store, m, &a->to_accept, f) < 0)
		return -1;
	if (a->to_accept)
		a->needs |= NEEDS_REFUSED;
	return 0;
}

/* ---- All accounts ---------------------------------------------------------------------------- */

/* Takes a->server over. */
static int add(
	struct reading *r, struct account_report a, const struct account *account, struct fault *f)
{
	struct report *report = r->report;
	struct account_report *to = &report->accounts[report->n++];

	*to = a;
	if (!a.server)
		return fault_memory(f);
	if (find_needs(r, to, account, f) < 0)
		return -1;
	sums_add(&report->sums, &to->sums);
	report->attention += to->needs != 0;
	report->failing += to->health != NULL;
	report->stale += to->stale;
	return 0;
}

static int add_configured(struct reading *r, const struct account *account, struct fault *f)
{
	struct account_report a = {.name = account->name,
		.user = account->user,
		.server = account_server(account),
		.health = health_of(r->report, account->name),
		.configured = true};

	if (a.server)
		a.maildrop = maildrop_of(r, a.server, account->user);
	if (a.maildrop)
		r->shown[place_of(r->report, a.maildrop)] = true;
	return add(r, a, account, f);
}

static int add_other(struct reading *r, const struct maildrop *m, struct fault *f)
{
	struct account_report a = {.name = m->name,
		.user = m->user,
		.maildrop = m,
		.server = strdup(m->server),
		.imported = is_import(m),
		.replaced = r->replaced[place_of(r->report, m)]};

	/* A configured account of that name tells its own. */
	if (!a.replaced && !a.imported && !(r->config && config_account(r->config, m->name)))
		a.health = health_of(r->report, m->name);
	return add(r, a, NULL, f);
}

static int add_all(struct reading *r, struct fault *f)
{
	size_t configured = r->config ? r->config->accounts_n : 0;
	struct report *report = r->report;

	report->accounts = calloc(configured + report->maildrops_n + 1, sizeof *report->accounts);
	if (!report->accounts)
		return fault_memory(f);
	for (size_t i = 0; i < configured; i++) {
		if (add_configured(r, &r->config->accounts[i], f) < 0)
			return -1;
	}
	for (size_t i = 0; i < report->maildrops_n; i++) {
		if (!r->shown[i] && add_other(r, &report->maildrops[i], f) < 0)
			return -1;
	}
	return 0;
}

static int read_disk(struct report *ret, struct store *s, const struct config *c, struct fault *f)
{
	struct statvfs fs;

	if (statvfs(store_folder(s), &fs) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "%s", store_folder(s));
	ret->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	ret->min_free = c ? c->min_free : 0;
	ret->disk_full = ret->free_bytes < ret->min_free;
	return 0;
}

int report_read(struct report *ret, struct store *s, const struct config *config,
	const struct report_terms *terms, struct fault *f)
{
	struct reading r CLEANUP(reading_deinit) = {
		.report = ret, .store = s, .config = config, .terms = terms};

	/* Where locks cannot be asked for, none is held by a service that could not take one. */
	ret->served = store_is_served(s, f) == STORE_SERVED;
	ret->write_failed = store_write_failed(s) == STORE_WRITE_FAILED;
	if (read_disk(ret, s, config, f) < 0 ||
		store_maildrops(s, &ret->maildrops, &ret->maildrops_n, f) < 0 ||
		store_health(s, &ret->health, &ret->health_n, f) < 0)
		return -1;
	if (sort_maildrops(&r, f) < 0)
		return -1;
	return add_all(&r, f);
}

void report_deinit(struct report *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->accounts[i].server);
	free(r->accounts);
	maildrops_free(r->maildrops, r->maildrops_n);
	health_free(r->health, r->health_n);
	*r = (struct report){0};
}
