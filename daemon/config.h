/* What popkeep.conf(5) says, read and checked whole: either everything is right, or nothing is
 * given back. No secret stands in it, and none is read here. */
#pragma once

#include "archive/seal.h"
#include "daemon/account.h"

#include <stddef.h>

enum sandbox_mode {
	SANDBOX_BEST,	 /* what the kernel has */
	SANDBOX_REQUIRED /* nothing is parsed without it */
};

enum seal_when {
	SEAL_AUTO, /* by the service, when it is due */
	SEAL_NEVER /* by `popkeep seal` alone */
};

struct config {
	char *path;	 /* of the file that was loaded */
	char *archive;	 /* absolute or relative to the working directory; NULL: not configured */
	char *cache_dir; /* likewise */
	char *alert_command; /* run by /bin/sh -c; NULL: none */
	char *metrics_file;  /* NULL: none is written */
	char *runtime_dir;   /* of the control socket; NULL: not configured */
	char *seal_command;  /* run by /bin/sh -c for each file that will not change; NULL: none */
	enum seal_when seal;
	struct seal_due seal_due;
	struct seal_options seal_options;
	uint64_t min_free;
	uint32_t interval_ms; /* the default; each account has its own */
	uint32_t max_sessions;
	uint32_t max_sessions_per_server;
	enum sandbox_mode sandbox;
	struct account *accounts; /* in the order in which they stand there */
	size_t accounts_n;
	size_t *by_name; /* indexes into accounts, ascending by name; for config_account() */
	/* The files that were read, the main one first, and the folders where an include's pattern
	 * was looked for, whether or not it matched: what reading it again will open. As they were
	 * written, relative ones to the working directory ("": itself); one may stand there twice.
	 */
	char **files;
	size_t files_n;
	char **folders;
	size_t folders_n;
};

/* Reads the file and all that it includes. On success *ret is the caller's, for config_free().
 * FAULT_USAGE: what is wrong, each as "FILE:LINE: …", joined by "; " as far as they fit, and how
 * many more; or the file cannot be read, or is larger than LIMIT_CONFIG_FILE with all it includes.
 * FAULT_MEMORY. Not for two threads at once: libconfuse's scanner is one for the process. Memory:
 * about three times the largest file while reading. */
int config_load(const char *path, struct config **ret, struct fault *f) MUST_CHECK;
/* Of a configuration that config_load() refuses: what could be read of the global keys, without any
 * account, for who only wants to look at the archive. FAULT_USAGE: nothing could be. */
int config_salvage(const char *path, struct config **ret, struct fault *f) MUST_CHECK;
struct config *config_free(struct config *c);
void config_freep(struct config **c);

/* The first that exists of /etc/popkeep/popkeep.conf, $XDG_CONFIG_HOME/popkeep/popkeep.conf and
 * ~/.config/popkeep/popkeep.conf (this one only where XDG_CONFIG_HOME is not set). *ret is the
 * caller's, for free(). CONFIG_NONE when none exists. */
enum { CONFIG_NONE = 1 };
int config_default_path(char **ret, struct fault *f) MUST_CHECK;

/* The archive where none is named: $XDG_DATA_HOME/popkeep or ~/.local/share/popkeep. *ret is the
 * caller's. FAULT_USAGE: there is no HOME. */
int config_default_archive(char **ret, struct fault *f) MUST_CHECK;

/* Borrowed from the configuration; NULL when there is none of that name. */
const struct account *config_account(const struct config *c, const char *name);
/* The name most like it, for "no account "ana"; did you mean "anna"?"; NULL when none is near. */
const char *config_nearest_account(const struct config *c, const char *name);
