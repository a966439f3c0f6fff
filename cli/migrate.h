/* Moving many mailboxes: each is fetched, restored and compared, several at once, each in a process
 * of its own, so that what happens to one touches no other. */
#pragma once

#include "cli/migrate_map.h"
#include "cli/restore.h"
#include "cli/restore_target.h"
#include "cli/run.h"

struct migrate_mailbox {
	const struct migrate_row *row;
	struct restore_target target;

	bool fetched; /* or it was asked not to; else fetch.text says why not */
	struct fault fetch;
	uint64_t listed, archived, pending, refused, new_messages; /* what fetch said */

	bool ended;
	struct restore_sums sums;
	struct fault how; /* FAULT_NONE: as far as sums say */
};

/* What is the same for all; borrowed. */
struct migrate_plan {
	struct run *run;
	struct migrate_mailbox *all;
	size_t n;
	enum flags_rule flags;
	const char *template; /* or NULL */
	enum restore_compare compare;
	unsigned jobs, connections;
	bool look_only;
};

/* `popkeep fetch` of all accounts, in a process of its own that reads the configuration as this one
 * did. What fails for one is noted with it. */
int migrate_fetch(struct migrate_plan *p, struct fault *f) MUST_CHECK;
/* `popkeep index`, likewise: dates come from there. What it could not read gets the date of
 * archiving. */
int migrate_index(struct migrate_plan *p, struct fault *f) MUST_CHECK;

/* Restores all; told after each that has ended, and while some are under way. FAULT_INTERRUPT: it
 * was stopped; FAULT_SYSTEM. */
struct migrate_watch {
	void (*ended)(void *context, struct migrate_mailbox *m);
	void (*failed)(void *context, struct migrate_mailbox *m, const struct digest *digest,
		const char *folder, const char *text);
	void (*note)(void *context, struct migrate_mailbox *m, const char *text);
	void (*progress)(void *context, uint64_t mailboxes, uint64_t bytes);
	void *context;
};
int migrate_restore(
	struct migrate_plan *p, const struct migrate_watch *w, struct fault *f) MUST_CHECK;

/* Whether all that its source has is at its target; else ret says why not, safe to print. */
bool migrate_is_complete(const struct migrate_mailbox *m, char *ret, size_t size);
