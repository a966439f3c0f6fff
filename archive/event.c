#include "archive/event.h"

#include "archive/decimal.h"
#include "archive/limits.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const event_words[] = {
	[EVENT_UNKNOWN] = "",
	[EVENT_BEGIN] = "begin",
	[EVENT_ACCOUNT] = "account",
	[EVENT_KEEP] = "keep",
	[EVENT_SEE] = "see",
	[EVENT_REFUSE] = "refuse",
	[EVENT_ACCEPT] = "accept",
	[EVENT_VANISH] = "vanish",
	[EVENT_POLL] = "poll",
	[EVENT_SEAL] = "seal",
	[EVENT_LOST] = "lost",
	[EVENT_EXPORT] = "export",
	[EVENT_RESTORE] = "restore",
	[EVENT_COMMIT] = "commit",
};

/* reason= of an `accept` of what vanished. */
#define VANISHED_WORD "vanished"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- Writing ---------------------------------------------------------------------------- */

static int put_bytes(struct buffer *to, const char *key, struct slice value, struct fault *f)
{
	static const char hex[] = "0123456789ABCDEF";

	if (value.len > LIMIT_LEDGER_LINE)
		return fault_set(f, FAULT_LIMIT, SCOPE_ACCOUNT, 0, "value of %s is too long", key);
	if (buffer_append_format(to, f, " %s=", key) < 0 ||
		buffer_reserve(to, 3 * value.len, f) < 0)
		return -1;
	uint8_t *out = to->data + to->len;
	for (size_t i = 0; i < value.len; i++) {
		uint8_t c = value.data[i];

		if (c > 0x20 && c < 0x7f && c != '%') {
			*out++ = c;
		} else {
			*out++ = '%';
			*out++ = (uint8_t)hex[c >> 4];
			*out++ = (uint8_t)hex[c & 15];
		}
	}
	to->len = (size_t)(out - to->data);
	return 0;
}

static int put_number(struct buffer *to, const char *key, uint64_t value, struct fault *f)
{
	return buffer_append_format(to, f, " %s=%" PRIu64, key, value);
}

static int put_digest(struct buffer *to, const char *key, const struct digest *d, struct fault *f)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	return buffer_append_format(to, f, " %s=%s", key, hex);
}

/* What KEEP, SEE and REFUSE say in the same way. */
static int put_listed(struct buffer *to, const struct event *e, struct fault *f)
{
	if (e->listed != SIZE_UNKNOWN && (e->kind != EVENT_KEEP || e->listed != e->size) &&
		put_number(to, "listed", e->listed, f) < 0)
		return -1;
	return e->copy > 1 ? put_number(to, "copy", e->copy, f) : 0;
}

/* What an import knew of a message beside its bytes. */
static int put_filing(struct buffer *to, const struct event *e, struct fault *f)
{
	char t[MOMENT_TEXT];

	if (!e->filed)
		return 0;
	if (put_bytes(to, "folder", e->folder, f) < 0 ||
		(e->flags.len > 0 && put_bytes(to, "flags", e->flags, f) < 0))
		return -1;
	if (e->received == 0)
		return 0;
	moment_format(e->received, t);
	return buffer_append_format(to, f, " received=%s", t);
}

static int put_keep(struct buffer *to, const struct event *e, struct fault *f)
{
	if (put_bytes(to, "uidl", e->uidl, f) < 0 || put_digest(to, "digest", &e->digest, f) < 0)
		return -1;
	if (e->kind == EVENT_KEEP && (put_number(to, "size", e->size, f) < 0 ||
					     put_bytes(to, "class", e->class_, f) < 0 ||
					     put_bytes(to, "source", e->source, f) < 0))
		return -1;
	return put_filing(to, e, f) < 0 ? -1 : put_listed(to, e, f);
}

static int put_refuse(struct buffer *to, const struct event *e, struct fault *f)
{
	const char *reason = e->kind == EVENT_ACCEPT && e->reason == ACCEPT_VANISHED
				     ? VANISHED_WORD
				     : refusal_word(e->reason);

	if (put_bytes(to, "uidl", e->uidl, f) < 0 ||
		put_bytes(to, "reason", slice_text(reason), f) < 0)
		return -1;
	if (e->kind == EVENT_REFUSE &&
		(put_number(to, "tries", e->tries, f) < 0 || put_listed(to, e, f) < 0))
		return -1;
	return e->text.len > 0 ? put_bytes(to, "text", e->text, f) : 0;
}

static int put_sums(struct buffer *to, const struct sums *s, struct fault *f)
{
	return buffer_append_format(to, f,
		" listed=%" PRIu64 " archived=%" PRIu64 " pending=%" PRIu64 " refused=%" PRIu64
		" vanished=%" PRIu64,
		s->listed, s->archived, s->pending, s->refused, s->vanished);
}

static int put_seal(struct buffer *to, const struct event *e, struct fault *f)
{
	if (put_number(to, "segment", e->segment, f) < 0 ||
		put_digest(to, "digest", &e->digest, f) < 0 ||
		put_number(to, "size", e->size, f) < 0 ||
		put_number(to, "messages", e->messages, f) < 0 ||
		put_number(to, "bytes", e->bytes, f) < 0 ||
		put_bytes(to, "class", e->class_, f) < 0)
		return -1;
	return put_bytes(to, "replaces", e->replaces, f);
}

static int put_lost(struct buffer *to, const struct event *e, struct fault *f)
{
	if (put_digest(to, "digest", &e->digest, f) < 0)
		return -1;
	return e->text.len > 0 ? put_bytes(to, "text", e->text, f) : 0;
}

static int put_outgoing(struct buffer *to, const struct event *e, struct fault *f)
{
	if (e->kind == EVENT_EXPORT && (put_digest(to, "digest", &e->digest, f) < 0 ||
					       put_bytes(to, "format", e->format, f) < 0))
		return -1;
	if (put_bytes(to, "target", e->target, f) < 0 || put_bytes(to, "query", e->query, f) < 0)
		return -1;
	return buffer_append_format(to, f,
		" messages=%" PRIu64 " bytes=%" PRIu64 " failed=%" PRIu64, e->messages, e->bytes,
		e->failed);
}

static int put_fields(struct buffer *to, const struct event *e, struct fault *f)
{
	switch (e->kind) {
	case EVENT_BEGIN:
		if (put_bytes(to, "archive", e->archive, f) < 0 ||
			put_number(to, "leaf", e->leaf, f) < 0)
			return -1;
		return e->leaf > 0 ? put_digest(to, "previous", &e->root, f) : 0;
	case EVENT_ACCOUNT:
		if (put_bytes(to, "name", e->name, f) < 0 ||
			put_bytes(to, "server", e->server, f) < 0)
			return -1;
		return put_bytes(to, "user", e->user, f);
	case EVENT_KEEP:
	case EVENT_SEE:
		return put_keep(to, e, f);
	case EVENT_REFUSE:
	case EVENT_ACCEPT:
		return put_refuse(to, e, f);
	case EVENT_VANISH:
		return put_bytes(to, "uidl", e->uidl, f);
	case EVENT_POLL:
		return put_sums(to, &e->sums, f);
	case EVENT_SEAL:
		return put_seal(to, e, f);
	case EVENT_LOST:
		return put_lost(to, e, f);
	case EVENT_EXPORT:
	case EVENT_RESTORE:
		return put_outgoing(to, e, f);
	case EVENT_COMMIT:
		if (put_number(to, "size", e->size, f) < 0)
			return -1;
		return put_digest(to, "root", &e->root, f);
	case EVENT_UNKNOWN:
		break;
	}
	return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "event without a kind");
}

int event_format(const struct event *e, struct buffer *to, struct fault *f)
{
	char t[MOMENT_TEXT];
	size_t start = to->len;

	moment_format(e->t, t);
	if (buffer_append_format(to, f, "v=1 event=%s t=%s", event_words[e->kind], t) < 0)
		return -1;
	if (event_has_maildrop(e->kind) && put_number(to, "maildrop", e->maildrop, f) < 0)
		return -1;
	if (put_fields(to, e, f) < 0)
		return -1;
	if (to->len - start >= LIMIT_LEDGER_LINE)
		return fault_set(
			f, FAULT_LIMIT, SCOPE_ACCOUNT, 0, "a line of the ledger is too long");
	return buffer_append(to, "\n", 1, f);
}

/* ---- Reading ---------------------------------------------------------------------------- */

static int upper_nibble(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int percent_decode(
	struct slice in, struct buffer *scratch, struct slice *ret, struct fault *f)
{
	if (buffer_reserve(scratch, in.len, f) < 0)
		return -1;
	uint8_t *start = scratch->data + scratch->len, *out = start;
	for (size_t i = 0; i < in.len; i++) {
		uint8_t c = in.data[i];

		if (c <= 0x20 || c >= 0x7f)
			return FIELD_BAD;
		if (c == '%') {
			int high = i + 2 < in.len ? upper_nibble(in.data[i + 1]) : -1;
			int low = i + 2 < in.len ? upper_nibble(in.data[i + 2]) : -1;

			if (high < 0 || low < 0)
				return FIELD_BAD;
			c = (uint8_t)(high << 4 | low);
			i += 2;
		}
		*out++ = c;
	}
	scratch->len += (size_t)(out - start);
	*ret = slice_of(start, (size_t)(out - start));
	return FIELD_ONE;
}

int field_next(struct slice *line, struct slice *ret_key, struct buffer *scratch,
	struct slice *ret_value, struct fault *f)
{
	if (line->len == 0)
		return 0;
	const uint8_t *end = memchr(line->data, ' ', line->len);
	size_t len = end ? (size_t)(end - line->data) : line->len;
	const uint8_t *equals = memchr(line->data, '=', len);
	if (!equals || equals == line->data || (end && len + 1 == line->len))
		return FIELD_BAD;
	struct slice key = slice_of(line->data, (size_t)(equals - line->data)), value;
	int r = percent_decode(slice_of(equals + 1, len - key.len - 1), scratch, &value, f);
	if (r != FIELD_ONE)
		return r;
	*ret_key = key;
	*ret_value = value;
	line->data += end ? len + 1 : len;
	line->len -= end ? len + 1 : len;
	return FIELD_ONE;
}

static bool is(struct slice s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/* Which fields a line has. */
enum {
	HAS_MAILDROP = 1 << 0,
	HAS_NAME = 1 << 1,
	HAS_SERVER = 1 << 2,
	HAS_USER = 1 << 3,
	HAS_UIDL = 1 << 4,
	HAS_DIGEST = 1 << 5,
	HAS_SIZE = 1 << 6,
	HAS_CLASS = 1 << 7,
	HAS_SOURCE = 1 << 8,
	HAS_REASON = 1 << 9,
	HAS_TRIES = 1 << 10,
	HAS_LISTED = 1 << 11,
	HAS_ARCHIVED = 1 << 12,
	HAS_PENDING = 1 << 13,
	HAS_REFUSED = 1 << 14,
	HAS_VANISHED = 1 << 15,
	HAS_ROOT = 1 << 16,
	HAS_LEAF = 1 << 17,
	HAS_ARCHIVE = 1 << 18,
	HAS_SEGMENT = 1 << 19,
	HAS_MESSAGES = 1 << 20,
	HAS_BYTES = 1 << 21,
	HAS_REPLACES = 1 << 22,
	HAS_QUERY = 1 << 23,
	HAS_TARGET = 1 << 24,
	HAS_FORMAT = 1 << 25,
	HAS_FAILED = 1 << 26,
	HAS_FOLDER = 1 << 27
};

static const unsigned required[] = {
	[EVENT_UNKNOWN] = 0,
	[EVENT_BEGIN] = HAS_ARCHIVE | HAS_LEAF,
	[EVENT_ACCOUNT] = HAS_MAILDROP | HAS_NAME | HAS_SERVER | HAS_USER,
	[EVENT_KEEP] = HAS_MAILDROP | HAS_UIDL | HAS_DIGEST | HAS_SIZE | HAS_CLASS | HAS_SOURCE,
	[EVENT_SEE] = HAS_MAILDROP | HAS_UIDL | HAS_DIGEST,
	[EVENT_REFUSE] = HAS_MAILDROP | HAS_UIDL | HAS_REASON | HAS_TRIES,
	[EVENT_ACCEPT] = HAS_MAILDROP | HAS_UIDL | HAS_REASON,
	[EVENT_VANISH] = HAS_MAILDROP | HAS_UIDL,
	[EVENT_POLL] =
		HAS_MAILDROP | HAS_LISTED | HAS_ARCHIVED | HAS_PENDING | HAS_REFUSED | HAS_VANISHED,
	[EVENT_SEAL] = HAS_SEGMENT | HAS_DIGEST | HAS_SIZE | HAS_MESSAGES | HAS_BYTES | HAS_CLASS |
		       HAS_REPLACES,
	[EVENT_LOST] = HAS_DIGEST,
	[EVENT_EXPORT] = HAS_DIGEST | HAS_FORMAT | HAS_TARGET | HAS_QUERY | HAS_MESSAGES |
			 HAS_BYTES | HAS_FAILED,
	[EVENT_RESTORE] = HAS_TARGET | HAS_QUERY | HAS_MESSAGES | HAS_BYTES | HAS_FAILED,
	[EVENT_COMMIT] = HAS_SIZE | HAS_ROOT,
};

static bool get_text_field(struct event *e, struct slice key, struct slice value, unsigned *ret_has)
{
	const struct {
		const char *key;
		struct slice *at;
		unsigned has;
	} fields[] = {
		{"name", &e->name, HAS_NAME},
		{"server", &e->server, HAS_SERVER},
		{"user", &e->user, HAS_USER},
		{"uidl", &e->uidl, HAS_UIDL},
		{"class", &e->class_, HAS_CLASS},
		{"source", &e->source, HAS_SOURCE},
		{"text", &e->text, 0},
		{"archive", &e->archive, HAS_ARCHIVE},
		{"replaces", &e->replaces, HAS_REPLACES},
		{"folder", &e->folder, HAS_FOLDER},
		{"flags", &e->flags, 0},
		{"query", &e->query, HAS_QUERY},
		{"target", &e->target, HAS_TARGET},
		{"format", &e->format, HAS_FORMAT},
	};

	for (size_t i = 0; i < COUNT(fields); i++) {
		if (is(key, fields[i].key)) {
			*fields[i].at = value;
			*ret_has |= fields[i].has;
			return true;
		}
	}
	return false;
}

/* False: a number's key without a number. */
static bool get_number_field(
	struct event *e, struct slice key, struct slice value, unsigned *ret_has)
{
	const struct {
		const char *key;
		uint64_t *at;
		unsigned has;
	} fields[] = {
		{"maildrop", &e->maildrop, HAS_MAILDROP},
		{"size", &e->size, HAS_SIZE},
		{"copy", &e->copy, 0},
		{"listed", e->kind == EVENT_POLL ? &e->sums.listed : &e->listed, HAS_LISTED},
		{"archived", &e->sums.archived, HAS_ARCHIVED},
		{"pending", &e->sums.pending, HAS_PENDING},
		{"refused", &e->sums.refused, HAS_REFUSED},
		{"vanished", &e->sums.vanished, HAS_VANISHED},
		{"leaf", &e->leaf, HAS_LEAF},
		{"tries", &e->tries, HAS_TRIES},
		{"segment", &e->segment, HAS_SEGMENT},
		{"messages", &e->messages, HAS_MESSAGES},
		{"bytes", &e->bytes, HAS_BYTES},
		{"failed", &e->failed, HAS_FAILED},
	};

	for (size_t i = 0; i < COUNT(fields); i++) {
		if (is(key, fields[i].key)) {
			*ret_has |= fields[i].has;
			return decimal_parse(value, fields[i].at);
		}
	}
	return true;
}

/* False: a key that is known, and a value that is none for it. */
static bool get_field(struct event *e, struct slice key, struct slice value, unsigned *ret_has)
{
	if (is(key, "digest")) {
		*ret_has |= HAS_DIGEST;
		return digest_parse(value, &e->digest) == 0;
	}
	if (is(key, "root") || is(key, "previous")) {
		*ret_has |= HAS_ROOT;
		return digest_parse(value, &e->root) == 0;
	}
	if (is(key, "reason")) {
		*ret_has |= HAS_REASON;
		/* A later version may know more of them: it is a refusal all the same. */
		if (e->kind == EVENT_ACCEPT && is(value, VANISHED_WORD))
			e->reason = ACCEPT_VANISHED;
		else if (refusal_parse(value, &e->reason) != 0)
			e->reason = REFUSAL_UNKNOWN;
		return value.len > 0;
	}
	if (is(key, "received"))
		return moment_parse(value, &e->received) == 0;
	return get_text_field(e, key, value, ret_has) || get_number_field(e, key, value, ret_has);
}

static enum event_kind get_kind(struct slice word)
{
	for (size_t i = 1; i < COUNT(event_words); i++) {
		if (is(word, event_words[i]))
			return (enum event_kind)i;
	}
	return EVENT_UNKNOWN;
}

/* ---- What a segment replaces ---------------------------------------------------------------- */

bool event_replaced(struct slice *replaces, uint64_t *ret)
{
	const uint8_t *end = replaces->len ? memchr(replaces->data, ',', replaces->len) : NULL;
	size_t len = end ? (size_t)(end - replaces->data) : replaces->len;
	uint64_t number;

	if (!decimal_parse(slice_of(replaces->data, len), &number))
		return false;
	size_t passed = end ? len + 1 : len;
	replaces->data += passed;
	replaces->len -= passed;
	*ret = number;
	return true;
}

int event_add_replaced(struct buffer *replaces, uint64_t number, struct fault *f)
{
	return buffer_append_format(
		replaces, f, "%s%" PRIu64, replaces->len > 0 ? "," : "", number);
}

static bool is_replaces(struct slice text, uint64_t segment)
{
	uint64_t number = 0, last = 0;
	size_t n = 0;

	if (text.len == 0 || text.data[text.len - 1] == ',')
		return false;
	for (; event_replaced(&text, &number); last = number) {
		if (number <= last || number >= segment || ++n > LIMIT_REPACK_SOURCES)
			return false;
	}
	return text.len == 0;
}

/* v=1 event=… t=… in this order. */
static int parse_head(struct slice *line, struct buffer *scratch, struct event *e, struct fault *f)
{
	static const char *const keys[] = {"v", "event", "t"};
	struct slice key, value;

	for (size_t i = 0; i < COUNT(keys); i++) {
		int r = field_next(line, &key, scratch, &value, f);

		if (r < 0)
			return -1;
		if (r != FIELD_ONE || !is(key, keys[i]))
			return EVENT_BAD;
		if (i == 0 && !is(value, "1"))
			return EVENT_BAD;
		if (i == 1)
			e->kind = get_kind(value);
		if (i == 2 && moment_parse(value, &e->t) != 0)
			return EVENT_BAD;
	}
	return 0;
}

int event_parse(struct slice line, struct buffer *scratch, struct event *ret, struct fault *f)
{
	struct event e = {.listed = SIZE_UNKNOWN, .copy = 1};
	struct slice key, value;
	unsigned has = 0;

	buffer_clear(scratch);
	/* Decoding never lengthens: reserved once, slices into scratch stay valid. */
	if (buffer_reserve(scratch, line.len + 1, f) < 0)
		return -1;
	int r = parse_head(&line, scratch, &e, f);
	if (r != 0)
		return r;
	while ((r = field_next(&line, &key, scratch, &value, f)) == FIELD_ONE) {
		if (e.kind != EVENT_UNKNOWN && !get_field(&e, key, value, &has))
			return EVENT_BAD;
	}
	if (r != 0)
		return r < 0 ? -1 : EVENT_BAD;
	if (e.kind == EVENT_BEGIN && e.leaf > 0 && !(has & HAS_ROOT))
		return EVENT_BAD;
	if ((has & required[e.kind]) != required[e.kind])
		return EVENT_BAD;
	if (e.kind == EVENT_SEAL && !is_replaces(e.replaces, e.segment))
		return EVENT_BAD;
	e.filed = has & HAS_FOLDER;
	if (e.kind == EVENT_KEEP && e.listed == SIZE_UNKNOWN)
		e.listed = e.size;
	*ret = e;
	return 0;
}
