/* Replies of control_message.h. */
#include "daemon/control_json.h"
#include "daemon/control_message.h"

#include <assert.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Names, never numbers: both ends may be of different releases. The first of each is what a name
 * that is not known reads as. */
static const char *const event_kinds[] = {
	[POLLER_SECRET] = "secret", /* the service's own; never sent */
	[POLLER_PROGRESS] = "progress",
	[POLLER_NOTICE] = "notice",
	[POLLER_DONE] = "done",
};

static const char *const hindrances[] = {
	[HINDRANCE_NONE] = "none",
	[HINDRANCE_PASSING] = "passing",
	[HINDRANCE_LOGIN] = "login",
	[HINDRANCE_IN_USE] = "in-use",
	[HINDRANCE_TOO_SOON] = "too-soon",
	[HINDRANCE_PERSON] = "person",
	[HINDRANCE_STOPPED] = "stopped",
};

static const char *const fault_codes[] = {
	[FAULT_NONE] = "none",
	[FAULT_USAGE] = "usage",
	[FAULT_SYSTEM] = "system",
	[FAULT_MEMORY] = "memory",
	[FAULT_LIMIT] = "limit",
	[FAULT_MISSING] = "missing",
	[FAULT_ACCESS] = "access",
	[FAULT_FORMAT] = "format",
	[FAULT_DAMAGE] = "damage",
	[FAULT_BUSY] = "busy",
	[FAULT_LOGIN] = "login",
	[FAULT_REACH] = "reach",
	[FAULT_PROTOCOL] = "protocol",
	[FAULT_WRITE] = "write",
	[FAULT_INTERRUPT] = "interrupt",
};

static const char *const scopes[] = {
	[SCOPE_MESSAGE] = "message",
	[SCOPE_SESSION] = "session",
	[SCOPE_ACCOUNT] = "account",
	[SCOPE_ARCHIVE] = "archive",
};

static const char *const activities[] = {
	[CONTROL_WAITING] = "waiting",
	[CONTROL_QUEUED] = "queued",
	[CONTROL_POLLING] = "polling",
	[CONTROL_PAUSED] = "paused",
};

static const char *const healths[] = {
	[SCHEDULE_WELL] = "well",
	[SCHEDULE_FAILING] = "failing",
	[SCHEDULE_ATTENTION] = "attention",
};

/* ---- Writing ---------------------------------------------------------------------------- */

static void add_sums(struct control_line *l, const struct sums *s)
{
	control_line_count(l, "listed", s->listed);
	control_line_count(l, "archived", s->archived);
	control_line_count(l, "pending", s->pending);
	control_line_count(l, "refused", s->refused);
	control_line_count(l, "vanished", s->vanished);
}

static void add_moment(struct control_line *l, const char *key, moment_ms t)
{
	char text[MOMENT_TEXT];

	if (t == 0)
		return;
	moment_format(t, text);
	control_line_text(l, key, text);
}

static void add_fault(struct control_line *l, const struct fault *fault)
{
	if (fault->code == FAULT_NONE)
		return;
	control_line_text(l, "fault", fault_codes[fault->code]);
	control_line_text(l, "scope", scopes[fault->scope]);
	control_line_text(l, "text", fault->text);
}

static void add_done(struct control_line *l, const struct poller_event *e)
{
	add_sums(l, &e->sums);
	control_line_count(l, "new", e->new_messages);
	control_line_count(l, "duplicate", e->duplicates);
	control_line_count(l, "bytes", e->new_bytes);
	control_line_count(l, "sessions", e->sessions);
	control_line_add(l, "elapsed_ms", json_integer(e->elapsed_ms));
	control_line_add(l, "retrieve_ms", json_integer(e->retrieve_ms));
	control_line_text(l, "hindrance", hindrances[e->hindrance]);
	control_line_count(l, "login_delay_s", e->login_delay_s);
	add_fault(l, &e->fault);
}

static void add_event(struct control_line *l, const struct poller_event *e)
{
	if (e->kind == POLLER_NOTICE) {
		control_line_text(l, "text", e->text);
		return;
	}
	control_line_count(l, "to_fetch", e->to_fetch);
	control_line_count(l, "to_fetch_bytes", e->to_fetch_bytes);
	control_line_count(l, "fetched", e->fetched);
	control_line_count(l, "fetched_bytes", e->fetched_bytes);
	if (e->kind == POLLER_DONE)
		add_done(l, e);
}

static void add_daemon(struct control_line *l, const struct control_daemon *d)
{
	control_line_add(l, "pid", json_integer(d->pid));
	add_moment(l, "started", d->started);
	control_line_text(l, "version", d->version);
	control_line_text(l, "archive", d->archive);
	control_line_text(l, "config_error", d->config_error);
	control_line_text(l, "disk", d->disk);
	control_line_text(l, "sandbox", d->sandbox);
	if (d->worker_sandbox[0])
		control_line_text(l, "worker_sandbox", d->worker_sandbox);
	control_line_count(l, "sessions", d->sessions);
	control_line_count(l, "accounts", d->accounts);
	control_line_count(l, "failing", d->failing);
	control_line_count(l, "attention", d->attention);
}

static void add_account(struct control_line *l, const struct control_account *a)
{
	control_line_text(l, "account", a->name);
	control_line_text(l, "activity", activities[a->activity]);
	control_line_text(l, "health", healths[a->health]);
	add_moment(l, "since", a->since);
	add_moment(l, "next", a->next);
	add_moment(l, "succeeded", a->succeeded);
	control_line_count(l, "failures", a->failures);
	control_line_text(l, "hindrance", hindrances[a->hindrance]);
	if (a->code != FAULT_NONE)
		control_line_text(l, "fault", fault_codes[a->code]);
	if (a->text[0])
		control_line_text(l, "text", a->text);
	add_sums(l, &a->sums);
	if (a->activity != CONTROL_POLLING)
		return;
	control_line_count(l, "to_fetch", a->to_fetch);
	control_line_count(l, "to_fetch_bytes", a->to_fetch_bytes);
	control_line_count(l, "fetched", a->fetched);
	control_line_count(l, "fetched_bytes", a->fetched_bytes);
}

static int encode_event(
	const char *account, const struct poller_event *e, struct buffer *to, struct fault *f)
{
	struct control_line l CLEANUP(control_line_deinit) = {0};

	assert(e->kind != POLLER_SECRET);
	control_line_begin(&l, "reply", event_kinds[e->kind]);
	if (account[0])
		control_line_text(&l, "account", account);
	add_event(&l, e);
	return control_line_end(&l, LIMIT_CONTROL_REPLY, to, f);
}

int control_event_encode(const struct poller_event *e, struct buffer *to, struct fault *f)
{
	return encode_event(e->account ? e->account->name : "", e, to, f);
}

int control_error_encode(int status, const char *text, struct buffer *to, struct fault *f)
{
	struct control_line l CLEANUP(control_line_deinit) = {0};

	control_line_begin(&l, "reply", "error");
	control_line_add(&l, "status", json_integer(status));
	control_line_text(&l, "text", text);
	return control_line_end(&l, LIMIT_CONTROL_REPLY, to, f);
}

int control_end_encode(int status, struct buffer *to, struct fault *f)
{
	struct control_line l CLEANUP(control_line_deinit) = {0};

	control_line_begin(&l, "reply", "end");
	control_line_add(&l, "status", json_integer(status));
	return control_line_end(&l, LIMIT_CONTROL_REPLY, to, f);
}

int control_reply_encode(const struct control_reply *r, struct buffer *to, struct fault *f)
{
	struct control_line l CLEANUP(control_line_deinit) = {0};

	switch (r->kind) {
	case CONTROL_EVENT:
		return encode_event(r->event.account, &r->event.event, to, f);
	case CONTROL_ERROR:
		return control_error_encode(r->error.status, r->error.text, to, f);
	case CONTROL_END:
		return control_end_encode(r->end.status, to, f);
	case CONTROL_DAEMON:
		control_line_begin(&l, "reply", "daemon");
		add_daemon(&l, &r->daemon);
		break;
	case CONTROL_ACCOUNT:
		control_line_begin(&l, "reply", "account");
		add_account(&l, &r->account);
		break;
	}
	return control_line_end(&l, LIMIT_CONTROL_REPLY, to, f);
}

/* ---- Reading ---------------------------------------------------------------------------- */

static struct sums get_sums(const json_t *j)
{
	return (struct sums){
		.listed = control_get_count(j, "listed"),
		.archived = control_get_count(j, "archived"),
		.pending = control_get_count(j, "pending"),
		.refused = control_get_count(j, "refused"),
		.vanished = control_get_count(j, "vanished"),
	};
}

static moment_ms get_moment(const json_t *j, const char *key)
{
	moment_ms t = 0;

	(void)moment_parse(slice_text(control_get_text(j, key)), &t);
	return t;
}

/* An exit status. */
static int get_status(const json_t *j)
{
	json_t *status = json_object_get(j, "status");
	json_int_t n = json_integer_value(status);

	return json_is_integer(status) && n >= 0 && n <= 255 ? (int)n : 1;
}

static enum hindrance get_hindrance(const json_t *j)
{
	return (enum hindrance)control_get_name(j, "hindrance", hindrances, COUNT(hindrances));
}

/* A failure whose kind this version does not know is one nevertheless. */
static enum fault_code get_code(const json_t *j)
{
	enum fault_code code =
		(enum fault_code)control_get_name(j, "fault", fault_codes, COUNT(fault_codes));

	if (code == FAULT_NONE && control_get_text(j, "fault")[0] &&
		strcmp(control_get_text(j, "fault"), fault_codes[FAULT_NONE]) != 0)
		return FAULT_SYSTEM;
	return code;
}

static void get_done(const json_t *j, struct poller_event *ret)
{
	ret->sums = get_sums(j);
	ret->new_messages = control_get_count(j, "new");
	ret->duplicates = control_get_count(j, "duplicate");
	ret->new_bytes = control_get_count(j, "bytes");
	ret->sessions = control_get_count(j, "sessions");
	ret->elapsed_ms = (int64_t)control_get_count(j, "elapsed_ms");
	ret->retrieve_ms = (int64_t)control_get_count(j, "retrieve_ms");
	ret->hindrance = get_hindrance(j);
	ret->login_delay_s = control_get_count(j, "login_delay_s");
	ret->fault.code = get_code(j);
	if (ret->fault.code == FAULT_NONE)
		return;
	ret->fault.scope = (enum fault_scope)control_get_name(j, "scope", scopes, COUNT(scopes));
	control_copy_text(j, "text", ret->fault.text, sizeof ret->fault.text);
}

static void get_event(const json_t *j, enum poller_event_kind kind, struct control_event *ret)
{
	struct poller_event *e = &ret->event;

	e->kind = kind;
	control_copy_text(j, "account", ret->account, sizeof ret->account);
	if (kind == POLLER_NOTICE) {
		control_copy_text(j, "text", e->text, sizeof e->text);
		return;
	}
	e->to_fetch = control_get_count(j, "to_fetch");
	e->to_fetch_bytes = control_get_count(j, "to_fetch_bytes");
	e->fetched = control_get_count(j, "fetched");
	e->fetched_bytes = control_get_count(j, "fetched_bytes");
	if (kind == POLLER_DONE)
		get_done(j, e);
}

static void get_daemon(const json_t *j, struct control_daemon *ret)
{
	ret->pid = (int64_t)control_get_count(j, "pid");
	ret->started = get_moment(j, "started");
	control_copy_text(j, "version", ret->version, sizeof ret->version);
	control_copy_text(j, "archive", ret->archive, sizeof ret->archive);
	control_copy_text(j, "config_error", ret->config_error, sizeof ret->config_error);
	control_copy_text(j, "disk", ret->disk, sizeof ret->disk);
	control_copy_text(j, "sandbox", ret->sandbox, sizeof ret->sandbox);
	control_copy_text(j, "worker_sandbox", ret->worker_sandbox, sizeof ret->worker_sandbox);
	ret->sessions = control_get_count(j, "sessions");
	ret->accounts = control_get_count(j, "accounts");
	ret->failing = control_get_count(j, "failing");
	ret->attention = control_get_count(j, "attention");
}

static void get_account(const json_t *j, struct control_account *ret)
{
	control_copy_text(j, "account", ret->name, sizeof ret->name);
	ret->activity = (enum control_activity)control_get_name(
		j, "activity", activities, COUNT(activities));
	ret->health = (enum schedule_state)control_get_name(j, "health", healths, COUNT(healths));
	ret->since = get_moment(j, "since");
	ret->next = get_moment(j, "next");
	ret->succeeded = get_moment(j, "succeeded");
	ret->failures = control_get_count(j, "failures");
	ret->hindrance = get_hindrance(j);
	ret->code = get_code(j);
	control_copy_text(j, "text", ret->text, sizeof ret->text);
	ret->sums = get_sums(j);
	ret->to_fetch = control_get_count(j, "to_fetch");
	ret->to_fetch_bytes = control_get_count(j, "to_fetch_bytes");
	ret->fetched = control_get_count(j, "fetched");
	ret->fetched_bytes = control_get_count(j, "fetched_bytes");
}

/* 0, or CONTROL_UNKNOWN. */
static int get_reply(const json_t *j, const char *which, struct control_reply *ret)
{
	for (unsigned i = 0; i < COUNT(event_kinds); i++) {
		if (i != POLLER_SECRET && strcmp(which, event_kinds[i]) == 0) {
			ret->kind = CONTROL_EVENT;
			get_event(j, (enum poller_event_kind)i, &ret->event);
			return 0;
		}
	}
	if (strcmp(which, "daemon") == 0) {
		ret->kind = CONTROL_DAEMON;
		get_daemon(j, &ret->daemon);
	} else if (strcmp(which, "account") == 0) {
		ret->kind = CONTROL_ACCOUNT;
		get_account(j, &ret->account);
	} else if (strcmp(which, "error") == 0) {
		ret->kind = CONTROL_ERROR;
		ret->error.status = get_status(j);
		control_copy_text(j, "text", ret->error.text, sizeof ret->error.text);
	} else if (strcmp(which, "end") == 0) {
		ret->kind = CONTROL_END;
		ret->end.status = get_status(j);
	} else {
		return CONTROL_UNKNOWN;
	}
	return 0;
}

int control_reply_decode(struct slice line, struct control_reply *ret, struct fault *f)
{
	json_t *object CLEANUP(control_json_freep) = NULL;
	const char *which = NULL;

	if (control_line_parse(line, LIMIT_CONTROL_REPLY, "reply", &object, &which, f) < 0)
		return -1;
	memset(ret, 0, sizeof *ret);
	return get_reply(object, which, ret);
}
