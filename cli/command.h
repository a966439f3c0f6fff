/* The commands of popkeep: one const descriptor each, one table of them. */
#pragma once

#include "cli/options.h"
#include "cli/run.h"

enum command_needs {
	NEEDS_NOTHING, /* the command resolves and opens what it needs */
	NEEDS_FOLDER,  /* configuration read, the archive's folder known, its owner become */
	NEEDS_ARCHIVE  /* and the archive open for reading */
};

struct command {
	const char *name; /* "search", "account check" */
	const char *arguments;
	const char *summary; /* one line */
	const char *details; /* more lines for its own help, or NULL */
	const struct option_spec *options;
	bool everyday; /* shown by `popkeep help`, the others by `help --all` */
	enum command_needs needs;
	bool survives_config; /* goes on with a configuration that is broken: run->config_broken */
	/* Returns the exit status; prints its own failures. */
	int (*function)(struct run *run);
};

/* Ended by NULL. */
extern const struct command *const commands[];
extern const struct option_spec global_options[];

/* The command that words begin with, or NULL; *ret_taken is how many of them name it. */
const struct command *command_find(const char *const *words, size_t n, size_t *ret_taken);
/* FAULT_USAGE with what the words may have meant. */
int command_unknown(const char *const *words, size_t n, struct fault *f);

/* Each in a file of its own, cmd_<name>.c. */
extern const struct command command_init, command_account_add, command_account_list,
	command_account_check, command_account_accept, command_fetch, command_status,
	command_search, command_show, command_export, command_import, command_verify, command_copy,
	command_restore, command_migrate, command_rebuild, command_index, command_seal,
	command_repack, command_salvage, command_log, command_help, command_version;

/* The text of `popkeep help`, with all commands or the everyday ones. */
void help_print_all(struct run *run, bool all);
void help_print_command(struct run *run, const struct command *c);

/* The whole program. */
int popkeep_main(int argc, char **argv);
