/* How the archive's upkeep fares, as the archive remembers it: with and without a service. */
#pragma once

#include "archive/index.h"
#include "archive/upkeep.h"
#include "daemon/config.h"

struct upkeep_view {
	struct upkeep seal, verify, command, index;
	struct index_state lag; /* of the index */
	/* Segments that are not sealed and hold mail: */
	uint64_t segments, messages, bytes;
	moment_ms since; /* the oldest of them; 0: none */
	struct unsealed *unsealed;
	bool command_is_configured;		  /* or nobody can tell */
	enum { SEALS_NOT, SEALS_ITSELF } service; /* what the service does about it */
};

/* config may be NULL. Zero-initialise *ret. */
int upkeep_view_read(struct upkeep_view *ret, struct store *s, const struct config *config,
	struct fault *f) MUST_CHECK;
void upkeep_view_deinit(struct upkeep_view *v);
/* Something failed, and did not go well since. */
bool upkeep_view_is_ill(const struct upkeep_view *v);
/* What a person can do about a job that failed; before it, why is told. */
const char *upkeep_advice(enum upkeep_job job, enum fault_code code);
