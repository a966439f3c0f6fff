#include "cli/upkeep_view.h"

static int add_unsealed(struct upkeep_view *v, const struct unsealed *u, struct fault *f)
{
	struct unsealed *more = reallocarray(v->unsealed, v->segments + 1, sizeof *more);

	if (!more)
		return fault_memory(f);
	v->unsealed = more;
	more[v->segments++] = *u;
	v->messages += u->messages;
	v->bytes += u->bytes;
	if (!v->since || (u->first && u->first < v->since))
		v->since = u->first;
	return 0;
}

int upkeep_view_read(
	struct upkeep_view *ret, struct store *s, const struct config *config, struct fault *f)
{
	struct unsealed u = {0};
	int r;

	if (store_get_upkeep(s, UPKEEP_SEAL, &ret->seal, f) < 0 ||
		store_get_upkeep(s, UPKEEP_VERIFY, &ret->verify, f) < 0 ||
		store_get_upkeep(s, UPKEEP_COMMAND, &ret->command, f) < 0 ||
		store_get_upkeep(s, UPKEEP_INDEX, &ret->index, f) < 0 ||
		store_index_state(s, &ret->lag, f) < 0)
		return -1;
	while ((r = store_next_unsealed(s, u.segment, &u, f)) == UNSEALED_SEGMENT) {
		if (add_unsealed(ret, &u, f) < 0)
			return -1;
	}
	ret->command_is_configured = !config || config->seal_command;
	ret->service = config && config->seal == SEAL_NEVER ? SEALS_NOT : SEALS_ITSELF;
	return r;
}

void upkeep_view_deinit(struct upkeep_view *v)
{
	free(v->unsealed);
	v->unsealed = NULL;
	v->segments = 0;
}

bool upkeep_view_is_ill(const struct upkeep_view *v)
{
	return v->seal.code != FAULT_NONE || v->verify.code != FAULT_NONE ||
	       v->index.code != FAULT_NONE ||
	       (v->command.code != FAULT_NONE && v->command_is_configured);
}

const char *upkeep_advice(enum upkeep_job job, enum fault_code code)
{
	if (code == FAULT_DAMAGE && job != UPKEEP_VERIFY)
		return "run popkeep verify";
	if (code == FAULT_WRITE)
		return "make room or mend the disk";
	if (job == UPKEEP_INDEX)
		return "run popkeep index to see more";
	if (job == UPKEEP_COMMAND)
		return "mend what seal-command does";
	return job == UPKEEP_VERIFY ? "run popkeep verify again" : "run popkeep seal to see more";
}
