/* The keys of popkeep.conf(5): where each may stand, what it expects, and how its value goes into
 * the configuration. */
#pragma once

#include "daemon/config.h"

enum config_place { CONFIG_GLOBAL = 1, CONFIG_ACCOUNT = 2 };

/* In the order of the table in config_keys.c. */
enum config_key {
	KEY_ARCHIVE,
	KEY_CACHE_DIR,
	KEY_RUNTIME_DIR,
	KEY_METRICS_FILE,
	KEY_ALERT_COMMAND,
	KEY_MIN_FREE,
	KEY_MAX_SESSIONS,
	KEY_MAX_SESSIONS_PER_SERVER,
	KEY_SANDBOX,
	KEY_SEAL,
	KEY_SEAL_SIZE,
	KEY_SEAL_AGE,
	KEY_SEAL_LEVEL,
	KEY_SEAL_FRAME,
	KEY_SEAL_COMMAND,
	KEY_PART_SHARING,
	KEY_INTERVAL,
	KEY_TLS,
	KEY_TLS_CA_FILE,
	KEY_TLS_PIN,
	KEY_AUTH,
	KEY_PROXY,
	KEY_PIPELINING,
	KEY_TIMEOUT,
	KEY_CLASS,
	KEY_MAX_MESSAGE_SIZE,
	KEY_DELETE_AFTER,
	KEY_SERVER,
	KEY_USER,
	KEY_PASSWORD_COMMAND,
	KEY_PASSWORD_FILE,
	KEY_CREDENTIAL,
	KEY_TOKEN_COMMAND,
	CONFIG_KEYS
};

/* Where values go. All borrowed. */
struct config_target {
	struct config *config;	 /* the global keys */
	struct account *account; /* the account's, or the defaults of all accounts */
	enum tls_mode *tls;	 /* what tls says; the URL's scheme is in account->tls */
	char **url_user;	 /* what the URL says; what user says is in account->user */
	const char *folder; /* of the file: what paths are relative to; "" for the working one */
};

struct config_key_def {
	const char *name;
	unsigned places;      /* of enum config_place */
	const char *expected; /* "expected …" */
	/* 0, 1: the value is not what is expected; -1: *f says why not, without repeating what
	 * might be a secret. */
	int (*set)(const struct config_target *to, const char *value, struct fault *f);
};

const struct config_key_def *config_key_def(enum config_key key);
/* CONFIG_KEYS: no such key. */
enum config_key config_key_find(const char *name);
/* The key that may stand there and is most like name, or NULL. */
const char *config_key_nearest(const char *name, enum config_place place);
/* Somebody wrote a password or token where none may stand. */
bool config_key_is_secret(const char *name);

/* "~/x" by $HOME, absolute ones as they are, others behind folder. *ret is the caller's. */
int config_path(const char *folder, const char *value, char **ret, struct fault *f) MUST_CHECK;
/* "a/b" of "a/b/c"; "" of "c"; "/" of "/c". NULL when out of memory. */
char *config_folder(const char *path);
