#include "archive/index_record.h"

#include "archive/plain_text.h"

#include <endian.h>

enum { READ = 1, UNREAD = 2, HAS_DATE = 1, HAS_RECEIVED = 2 };

static const uint32_t most[INDEX_TEXTS] = {
	[INDEX_SENDER] = LIMIT_INDEX_SENDER,
	[INDEX_RECIPIENTS] = LIMIT_INDEX_LIST,
	[INDEX_COPIED] = LIMIT_INDEX_LIST,
	[INDEX_SUBJECT] = LIMIT_INDEX_SUBJECT,
	[INDEX_MESSAGE_ID] = LIMIT_INDEX_ID,
	[INDEX_NAMES] = LIMIT_INDEX_NAMES,
};

static int put_32(struct buffer *to, uint64_t value, struct fault *f)
{
	uint32_t little = htole32((uint32_t)value);

	return buffer_append(to, &little, sizeof little, f);
}

static int put_64(struct buffer *to, int64_t value, struct fault *f)
{
	uint64_t little = htole64((uint64_t)value);

	return buffer_append(to, &little, sizeof little, f);
}

static int put_facts(const struct index_record *r, struct buffer *to, struct fault *f)
{
	const uint8_t bits =
		(uint8_t)((r->has_date ? HAS_DATE : 0) | (r->has_received ? HAS_RECEIVED : 0));

	if (buffer_append(to, &bits, 1, f) < 0 || put_64(to, r->has_date ? r->date : 0, f) < 0 ||
		put_64(to, r->has_received ? r->received : 0, f) < 0 ||
		put_32(to, r->attachments, f) < 0)
		return -1;
	for (int i = 0; i < INDEX_TEXTS; i++) {
		if (put_32(to, r->text[i].len, f) < 0 ||
			(r->text[i].len &&
				buffer_append(to, r->text[i].data, r->text[i].len, f) < 0))
			return -1;
	}
	return 0;
}

int index_record_format(const struct index_record *r, struct buffer *to, struct fault *f)
{
	const uint8_t kind = r->read ? READ : UNREAD;
	size_t from = to->len;

	if (put_32(to, 0, f) < 0 || put_32(to, r->number, f) < 0 ||
		buffer_append(to, &kind, 1, f) < 0)
		return -1;
	if (r->read && put_facts(r, to, f) < 0)
		return -1;
	uint32_t little = htole32((uint32_t)(to->len - from - sizeof little));
	memcpy(to->data + from, &little, sizeof little);
	return 0;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static bool take(struct slice *from, void *to, size_t len)
{
	if (from->len < len)
		return false;
	memcpy(to, from->data, len);
	*from = slice_of(from->data + len, from->len - len);
	return true;
}

static bool take_32(struct slice *from, uint32_t *ret)
{
	if (!take(from, ret, sizeof *ret))
		return false;
	*ret = le32toh(*ret);
	return true;
}

static bool take_moment(struct slice *from, moment_ms *ret)
{
	static const int64_t most_ms = INT64_C(400000000000000); /* some 12,000 years */
	uint64_t value;

	if (!take(from, &value, sizeof value))
		return false;
	*ret = (moment_ms)le64toh(value);
	return *ret >= -most_ms && *ret <= most_ms;
}

static bool take_text(struct slice *from, enum index_text which, struct slice *ret)
{
	uint32_t len;

	if (!take_32(from, &len) || len > most[which] || len > from->len)
		return false;
	*ret = slice_of(from->data, len);
	*from = slice_of(from->data + len, from->len - len);
	return plain_is(*ret, which == INDEX_NAMES ? PLAIN_LINES : PLAIN_LINE);
}

static bool take_facts(struct slice *from, struct index_record *ret)
{
	uint8_t bits;

	if (!take(from, &bits, 1) || (bits & ~(HAS_DATE | HAS_RECEIVED)) ||
		!take_moment(from, &ret->date) || !take_moment(from, &ret->received) ||
		!take_32(from, &ret->attachments) || ret->attachments > LIMIT_INDEX_PARTS + 1)
		return false;
	ret->has_date = bits & HAS_DATE;
	ret->has_received = bits & HAS_RECEIVED;
	for (int i = 0; i < INDEX_TEXTS; i++) {
		if (!take_text(from, (enum index_text)i, &ret->text[i]))
			return false;
	}
	return true;
}

static int wrong(struct fault *f, const char *what)
{
	return fault_set(f, FAULT_FORMAT, SCOPE_ARCHIVE, 0, "%s", what);
}

ssize_t index_record_parse(struct slice bytes, struct index_record *ret, struct fault *f)
{
	struct index_record r = {0};
	struct slice rest = bytes;
	uint32_t len;
	uint8_t kind;

	if (!take_32(&rest, &len))
		return 0;
	if (len > INDEX_RECORD_MOST - sizeof len)
		return wrong(f, "a record is longer than records are");
	if (rest.len < len)
		return 0;
	rest.len = len;
	if (!take_32(&rest, &r.number) || !take(&rest, &kind, 1) ||
		(kind != READ && kind != UNREAD))
		return wrong(f, "a record says nothing of a message");
	r.read = kind == READ;
	if ((r.read && !take_facts(&rest, &r)) || rest.len != 0)
		return wrong(f, "a record says of a message what cannot be");
	*ret = r;
	return (ssize_t)(len + sizeof len);
}
