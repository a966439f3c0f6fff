/* The ledger's files: ledger/000001.log and on. Lines are grouped; each group ends with a commit
 * line that carries the tree's size and root over all lines before it. A group without its valid
 * commit line never happened. FORMAT.md gives the lines, archive/event.h reads and writes one. */
#pragma once

#include "archive/event.h"
#include "archive/merkle.h"

/* A place behind a committed group: where the next one begins. */
struct ledger_at {
	uint64_t file;	    /* number; 0 before the first file */
	uint64_t length;    /* of that file, in bytes */
	struct merkle tree; /* over all lines so far */
	moment_ms last;	    /* time of the last line */
};

enum { LEDGER_NAME = 32 };
void ledger_name(uint64_t number, char ret[static LEDGER_NAME]);
/* The highest number in ledger/; 0 when there is none. */
int ledger_last_file(int folder_fd, uint64_t *ret, struct fault *f) MUST_CHECK;

/* ---- Appending: for who holds TURN_COMMIT --------------------------------------------------- */

/* Collects one group; nothing is written before ledger_group_write(). */
struct ledger_group {
	struct ledger_at at; /* moves with each line */
	bool new_file;
	struct buffer text;
	struct hasher *hasher;
};

/* Begins a group behind `at`; in a new file where that one is full, or `roll` says so (file_roll).
 * The line that links a new file to the one before is added here. */
enum ledger_roll { ROLL_WHEN_FULL, ROLL_NOW };
int ledger_group_begin(struct ledger_group *g, int folder_fd, const struct ledger_at *at,
	enum ledger_roll roll, const char *archive_id, moment_ms now, struct fault *f) MUST_CHECK;
void ledger_group_deinit(struct ledger_group *g);
/* Adds a line; *ret_number is its leaf number. */
int ledger_group_add(struct ledger_group *g, const struct event *e, uint64_t *ret_number,
	struct fault *f) MUST_CHECK;
/* Adds the commit line, writes the group behind what is there, and syncs it, and the folder when
 * the file is new. g->at is then the new end. */
int ledger_group_write(
	struct ledger_group *g, int folder_fd, moment_ms now, struct fault *f) MUST_CHECK;

/* ---- Reading ------------------------------------------------------------------------------- */

struct ledger_reader;
enum {
	LEDGER_GROUP = 1, /* a group with its valid commit line */
	LEDGER_BAD = 2,	  /* lines that do not fit their commit line, with more behind them: damage;
			   * *f   says where. The lines can be read all the same */
	LEDGER_TAIL = 3	  /* bytes at the very end without a valid commit line: never happened */
};
/* Reads from `from` on, which must be behind a group; {0} for the beginning. */
int ledger_reader_open(int folder_fd, const struct ledger_at *from, struct ledger_reader **ret,
	struct fault *f) MUST_CHECK;
struct ledger_reader *ledger_reader_close(struct ledger_reader *r);
void ledger_reader_closep(struct ledger_reader **r);
/* The next group, or 0 at the end. */
int ledger_reader_next(struct ledger_reader *r, struct fault *f) MUST_CHECK;
/* The lines of the group, in order: true with the line (no LF; borrowed until
 * ledger_reader_next()) and its number. */
bool ledger_reader_line(struct ledger_reader *r, struct slice *ret, uint64_t *ret_number);
/* Behind the group that was given last. */
const struct ledger_at *ledger_reader_at(const struct ledger_reader *r);
/* After LEDGER_BAD: it is the file before that has changed, in a line that no root covers there:
 * its last one. */
bool ledger_reader_blames_before(const struct ledger_reader *r);
/* After LEDGER_TAIL: where it lies. At offset 0 the whole file never happened. */
struct ledger_tail {
	uint64_t file, offset, bytes;
};
struct ledger_tail ledger_reader_tail(const struct ledger_reader *r);
