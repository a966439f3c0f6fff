#include "daemon/handover.h"

#include "archive/limits.h"
#include "daemon/child.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

enum { VARIABLES = 3, ASK_MS = 200 };

static void free_variables(char *(*variables)[VARIABLES + 1])
{
	for (size_t i = 0; i < VARIABLES; i++)
		free((*variables)[i]);
}

static int set_variable(char **ret, const char *name, const char *value, const char *more)
{
	if (asprintf(ret, "%s=%s%s", name, value, more) >= 0)
		return 0;
	*ret = NULL;
	return -1;
}

static int start(struct store *s, const struct handover_job *job, const char *path,
	struct child *ret, struct fault *f)
{
	char *variables[VARIABLES + 1] CLEANUP(free_variables) = {0};
	/* The command has another working directory, or may change it. */
	char *folder CLEANUP(freep) = realpath(store_folder(s), NULL);
	char file[HANDOVER_PATH + 1];

	if (!folder)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "%s", store_folder(s));
	(void)snprintf(file, sizeof file, "/%s", path);
	bool is_ledger = strncmp(path, "ledger/", strlen("ledger/")) == 0;
	if (set_variable(&variables[0], "POPKEEP_FILE", folder, file) < 0 ||
		set_variable(&variables[1], "POPKEEP_ARCHIVE", folder, "") < 0 ||
		set_variable(&variables[2], "POPKEEP_KIND", is_ledger ? "ledger" : "segment", "") <
			0)
		return fault_memory(f);
	return child_start(job->command, CHILD_STDERR, variables, ret, f);
}

/* How long from now until the deadline, but not longer than until somebody is to be asked. */
static int pause_ms(int64_t deadline)
{
	int64_t left = deadline - monotonic_ms();

	return left < 0 ? 0 : left < ASK_MS ? (int)left : ASK_MS;
}

static int wait_for(struct child *c, const struct handover_job *job, struct fault *f)
{
	int64_t deadline = monotonic_ms() + job->timeout_ms;

	for (;;) {
		struct pollfd p = {.fd = c->process, .events = POLLIN};
		int r = child_end(c, f);

		if (r != CHILD_RUNS)
			return r;
		if (job->stop && job->stop(job->context))
			return fault_set(f, FAULT_INTERRUPT, SCOPE_SESSION, 0, "interrupted");
		if (monotonic_ms() >= deadline)
			return fault_set(f, FAULT_ACCESS, SCOPE_ARCHIVE, 0,
				"the command did not end within %u s", job->timeout_ms / 1000);
		(void)poll(&p, 1, pause_ms(deadline));
	}
}

static int hand_over(
	struct store *s, const struct handover_job *job, const char *path, struct fault *f)
{
	struct child c CLEANUP(child_deinit) = CHILD_NONE;

	if (start(s, job, path, &c, f) < 0 || wait_for(&c, job, f) < 0)
		return fault_prefix(f, "seal-command: %s", path);
	if (store_handed_over(s, path, f) < 0)
		return -1;
	if (job->handed)
		job->handed(job->context, path);
	return 0;
}

/* All that waits; *ret_tried: there was something. */
static int hand_over_all(
	struct store *s, const struct handover_job *job, bool *ret_tried, struct fault *f)
{
	char path[HANDOVER_PATH];
	int r;

	while ((r = store_next_handover(s, path, f)) == HANDOVER_FILE) {
		*ret_tried = true;
		if (hand_over(s, job, path, f) < 0)
			return -1;
	}
	return r;
}

int handover_run(struct store *s, const struct handover_job *job, struct fault *f)
{
	struct fault unnoted = {0};
	struct upkeep before;
	bool tried = false;

	if (store_get_upkeep(s, UPKEEP_COMMAND, &before, f) < 0)
		return -1;
	int r = hand_over_all(s, job, &tried, f);
	if (r < 0 && (f->code == FAULT_INTERRUPT || f->code == FAULT_BUSY))
		return -1;
	if (!tried && r == 0 && before.code == FAULT_NONE)
		return 0;
	if (store_put_upkeep(s, UPKEEP_COMMAND, r < 0 ? f : NULL, &unnoted) < 0 && r == 0) {
		*f = unnoted;
		return -1;
	}
	return r;
}
