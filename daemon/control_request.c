/* Requests of control_message.h. */
#include "archive/escape.h"
#include "daemon/control_json.h"
#include "daemon/control_message.h"

static const char *const verbs[] = {
	[CONTROL_FETCH] = "fetch",
	[CONTROL_STATUS] = "status",
	[CONTROL_RELOAD] = "reload",
};

enum { VERBS = sizeof verbs / sizeof *verbs };

void control_request_deinit(struct control_request *r)
{
	for (size_t i = 0; i < r->accounts_n; i++)
		free(r->accounts[i]);
	free(r->accounts);
	*r = (struct control_request){0};
}

int control_request_encode(const struct control_request *r, struct buffer *to, struct fault *f)
{
	struct control_line l CLEANUP(control_line_deinit) = {0};

	control_line_begin(&l, "request", verbs[r->verb]);
	if (r->extent == CONTROL_ALL)
		control_line_add(&l, "all", json_true());
	if (r->accounts_n > 0) {
		json_t *names = json_array();

		for (size_t i = 0; i < r->accounts_n; i++) {
			if (json_array_append_new(names, json_string(r->accounts[i])) < 0)
				l.failed = true;
		}
		control_line_add(&l, "accounts", names);
	}
	return control_line_end(&l, LIMIT_CONTROL_REQUEST, to, f);
}

static int find_verb(const char *name, enum control_verb *ret, struct fault *f)
{
	char shown[64];

	for (size_t i = 0; i < VERBS; i++) {
		if (strcmp(name, verbs[i]) == 0) {
			*ret = (enum control_verb)i;
			return 0;
		}
	}
	return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
		"no request \"%s\"; there are fetch, status and reload",
		escape_text(slice_text(name), shown, sizeof shown));
}

static int take_name(const json_t *value, char **ret, struct fault *f)
{
	const char *name = json_string_value(value);
	char shown[LIMIT_ACCOUNT_NAME + 1];

	if (!name)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"\"accounts\" holds something that is no text");
	if (!account_name_is_valid(name))
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"\"%s\" cannot be the name of an account",
			escape_text(slice_text(name), shown, sizeof shown));
	*ret = strdup(name);
	return *ret ? 0 : fault_memory(f);
}

static int take_names(const json_t *names, struct control_request *to, struct fault *f)
{
	size_t n = json_array_size(names);

	if (!names || json_is_null(names))
		return 0;
	if (!json_is_array(names))
		return fault_set(
			f, FAULT_USAGE, SCOPE_SESSION, 0, "\"accounts\" is no array of names");
	if (n > LIMIT_ACCOUNTS)
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
			"%zu accounts in one request; %d are the limit", n, LIMIT_ACCOUNTS);
	if (n == 0)
		return 0;
	to->accounts = calloc(n, sizeof *to->accounts);
	if (!to->accounts)
		return fault_memory(f);
	for (; to->accounts_n < n; to->accounts_n++) {
		if (take_name(json_array_get(names, to->accounts_n), &to->accounts[to->accounts_n],
			    f) < 0)
			return -1;
	}
	return 0;
}

int control_request_decode(struct slice line, struct control_request *ret, struct fault *f)
{
	struct control_request r CLEANUP(control_request_deinit) = {0};
	json_t *object CLEANUP(control_json_freep) = NULL;
	const char *verb = NULL;

	if (control_line_parse(line, LIMIT_CONTROL_REQUEST, "request", &object, &verb, f) < 0) {
		if (f->code == FAULT_PROTOCOL)
			f->code = FAULT_USAGE;
		return -1;
	}
	if (find_verb(verb, &r.verb, f) < 0 ||
		take_names(json_object_get(object, "accounts"), &r, f) < 0)
		return -1;
	r.extent = json_is_true(json_object_get(object, "all")) ? CONTROL_ALL : CONTROL_SOME;
	*ret = r;
	r = (struct control_request){0};
	return 0;
}
