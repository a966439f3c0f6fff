/* What `fetch` by itself, with no service running, has the archive remember of how polls went, so
 * that `status` tells it. */
#pragma once

#include "archive/health.h"
#include "daemon/poller.h"

/* What was remembered when the fetch began. Zero-initialise. */
struct health_book {
	struct health *rows; /* by name */
	size_t n;
};

int health_book_open(struct health_book *b, struct poller *p, struct fault *f) MUST_CHECK;
void health_book_deinit(struct health_book *b);
/* A poll has ended. */
int health_book_note(const struct health_book *b, struct poller *p, const struct poller_event *done,
	struct fault *f) MUST_CHECK;
