/* Who may begin: a cap on all together and one for each server. First come, first served within a
 * server, and the servers take turns: a slow one with many accounts does not keep the others
 * waiting. */
#pragma once

#include "archive/fault.h"
#include "archive/own.h"

#include <stdint.h>
#include <sys/queue.h>

struct admission_server;

/* Embedded in what is to be admitted. */
struct admission_entry {
	struct admission_server *server; /* NULL: not there */
	enum { ADMISSION_WAITING, ADMISSION_ACTIVE } state;
	TAILQ_ENTRY(admission_entry) link;
};

struct admission;
int admission_new(
	uint32_t max_all, uint32_t max_server, struct admission **ret, struct fault *f) MUST_CHECK;
/* Entries that are still in it are forgotten. */
struct admission *admission_free(struct admission *a);
/* From now on; who is active beyond them stays so. */
void admission_set_caps(struct admission *a, uint32_t max_all, uint32_t max_server);

/* Waits from now on for a place at host and port; the entry is borrowed until it leaves.
 * FAULT_MEMORY. */
int admission_add(struct admission *a, struct admission_entry *e, const char *host, uint16_t port,
	struct fault *f) MUST_CHECK;
/* The next one, active from now on, or NULL: nobody waits, or all caps are reached. */
struct admission_entry *admission_next(struct admission *a);
/* Active or waiting before, it is gone now. */
void admission_leave(struct admission *a, struct admission_entry *e);

uint32_t admission_active(const struct admission *a);
