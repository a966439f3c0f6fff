/* Those that ask through the control socket: what they want, and what they are told. */
#include "daemon/service_private.h"

#include <stdio.h>

/* ---- Sending --------------------------------------------------------------------------------- */

/* What cannot be said for want of memory is not said; nothing is lost by it. */
static void send_reply(struct service *s, uint64_t client, const struct control_reply *r,
	enum control_urgency urgency)
{
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(LIMIT_CONTROL_REPLY);
	struct fault ignored;

	if (control_reply_encode(r, &line, &ignored) == 0)
		control_send(s->options.control, client, buffer_slice(&line), urgency);
}

static void send_end(struct service *s, uint64_t client, int status)
{
	struct control_reply r = {.kind = CONTROL_END, .end.status = status};

	send_reply(s, client, &r, CONTROL_NEEDED);
	control_end(s->options.control, client);
}

static void send_error(struct service *s, uint64_t client, int status, const char *text)
{
	struct control_reply r = {.kind = CONTROL_ERROR, .error.status = status};

	(void)snprintf(r.error.text, sizeof r.error.text, "%s", text);
	send_reply(s, client, &r, CONTROL_NEEDED);
	send_end(s, client, status);
}

static void fill_account(const struct service *s, const struct job *job, struct control_account *to)
{
	(void)snprintf(to->name, sizeof to->name, "%s", job->name);
	to->activity = job_activity(s, job);
	to->health = job->schedule.state;
	to->since = job->since;
	to->next = job->next;
	to->succeeded = job->succeeded;
	to->failures = job->schedule.failures;
	to->code = job->code;
	to->hindrance = job->hindrance;
	(void)snprintf(to->text, sizeof to->text, "%s", job->text ? job->text : "");
	to->sums = job->sums;
	to->to_fetch = job->to_fetch;
	to->to_fetch_bytes = job->to_fetch_bytes;
	to->fetched = job->fetched;
	to->fetched_bytes = job->fetched_bytes;
}

static void send_account(
	struct service *s, uint64_t client, const struct job *job, enum control_urgency urgency)
{
	struct control_reply r = {.kind = CONTROL_ACCOUNT};

	fill_account(s, job, &r.account);
	send_reply(s, client, &r, urgency);
}

static void send_daemon(struct service *s, uint64_t client)
{
	struct control_reply r = {.kind = CONTROL_DAEMON};
	struct control_daemon *d = &r.daemon;
	struct counted_jobs counted = service_count(s);

	d->pid = getpid();
	d->started = s->started;
	(void)snprintf(d->version, sizeof d->version, "%s", POPKEEP_VERSION);
	(void)snprintf(d->archive, sizeof d->archive, "%s", s->options.archive_folder);
	(void)snprintf(d->config_error, sizeof d->config_error, "%s", s->config_error);
	(void)snprintf(d->disk, sizeof d->disk, "%s", s->disk);
	(void)snprintf(d->sandbox, sizeof d->sandbox, "%s", s->options.sandbox->text);
	(void)snprintf(d->worker_sandbox, sizeof d->worker_sandbox, "%s", s->upkeep.sandbox);
	d->sessions = poller_active(s->poller);
	d->accounts = s->jobs_n;
	d->failing = counted.failing;
	d->attention = counted.attention;
	send_reply(s, client, &r, CONTROL_NEEDED);
}

/* ---- Those that wait for a poll -------------------------------------------------------------- */

void service_arm_listeners(struct job *job)
{
	for (struct listener *l = job->listeners; l; l = l->next)
		l->armed = true;
}

void service_tell_event(struct service *s, struct job *job, const struct poller_event *e)
{
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(LIMIT_CONTROL_REPLY);
	enum control_urgency urgency =
		e->kind == POLLER_PROGRESS ? CONTROL_SKIPPABLE : CONTROL_NEEDED;
	struct fault ignored;

	if (!job || !job->listeners || control_event_encode(e, &line, &ignored) < 0)
		return;
	for (const struct listener *l = job->listeners; l; l = l->next) {
		if (l->armed)
			control_send(s->options.control, l->client, buffer_slice(&line), urgency);
	}
}

static bool still_waits(const struct service *s, uint64_t client)
{
	for (size_t i = 0; i < s->jobs_n; i++) {
		for (const struct listener *l = s->jobs[i]->listeners; l; l = l->next) {
			if (l->client == client)
				return true;
		}
	}
	return false;
}

static void end_when_remembered(struct service *s, uint64_t client)
{
	for (size_t i = 0; i < LIMIT_CONTROL_CLIENTS; i++) {
		if (s->endings[i].client)
			continue;
		s->endings[i] = (struct ending){client, s->ticket};
		return;
	}
	send_end(s, client, 0);
}

void service_send_endings(struct service *s)
{
	for (size_t i = 0; i < LIMIT_CONTROL_CLIENTS; i++) {
		struct ending *e = &s->endings[i];

		if (!e->client || e->ticket > poller_remembered(s->poller))
			continue;
		send_end(s, e->client, 0);
		e->client = 0;
	}
}

void service_dismiss(struct service *s, struct job *job)
{
	struct listener **at = &job->listeners;

	while (*at) {
		struct listener *l = *at;

		if (!l->armed && job->account) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		if (!still_waits(s, l->client))
			end_when_remembered(s, l->client);
		free(l);
	}
}

static void forget_client(struct service *s, uint64_t client)
{
	for (size_t i = 0; i < LIMIT_CONTROL_CLIENTS; i++) {
		if (s->endings[i].client == client)
			s->endings[i].client = 0;
	}
	for (size_t i = 0; i < s->jobs_n; i++) {
		struct listener **at = &s->jobs[i]->listeners;

		while (*at) {
			struct listener *l = *at;

			if (l->client != client) {
				at = &l->next;
				continue;
			}
			*at = l->next;
			free(l);
		}
	}
}

void service_turn_away(struct service *s, struct job *job)
{
	while (job->listeners) {
		uint64_t client = job->listeners->client;

		send_error(s, client, 1, s->disk);
		forget_client(s, client);
	}
}

/* ---- fetch ----------------------------------------------------------------------------------- */

/* Polls it now; where a poll is under way already, once more behind it: what that one lists may be
 * older than the wish. One that still waits for its place has listed nothing yet. */
static int listen_to(struct service *s, struct job *job, uint64_t client, struct fault *f)
{
	struct listener *l = calloc(1, sizeof *l);

	if (!l)
		return fault_memory(f);
	l->client = client;
	l->next = job->listeners;
	job->listeners = l;
	if (job_activity(s, job) == CONTROL_POLLING)
		job->again = true;
	else if (job->poll)
		l->armed = true;
	else
		return job_start(s, job, f);
	return 0;
}

static bool knows_all(struct service *s, const struct control_request *r)
{
	char text[FAULT_TEXT_MAX];

	for (size_t i = 0; i < r->accounts_n; i++) {
		const struct job *job = service_job(s, r->accounts[i]);

		if (job && job->account)
			continue;
		(void)snprintf(text, sizeof text,
			"popkeepd, which keeps this archive, has no account \"%s\" in the "
			"configuration it read; reload it (systemctl reload popkeepd, or SIGHUP)",
			r->accounts[i]);
		send_error(s, r->client, 2, text);
		return false;
	}
	return true;
}

static int fetch(struct service *s, const struct control_request *r, struct fault *f)
{
	size_t n = r->accounts_n ? r->accounts_n : s->jobs_n;

	if (s->room.full || s->stopping) {
		send_error(s, r->client, 1, s->stopping ? "popkeepd is ending" : s->disk);
		return 0;
	}
	/* At once, so that the client knows that it was heard, however long the polls take. */
	send_daemon(s, r->client);
	for (size_t i = 0; i < n; i++) {
		struct job *job = r->accounts_n ? service_job(s, r->accounts[i]) : s->jobs[i];

		if (job->account && listen_to(s, job, r->client, f) < 0)
			return -1;
	}
	if (!still_waits(s, r->client))
		send_end(s, r->client, 0);
	return 0;
}

/* ---- status ---------------------------------------------------------------------------------- */

static bool is_of_interest(const struct service *s, const struct job *job, enum control_extent e)
{
	return e == CONTROL_ALL || job->schedule.state != SCHEDULE_WELL ||
	       job_activity(s, job) == CONTROL_POLLING;
}

static void send_status(struct service *s, const struct control_request *r)
{
	send_daemon(s, r->client);
	for (size_t i = 0; i < r->accounts_n; i++)
		send_account(s, r->client, service_job(s, r->accounts[i]), CONTROL_NEEDED);
	for (size_t i = 0; r->accounts_n == 0 && i < s->jobs_n; i++) {
		if (is_of_interest(s, s->jobs[i], r->extent))
			send_account(s, r->client, s->jobs[i], CONTROL_NEEDED);
	}
}

/* ---- Requests -------------------------------------------------------------------------------- */

static int reload(struct service *s, const struct control_request *r, struct fault *f)
{
	if (service_reload(s, f) < 0)
		return -1;
	if (s->config_error[0])
		send_error(s, r->client, 2, s->config_error);
	else
		send_end(s, r->client, 0);
	return 0;
}

static int serve(struct service *s, const struct control_request *r, struct fault *f)
{
	if (!knows_all(s, r))
		return 0;
	switch (r->verb) {
	case CONTROL_FETCH:
		return fetch(s, r, f);
	case CONTROL_STATUS:
		send_status(s, r);
		send_end(s, r->client, 0);
		return 0;
	case CONTROL_RELOAD:
		return reload(s, r, f);
	}
	return 0;
}

int service_take_requests(struct service *s, struct fault *f)
{
	struct control_request request = {0};
	int got;

	while ((got = control_take(s->options.control, &request)) > 0) {
		int r = 0;

		if (got == CONTROL_GONE)
			forget_client(s, request.client);
		else
			r = serve(s, &request, f);
		control_request_deinit(&request);
		if (r < 0)
			return -1;
	}
	return 0;
}
