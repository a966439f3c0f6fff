#include "daemon/bearer.h"

#include "archive/escape.h"

#include <stdio.h>

/* The token says who we are; the message, whose mail it shall be. */
static const char *identity(const struct account *account)
{
	return account->authzid ? account->authzid : account->user;
}

/* Both messages are fields that end with ^A, so a control character would end one early. */
static int check(const struct account *account, const struct secret *token, struct fault *f)
{
	for (const char *c = identity(account); *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
				"the user name holds a control character");
	}
	for (size_t i = 0; i < token->len; i++) {
		if (token->text[i] <= ' ' || token->text[i] > '~')
			return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
				"the token holds a character that no bearer token has; see what "
				"token-command prints first");
	}
	return 0;
}

/* A saslname of RFC 5801 section 4. */
static int append_saslname(struct buffer *to, const char *name, struct fault *f)
{
	for (; *name; name++) {
		int r = *name == '='   ? buffer_append_text(to, "=3D", f)
			: *name == ',' ? buffer_append_text(to, "=2C", f)
				       : buffer_append(to, name, 1, f);

		if (r < 0)
			return -1;
	}
	return 0;
}

static int append_token(struct buffer *to, const struct secret *token, struct fault *f)
{
	if (buffer_append_text(to, "auth=Bearer ", f) < 0 ||
		buffer_append(to, token->text, token->len, f) < 0)
		return -1;
	return buffer_append_text(to, "\1\1", f);
}

int bearer_oauthbearer(struct buffer *to, const struct account *account, const struct secret *token,
	struct fault *f)
{
	if (check(account, token, f) < 0 || buffer_append_text(to, "n,a=", f) < 0 ||
		append_saslname(to, identity(account), f) < 0 ||
		buffer_append_format(to, f, ",\1host=%s\1port=%u\1", account->host, account->port) <
			0)
		return -1;
	return append_token(to, token, f);
}

int bearer_xoauth2(struct buffer *to, const struct account *account, const struct secret *token,
	struct fault *f)
{
	if (check(account, token, f) < 0 ||
		buffer_append_format(to, f, "user=%s\1", identity(account)) < 0)
		return -1;
	return append_token(to, token, f);
}

/* The value behind "status": a string or a number. A search and no parser, since it only serves a
 * message for people. */
static struct slice find_status(struct slice json)
{
	static const char key[] = "\"status\"";
	const struct slice none = {0};
	const uint8_t *end = json.data + json.len;
	const uint8_t *at = json.len ? memmem(json.data, json.len, key, sizeof key - 1) : NULL;

	if (!at)
		return none;
	for (at += sizeof key - 1; at < end && strchr(" \t:\"", *at) && *at; at++)
		;
	const uint8_t *from = at;
	while (at<end && * at> ' ' && *at < 0x7f && !strchr(",\"}", *at))
		at++;
	return slice_of(from, (size_t)(at - from));
}

const char *bearer_refusal(struct slice json, char *ret, size_t size)
{
	char text[128];
	struct slice status = find_status(json);

	if (status.len == 0)
		return escape_text(json, ret, size);
	(void)snprintf(ret, size, "status %s", escape_text(status, text, sizeof text));
	return ret;
}
