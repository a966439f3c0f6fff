#include "daemon/quantity.h"

#include <stddef.h>
#include <strings.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* The digits of text, and where its unit begins. 1 when there are none or too many. */
static int number(const char *text, uint64_t *ret, const char **ret_unit)
{
	uint64_t value = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return 1;
	}
	if (p == text)
		return 1;
	if (*p == ' ' && p[1])
		p++;
	*ret = value;
	*ret_unit = p;
	return 0;
}

static int quantity(const char *text, const struct unit *units, size_t n, uint64_t *ret)
{
	uint64_t value;
	const char *unit;

	if (number(text, &value, &unit) != 0)
		return 1;
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(unit, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(value, units[i].factor, &value))
			return 1;
		*ret = value;
		return 0;
	}
	return 1;
}

int quantity_duration(const char *text, uint64_t *ret_ms)
{
	static const struct unit units[] = {
		{"ms", 1},
		{"s", 1000},
		{"m", 60 * 1000},
		{"h", 60 * 60 * 1000},
		{"d", 24 * 60 * 60 * 1000},
		{"w", 7 * 24 * 60 * 60 * 1000},
	};

	if (text[0] == '0' && text[1] == '\0') {
		*ret_ms = 0;
		return 0;
	}
	return quantity(text, units, sizeof units / sizeof *units, ret_ms);
}

int quantity_size(const char *text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{"", 1},
		{"B", 1},
		{"K", UINT64_C(1) << 10},
		{"KiB", UINT64_C(1) << 10},
		{"M", UINT64_C(1) << 20},
		{"MiB", UINT64_C(1) << 20},
		{"G", UINT64_C(1) << 30},
		{"GiB", UINT64_C(1) << 30},
		{"T", UINT64_C(1) << 40},
		{"TiB", UINT64_C(1) << 40},
	};

	return quantity(text, units, sizeof units / sizeof *units, ret_bytes);
}

int quantity_count(const char *text, uint64_t *ret)
{
	static const struct unit units[] = {{"", 1}};

	return quantity(text, units, 1, ret);
}
