/* An archive on disk, open. FORMAT.md says what lies where; commit.c says in which order it becomes
 * durable. A handle belongs to one thread; several handles, in several threads and processes, may
 * be open on the same archive.
 *
 * No logging, no exit(): what a person should know and is not a failure comes back as a notice. */
#pragma once

#include "archive/fault.h"
#include "archive/own.h"

struct store;

enum store_mode {
	STORE_READ,   /* takes no lock and writes nothing, so that a read-only folder will do; sees
		       * what the catalog says */
	STORE_WRITE,  /* may commit; brings the archive up to date after a crash when it opens */
	STORE_INSPECT /* as STORE_READ, of anybody's folder, with databases of one's own elsewhere:
		       * store_rebuild_into() */
};

/* Makes an archive in folder, which is made when it is missing and must be empty or an archive that
 * was half made. cache_dir: where the databases go, NULL for the archive itself.
 * >0 STORE_EXISTS: it is an archive already; nothing was changed. FAULT_DAMAGE: it was one, and its
 * POPKEEP is lost. */
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

/* The id of the archive in folder, 32 hex digits and NUL, without opening its databases. Fails as
 * store_open(); FAULT_DAMAGE also where the id is no hex digits: it becomes part of a path. */
enum { STORE_ID = 33 };
int store_identify(const char *folder, char ret_id[static STORE_ID], struct fault *f) MUST_CHECK;

const char *store_folder(const struct store *s);
const char *store_id(const struct store *s);

/* One popkeepd for each archive: held until the handle is closed (and by processes forked meanwhile
 * that keep its descriptors). STORE_WRITE only. FAULT_BUSY at once when another one has it. */
int store_lock_service(struct store *s, struct fault *f) MUST_CHECK;
/* STORE_SERVED: some process holds it, this one perhaps. Works with any mode, and takes nothing. */
enum { STORE_SERVED = 1 };
int store_is_served(struct store *s, struct fault *f) MUST_CHECK;

/* STORE_WRITE_FAILED: the last write failed, and nobody has written since. */
enum { STORE_WRITE_FAILED = 1 };
int store_write_failed(struct store *s) MUST_CHECK;

/* What happened on the way and a person should know ("cut 312 bytes of an unfinished group, kept in
 * aside/…"): the oldest one not yet taken, or NULL. The caller frees it. */
char *store_take_notice(struct store *s);
