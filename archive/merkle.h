/* The Merkle tree over the ledger's lines, RFC 6962 section 2.1: leaf = SHA-256(0x00 || line
 * without LF), node = SHA-256(0x01 || left || right). Only the frontier is kept: the roots of the
 * full subtrees that the size's bits name, the largest first. */
#pragma once

#include "archive/digest.h"

enum { MERKLE_DEPTH = 64 };

/* All zero: the empty tree. */
struct merkle {
	uint64_t size; /* leaves */
	struct digest node[MERKLE_DEPTH];
};

/* h is between two digests before and after. */
void merkle_add(struct merkle *m, struct slice line, struct hasher *h);
/* Of the tree as it stands; of an empty tree SHA-256 of nothing. */
void merkle_root(const struct merkle *m, struct hasher *h, struct digest *ret);

/* The frontier as bytes, for the catalog: one digest for each bit set in size. */
size_t merkle_frontier(const struct merkle *m, uint8_t ret[static MERKLE_DEPTH * DIGEST_LEN]);
/* 0, or 1 when the bytes do not fit the size. */
int merkle_restore(struct merkle *m, uint64_t size, struct slice frontier);
