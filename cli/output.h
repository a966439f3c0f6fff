/* stdout is data: every write to it goes through here, so that a closed pipe ends a command quietly
 * and a full disk is noticed. stderr is for people: errors, notes, progress. */
#pragma once

#include "archive/bytes.h"
#include "archive/moment.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

struct output {
	FILE *to;	  /* stdout; for a while something else, for who needs a text before it goes
			     there */
	int error;	  /* errno of the first write to stdout that failed */
	bool terminal;	  /* stdout is one */
	unsigned columns; /* its width */
	bool utc;	  /* dates are shown in UTC */
};

enum { STATUS_CLOSED_PIPE = 141 }; /* what a shell says of a process that SIGPIPE ended */

void output_init(struct output *o);
void out_bytes(struct output *o, struct slice bytes);
void out_format(struct output *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Through archive/escape.h. */
void out_escaped(struct output *o, struct slice bytes);
/* Nobody reads any more, or nothing can be written: there is no point in going on. */
static inline bool out_is_over(const struct output *o)
{
	return o->error != 0;
}
/* Flushes; the program's exit status, which is `status` unless writing failed. */
int output_finish(struct output *o, int status);

/* The width of the terminal behind fd: 80 where it is not known. */
unsigned terminal_columns(int fd);
/* Its height, 24 where it is not known. */
unsigned terminal_rows(int fd);

/* How many columns a text takes; not printable characters count as one. */
size_t text_width(struct slice utf8);
/* The longest beginning that fits columns, whole characters. */
size_t text_fit(struct slice utf8, size_t columns);

enum { TEXT_NUMBER = 32, TEXT_MOMENT = 32 };
/* "5,012" */
const char *text_count(uint64_t n, char ret[static TEXT_NUMBER]);
/* "3.4 MB": powers of 1,000, one digit behind the point below 100. */
const char *text_size(uint64_t bytes, char ret[static TEXT_NUMBER]);
/* "45 s", "3 min 20 s", "2 h 5 min", "3 days" */
const char *text_duration(int64_t ms, char ret[static TEXT_NUMBER]);
/* "2026-11-21 20:34" in the local zone, "2026-11-21 20:34Z" with utc. */
const char *text_minute(const struct output *o, moment_ms t, char ret[static TEXT_MOMENT]);
/* The same with seconds. */
const char *text_second(const struct output *o, moment_ms t, char ret[static TEXT_MOMENT]);
/* Of mail: the singular for 1. */
const char *plural(uint64_t n, const char *one, const char *more);
