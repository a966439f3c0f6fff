/* What imports know of messages beside their bytes: kept with them, and never lost before them. */
#include "archive/maildrop.h"
#include "archive/salvage.h"

#include "tests/crash/forked.h"
#include "tests/unit/archived.h"

#define OPEN_1 "segments/000001.open.tar.zst"

enum { RECEIVED = 1700000000 };

static uint64_t imports_of(struct world *w, const char *account)
{
	struct maildrop m CLEANUP(maildrop_deinit) = {0};

	ok(w, store_maildrop(w->store, account, MAILDROP_IMPORT, account, &m, &w->f));
	return m.number;
}

/* Message i as an import finds it in folder. */
static struct item *found(
	struct world *w, unsigned i, uint64_t maildrop, const char *folder, const char *flags)
{
	struct item *item = message_of(w, i, NULL);

	item->maildrop = maildrop;
	item->imported = true;
	item->listed_size = SIZE_UNKNOWN;
	item->received = (moment_ms)RECEIVED * 1000 + i;
	ok(w, buffer_append_text(&item->folder, folder, &w->f));
	ok(w, buffer_append_text(&item->flags, flags, &w->f));
	ok(w, item_set_import_uidl(item, &w->f));
	return item;
}

static size_t filings_of(struct world *w, unsigned i, struct filing **ret)
{
	struct item *item CLEANUP(item_freep) = message_of(w, i, NULL);
	struct message m CLEANUP(message_deinit) = {0};
	char hex[DIGEST_HEX + 1];
	size_t n = 0;

	digest_hex(spool_digest(item->spool), hex);
	ok(w, find_one(w->store, hex, &m, &w->f));
	ok(w, find_filings(w->store, &m, ret, &n, &w->f));
	return n;
}

static void check_filing(
	const struct filing *f, uint64_t maildrop, const char *folder, const char *flags)
{
	assert_int_equal(f->maildrop, maildrop);
	assert_string_equal(f->folder, folder);
	assert_string_equal(f->flags, flags);
}

static struct sums sums_of(struct world *w, uint64_t maildrop)
{
	struct maildrop *all = NULL;
	struct sums ret = {0};
	size_t n = 0;

	ok(w, store_maildrops(w->store, &all, &n, &w->f));
	for (size_t i = 0; i < n; i++)
		ret = all[i].number == maildrop ? all[i].sums : ret;
	maildrops_free(all, n);
	return ret;
}

static void the_uidl_is_made_of_folder_and_digest(void **state)
{
	struct world *w = *state;
	struct item *one = found(w, 1, 7, "INBOX", "");

	assert_int_equal(one->uidl.len, 32);
	struct item *other = found(w, 1, 7, "Sent", ""), *again = found(w, 1, 8, "INBOX", "\\Seen");
	assert_memory_equal(one->uidl.data, again->uidl.data, 32);
	assert_memory_not_equal(one->uidl.data, other->uidl.data, 32);
	item_free(one);
	item_free(other);
	item_free(again);
}

static void what_is_imported_again_is_known_and_the_first_flags_count(void **state)
{
	struct world *w = *state;
	uint64_t drop = imports_of(w, "anna");
	struct filing *f = NULL;

	assert_int_equal(
		commit_one(w, found(w, 1, drop, "INBOX", "\\Seen $Forwarded")), OUTCOME_KEPT);
	assert_int_equal(commit_one(w, found(w, 1, drop, "INBOX", "")), OUTCOME_KNOWN);
	assert_int_equal(filings_of(w, 1, &f), 1);
	check_filing(&f[0], drop, "INBOX", "\\Seen $Forwarded");
	assert_int_equal(f[0].received, (moment_ms)RECEIVED * 1000 + 1);
	filings_free(f, 1);
	struct sums sums = sums_of(w, drop);
	assert_int_equal(sums.listed, 1);
	assert_int_equal(sums.archived, 1);
	assert_int_equal(sums.pending, 0);
}

static void another_folder_and_mail_that_was_fetched_are_seen(void **state)
{
	struct world *w = *state;
	uint64_t drop = imports_of(w, "anna");
	struct filing *f = NULL;

	keep(w, 1, 1);
	assert_int_equal(filings_of(w, 1, &f), 0);
	filings_free(f, 0);
	assert_int_equal(commit_one(w, found(w, 1, drop, "Sent", "\\Draft")), OUTCOME_SEEN);
	assert_int_equal(commit_one(w, found(w, 1, drop, "Archive/2026", "")), OUTCOME_SEEN);
	assert_int_equal(commit_one(w, found(w, 1, drop, "Sent", "")), OUTCOME_KNOWN);
	assert_int_equal(count(w), 1);
	assert_int_equal(filings_of(w, 1, &f), 2);
	check_filing(&f[0], drop, "Archive/2026", "");
	check_filing(&f[1], drop, "Sent", "\\Draft");
	filings_free(f, 2);
	assert_int_equal(sums_of(w, drop).archived, 2);
	assert_int_equal(damages(w), 0);
}

/* As the `also` folders of one message: items of one spool in one group. */
static void items_of_one_spool_lie_in_several_folders(void **state)
{
	struct world *w = *state;
	uint64_t drop = imports_of(w, "anna");
	struct batch g CLEANUP(batch_deinit);
	struct item *first = found(w, 1, drop, "Inbox", "\\Seen"),
		    *also = item_new(ITEM_MESSAGE, drop, &w->f);

	batch_init(&g);
	assert_non_null(also);
	also->imported = true;
	also->spool = spool_share(first->spool);
	ok(w, buffer_append_text(&also->folder, "Label", &w->f));
	ok(w, item_set_import_uidl(also, &w->f));
	batch_add(&g, first);
	batch_add(&g, also);
	ok(w, store_commit(w->store, &g, &w->f));
	assert_int_equal(first->outcome, OUTCOME_KEPT);
	assert_int_equal(also->outcome, OUTCOME_SEEN);
	struct filing *f = NULL;
	assert_int_equal(filings_of(w, 1, &f), 2);
	check_filing(&f[0], drop, "Inbox", "\\Seen");
	check_filing(&f[1], drop, "Label", "");
	assert_int_equal(f[1].received, 0);
	filings_free(f, 2);
	every_message_reads(w);
}

static void import_some(struct world *w, uint64_t drop)
{
	assert_int_equal(commit_one(w, found(w, 1, drop, "INBOX", "\\Seen")), OUTCOME_KEPT);
	assert_int_equal(commit_one(w, found(w, 2, drop, "", "")), OUTCOME_KEPT);
	assert_int_equal(
		commit_one(w, found(w, 1, drop, "\xc3\x84 b%/c", "$Label1 a=b")), OUTCOME_SEEN);
}

static void rebuild_gives_the_same_filings(void **state)
{
	struct world *w = *state;
	uint64_t drop = imports_of(w, "anna");

	import_some(w, drop);
	rebuild_is_the_same(w);
	struct filing *f = NULL;
	assert_int_equal(filings_of(w, 1, &f), 2);
	check_filing(&f[0], drop, "INBOX", "\\Seen");
	check_filing(&f[1], drop, "\xc3\x84 b%/c", "$Label1 a=b");
	filings_free(f, 2);
	assert_int_equal(commit_one(w, found(w, 2, drop, "", "")), OUTCOME_KNOWN);
}

static void copy_catalog(struct world *w, const char *from, const char *to)
{
	char command[512];

	(void)snprintf(command, sizeof command, "cp %s %s", path_of(w, from), path_of(w, to));
	assert_int_equal(system(command), 0); /* NOLINT: paths of the test's own */
}

/* As after a power cut that took the catalog's last transactions. */
static void what_the_catalog_lost_of_imports_is_replayed(void **state)
{
	struct world *w = *state;
	uint64_t drop = imports_of(w, "anna");
	char *before = NULL, *after = NULL, difference[512];

	store_close(w->store);
	w->store = NULL;
	copy_catalog(w, "catalog.db", "saved.db");
	reopen(w);
	import_some(w, drop);
	ok(w, dump_catalog(path_of(w, "catalog.db"), &before, &w->f));
	store_close(w->store);
	w->store = NULL;
	copy_catalog(w, "saved.db", "catalog.db");
	reopen(w);
	ok(w, dump_catalog(path_of(w, "catalog.db"), &after, &w->f));
	bool differs = dump_difference(before, after, difference);
	if (differs)
		print_message("# %s\n", difference);
	assert_false(differs);
	free(before);
	free(after);
}

static int salvage_all(struct world *w)
{
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);
	struct salvage_sums sums;

	return store_salvage(w->store, 1, 0, &job, NULL, NULL, &sums, &w->f);
}

static void lost_messages_take_their_filings_along_until_imported_again(void **state)
{
	struct world *w = *state;
	uint64_t drop = imports_of(w, "anna");
	struct filing *f = NULL;

	import_some(w, drop);
	flip(w, OPEN_1, 30);
	ok(w, salvage_all(w));
	assert_int_equal(sums_of(w, drop).archived, 1);
	assert_int_equal(sums_of(w, drop).pending, 2);
	rebuild_is_the_same(w);
	assert_int_equal(commit_one(w, found(w, 1, drop, "INBOX", "\\Seen")), OUTCOME_KEPT);
	assert_int_equal(commit_one(w, found(w, 1, drop, "\xc3\x84 b%/c", "")), OUTCOME_SEEN);
	assert_int_equal(filings_of(w, 1, &f), 2);
	check_filing(&f[0], drop, "INBOX", "\\Seen");
	filings_free(f, 2);
	assert_int_equal(sums_of(w, drop).pending, 0);
	assert_int_equal(damages(w), 0);
	rebuild_is_the_same(w);
}

static void imports_of_an_account_do_not_replace_what_is_polled(void **state)
{
	struct world *w = *state;
	struct maildrop m = {0};

	uint64_t drop = imports_of(w, "anna");
	assert_int_not_equal(drop, w->drop.number);
	assert_int_equal(store_maildrop(w->store, "anna", "pop.example.com", "anna", &m, &w->f),
		MAILDROP_KNOWN);
	maildrop_deinit(&m);
	/* The other way round: imported first, then fetched. */
	(void)imports_of(w, "bert");
	assert_int_equal(store_maildrop(w->store, "bert", "pop.example.com", "bert", &m, &w->f),
		MAILDROP_NEW);
	maildrop_deinit(&m);
	assert_int_equal(store_maildrop(w->store, "bert", "pop.example.org", "bert", &m, &w->f),
		MAILDROP_REPLACED);
	maildrop_deinit(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_DROP_TEST(the_uidl_is_made_of_folder_and_digest),
		WORLD_DROP_TEST(what_is_imported_again_is_known_and_the_first_flags_count),
		WORLD_DROP_TEST(another_folder_and_mail_that_was_fetched_are_seen),
		WORLD_DROP_TEST(items_of_one_spool_lie_in_several_folders),
		WORLD_DROP_TEST(rebuild_gives_the_same_filings),
		WORLD_DROP_TEST(what_the_catalog_lost_of_imports_is_replayed),
		WORLD_DROP_TEST(lost_messages_take_their_filings_along_until_imported_again),
		WORLD_DROP_TEST(imports_of_an_account_do_not_replace_what_is_polled),
	};

	return cmocka_run_group_tests_name("filing", tests, NULL, NULL);
}
