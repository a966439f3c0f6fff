#include "archive/cluster.h"
#include "archive/limits.h"
#include "tests/unit/check.h"

#include <string.h>

static struct cluster *cluster_of(const char *const heads[], size_t n)
{
	struct cluster *c = NULL;
	struct fault f;

	assert_int_equal(cluster_new(&c, &f), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(cluster_add(c, slice_text(heads[i]), &f), 0);
	return c;
}

/* Fails where the order is not this one; takes the cluster. */
static void expect(struct cluster *c, const uint32_t *order, size_t n)
{
	uint32_t *found CLEANUP(freep) = NULL;
	struct fault f;

	assert_int_equal(cluster_order(c, &found, &f), 0);
	assert_memory_equal(found, order, n * sizeof *order);
	cluster_free(c);
}

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define EXPECT(c, ...)                                                                             \
	expect(c, (const uint32_t[]){__VA_ARGS__}, COUNT(((const uint32_t[]){__VA_ARGS__})))

static void messages_that_have_nothing_in_common_stay_as_they_came(void **state)
{
	static const char *const heads[] = {"From: a@one\n\n", "From: b@two\n\n",
		"no header at all", "From: c@three\nSubject: Re: hi\n\n"};

	(void)state;
	EXPECT(cluster_of(heads, 4), 0, 1, 2, 3);
}

static void an_answer_stands_behind_what_it_answers(void **state)
{
	static const char *const heads[] = {"From: a@one\r\nMessage-ID: <1@one>\r\n\r\n",
		"From: b@two\r\n\r\n", "From: c@three\r\nIn-Reply-To: <1@one>\r\n\r\n"};

	(void)state;
	EXPECT(cluster_of(heads, 3), 0, 2, 1);
}

static void references_that_are_folded_bring_a_thread_together(void **state)
{
	static const char *const heads[] = {"message-id: <1@one>\nFrom: a@one\n\n",
		"From: b@two\n\n", "From: c@three\nReferences: <1@one>\n\t<2@two>\n <3@three>\n\n",
		"From: d@four\nMessage-ID: <3@three>\n\n"};

	(void)state;
	EXPECT(cluster_of(heads, 4), 0, 2, 3, 1);
}

static void a_subject_counts_without_its_prefixes(void **state)
{
	static const char *const heads[] = {"From: a@one\nSubject: [list] the quarterly report\n\n",
		"From: b@two\nSubject: something else\n\n",
		"From: c@three\nSubject: RE: AW: [list] Fwd: The Quarterly Report\n\n"};

	(void)state;
	EXPECT(cluster_of(heads, 3), 0, 2, 1);
}

static void a_short_subject_brings_nobody_together(void **state)
{
	static const char *const heads[] = {"From: a@one\nSubject: hello\n\n", "From: b@two\n\n",
		"From: c@three\nSubject: hello\n\n"};

	(void)state;
	EXPECT(cluster_of(heads, 3), 0, 1, 2);
}

static void a_list_is_together_whoever_writes(void **state)
{
	static const char *const heads[] = {"From: a@one\nList-Id: All <all.example>\n\n",
		"From: b@two\n\n", "List-Id: <all.example>\nFrom: c@three\n\n"};

	(void)state;
	EXPECT(cluster_of(heads, 3), 0, 2, 1);
}

static void senders_of_one_domain_are_together(void **state)
{
	static const char *const heads[] = {"From: Anna <anna@one.example>\n\n", "From: b@two\n\n",
		"From: bob@One.Example\n\n"};

	(void)state;
	EXPECT(cluster_of(heads, 3), 0, 2, 1);
}

static void messages_that_share_a_part_are_together(void **state)
{
	struct cluster *c = cluster_of(NULL, 0);
	struct digest part = {{1, 2, 3}};
	struct fault f;

	(void)state;
	assert_int_equal(cluster_add(c, slice_text("From: a@one\n\n"), &f), 0);
	assert_int_equal(cluster_add_part(c, &part, &f), 0);
	assert_int_equal(cluster_add(c, slice_text("From: b@two\n\n"), &f), 0);
	assert_int_equal(cluster_add(c, slice_text("From: c@three\n\n"), &f), 0);
	assert_int_equal(cluster_add_part(c, &part, &f), 0);
	EXPECT(c, 0, 2, 1);
}

static void in_a_thread_those_that_share_a_part_stand_side_by_side(void **state)
{
	static const char head[] = "From: a@one\nSubject: minutes of today\n\n";
	struct cluster *c = cluster_of(NULL, 0);
	struct digest part[2] = {{{2}}, {{4}}};
	struct fault f;

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(cluster_add(c, slice_text(head), &f), 0);
		if (i < 4)
			assert_int_equal(cluster_add_part(c, &part[i % 2], &f), 0);
	}
	EXPECT(c, 0, 2, 1, 3, 4);
}

static void what_stands_in_the_body_counts_for_nothing(void **state)
{
	static const char *const heads[] = {"From: a@one\nMessage-ID: <1@one>\n\n",
		"From: b@two\n\nMessage-ID: <1@one>\n", "From: c@one\n\n"};

	(void)state;
	EXPECT(cluster_of(heads, 3), 0, 2, 1);
}

static void a_header_of_a_million_ids_is_looked_at_in_part(void **state)
{
	static char head[4 * 1024 * 1024];
	struct cluster *c = cluster_of(NULL, 0);
	struct fault f;
	size_t len = 0;

	(void)state;
	while (len + 32 < sizeof head)
		len += (size_t)snprintf(head + len, 32, "Message-ID: <%zu@one>\n", len);
	for (int i = 0; i < 50; i++)
		assert_int_equal(cluster_add(c, slice_of(head, len), &f), 0);
	assert_int_equal(cluster_add(c, slice_text("Message-ID: <0@one>\n"), &f), 0);
	uint32_t *order CLEANUP(freep) = NULL;
	assert_int_equal(cluster_order(c, &order, &f), 0);
	assert_int_equal(order[50], 50);
	cluster_free(c);
}

/* What a header reader may stumble over: each alone and all together, every one once in the order.
 */
static void any_bytes_are_a_header(void **state)
{
	static const char *const odd[] = {"", "\n", "\r\n", ":", ":\n", "From:", "From: <",
		"From: @", "From: <@", "Subject: [",
		"Subject: []: Re:", "Subject: Re:Re:Re:Re:", "References: <", "References: <>",
		"References: ><", "References: <<>>", "List-Id: <>", "List-Id: x",
		"From\n\tFrom: x@y\n", " From: x@y\n", "\t", "Message-ID:\n\n", "Subject:\n \n \n"};
	uint32_t seen[COUNT(odd)] = {0}, *order CLEANUP(freep) = NULL;
	struct cluster *c = cluster_of(odd, COUNT(odd));
	struct fault f;

	(void)state;
	for (size_t i = 0; i < COUNT(odd); i++) {
		/* Exactly so long, so that reading on is seen. */
		uint8_t *copy = malloc(strlen(odd[i]) + 1);

		memcpy(copy, odd[i], strlen(odd[i]));
		uint8_t *exact = realloc(copy, strlen(odd[i]) ? strlen(odd[i]) : 1);
		assert_int_equal(cluster_add(c, slice_of(exact, strlen(odd[i])), &f), 0);
		free(exact);
	}
	assert_int_equal(cluster_order(c, &order, &f), 0);
	for (size_t i = 0; i < 2 * COUNT(odd); i++)
		seen[order[i] % COUNT(odd)]++;
	for (size_t i = 0; i < COUNT(odd); i++)
		assert_int_equal(seen[i], 2);
	cluster_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(messages_that_have_nothing_in_common_stay_as_they_came),
		TEST(an_answer_stands_behind_what_it_answers),
		TEST(references_that_are_folded_bring_a_thread_together),
		TEST(a_subject_counts_without_its_prefixes),
		TEST(a_short_subject_brings_nobody_together),
		TEST(a_list_is_together_whoever_writes),
		TEST(senders_of_one_domain_are_together),
		TEST(messages_that_share_a_part_are_together),
		TEST(in_a_thread_those_that_share_a_part_stand_side_by_side),
		TEST(what_stands_in_the_body_counts_for_nothing),
		TEST(a_header_of_a_million_ids_is_looked_at_in_part),
		TEST(any_bytes_are_a_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
