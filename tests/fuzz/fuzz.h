/* What every target has: the function that libFuzzer, or replay.c in its place, calls with each
 * input. It returns 0, and aborts where something does not hold that should for any bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Like assert(), and with every build. */
#define require(holds) require_at((holds), __FILE__, __LINE__, #holds)

static inline void require_at(bool holds, const char *file, int line, const char *what)
{
	if (holds)
		return;
	(void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}
