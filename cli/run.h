/* One run of the program: what the command line said, and what was opened for the command. */
#pragma once

#include "archive/store.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "daemon/config.h"

struct command;

enum verbosity { VERBOSITY_QUIET, VERBOSITY_NORMAL, VERBOSITY_VERBOSE };

enum {
	STATUS_DONE = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_PARTLY = 3,
	STATUS_DAMAGED = 4,
	STATUS_NOTHING = 5,
	STATUS_BUSY = 6,
	STATUS_LOGIN = 7,
	STATUS_REACH = 8,
	STATUS_WRITE = 74
};

struct run {
	const struct command *command;
	struct arguments arguments;
	struct output out;
	struct progress progress;
	enum verbosity verbosity;
	bool json;

	struct config *config; /* NULL: there is none */
	bool config_broken;    /* it has no accounts, and of the other keys those that were right */
	char *folder;	       /* of the archive */
	bool folder_is_named;  /* by -C or POPKEEP_ARCHIVE: fetch does not make it */
	const char *cache_dir; /* or NULL */
	struct store *store;
};

void run_deinit(struct run *run);

/* Reads the configuration: -c, POPKEEP_CONFIG, or the default ones, which may be missing. Then
 * decides where the archive is: -C, POPKEEP_ARCHIVE, the configuration, $XDG_DATA_HOME/popkeep. */
int run_find_folder(struct run *run, struct fault *f) MUST_CHECK;
/* Its two halves, for a command that loads the configuration itself: what -c or POPKEEP_CONFIG name
 * (borrowed, or NULL), and where the archive is by what is in run->config. */
const char *run_named_config(const struct run *run);
int run_choose_folder(struct run *run, struct fault *f) MUST_CHECK;
/* store_become_owner(), then store_open() for reading. */
int run_open_archive(struct run *run, struct fault *f) MUST_CHECK;
/* Makes the archive in run->folder and the folders above it; STORE_EXISTS as store_create(). */
int run_create_archive(struct run *run, struct fault *f) MUST_CHECK;

/* ---- stderr: one line each, in front of which a progress bar is taken away ------------------- */

/* "popkeep: TEXT", and returns the exit status. */
int run_fail(struct run *run, const struct fault *f);
/* "popkeep: TEXT", whatever was asked. */
void run_complain(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "note: TEXT", unless -q. */
void run_note(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Only with -v. */
void run_detail(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A usage error of the command: prints and returns STATUS_USAGE. */
int run_usage(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A message's id as people see it: the first hex digits of its digest. */
enum { SHORT_ID = 12 };
