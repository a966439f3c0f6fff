/* Names of a folder's files, in pieces that fit into memory, each in the order in which the files
 * lie on the disk; and sets of names, by their digests. */
#pragma once

#include "archive/digest.h"

#include <dirent.h>
#include <stdbool.h>

struct names_entry {
	uint64_t inode;
	uint32_t at;  /* of its name in text */
	uint8_t type; /* DT_…; DT_UNKNOWN where the file system does not say */
};

/* Embedded; zero-initialise. */
struct names {
	struct names_entry *all;
	size_t n, size;
	char *text;
	size_t text_len, text_size;
};
void names_deinit(struct names *n);
/* The next ones, at most LIMIT_IMPORT_CHUNK, without "." and "..". 0: none is left where n->n is 0.
 * -1 with errno. */
int names_read(struct names *n, DIR *dir) MUST_CHECK;
static inline const char *names_at(const struct names *n, size_t i)
{
	return n->text + n->all[i].at;
}
int names_add(struct names *n, const char *name, uint64_t inode, uint8_t type) MUST_CHECK;

/* Of names that nobody can make alike: beginnings of SHA-256. */
struct name_set {
	struct hasher *hasher;
	uint64_t *all;
	size_t n, size;
	bool sorted;
};
void name_set_deinit(struct name_set *s);
int name_set_add(struct name_set *s, struct slice name, struct fault *f) MUST_CHECK;
/* Adds what is in from, which is empty then. */
int name_set_take(struct name_set *s, struct name_set *from, struct fault *f) MUST_CHECK;
/* 1 or 0. Sorts them when some were added: not to be mixed with adding. */
int name_set_has(struct name_set *s, struct slice name, struct fault *f) MUST_CHECK;
