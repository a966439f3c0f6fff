#include "cli/aftercare.h"
#include "cli/command.h"
#include "cli/sealing.h"

#include "archive/moment.h"

/* Each open segment that holds mail; what begins while this one works is left to the next time, or
 * a busy service would keep it at work for ever. */
static struct seal_due due_since(int64_t began_ms, uint64_t sealed)
{
	if (sealed == 0)
		return (struct seal_due){0, 0};
	return (struct seal_due){UINT64_MAX, monotonic_ms() - began_ms + 1};
}

static int seal_run(struct run *run)
{
	struct sealing s CLEANUP(sealing_deinit) = SEALING_NONE;
	int64_t began = monotonic_ms();
	struct seal_result result;
	struct fault f;
	int r;

	if (operands_n(&run->arguments) != 0)
		return run_usage(run, "seal takes no arguments; -C names the archive");
	int status = sealing_begin(&s, run, "sealing");
	if (status)
		return status;
	for (;;) {
		const struct seal_due due = due_since(began, s.segments);

		r = store_seal(run->store, &due, &s.job, &result, &f);
		if (r != 0)
			break;
		sealing_tell(&s, &result);
	}
	aftercare_note(run, r < 0 ? &f : NULL);
	if (r < 0)
		return run_fail(run, &f);
	sealing_sum(&s);
	if (s.segments == 0)
		run_note(run, "no open segment holds mail: there is nothing to seal");
	return aftercare_hand_over(run);
}

static const struct option_spec options[] = {SEALING_OPTIONS, {NULL, 0, NULL, NULL}};

const struct command command_seal = {
	.name = "seal",
	.arguments = "",
	.summary = "make what was archived small, now",
	.details = "Turns each open segment into a sealed one, which is read back, and each of\n"
		   "its messages checked, before the open one is removed. The service does it\n"
		   "by itself. Archiving goes on meanwhile; Ctrl-C leaves all as it is.",
	.options = options,
	.everyday = false,
	.needs = NEEDS_FOLDER,
	.function = seal_run,
};
