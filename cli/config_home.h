/* The main configuration and the folder accounts.d beside it, for adding an account:
 *
 *   popkeep.conf               made when it is missing; gets a line that includes all *.conf of
 *                              accounts.d when it does not read them
 *   accounts.d/NAME.conf       the account, 0600
 *   accounts.d/NAME.password   its password where it was asked for, 0600
 *
 * Where root adds to a user's configuration, the new files are that user's. Where root adds to its
 * own one for a service that runs as somebody else, that one's group may read them (0640), and the
 * password, which nobody but its owner may read, is that one's. */
#pragma once

#include "daemon/config.h"
#include "daemon/secret.h"

#include <sys/types.h>

struct config_home;

/* Reads the configuration at path, and checks it, when there is one. FAULT_USAGE as config_load().
 * FAULT_SYSTEM. */
int config_home_open(const char *path, struct config_home **ret, struct fault *f) MUST_CHECK;
void config_home_closep(struct config_home **h);

/* As it is; NULL when there is none yet. Borrowed. */
const struct config *config_home_current(const struct config_home *h);
/* Where there is none yet, it begins with this: text is taken as it is. */
int config_home_begin(struct config_home *h, struct slice text, struct fault *f) MUST_CHECK;
/* Who reads it when root wrote it: the archive's owner. */
void config_home_set_reader(struct config_home *h, uid_t user, gid_t group);
/* Where the account will stand; owned by the caller, NULL when out of memory. */
char *config_home_account_path(const struct config_home *h, const char *name);

/* Loads the configuration as it would be with this account's section. Nothing stays in place. */
int config_home_try(struct config_home *h, struct slice section, struct config **ret,
	struct fault *f) MUST_CHECK;

enum config_home_change { CONFIG_HOME_INCLUDED, CONFIG_HOME_MADE, CONFIG_HOME_NOW_INCLUDES };

/* Puts it there; password NULL for none. The new configuration is loaded once more, and when that
 * fails, or anything else, nothing stays. FAULT_USAGE: a file of that name is there.
 * *ret_change is what became of the main configuration. */
int config_home_add(struct config_home *h, const char *name, struct slice section,
	const struct secret *password, enum config_home_change *ret_change,
	struct fault *f) MUST_CHECK;
