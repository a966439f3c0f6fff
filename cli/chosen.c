#include "cli/chosen.h"

#include "archive/escape.h"
#include "archive/limits.h"

#include <ctype.h>
#include <stdio.h>

/* ---- One account from the command line ----------------------------------------------------- */

static int set_text(char **to, const char *text, struct fault *f)
{
	char *copy = strdup(text);

	if (!copy)
		return fault_memory(f);
	free(*to);
	*to = copy;
	return 0;
}

static int set_tls(struct account *a, const char *mode, struct fault *f)
{
	const char *scheme = a->protocol == PROTOCOL_IMAP ? "imap" : "pop3";
	char text[32];

	if (!mode)
		return 0;
	if (strcmp(mode, "implicit") == 0 && a->tls == TLS_IMPLICIT)
		return 0;
	if (strcmp(mode, "implicit") == 0)
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"--tls implicit goes with a URL that begins with %ss://", scheme);
	if (strcmp(mode, "starttls") != 0 && strcmp(mode, "none") != 0)
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"--tls %s: known are none, starttls and implicit",
			escape_text(slice_text(mode), text, sizeof text));
	if (a->tls == TLS_IMPLICIT)
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"--tls %s goes with a URL that begins with %s://", mode, scheme);
	a->tls = strcmp(mode, "none") == 0 ? TLS_NONE : TLS_STARTTLS;
	return 0;
}

static int set_secret_source(struct account *a, const struct arguments *args, struct fault *f)
{
	const char *command = option_value(args, "password-command");
	const char *file = option_value(args, "password-file");

	if (command && file)
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"--password-command and --password-file exclude each other");
	a->secret_source = command ? SECRET_COMMAND : file ? SECRET_FILE : SECRET_ASK;
	if (command || file)
		return set_text(&a->secret_value, command ? command : file, f);
	return 0;
}

static int set_auth(struct account *a, const char *auth, struct fault *f)
{
	if (!auth)
		return 0;
	if (set_text(&a->auth, auth, f) < 0)
		return -1;
	for (char *p = a->auth; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return 0;
}

/* "anna@example.com", or "anna@pop.example.com" for the user "anna": what may not stand in a name
 * becomes an underscore. */
static int set_default_name(struct account *a, struct fault *f)
{
	char *name CLEANUP(freep) = NULL;
	bool has_domain = strchr(a->user, '@') != NULL;

	if (asprintf(&name, "%s%s%s", a->user, has_domain ? "" : "@", has_domain ? "" : a->host) <
		0) {
		name = NULL;
		return fault_memory(f);
	}
	for (size_t i = 0; name[i]; i++) {
		if (i == LIMIT_ACCOUNT_NAME)
			name[i--] = '\0';
		else if (!isalnum((unsigned char)name[i]) && !strchr("._-@+", name[i]))
			name[i] = '_';
	}
	if (name[0] == '.' || name[0] == '-')
		name[0] = '_';
	return set_text(&a->name, name, f);
}

static int set_user(struct account *a, const char *user, const char *option, struct fault *f)
{
	const char *scheme = a->protocol == PROTOCOL_IMAP ? "imaps" : "pop3s";

	if (user && account_check_user(slice_text(user), f) < 0)
		return -1;
	if (user)
		return set_text(&a->user, user, f);
	if (!a->user)
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"no user: write %s %s://user@host, or --user", option, scheme);
	return 0;
}

int login_options_read_for(struct account *a, const struct arguments *args, const char *user,
	const char *option, struct fault *f)
{
	const char *ca = option_value(args, "tls-ca-file"), *pin = option_value(args, "tls-pin");

	if (set_user(a, user ? user : option_value(args, "user"), option, f) < 0 ||
		set_tls(a, option_value(args, "tls"), f) < 0 || set_secret_source(a, args, f) < 0 ||
		set_auth(a, option_value(args, "auth"), f) < 0)
		return -1;
	if ((ca && set_text(&a->tls_ca_file, ca, f) < 0) ||
		(pin && set_text(&a->tls_pin, pin, f) < 0))
		return -1;
	return set_default_name(a, f);
}

int login_options_read(
	struct account *a, const struct arguments *args, const char *option, struct fault *f)
{
	return login_options_read_for(a, args, NULL, option, f);
}

static int read_url_account(
	struct account *a, const struct arguments *args, const char *url, struct fault *f)
{
	const char *name = option_value(args, "name");

	if (account_set_url(a, url, f) < 0)
		return fault_prefix(f, "--url");
	if (login_options_read(a, args, "--url", f) < 0)
		return -1;
	if (name && !account_name_is_valid(name))
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"--name: 1 to %d of A-Z a-z 0-9 . _ - @ +, not beginning with . or -",
			LIMIT_ACCOUNT_NAME);
	return name ? set_text(&a->name, name, f) : 0;
}

/* ---- Which --------------------------------------------------------------------------------- */

static int add(struct chosen *c, const struct account *a, struct fault *f)
{
	struct chosen_account *more;

	for (size_t i = 0; i < c->n; i++) {
		if (c->all[i].account == a)
			return 0;
	}
	more = reallocarray(c->all, c->n + 1, sizeof *more);
	if (!more)
		return fault_memory(f);
	c->all = more;
	c->all[c->n] = (struct chosen_account){.account = a};
	c->n++;
	return 0;
}

static int unknown_account(const struct run *run, const char *name, struct fault *f)
{
	const char *near = config_nearest_account(run->config, name);
	char text[128];

	(void)escape_text(slice_text(name), text, sizeof text);
	if (near)
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"no account \"%s\" is configured; did you mean \"%s\"?", text, near);
	return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
		"no account \"%s\" is configured; popkeep account list shows them", text);
}

static int add_configured(struct chosen *c, const struct run *run, struct fault *f)
{
	const struct arguments *a = &run->arguments;

	if (!run->config || run->config->accounts_n == 0)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"no account is configured%s; write one into the configuration, or give "
			"--url pop3s://user@host",
			run->config ? "" : " (no configuration was found)");
	for (size_t i = 0; i < operands_n(a); i++) {
		const struct account *named = config_account(run->config, operands(a)[i]);

		if (!named)
			return unknown_account(run, operands(a)[i], f);
		if (add(c, named, f) < 0)
			return -1;
	}
	for (size_t i = 0; operands_n(a) == 0 && i < run->config->accounts_n; i++) {
		if (add(c, &run->config->accounts[i], f) < 0)
			return -1;
	}
	return 0;
}

static int no_url_option(const struct arguments *a, struct fault *f)
{
	static const struct option_spec with_url[] = {URL_OPTIONS, {NULL, 0, NULL, NULL}};

	for (const struct option_spec *o = with_url; o->name; o++) {
		if (option_given(a, o->name))
			return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
				"--%s goes with --url; configured accounts have it in the "
				"configuration",
				o->name);
	}
	return 0;
}

int chosen_read(struct chosen *ret, const struct run *run, struct fault *f)
{
	const char *url = option_value(&run->arguments, "url");

	account_init(&ret->from_url);
	if (!url)
		return no_url_option(&run->arguments, f) < 0 ? -1 : add_configured(ret, run, f);
	if (operands_n(&run->arguments) != 0)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"--url and account names exclude each other");
	if (read_url_account(&ret->from_url, &run->arguments, url, f) < 0)
		return -1;
	return add(ret, &ret->from_url, f);
}

void chosen_read_secrets(struct chosen *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct chosen_account *one = &c->all[i];

		if (secret_read(one->account, &one->secret, &one->fault) == 0)
			one->fault.code = FAULT_NONE;
	}
}

void chosen_deinit(struct chosen *c)
{
	for (size_t i = 0; i < c->n; i++)
		secret_deinit(&c->all[i].secret);
	free(c->all);
	c->all = NULL;
	account_deinit(&c->from_url);
}

/* ---- What came of it ----------------------------------------------------------------------- */

static const char *advice_of(enum fault_code code)
{
	switch (code) {
	case FAULT_LOGIN:
		return "; check its user and password";
	case FAULT_REACH:
		return "; check the server's name and port, its certificate and the network";
	case FAULT_BUSY:
		return "; try again in some minutes";
	case FAULT_PROTOCOL:
		return "; what came whole is kept, fetch again for the rest";
	case FAULT_WRITE:
		return "; make room or mend the disk, then fetch again: nothing acknowledged is "
		       "lost";
	case FAULT_DAMAGE:
		return "; popkeep verify tells what is hit, popkeep rebuild mends databases";
	case FAULT_INTERRUPT:
		return "; what came whole is kept";
	case FAULT_NONE:
	case FAULT_USAGE:
	case FAULT_SYSTEM:
	case FAULT_MEMORY:
	case FAULT_LIMIT:
	case FAULT_MISSING:
	case FAULT_ACCESS:
	case FAULT_FORMAT:
		break;
	}
	return "";
}

const char *fault_advice(const struct fault *f)
{
	return strstr(f->text, "; ") ? "" : advice_of(f->code);
}

void account_complain(struct run *run, const struct account *a, const struct fault *f)
{
	char prefix[LIMIT_ACCOUNT_NAME + 16];
	int len = snprintf(prefix, sizeof prefix, "account %s: ", a->name);
	bool named = len > 0 && strncmp(f->text, prefix, (size_t)len) == 0;

	run_complain(run, "%s%s%s", named ? "" : prefix, f->text, fault_advice(f));
}

void verdict_add(struct verdict *v, const struct fault *f)
{
	int status = f->code == FAULT_NONE ? 0 : fault_exit_status(f);

	v->write_failed |= f->code == FAULT_WRITE;
	if (f->code == FAULT_NONE)
		v->well++;
	else if (v->status == 0)
		v->status = status;
	else if (v->status != status)
		v->status = -1;
}

int verdict_status(const struct verdict *v)
{
	if (v->write_failed)
		return STATUS_WRITE;
	if (v->status == 0)
		return STATUS_DONE;
	return v->well > 0 || v->status < 0 ? STATUS_PARTLY : v->status;
}
