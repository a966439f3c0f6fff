/* A folder that is being read, with all below it. Inside cli/import_tree*.c and import_maildir.c
 * only. */
#pragma once

#include "cli/import_names.h"
#include "cli/import_place.h"
#include "cli/import_source.h"

struct tree {
	const char *root; /* for people */
	const struct import_options *options;
	const struct import_taker *taker;
	uint8_t *whole;	     /* LIMIT_IMPORT_WHOLE bytes: a file */
	struct buffer where; /* path of what is being read, for people */
	uint64_t done;	     /* bytes */
	bool saw_maildir, saw_other;
};

/* Paths for people: the length before, for tree_leave(). */
int tree_enter(struct tree *t, const char *name, size_t *ret_before, struct fault *f) MUST_CHECK;
void tree_leave(struct tree *t, size_t before);
/* The path that is being read, and its part `name`; NULL where memory ran out. */
const char *tree_where(struct tree *t, struct fault *f);

/* A file that is being read. */
struct tree_file {
	int folder; /* descriptor */
	const char *name;
	const char *in;	    /* its mail folder */
	const char *flags;  /* of a Maildir's file */
	bool is_in_maildir; /* it is a message, whatever is in it */
	bool is_in_mh;	    /* likewise */
};
/* TREE_GONE: there is none of this name, and nothing was said about it. */
enum { TREE_GONE = 1 };
int tree_read_file(struct tree *t, const struct tree_file *file, struct fault *f) MUST_CHECK;

/* cur and new of a Maildir; folder is its mail folder. */
int maildir_read(struct tree *t, int maildir, const char *folder, struct fault *f) MUST_CHECK;
