/* Which date a restored message gets (INTERNALDATE, a file's time). No I/O. */
#pragma once

#include "archive/find.h"
#include "archive/index.h"

/* The first of these that can be true: what an import knew, the topmost Received, Date, when it was
 * archived. A date is not believed before 1980, nor more than a day after the message was archived.
 * filing, indexed: NULL where there is none. */
moment_ms restore_date(
	const struct filing *filing, const struct indexed *indexed, moment_ms archived);
