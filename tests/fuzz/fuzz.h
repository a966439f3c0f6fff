/* What every target has: the function that libFuzzer, or replay.c in its place, calls with each
 * input. It returns 0, and aborts where something does not hold that should for any bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(bool holds)
{
	if (!holds)
		abort();
}
