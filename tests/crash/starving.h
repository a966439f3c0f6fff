/* Allocations that fail: the library's own go through wrappers (-Wl,--wrap), SQLite's through what
 * it offers for it. OpenSSL's do not fail here: see must() in archive/digest.c. */
#pragma once

#include <stdbool.h>

/* Once, before SQLite is used. <0: it would not have it. */
int starve_begin(void);
/* From here on the allocation of number n, counted from 0, fails. */
void starve_at(long n);
/* No more; whether it came to that one. */
bool starve_end(void);
