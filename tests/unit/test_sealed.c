/* Reading sealed segments: recipes, parts, frames in the cache, and files that lie. */
#include "archive/dense.h"
#include "archive/frame_table.h"
#include "archive/limits.h"
#include "archive/recipe.h"
#include "archive/segment.h"
#include "tests/unit/check.h"

#include <sys/mman.h>
#include <zstd.h>

enum { PART = 100000, FRAME = 64 * 1024, MAX = 16 * 1024 * 1024 };

struct entry {
	struct location at;
	struct digest digest;
	uint64_t size; /* of the message, or the part */
};

/* A sealed segment in the making, and what was read of it. */
struct world {
	int fd;
	struct dense *dense;
	struct frame_cache cache;
	struct buffer message, text, got;
	struct recipe recipe;
	struct fault f;
	uint8_t part[PART];
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	uint32_t x = 1;

	w->fd = memfd_create("sealed", MFD_CLOEXEC);
	w->message = buffer_make(MAX);
	w->text = buffer_make(MAX);
	w->got = buffer_make(MAX);
	for (size_t i = 0; i < PART; i++) {
		x = x * 1664525u + 1013904223u;
		w->part[i] = (uint8_t)(x >> 24);
	}
	*state = w;
	return dense_open(w->fd, &(struct dense_options){3, FRAME}, &w->dense, &w->f);
}

static int teardown(void **state)
{
	struct world *w = *state;

	dense_close(w->dense);
	frame_cache_deinit(&w->cache);
	buffer_deinit(&w->message);
	buffer_deinit(&w->text);
	buffer_deinit(&w->got);
	close(w->fd);
	free(w);
	return 0;
}

static struct digest digest_of(struct slice bytes)
{
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	struct digest d;
	struct fault f;

	assert_int_equal(hasher_new(&h, &f), 0);
	hasher_add(h, bytes.data, bytes.len);
	hasher_end(h, &d);
	return d;
}

static uint64_t end(struct world *w)
{
	return (uint64_t)lseek(w->fd, 0, SEEK_END);
}

static void finish(struct world *w)
{
	assert_int_equal(dense_end(w->dense, &w->f), 0);
}

static struct entry put(struct world *w, const char *before, const struct digest *name,
	const char *behind, struct slice bytes)
{
	struct entry e = {.at.segment = 1, .digest = *name, .size = bytes.len};
	char hex[DIGEST_HEX + 1], text[128];

	digest_hex(name, hex);
	(void)snprintf(text, sizeof text, "%s%s%s", before, hex, behind);
	assert_int_equal(dense_begin(w->dense, text, bytes.len, 1000, &e.at.frame_offset,
				 &e.at.entry_offset, &w->f),
		0);
	if (bytes.len > 0)
		assert_int_equal(dense_put(w->dense, bytes, &w->f), 0);
	return e;
}

static struct entry put_part(struct world *w, struct slice bytes)
{
	struct digest d = digest_of(bytes);

	return put(w, "part/", &d, "", bytes);
}

/* Begins a recipe: w->message will be the message, w->text the literal bytes. */
static void begin(struct world *w)
{
	w->recipe.pieces = 0;
	buffer_clear(&w->message);
	buffer_clear(&w->text);
}

static void literal(struct world *w, struct slice bytes)
{
	w->recipe.piece[w->recipe.pieces++] =
		(struct piece){.kind = PIECE_LITERAL, .size = bytes.len};
	assert_int_equal(buffer_append(&w->message, bytes.data, bytes.len, &w->f), 0);
	assert_int_equal(buffer_append(&w->text, bytes.data, bytes.len, &w->f), 0);
}

static void part(struct world *w, enum piece_kind kind, const struct entry *e, struct slice bytes)
{
	struct piece *p = &w->recipe.piece[w->recipe.pieces++];
	size_t before = w->message.len;

	*p = (struct piece){.kind = kind,
		.part = e->digest,
		.part_size = bytes.len,
		.frame_offset = e->at.frame_offset,
		.entry_offset = e->at.entry_offset,
		.line = kind == PIECE_BASE64 ? 76 : 0,
		.eol = kind == PIECE_BASE64 ? PIECE_CRLF : 0};
	if (kind == PIECE_RAW) {
		assert_int_equal(buffer_append(&w->message, bytes.data, bytes.len, &w->f), 0);
	} else {
		struct base64_lines b;

		base64_lines_init(&b, 76, PIECE_CRLF);
		assert_int_equal(base64_lines_add(&b, bytes, &w->message, &w->f), 0);
		assert_int_equal(base64_lines_end(&b, &w->message, &w->f), 0);
	}
	p->size = w->message.len - before;
}

static struct entry put_recipe(struct world *w)
{
	struct buffer entry CLEANUP(buffer_deinit) = buffer_make(MAX);
	struct digest d = digest_of(buffer_slice(&w->message));

	w->recipe.size = w->message.len;
	assert_int_equal(recipe_format(&w->recipe, &entry, &w->f), 0);
	assert_int_equal(buffer_append(&entry, w->text.data, w->text.len, &w->f), 0);
	struct entry e = put(w, "mail/", &d, ".recipe", buffer_slice(&entry));
	e.size = w->message.len;
	return e;
}

/* The usual message: text, a part in base64, text, the same part as it is, text. */
static struct entry put_usual(struct world *w, const struct entry *p, const char *text)
{
	struct slice bytes = slice_of(w->part, (size_t)p->size);

	begin(w);
	literal(w, slice_text(text));
	part(w, PIECE_BASE64, p, bytes);
	literal(w, slice_text("\r\n--x\r\n\r\n"));
	part(w, PIECE_RAW, p, bytes);
	literal(w, slice_text("\r\n--x--\r\n"));
	return put_recipe(w);
}

static int keep(void *context, struct slice bytes, struct fault *f)
{
	return buffer_append(context, bytes.data, bytes.len, f);
}

static int read_back(struct world *w, const struct entry *e, uint64_t limit)
{
	buffer_clear(&w->got);
	int r = segment_read_entry(
		w->fd, &w->cache, &e->at, &e->digest, e->size, limit, keep, &w->got, &w->f);
	assert_true(r == 0 || (r == ENTRY_OTHER && w->f.code == FAULT_DAMAGE && w->f.text[0]));
	assert_true(w->got.len <= e->size && w->got.len <= limit);
	return r;
}

static bool got_it(const struct world *w, const struct entry *e)
{
	struct digest d = digest_of(buffer_slice(&w->got));

	return w->got.len == e->size && digest_compare(&d, &e->digest) == 0;
}

static void a_message_is_put_together_from_its_parts(void **state)
{
	struct world *w = *state;
	struct entry small = put_part(w, slice_of(w->part, 20001));
	struct entry large = put_part(w, slice_of(w->part, PART)); /* spans frames */
	struct entry a = put_usual(w, &small, "first\r\n");
	struct entry b = put_usual(w, &large, "second\r\n");

	finish(w);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(read_back(w, &a, UINT64_MAX), 0);
		assert_true(got_it(w, &a));
		assert_int_equal(read_back(w, &b, UINT64_MAX), 0);
		assert_true(got_it(w, &b));
		for (uint64_t limit = 0; limit < 1000; limit += 99) {
			assert_int_equal(read_back(w, &b, limit), 0);
			assert_int_equal(w->got.len, limit);
		}
	}
}

static void a_recipe_can_span_frames_too(void **state)
{
	struct world *w = *state;
	struct entry p = put_part(w, slice_of(w->part, 20001));
	struct slice all = slice_of(w->part, PART);

	begin(w);
	literal(w, all);
	part(w, PIECE_BASE64, &p, slice_of(w->part, 20001));
	literal(w, all);
	struct entry e = put_recipe(w);
	begin(w);
	for (size_t i = 0; i < LIMIT_RECIPE_PIECES; i++) { /* its text is larger than a frame */
		if (i % 2)
			part(w, PIECE_RAW, &p, slice_of(w->part, 20001));
		else
			literal(w, slice_text("x"));
	}
	struct entry many = put_recipe(w);
	finish(w);
	assert_int_equal(read_back(w, &e, UINT64_MAX), 0);
	assert_true(got_it(w, &e));
	assert_int_equal(read_back(w, &many, UINT64_MAX), 0);
	assert_true(got_it(w, &many));
}

/* A recipe whose one part is as change says; nothing of it may be given beyond its literal piece.
 */
static void expect_refused(struct world *w, const struct piece *changed)
{
	begin(w);
	literal(w, slice_text("text"));
	w->recipe.piece[w->recipe.pieces++] = *changed;
	assert_int_equal(buffer_append(&w->message, "text", 4, &w->f), 0);
	struct entry e = put_recipe(w);
	finish(w);
	assert_int_equal(read_back(w, &e, UINT64_MAX), ENTRY_OTHER);
	assert_int_equal(w->got.len, 4);
}

/* part that is not there, in as many ways as a hostile file has. */
static struct piece four_bytes(const struct entry *e)
{
	return (struct piece){.kind = PIECE_RAW,
		.size = 4,
		.part = e->digest,
		.part_size = 4,
		.frame_offset = e->at.frame_offset,
		.entry_offset = e->at.entry_offset};
}

static void a_part_of_another_size_is_refused(void **state)
{
	struct world *w = *state;
	struct entry p = put_part(w, slice_of(w->part, 5));
	struct piece piece = four_bytes(&p);

	expect_refused(w, &piece);
}

static void a_part_of_another_name_is_refused(void **state)
{
	struct world *w = *state;
	struct entry p = put_part(w, slice_of(w->part, 4));
	struct piece piece = four_bytes(&p);

	piece.part.byte[0] ^= 1;
	expect_refused(w, &piece);
}

static void a_part_that_is_missing_is_refused(void **state)
{
	struct world *w = *state;
	struct entry p = put_part(w, slice_of(w->part, 4));
	struct piece piece = four_bytes(&p);

	piece.frame_offset = UINT64_MAX;
	expect_refused(w, &piece);
}

static void a_part_behind_its_frame_is_refused(void **state)
{
	struct world *w = *state;
	struct entry p = put_part(w, slice_of(w->part, 4));
	struct piece piece = four_bytes(&p);

	piece.entry_offset = UINT64_MAX;
	expect_refused(w, &piece);
}

static void a_wrong_hint_is_refused_though_the_part_is_there(void **state)
{
	struct world *w = *state;
	struct entry p = put_part(w, slice_of(w->part, 4));
	struct piece piece = four_bytes(&p);

	piece.entry_offset += 512;
	expect_refused(w, &piece);
}

static void a_recipe_that_names_itself_is_refused(void **state)
{
	struct world *w = *state;
	struct digest d = digest_of(slice_text("texttext"));
	struct entry self = {.digest = d};
	struct piece piece = four_bytes(&self); /* frame 0, entry 0: the recipe's own */

	expect_refused(w, &piece);
}

static void sums_are_checked_before_the_sink_gets_a_byte(void **state)
{
	struct world *w = *state;
	struct entry p = put_part(w, slice_of(w->part, 20001));
	struct entry e = put_usual(w, &p, "text");

	finish(w);
	e.size++;
	assert_int_equal(read_back(w, &e, UINT64_MAX), ENTRY_OTHER);
	assert_int_equal(w->got.len, 0);
	e.size--;
	e.digest.byte[3] ^= 1;
	assert_int_equal(read_back(w, &e, UINT64_MAX), ENTRY_OTHER);
	assert_int_equal(w->got.len, 0);
}

/* Counts what a walk finds of each kind, and messages that are not what they are named. */
struct found {
	unsigned kind[ENTRY_README + 1], wrong, damage;
	enum walk_tail tail;
	uint64_t frames_end;
};

static struct found walk(struct world *w, enum walk_mode mode, uint64_t file_end)
{
	struct segment_walk *walk CLEANUP(segment_walk_closep) = NULL;
	struct segment_entry e;
	struct found found = {{0}, 0, 0, 0, 0};
	uint64_t from, to, last = 0;
	int r;

	assert_int_equal(segment_walk_open(w->fd, 1, 0, file_end, mode, &walk, &w->f), 0);
	while ((r = segment_walk_next(walk, &e, &from, &to, &w->f)) > 0) {
		if (r == WALK_DAMAGE) {
			assert_true(from < to && from >= last && to <= file_end);
			found.damage++;
			last = to;
			continue;
		}
		found.kind[e.kind]++;
		assert_true(!e.unread || w->f.code == FAULT_DAMAGE);
		if (mode == WALK_DIGEST && entry_has_digest(e.kind))
			found.wrong += digest_compare(&e.found, &e.named) != 0;
	}
	assert_int_equal(r, 0);
	found.tail = segment_walk_tail(walk, &found.frames_end);
	return found;
}

static void put_text(struct world *w, const char *name)
{
	assert_int_equal(dense_begin(w->dense, name, 2, 0, NULL, NULL, &w->f), 0);
	assert_int_equal(dense_put(w->dense, slice_text("x\n"), &w->f), 0);
}

/* Two parts, three recipes and a message, over some frames. */
static struct entry fill(struct world *w)
{
	struct digest d = digest_of(slice_of(w->part, 300));
	struct entry small = put_part(w, slice_of(w->part, 20001));
	struct entry large = put_part(w, slice_of(w->part, PART));

	(void)put(w, "mail/", &d, ".eml", slice_of(w->part, 300));
	(void)put_usual(w, &small, "a");
	(void)put_usual(w, &small, "b");
	(void)put_usual(w, &large, "c");
	put_text(w, "LEDGER");
	put_text(w, "README");
	put_text(w, "another");
	finish(w);
	return small;
}

static void a_walk_names_every_entry_and_digests_what_they_make(void **state)
{
	struct world *w = *state;

	(void)fill(w);
	for (enum walk_mode mode = WALK_DIGEST; mode <= WALK_NAMES; mode++) {
		struct found found = walk(w, mode, end(w));

		assert_int_equal(found.kind[ENTRY_MAIL], 1);
		assert_int_equal(found.kind[ENTRY_RECIPE], 3);
		assert_int_equal(found.kind[ENTRY_PART], 2);
		assert_int_equal(found.kind[ENTRY_LEDGER], 1);
		assert_int_equal(found.kind[ENTRY_README], 1);
		assert_int_equal(found.kind[ENTRY_UNKNOWN], 1);
		assert_int_equal(found.wrong + found.damage, 0);
	}
}

static void a_walk_ends_where_the_table_says(void **state)
{
	struct world *w = *state;
	struct frame_table t CLEANUP(frame_table_deinit) = {0};

	(void)fill(w);
	struct found found = walk(w, WALK_DIGEST, end(w));
	assert_int_equal(found.tail, TAIL_BLOCKS);
	assert_int_equal(frame_table_read(w->fd, end(w), &t, &w->f), 0);
	assert_int_equal(found.frames_end, frame_table_end(&t));
	assert_true(t.frames > 2);
}

static void a_sealed_segment_that_is_cut_short_is_noticed(void **state)
{
	struct world *w = *state;
	struct frame_table t CLEANUP(frame_table_deinit) = {0};

	(void)fill(w);
	assert_int_equal(frame_table_read(w->fd, end(w), &t, &w->f), 0);
	uint64_t frames_end = frame_table_end(&t);
	for (size_t i = 0; i < t.frames; i++) {
		struct found found = walk(w, WALK_DIGEST, t.frame[i].offset);

		assert_int_equal(found.tail, TAIL_NONE);
	}
	assert_int_equal(walk(w, WALK_DIGEST, frames_end).tail, TAIL_BLOCKS);
	assert_int_equal(walk(w, WALK_DIGEST, frames_end - 1).tail, TAIL_NONE);
	assert_int_equal(walk(w, WALK_DIGEST, frames_end - 1).damage, 1);
	assert_int_equal(walk(w, WALK_DIGEST, end(w) - 1).damage, 1);
}

static void what_comes_behind_the_tables_is_noticed(void **state)
{
	struct world *w = *state;
	struct frame_table t = {0};
	uint8_t frame[64];

	(void)fill(w);
	size_t n = ZSTD_compress(frame, sizeof frame, "x", 1, 1);
	uint64_t whole = end(w);
	assert_int_equal(pwrite(w->fd, frame, n, (off_t)whole), n);
	assert_int_equal(walk(w, WALK_DIGEST, end(w)).damage, 1);
	assert_int_equal(frame_table_read(w->fd, end(w), &t, &w->f), TABLE_NONE);
	assert_int_equal(pwrite(w->fd, "junk that is no frame", 21, (off_t)whole), 21);
	assert_int_equal(walk(w, WALK_DIGEST, whole + 21).damage, 1);
}

static void a_damaged_part_damages_every_message_that_uses_it(void **state)
{
	struct world *w = *state;
	struct frame_table t CLEANUP(frame_table_deinit) = {0};
	uint8_t byte;

	struct entry small = fill(w);
	assert_int_equal(frame_table_read(w->fd, end(w), &t, &w->f), 0);
	off_t at = (off_t)(small.at.frame_offset + t.frame[0].size / 2);
	assert_int_equal(pread(w->fd, &byte, 1, at), 1);
	byte ^= 0x40;
	assert_int_equal(pwrite(w->fd, &byte, 1, at), 1);
	struct found found = walk(w, WALK_DIGEST, end(w));
	assert_int_equal(found.damage, 1);
	assert_int_equal(found.kind[ENTRY_RECIPE], 3);
	assert_int_equal(found.wrong, 2);
}

static void a_part_with_another_digest_than_its_name_damages_what_it_makes(void **state)
{
	struct world *w = *state;
	struct digest d = digest_of(slice_text("what it should be"));
	struct entry p = put(w, "part/", &d, "", slice_of(w->part, 20000));

	(void)put_usual(w, &p, "a");
	begin(w);
	struct entry lie = p;
	part(w, PIECE_RAW, &lie, slice_of(w->part + 1, 20000)); /* the message is another */
	(void)put_recipe(w);
	finish(w);
	struct found found = walk(w, WALK_DIGEST, end(w));
	assert_int_equal(found.kind[ENTRY_RECIPE], 2);
	assert_int_equal(found.wrong, 2); /* the part, and the second recipe */
}

static void flipped_bytes_never_make_another_message(void **state)
{
	struct world *w = *state;
	uint8_t byte;

	struct entry small = put_part(w, slice_of(w->part, 20001));
	struct entry e = put_usual(w, &small, "a");
	finish(w);
	for (off_t at = 0; at < (off_t)end(w); at += 37) {
		assert_int_equal(pread(w->fd, &byte, 1, at), 1);
		byte ^= 0x08;
		assert_int_equal(pwrite(w->fd, &byte, 1, at), 1);
		frame_cache_deinit(&w->cache);
		int r = read_back(w, &e, UINT64_MAX);
		assert_true(r == ENTRY_OTHER || got_it(w, &e));
		(void)walk(w, WALK_DIGEST, end(w));
		byte ^= 0x08;
		assert_int_equal(pwrite(w->fd, &byte, 1, at), 1);
	}
}

static void what_was_damaged_is_read_anew_by_an_empty_cache(void **state)
{
	struct world *w = *state;
	uint8_t byte, bad;

	struct entry small = put_part(w, slice_of(w->part, 20001));
	struct entry e = put_usual(w, &small, "a");
	finish(w);
	assert_int_equal(pread(w->fd, &byte, 1, 3000), 1);
	bad = byte ^ 1;
	assert_int_equal(pwrite(w->fd, &bad, 1, 3000), 1);
	assert_int_equal(read_back(w, &small, UINT64_MAX), ENTRY_OTHER);
	int r = read_back(w, &e, UINT64_MAX);
	assert_true(r == ENTRY_OTHER || !got_it(w, &e));
	frame_cache_deinit(&w->cache);
	assert_int_equal(pwrite(w->fd, &byte, 1, 3000), 1);
	assert_int_equal(read_back(w, &e, UINT64_MAX), 0);
	assert_true(got_it(w, &e));
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(a_message_is_put_together_from_its_parts),
		WORLD_TEST(a_recipe_can_span_frames_too),
		WORLD_TEST(a_part_of_another_size_is_refused),
		WORLD_TEST(a_part_of_another_name_is_refused),
		WORLD_TEST(a_part_that_is_missing_is_refused),
		WORLD_TEST(a_part_behind_its_frame_is_refused),
		WORLD_TEST(a_wrong_hint_is_refused_though_the_part_is_there),
		WORLD_TEST(a_recipe_that_names_itself_is_refused),
		WORLD_TEST(sums_are_checked_before_the_sink_gets_a_byte),
		WORLD_TEST(a_walk_names_every_entry_and_digests_what_they_make),
		WORLD_TEST(a_walk_ends_where_the_table_says),
		WORLD_TEST(a_sealed_segment_that_is_cut_short_is_noticed),
		WORLD_TEST(what_comes_behind_the_tables_is_noticed),
		WORLD_TEST(a_damaged_part_damages_every_message_that_uses_it),
		WORLD_TEST(a_part_with_another_digest_than_its_name_damages_what_it_makes),
		WORLD_TEST(flipped_bytes_never_make_another_message),
		WORLD_TEST(what_was_damaged_is_read_anew_by_an_empty_cache),
	};

	return cmocka_run_group_tests_name("sealed", tests, NULL, NULL);
}
