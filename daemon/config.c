#include "daemon/config.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/config_parse.h"
#include "daemon/nearest.h"

#include <stdio.h>
#include <string.h>

static const char SYSTEM_PATH[] = "/etc/popkeep/popkeep.conf";

static void free_texts(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

struct config *config_free(struct config *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->accounts_n; i++)
		account_deinit(&c->accounts[i]);
	free(c->accounts);
	free(c->by_name);
	free(c->path);
	free(c->archive);
	free(c->cache_dir);
	free(c->alert_command);
	free(c->metrics_file);
	free(c->runtime_dir);
	free(c->seal_command);
	free_texts(c->files, c->files_n);
	free_texts(c->folders, c->folders_n);
	free(c);
	return NULL;
}

void config_freep(struct config **c)
{
	*c = config_free(*c);
}

static bool has(const struct config_origin *o, enum config_key key)
{
	return o->keys >> key & 1;
}

static int inherit_text(char **to, bool own, const char *from, struct complaints *c)
{
	if (own || !from)
		return 0;
	char *copy = strdup(from);
	if (!copy)
		return complain_memory(c);
	free(*to);
	*to = copy;
	return 0;
}

/* A global tls is about pop3:// only: pop3s:// says already what no key may weaken. */
static void inherit_tls(struct config_parse *p, struct account *a, const struct config_origin *o)
{
	if (has(o, KEY_TLS) || !has(&p->global, KEY_TLS) || a->tls != TLS_STARTTLS || !a->host)
		return;
	if (p->global.tls == TLS_IMPLICIT)
		(void)complain(&p->complaints, o->file, o->line,
			"account \"%s\": the pop3:// of server contradicts the global tls",
			a->name);
	else
		a->tls = p->global.tls;
}

static int inherit(struct config_parse *p, struct account *a, const struct config_origin *o)
{
	const struct account *from = &p->defaults;
	struct complaints *c = &p->complaints;

	if (inherit_text(&a->tls_ca_file, has(o, KEY_TLS_CA_FILE), from->tls_ca_file, c) < 0 ||
		inherit_text(&a->tls_pin, has(o, KEY_TLS_PIN), from->tls_pin, c) < 0 ||
		inherit_text(&a->auth, has(o, KEY_AUTH), from->auth, c) < 0 ||
		inherit_text(&a->proxy, has(o, KEY_PROXY), from->proxy, c) < 0 ||
		inherit_text(&a->class_, has(o, KEY_CLASS), from->class_, c) < 0)
		return -1;
	if (!has(o, KEY_INTERVAL))
		a->interval_ms = from->interval_ms;
	if (!has(o, KEY_TIMEOUT))
		a->timeout_ms = from->timeout_ms;
	if (!has(o, KEY_MAX_MESSAGE_SIZE))
		a->max_message_size = from->max_message_size;
	if (!has(o, KEY_PIPELINING))
		a->pipelining = from->pipelining;
	inherit_tls(p, a, o);
	return 0;
}

static void check_auth(
	struct config_parse *p, const struct account *a, const struct config_origin *o)
{
	bool is_bearer =
		a->auth && (strcmp(a->auth, "XOAUTH2") == 0 || strcmp(a->auth, "OAUTHBEARER") == 0);

	if (a->secret_source == SECRET_TOKEN_COMMAND && a->auth && !is_bearer)
		(void)complain(&p->complaints, o->file, o->line,
			"account \"%s\": token-command needs auth = \"XOAUTH2\" or "
			"\"OAUTHBEARER\", or none",
			a->name);
	if (is_bearer && a->secret_source != SECRET_TOKEN_COMMAND)
		(void)complain(&p->complaints, o->file, o->line,
			"account \"%s\": auth = \"%s\" needs token-command", a->name, a->auth);
}

/* Orders of indexes into the accounts; the one that stands first in the file comes first of equals.
 */
static int order_by_name(const void *a, const void *b, void *config)
{
	const struct config *c = config;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	int order = strcmp(c->accounts[x].name, c->accounts[y].name);

	return order ? order : (x > y) - (x < y);
}

/* As account_server(): the two standard ports are one server. */
static uint16_t server_port(const struct account *a)
{
	return a->port == 110 ? 995 : a->port;
}

static int compare_maildrops(const struct account *a, const struct account *b)
{
	int order = strcmp(a->host, b->host);

	if (order == 0)
		order = server_port(a) - server_port(b);
	return order ? order : strcmp(a->user, b->user);
}

static int order_by_maildrop(const void *a, const void *b, void *config)
{
	const struct config *c = config;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	int order = compare_maildrops(&c->accounts[x], &c->accounts[y]);

	return order ? order : (x > y) - (x < y);
}

static void same_name(struct config_parse *p, size_t first, size_t second)
{
	const struct config_origin *o = p->origins;
	char shown[256];

	(void)complain(&p->complaints, o[second].file, o[second].line,
		"account \"%s\" stands already at %s:%u", p->config->accounts[second].name,
		escape_text(slice_text(o[first].file), shown, sizeof shown), o[first].line);
}

static void same_maildrop(struct config_parse *p, size_t first, size_t second)
{
	const struct config_origin *o = p->origins;
	const struct account *a = &p->config->accounts[first], *b = &p->config->accounts[second];
	char shown[256], user[128];

	(void)complain(&p->complaints, o[second].file, o[second].line,
		"account \"%s\" is the maildrop of account \"%s\" at %s:%u again: %s at %s",
		b->name, a->name, escape_text(slice_text(o[first].file), shown, sizeof shown),
		o[first].line, escape_text(slice_text(a->user), user, sizeof user), a->host);
}

/* Every account has name, host and user. by_name becomes the configuration's. */
static int check_twice(struct config_parse *p)
{
	struct config *c = p->config;
	size_t n = c->accounts_n;
	size_t *order CLEANUP(freep) = calloc(n + 1, sizeof *order);

	if (!order)
		return complain_memory(&p->complaints);
	for (size_t i = 0; i < n; i++)
		order[i] = i;
	qsort_r(order, n, sizeof *order, order_by_maildrop, c);
	for (size_t i = 1; i < n; i++) {
		const struct account *a = &c->accounts[order[i - 1]], *b = &c->accounts[order[i]];

		if (compare_maildrops(a, b) == 0 && strcmp(a->name, b->name) != 0)
			same_maildrop(p, order[i - 1], order[i]);
	}
	qsort_r(order, n, sizeof *order, order_by_name, c);
	for (size_t i = 1; i < n; i++) {
		if (strcmp(c->accounts[order[i - 1]].name, c->accounts[order[i]].name) == 0)
			same_name(p, order[i - 1], order[i]);
	}
	c->by_name = TAKE(order);
	return 0;
}

/* What holds between global keys and accounts, and among accounts. */
static int complete(struct config_parse *p)
{
	struct config *c = p->config;

	c->interval_ms = p->defaults.interval_ms;
	for (size_t i = 0; i < c->accounts_n; i++) {
		if (inherit(p, &c->accounts[i], &p->origins[i]) < 0)
			return -1;
		check_auth(p, &c->accounts[i], &p->origins[i]);
	}
	/* A wrong server or user is no reason to call two accounts the same. */
	return p->complaints.n > 0 ? -1 : check_twice(p);
}

int config_load(const char *path, struct config **ret, struct fault *f)
{
	struct config_parse p CLEANUP(config_parse_deinit) = {0};

	if (config_parse(path, &p) == 0)
		(void)complete(&p);
	if (complaints_result(&p.complaints, f) < 0)
		return -1;
	p.config->path = strdup(path);
	if (!p.config->path)
		return fault_memory(f);
	p.config->files = TAKE(p.files);
	p.config->files_n = TAKE(p.files_n);
	*ret = TAKE(p.config);
	return 0;
}

int config_salvage(const char *path, struct config **ret, struct fault *f)
{
	struct config_parse p CLEANUP(config_parse_deinit) = {0};

	if (config_parse(path, &p) < 0 && !p.config)
		return complaints_result(&p.complaints, f) < 0 ? -1 : fault_memory(f);
	for (size_t i = 0; i < p.config->accounts_n; i++)
		account_deinit(&p.config->accounts[i]);
	p.config->accounts_n = 0;
	*ret = TAKE(p.config);
	return 0;
}

/* 0, 1: no such file there, -1: out of memory. Takes over path. */
static int offer_path(char *path, char **ret, struct fault *f)
{
	if (!path)
		return fault_memory(f);
	if (access(path, F_OK) != 0) {
		free(path);
		return CONFIG_NONE;
	}
	*ret = path;
	return 0;
}

static char *join(const char *folder, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

int config_default_path(char **ret, struct fault *f)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int r = offer_path(strdup(SYSTEM_PATH), ret, f);

	if (r != CONFIG_NONE)
		return r;
	/* The XDG specification: what is not absolute is to be ignored. */
	if (xdg && xdg[0] == '/')
		return offer_path(join(xdg, "popkeep/popkeep.conf"), ret, f);
	if (home && home[0] == '/')
		return offer_path(join(home, ".config/popkeep/popkeep.conf"), ret, f);
	return CONFIG_NONE;
}

int config_default_archive(char **ret, struct fault *f)
{
	const char *data = secure_getenv("XDG_DATA_HOME"), *home = secure_getenv("HOME");

	/* As above: a relative value does not count. */
	if (data && data[0] == '/')
		*ret = join(data, "popkeep");
	else if (home && home[0])
		*ret = join(home, ".local/share/popkeep");
	else
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"no archive named and no HOME to find the default one: give -C ARCHIVE, or "
			"archive in the configuration");
	return *ret ? 0 : fault_memory(f);
}

const struct account *config_account(const struct config *c, const char *name)
{
	size_t low = 0, high = c->accounts_n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct account *a = &c->accounts[c->by_name[middle]];
		int order = strcmp(name, a->name);

		if (order == 0)
			return a;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const char *config_nearest_account(const struct config *c, const char *name)
{
	struct nearest n = {.word = name};

	for (size_t i = 0; i < c->accounts_n; i++)
		nearest_offer(&n, c->accounts[i].name);
	return n.best;
}
