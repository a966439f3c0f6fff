#include "daemon/mechanism.h"

#include <stdio.h>

enum {
	CLEAR = MECHANISM_CLEAR,
	TOKEN = MECHANISM_TOKEN,
	FORCED = MECHANISM_FORCED,
	NO_SECRET = MECHANISM_NO_SECRET,
	FIRST = MECHANISM_CLIENT_FIRST,
	AUTHZID = MECHANISM_AUTHZID
};

/* Strongest first. APOP stands before those that show the password, because it is only looked at
 * where there is no TLS to hide it. */
static const struct mechanism mechanisms[] = {
	{"OAUTHBEARER", MECHANISM_SASL, TOKEN | CLEAR | FIRST | AUTHZID},
	{"XOAUTH2", MECHANISM_SASL, TOKEN | CLEAR | FIRST | AUTHZID},
	{"SCRAM-SHA-256", MECHANISM_SASL, FIRST | AUTHZID},
	{"SCRAM-SHA-1", MECHANISM_SASL, FIRST | AUTHZID},
	{"CRAM-MD5", MECHANISM_SASL, 0},
	{"APOP", MECHANISM_APOP, 0},
	{"PLAIN", MECHANISM_SASL, CLEAR | FIRST | AUTHZID},
	{"LOGIN", MECHANISM_SASL, CLEAR},
	{"USER", MECHANISM_USER, CLEAR},
	{"EXTERNAL", MECHANISM_SASL, FORCED | NO_SECRET | FIRST | AUTHZID},
	{"GSSAPI", MECHANISM_SASL, FORCED | NO_SECRET | AUTHZID},
};
static const struct mechanism *const END = mechanisms + sizeof mechanisms / sizeof *mechanisms;

const struct mechanism *mechanism_named(const char *name)
{
	for (const struct mechanism *m = mechanisms; m < END; m++) {
		if (strcmp(m->name, name) == 0)
			return m;
	}
	return NULL;
}

static bool is_offered(const struct mechanism *m, const struct mechanism_terms *t)
{
	switch (m->kind) {
	case MECHANISM_SASL:
		return capabilities_have_sasl(t->capabilities, m->name);
	case MECHANISM_APOP:
		return t->apop_banner.len > 0;
	case MECHANISM_USER:
		return t->capabilities->user || !t->capabilities->known;
	}
	return false;
}

static bool is_chosen(const struct mechanism *m, const struct mechanism_terms *t)
{
	bool token = t->account->secret_source == SECRET_TOKEN_COMMAND;

	if (m->flags & FORCED || token != !!(m->flags & TOKEN))
		return false;
	if (m->kind == MECHANISM_APOP && t->channel == CHANNEL_TLS)
		return false;
	return is_offered(m, t);
}

/* A server without CAPA offers nothing by name: what is forced is tried. */
static bool is_forced(const struct mechanism *m, const struct mechanism_terms *t)
{
	return strcmp(m->name, t->account->auth) == 0 &&
	       (is_offered(m, t) || (m->kind == MECHANISM_SASL && !t->capabilities->known));
}

const struct mechanism *mechanism_next(
	const struct mechanism *after, const struct mechanism_terms *t)
{
	bool may_show = t->channel == CHANNEL_TLS || t->account->tls == TLS_NONE;

	for (const struct mechanism *m = after ? after + 1 : mechanisms; m < END; m++) {
		if ((m->flags & CLEAR && !may_show) ||
			(t->account->authzid && !(m->flags & AUTHZID)))
			continue;
		if (t->account->auth ? is_forced(m, t) : is_chosen(m, t))
			return m;
	}
	return NULL;
}

static void add_name(char *ret, size_t size, const char *name)
{
	size_t used = strlen(ret);

	(void)snprintf(ret + used, size - used, "%s%s", used ? ", " : "", name);
}

const char *mechanism_offers(const struct mechanism_terms *t, char *ret, size_t size)
{
	ret[0] = '\0';
	for (unsigned i = 0; i < t->capabilities->n_sasl; i++)
		add_name(ret, size, t->capabilities->sasl[i]);
	if (t->apop_banner.len > 0)
		add_name(ret, size, "APOP");
	if (t->capabilities->user)
		add_name(ret, size,
			t->account->protocol == PROTOCOL_IMAP ? "the LOGIN command" : "USER");
	if (!ret[0])
		add_name(ret, size, "nothing");
	return ret;
}
