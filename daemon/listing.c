#include "daemon/listing.h"

#include "archive/decimal.h"
#include "archive/escape.h"
#include "archive/limits.h"

#include <inttypes.h>

enum { FIRST_ROOM = 256 };

void listing_init(struct listing *l)
{
	*l = (struct listing){.uidls = buffer_make(LIMIT_LISTED_UIDLS),
		.seen = buffer_make(LIMIT_LISTED / 8 + 1)};
}

void listing_deinit(struct listing *l)
{
	free(l->entries);
	buffer_deinit(&l->uidls);
	buffer_deinit(&l->seen);
	listing_init(l);
}

static int malformed(const char *what, struct slice line, struct fault *f)
{
	char text[128];

	if (line.len > 60)
		line.len = 60;
	return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
		"this listing cannot be used: %s has the line \"%s\"", what,
		escape_text(line, text, sizeof text));
}

/* Notes that the number has its line now; <0 when it had one before. */
static int note_seen(struct listing *l, uint32_t number, const char *what, struct fault *f)
{
	size_t byte = number / 8, had = l->seen.len;
	uint8_t bit = (uint8_t)(1U << (number % 8));

	if (byte >= had) {
		if (buffer_reserve(&l->seen, byte + 1 - had, f) < 0)
			return -1;
		memset(l->seen.data + had, 0, byte + 1 - had);
		l->seen.len = byte + 1;
	}
	if (l->seen.data[byte] & bit)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"this listing cannot be used: %s has message %" PRIu32 " twice", what,
			number);
	l->seen.data[byte] |= bit;
	return 0;
}

/* Takes "n" and the spaces behind it from *rest. */
static int take_number(
	struct listing *l, struct slice *rest, uint32_t *ret, const char *what, struct fault *f)
{
	struct slice line = *rest;
	uint64_t number;

	(void)decimal_skip_spaces(rest);
	int r = decimal_take(rest, &number);
	if (r == DECIMAL_NONE)
		return malformed(what, line, f);
	if (decimal_skip_spaces(rest) == 0 && rest->len > 0)
		return malformed(what, line, f);
	if (r == DECIMAL_HUGE || number < 1 || number > LIMIT_LISTED)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"this listing cannot be used: %s has message number %" PRIu64, what,
			number);
	if (note_seen(l, (uint32_t)number, what, f) < 0)
		return -1;
	*ret = (uint32_t)number;
	return 0;
}

static int grow(struct listing *l, struct fault *f)
{
	size_t room = l->room ? l->room * 2 : FIRST_ROOM;
	struct listed *entries = reallocarray(l->entries, room, sizeof *entries);

	if (!entries)
		return fault_memory(f);
	l->entries = entries;
	l->room = room;
	return 0;
}

int listing_add_uidl(struct listing *l, struct slice line, struct fault *f)
{
	struct slice uidl = line;
	uint32_t number;

	if (take_number(l, &uidl, &number, "UIDL", f) < 0)
		return -1;
	if (uidl.len > LIMIT_UIDL)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"this listing cannot be used: the UIDL of message %" PRIu32
			" has %zu bytes, more than %d",
			number, uidl.len, LIMIT_UIDL);
	if (l->n == l->room && grow(l, f) < 0)
		return -1;
	size_t uidl_at = l->uidls.len;
	if (buffer_append(&l->uidls, uidl.data, uidl.len, f) < 0)
		return fault_prefix(f, "the UIDLs of the listing");
	l->entries[l->n++] = (struct listed){.size = SIZE_UNKNOWN,
		.number = number,
		.uidl_at = (uint32_t)uidl_at,
		.uidl_len = (uint16_t)uidl.len};
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = ((const struct listed *)a)->number, y = ((const struct listed *)b)->number;

	return (x > y) - (x < y);
}

void listing_uidl_end(struct listing *l)
{
	bool ascends = true;

	for (size_t i = 1; i < l->n && ascends; i++)
		ascends = l->entries[i - 1].number < l->entries[i].number;
	if (!ascends)
		qsort(l->entries, l->n, sizeof *l->entries, by_number);
	buffer_clear(&l->seen);
	l->next = 0;
}

static struct listed *find_number(struct listing *l, uint32_t number)
{
	struct listed key = {.number = number};

	if (l->next < l->n && l->entries[l->next].number == number)
		return &l->entries[l->next++];
	struct listed *e =
		l->n == 0 ? NULL : bsearch(&key, l->entries, l->n, sizeof key, by_number);
	if (e)
		l->next = (size_t)(e - l->entries) + 1;
	return e;
}

int listing_add_size(struct listing *l, struct slice line, struct fault *f)
{
	struct slice rest = line;
	uint64_t size = SIZE_UNKNOWN;
	uint32_t number;

	if (take_number(l, &rest, &number, "LIST", f) < 0)
		return -1;
	/* A server that counts in 32 bits announces what is beyond 2 GiB as negative. */
	bool negative = rest.len > 0 && rest.data[0] == '-';
	if (negative)
		rest = slice_of(rest.data + 1, rest.len - 1);
	if (decimal_take(&rest, &size) == DECIMAL_NONE)
		return malformed("LIST", line, f);
	if (rest.len > 0 && rest.data[0] != ' ')
		return malformed("LIST", line, f);
	struct listed *e = find_number(l, number);
	if (!e) {
		l->without_uidl++;
		if (l->first_without == 0)
			l->first_without = number;
	} else if (!negative && size != SIZE_UNKNOWN) {
		e->size = size;
		if (__builtin_add_overflow(l->bytes, size, &l->bytes))
			l->bytes = UINT64_MAX;
	}
	return 0;
}

static int by_uidl(const void *a, const void *b, void *context)
{
	const struct listed *x = a, *y = b;
	const struct listing *l = context;
	int order = slice_compare(listing_uidl(l, x), listing_uidl(l, y));

	if (order == 0)
		order = (x->size > y->size) - (x->size < y->size);
	return order ? order : by_number(a, b);
}

void listing_sort(struct listing *l)
{
	/* Many servers' UIDLs ascend with the numbers: then there is nothing to do. */
	for (size_t i = 1; i < l->n; i++) {
		if (by_uidl(&l->entries[i - 1], &l->entries[i], l) > 0) {
			qsort_r(l->entries, l->n, sizeof *l->entries, by_uidl, l);
			return;
		}
	}
}
