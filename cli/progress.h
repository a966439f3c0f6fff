/* A bar on stderr for what takes longer than a second: on a terminal only, as wide as it is. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum progress_unit { PROGRESS_BYTES, PROGRESS_MESSAGES };

struct progress_state {
	const char *label;	   /* "fetching", safe to print */
	enum progress_unit unit;   /* of done and all */
	uint64_t done, all;	   /* all may be 0 when it is not known */
	uint64_t items, items_all; /* 0, 0: not counted */
};

struct progress {
	bool on;       /* stderr is a terminal, and nobody asked for silence */
	bool drawn;    /* a bar stands on the line */
	int64_t began; /* monotonic_ms() */
	int64_t drawn_at;
};

enum progress_wanted { PROGRESS_NEVER, PROGRESS_ON_TERMINAL };
void progress_init(struct progress *p, enum progress_wanted wanted);
/* What is measured begins now. */
void progress_begin(struct progress *p);
/* Draws when it is time. */
void progress_update(struct progress *p, const struct progress_state *s);
/* Takes the bar away; before anything else is written to the terminal. */
void progress_clear(struct progress *p);

/* What progress_update() draws after elapsed_ms: at most columns wide, ASCII. size at least 160. */
enum { PROGRESS_LINE = 160 };
void progress_line(const struct progress_state *s, int64_t elapsed_ms, unsigned columns,
	char ret[static PROGRESS_LINE]);
