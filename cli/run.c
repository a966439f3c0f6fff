#include "cli/run.h"

#include "archive/escape.h"
#include "cli/command.h"
#include "cli/new_file.h"

#include <errno.h>
#include <stdio.h>

void run_deinit(struct run *run)
{
	store_closep(&run->store);
	config_freep(&run->config);
	free(run->folder);
	arguments_deinit(&run->arguments);
	run->folder = NULL;
}

static const char *from_environment(const char *name)
{
	const char *value = secure_getenv(name);

	return value && value[0] ? value : NULL;
}

const char *run_named_config(const struct run *run)
{
	const char *path = option_value(&run->arguments, "config");

	return path ? path : from_environment("POPKEEP_CONFIG");
}

/* For a command that shows the archive all the same, where it is known which one. */
static bool salvage(struct run *run, const char *path, const struct fault *f)
{
	struct fault ignored;

	if (!run->command || !run->command->survives_config ||
		config_salvage(path, &run->config, &ignored) < 0)
		return false;
	if (!run->config->archive && !option_value(&run->arguments, "archive") &&
		!from_environment("POPKEEP_ARCHIVE")) {
		config_freep(&run->config);
		return false;
	}
	run->config_broken = true;
	run_complain(run, "the configuration is broken: %s", f->text);
	return true;
}

static int load_config(struct run *run, struct fault *f)
{
	const char *path = run_named_config(run);
	char *found CLEANUP(freep) = NULL;

	if (!path) {
		int r = config_default_path(&found, f);

		if (r != 0)
			return r < 0 ? -1 : 0;
		path = found;
	}
	if (config_load(path, &run->config, f) < 0) {
		if (salvage(run, path, f))
			return 0;
		/* Exit 5 means that nothing matched; this is the command line's fault. */
		if (f->code == FAULT_MISSING)
			f->code = FAULT_USAGE;
		return -1;
	}
	run_detail(run, "configuration %s", path);
	return 0;
}

int run_find_folder(struct run *run, struct fault *f)
{
	return load_config(run, f) < 0 ? -1 : run_choose_folder(run, f);
}

int run_choose_folder(struct run *run, struct fault *f)
{
	const char *folder = option_value(&run->arguments, "archive");

	if (!folder)
		folder = from_environment("POPKEEP_ARCHIVE");
	run->folder_is_named = folder != NULL;
	/* The databases' place belongs to the configured archive, not to another one. */
	if (!folder && run->config && run->config->archive) {
		folder = run->config->archive;
		run->cache_dir = run->config->cache_dir;
	}
	if (!folder)
		return config_default_archive(&run->folder, f);
	if (!folder[0])
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0, "the archive's name is empty");
	run->folder = strdup(folder);
	return run->folder ? 0 : fault_memory(f);
}

int run_open_archive(struct run *run, struct fault *f)
{
	if (store_become_owner(run->folder, f) < 0)
		return -1;
	return store_open(run->folder, run->cache_dir, STORE_READ, &run->store, f);
}

int run_create_archive(struct run *run, struct fault *f)
{
	if (new_folders_above(run->folder, f) < 0)
		return -1;
	return store_create(run->folder, run->cache_dir, f);
}

/* What is still in stdout's buffer came first. */
static void flush_output(struct run *run)
{
	errno = 0;
	if (fflush(stdout) != 0 && !run->out.error)
		run->out.error = errno ? errno : EIO;
}

static void say(struct run *run, const char *intro, const char *format, va_list args)
{
	flush_output(run);
	progress_clear(&run->progress);
	(void)fputs(intro, stderr);
	(void)vfprintf(stderr, format, args);
	(void)fputc('\n', stderr);
}

int run_fail(struct run *run, const struct fault *f)
{
	run_complain(run, "%s", f->text);
	return fault_exit_status(f);
}

void run_complain(struct run *run, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(run, "popkeep: ", format, args);
	va_end(args);
}

void run_note(struct run *run, const char *format, ...)
{
	va_list args;

	/* Whoever closed the pipe has read enough. */
	flush_output(run);
	if (run->verbosity == VERBOSITY_QUIET || out_is_over(&run->out))
		return;
	va_start(args, format);
	say(run, "note: ", format, args);
	va_end(args);
}

void run_detail(struct run *run, const char *format, ...)
{
	va_list args;

	if (run->verbosity != VERBOSITY_VERBOSE)
		return;
	va_start(args, format);
	say(run, "", format, args);
	va_end(args);
}

int run_usage(struct run *run, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(run, "popkeep: ", format, args);
	va_end(args);
	if (run->command)
		(void)fprintf(stderr, "popkeep: see popkeep help %s\n", run->command->name);
	return STATUS_USAGE;
}
