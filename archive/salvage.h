/* Takes what is whole out of a damaged segment into a new sealed one, and enters in the ledger what
 * is lost, so that the next poll fetches it again where the server still has it. */
#pragma once

#include "archive/find.h"
#include "archive/seal.h"

struct salvage_sums {
	struct seal_result sealed; /* segment 0: none was made */
	uint64_t moved;		   /* messages that lie whole in another segment */
	uint64_t lost, lost_bytes;
};
/* m without account and class; text: why, safe to print. Told before it is entered. */
typedef void salvage_lost(void *context, const struct message *m, const char *why);

enum salvage_how {
	SALVAGE_LOOK = 1 << 0,	 /* only says what would happen */
	SALVAGE_GIVE_UP = 1 << 1 /* also a segment whose file is not there: all of it is lost */
};
/* Every message is read, and what looks damaged read twice. The damaged file stays, as
 * segments/N.damaged. segment 0: the messages that the ledger keeps and no segment holds, with
 * SALVAGE_GIVE_UP. s is STORE_WRITE.
 * SEAL_NOTHING: nothing in it is damaged, nothing was changed. SALVAGE_ABSENT: its file is not
 * there, or messages are in no segment, and *ret says how many; without SALVAGE_GIVE_UP nothing is
 * done, since a disk may just not be mounted. FAULT_MISSING: no such segment. Otherwise as
 * store_seal(). */
enum { SALVAGE_ABSENT = 2 };
int store_salvage(struct store *s, uint64_t segment, unsigned how, const struct seal_job *job,
	salvage_lost *lost, void *context, struct salvage_sums *ret, struct fault *f) MUST_CHECK;

/* The first segment behind `after`, or SEAL_NOTHING. */
int store_next_segment(struct store *s, uint64_t after, uint64_t *ret, struct fault *f) MUST_CHECK;
