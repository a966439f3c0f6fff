/* One account's polls: when they begin, what is asked for them, and what comes of them. */
#include "daemon/fare.h"
#include "daemon/service_private.h"

#include <inttypes.h>
#include <stdio.h>

struct job *job_new(const struct account *account, struct fault *f)
{
	struct job *job = calloc(1, sizeof *job);

	if (!job) {
		(void)fault_memory(f);
		return NULL;
	}
	(void)snprintf(job->name, sizeof job->name, "%s", account->name);
	job->account = account;
	return job;
}

struct job *job_free(struct job *job)
{
	if (!job)
		return NULL;
	while (job->listeners) {
		struct listener *one = job->listeners;

		job->listeners = one->next;
		free(one);
	}
	free(job->text);
	free(job->noticed);
	free(job);
	return NULL;
}

/* ---- Beginning ------------------------------------------------------------------------------- */

int job_wait(struct service *s, struct job *job, int64_t delay_ms, struct fault *f)
{
	job->next = moment_now() + delay_ms;
	return agenda_put(&s->agenda, &job->due, monotonic_ms() + delay_ms, f);
}

int job_start(struct service *s, struct job *job, struct fault *f)
{
	if (job->poll)
		return 0;
	agenda_remove(&s->agenda, &job->due);
	s->tick_at = 0;
	if (poller_add(s->poller, job->account, job, &job->poll, f) < 0)
		return -1;
	job->loaded = s->loaded;
	job->loaded->users++;
	job->next = 0;
	job->tag = 0;
	job->again = false;
	job->to_fetch = job->to_fetch_bytes = job->fetched = job->fetched_bytes = 0;
	service_arm_listeners(job);
	return 0;
}

void job_cancel(struct service *s, struct job *job, const char *why)
{
	struct fault f;

	if (!job->poll)
		return;
	fault_record(&f, FAULT_INTERRUPT, SCOPE_ACCOUNT, 0, "%s", why);
	poller_cancel(s->poller, job->poll, &f);
}

enum control_activity job_activity(const struct service *s, const struct job *job)
{
	if (job->poll)
		return job->tag ? CONTROL_POLLING : CONTROL_QUEUED;
	return s->room.full || schedule_is_paused(&job->schedule) ? CONTROL_PAUSED
								  : CONTROL_WAITING;
}

int service_begin_due(struct service *s, struct fault *f)
{
	struct agenda_entry *e;

	if (s->stopping || s->room.full)
		return 0;
	while ((e = agenda_take(&s->agenda, monotonic_ms()))) {
		if (job_start(s, (struct job *)(void *)e, f) < 0)
			return -1;
	}
	return 0;
}

/* ---- Secrets --------------------------------------------------------------------------------- */

/* The runner's answer names the account, and so does whoever tells it: the log, the status. */
static void refuse(struct service *s, struct job *job, struct fault *f)
{
	char prefix[LIMIT_ACCOUNT_NAME + 16];
	int len = snprintf(prefix, sizeof prefix, "account %s: ", job->name);

	if (len > 0 && strncmp(f->text, prefix, (size_t)len) == 0)
		memmove(f->text, f->text + len, strlen(f->text + len) + 1);
	poller_refuse(s->poller, job->poll, f);
}

/* account: as the poll logs in with it, which may be of a configuration before. */
static void ask_secret(struct service *s, struct job *job, const struct account *account)
{
	struct fault f;

	job->tag = ++s->tags;
	if (runner_ask(s->options.runner, job->name, account_place(account), job->tag, &f) < 0) {
		refuse(s, job, &f);
		return;
	}
	TAILQ_INSERT_TAIL(&s->asked, job, asked);
	job->awaits_secret = true;
}

static void await_no_secret(struct service *s, struct job *job)
{
	if (job->awaits_secret)
		TAILQ_REMOVE(&s->asked, job, asked);
	job->awaits_secret = false;
}

void service_take_secret(struct service *s, struct runner_answer *answer)
{
	struct job *job;

	TAILQ_FOREACH(job, &s->asked, asked)
	{
		if (job->tag == answer->tag)
			break;
	}
	if (!job) {
		secret_deinit(&answer->secret);
		return;
	}
	await_no_secret(s, job);
	if (answer->fault.code != FAULT_NONE)
		refuse(s, job, &answer->fault);
	else
		poller_give(s->poller, job->poll, answer->secret);
}

/* ---- What comes of it ------------------------------------------------------------------------ */

static void remember_fault(struct job *job, const struct poller_event *e)
{
	job->is_repeated = job->text && strcmp(job->text, e->fault.text) == 0;
	free(job->text);
	job->text = e->fault.code == FAULT_NONE ? NULL : strdup(e->fault.text);
	job->code = e->fault.code;
	job->hindrance = e->hindrance;
}

static void count(struct service *s, struct job *job, const struct poller_event *e)
{
	s->polls[e->hindrance]++;
	s->fetched_messages += e->new_messages;
	s->fetched_bytes += e->new_bytes;
	s->changed = true;
	job->sums = e->sums;
	job->tried = moment_now();
	if (e->hindrance == HINDRANCE_NONE)
		job->succeeded = job->tried;
}

/* Not configured any more, and its last poll has ended. */
static void forget(struct service *s, struct job *job)
{
	for (size_t i = 0; i < s->jobs_n; i++) {
		if (s->jobs[i] != job)
			continue;
		memmove(&s->jobs[i], &s->jobs[i + 1], (s->jobs_n - i - 1) * sizeof(struct job *));
		s->jobs_n--;
		break;
	}
	agenda_remove(&s->agenda, &job->due);
	(void)job_free(job);
}

static int plan_next(
	struct service *s, struct job *job, const struct poller_event *e, struct fault *f)
{
	struct schedule_terms terms = {.interval_ms = job->account->interval_ms};
	uint64_t random = (uint64_t)arc4random() << 32 | arc4random();

	return job_wait(s, job,
		schedule_next(&job->schedule, &terms, e->hindrance, e->login_delay_s, random), f);
}

/* e->account belongs to the configuration that the poll began with: it may go here. */
static int take_done(
	struct service *s, struct job *job, const struct poller_event *e, struct fault *f)
{
	enum schedule_state before = job->schedule.state;
	struct loaded *loaded = job->loaded;

	await_no_secret(s, job);
	job->poll = NULL;
	job->loaded = NULL;
	remember_fault(job, e);
	count(s, job, e);
	if (job->account && plan_next(s, job, e, f) < 0)
		return -1;
	if (job->account)
		service_report_job(s, job, before, e);
	service_tell_event(s, job, e);
	service_dismiss(s, job);
	loaded_release(s, loaded);
	if (!job->account) {
		forget(s, job);
		return 0;
	}
	if (!job->again || s->stopping)
		return 0;
	if (s->room.full) {
		service_turn_away(s, job);
		return 0;
	}
	return job_start(s, job, f);
}

/* The same thing at every poll is no news. */
static void take_notice(struct service *s, struct job *job, const struct poller_event *e)
{
	service_tell_event(s, job, e);
	if (job && job->noticed && strcmp(job->noticed, e->text) == 0)
		return;
	log_line(LOG_LEVEL_NOTICE, job ? job->name : NULL, "%s", e->text);
	if (!job)
		return;
	free(job->noticed);
	job->noticed = strdup(e->text);
}

static void take_progress(struct service *s, struct job *job, const struct poller_event *e)
{
	job->to_fetch = e->to_fetch;
	job->to_fetch_bytes = e->to_fetch_bytes;
	job->fetched = e->fetched;
	job->fetched_bytes = e->fetched_bytes;
	service_tell_event(s, job, e);
}

int service_take_events(struct service *s, struct fault *f)
{
	struct poller_event e;

	while (poller_take(s->poller, &e) == POLLER_EVENT) {
		struct job *job = e.owner;

		switch (e.kind) {
		case POLLER_SECRET:
			ask_secret(s, job, e.account);
			break;
		case POLLER_PROGRESS:
			take_progress(s, job, &e);
			break;
		case POLLER_NOTICE:
			take_notice(s, job, &e);
			break;
		case POLLER_DONE:
			if (take_done(s, job, &e, f) < 0)
				return -1;
			break;
		}
	}
	return 0;
}

/* ---- What the archive remembers -------------------------------------------------------------- */

/* Starting the service again and again gives no more tries with a password that was refused. */
static int restore_health(struct service *s, const struct health *h, struct fault *f)
{
	struct job *job = service_job(s, h->account);
	moment_ms now = moment_now();

	if (!job)
		return 0;
	job->has_health = true;
	job->since = h->since;
	job->tried = h->tried;
	job->code = h->code;
	fare_restore(&job->schedule, h);
	job->text = strdup(h->text);
	service_recall_alert(job);
	if (h->code != FAULT_LOGIN || h->next <= now)
		return 0;
	int64_t left = h->next - now;
	/* A clock that was set back makes nobody wait for more than a day. */
	return job_wait(s, job, left < (int64_t)SCHEDULE_DAY ? left : (int64_t)SCHEDULE_DAY, f);
}

static void restore_maildrop(struct service *s, const struct maildrop *m)
{
	struct job *job = service_job(s, m->name);
	char *server CLEANUP(freep) = job ? account_server(job->account) : NULL;

	if (!server || strcmp(server, m->server) != 0 || strcmp(job->account->user, m->user) != 0)
		return;
	job->sums = m->sums;
	job->succeeded = m->polled;
}

int service_remember(struct service *s, struct fault *f)
{
	struct maildrop *maildrops = NULL;
	struct health *health = NULL;
	size_t n = 0;
	int r = 0;

	if (store_maildrops(poller_store(s->poller), &maildrops, &n, f) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		restore_maildrop(s, &maildrops[i]);
	maildrops_free(maildrops, n);
	n = 0;
	if (store_health(poller_store(s->poller), &health, &n, f) < 0)
		return -1;
	for (size_t i = 0; i < n && r == 0; i++)
		r = restore_health(s, &health[i], f);
	health_free(health, n);
	return r;
}
