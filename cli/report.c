#include "cli/report.h"

#include "archive/known.h"

/* A refusal that somebody accepted needs nothing any more. */
static int has_open_refusals(struct store *s, const struct maildrop *m, bool *ret, struct fault *f)
{
	struct known_cursor *c CLEANUP(known_closep) = NULL;
	struct known k;
	int r;

	*ret = false;
	if (m->sums.refused == 0)
		return 0;
	if (known_open(s, m->number, &c, f) < 0)
		return -1;
	while ((r = known_next(c, &k, f)) == KNOWN_ROW) {
		if (k.state == KNOWN_REFUSED && !k.accepted) {
			*ret = true;
			return 0;
		}
	}
	return r;
}

static int find_needs(struct account_report *a, struct store *s, struct fault *f)
{
	const struct maildrop *m = a->maildrop;
	bool open = false;

	/* The time of a poll is not in the ledger, its sums are: a rebuilt catalog knows them. A
	 * maildrop that is not configured may come from a mistyped --url, and nothing polls it. */
	if (a->configured &&
		(!m || (m->polled == 0 && m->sums.listed == 0 && m->sums.vanished == 0)))
		a->needs |= NEEDS_FIRST_POLL;
	if (!m)
		return 0;
	a->sums = m->sums;
	if (a->replaced)
		return 0;
	if (m->sums.pending)
		a->needs |= NEEDS_PENDING;
	if (m->sums.vanished)
		a->needs |= NEEDS_VANISHED;
	if (has_open_refusals(s, m, &open, f) < 0)
		return -1;
	if (open)
		a->needs |= NEEDS_REFUSED;
	return 0;
}

/* Takes a->server over. */
static int add(struct report *r, struct account_report a, struct store *s, struct fault *f)
{
	r->accounts[r->n++] = a;
	if (find_needs(&r->accounts[r->n - 1], s, f) < 0)
		return -1;
	r->attention += r->accounts[r->n - 1].needs != 0;
	return 0;
}

static const struct maildrop *maildrop_of(
	const struct report *r, const char *server, const char *user)
{
	for (size_t i = 0; i < r->maildrops_n; i++) {
		const struct maildrop *m = &r->maildrops[i];

		if (strcmp(m->server, server) == 0 && strcmp(m->user, user) == 0)
			return m;
	}
	return NULL;
}

static int add_configured(
	struct report *r, const struct account *account, struct store *s, struct fault *f)
{
	struct account_report a = {
		.name = account->name, .user = account->user, .configured = true};

	a.server = account_server(account);
	if (!a.server)
		return fault_memory(f);
	a.maildrop = maildrop_of(r, a.server, a.user);
	return add(r, a, s, f);
}

/* Its account went on to another server or user: what it had pending cannot come any more, and what
 * of it is still there is listed by the new one. */
static bool is_replaced(const struct report *r, const struct maildrop *m)
{
	for (size_t i = 0; i < r->maildrops_n; i++) {
		const struct maildrop *other = &r->maildrops[i];

		if (other->number > m->number && strcmp(other->name, m->name) == 0)
			return true;
	}
	return false;
}

static int add_other(struct report *r, const struct maildrop *m, struct store *s, struct fault *f)
{
	struct account_report a = {
		.name = m->name, .user = m->user, .maildrop = m, .replaced = is_replaced(r, m)};

	for (size_t i = 0; i < r->n; i++) {
		if (r->accounts[i].maildrop == m)
			return 0;
	}
	a.server = strdup(m->server);
	return a.server ? add(r, a, s, f) : fault_memory(f);
}

int report_read(struct report *ret, struct store *s, const struct config *config, struct fault *f)
{
	size_t configured = config ? config->accounts_n : 0;

	if (store_maildrops(s, &ret->maildrops, &ret->maildrops_n, f) < 0)
		return -1;
	ret->accounts = calloc(configured + ret->maildrops_n + 1, sizeof *ret->accounts);
	if (!ret->accounts)
		return fault_memory(f);
	for (size_t i = 0; i < configured; i++) {
		if (add_configured(ret, &config->accounts[i], s, f) < 0)
			return -1;
	}
	for (size_t i = 0; i < ret->maildrops_n; i++) {
		if (add_other(ret, &ret->maildrops[i], s, f) < 0)
			return -1;
	}
	return 0;
}

void report_deinit(struct report *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->accounts[i].server);
	free(r->accounts);
	maildrops_free(r->maildrops, r->maildrops_n);
	*r = (struct report){0};
}
