/* The accounts that a command works on: those named on the command line, all configured ones, or
 * one that --url describes; with their secrets. */
#pragma once

#include "cli/run.h"
#include "daemon/secret.h"

/* How to log in to what a URL names. */
#define LOGIN_OPTIONS                                                                              \
	{"user", 0, "USER", "its user, where the URL has none"},                                   \
		{"password-command", 0, "COMMAND", "what prints its password"},                    \
		{"password-file", 0, "FILE", "where its password stands"},                         \
		{"tls", 0, "MODE", "none, starttls or implicit"},                                  \
		{"tls-ca-file", 0, "FILE", "the certificates to trust instead of the system's"},   \
		{"tls-pin", 0, "PIN", "the server's public key, sha256//..."},                     \
	{                                                                                          \
		"auth", 0, "MECHANISM", "log in with this and nothing else"                        \
	}

/* The options with --url. */
#define URL_OPTIONS                                                                                \
	{"url", 0, "URL", "an account that is not configured: pop3s://user@host[:port]"},          \
		{"name", 0, "NAME", "its name in the archive (otherwise user@host)"},              \
		LOGIN_OPTIONS

struct chosen_account {
	const struct account *account;
	struct secret secret;
	struct fault fault; /* its secret was not to be had: code is not FAULT_NONE */
};

struct chosen {
	struct account from_url;
	struct chosen_account *all;
	size_t n;
};

/* FAULT_USAGE when one is not known, when there are none, or when the options do not fit together:
 * nothing has begun then. Zero-initialise *ret. */
int chosen_read(struct chosen *ret, const struct run *run, struct fault *f) MUST_CHECK;
/* Gets the secrets; the failure of one is noted with it and stops none of the others. */
void chosen_read_secrets(struct chosen *c);
void chosen_deinit(struct chosen *c);

/* LOGIN_OPTIONS, and a name, into an account whose URL was set; option: what named that ("--url").
 * FAULT_USAGE. */
int login_options_read(struct account *a, const struct arguments *args, const char *option,
	struct fault *f) MUST_CHECK;
/* The same with this user, NULL: that of --user. */
int login_options_read_for(struct account *a, const struct arguments *args, const char *user,
	const char *option, struct fault *f) MUST_CHECK;

/* "account NAME: TEXT; what to do about it" on stderr, each part once. */
void account_complain(struct run *run, const struct account *a, const struct fault *f);
/* What to do about a failure, to be put behind its text; "" when the text says it already, or there
 * is nothing to say. */
const char *fault_advice(const struct fault *f);

/* One status for many failures: that of all when they agree and nothing went well, else 3. */
struct verdict {
	size_t well;
	int status; /* of the failures so far: 0 none, -1 several kinds */
	bool write_failed;
};
void verdict_add(struct verdict *v, const struct fault *f);
int verdict_status(const struct verdict *v);
