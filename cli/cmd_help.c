#include "cli/command.h"
#include "cli/completion.h"

#include "archive/escape.h"

#include <stdio.h>

enum { LEFT = 28 }; /* columns of what commands are called */

static void print_option(struct run *run, const struct option_spec *o)
{
	char left[64], letter[8] = "    ";

	if (o->letter)
		(void)snprintf(letter, sizeof letter, "-%c, ", o->letter);
	(void)snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->argument ? " " : "",
		o->argument ? o->argument : "");
	out_format(&run->out, "  %-30s %s\n", left, o->summary);
}

static void print_options(struct run *run, const char *title, const struct option_spec *options)
{
	if (!options[0].name)
		return;
	out_format(&run->out, "\n%s\n", title);
	for (; options->name; options++)
		print_option(run, options);
}

void help_print_command(struct run *run, const struct command *c)
{
	out_format(&run->out, "popkeep %s%s%s: %s\n", c->name, c->arguments[0] ? " " : "",
		c->arguments, c->summary);
	if (c->details)
		out_format(&run->out, "\n%s\n", c->details);
	print_options(run, "Options:", c->options);
	print_options(run, "Options of all commands:", global_options);
}

/* What is too long for the left column has its summary below it. */
static void print_command(struct run *run, const struct command *c)
{
	char left[64];
	int n = snprintf(left, sizeof left, "%s %s", c->name, c->arguments);

	if (n > LEFT)
		out_format(&run->out, "  %s\n  %-*s %s\n", left, LEFT, "", c->summary);
	else
		out_format(&run->out, "  %-*s %s\n", LEFT, left, c->summary);
}

void help_print_all(struct run *run, bool all)
{
	out_format(&run->out,
		"popkeep keeps mail: it fetches POP3 mailboxes, leaves them as they were, and "
		"keeps\nevery message byte for byte.\n\n"
		"popkeep [-C ARCHIVE] [-c CONFIG] [--json] [-q|-v] COMMAND ...\n\n");
	for (const struct command *const *c = commands; *c; c++) {
		if (all || (*c)->everyday)
			print_command(run, *c);
	}
	if (all)
		print_options(run, "Options of all commands:", global_options);
	out_format(&run->out, "\n\"popkeep help COMMAND\" tells more%sthe manual is popkeep(1).\n",
		all ? "; " : ", \"popkeep help --all\" shows all commands;\n");
}

static int help_run(struct run *run)
{
	const char *const *words = operands(&run->arguments);
	size_t n = operands_n(&run->arguments), taken = 0, shown = 0;
	struct fault f;

	if (option_given(&run->arguments, "completion")) {
		completion_print(run, words, n);
		return STATUS_DONE;
	}
	if (n == 0) {
		help_print_all(run, option_given(&run->arguments, "all"));
		return STATUS_DONE;
	}
	const struct command *c = command_find(words, n, &taken);
	if (c) {
		help_print_command(run, c);
		return STATUS_DONE;
	}
	/* `popkeep help account`: all that begin so. */
	for (const struct command *const *each = commands; *each; each++) {
		size_t len = strlen(words[0]);

		if (strncmp((*each)->name, words[0], len) != 0 || (*each)->name[len] != ' ')
			continue;
		if (shown++)
			out_format(&run->out, "\n");
		help_print_command(run, *each);
	}
	if (shown)
		return STATUS_DONE;
	(void)command_unknown(words, n, &f);
	return run_fail(run, &f);
}

static const struct option_spec options[] = {
	{"all", 0, NULL, "all commands, not only the everyday ones"},
	{"completion", 0, NULL, "what can stand next, for shells: help --completion -- WORD..."},
	{NULL, 0, NULL, NULL},
};

const struct command command_help = {
	.name = "help",
	.arguments = "[COMMAND]",
	.summary = "explain popkeep, or one command",
	.options = options,
	.everyday = true,
	.needs = NEEDS_NOTHING,
	.function = help_run,
};
