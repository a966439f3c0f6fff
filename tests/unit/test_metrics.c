#include "daemon/metrics.h"

#include "archive/limits.h"
#include "tests/unit/check.h"
#include "tests/unit/folder.h"

#include <ctype.h>
#include <fcntl.h>
#include <sys/stat.h>

static struct fault f;

/* ---- A strict reader of the exposition format ------------------------------------------- */

enum { METRICS_MAX = 64, LINES_MAX = 400000 };

struct reading {
	char name[METRICS_MAX][80]; /* of the metrics, in the order of their TYPE lines */
	size_t names;
	char help[80]; /* whose TYPE has to come next */
	size_t samples;
};

static size_t name_length(const char *p, const char *also)
{
	size_t n = 0;

	while (isalpha((unsigned char)p[n]) || p[n] == '_' ||
		(n > 0 && isdigit((unsigned char)p[n])) || (p[n] && strchr(also, p[n])))
		n++;
	assert_true(n > 0);
	return n;
}

static void read_help(struct reading *r, const char *p)
{
	size_t n = name_length(p, ":");

	assert_string_equal(r->help, "");
	assert_true(p[n] == ' ' && p[n + 1] != '\0');
	(void)snprintf(r->help, sizeof r->help, "%.*s", (int)n, p);
}

static void read_type(struct reading *r, const char *p)
{
	size_t n = name_length(p, ":");
	char *name = r->name[r->names];

	assert_true(r->names < METRICS_MAX);
	(void)snprintf(name, sizeof r->name[0], "%.*s", (int)n, p);
	assert_string_equal(name, r->help);
	for (size_t i = 0; i < r->names; i++)
		assert_string_not_equal(name, r->name[i]);
	bool counter = strcmp(p + n, " counter") == 0;
	assert_true(counter || strcmp(p + n, " gauge") == 0);
	/* Counters end in _total, and nothing else does. */
	assert_int_equal(
		strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0, counter);
	r->names++;
	r->help[0] = '\0';
}

static const char *read_label(const char *p)
{
	p += name_length(p, "");
	assert_true(p[0] == '=' && p[1] == '"');
	for (p += 2; *p != '"'; p++) {
		assert_true((unsigned char)*p >= 0x20);
		if (*p == '\\') {
			p++;
			assert_true(*p == '\\' || *p == '"' || *p == 'n');
		}
	}
	return p + 1;
}

static void read_sample(struct reading *r, const char *p)
{
	size_t n = name_length(p, ":");

	/* Of the metric whose TYPE came last: all in one piece. */
	assert_string_equal(r->help, "");
	assert_true(r->names > 0 && strlen(r->name[r->names - 1]) == n);
	assert_memory_equal(p, r->name[r->names - 1], n);
	p += n;
	assert_int_equal(*p, '{');
	do {
		p = read_label(p + 1);
	} while (*p == ',');
	assert_true(p[0] == '}' && p[1] == ' ');
	p += 2;
	assert_true(*p != '\0' && strspn(p, "0123456789") == strlen(p));
	r->samples++;
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* No two samples with the same labels. */
static void refuse_twins(char **lines, size_t n)
{
	qsort(lines, n, sizeof *lines, compare_lines);
	for (size_t i = 1; i < n; i++) {
		size_t labels = (size_t)(strrchr(lines[i], ' ') - lines[i]);

		if (lines[i][0] != '#')
			assert_int_not_equal(strncmp(lines[i], lines[i - 1], labels + 1), 0);
	}
}

/* Cuts the text into its lines. */
static void read_all(char *text, struct reading *r)
{
	static char *lines[LINES_MAX];
	size_t n = 0;

	memset(r, 0, sizeof *r);
	const char *all_end = text + strlen(text);
	while (*text) {
		/* Not strchr(): ASan's strict_string_checks would read all the rest each time. */
		char *end = memchr(text, '\n', (size_t)(all_end - text));

		assert_non_null(end);
		assert_true(n < LINES_MAX);
		*end = '\0';
		if (strncmp(text, "# HELP ", 7) == 0)
			read_help(r, text + 7);
		else if (strncmp(text, "# TYPE ", 7) == 0)
			read_type(r, text + 7);
		else
			read_sample(r, text);
		lines[n++] = text;
		text = end + 1;
	}
	refuse_twins(lines, n);
}

/* ---- Tests ------------------------------------------------------------------------------ */

static const struct metrics_account two[] = {
	{.name = "anna",
		.state = SCHEDULE_WELL,
		.sums = {.listed = 10, .archived = 7, .pending = 2, .refused = 1, .vanished = 4},
		.succeeded = 1700000000999},
	{.name = "bert@example.com", .state = SCHEDULE_ATTENTION, .failures = 21},
};

static const struct metrics sample = {
	.archive = "/var/lib/popkeep",
	.accounts = two,
	.accounts_n = 2,
	.fetched_messages = 5,
	.fetched_bytes = UINT64_C(6000000000),
	.polls = {[HINDRANCE_NONE] = 8, [HINDRANCE_STOPPED] = 1},
	.sessions = 3,
	.disk_free_bytes = UINT64_MAX,
	.config_broken = METRICS_YES,
	.sealed_segments = 11,
	.seal_failures = 12,
	.command_failures = 13,
	.unsealed_segments = 14,
	.unsealed_messages = 15,
	.unsealed_bytes = 16,
	.seal_succeeded = INT64_C(1700000001999),
	.command_failing = METRICS_YES,
	.not_indexed = 17,
	.index_failures = 18,
	.index_failing = METRICS_YES,
};

static void assert_line(const char *text, const char *line)
{
	const char *at = strstr(text, line);

	if (!at || at == text || at[-1] != '\n' || at[strlen(line)] != '\n')
		fail_msg("no line %s in %s", line, text);
}

static void the_text_says_it_all(void **state)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(LIMIT_METRICS);

	(void)state;
	assert_int_equal(metrics_format(&sample, &text, &f), 0);
	const char *t = buffer_text(&text);
#define LABEL "{archive=\"/var/lib/popkeep\""
	assert_line(t, "popkeep_up" LABEL "} 1");
	assert_line(t, "popkeep_build_info" LABEL ",version=\"" POPKEEP_VERSION "\"} 1");
	assert_line(t, "popkeep_accounts" LABEL ",state=\"well\"} 1");
	assert_line(t, "popkeep_accounts" LABEL ",state=\"failing\"} 0");
	assert_line(t, "popkeep_accounts" LABEL ",state=\"attention\"} 1");
	assert_line(t, "popkeep_account_listed" LABEL ",account=\"anna\"} 10");
	assert_line(t, "popkeep_account_archived" LABEL ",account=\"anna\"} 7");
	assert_line(t, "popkeep_account_pending" LABEL ",account=\"anna\"} 2");
	assert_line(t, "popkeep_account_refused" LABEL ",account=\"anna\"} 1");
	assert_line(t, "popkeep_account_vanished" LABEL ",account=\"anna\"} 4");
	assert_line(t, "popkeep_account_failures" LABEL ",account=\"bert@example.com\"} 21");
	assert_line(t, "popkeep_account_state" LABEL ",account=\"bert@example.com\"} 2");
	assert_line(t, "popkeep_account_last_success_timestamp_seconds" LABEL
		       ",account=\"anna\"} 1700000000");
	assert_null(strstr(t, "last_success_timestamp_seconds" LABEL ",account=\"bert"));
	assert_line(t, "popkeep_fetched_messages_total" LABEL "} 5");
	assert_line(t, "popkeep_fetched_bytes_total" LABEL "} 6000000000");
	assert_line(t, "popkeep_polls_total" LABEL ",outcome=\"well\"} 8");
	assert_line(t, "popkeep_polls_total" LABEL ",outcome=\"too_soon\"} 0");
	assert_line(t, "popkeep_polls_total" LABEL ",outcome=\"stopped\"} 1");
	assert_line(t, "popkeep_sessions" LABEL "} 3");
	assert_line(t, "popkeep_disk_free_bytes" LABEL "} 18446744073709551615");
	assert_line(t, "popkeep_disk_full" LABEL "} 0");
	assert_line(t, "popkeep_config_broken" LABEL "} 1");
	assert_line(t, "popkeep_sealed_segments_total" LABEL "} 11");
	assert_line(t, "popkeep_seal_failures_total" LABEL "} 12");
	assert_line(t, "popkeep_seal_command_failures_total" LABEL "} 13");
	assert_line(t, "popkeep_unsealed_segments" LABEL "} 14");
	assert_line(t, "popkeep_unsealed_messages" LABEL "} 15");
	assert_line(t, "popkeep_unsealed_bytes" LABEL "} 16");
	assert_line(t, "popkeep_seal_last_success_timestamp_seconds" LABEL "} 1700000001");
	assert_null(strstr(t, "popkeep_verify_last_success_timestamp_seconds"));
	assert_line(t, "popkeep_seal_failing" LABEL "} 0");
	assert_line(t, "popkeep_seal_command_failing" LABEL "} 1");
	assert_line(t, "popkeep_not_indexed_messages" LABEL "} 17");
	assert_line(t, "popkeep_index_failures_total" LABEL "} 18");
	assert_line(t, "popkeep_index_failing" LABEL "} 1");
#undef LABEL
}

static void a_strict_reader_takes_it(void **state)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(LIMIT_METRICS);
	struct reading r;

	(void)state;
	assert_int_equal(metrics_format(&sample, &text, &f), 0);
	assert_non_null(buffer_text(&text));
	read_all((char *)text.data, &r);
	assert_int_equal(r.names, 9 + 9 + 1 + 3 + 7 + 1);
	assert_int_equal(r.samples, 8 + 9 + 7 + 3 + 3 + 2 * 7 + 1);
}

static void hostile_names_of_folders_stay_inside_their_label(void **state)
{
	struct metrics m = sample;
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(LIMIT_METRICS);
	struct reading r;

	(void)state;
	m.archive = "/a\"} 1\nb\\c\xff\x1b";
	assert_int_equal(metrics_format(&m, &text, &f), 0);
	const char *t = buffer_text(&text);
	assert_line(t, "popkeep_up{archive=\"/a\\\"} 1\\\\x0ab\\\\\\\\c\\\\xff\\\\x1b\"} 1");
	read_all((char *)text.data, &r);
}

static void without_accounts_it_is_well_formed_too(void **state)
{
	struct metrics m = {.archive = "x"};
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(LIMIT_METRICS);
	struct reading r;

	(void)state;
	assert_int_equal(metrics_format(&m, &text, &f), 0);
	assert_non_null(buffer_text(&text));
	read_all((char *)text.data, &r);
	assert_int_equal(r.names, 10 + 3 + 8);
}

static void ten_thousand_accounts_fit(void **state)
{
	static struct metrics_account accounts[LIMIT_ACCOUNTS];
	static char name[LIMIT_ACCOUNTS][LIMIT_ACCOUNT_NAME + 1];
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(LIMIT_METRICS);
	struct metrics m = sample;
	char archive[256];
	struct reading r;

	(void)state;
	memset(archive, 'a', sizeof archive - 1);
	archive[sizeof archive - 1] = '\0';
	for (int i = 0; i < LIMIT_ACCOUNTS; i++) {
		(void)snprintf(name[i], sizeof name[i], "%064d", i);
		accounts[i] = (struct metrics_account){.name = name[i],
			.state = SCHEDULE_FAILING,
			.sums = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX},
			.succeeded = INT64_MAX,
			.failures = UINT64_MAX};
	}
	m.archive = archive;
	m.accounts = accounts;
	m.accounts_n = LIMIT_ACCOUNTS;
	assert_int_equal(metrics_format(&m, &text, &f), 0);
	assert_non_null(buffer_text(&text));
	read_all((char *)text.data, &r);
	assert_int_equal(r.samples, 8 + 9 + 7 + 3 + 3 + 8 * LIMIT_ACCOUNTS);
}

static void too_little_room_is_a_failure(void **state)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(500);

	(void)state;
	assert_int_equal(metrics_format(&sample, &text, &f), -1);
	assert_int_equal(f.code, FAULT_LIMIT);
}

static void read_file(const char *path, char ret[static 100])
{
	int fd CLEANUP(fd_closep) = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	ssize_t n = read(fd, ret, 99);
	assert_true(n >= 0);
	ret[n] = '\0';
}

static void the_file_is_replaced_and_can_be_read_by_all(void **state)
{
	char folder[64], path[100], other[100], got[100];
	struct stat st;

	(void)state;
	folder_make(folder);
	(void)snprintf(path, sizeof path, "%s/popkeep.prom", folder);
	(void)snprintf(other, sizeof other, "%s/popkeep.prom.new", folder);
	mode_t before = umask(0077);
	assert_int_equal(metrics_write(path, slice_text("one\n"), &f), 0);
	(void)umask(before);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	read_file(path, got);
	assert_string_equal(got, "one\n");

	/* What was left over, here a link to something else, is not written to. */
	assert_int_equal(symlink(path, other), 0);
	assert_int_equal(metrics_write(path, slice_text("2\n"), &f), 0);
	read_file(path, got);
	assert_string_equal(got, "2\n");
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(lstat(other, &st), -1);

	metrics_remove(path);
	assert_int_equal(lstat(path, &st), -1);
	folder_remove(folder);
}

static void a_folder_that_is_missing_is_named(void **state)
{
	(void)state;
	assert_int_equal(metrics_write("/nowhere/at/all.prom", slice_text("x\n"), &f), -1);
	assert_int_equal(f.code, FAULT_SYSTEM);
	assert_non_null(strstr(f.text, "/nowhere/at/all.prom"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_text_says_it_all),
		TEST(a_strict_reader_takes_it),
		TEST(hostile_names_of_folders_stay_inside_their_label),
		TEST(without_accounts_it_is_well_formed_too),
		TEST(ten_thousand_accounts_fit),
		TEST(too_little_room_is_a_failure),
		TEST(the_file_is_replaced_and_can_be_read_by_all),
		TEST(a_folder_that_is_missing_is_named),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
