#include "cli/command.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

enum { TABLES_MAX = 32 };

/* Descriptors 0 to 2 are open, so that no file of the archive becomes stdout; writing to one that
 * was closed fails. */
static void fill_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
	}
}

/* All tables: enough to tell which words are options' arguments and which name the command. */
static int parse_any(struct arguments *ret, int argc, char **argv, struct fault *f)
{
	const struct option_spec *tables[TABLES_MAX] = {global_options};

	for (size_t i = 0; commands[i] && i < TABLES_MAX - 2; i++)
		tables[i + 1] = commands[i]->options;
	return arguments_parse(ret, argc, argv, tables, f);
}

/* Which command, and its arguments; `popkeep` and `popkeep -h` are `popkeep help`. */
static int parse(struct run *run, int argc, char **argv, struct fault *f)
{
	struct arguments any CLEANUP(arguments_deinit) = {0};
	size_t taken = 0;

	if (parse_any(&any, argc, argv, f) < 0)
		return -1;
	run->command = command_find(any.operand, any.operand_n, &taken);
	if (!run->command && any.operand_n == 0 && option_given(&any, "help"))
		run->command = &command_help;
	if (!run->command && any.operand_n == 0 && option_given(&any, "version"))
		run->command = &command_version;
	if (!run->command)
		return command_unknown(any.operand, any.operand_n, f);
	const struct option_spec *tables[] = {global_options, run->command->options, NULL};
	if (arguments_parse(&run->arguments, argc, argv, tables, f) < 0)
		return -1;
	run->arguments.taken = taken;
	return 0;
}

static void apply_global_options(struct run *run)
{
	const struct arguments *a = &run->arguments;

	run->json = option_given(a, "json");
	run->out.utc = option_given(a, "utc");
	if (option_given(a, "quiet"))
		run->verbosity = VERBOSITY_QUIET;
	else if (option_given(a, "verbose"))
		run->verbosity = VERBOSITY_VERBOSE;
	progress_init(&run->progress,
		run->verbosity == VERBOSITY_QUIET ? PROGRESS_NEVER : PROGRESS_ON_TERMINAL);
}

static int execute(struct run *run)
{
	const struct command *c = run->command;
	struct fault f;

	if (option_given(&run->arguments, "help") && c != &command_help) {
		help_print_command(run, c);
		return STATUS_DONE;
	}
	if (c->needs != NEEDS_NOTHING && run_find_folder(run, &f) < 0)
		return run_fail(run, &f);
	if (c->needs == NEEDS_ARCHIVE && run_open_archive(run, &f) < 0)
		return run_fail(run, &f);
	int status = c->function(run);
	progress_clear(&run->progress);
	return status;
}

int popkeep_main(int argc, char **argv)
{
	struct run run CLEANUP(run_deinit) = {.verbosity = VERBOSITY_NORMAL};
	struct fault f;

	fill_standard_descriptors();
	(void)signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error like any other: output.h */
	(void)umask(077);
	/* For wcwidth(): what is printed is UTF-8 whatever the user's locale is. */
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	output_init(&run.out);
	if (parse(&run, argc, argv, &f) < 0)
		return output_finish(&run.out, run_fail(&run, &f));
	apply_global_options(&run);
	int status = execute(&run);
	return output_finish(&run.out, status);
}
