/* SCRAM against the server's side of libgsasl. */
#include "daemon/base64.h"
#include "tests/unit/imap_talk.h"

#include <gsasl.h>

/* The server's side of SCRAM by libgsasl. */

struct scram_server {
	Gsasl *library;
	Gsasl_session *session;
};

static int on_property(Gsasl *library, Gsasl_session *session, Gsasl_property property)
{
	(void)library;
	if (property == GSASL_PASSWORD)
		return gsasl_property_set(session, property, "pencil");
	if (property == GSASL_SCRAM_ITER)
		return gsasl_property_set(session, property, "4096");
	if (property == GSASL_SCRAM_SALT)
		return gsasl_property_set(session, property, "W22ZaJ0SNY7soEsUEjb6gQ==");
	return GSASL_NO_CALLBACK;
}

static void scram_open(struct scram_server *s, const char *mechanism)
{
	assert_int_equal(gsasl_init(&s->library), GSASL_OK);
	gsasl_callback_set(s->library, on_property);
	assert_int_equal(gsasl_server_start(s->library, mechanism, &s->session), GSASL_OK);
}

static void scram_close(struct scram_server *s)
{
	gsasl_finish(s->session);
	gsasl_done(s->library);
}

/* The client's line to the server; the server's answer, decoded, to ret. */
static int scram_step(struct scram_server *s, const char *line, char *ret, size_t size)
{
	struct buffer in CLEANUP(buffer_deinit) = buffer_make(4096);
	struct fault f;
	char *out = NULL;
	size_t len = 0;

	assert_int_equal(base64_decode(&in, slice_of(line, strlen(line) - 2), &f), 0);
	int r = gsasl_step(s->session, (const char *)in.data, in.len, &out, &len);
	assert_true(len < size);
	if (len > 0)
		memcpy(ret, out, len);
	ret[len] = '\0';
	gsasl_free(out);
	return r;
}

static void say_challenge(struct talk *t, const char *text)
{
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(4096);
	struct fault f;

	assert_int_equal(buffer_append_text(&line, "+ ", &f), 0);
	assert_int_equal(base64_encode(&line, slice_text(text), &f), 0);
	say(t, buffer_text(&line));
}

/* As far as the client's proof, which the server finds right; its own proof is in final. */
static void scram_until_proof(
	struct talk *t, struct scram_server *s, const char *mechanism, char *final, size_t size)
{
	static char name[] = "user", pencil[] = "pencil"; /* of RFC 7677 section 3 and RFC 5802 */
	char command[64], line[2048], reply[2048];

	begin(t, TLS_NONE, mechanism);
	t->account.user = name;
	t->secret = (struct secret){pencil, strlen(pencil)};
	scram_open(s, mechanism);
	connect_with(t, "+OK", "SASL PLAIN SCRAM-SHA-1 SCRAM-SHA-256");
	(void)snprintf(command, sizeof command, "AUTH %s", mechanism);
	hear(t, command);
	say(t, "+");
	hear_any(t, line, sizeof line);
	assert_int_equal(scram_step(s, line, reply, sizeof reply), GSASL_NEEDS_MORE);
	say_challenge(t, reply);
	hear_any(t, line, sizeof line);
	assert_int_equal(scram_step(s, line, final, size), GSASL_OK);
}

static void expect_scram(const char *mechanism)
{
	struct scram_server s;
	struct talk t;
	char final[2048] = "";

	scram_until_proof(&t, &s, mechanism, final, sizeof final);
	say_challenge(&t, final);
	hear(&t, "");
	say(&t, "+OK");
	hear_end(&t, mechanism);
	scram_close(&s);
}

static void scram_proves_both_sides_in_imap_from_the_first_line(void **state)
{
	static char name[] = "user", pencil[] = "pencil";
	static const char command[] = "L1 AUTHENTICATE SCRAM-SHA-256 ";
	char line[2048], reply[2048];
	struct scram_server s;
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_NONE, NULL);
	t.account.user = name;
	t.secret = (struct secret){pencil, strlen(pencil)};
	scram_open(&s, "SCRAM-SHA-256");
	connect_imap(&t, "AUTH=PLAIN AUTH=SCRAM-SHA-1 AUTH=SCRAM-SHA-256 SASL-IR");
	hear_any(&t, line, sizeof line);
	assert_memory_equal(line, command, strlen(command));
	assert_int_equal(
		scram_step(&s, line + strlen(command), reply, sizeof reply), GSASL_NEEDS_MORE);
	say_challenge(&t, reply);
	hear_any(&t, line, sizeof line);
	assert_int_equal(scram_step(&s, line, reply, sizeof reply), GSASL_OK);
	say_challenge(&t, reply);
	hear(&t, "");
	let_in(&t, "L1", "SCRAM-SHA-256");
	scram_close(&s);
}

static void scram_proves_both_sides(void **state)
{
	(void)state;
	expect_scram("SCRAM-SHA-256");
	expect_scram("SCRAM-SHA-1");
}

static void scram_is_preferred_to_what_shows_the_password(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	connect_with(&t, "+OK", "USER\nSASL PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256");
	hear(&t, "AUTH SCRAM-SHA-256");
	end(&t);
}

static void a_server_that_does_not_prove_itself_is_refused(void **state)
{
	struct scram_server s;
	struct talk t;
	char final[2048] = "";

	(void)state;
	scram_until_proof(&t, &s, "SCRAM-SHA-256", final, sizeof final);
	say(&t, "+OK come in");
	hear_fault(&t, FAULT_PROTOCOL, SCOPE_ACCOUNT, "without having proven");
	scram_close(&s);

	scram_until_proof(&t, &s, "SCRAM-SHA-256", final, sizeof final);
	final[3] = final[3] == 'A' ? 'B' : 'A'; /* "v=…" */
	say_challenge(&t, final);
	hear_fault(&t, FAULT_PROTOCOL, SCOPE_ACCOUNT, "did not prove");
	scram_close(&s);
}

static void scrams_own_error_is_answered_and_told(void **state)
{
	struct scram_server s;
	struct talk t;
	char final[2048] = "";

	(void)state;
	scram_until_proof(&t, &s, "SCRAM-SHA-1", final, sizeof final);
	say_challenge(&t, "e=invalid-proof");
	hear(&t, "*");
	say(&t, "-ERR");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT, "(invalid-proof)");
	scram_close(&s);
}

static void scram_with_endless_iterations_is_refused(void **state)
{
	char line[2048], reply[2048];
	struct scram_server s;
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	scram_open(&s, "SCRAM-SHA-256");
	connect_with(&t, "+OK", "SASL SCRAM-SHA-256");
	hear(&t, "AUTH SCRAM-SHA-256");
	say(&t, "+");
	hear_any(&t, line, sizeof line);
	assert_int_equal(scram_step(&s, line, reply, sizeof reply), GSASL_NEEDS_MORE);
	char *count = strstr(reply, ",i=4096");
	assert_non_null(count);
	(void)snprintf(count, 32, ",i=4294967295");
	say_challenge(&t, reply);
	hear_fault(&t, FAULT_LIMIT, SCOPE_ACCOUNT, "iterations");
	scram_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(scram_proves_both_sides),
		TEST(scram_proves_both_sides_in_imap_from_the_first_line),
		TEST(scram_is_preferred_to_what_shows_the_password),
		TEST(a_server_that_does_not_prove_itself_is_refused),
		TEST(scrams_own_error_is_answered_and_told),
		TEST(scram_with_endless_iterations_is_refused),
	};

	return cmocka_run_group_tests_name("login_scram", tests, NULL, NULL);
}
