#include "cli/aftercare.h"
#include "cli/command.h"
#include "cli/sealing.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/quantity.h"

static int read_size(struct run *run, uint64_t *ret)
{
	const char *value = option_value(&run->arguments, "size");
	char text[64];

	*ret = GIB;
	if (!value ||
		(quantity_size(value, ret) == 0 && *ret >= MIB && *ret <= LIMIT_SEGMENT_BYTES))
		return 0;
	return run_usage(run, "--size is \"%s\"; it takes a size from 1 MiB to 4 GiB, like 1G",
		escape_text(slice_text(value), text, sizeof text));
}

static int repack_run(struct run *run)
{
	struct sealing s CLEANUP(sealing_deinit) = SEALING_NONE;
	struct seal_result result;
	struct fault f;
	uint64_t size;
	int r;

	if (operands_n(&run->arguments) != 0)
		return run_usage(run, "repack takes no arguments; -C names the archive");
	int status = read_size(run, &size);
	if (!status)
		status = sealing_begin(&s, run, "repacking");
	if (status)
		return status;
	while ((r = store_repack(run->store, size, &s.job, &result, &f)) == 0)
		sealing_tell(&s, &result);
	if (r < 0)
		return run_fail(run, &f);
	sealing_sum(&s);
	if (s.segments == 0)
		run_note(run, "there are no small sealed segments to merge");
	return aftercare_hand_over(run);
}

static const struct option_spec options[] = {
	{"size", 0, "SIZE", "of mail in a segment that is made, at most (1G)"},
	SEALING_OPTIONS,
	{NULL, 0, NULL, NULL},
};

const struct command command_repack = {
	.name = "repack",
	.arguments = "",
	.summary = "merge small sealed segments",
	.details = "Those of one class and one month become one, so that they share what they\n"
		   "have in common. Checked like what seal makes, before they are removed.",
	.options = options,
	.everyday = false,
	.needs = NEEDS_FOLDER,
	.function = repack_run,
};
