#include "daemon/runner_message.h"

#include "daemon/upkeep.h"

#include <stdio.h>

_Static_assert(LIMIT_SECRET >= FAULT_TEXT_MAX, "a fault's text fits");

static bool has_end(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

int runner_request_check(const struct runner_request *q, size_t len)
{
	if (len != sizeof *q || !has_end(q->account, sizeof q->account) ||
		!has_end(q->text, sizeof q->text))
		return -1;
	bool is_named = account_name_is_valid(q->account);
	switch (q->kind) {
	case REQUEST_SECRET:
		return is_named ? 0 : -1;
	case REQUEST_ALERT:
		return q->event < ALERT_EVENTS && (is_named || !q->account[0]) ? 0 : -1;
	case REQUEST_RELOAD:
		return 0;
	case REQUEST_UPKEEP:
		return q->event > 0 && q->event < UPKEEP_WISHES ? 0 : -1;
	default:
		return -1;
	}
}

size_t runner_message_make(struct runner_message *m, int kind, uint64_t tag,
	const struct secret *secret, const struct fault *fault)
{
	struct slice bytes = {0};

	if (fault)
		bytes = slice_text(fault->text);
	else if (secret)
		bytes = slice_of(secret->text, secret->len);
	m->kind = (uint32_t)kind;
	m->tag = tag;
	m->code = fault ? (uint32_t)fault->code : FAULT_NONE;
	m->scope = fault ? (uint32_t)fault->scope : 0;
	m->error = fault ? fault->error : 0;
	if (bytes.len)
		memcpy(m->bytes, bytes.data, bytes.len);
	return RUNNER_MESSAGE_HEAD + bytes.len;
}

static int read_secret(
	const struct runner_message *m, size_t len, struct secret *ret, struct fault *f)
{
	char *text = malloc(len + 1);

	if (!text)
		return fault_memory(f);
	memcpy(text, m->bytes, len);
	text[len] = '\0';
	*ret = (struct secret){text, len};
	return 0;
}

int runner_message_read(
	const struct runner_message *m, size_t len, struct runner_answer *ret, struct fault *f)
{
	static const struct runner_answer nothing;

	if (len < RUNNER_MESSAGE_HEAD || len > sizeof *m || m->kind < RUNNER_SECRET ||
		m->kind > RUNNER_UPKEEP || m->code > FAULT_INTERRUPT || m->scope > SCOPE_ARCHIVE ||
		(m->kind == RUNNER_UPKEEP && (m->tag == 0 || m->tag >= NEWS_KINDS)))
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
			"the process that gives out passwords answers nonsense");
	size_t n = len - RUNNER_MESSAGE_HEAD;
	struct secret secret = {0};
	if (m->code == FAULT_NONE && m->kind == RUNNER_SECRET && read_secret(m, n, &secret, f) < 0)
		return -1;
	*ret = nothing;
	ret->tag = m->tag;
	ret->secret = secret;
	if (m->kind == RUNNER_COMPLAINT || m->kind == RUNNER_UPKEEP)
		(void)snprintf(ret->text, sizeof ret->text, "%.*s", (int)n, m->bytes);
	if (m->kind != RUNNER_COMPLAINT && m->code != FAULT_NONE)
		fault_record(&ret->fault, (enum fault_code)m->code, (enum fault_scope)m->scope,
			m->error, "%.*s", (int)n, m->bytes);
	return (int)m->kind;
}
