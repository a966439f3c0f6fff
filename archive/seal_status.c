#include "archive/seal_status.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "archive/moment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { SAY_MS = 500 };
#define SAY_BYTES (8 * MIB)

static int say(struct seal_status *s, const char *line, struct fault *f)
{
	struct slice left = slice_text(line);

	while (left.len > 0) {
		ssize_t n = write(s->fd, left.data, left.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
				"cannot say how far the work is");
		left = slice_of(left.data + n, left.len - (size_t)n);
	}
	return 0;
}

int seal_status_add(struct seal_status *s, size_t bytes, struct fault *f)
{
	char line[64];

	s->done += bytes;
	int64_t now = monotonic_ms();
	if (s->done - s->said < SAY_BYTES && now - s->said_ms < SAY_MS)
		return 0;
	s->said = s->done;
	s->said_ms = now;
	(void)snprintf(line, sizeof line, "progress %" PRIu64 " %" PRIu64 "\n", s->done, s->all);
	return say(s, line, f);
}

int seal_status_end(struct seal_status *s, const struct fault *outcome, struct fault *f)
{
	char text[LIMIT_WORKER_TEXT - sizeof "failed \n"], line[LIMIT_WORKER_TEXT];

	if (!outcome)
		return say(s, "done\n", f);
	(void)snprintf(line, sizeof line, "failed %s\n",
		escape_again(slice_text(outcome->text), text, sizeof text));
	return say(s, line, f);
}
