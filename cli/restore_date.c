#include "cli/restore_date.h"

/* Mail as we know it (RFC 822) is younger; a clock that was never set says 1970. */
static const moment_ms FIRST = INT64_C(315532800000), /* 1980-01-01T00:00:00Z */
	DAY = INT64_C(86400000);		      /* clocks of other zones, taken for UTC */

static bool is_believed(moment_ms t, moment_ms archived)
{
	return t >= FIRST && t <= archived + DAY;
}

moment_ms restore_date(
	const struct filing *filing, const struct indexed *indexed, moment_ms archived)
{
	if (filing && filing->received && is_believed(filing->received, archived))
		return filing->received;
	if (indexed && indexed->has_received && is_believed(indexed->received, archived))
		return indexed->received;
	if (indexed && indexed->has_date && is_believed(indexed->date, archived))
		return indexed->date;
	return archived;
}
