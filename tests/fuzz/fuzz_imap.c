/* A hostile IMAP server: the first byte chooses who hears it and how the bytes are cut, the rest is
 * what the server sends. The engine must give the same events however they are cut; where its
 * output depends on what it hears (literals that are asked for, the login) nothing may break. */
#include "daemon/imap.h"
#include "daemon/imap_login.h"
#include "daemon/imap_name.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/tally.h"

/* A name that can be decoded is spelled one way. */
static void try_name(struct slice name, char delimiter)
{
	struct buffer utf8 CLEANUP(buffer_deinit) = buffer_make(LIMIT_RECEIVE * 4),
			   path CLEANUP(buffer_deinit) = buffer_make(LIMIT_RECEIVE * 4),
			   wire CLEANUP(buffer_deinit) = buffer_make(LIMIT_RECEIVE * 4),
			   again CLEANUP(buffer_deinit) = buffer_make(LIMIT_RECEIVE * 4);
	struct fault f;

	require(imap_path_of_name(&path, name, delimiter, &f) == 0);
	(void)!imap_name_of_path(&wire, (const char *)path.data, delimiter, "INBOX.", &f);
	buffer_clear(&wire);
	if (imap_name_decode(&utf8, name, &f) != 0)
		return;
	if (imap_name_encode(&wire, buffer_slice(&utf8), &f) == 0) {
		require(imap_name_decode(&again, buffer_slice(&wire), &f) == 0);
		require(slice_compare(buffer_slice(&again), buffer_slice(&utf8)) == 0);
	}
}

static void take_data(struct tally *t, const struct imap_event *e)
{
	mix(t, (uint64_t)e->kind << 32 | (uint64_t)e->command << 16 | e->cookie);
	mix(t, (uint64_t)e->reply.status << 8 | (uint64_t)e->reply.code);
	mix_bytes(t, e->reply.text);
	mix_bytes(t, e->listed.name);
	mix_bytes(t, e->status.name);
	mix(t, e->status.messages);
	mix(t, (uint64_t)e->message.uid << 32 | e->message.size);
	mix_bytes(t, e->message.flags);
	mix_bytes(t, e->message.message_id);
	if (e->kind == IMAP_LISTED)
		try_name(e->listed.name, e->listed.delimiter);
	if (e->kind == IMAP_BODY_END) {
		require(e->offset == t->octets);
		t->octets = 0;
	}
}

static void give(struct imap *i, const struct imap_event *e)
{
	static const char xs[4096];

	require(e->room > 0);
	require(imap_give(i, slice_of(xs, sizeof xs)) ==
		(e->room < sizeof xs ? e->room : sizeof xs));
}

static void take_events(struct imap *i, struct tally *t)
{
	struct imap_event e;
	struct fault f;
	struct slice out;

	do {
		while ((t->last = imap_next(i, &e, &f)) == IMAP_EVENT) {
			if (e.kind == IMAP_WANT_BYTES) {
				give(i, &e);
			} else if (e.kind == IMAP_BODY) {
				require(e.bytes.len > 0 && e.offset == t->octets);
				t->octets += e.bytes.len;
				mix_bytes(t, e.bytes);
			} else {
				take_data(t, &e);
			}
		}
		out = imap_output(i);
		imap_sent(i, out.len);
	} while (out.len > 0);
}

static void queue(struct imap *i)
{
	static const struct imap_order orders[] = {
		{.kind = IMAP_LIST, .mailbox = "*"},
		{.kind = IMAP_NAMESPACE},
		{.kind = IMAP_STATUS, .mailbox = "a"},
		{.kind = IMAP_SELECT, .mailbox = "a"},
		{.kind = IMAP_FETCH_LIST, .first = 1, .last = UINT32_MAX},
		{.kind = IMAP_FETCH_BODY, .first = 7},
		{.kind = IMAP_FETCH_BODY, .first = 8},
		{.kind = IMAP_APPEND, .mailbox = "a", .size = 3},
		{.kind = IMAP_APPEND, .mailbox = "a", .size = 5000},
		{.kind = IMAP_APPEND, .mailbox = "a", .size = 200000},
	};
	struct fault f;

	for (size_t n = 0; n < sizeof orders / sizeof *orders; n++) {
		struct imap_order order = orders[n];

		order.cookie = n;
		require(imap_command(i, &order, &f) == 0);
	}
}

static struct tally run(const uint8_t *data, size_t size, const char *capabilities, size_t chunk)
{
	struct tally t = TALLY_INIT;
	struct imap_capabilities c;
	struct fault f;

	require(imap_capabilities_parse(&c, slice_text(capabilities), &f) == 0);
	struct imap *i CLEANUP(imap_freep) = imap_new(&c, &f);
	require(i != NULL);
	queue(i);
	take_events(i, &t);
	for (size_t done = 0; done < size && t.last == 0;) {
		size_t room, n = size - done < chunk ? size - done : chunk;
		uint8_t *at = imap_space(i, &room);
		n = n < room ? n : room;
		memcpy(at, data + done, n);
		imap_received(i, n);
		done += n;
		take_events(i, &t);
	}
	(void)!imap_closed(i, &f);
	(void)imap_is_waiting(i);
	return t;
}

static void log_in(const uint8_t *data, size_t size)
{
	static char user[] = "anna", password[] = "geheim", host[] = "h";
	struct account account = {.protocol = PROTOCOL_IMAP,
		.user = user,
		.host = host,
		.secret_source = SECRET_FILE,
		.tls = TLS_IMPLICIT};
	struct secret secret = {password, sizeof password - 1};
	struct imap_preamble preamble;
	struct fault f;
	int r;

	imap_preamble_init(&preamble);
	struct imap_login *l CLEANUP(imap_login_freep) = NULL;
	require(imap_login_new(&account, &secret, &preamble, CHANNEL_TLS, &l, &f) == 0);
	struct login_wire *wire = imap_login_wire(l);
	while ((r = imap_login_step(l, &f)) > 0) {
		size_t n = size < 7 ? size : 7;

		if (r == LOGIN_WANT_WRITE) {
			login_wire_sent(wire, login_wire_output(wire).len);
			continue;
		}
		if (n == 0 || login_wire_input(wire, slice_of(data, n), &f) < 0)
			return;
		data += n;
		size -= n;
	}
	require(r == 0 || !strstr(f.text, password));
}

static void greet(const uint8_t *data, size_t size)
{
	struct imap_preamble preamble;
	struct fault f;

	imap_preamble_init(&preamble);
	while (size > 0) {
		const uint8_t *lf = memchr(data, '\n', size);
		size_t n = lf ? (size_t)(lf - data) + 1 : size;

		if (imap_preamble_add_line(&preamble, slice_of(data, n), &f) < 0)
			return;
		data += n;
		size -= n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	size_t chunk = 1 + data[0] / 4U % 7;
	switch (data[0] % 4) {
	case 0: {
		struct tally whole = run(data + 1, size - 1, "LITERAL+", SIZE_MAX);
		struct tally cut = run(data + 1, size - 1, "LITERAL+", chunk);

		require(whole.events == cut.events && whole.last == cut.last);
		return 0;
	}
	case 1:
		(void)run(data + 1, size - 1, data[0] & 64 ? "LITERAL+ MULTIAPPEND" : "IMAP4rev1",
			chunk);
		return 0;
	case 2:
		log_in(data + 1, size - 1);
		return 0;
	default:
		greet(data + 1, size - 1);
		return 0;
	}
}
