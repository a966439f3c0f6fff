/* Any bytes as what goes over the runner's socket. The first byte says which way: an even one to
 * the runner, which must take nothing that the service's own code would not have sent; an odd one
 * from it. */
#include "archive/escape.h"
#include "daemon/runner_message.h"
#include "daemon/upkeep.h"
#include "tests/fuzz/fuzz.h"

static bool has_end(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static void check_request(const uint8_t *data, size_t size)
{
	struct runner_request q = {0};
	char text[1024], since[MOMENT_TEXT];

	memcpy(&q, data, size < sizeof q ? size : sizeof q);
	if (runner_request_check(&q, size) < 0)
		return;
	require(size == sizeof q);
	require(has_end(q.account, sizeof q.account) && has_end(q.text, sizeof q.text));
	require(q.kind == REQUEST_SECRET || q.kind == REQUEST_ALERT || q.kind == REQUEST_RELOAD ||
		q.kind == REQUEST_UPKEEP);
	if (q.kind == REQUEST_SECRET)
		require(account_name_is_valid(q.account));
	if (q.kind == REQUEST_UPKEEP)
		require(q.event > 0 && q.event < UPKEEP_WISHES);
	if (q.kind != REQUEST_ALERT)
		return;
	require(q.event < ALERT_EVENTS);
	require(!q.account[0] || account_name_is_valid(q.account));
	/* As the alert-command gets them. */
	moment_format(q.since, since);
	require(strlen(since) == MOMENT_TEXT - 1);
	for (const char *p = escape_again(slice_text(q.text), text, sizeof text); *p; p++)
		require((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void check_answer(int kind, const struct runner_answer *a)
{
	bool failed = a->fault.code != FAULT_NONE;

	require(kind == RUNNER_SECRET || kind == RUNNER_RELOADED || kind == RUNNER_COMPLAINT ||
		kind == RUNNER_UPKEEP);
	if (kind == RUNNER_UPKEEP)
		require(a->tag > 0 && a->tag < NEWS_KINDS);
	require(a->fault.code <= FAULT_INTERRUPT && a->fault.scope <= SCOPE_ARCHIVE);
	require(has_end(a->fault.text, sizeof a->fault.text) && has_end(a->text, sizeof a->text));
	require((a->secret.text != NULL) == (kind == RUNNER_SECRET && !failed));
	require(a->secret.len <= LIMIT_SECRET);
	if (a->secret.text)
		require(a->secret.text[a->secret.len] == '\0');
}

static void check_again(int kind, const struct runner_answer *a)
{
	static struct runner_message m;
	struct runner_answer again = {0};
	struct fault f;

	if (kind == RUNNER_COMPLAINT)
		return;
	struct fault told = a->fault;
	if (kind == RUNNER_UPKEEP)
		memcpy(told.text, a->text, sizeof told.text);
	size_t len = runner_message_make(&m, kind, a->tag, a->secret.text ? &a->secret : NULL,
		told.code == FAULT_NONE && kind != RUNNER_UPKEEP ? NULL : &told);
	require(runner_message_read(&m, len, &again, &f) == kind);
	require(again.tag == a->tag && again.fault.code == a->fault.code);
	require(strcmp(again.fault.text, a->fault.text) == 0);
	require(strcmp(again.text, a->text) == 0);
	require(again.secret.len == a->secret.len);
	if (a->secret.len > 0)
		require(memcmp(again.secret.text, a->secret.text, a->secret.len) == 0);
	secret_deinit(&again.secret);
}

static void check_message(const uint8_t *data, size_t size)
{
	static struct runner_message m;
	struct runner_answer a = {0};
	struct fault f = {0};

	memcpy(&m, data, size < sizeof m ? size : sizeof m);
	int kind = runner_message_read(&m, size, &a, &f);
	if (kind < 0) {
		require(f.code == FAULT_SYSTEM && !a.secret.text);
		return;
	}
	check_answer(kind, &a);
	check_again(kind, &a);
	secret_deinit(&a.secret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		check_message(data + 1, size - 1);
	else
		check_request(data + 1, size - 1);
	return 0;
}
