/* Single bits flipped in the files of an archive that has open and sealed segments, shared parts
 * and plain messages, and several ledger files' worth of events: each flip in segments and ledger
 * is found by verify in its default depth, which names the file; what is read is right or an error,
 * wherever the flip is, also in the catalog. Every flip is made in the file on disk and looked at
 * through a handle of its own, as a new process would; the handle's caches are gone with it.
 *
 * A sample of places by default, the structural ones always; POPKEEP_FLIPS_ALL=1 flips each byte, a
 * number in POPKEEP_FLIPS_SEED begins another sample. */
#include "archive/frame_header.h"
#include "archive/frame_table.h"
#include "archive/recipe.h"
#include "archive/salvage.h"
#include "tests/crash/forked.h"
#include "tests/unit/archived.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zstd.h>

enum {
	PLAIN = 12,
	ATTACHED = 8, /* messages that share these parts: */
	PARTS = 4,
	PART_BYTES = 24 * KIB, /* decoded */
	FRAME_BYTES = 64 * KIB,
	SAMPLE = 150, /* random places in each file */
	MESSAGES_MAX = 64,
	DECODED_MAX = 1 * MIB,
};

static struct flips {
	struct world *w;
	struct digest digest[MESSAGES_MAX]; /* that were kept */
	size_t n;
	uint64_t random;
	size_t flips; /* of one file */
} flips;

static uint64_t next_random(void)
{
	/* xorshift64: the same sample in each run */
	flips.random ^= flips.random << 13;
	flips.random ^= flips.random >> 7;
	flips.random ^= flips.random << 17;
	return flips.random;
}

/* ---- The archive
 * --------------------------------------------------------------------------------- */

static void add_attachment(struct spool *spool, unsigned which, struct world *w)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(1 * MIB);
	struct base64_lines lines;
	uint8_t part[PART_BYTES];
	uint32_t x = which + 1;

	for (size_t i = 0; i < sizeof part; i++) {
		x = x * 1664525 + 1013904223;
		part[i] = (uint8_t)(x >> 24);
	}
	base64_lines_init(&lines, 76, PIECE_CRLF);
	ok(w, base64_lines_add(&lines, slice_of(part, sizeof part), &text, &w->f));
	ok(w, base64_lines_end(&lines, &text, &w->f));
	ok(w, spool_write(spool, buffer_slice(&text), &w->f));
}

static struct item *attached(struct world *w, unsigned i)
{
	char text[512];
	struct item *item = item_new(ITEM_MESSAGE, w->drop.number, &w->f);

	assert_non_null(item);
	(void)snprintf(text, sizeof text,
		"Subject: attached %u\r\nMIME-Version: 1.0\r\n"
		"Content-Type: multipart/mixed; boundary=\"b%u\"\r\n\r\n--b%u\r\n"
		"Content-Type: text/plain\r\n\r\nhello %u\r\n--b%u\r\n"
		"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n",
		i, i, i, i, i);
	ok(w, spool_new(w->pool, &item->spool, &w->f));
	ok(w, spool_write(item->spool, slice_text(text), &w->f));
	add_attachment(item->spool, i % PARTS, w);
	(void)snprintf(text, sizeof text, "\r\n--b%u--\r\n", i);
	ok(w, spool_write(item->spool, slice_text(text), &w->f));
	spool_finish(item->spool);
	(void)snprintf(text, sizeof text, "a%u", i);
	ok(w, buffer_append_text(&item->uidl, text, &w->f));
	return item;
}

static void note_digests(struct world *w)
{
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	struct message m;

	flips.n = 0;
	ok(w, find_open(w->store, NULL, NULL, &c, &w->f));
	while (find_next(c, &m, &w->f) == FIND_ROW) {
		assert_true(flips.n < MESSAGES_MAX);
		flips.digest[flips.n++] = m.digest;
	}
}

/* Segment 2 is sealed, 3 is open; nobody has it open any more. */
static int begin(void **state)
{
	const char *seed = getenv("POPKEEP_FLIPS_SEED"); /* NOLINT(concurrency-mt-unsafe) */
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);
	struct seal_result sealed;
	const struct seal_due due = {0};

	(void)world_begin_with_drop(state);
	struct world *w = *state;
	keep(w, 0, PLAIN);
	for (unsigned i = 0; i < ATTACHED; i++)
		(void)commit_one(w, attached(w, i));
	job.options.frame_bytes = FRAME_BYTES;
	assert_int_equal(store_seal(w->store, &due, &job, &sealed, &w->f), 0);
	keep(w, 100, PLAIN);
	for (unsigned i = 200; i < 203; i++)
		keep(w, i, 1);
	(void)commit_one(w, attached(w, 50));
	note_digests(w);
	assert_int_equal(flips.n, 2 * PLAIN + ATTACHED + 4);
	w->store = store_close(w->store);
	flips.w = w;
	flips.random = UINT64_C(0x9E3779B97F4A7C15);
	for (; seed && *seed; seed++)
		flips.random = flips.random * 31 + (uint8_t)*seed;
	flips.flips = 0;
	return 0;
}

/* ---- What is looked at
 * --------------------------------------------------------------------------- */

static int add_to_hasher(void *context, struct slice bytes, struct fault *f)
{
	(void)f;
	hasher_add(context, bytes.data, bytes.len);
	return 0;
}

/* Each message that was kept: its own bytes, or an error. How many are right. */
static size_t read_all(struct store *s)
{
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	struct fault f;
	size_t right = 0;

	assert_int_equal(hasher_new(&h, &f), 0);
	for (size_t i = 0; i < flips.n; i++) {
		struct message m CLEANUP(message_deinit) = {0};
		char hex[DIGEST_HEX + 1];
		struct digest found;

		digest_hex(&flips.digest[i], hex);
		if (find_one(s, hex, &m, &f) != 0)
			continue;
		int r = message_read(s, &m, add_to_hasher, h, &f);
		hasher_end(h, &found);
		if (r < 0) {
			assert_true(f.text[0] != '\0');
			continue;
		}
		assert_int_equal(digest_compare(&found, &flips.digest[i]), 0);
		right++;
	}
	return right;
}

/* Findings of damage; those that name the file in *ret_named. */
static unsigned verify_all(struct store *s, const char *file, unsigned *ret_named)
{
	struct verify *v CLEANUP(verify_closep) = NULL;
	struct damage d;
	struct fault f;
	unsigned n = 0;
	int r;

	*ret_named = 0;
	if (verify_open(s, VERIFY_DEFAULT, &v, &f) < 0)
		return 0;
	while ((r = verify_step(v, &d, &f)) > 0) {
		if (r != VERIFY_DAMAGE)
			continue;
		n++;
		*ret_named += strcmp(d.file, file) == 0;
		assert_true(d.text[0] != '\0');
	}
	if (r < 0) /* as the command does: exit 4 and what to do */
		assert_true(f.code == FAULT_DAMAGE && strstr(f.text, "rebuild"));
	return n;
}

static void put_byte(const char *file, off_t at, uint8_t mask)
{
	int fd CLEANUP(fd_closep) = open(path_of(flips.w, file), O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= mask;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static void try_flip(const char *file, off_t at, unsigned bit)
{
	struct store *s CLEANUP(store_closep) = NULL;
	uint8_t mask = (uint8_t)(1U << bit);
	unsigned named = 0, found;
	struct fault f;

	put_byte(file, at, mask);
	ok(flips.w, store_open(flips.w->path, NULL, STORE_READ, &s, &flips.w->f));
	found = verify_all(s, file, &named);
	store_closep(&s);
	if (store_open(flips.w->path, NULL, STORE_READ, &s, &f) < 0)
		fail_msg("%s byte %jd bit %u: %s", file, (intmax_t)at, bit, f.text);
	(void)read_all(s);
	flips.flips++;
	if (found == 0)
		fail_msg("%s byte %jd bit %u: not found", file, (intmax_t)at, bit);
	if (found > 0 && named == 0)
		fail_msg("%s byte %jd bit %u: found, but of another file", file, (intmax_t)at, bit);
	put_byte(file, at, mask);
}

static bool is_all(void)
{
	return getenv("POPKEEP_FLIPS_ALL") != NULL; /* NOLINT(concurrency-mt-unsafe) */
}

/* A sample of all places. */
static void flip_some(const char *file)
{
	off_t size = size_of(flips.w, file);

	for (off_t at = 0; is_all() && at < size; at++)
		try_flip(file, at, (unsigned)(next_random() % 8));
	for (unsigned i = 0; !is_all() && i < SAMPLE; i++)
		try_flip(file, (off_t)(next_random() % (uint64_t)size),
			(unsigned)(next_random() % 8));
	print_message("# %zu flips in %s\n", flips.flips, file);
}

/* These places, one bit of each byte, or all. */
static void flip_range(const char *file, uint64_t from, uint64_t to)
{
	for (uint64_t at = from; at < to; at++)
		try_flip(file, (off_t)at, (unsigned)(next_random() % 8));
}

static void flip_bits(const char *file, uint64_t from, uint64_t to)
{
	for (uint64_t at = from; at < to; at++) {
		for (unsigned bit = 0; bit < 8; bit++)
			try_flip(file, (off_t)at, bit);
	}
}

#define SEALED "segments/000002.tar.zst"
#define OPEN   "segments/000003.open.tar.zst"
#define LEDGER "ledger/000001.log" /* of several, since they are small here */

/* ---- Cases
 * --------------------------------------------------------------------------------------- */

static void every_flip_in_a_sealed_segment_is_found_and_named(void **state)
{
	(void)state;
	flip_some(SEALED);
}

static void every_flip_in_the_structure_of_a_sealed_segment_is_found_and_named(void **state)
{
	struct world *w = *state;
	struct frame_table t CLEANUP(frame_table_deinit) = {0};
	int fd CLEANUP(fd_closep) = open(path_of(w, SEALED), O_RDONLY | O_CLOEXEC);
	uint64_t size = (uint64_t)size_of(w, SEALED);

	assert_true(fd >= 0);
	ok(w, frame_table_read(fd, size, &t, &w->f));
	assert_true(t.frames >= 2);
	for (size_t i = 0; i < t.frames; i++) {
		uint64_t end = t.frame[i].offset + t.frame[i].size;

		flip_range(SEALED, t.frame[i].offset, t.frame[i].offset + 12);
		flip_range(SEALED, end - 5, end);
	}
	/* Headers of both tables, the fields of their first frames, and the footer. */
	uint64_t tables = frame_table_end(&t), seek = size - 9 - t.frames * 8 - 8;
	flip_range(SEALED, tables, tables + 8 + 16 + 8 + 40);
	flip_range(SEALED, seek - 32, seek + 8 + 8);
	flip_bits(SEALED, size - 9, size);
	print_message("# %zu flips\n", flips.flips);
}

static void every_flip_in_an_open_segment_is_found_and_named(void **state)
{
	(void)state;
	flip_some(OPEN);
}

/* Flips with which all frames of the open segment decode to the same bytes (RFC 8878 has padding,
 * and the same bytes can be said in several ways). */
struct quiet {
	uint8_t *bytes, *right, *other;
	size_t len, decoded;
	ZSTD_DCtx *zstd;
	size_t bit; /* the next to be looked at */
};

static void quiet_begin(struct quiet *q, struct world *w)
{
	int fd CLEANUP(fd_closep) = open(path_of(w, OPEN), O_RDONLY | O_CLOEXEC);

	*q = (struct quiet){.len = (size_t)size_of(w, OPEN), .zstd = ZSTD_createDCtx()};
	q->bytes = malloc(q->len);
	q->right = malloc(DECODED_MAX);
	q->other = malloc(DECODED_MAX);
	assert_true(q->bytes && q->right && q->other && q->zstd && fd >= 0);
	assert_int_equal(pread(fd, q->bytes, q->len, 0), (ssize_t)q->len);
	q->decoded = ZSTD_decompressDCtx(q->zstd, q->right, DECODED_MAX, q->bytes, q->len);
	assert_false(ZSTD_isError(q->decoded));
}

static void quiet_end(struct quiet *q)
{
	free(q->bytes);
	free(q->right);
	free(q->other);
	(void)ZSTD_freeDCtx(q->zstd);
}

/* Looks at each step'th bit. */
static bool quiet_next(struct quiet *q, size_t step, off_t *ret_at, unsigned *ret_bit)
{
	bool found = false;

	while (!found && q->bit < q->len * 8) {
		*ret_at = (off_t)(q->bit / 8);
		*ret_bit = (unsigned)(q->bit % 8);
		q->bytes[*ret_at] ^= (uint8_t)(1U << *ret_bit);
		found = ZSTD_decompressDCtx(q->zstd, q->other, DECODED_MAX, q->bytes, q->len) ==
				q->decoded &&
			memcmp(q->right, q->other, q->decoded) == 0;
		q->bytes[*ret_at] ^= (uint8_t)(1U << *ret_bit);
		q->bit += step;
	}
	return found;
}

static void a_flip_in_an_open_segment_that_decodes_to_the_same_bytes_is_found(void **state)
{
	struct quiet q CLEANUP(quiet_end);
	unsigned bit;
	off_t at;

	quiet_begin(&q, *state);
	while (quiet_next(&q, is_all() ? 1 : 5, &at, &bit))
		try_flip(OPEN, at, bit);
	print_message("# %zu flips change nothing that is decoded\n", flips.flips);
	assert_true(flips.flips > 5);
}

/* One such flip stays in the file. */
static void change_quietly(struct world *w)
{
	struct quiet q CLEANUP(quiet_end);
	unsigned bit = 0, named;
	off_t at = 0;

	quiet_begin(&q, w);
	q.bit = q.len * 4; /* frames' headers would be found anyway */
	assert_true(quiet_next(&q, 1, &at, &bit));
	put_byte(OPEN, at, (uint8_t)(1U << bit));
	reopen(w);
	assert_int_equal(read_all(w->store), flips.n);
	assert_int_equal(verify_all(w->store, OPEN, &named), 1);
	assert_int_equal(named, 1);
}

static void is_good(struct world *w)
{
	unsigned named;

	assert_false(exists(w, OPEN));
	assert_int_equal(read_all(w->store), flips.n);
	assert_int_equal(verify_all(w->store, OPEN, &named), 0);
}

static void sealing_makes_such_a_flip_good(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);
	struct seal_result sealed;
	const struct seal_due due = {0};

	change_quietly(w);
	assert_int_equal(store_seal(w->store, &due, &job, &sealed, &w->f), 0);
	is_good(w);
}

static void salvaging_makes_such_a_flip_good(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);
	struct salvage_sums sums;

	change_quietly(w);
	ok(w, store_salvage(w->store, 3, 0, &job, NULL, NULL, &sums, &w->f));
	assert_int_equal(sums.lost, 0);
	is_good(w);
}

static void every_flip_in_the_frame_headers_of_an_open_segment_is_found(void **state)
{
	struct world *w = *state;
	int fd CLEANUP(fd_closep) = open(path_of(w, OPEN), O_RDONLY | O_CLOEXEC);
	uint64_t size = (uint64_t)size_of(w, OPEN);
	struct frame_headers h = {0};
	uint64_t begin = 0;

	assert_true(fd >= 0);
	/* One frame at a time. */
	for (uint64_t end = 1; end <= size; end++) {
		h = (struct frame_headers){.offset = begin};
		ok(w, frame_headers_check(fd, end, &h, &w->f));
		if (h.frames == 0)
			continue;
		flip_bits(OPEN, begin, begin + 6);
		flip_range(OPEN, begin + 6, begin + 9);
		flip_bits(OPEN, h.offset - 4, h.offset);
		begin = end = h.offset;
	}
	assert_true(begin == size);
	print_message("# %zu flips\n", flips.flips);
}

static void every_flip_in_the_ledger_is_found_and_named(void **state)
{
	struct world *w = *state;
	char last[40];
	uint64_t n = 0;

	while (snprintf(last, sizeof last, "ledger/%06" PRIu64 ".log", n + 1) > 0 &&
		exists(w, last))
		n++;
	assert_true(n > 1);
	(void)snprintf(last, sizeof last, "ledger/%06" PRIu64 ".log", n);
	for (int i = 0; i < 2; i++) {
		const char *file = i ? last : LEDGER;
		uint64_t size = (uint64_t)size_of(w, file);

		flips.flips = 0;
		flip_range(file, 0, 40);
		flip_range(file, size - 200, size);
		flip_some(file);
	}
}

/* What a database says is checked against the messages' own digests: an error, or the right bytes.
 */
static void flip_catalog(const char *file, unsigned n)
{
	off_t size = size_of(flips.w, file);
	unsigned refused = 0;

	for (unsigned i = 0; i < n; i++) {
		struct store *s CLEANUP(store_closep) = NULL;
		off_t at = is_all() ? (off_t)i : (off_t)(next_random() % (uint64_t)size);
		uint8_t mask = (uint8_t)(1U << (next_random() % 8));
		struct fault f;
		unsigned named;

		/* The first page says what the file is. */
		if (i < 100)
			at = (off_t)i;
		put_byte(file, at, mask);
		if (store_open(flips.w->path, NULL, STORE_READ, &s, &f) < 0) {
			refused++;
			if (!strstr(f.text, "popkeep rebuild"))
				fail_msg("%s byte %jd: %s", file, (intmax_t)at, f.text);
		} else {
			(void)verify_all(s, "catalog.db", &named);
			store_closep(&s);
			if (store_open(flips.w->path, NULL, STORE_READ, &s, &f) == 0)
				(void)read_all(s);
		}
		store_closep(&s);
		put_byte(file, at, mask);
	}
	print_message("# %u flips in %s: %u times it was refused\n", n, file, refused);
	struct store *s CLEANUP(store_closep) = NULL;
	ok(flips.w, store_open(flips.w->path, NULL, STORE_READ, &s, &flips.w->f));
	assert_int_equal(read_all(s), flips.n);
}

static void no_flip_in_the_catalog_gives_out_a_wrong_message(void **state)
{
	(void)state;
	flip_catalog("catalog.db",
		is_all() ? (unsigned)size_of(flips.w, "catalog.db") : 100 + 2 * SAMPLE);
}

/* A writer has it open, so that its last transactions are in the journal. */
static void no_flip_in_the_catalogs_journal_gives_out_a_wrong_message(void **state)
{
	struct world *w = *state;

	reopen(w);
	keep(w, 300, 3);
	note_digests(w);
	assert_true(size_of(w, "catalog.db-wal") > 100);
	flip_catalog("catalog.db-wal",
		is_all() ? (unsigned)size_of(w, "catalog.db-wal") : 100 + 2 * SAMPLE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(every_flip_in_a_sealed_segment_is_found_and_named),
		CASE(every_flip_in_the_structure_of_a_sealed_segment_is_found_and_named),
		CASE(every_flip_in_an_open_segment_is_found_and_named),
		CASE(a_flip_in_an_open_segment_that_decodes_to_the_same_bytes_is_found),
		CASE(sealing_makes_such_a_flip_good),
		CASE(salvaging_makes_such_a_flip_good),
		CASE(every_flip_in_the_frame_headers_of_an_open_segment_is_found),
		CASE(every_flip_in_the_ledger_is_found_and_named),
		CASE(no_flip_in_the_catalog_gives_out_a_wrong_message),
		CASE(no_flip_in_the_catalogs_journal_gives_out_a_wrong_message),
	};

	return cmocka_run_group_tests_name("flips", tests, NULL, NULL);
}
