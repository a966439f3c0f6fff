/* Maildrops: what a (server, user) pair is in the archive. Its number stands in the ledger for
 * both, and is one UIDL space. */
#pragma once

#include "archive/moment.h"
#include "archive/store.h"

#include <stdbool.h>
#include <stdint.h>

/* The sums of the last complete listing and what came since; listed = archived + pending +
 * refused. */
struct sums {
	uint64_t listed, archived, pending, refused, vanished;
};

void sums_add(struct sums *to, const struct sums *s);

/* The server of a maildrop that imports go to; user is the account's name. It never is polled, and
 * shares the account's name with the maildrop of a POP3 server. */
#define MAILDROP_IMPORT "import:"

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

/* The same for several at once, in one group of the ledger. name, server and user are borrowed;
 * outcome and maildrop are set, maildrop is the caller's then. On failure none is. */
struct maildrop_request {
	const char *name, *server, *user;
	int outcome;
	struct maildrop maildrop;
};
int store_register_maildrops(
	struct store *s, struct maildrop_request *all, size_t n, struct fault *f) MUST_CHECK;

/* All maildrops by number. *ret is an array of *ret_n, to be freed with maildrops_free(). */
int store_maildrops(
	struct store *s, struct maildrop **ret, size_t *ret_n, struct fault *f) MUST_CHECK;
void maildrops_free(struct maildrop *all, size_t n);

/* Keeps two processes off one maildrop: held until maildrop_unlock() or the handle is closed.
 * FAULT_BUSY at once when another process has it. */
int maildrop_lock(struct store *s, uint64_t number, struct fault *f) MUST_CHECK;
void maildrop_unlock(struct store *s, uint64_t number);
