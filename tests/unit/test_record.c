/* What the ledger remembers of messages that were given out. */
#include "archive/check.h"
#include "archive/limits.h"
#include "archive/record.h"
#include "tests/unit/world.h"

static const struct digest MANIFEST = {{0xab, 0xcd}};

static struct record export_of(const char *query)
{
	return (struct record){.kind = RECORD_EXPORT,
		.query = slice_text(query),
		.target = slice_text("/media/disk/mail export.tar"),
		.format = slice_text("tar"),
		.messages = 12,
		.bytes = 3456,
		.failed = 2,
		.manifest = &MANIFEST};
}

/* The one line with this in it; "" where there is none. The caller frees it. */
static char *line_with(struct world *w, const char *text)
{
	struct ledger_lines *l CLEANUP(ledger_lines_closep) = NULL;
	struct slice line;
	char *found = strdup("");
	uint64_t number;

	ok(w, ledger_lines_open(w->store, 0, &l, &w->f));
	while (ledger_lines_next(l, &line, &number, &w->f) == LEDGER_LINE) {
		if (!memmem(line.data, line.len, text, strlen(text)))
			continue;
		assert_string_equal(found, "");
		free(found);
		found = strndup((const char *)line.data, line.len);
	}
	assert_non_null(found);
	return found;
}

static void expect(struct world *w, const char *event, const char *const *fields)
{
	char *line CLEANUP(freep) = line_with(w, event);

	for (; *fields; fields++) {
		if (!strstr(line, *fields))
			fail_msg("no %s in: %s", *fields, line);
	}
}

static void an_export_is_told_with_the_digest_of_its_manifest(void **state)
{
	static const char *const fields[] = {" digest=abcd0000", " format=tar",
		" target=/media/disk/mail%20export.tar", " query=account:anna", " messages=12",
		" bytes=3456", " failed=2", NULL};
	struct world *w = *state;
	const struct record r = export_of("account:anna");

	ok(w, store_record(w->store, &r, &w->f));
	expect(w, "event=export", fields);
}

static void a_restore_is_told_without_one(void **state)
{
	static const char *const fields[] = {
		" target=imaps://anna@imap.example.com", " messages=1", NULL};
	struct world *w = *state;
	const struct record r = {.kind = RECORD_RESTORE,
		.target = slice_text("imaps://anna@imap.example.com"),
		.messages = 1};

	ok(w, store_record(w->store, &r, &w->f));
	expect(w, "event=restore", fields);
	char *line CLEANUP(freep) = line_with(w, "event=restore");
	assert_null(strstr(line, "digest="));
}

static void what_is_too_long_for_a_line_is_cut(void **state)
{
	struct world *w = *state;
	char text[3 * LIMIT_QUERY];

	/* What escaping makes three times as long. */
	memset(text, ' ', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	struct record r = export_of(text);
	r.target = slice_text(text);
	ok(w, store_record(w->store, &r, &w->f));
	char *line CLEANUP(freep) = line_with(w, "event=export");
	assert_true(strlen(line) > LIMIT_QUERY && strlen(line) < LIMIT_LEDGER_LINE);
}

static void a_rebuilt_catalog_takes_it_as_it_is(void **state)
{
	struct world *w = *state;
	const struct record r = export_of("");
	struct rebuild_sums rebuilt;

	ok(w, store_record(w->store, &r, &w->f));
	store_close(w->store);
	w->store = NULL;
	ok(w, store_rebuild(w->path, NULL, NULL, NULL, &rebuilt, &w->f));
	assert_int_equal(rebuilt.passed_over, 0);
	reopen(w);
	char *line CLEANUP(freep) = line_with(w, "event=export");
	assert_string_not_equal(line, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(an_export_is_told_with_the_digest_of_its_manifest),
		WORLD_TEST(a_restore_is_told_without_one),
		WORLD_TEST(what_is_too_long_for_a_line_is_cut),
		WORLD_TEST(a_rebuilt_catalog_takes_it_as_it_is),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
