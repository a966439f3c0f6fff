/* What popkeep-worker says on its status pipe while it seals: archive/seal_work.h. */
#pragma once

#include "archive/fault.h"

#include <stddef.h>
#include <stdint.h>

struct seal_status {
	int fd; /* borrowed */
	uint64_t done, all;
	uint64_t said; /* done, when it was said last */
	int64_t said_ms;
};

/* So many bytes more are done: says so when it is time. FAULT_WRITE: nobody listens. */
int seal_status_add(struct seal_status *s, size_t bytes, struct fault *f)
	__attribute__((warn_unused_result));
/* The last line. outcome: NULL where all went well. Where nobody listens any more and the outcome
 * is a failure, that one counts. */
int seal_status_end(struct seal_status *s, const struct fault *outcome, struct fault *f);
