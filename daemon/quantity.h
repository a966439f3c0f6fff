/* Durations and sizes as people write them, in the configuration and on the command line. */
#pragma once

#include <stdint.h>

/* "30s", "15m", "2h", "1d", "2w", "500ms"; a space may stand before the unit; a bare "0" needs
 * none. 0, or 1 when text is nothing of that kind, or too large; *ret is then untouched. */
int quantity_duration(const char *text, uint64_t *ret_ms);

/* "64K", "500 MiB", "1GiB", "4096", "2 TiB": B, K, M, G, T with or without iB, all powers of 1024;
 * upper and lower case alike. 0 or 1 as above. "MB" and its like are refused: they mean 1000 to
 * some and 1024 to others. */
int quantity_size(const char *text, uint64_t *ret_bytes);

/* Decimal digits and nothing else. 0 or 1 as above. */
int quantity_count(const char *text, uint64_t *ret);
