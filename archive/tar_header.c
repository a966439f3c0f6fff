#include "archive/tar_header.h"

/* Offsets and lengths of fields: POSIX.1-1988 section 10.1.1. */
enum {
	SIZE_AT = 124,
	SIZE_LEN = 12,
	SUM_AT = 148,
	SUM_LEN = 8,
	TYPE_AT = 156,
	MAGIC_AT = 257,
	PREFIX_AT = 345,
};

/* Octal digits, ended by NUL or space, or by the field. */
static bool parse_octal(const uint8_t *field, size_t len, uint64_t *ret)
{
	uint64_t n = 0;
	size_t i = 0;

	while (i < len && field[i] == ' ')
		i++;
	size_t first = i;
	for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
		n = n << 3 | (uint64_t)(field[i] - '0');
	*ret = n;
	return i > first && (i == len || field[i] == ' ' || field[i] == '\0');
}

static bool is_zero(const uint8_t *block)
{
	return block[0] == 0 && memcmp(block, block + 1, TAR_BLOCK - 1) == 0;
}

/* The checksum's own field counts as spaces. */
static bool sum_holds(const uint8_t *block)
{
	uint64_t said;
	unsigned sum = SUM_LEN * ' ';

	for (size_t i = 0; i < TAR_BLOCK; i++) {
		if (i < SUM_AT || i >= SUM_AT + SUM_LEN)
			sum += block[i];
	}
	return parse_octal(block + SUM_AT, SUM_LEN, &said) && said == sum;
}

int tar_header_parse(const uint8_t *block, struct tar_header *ret)
{
	struct tar_header h = {{0}, 0};
	uint8_t type = block[TYPE_AT];

	if (is_zero(block))
		return TAR_ZERO;
	if (memcmp(block + MAGIC_AT, "ustar", 5) != 0 || !sum_holds(block) ||
		!parse_octal(block + SIZE_AT, SIZE_LEN, &h.size))
		return TAR_NONE;
	if (type >= '1' && type <= '6')
		h.size = 0; /* links, devices and folders have no bytes */
	if ((type == '0' || type == '\0') && block[PREFIX_AT] == '\0')
		memcpy(h.name, block, TAR_NAME);
	*ret = h;
	return 0;
}
