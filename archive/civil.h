/* Dates and times of day as calendars and clocks write them, for whoever reads texts that hold
 * some. Time zones other than offsets are the caller's. */
#pragma once

#include "archive/bytes.h"
#include "archive/moment.h"

/* Not yet in a zone. */
struct civil {
	int year, month, day, hour, minute, second, millis;
};

/* Years 1 to 9999; second 60 is one. */
bool civil_is_valid(const struct civil *c);
/* Of a valid one, taken for UTC; its day may also be the one behind the last. */
moment_ms civil_utc(const struct civil *c);

/* What is still to be read of a text. */
struct civil_reader {
	const uint8_t *at, *end;
};
static inline struct civil_reader civil_reader_make(struct slice text)
{
	return (struct civil_reader){text.data, text.len ? text.data + text.len : text.data};
}

/* Passes over c, if it is next. */
bool civil_accept(struct civil_reader *r, char c);
/* least to most digits; -1 when there are fewer. */
int civil_number(struct civil_reader *r, int least, int most);
/* "+01:00", "-0130": minutes east of UTC; 0, or 1 when it is none. */
int civil_offset(struct civil_reader *r, int *ret_minutes);
