#include "daemon/config_keys.h"

#include "archive/limits.h"
#include "daemon/mechanism.h"
#include "daemon/nearest.h"
#include "daemon/quantity.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { SECOND_MS = 1000, HOUR_MS = 3600000 };
#define DAY_MS	    (24 * UINT64_C(3600000))
#define MESSAGE_MIN KIB

static int wrong(struct fault *f, const char *what)
{
	return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0, "%s", what);
}

static int put_text(char **to, const char *value, struct fault *f)
{
	char *copy = strdup(value);

	if (!copy)
		return fault_memory(f);
	free(*to);
	*to = copy;
	return 0;
}

static bool is_blank(const char *text)
{
	return text[strspn(text, " \t\r\n")] == '\0';
}

static bool has_control(const char *text)
{
	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return true;
	}
	return false;
}

char *config_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup("");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

int config_path(const char *folder, const char *value, char **ret, struct fault *f)
{
	const char *home = getenv("HOME"), *base = folder, *rest = value;
	char *path = NULL;

	if (!*value)
		return wrong(f, "the path is empty");
	if (has_control(value))
		return wrong(f, "the path holds a control character");
	if (value[0] == '~' && (value[1] == '/' || !value[1])) {
		if (!home || home[0] != '/')
			return wrong(f, "~ stands for $HOME, which is not set");
		base = home;
		rest = value[1] ? value + 2 : "";
	} else if (value[0] == '/') {
		base = "";
	}
	bool needs_slash = *base && *rest && base[strlen(base) - 1] != '/';
	if (asprintf(&path, "%s%s%s", base, needs_slash ? "/" : "", rest) < 0)
		return fault_memory(f);
	*ret = path;
	return 0;
}

static int put_path(
	char **to, const struct config_target *target, const char *value, struct fault *f)
{
	char *path = NULL;

	if (config_path(target->folder, value, &path, f) < 0)
		return -1;
	free(*to);
	*to = path;
	return 0;
}

static int set_archive(const struct config_target *to, const char *value, struct fault *f)
{
	return put_path(&to->config->archive, to, value, f);
}

static int set_cache_dir(const struct config_target *to, const char *value, struct fault *f)
{
	return put_path(&to->config->cache_dir, to, value, f);
}

static int set_runtime_dir(const struct config_target *to, const char *value, struct fault *f)
{
	return put_path(&to->config->runtime_dir, to, value, f);
}

static int set_metrics_file(const struct config_target *to, const char *value, struct fault *f)
{
	return put_path(&to->config->metrics_file, to, value, f);
}

static int set_alert_command(const struct config_target *to, const char *value, struct fault *f)
{
	if (is_blank(value))
		return wrong(f, "the value is empty");
	return put_text(&to->config->alert_command, value, f);
}

static int set_min_free(const struct config_target *to, const char *value, struct fault *f)
{
	(void)f;
	return quantity_size(value, &to->config->min_free);
}

static int put_count(uint32_t *to, const char *value, uint32_t most)
{
	uint64_t count;

	if (quantity_count(value, &count) != 0 || count < 1 || count > most)
		return 1;
	*to = (uint32_t)count;
	return 0;
}

static int set_max_sessions(const struct config_target *to, const char *value, struct fault *f)
{
	(void)f;
	return put_count(&to->config->max_sessions, value, LIMIT_CONNECTIONS);
}

static int set_max_sessions_per_server(
	const struct config_target *to, const char *value, struct fault *f)
{
	(void)f;
	return put_count(&to->config->max_sessions_per_server, value, LIMIT_SESSIONS_SERVER_MOST);
}

static int set_sandbox(const struct config_target *to, const char *value, struct fault *f)
{
	(void)f;
	if (strcmp(value, "best") == 0)
		to->config->sandbox = SANDBOX_BEST;
	else if (strcmp(value, "required") == 0)
		to->config->sandbox = SANDBOX_REQUIRED;
	else
		return 1;
	return 0;
}

static int set_seal(const struct config_target *to, const char *value, struct fault *f)
{
	(void)f;
	if (strcmp(value, "auto") == 0)
		to->config->seal = SEAL_AUTO;
	else if (strcmp(value, "never") == 0)
		to->config->seal = SEAL_NEVER;
	else
		return 1;
	return 0;
}

static int put_size(uint64_t *to, const char *value, uint64_t least, uint64_t most)
{
	uint64_t size;

	if (quantity_size(value, &size) != 0 || size < least || size > most)
		return 1;
	*to = size;
	return 0;
}

static int set_seal_size(const struct config_target *to, const char *value, struct fault *f)
{
	(void)f;
	return put_size(&to->config->seal_due.bytes, value, MIB, LIMIT_SEGMENT_BYTES);
}

static int set_seal_age(const struct config_target *to, const char *value, struct fault *f)
{
	uint64_t ms;

	(void)f;
	if (quantity_duration(value, &ms) != 0 || ms < HOUR_MS || ms > 3650 * DAY_MS)
		return 1;
	to->config->seal_due.age_ms = (int64_t)ms;
	return 0;
}

static int set_seal_level(const struct config_target *to, const char *value, struct fault *f)
{
	uint32_t level = 0;

	(void)f;
	if (put_count(&level, value, LIMIT_SEAL_LEVEL) != 0)
		return 1;
	to->config->seal_options.level = (int)level;
	return 0;
}

static int set_seal_frame(const struct config_target *to, const char *value, struct fault *f)
{
	(void)f;
	return put_size(&to->config->seal_options.frame_bytes, value, LIMIT_SEALED_FRAME_LEAST,
		LIMIT_SEALED_FRAME);
}

static int set_seal_command(const struct config_target *to, const char *value, struct fault *f)
{
	if (is_blank(value))
		return wrong(f, "the value is empty");
	return put_text(&to->config->seal_command, value, f);
}

static int put_duration(uint32_t *to, const char *value, uint64_t least, uint64_t most)
{
	uint64_t ms;

	if (quantity_duration(value, &ms) != 0 || ms < least || ms > most)
		return 1;
	*to = (uint32_t)ms;
	return 0;
}

static int set_interval(const struct config_target *to, const char *value, struct fault *f)
{
	(void)f;
	return put_duration(&to->account->interval_ms, value, 10 * SECOND_MS, 30 * DAY_MS);
}

static int set_timeout(const struct config_target *to, const char *value, struct fault *f)
{
	(void)f;
	return put_duration(&to->account->timeout_ms, value, SECOND_MS, HOUR_MS);
}

static int set_tls(const struct config_target *to, const char *value, struct fault *f)
{
	(void)f;
	if (strcmp(value, "none") == 0)
		*to->tls = TLS_NONE;
	else if (strcmp(value, "starttls") == 0)
		*to->tls = TLS_STARTTLS;
	else if (strcmp(value, "implicit") == 0)
		*to->tls = TLS_IMPLICIT;
	else
		return 1;
	return 0;
}

static int set_tls_ca_file(const struct config_target *to, const char *value, struct fault *f)
{
	return put_path(&to->account->tls_ca_file, to, value, f);
}

/* One or more "sha256//" and the 44 characters of base64 that 32 bytes make, joined by ";". */
static int set_tls_pin(const struct config_target *to, const char *value, struct fault *f)
{
	static const char PREFIX[] = "sha256//";
	static const char BASE64[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = value;

	for (;;) {
		if (strncmp(p, PREFIX, strlen(PREFIX)) != 0)
			return 1;
		p += strlen(PREFIX);
		if (strspn(p, BASE64) != 43 || p[43] != '=')
			return 1;
		p += 44;
		if (!*p)
			return put_text(&to->account->tls_pin, value, f);
		if (*p++ != ';')
			return 1;
	}
}

static int set_auth(const struct config_target *to, const char *value, struct fault *f)
{
	char upper[sizeof "SCRAM-SHA-256-PLUS"];
	size_t len = strlen(value);

	if (len >= sizeof upper)
		return 1;
	for (size_t i = 0; i <= len; i++)
		upper[i] = value[i] >= 'a' && value[i] <= 'z' ? (char)(value[i] - 'a' + 'A')
							      : value[i];
	return mechanism_named(upper) ? put_text(&to->account->auth, upper, f) : 1;
}

static bool proxy_scheme_is_known(const char *scheme)
{
	static const char *const known[] = {
		"http", "https", "socks4", "socks4a", "socks5", "socks5h"};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (strcasecmp(scheme, known[i]) == 0)
			return true;
	}
	return false;
}

static void url_cleanup(CURLU **url)
{
	curl_url_cleanup(*url);
}

static void curl_freep(char **text)
{
	curl_free(*text);
}

static int set_proxy(const struct config_target *to, const char *value, struct fault *f)
{
	CURLU *url CLEANUP(url_cleanup) = curl_url();
	char *scheme CLEANUP(curl_freep) = NULL;

	if (!url)
		return fault_memory(f);
	if (strchr(value, '@'))
		return wrong(f, "a user or password in the proxy's URL cannot stand here");
	if (curl_url_set(url, CURLUPART_URL, value, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		!proxy_scheme_is_known(scheme))
		return 1;
	return put_text(&to->account->proxy, value, f);
}

/* Yes or no. */
static int put_flag(bool *to, const char *value)
{
	static const struct {
		const char *word;
		bool means;
	} words[] = {{"yes", true}, {"on", true}, {"true", true}, {"no", false}, {"off", false},
		{"false", false}};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcmp(value, words[i].word) == 0) {
			*to = words[i].means;
			return 0;
		}
	}
	return 1;
}

static int set_pipelining(const struct config_target *to, const char *value, struct fault *f)
{
	(void)f;
	return put_flag(&to->account->pipelining, value);
}

static int set_part_sharing(const struct config_target *to, const char *value, struct fault *f)
{
	bool shares = false;

	(void)f;
	if (put_flag(&shares, value) != 0)
		return 1;
	to->config->seal_options.sharing = shares ? SEAL_SHARING_ON : SEAL_SHARING_OFF;
	return 0;
}

static int set_class(const struct config_target *to, const char *value, struct fault *f)
{
	size_t len = strlen(value);

	if (len < 1 || len > LIMIT_CLASS || value[0] == '.' || value[0] == '-' ||
		strspn(value,
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != len)
		return 1;
	return put_text(&to->account->class_, value, f);
}

static int set_max_message_size(const struct config_target *to, const char *value, struct fault *f)
{
	(void)f;
	return put_size(&to->account->max_message_size, value, MESSAGE_MIN, LIMIT_MESSAGE);
}

static int set_delete_after(const struct config_target *to, const char *value, struct fault *f)
{
	(void)to;
	if (strcmp(value, "never") != 0)
		return wrong(f, "this version never deletes: only \"never\" is possible");
	return 0;
}

static int set_server(const struct config_target *to, const char *value, struct fault *f)
{
	struct account said CLEANUP(account_deinit) = {0};
	struct account *a = to->account;

	account_init(&said);
	if (account_set_url(&said, value, f) < 0)
		return -1;
	free(a->host);
	a->host = TAKE(said.host);
	a->port = said.port;
	a->tls = said.tls;
	free(*to->url_user);
	*to->url_user = TAKE(said.user);
	return 0;
}

static int set_user(const struct config_target *to, const char *value, struct fault *f)
{
	if (account_check_user(slice_text(value), f) < 0)
		return -1;
	return put_text(&to->account->user, value, f);
}

static int put_secret(const struct config_target *to, enum secret_source source, const char *value,
	struct fault *f)
{
	if (is_blank(value))
		return wrong(f, "the value is empty");
	to->account->secret_source = source;
	return put_text(&to->account->secret_value, value, f);
}

static int set_password_command(const struct config_target *to, const char *value, struct fault *f)
{
	return put_secret(to, SECRET_COMMAND, value, f);
}

static int set_password_file(const struct config_target *to, const char *value, struct fault *f)
{
	if (put_path(&to->account->secret_value, to, value, f) < 0)
		return -1;
	to->account->secret_source = SECRET_FILE;
	return 0;
}

static int set_credential(const struct config_target *to, const char *value, struct fault *f)
{
	if (value[0] == '.' || strchr(value, '/') || has_control(value))
		return 1;
	return put_secret(to, SECRET_CREDENTIAL, value, f);
}

static int set_token_command(const struct config_target *to, const char *value, struct fault *f)
{
	return put_secret(to, SECRET_TOKEN_COMMAND, value, f);
}

#define GLOBAL	CONFIG_GLOBAL
#define ACCOUNT CONFIG_ACCOUNT
#define BOTH	(CONFIG_GLOBAL | CONFIG_ACCOUNT)

static const struct config_key_def KEYS[CONFIG_KEYS] = {
	[KEY_ARCHIVE] = {"archive", GLOBAL, "a folder", set_archive},
	[KEY_CACHE_DIR] = {"cache-dir", GLOBAL, "a folder", set_cache_dir},
	[KEY_RUNTIME_DIR] = {"runtime-dir", GLOBAL, "a folder", set_runtime_dir},
	[KEY_METRICS_FILE] = {"metrics-file", GLOBAL, "a file", set_metrics_file},
	[KEY_ALERT_COMMAND] = {"alert-command", GLOBAL, "a command", set_alert_command},
	[KEY_MIN_FREE] = {"min-free", GLOBAL, "a size, like \"1 GiB\"", set_min_free},
	[KEY_MAX_SESSIONS] = {"max-sessions", GLOBAL, "a number from 1 to 256", set_max_sessions},
	[KEY_MAX_SESSIONS_PER_SERVER] = {"max-sessions-per-server", GLOBAL, "a number from 1 to 64",
		set_max_sessions_per_server},
	[KEY_SANDBOX] = {"sandbox", GLOBAL, "\"best\" or \"required\"", set_sandbox},
	[KEY_SEAL] = {"seal", GLOBAL, "\"auto\" or \"never\"", set_seal},
	[KEY_SEAL_SIZE] = {"seal-size", GLOBAL, "a size from 1 MiB to 4 GiB, like \"1 GiB\"",
		set_seal_size},
	[KEY_SEAL_AGE] = {"seal-age", GLOBAL, "a duration from 1h to 3650d, like \"30d\"",
		set_seal_age},
	[KEY_SEAL_LEVEL] = {"seal-level", GLOBAL, "a number from 1 to 19", set_seal_level},
	[KEY_SEAL_FRAME] = {"seal-frame", GLOBAL, "a size from 64 KiB to 16 MiB, like \"4 MiB\"",
		set_seal_frame},
	[KEY_SEAL_COMMAND] = {"seal-command", GLOBAL, "a command", set_seal_command},
	[KEY_PART_SHARING] = {"part-sharing", GLOBAL, "\"on\" or \"off\"", set_part_sharing},
	[KEY_INTERVAL] = {"interval", BOTH, "a duration from 10s to 30d, like \"15m\"",
		set_interval},
	[KEY_TLS] = {"tls", BOTH, "\"implicit\", \"starttls\" or \"none\"", set_tls},
	[KEY_TLS_CA_FILE] = {"tls-ca-file", BOTH, "a file", set_tls_ca_file},
	[KEY_TLS_PIN] = {"tls-pin", BOTH,
		"\"sha256//\" and 44 characters of base64, several joined by \";\"", set_tls_pin},
	[KEY_AUTH] = {"auth", BOTH,
		"SCRAM-SHA-256, SCRAM-SHA-1, CRAM-MD5, APOP, PLAIN, LOGIN, USER, XOAUTH2, "
		"OAUTHBEARER, EXTERNAL or GSSAPI",
		set_auth},
	[KEY_PROXY] = {"proxy", BOTH, "a URL of http, https, socks4, socks4a, socks5 or socks5h",
		set_proxy},
	[KEY_PIPELINING] = {"pipelining", BOTH, "\"yes\" or \"no\"", set_pipelining},
	[KEY_TIMEOUT] = {"timeout", BOTH, "a duration from 1s to 1h, like \"60s\"", set_timeout},
	[KEY_CLASS] = {"class", BOTH, "1 to 64 letters, digits, dots, hyphens or underscores",
		set_class},
	[KEY_MAX_MESSAGE_SIZE] = {"max-message-size", BOTH,
		"a size from 1 KiB to just under 8 GiB, like \"500 MiB\"", set_max_message_size},
	[KEY_DELETE_AFTER] = {"delete-after", BOTH, "\"never\"", set_delete_after},
	[KEY_SERVER] = {"server", ACCOUNT, "a URL", set_server},
	[KEY_USER] = {"user", ACCOUNT, "a user", set_user},
	[KEY_PASSWORD_COMMAND] = {"password-command", ACCOUNT, "a command", set_password_command},
	[KEY_PASSWORD_FILE] = {"password-file", ACCOUNT, "a file", set_password_file},
	[KEY_CREDENTIAL] = {"credential", ACCOUNT, "the name of a credential, no path",
		set_credential},
	[KEY_TOKEN_COMMAND] = {"token-command", ACCOUNT, "a command", set_token_command},
};

const struct config_key_def *config_key_def(enum config_key key)
{
	return &KEYS[key];
}

enum config_key config_key_find(const char *name)
{
	enum config_key key = 0;

	while (key < CONFIG_KEYS && strcmp(KEYS[key].name, name) != 0)
		key++;
	return key;
}

const char *config_key_nearest(const char *name, enum config_place place)
{
	struct nearest n = {.word = name};

	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		if (KEYS[i].places & place)
			nearest_offer(&n, KEYS[i].name);
	}
	if (place == CONFIG_GLOBAL) {
		nearest_offer(&n, "account");
		nearest_offer(&n, "include");
	}
	return n.best;
}

bool config_key_is_secret(const char *name)
{
	static const char *const words[] = {"password", "passwd", "passphrase", "pass", "pw", "pwd",
		"secret", "token", "oauth-token", "access-token"};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcasecmp(name, words[i]) == 0)
			return true;
	}
	return false;
}
