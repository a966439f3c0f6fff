#include "archive/limits.h"
#include "archive/mail_scan.h"
#include "tests/unit/check.h"

static const struct mail_facts *scan_in_steps(
	struct mail_scan *s, struct slice message, size_t step)
{
	const struct mail_facts *facts = NULL;
	struct fault f;

	mail_scan_begin(s);
	for (size_t at = 0; at < message.len; at += step) {
		size_t n = message.len - at < step ? message.len - at : step;

		assert_int_equal(mail_scan_add(s, slice_of(message.data + at, n), &f), 0);
	}
	assert_int_equal(mail_scan_end(s, &facts, &f), 0);
	return facts;
}

static void expect_text(const struct buffer *b, const char *text)
{
	char found[4096];

	assert_true(b->len < sizeof found);
	if (b->len)
		memcpy(found, b->data, b->len);
	found[b->len] = '\0';
	assert_string_equal(found, text);
}

struct expected {
	const char *message;
	uint64_t attachments;
	const char *names;
};

static void expect(const struct expected *x)
{
	static const size_t steps[] = {1, 2, 3, 7, 64, 100000};
	struct mail_scan *s CLEANUP(mail_scan_freep) = NULL;
	struct fault f;

	assert_int_equal(mail_scan_new(NULL, &s, &f), 0);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		const struct mail_facts *facts = scan_in_steps(s, slice_text(x->message), steps[i]);

		if (facts->attachments != x->attachments)
			print_error("%s\n", x->message);
		assert_int_equal(facts->attachments, x->attachments);
		expect_text(&facts->names, x->names);
	}
}

static void expect_all(const struct expected *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		expect(&all[i]);
}

#define EXPECT_ALL(table) expect_all(table, sizeof(table) / sizeof *(table))
#define MIXED		  "Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n"
#define RELATED		  "Content-Type: multipart/related; boundary=\"b\"\r\n\r\n"
#define TEXT		  "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
#define END		  "--b--\r\nepilogue\r\n"

static void parts_that_people_call_attachments_are_counted(void **state)
{
	static const struct expected table[] = {
		{"Subject: x\r\n\r\nno attachment; name=x\r\n", 0, ""},
		{"", 0, ""},
		{MIXED TEXT "--b\r\nContent-Disposition: attachment\r\n\r\nx\r\n" END, 1, ""},
		{MIXED TEXT
			"--b\r\nContent-Disposition: ATTACHMENT; FileName=\"a b.txt\"\r\n\r\n" END,
			1, "a b.txt\n"},
		{MIXED TEXT "--b\r\nContent-Type: text/plain; name=notes.txt\r\n\r\nx\r\n" END, 1,
			"notes.txt\n"},
		{MIXED TEXT "--b\r\nContent-Type: application/pdf\r\n\r\nx\r\n" END, 1, ""},
		{MIXED TEXT "--b\r\nContent-Disposition: inline; filename=p.jpg\r\n"
			    "Content-Type: image/jpeg\r\n\r\nx\r\n" END,
			1, "p.jpg\n"},
		{"Content-Type: application/pdf; name=\"one.pdf\"\r\n\r\n%PDF", 1, "one.pdf\n"},
		{MIXED TEXT "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: "
			    "inner\r\n\r\nx\r\n" END,
			1, ""},
		{MIXED TEXT "--b\nContent-Type: image/png; name=lf.png\n\nx\n--b--\n", 1,
			"lf.png\n"},
	};

	(void)state;
	EXPECT_ALL(table);
}

static void what_is_shown_within_the_text_is_none(void **state)
{
	static const struct expected table[] = {
		{RELATED TEXT "--b\r\nContent-Type: image/png; name=logo.png\r\nContent-ID: "
			      "<1>\r\n\r\n" END,
			0, ""},
		{RELATED TEXT "--b\r\nContent-Type: image/png; name=logo.png\r\n\r\n" END, 0, ""},
		{RELATED TEXT "--b\r\nContent-Type: image/png; name=logo.png\r\nContent-ID: <1>\r\n"
			      "Content-Disposition: attachment\r\n\r\n" END,
			1, "logo.png\n"},
		{RELATED TEXT "--b\r\nContent-Type: application/pdf; name=x.pdf\r\n\r\n" END, 1,
			"x.pdf\n"},
		{"Content-Type: multipart/alternative; boundary=b\r\n\r\n" TEXT
		 "--b\r\nContent-Type: application/json\r\n\r\n{}\r\n" END,
			0, ""},
		{"Content-Type: multipart/signed; boundary=b\r\n\r\n" TEXT
		 "--b\r\nContent-Type: application/pgp-signature; name=signature.asc\r\n\r\n" END,
			0, ""},
		{"Content-Type: multipart/report; boundary=b\r\n\r\n" TEXT
		 "--b\r\nContent-Type: message/delivery-status\r\n\r\nx\r\n"
		 "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\n" END,
			0, ""},
		{"Content-Type: multipart/digest; boundary=b\r\n\r\n"
		 "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\n" END,
			0, ""},
	};

	(void)state;
	EXPECT_ALL(table);
}

static void parts_within_parts_are_found(void **state)
{
	static const struct expected table[] = {
		{MIXED "--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
		       "--c\r\n\r\nx\r\n--c--\r\n"
		       "--b\r\nContent-Type: application/zip; name=after.zip\r\n\r\n" END,
			1, "after.zip\n"},
		/* The inner one is never closed. */
		{MIXED "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
		       "--c\r\nContent-Type: image/gif; name=in.gif\r\n\r\n"
		       "--b\r\nContent-Type: application/zip; name=after.zip\r\n\r\n" END,
			2, "in.gif\nafter.zip\n"},
		/* What is attached to a forwarded message. */
		{MIXED TEXT "--b\r\nContent-Type: message/rfc822\r\n\r\n"
			    "Content-Type: multipart/mixed; boundary=c\r\n\r\n"
			    "--c\r\nContent-Disposition: attachment; filename=deep.doc\r\n\r\nx\r\n"
			    "--c--\r\n" END,
			2, "deep.doc\n"},
		/* A part that ends within its header. */
		{MIXED "--b\r\nContent-Disposition: attachment; filename=short\r\n" END, 1,
			"short\n"},
		/* A boundary that begins another one, and one with blanks behind it. */
		{"Content-Type: multipart/mixed; boundary=b\r\n\r\n--bb\r\n"
		 "Content-Disposition: attachment\r\n\r\n--b  \r\n"
		 "Content-Disposition: attachment\r\n\r\n" END,
			1, ""},
		/* After the end nothing counts. */
		{MIXED TEXT END "--b\r\nContent-Disposition: attachment\r\n\r\n", 0, ""},
		/* No end at all. */
		{MIXED "--b\r\nContent-Disposition: attachment; filename=cut", 1, "cut\n"},
		{"Content-Type: multipart/mixed\r\n\r\n--b\r\nContent-Disposition: "
		 "attachment\r\n\r\n",
			0, ""},
	};

	(void)state;
	EXPECT_ALL(table);
}

static void names_are_decoded(void **state)
{
#define NAMED(parameters)                                                                          \
	MIXED "--b\r\nContent-Disposition: attachment; " parameters "\r\n\r\nx\r\n" END
	static const struct expected table[] = {
		{NAMED("filename*=utf-8'de'%C3%9Cbersicht%20neu.txt"), 1, "Übersicht neu.txt\n"},
		{NAMED("filename*=iso-8859-1''%DCber.txt; filename=ber.txt"), 1, "Über.txt\n"},
		{NAMED("filename*0*=utf-8''%E2%82; filename*1*=%AC;\r\n filename*2=\".txt\""), 1,
			"€.txt\n"},
		{NAMED("filename*1=\"b.txt\"; filename*0=\"a-\""), 1, "a-b.txt\n"},
		{NAMED("filename=\"=?utf-8?B?w5xiZXIudHh0?=\""), 1, "Über.txt\n"},
		{NAMED("filename==?iso-8859-1?Q?=DCber=2Etxt?="), 1, "Über.txt\n"},
		{NAMED("filename=\"a\\\"b;c.txt\"; size=7"), 1, "a\"b;c.txt\n"},
		{NAMED("filename=\"C:\\dir\\x.txt\""), 1, "C:\\dir\\x.txt\n"},
		{NAMED("filename=My Report.pdf"), 1, "My Report.pdf\n"},
		{NAMED("filename=\"a=?utf-8?Q?=0A=1B?=b\""), 1, "a  b\n"},
		{NAMED("filename=\"\xff.txt\""), 1, "\xef\xbf\xbd.txt\n"},
		{NAMED("filename=\"\""), 1, ""},
		{NAMED("filename=\"never closed"), 1, "never closed\n"},
	};

	(void)state;
	EXPECT_ALL(table);
}

/* ---- The header ------------------------------------------------------------------------------ */

static void fields_are_read_unfolded_and_decoded(void **state)
{
	static const char message[] =
		"Received: from a by b; no date here\r\n"
		"Received: from c by d\r\n\twith e; Mon, 2 Feb 2026 10:00:00\r\n +0100 (CET)\r\n"
		"Received: from f by g; Sun, 1 Feb 2026 10:00:00 +0000\r\n"
		"DATE : Sat, 31 Jan 2026 23:59:59 +0000\r\n"
		"From: =?utf-8?Q?J=C3=B8rn?=\r\n\t<jorn@example.com>\r\n"
		"To: a@example.com\r\nTo: b@example.com,\r\n c@example.com\r\n"
		"cc: d@example.com\r\n"
		"Subject: =?iso-2022-jp?B?GyRCRnxLXBsoQg==?= \x01\r\n"
		"Subject: the second\r\n"
		"Message-ID:\r\n <id@example.com> (a comment)\r\n\r\nSubject: none\r\n";
	struct mail_scan *s CLEANUP(mail_scan_freep) = NULL;
	struct fault f;

	(void)state;
	assert_int_equal(mail_scan_new(NULL, &s, &f), 0);
	for (size_t step = 1; step < 90; step++) {
		const struct mail_facts *x = scan_in_steps(s, slice_text(message), step);

		assert_true(x->has_date);
		assert_true(x->has_received);
		assert_int_equal(x->date, INT64_C(1769903999000));
		assert_int_equal(x->received, INT64_C(1770022800000));
		expect_text(&x->sender, "Jørn <jorn@example.com>");
		expect_text(&x->recipients, "a@example.com, b@example.com, c@example.com");
		expect_text(&x->copied, "d@example.com");
		expect_text(&x->subject, "日本");
		expect_text(&x->message_id, "id@example.com");
		assert_int_equal(x->attachments, 0);
	}
}

static void a_message_without_a_header_has_no_fields(void **state)
{
	struct mail_scan *s CLEANUP(mail_scan_freep) = NULL;
	struct fault f;

	(void)state;
	assert_int_equal(mail_scan_new(NULL, &s, &f), 0);
	const struct mail_facts *x =
		scan_in_steps(s, slice_text("hello\r\nSubject: none\r\n\r\n"), 5);
	expect_text(&x->subject, "");
	assert_false(x->has_date);
	assert_false(x->has_received);
}

static void what_is_too_long_is_cut(void **state)
{
	struct mail_scan *s CLEANUP(mail_scan_freep) = NULL;
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(8 * MIB);
	struct fault f;

	(void)state;
	assert_int_equal(buffer_append_text(&text, "Subject: ", &f), 0);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(buffer_append_text(&text, "\xc3\xa9", &f), 0);
	assert_int_equal(buffer_append_text(&text, "\r\n" MIXED, &f), 0);
	for (int i = 0; i < 20000; i++)
		assert_int_equal(
			buffer_append_text(&text,
				"--b\r\nContent-Disposition: attachment; filename=n\r\n\r\n", &f),
			0);
	assert_int_equal(mail_scan_new(NULL, &s, &f), 0);
	const struct mail_facts *x = scan_in_steps(s, buffer_slice(&text), 4096);
	assert_true(x->subject.len <= LIMIT_INDEX_SUBJECT);
	assert_true(x->subject.len > LIMIT_INDEX_SUBJECT - 4);
	assert_int_equal(x->subject.len % 2, 0);
	assert_int_equal(x->attachments, LIMIT_INDEX_PARTS);
	assert_true(x->names.len <= LIMIT_INDEX_NAMES);
}

static void multiparts_that_lie_too_deep_are_passed_over(void **state)
{
	struct mail_scan *s CLEANUP(mail_scan_freep) = NULL;
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(8 * MIB);
	struct fault f;

	(void)state;
	for (int i = 0; i < 5000; i++)
		assert_int_equal(buffer_append_format(&text, &f,
					 "Content-Type: multipart/mixed; boundary=x%d\r\n\r\n"
					 "--x%d\r\n",
					 i, i),
			0);
	assert_int_equal(buffer_append_text(&text,
				 "Content-Disposition: attachment\r\n\r\n--x3\r\n"
				 "Content-Disposition: attachment; filename=there\r\n\r\n",
				 &f),
		0);
	assert_int_equal(mail_scan_new(NULL, &s, &f), 0);
	const struct mail_facts *x = scan_in_steps(s, buffer_slice(&text), 4096);
	assert_int_equal(x->attachments, 1);
	expect_text(&x->names, "there\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(parts_that_people_call_attachments_are_counted),
		TEST(what_is_shown_within_the_text_is_none),
		TEST(parts_within_parts_are_found),
		TEST(names_are_decoded),
		TEST(fields_are_read_unfolded_and_decoded),
		TEST(a_message_without_a_header_has_no_fields),
		TEST(what_is_too_long_is_cut),
		TEST(multiparts_that_lie_too_deep_are_passed_over),
	};

	return cmocka_run_group_tests_name("mail_scan", tests, NULL, NULL);
}
