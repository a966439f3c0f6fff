#include "daemon/sasl.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/bearer.h"
#include "daemon/scram.h"

#include <gsasl.h>

typedef int bearer_message(struct buffer *to, const struct account *account,
	const struct secret *token, struct fault *f);

struct sasl {
	const struct account *account;
	const struct secret *secret;
	const char *mechanism;
	bool scram;
	bool complete;
	char refusal[200];

	/* Ours */
	bearer_message *bearer;
	const char *bearer_answer; /* to the challenge that tells of the refusal */
	unsigned steps;

	/* libgsasl's */
	Gsasl *library;
	Gsasl_session *session;
};

static const struct {
	const char *mechanism;
	bearer_message *message;
	const char *answer;
} bearers[] = {
	{"OAUTHBEARER", bearer_oauthbearer, "\1"}, /* RFC 7628 section 3.2.3 */
	{"XOAUTH2", bearer_xoauth2, ""},
};

/* Before libgsasl would make it of the password. */
static int give_salted_password(const struct sasl *s, Gsasl_session *session)
{
	enum scram_hash hash =
		strncmp(s->mechanism, "SCRAM-SHA-256", 13) == 0 ? SCRAM_SHA256 : SCRAM_SHA1;
	const char *salt = gsasl_property_fast(session, GSASL_SCRAM_SALT);
	const char *iterations = gsasl_property_fast(session, GSASL_SCRAM_ITER);
	char hex[SCRAM_HEX_MAX];

	if (!s->secret || !salt || !iterations ||
		scram_salted_password(hash, s->secret->text, salt, iterations, hex) != 0)
		return GSASL_NO_CALLBACK;
	int r = gsasl_property_set(session, GSASL_SCRAM_SALTED_PASSWORD, hex);
	explicit_bzero(hex, sizeof hex);
	return r;
}

/* What libgsasl asks for while it steps. */
static int on_property(Gsasl *library, Gsasl_session *session, Gsasl_property property)
{
	const struct sasl *s = gsasl_session_hook_get(session);
	bool is_external = strcmp(s->mechanism, "EXTERNAL") == 0;
	bool is_imap = s->account->protocol == PROTOCOL_IMAP;
	const char *value = NULL;

	(void)library;
	if (property == GSASL_SCRAM_SALTED_PASSWORD)
		return give_salted_password(s, session);
	if (property == GSASL_AUTHZID && s->account->authzid)
		value = s->account->authzid;
	else if (property == GSASL_AUTHID || (property == GSASL_AUTHZID && is_external))
		value = s->account->user;
	else if (property == GSASL_PASSWORD && s->secret)
		value = s->secret->text;
	else if (property == GSASL_SERVICE)
		value = is_imap ? "imap" : "pop";
	else if (property == GSASL_HOSTNAME)
		value = s->account->host;
	if (!value)
		return GSASL_NO_CALLBACK;
	return gsasl_property_set(session, property, value);
}

static int broken(const struct sasl *s, int error, struct fault *f)
{
	if (error == GSASL_MALLOC_ERROR)
		return fault_memory(f);
	if (error == GSASL_SASLPREP_ERROR)
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, error,
			"user or password hold characters that %s cannot carry (it needs UTF-8)",
			s->mechanism);
	if (error == GSASL_AUTHENTICATION_ERROR && s->scram)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, error,
			"the server did not prove that it knows the password (%s): it may be "
			"another server than you think",
			s->mechanism);
	return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, error, "%s: %s", s->mechanism,
		gsasl_strerror(error));
}

static int start_library(struct sasl *s, struct fault *f)
{
	int r = gsasl_init(&s->library);

	if (r == GSASL_OK) {
		gsasl_callback_set(s->library, on_property);
		r = gsasl_client_start(s->library, s->mechanism, &s->session);
	}
	if (r == GSASL_UNKNOWN_MECHANISM)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ACCOUNT, r, "libgsasl was built without %s",
			s->mechanism);
	if (r != GSASL_OK)
		return broken(s, r, f);
	gsasl_session_hook_set(s->session, s);
	return 0;
}

int sasl_new(const char *mechanism, const struct account *account, const struct secret *secret,
	struct sasl **ret, struct fault *f)
{
	struct sasl *s CLEANUP(sasl_freep) = calloc(1, sizeof *s);

	if (!s)
		return fault_memory(f);
	s->mechanism = mechanism;
	s->account = account;
	s->secret = secret;
	s->scram = strncmp(mechanism, "SCRAM-", 6) == 0;
	for (size_t i = 0; i < sizeof bearers / sizeof *bearers; i++) {
		if (strcmp(mechanism, bearers[i].mechanism) == 0) {
			s->bearer = bearers[i].message;
			s->bearer_answer = bearers[i].answer;
		}
	}
	if (!s->bearer && start_library(s, f) < 0)
		return -1;
	*ret = TAKE(s);
	return 0;
}

/* libgsasl frees its properties without wiping them; gsasl_property_fast() shows where they lie.
 * Its short-lived copies (SASLprep) cannot be reached. */
static void wipe_properties(Gsasl_session *session)
{
	static const Gsasl_property secrets[] = {GSASL_PASSWORD, GSASL_SCRAM_SALTED_PASSWORD,
		GSASL_SCRAM_SERVERKEY, GSASL_SCRAM_STOREDKEY};

	for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
		const char *value = gsasl_property_fast(session, secrets[i]);

		if (value)
			explicit_bzero((void *)(uintptr_t)value, strlen(value));
	}
}

struct sasl *sasl_free(struct sasl *s)
{
	if (!s)
		return NULL;
	if (s->session) {
		wipe_properties(s->session);
		gsasl_finish(s->session);
	}
	if (s->library)
		gsasl_done(s->library);
	free(s);
	return NULL;
}

void sasl_freep(struct sasl **s)
{
	*s = sasl_free(*s);
}

/* The iteration count in a server's first SCRAM message (RFC 5802 section 7). Each costs time that
 * the other sessions of the loop wait, and libgsasl sets no limit. */
static int check_scram(struct slice challenge, struct fault *f)
{
	uint64_t count = 0;
	const uint8_t *at = challenge.len ? memmem(challenge.data, challenge.len, ",i=", 3) : NULL;

	if (!at)
		return 0;
	for (at += 3; at < challenge.data + challenge.len && *at >= '0' && *at <= '9'; at++) {
		count = count * 10 + (uint64_t)(*at - '0');
		if (count > LIMIT_SCRAM_ITERATIONS)
			return fault_set(f, FAULT_LIMIT, SCOPE_ACCOUNT, 0,
				"the server asks for more than %d iterations of SCRAM",
				LIMIT_SCRAM_ITERATIONS);
	}
	return 0;
}

/* Whether the challenge is a refusal in words; it is kept. */
static bool refuses(struct sasl *s, struct slice challenge)
{
	if (!s->scram || challenge.len < 2 || memcmp(challenge.data, "e=", 2) != 0)
		return false;
	(void)escape_text(
		slice_of(challenge.data + 2, challenge.len - 2), s->refusal, sizeof s->refusal);
	return true;
}

static int step_library(struct sasl *s, struct slice challenge, struct buffer *to, struct fault *f)
{
	char *output = NULL;
	size_t len = 0;

	if (refuses(s, challenge))
		return SASL_CANCEL;
	if (s->scram && check_scram(challenge, f) < 0)
		return -1;
	if (s->complete)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0,
			"%s: the server sends a challenge too many", s->mechanism);
	int r = gsasl_step(s->session, (const char *)challenge.data, challenge.len, &output, &len);
	if (r != GSASL_OK && r != GSASL_NEEDS_MORE)
		return broken(s, r, f);
	s->complete = r == GSASL_OK;
	r = buffer_append(to, output, len, f);
	if (output) {
		explicit_bzero(output, len);
		gsasl_free(output);
	}
	return r;
}

static int step_bearer(struct sasl *s, struct slice challenge, struct buffer *to, struct fault *f)
{
	switch (s->steps++) {
	case 0:
		s->complete = true;
		return s->bearer(to, s->account, s->secret, f);
	case 1:
		(void)bearer_refusal(challenge, s->refusal, sizeof s->refusal);
		s->complete = false;
		return buffer_append_text(to, s->bearer_answer, f);
	default:
		return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0,
			"%s: the server sends a challenge too many", s->mechanism);
	}
}

int sasl_step(struct sasl *s, struct slice challenge, struct buffer *to, struct fault *f)
{
	return s->bearer ? step_bearer(s, challenge, to, f) : step_library(s, challenge, to, f);
}

bool sasl_is_complete(const struct sasl *s)
{
	return s->complete;
}

const char *sasl_refusal(const struct sasl *s)
{
	return s->refusal;
}
