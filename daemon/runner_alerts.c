#include "daemon/runner_alerts.h"

#include "archive/escape.h"

#include <stdio.h>

enum { VARIABLES = 6, TEXT_SIZE = 1024 };

static const char *const EVENTS[ALERT_EVENTS] = {
	[ALERT_FAILING] = "failing",
	[ALERT_ATTENTION] = "attention",
	[ALERT_WELL] = "well",
	[ALERT_DISK_FULL] = "disk-full",
	[ALERT_DISK_OK] = "disk-ok",
	[ALERT_WRITE_FAILED] = "write-failed",
	[ALERT_CONFIG_BROKEN] = "config-broken",
	[ALERT_CONFIG_OK] = "config-ok",
	[ALERT_SEAL_FAILED] = "seal-failed",
	[ALERT_SEAL_OK] = "seal-ok",
};

void runner_alerts_init(struct runner_alerts *a, uint32_t timeout_ms)
{
	a->first = a->n = 0;
	a->dropped = 0;
	a->child = CHILD_NONE;
	a->timeout_ms = timeout_ms;
}

void runner_alerts_deinit(struct runner_alerts *a)
{
	child_deinit(&a->child);
	a->n = 0;
}

static void drop_first(struct runner_alerts *a)
{
	a->first = (a->first + 1) % LIMIT_ALERTS;
	a->n--;
}

void runner_alerts_add(struct runner_alerts *a, const struct runner_request *q)
{
	if (a->n == LIMIT_ALERTS) {
		drop_first(a);
		a->dropped++;
	}
	a->waiting[(a->first + a->n++) % LIMIT_ALERTS] = *q;
}

static void free_variables(char *(*variables)[VARIABLES + 1])
{
	for (size_t i = 0; i < VARIABLES; i++)
		free((*variables)[i]);
}

/* 0, or -1 when out of memory. */
static int make_variable(char **ret, const char *name, const char *value)
{
	char *text = NULL;

	if (asprintf(&text, "%s=%s", name, value) < 0)
		return -1;
	*ret = text;
	return 0;
}

static int begin(struct runner_alerts *a, const struct runner_request *q, const char *command,
	const char *archive, struct fault *f)
{
	char *variables[VARIABLES + 1] CLEANUP(free_variables) = {0};
	char text[TEXT_SIZE], since[MOMENT_TEXT], dropped[16];

	(void)escape_again(slice_text(q->text), text, sizeof text);
	moment_format(q->since, since);
	(void)snprintf(dropped, sizeof dropped, "%u", a->dropped);
	if (make_variable(&variables[0], "POPKEEP_EVENT", EVENTS[q->event]) < 0 ||
		make_variable(&variables[1], "POPKEEP_ACCOUNT", q->account) < 0 ||
		make_variable(&variables[2], "POPKEEP_TEXT", text) < 0 ||
		make_variable(&variables[3], "POPKEEP_ARCHIVE", archive) < 0 ||
		make_variable(&variables[4], "POPKEEP_SINCE", since) < 0 ||
		make_variable(&variables[5], "POPKEEP_DROPPED", dropped) < 0)
		return fault_memory(f);
	if (child_start(command, CHILD_STDERR, variables, &a->child, f) < 0)
		return -1;
	a->deadline_ms = monotonic_ms() + a->timeout_ms;
	a->dropped = 0;
	return 0;
}

static int step_child(struct runner_alerts *a, struct fault *f)
{
	int r = child_end(&a->child, f);

	if (r == CHILD_RUNS && monotonic_ms() < a->deadline_ms)
		return 0;
	if (r == CHILD_RUNS)
		r = fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, 0,
			"the command did not end within %u s", a->timeout_ms / 1000);
	child_deinit(&a->child);
	return r < 0 ? fault_prefix(f, "alert-command") : 1;
}

int runner_alerts_step(
	struct runner_alerts *a, const struct config *c, const char *archive, struct fault *f)
{
	if (a->child.pid > 0)
		return step_child(a, f);
	if (!c->alert_command) {
		a->n = 0;
		a->dropped = 0;
	}
	if (a->n == 0)
		return 0;
	const struct runner_request *q = &a->waiting[a->first];
	int r = begin(a, q, c->alert_command, archive, f);
	drop_first(a);
	return r < 0 ? fault_prefix(f, "alert-command") : 1;
}
