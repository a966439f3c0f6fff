/* What a file that holds many messages is made of: mboxrd, tar, tar in zstd frames, zip. A message
 * is an entry: begun, given in pieces, ended. */
#pragma once

#include "archive/moment.h"
#include "cli/volume.h"

/* Each kind embeds it as the first member of what it opens. */
struct pack {
	const struct pack_kind *kind;
	struct volume *out; /* borrowed */
};

struct pack_entry {
	const char *name; /* UTF-8, with its folders */
	uint64_t size;	  /* so many bytes follow */
	moment_ms time;
	enum { PACK_LINES_LF, PACK_LINES_KEPT } lines; /* of mboxrd */
};

enum { PACK_BARE_LF = 1 };

struct pack_kind {
	/* Goes on at the end of out, where the last entry ended. folder: a descriptor, borrowed,
	 * for files without a name. */
	int (*open)(struct volume *out, int folder, struct pack **ret, struct fault *f);
	/* There is such an entry already, of an earlier run: told of each, in their order. offset:
	 * where it begins in the file. NULL: nobody needs to know. */
	int (*recall)(struct pack *p, uint64_t offset, struct fault *f);
	int (*begin)(struct pack *p, const struct pack_entry *e, struct fault *f);
	/* PACK_BARE_LF (mboxrd with PACK_LINES_LF only): cut it, and begin it with
	 * PACK_LINES_KEPT. */
	int (*put)(struct pack *p, struct slice bytes, struct fault *f);
	int (*end)(struct pack *p, struct fault *f);
	/* All entries that ended are in the volume, and the next can be read without them. */
	int (*flush)(struct pack *p, struct fault *f);
	/* The volume was cut to what it was when all was flushed: what was begun never was. */
	int (*reset)(struct pack *p, struct fault *f);
	/* What stands behind the last entry. Nothing can be put any more. */
	int (*finish)(struct pack *p, struct fault *f);
	/* Where in the file one has to begin reading to get the entry that begins now. */
	uint64_t (*offset)(const struct pack *p);
	/* At most so many bytes will the file have, with another entry and when it is finished. */
	uint64_t (*most)(const struct pack *p, size_t name_len, uint64_t size);
	void (*close)(struct pack *p); /* frees it */
};

extern const struct pack_kind pack_mboxrd, pack_tar, pack_tar_zst, pack_zip;

/* For `struct pack *p CLEANUP(pack_closep) = NULL`. */
static inline void pack_closep(struct pack **p)
{
	if (*p)
		(*p)->kind->close(*p);
	*p = NULL;
}
