/* For plan.c: what is known of one UIDL, taken from the source of known rows. */
#pragma once

#include "daemon/plan.h"

struct kept_row {
	uint64_t size, copies;
};

struct refused_row {
	uint64_t size;
	moment_ms next_try;
	uint32_t tries;
	enum refusal reason;
	bool accepted, used; /* used: it has taken a listed message */
};

/* Embedded; reused from UIDL to UIDL. */
struct plan_rows {
	struct known_source source;
	struct known ahead; /* the first row that is not in here yet */
	bool has_ahead;

	struct kept_row *kept; /* by size, SIZE_UNKNOWN last */
	size_t kept_n, kept_room;
	struct refused_row *refused; /* likewise */
	size_t refused_n, refused_room;
	uint64_t copies;	    /* of all that is kept */
	uint64_t pending, vanished; /* rows */
	uint64_t unkept_size;	    /* of a pending or refused row */
	bool has_unknown_size;	    /* among kept */
};

/* Reads the first row ahead. */
int plan_rows_init(struct plan_rows *r, struct known_source source, struct fault *f) MUST_CHECK;
void plan_rows_deinit(struct plan_rows *r);
/* All rows of this UIDL, which must be the next one: 1 when there are any, 0 when not. */
int plan_rows_read(struct plan_rows *r, struct slice uidl, struct fault *f) MUST_CHECK;
