/* In which order a sealed segment holds its messages: those that resemble each other side by side,
 * so that one frame has them together. */
#pragma once

#include "archive/digest.h"
#include "archive/moment.h"

struct cluster;
int cluster_new(struct cluster **ret, struct fault *f) MUST_CHECK;
struct cluster *cluster_free(struct cluster *c);

/* The next message, of which head is the beginning: LIMIT_HEADER_BYTES of it are looked at. */
int cluster_add(struct cluster *c, struct slice head, struct fault *f) MUST_CHECK;
/* The message added last holds this part. */
int cluster_add_part(struct cluster *c, const struct digest *part, struct fault *f) MUST_CHECK;

/* The order: numbers of messages, counted from 0 as they were added; each once. The caller frees
 * it. The same messages in the same order give the same. */
int cluster_order(struct cluster *c, uint32_t **ret, struct fault *f) MUST_CHECK;
