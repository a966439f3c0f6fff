/* A hostile server against the engine and the listing: the first byte chooses line ends and how the
 * bytes are cut, the rest is what the server sends. Whatever that is, the same events must come
 * when it arrives at once and when it arrives byte by byte. */
#include "archive/limits.h"
#include "daemon/listing.h"
#include "daemon/pop3.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/tally.h"

/* Faults are welcome: a listing that failed takes no more lines. */
static void feed_listing(struct listing *l, bool *broken, const struct pop3_event *e)
{
	struct fault f;

	if (*broken)
		return;
	if (e->kind == POP3_LINE && e->command == POP3_UIDL)
		*broken = listing_add_uidl(l, e->bytes, &f) < 0;
	else if (e->kind == POP3_LINE && e->command == POP3_LIST)
		*broken = listing_add_size(l, e->bytes, &f) < 0;
	else if (e->kind == POP3_END && e->command == POP3_UIDL)
		listing_uidl_end(l);
}

static void take_events(struct pop3 *p, struct listing *l, bool *broken, struct tally *t)
{
	struct pop3_event e;
	struct fault f;

	while ((t->last = pop3_next(p, &e, &f)) == POP3_EVENT) {
		if (e.kind == POP3_DATA) {
			require(e.bytes.len > 0);
			t->octets += e.bytes.len;
			mix_bytes(t, e.bytes);
			continue;
		}
		mix(t, (uint64_t)e.kind << 8 | (uint64_t)e.command);
		mix(t, e.number);
		mix(t, e.octets);
		if (e.kind == POP3_MESSAGE_END) {
			require(e.octets == t->octets);
			t->octets = 0;
		}
		mix_bytes(t, e.kind == POP3_LINE ? e.bytes : slice_of(NULL, 0));
		if (e.kind == POP3_REPLY) {
			mix(t, (uint64_t)e.reply.status << 8 | (uint64_t)e.reply.code);
			mix_bytes(t, e.reply.text);
		}
		feed_listing(l, broken, &e);
	}
}

static void queue_commands(struct pop3 *p)
{
	static const enum pop3_kind before[] = {POP3_CAPA, POP3_STAT, POP3_UIDL, POP3_LIST};
	struct fault f;
	struct slice out;

	for (size_t i = 0; i < sizeof before / sizeof *before; i++)
		require(pop3_command(p, before[i], 0, &f) == 0);
	for (uint32_t n = 1; n <= 5; n++)
		require(pop3_command(p, POP3_RETR, n, &f) == 0);
	require(pop3_command(p, POP3_NOOP, 0, &f) == 0);
	while ((out = pop3_output(p)).len > 0)
		pop3_sent(p, out.len);
}

static struct tally run(const uint8_t *data, size_t size, enum line_ends ends, size_t chunk)
{
	struct tally t = TALLY_INIT;
	struct listing listing CLEANUP(listing_deinit) = {0};
	bool broken = false;
	struct fault f;
	struct pop3 *p CLEANUP(pop3_freep) = pop3_new(ends, &f);

	require(p != NULL);
	listing_init(&listing);
	queue_commands(p);
	take_events(p, &listing, &broken, &t);
	for (size_t done = 0; done < size && t.last == 0;) {
		size_t room, n = size - done < chunk ? size - done : chunk;
		uint8_t *at = pop3_space(p, &room);
		require(room > 0);
		n = n < room ? n : room;
		memcpy(at, data + done, n);
		pop3_received(p, n);
		done += n;
		take_events(p, &listing, &broken, &t);
	}
	if (!broken)
		listing_sort(&listing);
	(void)!pop3_closed(p, &f);
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	enum line_ends ends = data[0] & 1 ? LINE_ENDS_LF : LINE_ENDS_CRLF;
	struct tally whole = run(data + 1, size - 1, ends, SIZE_MAX);
	struct tally cut = run(data + 1, size - 1, ends, 1 + data[0] / 2U % 7);

	require(whole.events == cut.events && whole.last == cut.last);
	return 0;
}
