/* The folder that `export --format eml` writes: one file for each message and manifest.jsonl, a
 * line for each file. A file appears under its name when it is whole and synced, never over another
 * one; its line in the manifest follows. So after a crash, or Ctrl-C, the same export goes on:
 *
 *   .popkeep-export   of which archive and query this is; written first
 *   .<64 hex>.part    a message being written, worth nothing after a crash
 *   <name>.eml        a whole message; without a line in the manifest its digest is compared
 *   manifest.jsonl    whole lines count; a torn last one is cut
 */
#pragma once

#include "archive/find.h"

struct export_folder;

/* origin: what is exported, one line. The folder is made when it is missing; it must be empty or of
 * an earlier run with the same origin (FAULT_USAGE). FAULT_SYSTEM: it cannot be read or written. */
int export_folder_open(const char *path, const char *origin, struct export_folder **ret,
	struct fault *f) MUST_CHECK;
struct export_folder *export_folder_close(struct export_folder *e);
void export_folder_closep(struct export_folder **e);

/* How many files there were when it was opened. */
size_t export_folder_earlier(const struct export_folder *e);

/* Writes a message and its line, unless an earlier run did: EXPORT_PRESENT. accounts: NULL-ended,
 * as find_accounts() gives them. FAULT_DAMAGE with SCOPE_MESSAGE: nothing of it was written, others
 * can be. */
enum { EXPORT_PRESENT = 1 };
int export_folder_add(struct export_folder *e, struct store *s, const struct message *m,
	char *const *accounts, struct fault *f) MUST_CHECK;

/* Syncs manifest and folder: all is durable then. */
int export_folder_finish(struct export_folder *e, struct fault *f) MUST_CHECK;

/* "2026-11-21_0123456789ab.eml": the day of archiving in UTC and the first digits of the digest;
 * safe on every file system. */
enum { EXPORT_NAME = 11 + DIGEST_HEX + 5 };
void export_file_name(const struct message *m, size_t digits, char ret[static EXPORT_NAME]);
