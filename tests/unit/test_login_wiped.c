/* What a login frees, or leaves behind where storage moves, never holds the password: every free()
 * and realloc() of the program looks (but for libgsasl's own, which are out of reach). */
#include "tests/unit/imap_talk.h"

#include <malloc.h>

void __real_free(void *memory);
void __wrap_free(void *memory);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

/* As it is, and in base64 by LOGIN, by PLAIN and by XOAUTH2. */
static const char *const forms[] = {"geheim", "Z2VoZWlt", "AGFubmEAZ2VoZWlt", "IGdlaGVpbQEB"};
static const char *found;

/* Which of the forms is in it; NULL: none. */
static const char *form_in(const void *memory, size_t size)
{
	for (size_t i = 0; size > 0 && i < sizeof forms / sizeof *forms; i++) {
		if (memmem(memory, size, forms[i], strlen(forms[i])))
			return forms[i];
	}
	return NULL;
}

static void look(void *memory)
{
	const char *form = memory ? form_in(memory, malloc_usable_size(memory)) : NULL;

	found = form ? form : found;
}

void __wrap_free(void *memory)
{
	look(memory);
	__real_free(memory);
}

void *__wrap_realloc(void *memory, size_t size)
{
	look(memory);
	return __real_realloc(memory, size);
}

static void start(struct talk *t, bool imap, const char *offer, bool token)
{
	if (imap) {
		begin_imap(t, TLS_IMPLICIT, NULL);
		t->account.secret_source = token ? SECRET_TOKEN_COMMAND : SECRET_FILE;
		connect_imap(t, offer);
	} else {
		begin(t, TLS_IMPLICIT, NULL);
		t->account.secret_source = token ? SECRET_TOKEN_COMMAND : SECRET_FILE;
		connect_with(t, "+OK hi", offer);
	}
}

/* The server wants more, until the password is in the output. */
static void go_on_to_the_password(struct talk *t)
{
	char line[LIMIT_SASL_LINE];

	assert_int_equal(talk_step(t), LOGIN_WANT_WRITE);
	while (!form_in(talk_output(t).data, talk_output(t).len)) {
		hear_any(t, line, sizeof line);
		say(t, strncmp(line, "USER", 4) == 0 ? "+OK" : "+ ");
		assert_int_equal(talk_step(t), LOGIN_WANT_WRITE);
	}
}

static void expect_nothing_left(bool imap, const char *offer, char *secret)
{
	bool token = strstr(offer, "XOAUTH2");
	char line[LIMIT_SASL_LINE];
	struct talk t;

	for (unsigned sent = 0; sent < 3; sent++) {
		found = NULL;
		start(&t, imap, offer, token);
		t.secret = (struct secret){secret, strlen(secret)};
		go_on_to_the_password(&t);
		if (sent == 1)
			talk_sent(&t, 5);
		if (sent == 2) {
			hear_any(&t, line, sizeof line);
			say(&t, imap ? "L1 OK" : "+OK");
			assert_int_equal(talk_step(&t), LOGIN_WANT_WRITE);
		}
		end(&t);
		if (found)
			fail_msg("%s, %u: \"%s\" is in what was freed", offer, sent, found);
	}
}

static void pop3_leaves_no_password_behind(void **state)
{
	(void)state;
	expect_nothing_left(false, "USER", password);
	expect_nothing_left(false, "SASL PLAIN", password);
	expect_nothing_left(false, "SASL LOGIN", password);
	expect_nothing_left(false, "SASL XOAUTH2", password);
}

static void imap_leaves_no_password_behind(void **state)
{
	static char far[] = "geheim\xe9", longer[2000] = "geheim";

	(void)state;
	memset(longer + strlen(longer), 'x', sizeof longer - strlen(longer) - 1);
	expect_nothing_left(true, "IMAP4rev1", longer);
	expect_nothing_left(true, "IMAP4rev1", password);
	expect_nothing_left(true, "IMAP4rev1", far);
	expect_nothing_left(true, "LITERAL+", far);
	expect_nothing_left(true, "AUTH=PLAIN", password);
	expect_nothing_left(true, "AUTH=PLAIN SASL-IR", password);
	expect_nothing_left(true, "AUTH=LOGIN", password);
	expect_nothing_left(true, "AUTH=XOAUTH2 SASL-IR", password);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pop3_leaves_no_password_behind),
		TEST(imap_leaves_no_password_behind),
	};

	return cmocka_run_group_tests_name("login_wiped", tests, NULL, NULL);
}
