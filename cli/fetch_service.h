/* fetch through the service that keeps the archive, where one runs: it polls now and tells what
 * happens. */
#pragma once

#include "cli/chosen.h"
#include "daemon/poller.h"

struct fetch_service;

/* Asks the service to poll the chosen accounts (configured ones; all, when no name was given).
 * FETCH_NO_SERVICE: none runs. run and chosen are borrowed. */
enum { FETCH_NO_SERVICE = 1 };
int fetch_service_begin(struct run *run, const struct chosen *chosen, struct fetch_service **ret,
	struct fault *f) MUST_CHECK;
struct fetch_service *fetch_service_free(struct fetch_service *s);
void fetch_service_freep(struct fetch_service **s);

/* POLLER_EVENT with *ret as the poller gives it, its owner and account being the chosen one's; 0:
 * all is told. <0: the service refused, with what it says; or it went away; or Ctrl-C, by which it
 * goes on. */
int fetch_service_next(
	struct fetch_service *s, struct poller_event *ret, struct fault *f) MUST_CHECK;
