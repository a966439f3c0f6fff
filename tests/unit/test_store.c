/* The whole library on a real folder: commit, crash states, replay, rebuild, verify. */
#include "archive/check.h"
#include "archive/find.h"
#include "archive/known.h"
#include "tests/unit/world.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Message i under UIDL "u<i>". */
static struct item *message(struct world *w, unsigned i, const char *uidl)
{
	char text[64];
	struct item *item = item_new(ITEM_MESSAGE, w->drop.number, &w->f);

	assert_non_null(item);
	(void)snprintf(text, sizeof text, "Subject: %u\r\n\r\nbody of %u\r\n", i, i);
	ok(w, spool_new(w->pool, &item->spool, &w->f));
	ok(w, spool_write(item->spool, slice_text(text), &w->f));
	spool_finish(item->spool);
	item->listed_size = strlen(text);
	ok(w, buffer_append_text(&item->uidl, uidl, &w->f));
	return item;
}

static void keep(struct world *w, unsigned from, unsigned n)
{
	char uidl[16];

	for (unsigned i = from; i < from + n; i++) {
		(void)snprintf(uidl, sizeof uidl, "u%u", i);
		assert_int_equal(commit_one(w, message(w, i, uidl)), OUTCOME_KEPT);
	}
}

static uint64_t count(struct world *w)
{
	uint64_t messages = 0, bytes;

	ok(w, find_count(w->store, NULL, &messages, &bytes, &w->f));
	return messages;
}

static unsigned damages(struct world *w)
{
	struct verify *v CLEANUP(verify_closep) = NULL;
	struct damage d;
	unsigned n = 0;
	int r;

	ok(w, verify_open(w->store, VERIFY_FULL, &v, &w->f));
	while ((r = verify_step(v, &d, &w->f)) > 0) {
		if (r == VERIFY_DAMAGE && n++ < 3)
			print_message("# %s\n", d.text);
	}
	ok(w, r);
	assert_int_equal(verify_sums(v)->damaged, n);
	return n;
}

static unsigned readable(struct world *w)
{
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	struct message m;
	unsigned n = 0;

	ok(w, find_open(w->store, NULL, NULL, &c, &w->f));
	while (find_next(c, &m, &w->f) == FIND_ROW)
		n += message_check(w->store, &m, &w->f) == 0;
	return n;
}

static void every_message_reads(struct world *w)
{
	assert_int_equal(readable(w), count(w));
}

static char *path_of(struct world *w, const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof path, "%s/%s", w->path, name);
	return path;
}

static void append(struct world *w, const char *name, const void *bytes, size_t len)
{
	int fd CLEANUP(fd_closep) = open(path_of(w, name), O_WRONLY | O_APPEND | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
}

static void copy_file(struct world *w, const char *from, const char *to)
{
	char command[256];

	(void)snprintf(command, sizeof command, "cp %s/%s %s/%s", w->path, from, w->path, to);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own paths */
}

/* The catalog as it was at a moment: what a power cut can bring back. */
static void save_catalog(struct world *w)
{
	store_close(w->store);
	w->store = NULL;
	copy_file(w, "catalog.db", "saved");
	reopen(w);
}

static void bring_back_catalog(struct world *w)
{
	store_close(w->store);
	w->store = NULL;
	(void)unlink(path_of(w, "catalog.db-wal"));
	(void)unlink(path_of(w, "catalog.db-shm"));
	copy_file(w, "saved", "catalog.db");
}

#define SEGMENT "segments/000001.open.tar.zst"
#define LEDGER	"ledger/000001.log"

static void adding_the_same_bytes_twice_reports_duplicate(void **state)
{
	struct world *w = *state;

	assert_int_equal(commit_one(w, message(w, 1, "a")), OUTCOME_KEPT);
	assert_int_equal(commit_one(w, message(w, 1, "b")), OUTCOME_SEEN);
	assert_int_equal(commit_one(w, message(w, 1, "b")), OUTCOME_KNOWN);
	assert_int_equal(count(w), 1);
	assert_int_equal(damages(w), 0);
}

static void what_was_committed_reads_back_after_reopening(void **state)
{
	struct world *w = *state;

	keep(w, 0, 20);
	reopen(w);
	assert_int_equal(count(w), 20);
	every_message_reads(w);
	assert_int_equal(damages(w), 0);
}

static void a_frame_without_its_ledger_group_never_happened(void **state)
{
	struct world *w = *state;
	struct stat st;

	keep(w, 0, 3);
	append(w, SEGMENT, "\x28\xb5\x2f\xfdrest", 8);
	reopen(w);
	char *notice CLEANUP(freep) = store_take_notice(w->store);
	assert_non_null(notice);
	assert_non_null(strstr(notice, "8 bytes of an unfinished group"));
	assert_int_equal(stat(path_of(w, "aside"), &st), 0);
	keep(w, 3, 1);
	assert_int_equal(count(w), 4);
	every_message_reads(w);
	assert_int_equal(damages(w), 0);
}

static void a_ledger_group_without_commit_line_never_happened(void **state)
{
	struct world *w = *state;
	static const char torn[] =
		"v=1 event=vanish t=2026-01-01T00:00:00.000Z maildrop=1 uidl=x\nv=1 ev";

	keep(w, 0, 3);
	append(w, LEDGER, torn, sizeof torn - 1);
	reopen(w);
	keep(w, 3, 2);
	assert_int_equal(count(w), 5);
	assert_int_equal(damages(w), 0);
}

static void what_the_catalog_lost_is_replayed(void **state)
{
	struct world *w = *state;
	struct maildrop *all;
	size_t n;

	keep(w, 0, 3);
	save_catalog(w);
	keep(w, 3, 4);
	append(w, SEGMENT, "torn", 4);
	append(w, LEDGER, "v=1 torn", 8);
	bring_back_catalog(w);
	reopen(w);
	assert_int_equal(count(w), 7);
	every_message_reads(w);
	assert_int_equal(damages(w), 0);
	ok(w, store_maildrops(w->store, &all, &n, &w->f));
	assert_int_equal(n, 1);
	assert_int_equal(all[0].sums.archived, 7);
	maildrops_free(all, n);
	keep(w, 7, 1);
	assert_int_equal(damages(w), 0);
}

static void a_first_segment_and_ledger_that_never_happened_are_removed(void **state)
{
	struct world *w = *state;
	struct stat st;

	append(w, SEGMENT, "nothing whole", 13);
	append(w, "ledger/000002.log", "v=1 event=be", 12);
	reopen(w);
	assert_int_equal(stat(path_of(w, SEGMENT), &st), -1);
	assert_int_equal(stat(path_of(w, "ledger/000002.log"), &st), -1);
	keep(w, 0, 2);
	assert_int_equal(damages(w), 0);
}

static void after_a_failed_write_new_files_begin(void **state)
{
	struct world *w = *state;
	struct stat st;

	keep(w, 0, 2);
	append(w, "write-failed", "x", 1);
	reopen(w);
	keep(w, 2, 2);
	assert_int_equal(stat(path_of(w, "segments/000002.open.tar.zst"), &st), 0);
	assert_int_equal(stat(path_of(w, "ledger/000002.log"), &st), 0);
	assert_int_equal(stat(path_of(w, "write-failed"), &st), -1);
	keep(w, 4, 1);
	assert_int_equal(stat(path_of(w, "segments/000003.open.tar.zst"), &st), -1);
	assert_int_equal(count(w), 5);
	every_message_reads(w);
	assert_int_equal(damages(w), 0);
}

static void rebuild_gives_the_same_rows(void **state)
{
	struct world *w = *state;
	struct rebuild_sums sums;
	struct message before CLEANUP(message_deinit) = {0}, after CLEANUP(message_deinit) = {0};
	char hex[DIGEST_HEX + 1];
	const struct find_options one = {.limit = 1};
	struct find_cursor *c = NULL;
	struct message newest;

	keep(w, 0, 5);
	assert_int_equal(commit_one(w, message(w, 1, "again")), OUTCOME_SEEN);
	ok(w, find_open(w->store, NULL, &one, &c, &w->f));
	assert_int_equal(find_next(c, &newest, &w->f), FIND_ROW);
	digest_hex(&newest.digest, hex);
	find_close(c);
	ok(w, find_one(w->store, hex, &before, &w->f));
	store_close(w->store);
	w->store = NULL;
	(void)unlink(path_of(w, "catalog.db"));
	ok(w, store_rebuild(w->path, NULL, NULL, NULL, &sums, &w->f));
	assert_int_equal(sums.messages, 5);
	assert_int_equal(sums.missing, 0);
	reopen(w);
	ok(w, find_one(w->store, hex, &after, &w->f));
	assert_int_equal(before.id, after.id);
	assert_int_equal(before.archived, after.archived);
	assert_memory_equal(&before.at, &after.at, sizeof before.at);
	assert_int_equal(damages(w), 0);
	keep(w, 5, 2);
	assert_int_equal(count(w), 7);
	assert_int_equal(damages(w), 0);
}

static void a_flipped_byte_in_a_segment_names_its_message(void **state)
{
	struct world *w = *state;
	struct rebuild_sums sums;
	uint8_t byte;
	off_t found = 0;

	keep(w, 0, 5);
	int fd CLEANUP(fd_closep) = open(path_of(w, SEGMENT), O_RDWR);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	for (off_t at = 0; at < st.st_size; at++) {
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		/* Some bits of a frame change nothing in what it decodes to. */
		if (damages(w) > 0)
			found++;
		else
			every_message_reads(w);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	assert_true(found > st.st_size * 9 / 10);
	assert_int_equal(damages(w), 0);
	byte = 0xff;
	assert_int_equal(pwrite(fd, &byte, 1, 60), 1);
	store_close(w->store);
	w->store = NULL;
	ok(w, store_rebuild(w->path, NULL, NULL, NULL, &sums, &w->f));
	assert_int_equal(sums.missing, 1);
	reopen(w);
	assert_true(damages(w) > 0);
	assert_int_equal(count(w), 5);
}

static void a_damaged_ledger_can_be_rebuilt_from_and_stays_named(void **state)
{
	struct world *w = *state;
	struct rebuild_sums sums;

	keep(w, 0, 5);
	int fd CLEANUP(fd_closep) = open(path_of(w, LEDGER), O_RDWR);
	for (off_t at = 10; at < 900; at += 31) {
		uint8_t was, byte;

		assert_int_equal(pread(fd, &was, 1, at), 1);
		byte = was ^ 4;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		assert_true(damages(w) > 0);
		store_close(w->store);
		w->store = NULL;
		ok(w, store_rebuild(w->path, NULL, NULL, NULL, &sums, &w->f));
		reopen(w);
		assert_true(damages(w) > 0);
		assert_true(readable(w) >= 4);
		assert_int_equal(pwrite(fd, &was, 1, at), 1);
		store_close(w->store);
		w->store = NULL;
		ok(w, store_rebuild(w->path, NULL, NULL, NULL, &sums, &w->f));
		reopen(w);
		assert_int_equal(damages(w), 0);
	}
}

static void another_server_is_another_maildrop_and_another_name_is_not(void **state)
{
	struct world *w = *state;
	struct maildrop m = {0};

	assert_int_equal(store_maildrop(w->store, "anna", "pop.example.com", "anna", &m, &w->f),
		MAILDROP_KNOWN);
	assert_int_equal(m.number, 1);
	maildrop_deinit(&m);
	assert_int_equal(store_maildrop(w->store, "ann", "pop.example.com", "anna", &m, &w->f),
		MAILDROP_RENAMED);
	assert_int_equal(m.number, 1);
	maildrop_deinit(&m);
	assert_int_equal(store_maildrop(w->store, "ann", "mail.example.com", "anna", &m, &w->f),
		MAILDROP_REPLACED);
	assert_int_equal(m.number, 2);
	maildrop_deinit(&m);
}

static void known_rows_come_in_order_of_uidl(void **state)
{
	struct world *w = *state;
	struct known_cursor *c CLEANUP(known_closep) = NULL;
	struct known k;
	struct batch b CLEANUP(batch_deinit);
	struct item *refusal = item_new(ITEM_REFUSAL, w->drop.number, &w->f);

	(void)commit_one(w, message(w, 1, "b"));
	(void)commit_one(w, message(w, 2, "d"));
	batch_init(&b);
	ok(w, buffer_append_text(&refusal->uidl, "c", &w->f));
	refusal->reason = REFUSAL_TOO_LARGE;
	refusal->listed_size = 99;
	batch_add(&b, refusal);
	ok(w, store_commit(w->store, &b, &w->f));
	ok(w, known_open(w->store, w->drop.number, &c, &w->f));
	assert_int_equal(known_next(c, &k, &w->f), KNOWN_ROW);
	assert_memory_equal(k.uidl.data, "b", 1);
	assert_int_equal(k.state, KNOWN_KEPT);
	assert_int_equal(known_next(c, &k, &w->f), KNOWN_ROW);
	assert_memory_equal(k.uidl.data, "c", 1);
	assert_int_equal(k.state, KNOWN_REFUSED);
	assert_int_equal(k.reason, REFUSAL_TOO_LARGE);
	assert_int_equal(k.listed_size, 99);
	assert_int_equal(known_next(c, &k, &w->f), KNOWN_ROW);
	assert_memory_equal(k.uidl.data, "d", 1);
	assert_int_equal(known_next(c, &k, &w->f), 0);
}

static void a_folder_with_other_things_is_not_made_an_archive(void **state)
{
	char path[64];
	struct fault f = {0};

	(void)state;
	folder_make(path);
	char file[96];
	(void)snprintf(file, sizeof file, "%s/letter.txt", path);
	int fd = open(file, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_true(store_create(path, NULL, &f) < 0);
	assert_int_equal(f.code, FAULT_USAGE);
	folder_remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_DROP_TEST(adding_the_same_bytes_twice_reports_duplicate),
		WORLD_DROP_TEST(what_was_committed_reads_back_after_reopening),
		WORLD_DROP_TEST(a_frame_without_its_ledger_group_never_happened),
		WORLD_DROP_TEST(a_ledger_group_without_commit_line_never_happened),
		WORLD_DROP_TEST(what_the_catalog_lost_is_replayed),
		WORLD_DROP_TEST(a_first_segment_and_ledger_that_never_happened_are_removed),
		WORLD_DROP_TEST(after_a_failed_write_new_files_begin),
		WORLD_DROP_TEST(rebuild_gives_the_same_rows),
		WORLD_DROP_TEST(a_flipped_byte_in_a_segment_names_its_message),
		WORLD_DROP_TEST(a_damaged_ledger_can_be_rebuilt_from_and_stays_named),
		WORLD_DROP_TEST(another_server_is_another_maildrop_and_another_name_is_not),
		WORLD_DROP_TEST(known_rows_come_in_order_of_uidl),
		WORLD_DROP_TEST(a_folder_with_other_things_is_not_made_an_archive),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
