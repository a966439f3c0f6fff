#include "cli/command.h"
#include "cli/import_keep.h"
#include "cli/import_source.h"
#include "cli/json.h"
#include "cli/stop.h"

#include "archive/escape.h"
#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>

struct import {
	struct run *run;
	struct import_terms terms;
	struct import_options options;
	struct import_source *sources;
	int *fd; /* of each, where it was opened ahead; -1 */
	size_t n;
	size_t told; /* sources of which the line was printed */
	struct import_sums sums;
	struct import_keep *keep;
};

static void import_deinit(struct import *x)
{
	import_keep_close(x->keep);
	for (size_t i = 0; x->sources && x->fd && i < x->n; i++) {
		free(x->sources[i].format);
		fd_closep(&x->fd[i]);
	}
	free(x->sources);
	free(x->fd);
}

/* ---- What the command line says -------------------------------------------------------------- */

static int bad_option(struct run *run, const char *name, const char *value, const char *known)
{
	char text[64];

	return run_usage(run, "--%s is \"%s\"; known are %s", name,
		escape_text(slice_text(value), text, sizeof text), known);
}

static int read_account(struct import *x)
{
	struct run *run = x->run;
	const char *name = option_value(&run->arguments, "account");
	const struct account *a;
	char text[64];

	if (!name)
		return run_usage(
			run, "import needs --account NAME, which the mail is to belong to");
	if (!account_name_is_valid(name))
		return run_usage(run,
			"\"%s\" is no name of an account: letters, digits and . _ - @ +",
			escape_text(slice_text(name), text, sizeof text));
	x->terms.account = name;
	x->terms.largest = LIMIT_MESSAGE_DEFAULT;
	a = run->config ? config_account(run->config, name) : NULL;
	if (a) {
		x->terms.class_ = a->class_;
		x->terms.largest = a->max_message_size;
	}
	return 0;
}

static int read_options(struct import *x)
{
	const struct arguments *a = &x->run->arguments;
	const char *format = option_value(a, "format"), *dialect = option_value(a, "mbox-dialect");

	if (operands_n(a) == 0)
		return run_usage(x->run, "import needs a PATH, or - for standard input");
	if (format && import_format_parse(format, &x->options.format) != 0)
		return bad_option(x->run, "format", format, "eml, mbox, maildir, tar and zip");
	if (dialect && mbox_dialect_parse(dialect, &x->options.dialect) != 0)
		return bad_option(
			x->run, "mbox-dialect", dialect, "mboxo, mboxrd, mboxcl and mboxcl2");
	x->terms.folder = option_value(a, "folder");
	x->options.folder_is_named = x->terms.folder != NULL;
	x->terms.ends = option_given(a, "crlf") ? IMPORT_CRLF : IMPORT_AS_THEY_ARE;
	x->terms.mode = option_given(a, "dry-run") ? IMPORT_DRY : IMPORT_KEEP;
	return read_account(x);
}

/* ---- Sources --------------------------------------------------------------------------------- */

static bool is_stdin(const char *path)
{
	return strcmp(path, "-") == 0;
}

static int open_source(const char *path)
{
	const int flags = O_RDONLY | O_NOCTTY | O_CLOEXEC;

	if (is_stdin(path))
		return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	/* A FIFO may be waited for: it was named. */
	return open(path, flags);
}

static int list_sources(struct import *x, struct fault *f)
{
	const char **paths = operands(&x->run->arguments);

	x->n = operands_n(&x->run->arguments);
	x->sources = calloc(x->n, sizeof *x->sources);
	x->fd = calloc(x->n, sizeof *x->fd);
	if (!x->sources || !x->fd)
		return fault_memory(f);
	for (size_t i = 0; i < x->n; i++) {
		x->sources[i].path = is_stdin(paths[i]) ? "standard input" : paths[i];
		x->fd[i] = -1;
	}
	return 0;
}

/* Root is about to become the archive's owner, who may not be allowed to open them. */
static void open_ahead(struct import *x)
{
	const char **paths = operands(&x->run->arguments);

	for (size_t i = 0; geteuid() == 0 && i < x->n && i < LIMIT_IMPORT_OPEN; i++)
		x->fd[i] = open_source(paths[i]);
}

/* Of what is to be read, where all of it is files. */
static uint64_t count_bytes(const struct import *x)
{
	const char **paths = operands(&x->run->arguments);
	uint64_t bytes = 0;
	struct stat st;

	for (size_t i = 0; i < x->n; i++) {
		if ((x->fd[i] >= 0 ? fstat(x->fd[i], &st) : stat(paths[i], &st)) < 0)
			continue;
		if (!S_ISREG(st.st_mode))
			return 0;
		bytes += (uint64_t)st.st_size;
	}
	return bytes;
}

/* ---- What came of it ------------------------------------------------------------------------- */

static void add_sums(struct json_line *l, const struct import_sums *s)
{
	json_add_count(l, "found", s->found);
	json_add_count(l, "kept", s->kept);
	json_add_count(l, "known", s->known);
	json_add_count(l, "refused", s->refused);
	json_add_count(l, "duplicate", s->duplicate);
	json_add_count(l, "bytes", s->bytes);
	json_add_count(l, "lost", s->lost);
	json_add_count(l, "passed", s->passed);
}

static void print_sums(struct import *x, const struct import_sums *s)
{
	struct output *o = &x->run->out;
	char found[TEXT_NUMBER], kept[TEXT_NUMBER], known[TEXT_NUMBER], refused[TEXT_NUMBER];
	char size[TEXT_NUMBER];

	out_format(o, "%s found = %s %s + %s known + %s refused", text_count(s->found, found),
		text_count(s->kept, kept), x->terms.mode == IMPORT_DRY ? "to keep" : "kept",
		text_count(s->known, known), text_count(s->refused, refused));
	if (s->bytes)
		out_format(o, "; %s new", text_size(s->bytes, size));
	if (s->duplicate)
		out_format(o, "; %s of those kept %s there already, from elsewhere",
			text_count(s->duplicate, kept), plural(s->duplicate, "was", "were"));
	if (s->lost)
		out_format(o, "; %s %s could not be read", text_count(s->lost, kept),
			plural(s->lost, "file or folder", "files or folders"));
	if (s->passed)
		out_format(o, "; %s %s no mail", text_count(s->passed, kept),
			plural(s->passed, "other file is", "other files are"));
	out_format(o, "\n");
}

static void print_source(struct import *x, const struct import_source *s)
{
	struct output *o = &x->run->out;
	struct json_line line;

	progress_clear(&x->run->progress);
	if (x->run->json) {
		json_line_begin(&line, "source");
		json_add_bytes(&line, "path", slice_text(s->path));
		if (s->format)
			json_add_text(&line, "format", s->format);
		reading_counts_json(&s->read_as, &line);
		add_sums(&line, &s->sums);
		json_line_print(&line, o);
		return;
	}
	out_escaped(o, slice_text(s->path));
	if (s->format) {
		out_format(o, " (");
		out_escaped(o, slice_text(s->format));
		out_format(o, ")");
	}
	out_format(o, ": ");
	print_sums(x, &s->sums);
}

/* Those whose sums are final, in order. */
static void print_ended(struct import *x)
{
	for (; x->told < x->n && x->sources[x->told].ended && x->sources[x->told].waiting == 0;
		x->told++)
		print_source(x, &x->sources[x->told]);
}

static void print_summary(struct import *x, bool whole)
{
	struct output *o = &x->run->out;
	struct json_line line;
	char number[TEXT_NUMBER];

	progress_clear(&x->run->progress);
	if (x->run->json) {
		json_line_begin(&line, "summary");
		json_add_text(&line, "account", x->terms.account);
		json_add_count(&line, "sources", x->n);
		add_sums(&line, &x->sums);
		json_add_flag(&line, "dry_run", x->terms.mode == IMPORT_DRY);
		json_add_flag(&line, "whole", whole);
		json_line_print(&line, o);
		return;
	}
	if (x->n < 2)
		return;
	out_format(o, "all %s: ", text_count(x->n, number));
	print_sums(x, &x->sums);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static int read_source(struct import *x, size_t i, struct fault *f)
{
	struct import_source *s = &x->sources[i];
	const struct import_taker *taker = import_keep_taker(x->keep);

	import_keep_source(x->keep, s);
	if (x->fd[i] < 0)
		x->fd[i] = open_source(operands(&x->run->arguments)[i]);
	int r = x->fd[i] < 0
			? taker->lost(taker->context, s->path, strerror(errno), f)
			: import_source_read(x->fd[i], s->path, &x->options, taker, &s->format, f);
	fd_closep(&x->fd[i]);
	s->ended = true;
	return r;
}

/* Also when it ends early: what was read whole is kept. */
static int read_all(struct import *x, struct fault *f)
{
	struct fault last;
	int r = 0;

	for (size_t i = 0; i < x->n && r == 0; i++) {
		r = read_source(x, i, f);
		print_ended(x);
	}
	if (r < 0 && f->code != FAULT_INTERRUPT)
		return -1;
	if (import_keep_finish(x->keep, &last) < 0) {
		*f = last;
		return -1;
	}
	return r;
}

static int verdict(struct import *x, int r, const struct fault *f)
{
	bool fit = true;

	for (size_t i = 0; i < x->n; i++) {
		import_sums_add(&x->sums, &x->sources[i].sums);
		fit &= import_sums_fit(&x->sources[i].sums);
	}
	print_ended(x);
	print_summary(x, r == 0);
	if (r < 0 && f->code == FAULT_INTERRUPT) {
		run_complain(x->run, "stopped; what was kept stays, and the same command goes on");
		return STATUS_FAILED;
	}
	if (r < 0)
		return run_fail(x->run, f);
	if (!fit) {
		run_complain(x->run, "the sums do not fit; this is a fault of popkeep's");
		return STATUS_FAILED;
	}
	if (x->sums.refused || x->sums.lost)
		return STATUS_PARTLY;
	return x->sums.found ? STATUS_DONE : STATUS_NOTHING;
}

/* ---- The archive ----------------------------------------------------------------------------- */

static int open_to_write(struct run *run, struct fault *f)
{
	char name[256];
	int r = store_become_owner(run->folder, f);

	if (r == 0 && !run->folder_is_named && (r = run_create_archive(run, f)) == 0)
		run_note(run, "made a new archive in %s",
			escape_text(slice_text(run->folder), name, sizeof name));
	if (r < 0 || store_open(run->folder, run->cache_dir, STORE_WRITE, &run->store, f) < 0)
		return -1;
	for (char *text; (text = store_take_notice(run->store)); free(text))
		run_note(run, "%s", text);
	return 0;
}

/* Where there is none yet, nothing is known. */
static int open_to_look(struct run *run, struct fault *f)
{
	int r = run_open_archive(run, f);

	return r < 0 && f->code == FAULT_MISSING && !run->folder_is_named ? 0 : r;
}

static int import_run(struct run *run)
{
	struct import x CLEANUP(import_deinit) = {.run = run};
	struct fault f;
	int status = read_options(&x);

	if (status)
		return status;
	if (list_sources(&x, &f) < 0)
		return run_fail(run, &f);
	open_ahead(&x);
	if ((x.terms.mode == IMPORT_DRY ? open_to_look(run, &f) : open_to_write(run, &f)) < 0)
		return run_fail(run, &f);
	stop_catch_signals();
	if (import_keep_open(run, &x.terms, &x.keep, &f) < 0)
		return run_fail(run, &f);
	import_keep_expect(x.keep, count_bytes(&x));
	progress_begin(&run->progress);
	int r = read_all(&x, &f);
	return verdict(&x, r, &f);
}

static const struct option_spec options[] = {
	{"account", 0, "NAME", "the account that the mail is to belong to; may be a new one"},
	{"folder", 0, "FOLDER", "put all of it into this folder, or below"},
	{"crlf", 0, NULL, "make line ends CRLF, as POP3 sends them"},
	{"format", 0, "KIND", "do not look what it is: eml, mbox, maildir, tar or zip"},
	{"mbox-dialect", 0, "DIALECT", "do not look: mboxo, mboxrd, mboxcl or mboxcl2"},
	{"dry-run", 0, NULL, "look and count, and write nothing"},
	{NULL, 0, NULL, NULL},
};

const struct command command_import = {
	.name = "import",
	.arguments = "PATH...",
	.summary = "take in mail from files: mbox, Maildir, eml, tar, zip",
	.details =
		"A PATH is a message, an mbox, a tar or zip archive of them (compressed or not), "
		"or\n"
		"a folder with any of those but archives below it, Maildirs with their flags and\n"
		"folders among them; - is standard input. What it is, is found out. Messages are\n"
		"kept byte for byte; --crlf makes those of a Maildir the same as POP3 gives them.\n"
		"Sources are only read. The same command again goes on where it was stopped.",
	.options = options,
	.everyday = true,
	.needs = NEEDS_FOLDER,
	.function = import_run,
};
