/* An archive on disk, open. FORMAT.md says what lies where; commit.c says in which order it becomes
 * durable. A handle belongs to one thread; several handles, in several threads and processes, may
 * be open on the same archive.
 *
 * No logging, no exit(): what a person should know and is not a failure comes back as a notice. */
#pragma once

#include "archive/bytes.h"
#include "archive/moment.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

enum store_mode {
	STORE_READ, /* takes no lock and writes nothing; sees what the catalog says */
	STORE_WRITE /* may commit; brings the archive up to date after a crash when it opens */
};

/* Makes an archive in folder, which is made when it is missing and must be empty or an archive that
 * was half made. cache_dir: where the databases go, NULL for the archive itself.
 * >0 STORE_EXISTS: it is an archive already; nothing was changed. */
enum { STORE_EXISTS = 1 };
int store_create(const char *folder, const char *cache_dir, struct fault *f) MUST_CHECK;

/* When root: gives up root for good and becomes the owner of folder (or, where it does not exist
 * yet, of the nearest folder above it that does, and stays root when that is root's). Anybody else
 * than the owner is refused (FAULT_ACCESS). Call it once, after secrets were read and before the
 * archive is opened. */
int store_become_owner(const char *folder, struct fault *f) MUST_CHECK;

/* FAULT_MISSING: no archive there. FAULT_FORMAT: a later format, or features this version does not
 * know. FAULT_DAMAGE: the catalog is missing, or does not fit the ledger (`popkeep rebuild`).
 * FAULT_BUSY: STORE_WRITE only, the lock was not to be had in LIMIT_LOCK_MS. */
int store_open(const char *folder, const char *cache_dir, enum store_mode mode, struct store **ret,
	struct fault *f) MUST_CHECK;
struct store *store_close(struct store *s);
void store_closep(struct store **s);

const char *store_folder(const struct store *s);
const char *store_id(const struct store *s);

/* What happened on the way and a person should know ("cut 312 bytes of an unfinished group, kept in
 * aside/…"): the oldest one not yet taken, or NULL. The caller frees it. */
char *store_take_notice(struct store *s);

/* ---- Maildrops --------------------------------------------------------------------------- */

/* The sums of the last complete listing and what came since; listed = archived + pending +
 * refused. */
struct sums {
	uint64_t listed, archived, pending, refused, vanished;
};

struct maildrop {
	uint64_t number;
	char *name; /* the account's name in the configuration when last seen */
	char *server,
		*user; /* the UIDL space; server is "host", or "host:port" for a port of its own */
	struct sums sums;
	moment_ms polled;      /* last complete poll, 0 never; of this catalog: not in the ledger */
	bool sizes_unreliable; /* LIST gave another size for a message that had not changed */
};

void maildrop_deinit(struct maildrop *m);

/* The maildrop of (server, user); registers it in the ledger, durably, when it is new or its name
 * changed. MAILDROP_REPLACED: the name belonged to another server or user before: a new UIDL space
 * has begun. */
enum { MAILDROP_KNOWN = 0, MAILDROP_NEW = 1, MAILDROP_RENAMED = 2, MAILDROP_REPLACED = 3 };
int store_maildrop(struct store *s, const char *name, const char *server, const char *user,
	struct maildrop *ret, struct fault *f) MUST_CHECK;

/* All maildrops by number. *ret is an array of *ret_n, to be freed with maildrops_free(). */
int store_maildrops(
	struct store *s, struct maildrop **ret, size_t *ret_n, struct fault *f) MUST_CHECK;
void maildrops_free(struct maildrop *all, size_t n);

/* Keeps two processes off one maildrop: held until maildrop_unlock() or the handle is closed.
 * FAULT_BUSY at once when another process has it. */
int maildrop_lock(struct store *s, uint64_t number, struct fault *f) MUST_CHECK;
void maildrop_unlock(struct store *s, uint64_t number);

/* ---- What is known of a maildrop, for the comparison with a listing ------------------------ */

enum known_state {
	KNOWN_KEPT,    /* in the archive; copies: how often under this UIDL with these bytes */
	KNOWN_PENDING, /* was listed, not fetched yet */
	KNOWN_REFUSED, /* see reason, tries, next_try */
	KNOWN_VANISHED /* was listed and never archived, then gone */
};

enum refusal {
	REFUSAL_TOO_LARGE = 1, /* beyond max-message-size */
	REFUSAL_RETR_FAILED,   /* -ERR to RETR */
	REFUSAL_TRUNCATED,     /* the session broke inside this message, again and again */
	REFUSAL_FRAMING	       /* its end is not to be told (dots not doubled), even alone */
};
/* "too-large", "retr-failed", "truncated", "framing": the words of ledger and JSON. */
const char *refusal_word(enum refusal r);

struct known {
	struct slice uidl; /* borrowed until the next known_next() */
	enum known_state state;
	uint64_t listed_size; /* what LIST said when it was last fetched or listed; SIZE_UNKNOWN */
	uint64_t copies;      /* 1 or more for KNOWN_KEPT */
	enum refusal reason;
	uint32_t tries;
	moment_ms next_try;
	bool accepted; /* somebody acknowledged the refusal */
};
#define SIZE_UNKNOWN UINT64_MAX

/* Ordered by uidl as slice_compare(); rows of one UIDL in no particular order. Reads a snapshot. */
struct known_cursor;
int known_open(
	struct store *s, uint64_t maildrop, struct known_cursor **ret, struct fault *f) MUST_CHECK;
enum { KNOWN_ROW = 1 };
/* KNOWN_ROW, or 0 at the end. */
int known_next(struct known_cursor *c, struct known *ret, struct fault *f) MUST_CHECK;
struct known_cursor *known_close(struct known_cursor *c);
void known_closep(struct known_cursor **c);

/* When the next try of a message that was refused `tries` times is due: 15 minutes doubled with
 * each try, a week at most. */
moment_ms refusal_next_try(moment_ms refused, uint32_t tries);
