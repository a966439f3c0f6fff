#include "cli/migrate.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "cli/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

/* A line of `fetch --json` is far shorter. */
#define LINE_MOST (64 * KIB)

extern char **environ;

static uint64_t count_of(const json_t *line, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(line, key));

	return n > 0 ? (uint64_t)n : 0;
}

static void take_account(struct migrate_mailbox *m, const json_t *line)
{
	const char *error = json_string_value(json_object_get(line, "error"));
	char text[512];

	m->listed = count_of(line, "listed");
	m->archived = count_of(line, "archived");
	m->pending = count_of(line, "pending");
	m->refused = count_of(line, "refused");
	m->new_messages = count_of(line, "new");
	m->fetched = error == NULL;
	if (error)
		fault_record(&m->fetch, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0, "%s",
			escape_again(slice_text(error), text, sizeof text));
}

static void take_line(struct migrate_plan *p, struct slice text)
{
	json_t *line = json_loadb((const char *)text.data, text.len, 0, NULL);
	const char *type = json_string_value(json_object_get(line, "type"));
	const char *name = json_string_value(json_object_get(line, "account"));

	for (size_t i = 0; type && name && strcmp(type, "account") == 0 && i < p->n; i++) {
		if (strcmp(p->all[i].row->account, name) == 0)
			take_account(&p->all[i], line);
	}
	json_decref(line);
}

static int read_lines(struct migrate_plan *p, int fd, struct fault *f)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(2 * LINE_MOST);

	for (;;) {
		if (buffer_reserve(&text, LINE_MOST, f) < 0)
			return -1;
		ssize_t n = read(fd, text.data + text.len, LINE_MOST);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno,
					       "cannot read what fetch says")
				     : 0;
		text.len += (size_t)n;
		size_t taken = 0;
		const uint8_t *lf;
		while ((lf = memchr(text.data + taken, '\n', text.len - taken))) {
			take_line(p, slice_of(text.data + taken, (size_t)(lf - text.data) - taken));
			taken = (size_t)(lf - text.data) + 1;
		}
		memmove(text.data, text.data + taken, text.len - taken);
		text.len -= taken;
	}
}

/* As this run was called, and the accounts, each once. Freed with free(); its words are borrowed.
 */
static const char **words_of(const struct migrate_plan *p, const char *command)
{
	const struct arguments *a = &p->run->arguments;
	const char **words = calloc(p->n + 12, sizeof *words);
	const char *archive = option_value(a, "archive"), *config = option_value(a, "config");
	size_t n = 0;

	if (!words)
		return NULL;
	words[n++] = "popkeep";
	if (archive) {
		words[n++] = "--archive";
		words[n++] = archive;
	}
	if (config) {
		words[n++] = "--config";
		words[n++] = config;
	}
	words[n++] = "--json";
	if (p->run->verbosity == VERBOSITY_QUIET)
		words[n++] = "--quiet";
	words[n++] = command;
	words[n++] = "--";
	for (size_t i = 0; strcmp(command, "fetch") == 0 && i < p->n; i++)
		words[n++] = p->all[i].row->account;
	return words;
}

static int start(
	const struct migrate_plan *p, const char *command, int out, pid_t *ret, struct fault *f)
{
	posix_spawn_file_actions_t actions;
	const char **words = words_of(p, command);

	if (!words)
		return fault_memory(f);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	int error = posix_spawn(
		ret, "/proc/self/exe", &actions, NULL, (char *const *)(uintptr_t)words, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	free(words);
	return error ? fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, error, "cannot run %s", command)
		     : 0;
}

static int run_command(struct migrate_plan *p, const char *command, struct fault *f)
{
	int ends[2];
	pid_t pid = 0;
	int status = 0;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno, "cannot make a pipe");
	int in CLEANUP(fd_closep) = ends[0], out CLEANUP(fd_closep) = ends[1];
	if (start(p, command, out, &pid, f) < 0)
		return -1;
	fd_closep(&out);
	int r = read_lines(p, in, f);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0 && stop_requested())
		return fault_set(f, FAULT_INTERRUPT, SCOPE_SESSION, 0,
			"stopped; the same command goes on from here");
	return r;
}

int migrate_fetch(struct migrate_plan *p, struct fault *f)
{
	for (size_t i = 0; i < p->n; i++)
		fault_record(&p->all[i].fetch, FAULT_SYSTEM, SCOPE_ACCOUNT, 0,
			"fetch ended without a word about it");
	return run_command(p, "fetch", f);
}

int migrate_index(struct migrate_plan *p, struct fault *f)
{
	return run_command(p, "index", f);
}
