/* Acknowledging what cannot be archived: a UIDL that was refused, or one that vanished before it
 * was archived. The ledger says who accepted what only by the reason given. A refusal that is
 * accepted stays one of the sum `refused`, as it stays listed, and is fetched again when it is due;
 * what vanished and is accepted is not counted any more. */
#pragma once

#include "archive/bytes.h"
#include "archive/known.h"

/* Durable on return. reason: text of 1 to LIMIT_ACCEPT_REASON bytes (FAULT_USAGE otherwise); s is
 * open for writing. ACCEPT_ALREADY: somebody did before. ACCEPT_NOTHING: this maildrop has no such
 * UIDL that is refused or vanished. Failures as store_commit(). */
enum { ACCEPT_ALREADY = 1, ACCEPT_NOTHING = 2 };
int store_accept(struct store *s, uint64_t maildrop, struct slice uidl, const char *reason,
	struct fault *f) MUST_CHECK;

/* All of a maildrop that are refused (KNOWN_REFUSED) or have vanished (KNOWN_VANISHED) and are not
 * accepted yet, in groups of bounded size; *ret: how many, set on failure too: those are durable.
 */
int store_accept_all(struct store *s, uint64_t maildrop, enum known_state which, const char *reason,
	uint64_t *ret, struct fault *f) MUST_CHECK;
