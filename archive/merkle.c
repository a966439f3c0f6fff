#include "archive/merkle.h"

#include <assert.h>

static size_t nodes(uint64_t size)
{
	return (size_t)__builtin_popcountll(size);
}

static void join(
	struct hasher *h, const struct digest *left, const struct digest *right, struct digest *ret)
{
	static const uint8_t prefix = 1;

	hasher_add(h, &prefix, 1);
	hasher_add(h, left->byte, DIGEST_LEN);
	hasher_add(h, right->byte, DIGEST_LEN);
	hasher_end(h, ret);
}

void merkle_add(struct merkle *m, struct slice line, struct hasher *h)
{
	static const uint8_t prefix = 0;
	size_t n = nodes(m->size);
	struct digest node;

	assert(m->size < UINT64_MAX);
	hasher_add(h, &prefix, 1);
	hasher_add(h, line.data, line.len);
	hasher_end(h, &node);
	/* As in binary counting: each trailing one bit is a subtree that this leaf completes. */
	for (uint64_t bits = m->size; bits & 1; bits >>= 1)
		join(h, &m->node[--n], &node, &node);
	m->node[n] = node;
	m->size++;
}

void merkle_root(const struct merkle *m, struct hasher *h, struct digest *ret)
{
	size_t n = nodes(m->size);

	if (n == 0) {
		hasher_end(h, ret);
		return;
	}
	struct digest root = m->node[--n];
	while (n > 0)
		join(h, &m->node[--n], &root, &root);
	*ret = root;
}

size_t merkle_frontier(const struct merkle *m, uint8_t ret[static MERKLE_DEPTH * DIGEST_LEN])
{
	size_t len = nodes(m->size) * DIGEST_LEN;

	memcpy(ret, m->node, len);
	return len;
}

int merkle_restore(struct merkle *m, uint64_t size, struct slice frontier)
{
	if (frontier.len != nodes(size) * DIGEST_LEN)
		return 1;
	m->size = size;
	if (frontier.len > 0)
		memcpy(m->node, frontier.data, frontier.len);
	return 0;
}
