/* Any bytes as messages that are sealed: whatever they are, each comes back exactly as it was.
 *
 * A message ends at a byte 0. Parts that are worth storing once are larger than an input should be:
 * a byte 1 and the two behind it stand for a block of base64 of 16 KiB and more, with the line
 * lengths, line ends and wrong endings that mail has; the same two bytes mean the same block, so
 * that messages share parts. A byte 2 and one behind it: a line end of text, so many times. */
#include "archive/dense.h"
#include "archive/frame_table.h"
#include "archive/recipe.h"
#include "archive/seal_work.h"
#include "archive/segment.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { MAILS_MOST = 12, BLOCKS_MOST = 10, BLOCK_LEAST = 16 * 1024 - 40, NAME_SIZE = 96 };

struct mail {
	struct digest digest;
	struct location at;
	size_t size;
	bool found;
};

struct sealing {
	struct mail mail[MAILS_MOST];
	size_t mails, blocks;
	int source, out, request, status, scratch, ledger;
};

static void sealing_deinit(struct sealing *s)
{
	int *all[] = {&s->source, &s->out, &s->request, &s->status, &s->scratch, &s->ledger};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		fd_closep(all[i]);
}

static int memory_file(void)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	require(fd >= 0);
	return fd;
}

/* ---- Messages out of the input --------------------------------------------------------------- */

static void add(struct buffer *to, const void *data, size_t len)
{
	struct fault f;

	require(buffer_append(to, data, len, &f) == 0);
}

static void add_text(struct buffer *to, const char *text)
{
	add(to, text, strlen(text));
}

/* a: which bytes, and how many; b: how they are written. */
static void add_block(struct buffer *to, uint8_t a, uint8_t b)
{
	static const uint32_t lines[] = {76, 64, 0, 60};
	static const char *const ends[] = {"", "\r\n", "\n", "=", "\r\n=\r\n", "AA", " \r\n", "\r"};
	struct base64_lines encoder;
	uint8_t bytes[BLOCK_LEAST + 256];
	struct fault f;
	size_t n = (size_t)BLOCK_LEAST + a;

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)((i * i >> 3) ^ (size_t)(a >> 4) ^ i);
	size_t begin = to->len;
	base64_lines_init(&encoder, lines[b & 3], b & 4 ? PIECE_LF : PIECE_CRLF);
	require(base64_lines_add(&encoder, slice_of(bytes, n), to, &f) == 0);
	require(base64_lines_end(&encoder, to, &f) == 0);
	if (b & 0x80) /* one character is another */
		to->data[begin + (to->len - begin) / 2] ^= 0x15;
	if (b & 0x40) /* the padding is not there */
		to->len -= to->data[to->len - 1] == '=';
	add_text(to, ends[b >> 3 & 7]);
}

/* The next message, and how much of the input it took. */
static size_t make_message(struct sealing *s, struct buffer *to, struct slice in)
{
	size_t at = 0;

	buffer_clear(to);
	for (; at < in.len && in.data[at] != 0; at++) {
		uint8_t c = in.data[at];

		if (c == 1 && at + 2 < in.len && s->blocks < BLOCKS_MOST) {
			add_block(to, in.data[at + 1], in.data[at + 2]);
			s->blocks++;
			at += 2;
		} else if (c == 2 && at + 1 < in.len) {
			for (unsigned n = in.data[++at]; n > 0; n--)
				add_text(to, n % 8 ? "\r\n" : "some text\r\n");
		} else {
			add(to, &c, 1);
		}
	}
	return at < in.len ? at + 1 : at;
}

static void write_mail(struct sealing *s, struct dense *d, struct slice bytes)
{
	struct hasher *hasher CLEANUP(hasher_freep) = NULL;
	struct mail *m = &s->mail[s->mails];
	char name[NAME_SIZE], hex[DIGEST_HEX + 1];
	struct fault f;

	require(hasher_new(&hasher, &f) == 0);
	hasher_add(hasher, bytes.data, bytes.len);
	hasher_end(hasher, &m->digest);
	for (size_t i = 0; i < s->mails; i++) {
		if (digest_compare(&s->mail[i].digest, &m->digest) == 0)
			return; /* is kept once */
	}
	digest_hex(&m->digest, hex);
	(void)snprintf(name, sizeof name, "mail/%s.eml", hex);
	m->size = bytes.len;
	require(dense_begin(d, name, bytes.len, 0, &m->at.frame_offset, &m->at.entry_offset, &f) ==
		0);
	require(dense_put(d, bytes, &f) == 0);
	s->mails++;
}

/* A source: dense writes one as well as anybody. */
static void write_source(struct sealing *s, struct slice in)
{
	struct buffer bytes CLEANUP(buffer_deinit) = buffer_make(8 * MIB);
	struct dense *d CLEANUP(dense_closep) = NULL;
	struct dense_options options = {1, 64 * KIB};
	struct fault f;

	require(dense_open(s->source, &options, &d, &f) == 0);
	while (in.len > 0 && s->mails < MAILS_MOST) {
		size_t took = make_message(s, &bytes, in);

		write_mail(s, d, buffer_slice(&bytes));
		in = slice_of(in.data + took, in.len - took);
	}
	require(dense_end(d, &f) == 0);
}

/* ---- Sealing --------------------------------------------------------------------------------- */

static void write_request(struct sealing *s, uint8_t how)
{
	struct seal_options options = {
		1, how & 1 ? 64 * KIB : 256 * KIB, how & 2 ? SEAL_SHARING_OFF : SEAL_SHARING_ON};
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(64 * KIB);
	struct fault f;

	require(seal_request_begin(&options, 1, &text, &f) == 0);
	for (size_t i = 0; i < s->mails; i++) {
		const struct mail *m = &s->mail[i];
		struct seal_mail line = {0, m->at.frame_offset, m->at.entry_offset, m->size,
			1000 * (moment_ms)i, m->digest};

		require(seal_request_mail(&line, &text, &f) == 0);
	}
	require(seal_request_end(&text, &f) == 0);
	require(write(s->request, text.data, text.len) == (ssize_t)text.len);
	require(lseek(s->request, 0, SEEK_SET) == 0);
}

static void work(struct sealing *s)
{
	struct seal_fds fds = {s->request, s->out, s->status, s->scratch, s->ledger, &s->source, 1};
	struct fault f = {0};

	if (seal_work(&fds, &f) < 0) {
		(void)fprintf(stderr, "%s\n", f.text);
		require(false);
	}
}

/* ---- What came of it ------------------------------------------------------------------------- */

static int digest_sink(void *context, struct slice bytes, struct fault *f)
{
	(void)f;
	hasher_add(context, bytes.data, bytes.len);
	return 0;
}

static void read_back(struct sealing *s, const struct segment_entry *e, struct frame_cache *cache)
{
	struct hasher *hasher CLEANUP(hasher_freep) = NULL;
	struct digest found;
	struct fault f;

	for (size_t i = 0; i < s->mails; i++) {
		struct mail *m = &s->mail[i];

		if (digest_compare(&m->digest, &e->named) != 0)
			continue;
		require(!m->found && hasher_new(&hasher, &f) == 0);
		require(segment_read_entry(s->out, cache, &e->at, &e->named, m->size, UINT64_MAX,
				digest_sink, hasher, &f) == 0);
		hasher_end(hasher, &found);
		require(digest_compare(&found, &m->digest) == 0);
		m->found = true;
		return;
	}
	require(false); /* nobody asked for it */
}

static void check(struct sealing *s)
{
	struct segment_walk *w CLEANUP(segment_walk_closep) = NULL;
	struct frame_cache cache CLEANUP(frame_cache_deinit) = {0};
	struct frame_table table CLEANUP(frame_table_deinit) = {0};
	struct segment_entry e = {0};
	struct fault f = {0};
	uint64_t from, to;
	off_t end = lseek(s->out, 0, SEEK_END);
	int r;

	require(end > 0 && frame_table_read(s->out, (uint64_t)end, &table, &f) == 0);
	require(segment_walk_open(s->out, 1, 0, (uint64_t)end, WALK_DIGEST, &w, &f) == 0);
	while ((r = segment_walk_next(w, &e, &from, &to, &f)) > 0) {
		require(r == WALK_ENTRY && e.kind != ENTRY_UNKNOWN);
		require(e.kind == ENTRY_LEDGER || e.kind == ENTRY_README ||
			(!e.unread && digest_compare(&e.named, &e.found) == 0));
		if (entry_is_message(e.kind))
			read_back(s, &e, &cache);
	}
	require(r == 0 && segment_walk_tail(w, &from) == TAIL_BLOCKS);
	require(from == frame_table_end(&table));
	for (size_t i = 0; i < s->mails; i++)
		require(s->mail[i].found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sealing s CLEANUP(sealing_deinit) = {.source = memory_file(),
		.out = memory_file(),
		.request = memory_file(),
		.status = memory_file(),
		.scratch = memory_file(),
		.ledger = memory_file()};

	if (size < 2)
		return 0;
	write_source(&s, slice_of(data + 1, size - 1));
	write_request(&s, data[0]);
	work(&s);
	check(&s);
	return 0;
}
