/* verify on a real folder: what it finds, what it only notes, and rounds of several runs. Flipped
 * bits everywhere are tests/crash/test_flips.c. */
#include "archive/check.h"
#include "archive/frame_header.h"
#include "archive/limits.h"
#include "tests/crash/forked.h"
#include "tests/unit/schema.h"
#include "tests/unit/world.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#define SEGMENT "segments/000001.open.tar.zst"
#define LEDGER	"ledger/000001.log"

/* ---- A disk or memory that gives a wrong byte at times ------------------------------------------
 */

static struct {
	int left;      /* times that it is wrong yet */
	size_t len;    /* reads of at least so much */
	uint8_t first; /* that begin with this byte */
} wrong;

static void spoil(void *buffer, ssize_t n)
{
	uint8_t *bytes = buffer;

	if (wrong.left > 0 && n > 0 && (size_t)n >= wrong.len && bytes[0] == wrong.first) {
		wrong.left--;
		bytes[n / 2] ^= 0x10;
	}
}

ssize_t __real_pread64(int fd, void *buffer, size_t n, off_t at);
ssize_t __wrap_pread64(int fd, void *buffer, size_t n, off_t at);
ssize_t __wrap_pread64(int fd, void *buffer, size_t n, off_t at)
{
	ssize_t r = __real_pread64(fd, buffer, n, at);

	spoil(buffer, r);
	return r;
}

ssize_t __wrap_pread(int fd, void *buffer, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *buffer, size_t n, off_t at)
{
	return __wrap_pread64(fd, buffer, n, at);
}

ssize_t __wrap___pread64_chk(int fd, void *buffer, size_t n, off_t at, size_t size);
ssize_t __wrap___pread64_chk(int fd, void *buffer, size_t n, off_t at, size_t size)
{
	assert_true(n <= size);
	return __wrap_pread64(fd, buffer, n, at);
}

/* ---- The archive
 * --------------------------------------------------------------------------------- */

static const char *path_of(struct world *w, const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof path, "%s/%s", w->path, name);
	return path;
}

static void keep(struct world *w, unsigned i, const char *class_)
{
	char text[96];
	struct item *item = item_new(ITEM_MESSAGE, w->drop.number, &w->f);

	assert_non_null(item);
	(void)snprintf(text, sizeof text, "Subject: %u\r\n\r\nthe body of %u\r\n", i, i);
	ok(w, spool_new(w->pool, &item->spool, &w->f));
	ok(w, spool_write(item->spool, slice_text(text), &w->f));
	spool_finish(item->spool);
	item->class_ = class_;
	(void)snprintf(text, sizeof text, "u%u", i);
	ok(w, buffer_append_text(&item->uidl, text, &w->f));
	assert_int_equal(commit_one(w, item), OUTCOME_KEPT);
}

static int begin(void **state)
{
	(void)world_begin_with_drop(state);
	for (unsigned i = 0; i < 6; i++)
		keep(*state, i, NULL);
	wrong.left = 0;
	return 0;
}

static void flip(struct world *w, const char *name, off_t at, uint8_t mask)
{
	int fd CLEANUP(fd_closep) = open(path_of(w, name), O_RDWR);
	uint8_t byte;

	assert_true(fd >= 0);
	if (at < 0)
		at += lseek(fd, 0, SEEK_END);
	assert_int_equal(__real_pread64(fd, &byte, 1, at), 1);
	byte ^= mask;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static void run_sql(struct world *w, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path_of(w, "catalog.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
}

struct seen {
	struct verify_sums sums;
	struct damage first, note; /* of each kind */
	struct scrub round;
	bool ends;
};

static struct seen verify(
	struct world *w, enum verify_depth depth, const struct scrub *from, int64_t max_ms)
{
	struct verify *v CLEANUP(verify_closep) = NULL;
	struct seen seen = {0};
	struct damage d;
	int r;

	ok(w, verify_open(w->store, depth, &v, &w->f));
	if (from)
		verify_go_on(v, from, max_ms);
	while ((r = verify_step(v, &d, &w->f)) > 0) {
		if (r == VERIFY_DAMAGE && !seen.first.text[0])
			seen.first = d;
		if (r == VERIFY_NOTE && !seen.note.text[0])
			seen.note = d;
	}
	ok(w, r);
	seen.sums = *verify_sums(v);
	seen.ends = verify_round(v, &seen.round) == VERIFY_ROUND_ENDS;
	return seen;
}

static struct seen verify_all(struct world *w)
{
	return verify(w, VERIFY_DEFAULT, NULL, 0);
}

/* ---- What it finds
 * ------------------------------------------------------------------------------- */

static void what_is_whole_is_counted_and_nothing_is_found(void **state)
{
	static const enum verify_depth all[] = {VERIFY_QUICK, VERIFY_DEFAULT, VERIFY_FULL};

	for (size_t i = 0; i < 3; i++) {
		struct seen s = verify(*state, all[i], NULL, 0);

		assert_int_equal(s.sums.damaged + s.sums.notes + s.sums.reread, 0);
		assert_int_equal(s.sums.messages, 6);
		assert_int_equal(s.sums.segments, 1);
		assert_int_equal(s.sums.frames, all[i] == VERIFY_QUICK ? 0 : 6);
	}
}

static void each_bit_of_a_frames_header_is_looked_at(void **state)
{
	struct world *w = *state;

	for (off_t at = 0; at < 6; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			flip(w, SEGMENT, at, (uint8_t)(1U << bit));
			struct seen s = verify_all(w);
			assert_true(s.sums.damaged > 0);
			assert_string_equal(s.first.file, SEGMENT);
			flip(w, SEGMENT, at, (uint8_t)(1U << bit));
		}
	}
	assert_int_equal(verify_all(w).sums.damaged, 0);
}

static void a_changed_byte_of_a_segment_is_named_with_its_bytes_and_messages(void **state)
{
	struct world *w = *state;

	flip(w, SEGMENT, 40, 0x01);
	struct seen s = verify_all(w);
	assert_int_equal(s.sums.damaged, 2); /* the place, and the message */
	assert_string_equal(s.first.file, SEGMENT);
	assert_true(s.first.has_bytes && s.first.from <= 40 && s.first.to > 40);
	assert_non_null(strstr(s.first.advice, "popkeep salvage 1"));
}

/* Bits can be flipped so that everything decodes to the same (tests/crash/test_flips.c has such).
 */
static void bytes_that_are_not_those_that_were_written_are_named(void **state)
{
	struct world *w = *state;
	struct stat st;

	assert_int_equal(stat(path_of(w, SEGMENT), &st), 0);
	run_sql(w, "UPDATE stretch SET digest = zeroblob(32) WHERE offset = "
		   "(SELECT max(offset) FROM stretch)");
	assert_int_equal(verify(w, VERIFY_QUICK, NULL, 0).sums.damaged, 0);
	struct seen s = verify_all(w);
	assert_int_equal(s.sums.damaged, 1);
	assert_string_equal(s.first.file, SEGMENT);
	assert_true(s.first.has_bytes && s.first.from > 0);
	assert_int_equal(s.first.to, st.st_size);
	assert_false(s.first.has_message);
	assert_non_null(strstr(s.first.text, "not the bytes that were written"));
	assert_non_null(strstr(s.first.advice, "popkeep salvage 1"));
	assert_int_equal(verify(w, VERIFY_FULL, NULL, 0).sums.damaged, 1);
}

static void a_catalog_without_digests_of_written_bytes_is_no_damage(void **state)
{
	struct world *w = *state;

	run_sql(w, "DELETE FROM stretch WHERE offset > 0");
	assert_int_equal(verify_all(w).sums.damaged, 0);
	keep(w, 6, NULL);
	run_sql(w, SCHEMA_BACK_TO_3);
	store_close(w->store);
	w->store = NULL;
	ok(w, store_open(w->path, NULL, STORE_READ, &w->store, &w->f));
	assert_int_equal(verify_all(w).sums.damaged, 0);
}

static void a_changed_byte_of_the_ledger_is_named_with_its_bytes(void **state)
{
	struct world *w = *state;

	flip(w, LEDGER, 600, 0x01);
	struct seen s = verify(w, VERIFY_QUICK, NULL, 0);
	assert_true(s.sums.damaged > 0);
	assert_string_equal(s.first.file, LEDGER);
	assert_true(s.first.has_bytes && s.first.from <= 600 && s.first.to > 600);
}

static void the_last_line_of_the_ledger_is_no_exception(void **state)
{
	struct world *w = *state;

	for (off_t at = -120; at < 0; at++) {
		flip(w, LEDGER, at, 0x02);
		struct seen s = verify(w, VERIFY_QUICK, NULL, 0);
		assert_true(s.sums.damaged > 0);
		assert_string_equal(s.first.file, LEDGER);
		flip(w, LEDGER, at, 0x02);
	}
}

static void messages_that_the_catalog_lacks_or_has_beyond_the_ledger_are_found(void **state)
{
	struct world *w = *state;

	run_sql(w, "UPDATE message SET id = 1 WHERE id = (SELECT max(id) FROM message)");
	struct seen s = verify(w, VERIFY_QUICK, NULL, 0);
	assert_true(s.first.has_message);
	assert_int_equal(s.sums.damaged, 2);
	run_sql(w, "DELETE FROM message WHERE id = 1");
	assert_int_equal(verify(w, VERIFY_QUICK, NULL, 0).sums.damaged, 1);
}

static void a_message_that_the_ledger_calls_lost_is_not_missed(void **state)
{
	struct world *w = *state;

	run_sql(w, "INSERT INTO lost (id, digest) SELECT max(id), digest FROM message;"
		   "DELETE FROM message WHERE id = (SELECT max(id) FROM message)");
	assert_int_equal(verify_all(w).sums.damaged, 0);
}

static void a_place_beyond_the_files_end_is_found_without_reading(void **state)
{
	struct world *w = *state;

	run_sql(w, "UPDATE message SET frame_offset = 1000000 WHERE id = "
		   "(SELECT max(id) FROM message)");
	assert_int_equal(verify(w, VERIFY_QUICK, NULL, 0).sums.damaged, 1);
}

/* ---- What it only notes
 * -------------------------------------------------------------------------- */

static void files_that_belong_to_nothing_are_notes(void **state)
{
	struct world *w = *state;
	const struct timespec old[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
	static const struct {
		const char *name, *says;
	} files[] = {
		{"segments/seal.tmp", "a seal that died"},
		{"segments/copy.tmp", "a copy that was interrupted"},
		{"segments/000007.tar.zst", "no line of the ledger"},
		{"segments/000003.damaged", "by salvage"},
		{"segments/x.damaged", "nothing of popkeep's"},
	};

	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		const char *path = path_of(w, files[i].name);

		folder_put(path, "x");
		assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
		struct seen s = verify(w, VERIFY_QUICK, NULL, 0);
		assert_int_equal(s.sums.damaged, 0);
		assert_int_equal(s.sums.notes, 1);
		assert_string_equal(s.note.file, files[i].name);
		assert_non_null(strstr(s.note.text, files[i].says));
		assert_int_equal(unlink(path_of(w, files[i].name)), 0);
	}
}

static void what_is_right_when_it_is_read_again_is_a_note(void **state)
{
	struct world *w = *state;

	wrong.left = 1;
	wrong.len = 300;
	wrong.first = 0x28; /* a frame */
	struct seen s = verify_all(w);
	assert_int_equal(wrong.left, 0);
	assert_int_equal(s.sums.damaged, 0);
	assert_int_equal(s.sums.reread, 1);
	assert_int_equal(s.sums.messages, 6);
	assert_string_equal(s.note.file, SEGMENT);
}

static void a_ledger_that_is_right_when_it_is_read_again_is_a_note(void **state)
{
	struct world *w = *state;

	wrong.left = 1;
	wrong.len = 300;
	wrong.first = 'v';
	struct seen s = verify_all(w);
	assert_int_equal(wrong.left, 0);
	assert_int_equal(s.sums.damaged, 0);
	assert_int_equal(s.sums.reread, 1);
	assert_string_equal(s.note.file, LEDGER);
}

/* ---- Rounds
 * -------------------------------------------------------------------------------------- */

static void a_round_of_many_runs_looks_at_each_segment_once(void **state)
{
	static const char *const classes[] = {"a", "b", "c"};
	struct world *w = *state;
	struct scrub round = {0};
	uint64_t segments = 0, messages = 0, runs = 0;
	struct seen s;

	for (unsigned i = 0; i < 3; i++)
		keep(w, 100 + i, classes[i]);
	do {
		s = verify(w, VERIFY_DEFAULT, &round, 1);
		/* It may be so quick that a second one is begun. */
		segments += s.sums.segments;
		messages += s.sums.messages;
		round = s.round;
		runs++;
		assert_true(round.began > 0);
		ok(w, store_put_scrub(w->store, VERIFY_DEFAULT, s.ends ? NULL : &round, &w->f));
		ok(w, store_get_scrub(w->store, VERIFY_DEFAULT, &round, &w->f));
	} while (!s.ends);
	assert_int_equal(segments, 4);
	assert_int_equal(messages, 9);
	assert_true(runs <= 5);
	assert_int_equal(round.began, 0); /* the next one begins anew */
}

static void a_round_goes_on_behind_a_segment_that_is_gone(void **state)
{
	struct world *w = *state;
	struct scrub round = {.began = 1, .segment = 5, .done = 10, .damaged = 2};

	struct seen s = verify(w, VERIFY_DEFAULT, &round, 1000);
	assert_true(s.ends);
	assert_int_equal(s.sums.segments, 0);
	assert_int_equal(s.round.damaged, 2);
}

static void rounds_of_other_depths_are_apart(void **state)
{
	struct world *w = *state;
	struct scrub round = {.began = 7, .segment = 5, .done = 10, .damaged = 2}, got;

	ok(w, store_put_scrub(w->store, VERIFY_FULL, &round, &w->f));
	ok(w, store_get_scrub(w->store, VERIFY_DEFAULT, &got, &w->f));
	assert_int_equal(got.began, 0);
	ok(w, store_get_scrub(w->store, VERIFY_FULL, &got, &w->f));
	assert_memory_equal(&got, &round, sizeof got);
}

/* ---- Sealed segments
 * ----------------------------------------------------------------------------- */

#define SEALED "segments/000002.tar.zst"

/* Two messages with the same attachment, which becomes a part. */
static void keep_attached(struct world *w, unsigned i)
{
	char text[128];
	struct item *item = item_new(ITEM_MESSAGE, w->drop.number, &w->f);

	assert_non_null(item);
	ok(w, spool_new(w->pool, &item->spool, &w->f));
	(void)snprintf(text, sizeof text,
		"Subject: %u\r\nMIME-Version: 1.0\r\n"
		"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n",
		i);
	ok(w, spool_write(item->spool, slice_text(text), &w->f));
	uint32_t x = 1;
	for (unsigned line = 0; line < 600; line++) {
		static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					     "0123456789+/";

		for (unsigned c = 0; c < 76; c++) {
			x = x * 1664525 + 1013904223;
			text[c] = digits[x >> 26];
		}
		memcpy(text + 76, "\r\n", 2);
		ok(w, spool_write(item->spool, slice_of(text, 78), &w->f));
	}
	spool_finish(item->spool);
	(void)snprintf(text, sizeof text, "p%u", i);
	ok(w, buffer_append_text(&item->uidl, text, &w->f));
	assert_int_equal(commit_one(w, item), OUTCOME_KEPT);
}

static int begin_sealed(void **state)
{
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);
	const struct seal_due due = {0};
	struct seal_result sealed;

	(void)begin(state);
	struct world *w = *state;
	keep_attached(w, 50);
	keep_attached(w, 51);
	job.options.frame_bytes = 64 * KIB;
	assert_int_equal(store_seal(w->store, &due, &job, &sealed, &w->f), 0);
	assert_int_equal(chmod(path_of(w, SEALED), 0600), 0);
	return 0;
}

static void a_sealed_segment_that_is_whole_is_counted(void **state)
{
	static const enum verify_depth all[] = {VERIFY_QUICK, VERIFY_DEFAULT, VERIFY_FULL};

	for (size_t i = 0; i < 3; i++) {
		struct seen s = verify(*state, all[i], NULL, 0);

		assert_int_equal(s.sums.damaged + s.sums.notes + s.sums.reread, 0);
		assert_int_equal(s.sums.messages, 8);
		assert_int_equal(s.sums.segments, 1);
		assert_int_equal(s.sums.frames > 0, all[i] != VERIFY_QUICK);
	}
}

/* The messages that verify names, when the file's byte is flipped. */
static unsigned messages_hit(struct world *w, off_t at, struct seen *ret)
{
	struct verify *v CLEANUP(verify_closep) = NULL;
	struct store *s CLEANUP(store_closep) = NULL;
	struct damage d;
	unsigned n = 0;
	int r;

	flip(w, SEALED, at, 0x04);
	ok(w, store_open(w->path, NULL, STORE_READ, &s, &w->f));
	ok(w, verify_open(s, VERIFY_DEFAULT, &v, &w->f));
	*ret = (struct seen){0};
	while ((r = verify_step(v, &d, &w->f)) > 0) {
		if (r == VERIFY_DAMAGE && !d.has_message)
			ret->first = d;
		if (r == VERIFY_NOTE)
			ret->note = d;
		n += r == VERIFY_DAMAGE && d.has_message;
	}
	ok(w, r);
	flip(w, SEALED, at, 0x04);
	return n;
}

static void damage_in_a_shared_part_names_each_message_that_needs_it(void **state)
{
	struct world *w = *state;
	struct seen s;
	struct stat st;

	assert_int_equal(stat(path_of(w, SEALED), &st), 0);
	/* Of random bytes, the part is most of the file. */
	assert_true(messages_hit(w, st.st_size / 2, &s) >= 2);
	assert_string_equal(s.first.file, SEALED);
	assert_true(s.first.has_bytes && s.first.from <= (uint64_t)st.st_size / 2 &&
		    s.first.to > (uint64_t)st.st_size / 2);
	assert_non_null(strstr(s.first.advice, "popkeep salvage 2"));
}

static void damage_in_the_tables_hits_no_message_and_that_is_said(void **state)
{
	struct world *w = *state;
	struct seen s;

	assert_int_equal(messages_hit(w, -1, &s), 0);
	assert_string_equal(s.first.file, SEALED);
	assert_non_null(strstr(s.note.text, "none is hit"));
}

static void a_sealed_segment_that_is_gone_names_all_its_messages(void **state)
{
	struct world *w = *state;

	assert_int_equal(unlink(path_of(w, SEALED)), 0);
	struct seen s = verify(w, VERIFY_QUICK, NULL, 0);
	assert_string_equal(s.first.file, SEALED);
	assert_int_equal(s.sums.damaged, 1 + 8);
}

static void a_sealed_segment_of_another_size_is_found_without_reading(void **state)
{
	struct world *w = *state;
	struct stat st;

	assert_int_equal(stat(path_of(w, SEALED), &st), 0);
	assert_int_equal(truncate(path_of(w, SEALED), st.st_size + 10), 0);
	assert_true(verify(w, VERIFY_QUICK, NULL, 0).sums.damaged > 0);
}

static void a_sealed_segment_that_is_right_when_it_is_read_again_is_a_note(void **state)
{
	struct world *w = *state;

	wrong.left = 1;
	wrong.len = 10 * KIB;
	wrong.first = 0x28;
	struct seen s = verify_all(w);
	assert_int_equal(wrong.left, 0);
	assert_int_equal(s.sums.damaged, 0);
	assert_int_equal(s.sums.reread, 1);
	assert_string_equal(s.note.file, SEALED);
}

static void a_catalog_that_says_something_else_of_a_seal_is_found(void **state)
{
	struct world *w = *state;

	run_sql(w, "UPDATE segment SET digest = randomblob(32) WHERE number = 2");
	struct seen s = verify(w, VERIFY_QUICK, NULL, 0);
	assert_int_equal(s.sums.damaged, 1);
	assert_string_equal(s.first.file, "catalog.db");
	run_sql(w, "DELETE FROM segment WHERE number = 2");
	assert_true(verify(w, VERIFY_QUICK, NULL, 0).sums.damaged >= 1);
}

static void a_replaced_segment_that_is_there_still_is_passed_over(void **state)
{
	struct world *w = *state;

	run_sql(w, "INSERT OR REPLACE INTO segment (number, state, length, class) "
		   "VALUES (1, 4, 5000, 'default')");
	struct seen s = verify_all(w);
	assert_int_equal(s.sums.damaged, 0);
	assert_int_equal(s.sums.segments, 1);
}

#define SEALED_CASE(name) cmocka_unit_test_setup_teardown(name, begin_sealed, world_end)
#define CASE(name)	  cmocka_unit_test_setup_teardown(name, begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_is_whole_is_counted_and_nothing_is_found),
		CASE(each_bit_of_a_frames_header_is_looked_at),
		CASE(a_changed_byte_of_a_segment_is_named_with_its_bytes_and_messages),
		CASE(bytes_that_are_not_those_that_were_written_are_named),
		CASE(a_catalog_without_digests_of_written_bytes_is_no_damage),
		CASE(a_changed_byte_of_the_ledger_is_named_with_its_bytes),
		CASE(the_last_line_of_the_ledger_is_no_exception),
		CASE(messages_that_the_catalog_lacks_or_has_beyond_the_ledger_are_found),
		CASE(a_message_that_the_ledger_calls_lost_is_not_missed),
		CASE(a_place_beyond_the_files_end_is_found_without_reading),
		CASE(files_that_belong_to_nothing_are_notes),
		CASE(what_is_right_when_it_is_read_again_is_a_note),
		CASE(a_ledger_that_is_right_when_it_is_read_again_is_a_note),
		CASE(a_round_of_many_runs_looks_at_each_segment_once),
		CASE(a_round_goes_on_behind_a_segment_that_is_gone),
		CASE(rounds_of_other_depths_are_apart),
		SEALED_CASE(a_sealed_segment_that_is_whole_is_counted),
		SEALED_CASE(damage_in_a_shared_part_names_each_message_that_needs_it),
		SEALED_CASE(damage_in_the_tables_hits_no_message_and_that_is_said),
		SEALED_CASE(a_sealed_segment_that_is_gone_names_all_its_messages),
		SEALED_CASE(a_sealed_segment_of_another_size_is_found_without_reading),
		SEALED_CASE(a_sealed_segment_that_is_right_when_it_is_read_again_is_a_note),
		SEALED_CASE(a_catalog_that_says_something_else_of_a_seal_is_found),
		SEALED_CASE(a_replaced_segment_that_is_there_still_is_passed_over),
	};

	return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
