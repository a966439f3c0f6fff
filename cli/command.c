#include "cli/command.h"

#include "archive/escape.h"
#include "daemon/nearest.h"

#include <stdio.h>

const struct command *const commands[] = {&command_init, &command_account_add,
	&command_account_list, &command_account_check, &command_account_accept, &command_fetch,
	&command_status, &command_search, &command_show, &command_export, &command_import,
	&command_restore, &command_migrate, &command_verify, &command_copy, &command_rebuild,
	&command_index, &command_seal, &command_repack, &command_salvage, &command_log,
	&command_help, &command_version, NULL};

const struct option_spec global_options[] = {
	{"archive", 'C', "ARCHIVE", "the archive's folder"},
	{"config", 'c', "CONFIG", "the configuration file"},
	{"json", 0, NULL, "print JSON objects, one a line"},
	{"quiet", 'q', NULL, "print errors only, no notes and no progress"},
	{"verbose", 'v', NULL, "say more"},
	{"utc", 0, NULL, "show and read dates in UTC instead of the local zone"},
	{"help", 'h', NULL, "help for the command"},
	{NULL, 0, NULL, NULL},
};

/* How many of the words the command's name is made of; 0 when they do not begin with it. */
static size_t name_matches(const char *name, const char *const *words, size_t n)
{
	size_t taken = 0;

	while (taken < n) {
		size_t len = strcspn(name, " ");

		if (strlen(words[taken]) != len || memcmp(words[taken], name, len) != 0)
			return 0;
		taken++;
		if (!name[len])
			return taken;
		name += len + 1;
	}
	return 0;
}

const struct command *command_find(const char *const *words, size_t n, size_t *ret_taken)
{
	for (const struct command *const *c = commands; *c; c++) {
		size_t taken = name_matches((*c)->name, words, n);

		if (taken) {
			*ret_taken = taken;
			return *c;
		}
	}
	return NULL;
}

/* "account" alone, or with a verb it does not have. */
static int incomplete_command(const char *word, struct fault *f)
{
	size_t len = strlen(word);
	char known[128] = "";

	for (const struct command *const *c = commands; *c; c++) {
		const char *name = (*c)->name;
		size_t used = strlen(known);

		if (strncmp(name, word, len) == 0 && name[len] == ' ')
			(void)snprintf(known + used, sizeof known - used, "%s\"popkeep %s\"",
				used ? " or " : "", name);
	}
	return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0, "\"%s\" needs a verb: %s", word, known);
}

int command_unknown(const char *const *words, size_t n, struct fault *f)
{
	char text[64];
	struct nearest near = {.word = text};

	if (n == 0)
		return fault_set(
			f, FAULT_USAGE, SCOPE_SESSION, 0, "no command given; see popkeep help");
	(void)escape_text(slice_text(words[0]), text, sizeof text);
	for (const struct command *const *c = commands; *c; c++) {
		size_t len = strlen(words[0]);

		if (strncmp((*c)->name, words[0], len) == 0 && (*c)->name[len] == ' ')
			return incomplete_command(words[0], f);
		nearest_offer(&near, (*c)->name);
	}
	if (near.best)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"unknown command \"%s\"; did you mean \"%s\"?", text, near.best);
	return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
		"unknown command \"%s\"; popkeep help --all lists them", text);
}
