/* What salvage found in a segment. Inside salvage*.c only. */
#pragma once

#include "archive/salvage.h"
#include "archive/seal_private.h"

enum salvage_state { SALVAGE_WHOLE, SALVAGE_BAD, SALVAGE_ELSEWHERE };

struct salvage_mail {
	uint64_t id, size_bytes, maildrop;
	moment_ms archived;
	struct digest digest;
	struct location at, elsewhere;
	enum salvage_state state;
	char *why; /* of a bad one */
};

struct salvage {
	struct store *s;
	uint64_t number;
	unsigned how;
	const struct seal_job *job;
	struct segment_row row;
	int fd; /* -1: its file is not there */
	struct salvage_mail *mail;
	size_t mails, mails_size;
	size_t bad;
	uint64_t done, all; /* bytes of mail */
};

/* Work of a turn: the segment's messages as the catalog has them. */
int salvage_load(struct store *s, struct seal_turn *turn, void *salvage, struct fault *f);
void salvage_forget(struct salvage *x);
/* Reads all of them. *ret_damaged: one is bad, or the file is damaged elsewhere. */
int salvage_look(struct salvage *x, bool *ret_damaged, struct fault *f) MUST_CHECK;
/* Looks for the bad ones in all other segments. */
int salvage_search(struct salvage *x, struct fault *f) MUST_CHECK;
