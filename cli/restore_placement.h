/* Where one message goes and how: into which folders of the target, with which flags and date. */
#pragma once

#include "archive/find.h"
#include "archive/index.h"

enum flags_rule {
	FLAGS_KNOWN, /* those that an import knew; \Seen where none did */
	FLAGS_SEEN,
	FLAGS_NONE
};

/* All borrowed. */
struct placement_rules {
	const char *root;     /* path in the target under which everything lies; NULL: none */
	const char *template; /* below it, restore_folder.h; NULL: all lies in root itself */
	const char *account;  /* for {account}; NULL: the one under which a message came first */
	const uint64_t *maildrops; /* what imports of others knew does not count; NULL: of all */
	size_t maildrops_n;
	enum flags_rule flags;
};

struct placement {
	char *folder; /* UTF-8, "/" between levels */
	char *flags;  /* as struct filing has them; "" none */
	moment_ms received;
};

struct placements {
	struct placement *all; /* each in another folder; never none */
	size_t n;
	bool indexed;	     /* search.db knows it */
	uint32_t message_id; /* message_id_hash(); 0 where it is not indexed */
};

int placements_read(struct store *s, const struct message *m, const struct placement_rules *rules,
	struct placements *ret, struct fault *f) MUST_CHECK;
void placements_deinit(struct placements *p);

/* A number for a Message-ID, the same for however it is folded and bracketed, never 0: only to tell
 * which messages may be the same. */
uint32_t message_id_hash(struct slice message_id);
