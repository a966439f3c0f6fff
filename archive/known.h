/* What is known of a maildrop's UIDLs, in order, for the comparison with a listing. */
#pragma once

#include "archive/refusal.h"
#include "archive/store.h"

#include <stdbool.h>

enum known_state {
	KNOWN_KEPT,    /* in the archive; copies: how often under this UIDL with these bytes */
	KNOWN_PENDING, /* was listed, not fetched yet */
	KNOWN_REFUSED, /* see reason, tries, next_try */
	KNOWN_VANISHED /* was listed and never archived, then gone; see accepted */
};

struct known {
	struct slice uidl; /* borrowed until the next known_next() */
	enum known_state state;
	uint64_t listed_size; /* what LIST said when it was last fetched or listed; SIZE_UNKNOWN */
	uint64_t copies;      /* 1 or more for KNOWN_KEPT */
	enum refusal reason;
	uint32_t tries;
	moment_ms next_try;
	bool accepted; /* somebody acknowledged that it is refused, or that it vanished */
};
/* Ordered by uidl as slice_compare(); rows of one UIDL in no particular order. Reads a snapshot. */
struct known_cursor;
int known_open(
	struct store *s, uint64_t maildrop, struct known_cursor **ret, struct fault *f) MUST_CHECK;
/* The same without those kept. */
int known_open_unkept(
	struct store *s, uint64_t maildrop, struct known_cursor **ret, struct fault *f) MUST_CHECK;
enum { KNOWN_ROW = 1 };
/* KNOWN_ROW, or 0 at the end. */
int known_next(struct known_cursor *c, struct known *ret, struct fault *f) MUST_CHECK;
struct known_cursor *known_close(struct known_cursor *c);
void known_closep(struct known_cursor **c);
