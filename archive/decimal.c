#include "archive/decimal.h"

int decimal_take(struct slice *from, uint64_t *ret)
{
	uint64_t value = 0;
	size_t n = 0;
	int result = 0;

	for (; n < from->len && from->data[n] >= '0' && from->data[n] <= '9'; n++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(from->data[n] - '0'), &value))
			result = DECIMAL_HUGE;
	}
	if (n == 0)
		return DECIMAL_NONE;
	*from = slice_of(from->data + n, from->len - n);
	*ret = result ? UINT64_MAX : value;
	return result;
}

bool decimal_parse(struct slice text, uint64_t *ret)
{
	uint64_t value;

	if (text.len > 1 && text.data[0] == '0')
		return false;
	if (decimal_take(&text, &value) != 0 || text.len > 0)
		return false;
	*ret = value;
	return true;
}

size_t decimal_skip_spaces(struct slice *from)
{
	size_t n = 0;

	while (n < from->len && from->data[n] == ' ')
		n++;
	*from = slice_of(from->data + n, from->len - n);
	return n;
}
