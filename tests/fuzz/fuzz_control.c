/* Any bytes as lines of the control socket, both as requests and as replies: what is taken is whole
 * and safe to print, goes through encoding and decoding as it is, and what is not leaves nothing
 * behind. */
#include "daemon/control_message.h"
#include "tests/fuzz/fuzz.h"

static void check_fault(const struct fault *f)
{
	require(f->code != FAULT_NONE && f->text[0]);
	for (const char *p = f->text; *p; p++)
		require((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static struct slice without_end(const struct buffer *line)
{
	require(line->len > 0 && line->data[line->len - 1] == '\n');
	return slice_of(line->data, line->len - 1);
}

static void check_request(const struct control_request *r)
{
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(LIMIT_CONTROL_REQUEST + 2);
	struct control_request again CLEANUP(control_request_deinit) = {0};
	struct fault f;

	require(r->accounts_n <= LIMIT_ACCOUNTS);
	require(control_request_encode(r, &line, &f) == 0);
	require(control_request_decode(without_end(&line), &again, &f) == 0);
	require(again.verb == r->verb && again.extent == r->extent);
	require(again.accounts_n == r->accounts_n);
	for (size_t i = 0; i < r->accounts_n; i++) {
		require(account_name_is_valid(r->accounts[i]));
		require(strcmp(r->accounts[i], again.accounts[i]) == 0);
	}
}

static void check_text(const char *text, size_t size)
{
	require(memchr(text, '\0', size) != NULL);
	for (; *text; text++)
		require((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void check_texts(const struct control_reply *r)
{
	switch (r->kind) {
	case CONTROL_EVENT:
		require(!r->event.event.account && r->event.event.kind <= POLLER_DONE);
		require(r->event.event.fault.code <= FAULT_INTERRUPT);
		require(r->event.event.hindrance <= HINDRANCE_STOPPED);
		check_text(r->event.account, sizeof r->event.account);
		check_text(r->event.event.text, sizeof r->event.event.text);
		check_text(r->event.event.fault.text, sizeof r->event.event.fault.text);
		break;
	case CONTROL_DAEMON:
		check_text(r->daemon.version, sizeof r->daemon.version);
		check_text(r->daemon.archive, sizeof r->daemon.archive);
		check_text(r->daemon.config_error, sizeof r->daemon.config_error);
		check_text(r->daemon.disk, sizeof r->daemon.disk);
		check_text(r->daemon.sandbox, sizeof r->daemon.sandbox);
		break;
	case CONTROL_ACCOUNT:
		require(r->account.activity <= CONTROL_PAUSED);
		require(r->account.health <= SCHEDULE_ATTENTION);
		check_text(r->account.name, sizeof r->account.name);
		check_text(r->account.text, sizeof r->account.text);
		break;
	case CONTROL_ERROR:
		require(r->error.status >= 0 && r->error.status <= 255);
		check_text(r->error.text, sizeof r->error.text);
		break;
	case CONTROL_END:
		require(r->end.status >= 0 && r->end.status <= 255);
		break;
	}
}

static void check_reply(const struct control_reply *r)
{
	struct buffer first CLEANUP(buffer_deinit) = buffer_make(LIMIT_CONTROL_REPLY + 2);
	struct buffer second CLEANUP(buffer_deinit) = buffer_make(LIMIT_CONTROL_REPLY + 2);
	struct control_reply again;
	struct fault f;

	check_texts(r);
	require(control_reply_encode(r, &first, &f) == 0);
	require(control_reply_decode(without_end(&first), &again, &f) == 0);
	require(control_reply_encode(&again, &second, &f) == 0);
	require(slice_compare(buffer_slice(&first), buffer_slice(&second)) == 0);
}

static void try_line(struct slice line)
{
	struct control_request request = {0};
	struct control_reply reply;
	struct fault f = {0};

	if (control_request_decode(line, &request, &f) == 0)
		check_request(&request);
	else
		check_fault(&f);
	control_request_deinit(&request);

	f = (struct fault){0};
	int r = control_reply_decode(line, &reply, &f);
	if (r == 0)
		check_reply(&reply);
	else if (r < 0)
		check_fault(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	while (size > 0) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t len = end ? (size_t)(end - data) : size;

		try_line(slice_of(data, len));
		data += end ? len + 1 : len;
		size -= end ? len + 1 : len;
	}
	return 0;
}
