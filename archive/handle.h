/* What is behind struct store. Inside archive/ only. */
#pragma once

#include "archive/batch.h"
#include "archive/catalog.h"
#include "archive/ledger.h"
#include "archive/store.h"
#include "archive/turns.h"

enum { ARCHIVE_ID = STORE_ID }; /* 32 hex digits and NUL */

struct writer_slot {
	char class_[LIMIT_CLASS + 1];
	struct segment_writer *writer;
	bool used; /* by the group that is under way */
};

enum { CLASSES_MAX = 16 }; /* retention classes with an open segment at once in one process */

struct store {
	char *folder, *catalog_path, *search_path;
	enum store_mode mode;
	char id[ARCHIVE_ID];
	int folder_fd, ledger_fd, segments_fd, lock_fd;
	struct catalog *catalog;
	uint64_t catalog_inode;	     /* rebuild puts another file in its place */
	struct catalog *catalog_now; /* for looking again where a message lies: read.c */
	uint64_t catalog_now_inode;
	struct search_db *search; /* for reading: index_state.c */
	uint64_t search_read_inode;
	uint64_t search_inode; /* of the file that is attached: store_attach_search() */
	struct writer_slot slot[CLASSES_MAX];
	size_t slots;
	struct frame_cache cache; /* for reading: read.c */
	struct hasher *hasher;	  /* between two messages; NULL: none yet, or in use */
	int reading_fd;		  /* the segment that was read last, or -1 */
	uint64_t reading_segment;
	struct fault dead;	 /* code not NONE: a write failed, nothing more is written */
	uint64_t unsealable[64]; /* segments that failed to be sealed by this handle */
	size_t unsealable_n;
	char **notice; /* oldest first */
	size_t notices;
};

/* A number that no segment has or had: a missing file keeps its own. */
int store_new_segment(struct store *s, uint64_t *ret, struct fault *f) MUST_CHECK;

/* The files of an archive. */
#define FILE_POPKEEP	  "POPKEEP"
#define FILE_LOCK	  "lock"
#define FILE_CATALOG	  "catalog.db"
#define FILE_SEARCH	  "search.db" /* in search/, or in cache-dir */
#define FILE_WRITE_FAILED "write-failed"
#define FOLDER_LEDGER	  "ledger"
#define FOLDER_SEGMENTS	  "segments"
#define FOLDER_SEARCH	  "search"
#define FOLDER_ASIDE	  "aside"

/* Opens folders, POPKEEP and the lock; no catalog. */
int store_open_folders(const char *folder, const char *cache_dir, enum store_mode mode,
	struct store **ret, struct fault *f) MUST_CHECK;
/* Opens, or opens again where another file took its name, the catalog. */
int store_open_catalog(struct store *s, struct fault *f) MUST_CHECK;
/* An empty group: takes the turn, replays what others left, commits nothing. */
int store_catch_up(struct store *s, struct fault *f) MUST_CHECK;
/* A transaction of the catalog alone, in a turn: neither ledger nor segments are looked at. */
typedef int catalog_change(struct catalog *c, const void *what, struct fault *f);
int store_change_catalog(
	struct store *s, catalog_change *apply, const void *what, struct fault *f) MUST_CHECK;
void store_notice(struct store *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A write failed: remembers it and leaves the mark that makes the next writer begin new files.
 * Yields -1. */
int store_die(struct store *s, const struct fault *f);

void store_close_writers(struct store *s);

/* Under TURN_COMMIT, in a catalog transaction: makes files and catalog agree after a crash; see
 * replay.c. at: what the catalog says, moved to what the ledger says. *ret_roll: the last write
 * failed: begin new files. */
int store_replay(struct store *s, struct ledger_at *at, bool *ret_roll, struct fault *f) MUST_CHECK;

/* Whether the ledger goes beyond what the catalog knows of it: LEDGER_GREW. FAULT_DAMAGE: it is
 * shorter. */
enum { LEDGER_GREW = 1 };
int store_ledger_grew(struct store *s, const struct ledger_at *at, struct fault *f) MUST_CHECK;

/* Moves bytes from `offset` to the end of a file into aside/, then cuts the file there and syncs
 * it. what: "ledger-000001", for the name. Says so in a notice. */
int aside_cut(
	struct store *s, int fd, const char *what, uint64_t offset, struct fault *f) MUST_CHECK;

/* A row of the columns that FIND_PREFIX and its like select. Borrows nothing; owns account and
 * class_. */
int message_from_row(
	struct store *s, sqlite3_stmt *row, struct message *ret, struct fault *f) MUST_CHECK;
