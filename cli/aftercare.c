#include "cli/aftercare.h"

#include "archive/limits.h"
#include "archive/upkeep.h"
#include "cli/stop.h"
#include "daemon/handover.h"

void aftercare_note(struct run *run, const struct fault *failure)
{
	struct fault ignored;

	if (failure && (failure->code == FAULT_INTERRUPT || failure->code == FAULT_BUSY))
		return;
	if (store_put_upkeep(run->store, UPKEEP_SEAL, failure, &ignored) < 0)
		run_detail(run, "how it went is not noted: %s", ignored.text);
}

static int is_stopped(void *context)
{
	(void)context;
	return stop_requested();
}

static void on_handed(void *context, const char *path)
{
	run_detail(context, "the seal-command has %s", path);
}

int aftercare_hand_over(struct run *run)
{
	struct handover_job job = {.command = run->config ? run->config->seal_command : NULL,
		.timeout_ms = LIMIT_HANDOVER_MS,
		.stop = is_stopped,
		.handed = on_handed,
		.context = run};
	struct fault f;

	for (char *text; (text = store_take_notice(run->store)); free(text))
		run_note(run, "%s", text);
	if (!job.command)
		return STATUS_DONE;
	int r = store_is_served(run->store, &f);
	if (r == STORE_SERVED)
		return STATUS_DONE;
	if (r == 0)
		r = handover_run(run->store, &job, &f);
	if (r == 0)
		return STATUS_DONE;
	int status = run_fail(run, &f);
	return f.code == FAULT_ACCESS ? STATUS_PARTLY : status;
}
