/* Where mail goes, with which date, and what is remembered of it: the parts of a restore that need
 * no server. */
#include "archive/limits.h"
#include "cli/restore_date.h"
#include "cli/restore_folder.h"
#include "cli/restore_items.h"
#include "cli/restore_placement.h"
#include "cli/restore_wire.h"
#include "tests/unit/check.h"

/* ---- Folders --------------------------------------------------------------------------------- */

static const char *filled(
	const char *template, const char *root, const char *account, const char *folder)
{
	static char text[LIMIT_FOLDER + 1];
	struct buffer to CLEANUP(buffer_deinit) = buffer_make(4 * KIB);
	const struct folder_fields fields = {
		slice_text(account), slice_text(folder), INT64_C(1709294400000)};
	struct fault f;

	assert_int_equal(folder_template_fill(template, root, &fields, &to, &f), 0);
	(void)snprintf(text, sizeof text, "%s", buffer_text(&to));
	return text;
}

static void fields_are_filled_in(void **state)
{
	(void)state;
	assert_string_equal(
		filled("{account}/{year}/{month}", "Old", "anna", ""), "Old/anna/2024/03");
	assert_string_equal(filled("{folder}", NULL, "anna", "Archive/Übung"), "Archive/Übung");
	assert_string_equal(filled("x{year}y", NULL, "", ""), "x2024y");
	assert_string_equal(filled("{account}", NULL, "a/b", ""), "a_b");
}

static void nothing_is_inbox(void **state)
{
	(void)state;
	assert_string_equal(filled("{folder}", NULL, "", ""), "INBOX");
	assert_string_equal(filled("", NULL, "", ""), "INBOX");
	assert_string_equal(filled("{folder}", NULL, "", "inBox"), "INBOX");
	assert_string_equal(filled("{folder}", "Top", "", ""), "Top");
	assert_string_equal(filled("/ //", NULL, "", ""), "INBOX");
}

static void names_are_made_safe(void **state)
{
	char level[400];

	(void)state;
	assert_string_equal(filled("{folder}", NULL, "", "../../etc"), "_./_./etc");
	assert_string_equal(filled("{folder}", NULL, "", "a\r\nb/%*/\\"), "a__b/__/_");
	assert_string_equal(filled("{folder}", NULL, "", "#news/~root"), "_news/~root");
	assert_string_equal(filled("{folder}", NULL, "", "\xff\xfe"), "__");
	assert_string_equal(filled("{folder}", NULL, "", " a / b "), "a/b");
	memset(level, 'x', sizeof level - 1);
	level[sizeof level - 1] = '\0';
	assert_int_equal(strlen(filled("{folder}", NULL, "", level)), LIMIT_FOLDER_LEVEL);
}

static void templates_are_checked(void **state)
{
	static const char *const bad[] = {"", "{", "{x}", "}", "a{folder", "{Folder}", NULL};
	struct fault f;

	(void)state;
	assert_int_equal(folder_template_check("a/{account}{folder}/{year}-{month}", &f), 0);
	for (const char *const *b = bad; *b; b++) {
		assert_int_equal(folder_template_check(*b, &f), -1);
		assert_int_equal(f.code, FAULT_USAGE);
	}
}

/* ---- Dates ----------------------------------------------------------------------------------- */

static const moment_ms NOW = INT64_C(1795293296000), OLD = INT64_C(1600000000000);

static void the_first_date_that_can_be_true_is_taken(void **state)
{
	struct filing filing = {.received = OLD};
	struct indexed indexed = {
		.has_received = true, .received = OLD + 1, .has_date = true, .date = OLD + 2};

	(void)state;
	assert_int_equal(restore_date(&filing, &indexed, NOW), OLD);
	filing.received = 0;
	assert_int_equal(restore_date(&filing, &indexed, NOW), OLD + 1);
	indexed.has_received = false;
	assert_int_equal(restore_date(NULL, &indexed, NOW), OLD + 2);
	indexed.has_date = false;
	assert_int_equal(restore_date(NULL, &indexed, NOW), NOW);
	assert_int_equal(restore_date(NULL, NULL, NOW), NOW);
}

static void no_date_is_in_the_future_or_absurd(void **state)
{
	const moment_ms day = 86400000;
	struct indexed indexed = {.has_received = true, .has_date = true, .date = OLD};

	(void)state;
	indexed.received = NOW + day + 1;
	assert_int_equal(restore_date(NULL, &indexed, NOW), OLD);
	indexed.received = NOW + day;
	assert_int_equal(restore_date(NULL, &indexed, NOW), NOW + day);
	indexed.received = 0;
	indexed.date = -1;
	assert_int_equal(restore_date(NULL, &indexed, NOW), NOW);
}

/* ---- Line ends ------------------------------------------------------------------------------- */

static void expect_wire(const char *in, const char *wanted, uint64_t bare)
{
	size_t len = strlen(in);

	for (size_t piece = 1; piece <= len; piece++) {
		struct spool_pool *pool CLEANUP(spool_pool_closep) = NULL;
		struct spool *s CLEANUP(spool_freep) = NULL;
		struct fault f;

		assert_int_equal(spool_pool_open("/tmp", &pool, &f), 0);
		assert_int_equal(spool_new(pool, &s, &f), 0);
		struct wire w = {.to = s};
		for (size_t at = 0; at < len; at += piece) {
			size_t n = len - at < piece ? len - at : piece;

			assert_int_equal(wire_add(&w, slice_of(in + at, n), &f), 0);
		}
		spool_finish(s);
		assert_int_equal(slice_compare(spool_memory(s), slice_text(wanted)), 0);
		assert_int_equal(w.bare_lfs, bare);
		assert_false(w.has_nul);
	}
}

static void bare_line_feeds_become_crlf_whatever_the_pieces_are(void **state)
{
	(void)state;
	expect_wire("a\r\nb\r\n", "a\r\nb\r\n", 0);
	expect_wire("a\nb\r\n\n", "a\r\nb\r\n\r\n", 2);
	expect_wire("\n", "\r\n", 1);
	expect_wire("\r\r\nx\ry\n\r", "\r\r\nx\ry\r\n\r", 1);
}

static void nul_is_noticed(void **state)
{
	struct spool_pool *pool CLEANUP(spool_pool_closep) = NULL;
	struct spool *s CLEANUP(spool_freep) = NULL;
	struct fault f;

	(void)state;
	assert_int_equal(spool_pool_open("/tmp", &pool, &f), 0);
	assert_int_equal(spool_new(pool, &s, &f), 0);
	struct wire w = {.to = s};
	assert_int_equal(wire_add(&w, slice_of("a\0b", 3), &f), 0);
	assert_true(w.has_nul);
}

/* ---- Items ----------------------------------------------------------------------------------- */

static void a_message_id_is_the_same_however_it_is_written(void **state)
{
	(void)state;
	assert_int_equal(message_id_hash(slice_text("<a@b>")), message_id_hash(slice_text("a@b")));
	assert_int_equal(
		message_id_hash(slice_text(" <a\r\n\t@b> ")), message_id_hash(slice_text("a@b")));
	assert_int_not_equal(
		message_id_hash(slice_text("a@c")), message_id_hash(slice_text("a@b")));
	assert_int_not_equal(message_id_hash(slice_of("", 0)), 0);
}

static void add_item(struct items *t, uint64_t id, unsigned folder, uint32_t message_id,
	uint64_t size, uint32_t uid)
{
	struct item i = {.key = item_key(id, UINT64_C(0xabcdef0000000000)),
		.message_id = message_id,
		.uid = uid};
	struct fault f;

	i.folder = folder & (LIMIT_RESTORE_FOLDERS - 1);
	item_set_size(&i, size);
	assert_int_equal(items_add(t, &i, &f), 0);
}

static void items_are_found_by_id_and_folder_and_by_what_the_server_tells(void **state)
{
	struct items t CLEANUP(items_deinit) = {0};
	struct fault f;
	unsigned folder = 9;
	size_t n;

	(void)state;
	assert_int_equal(sizeof(struct item), 24);
	assert_int_equal(items_folder(&t, "A", &folder, &f), 0);
	assert_int_equal(items_folder(&t, "B", &folder, &f), 0);
	assert_int_equal(folder, 1);
	assert_int_equal(items_folder(&t, "A", &folder, &f), 0);
	assert_int_equal(folder, 0);
	add_item(&t, 50, 0, 7, 100, 3);
	add_item(&t, 50, 1, 7, 100, 3);
	add_item(&t, 20, 0, 7, UINT64_C(0x300000064), 1);
	add_item(&t, 30, 1, 8, 100, 2);
	assert_int_equal(items_sort(&t, &f), 0);
	items_order(&t);
	assert_int_equal(t.messages, 3);
	assert_int_equal(item_id(items_first(&t, 50)), 50);
	assert_int_equal(items_find(&t, 50, 1)->folder, 1);
	assert_null(items_find(&t, 30, 0));
	assert_null(items_first(&t, 40));
	assert_int_equal(item_size(items_first(&t, 20)), UINT64_C(0x300000064));
	const uint32_t *at =
		items_range(&t, BY_MESSAGE_ID, 0, items_key(7, 0), items_key(7, UINT32_MAX), &n);
	assert_int_equal(n, 2);
	at = items_range(&t, BY_UID, 1, 2, 2, &n);
	assert_int_equal(n, 1);
	assert_int_equal(item_id(&t.all[*at]), 30);
	(void)items_range(&t, BY_UID, 1, 4, 9, &n);
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fields_are_filled_in),
		TEST(nothing_is_inbox),
		TEST(names_are_made_safe),
		TEST(templates_are_checked),
		TEST(the_first_date_that_can_be_true_is_taken),
		TEST(no_date_is_in_the_future_or_absurd),
		TEST(bare_line_feeds_become_crlf_whatever_the_pieces_are),
		TEST(nul_is_noticed),
		TEST(a_message_id_is_the_same_however_it_is_written),
		TEST(items_are_found_by_id_and_folder_and_by_what_the_server_tells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
