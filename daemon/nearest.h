/* "did you mean …?": which of the known words a mistyped one is most like. */
#pragma once

#include <stddef.h>

/* Words longer than this are like nothing. */
enum { NEAREST_WORD_MAX = 64 };

/* How many characters must be inserted, removed, replaced, or swapped with their neighbour to make
 * b of a (optimal string alignment; upper and lower case count as the same). Beyond
 * NEAREST_WORD_MAX: (size_t)-1. */
size_t nearest_distance(const char *a, const char *b);

/* A search that is offered one candidate after another. Start with `{.word = word}`; best is
 * borrowed, the first of equally near ones, and NULL while none was near enough: at most a third of
 * the word's length, at least one, and not all of it. */
struct nearest {
	const char *word, *best;
	size_t distance;
};
void nearest_offer(struct nearest *n, const char *candidate);

/* The same over an array. */
const char *nearest_of(const char *word, const char *const *known, size_t known_n);
