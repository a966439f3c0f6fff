/* The configuration in force, and how another one takes its place. */
#include "daemon/notify.h"
#include "daemon/service_private.h"

#include <stdio.h>

enum { WARNINGS = 20 }; /* lines about accounts without TLS */
enum { FIRST_MS = 50 }; /* an account's share of the time over which first polls are spread */

static int compare_name(const void *name, const void *job)
{
	return strcmp(name, (*(struct job *const *)job)->name);
}

struct job *service_job(const struct service *s, const char *name)
{
	struct job **found =
		s->jobs_n ? bsearch(name, s->jobs, s->jobs_n, sizeof(struct job *), compare_name)
			  : NULL;

	return found ? *found : NULL;
}

void loaded_release(struct service *s, struct loaded *l)
{
	l->users--;
	if (l == s->loaded || l->users > 0)
		return;
	config_free(l->config);
	free(l);
}

/* ---- Jobs of a configuration ----------------------------------------------------------------- */

/* Soon, but not all at once: as many at a time as have room. */
static int wait_first(struct service *s, struct job *job, struct fault *f)
{
	uint64_t spread_ms = FIRST_MS * (uint64_t)service_config(s)->accounts_n;
	struct schedule_terms terms = {.interval_ms = job->account->interval_ms};
	if (spread_ms < terms.interval_ms)
		terms.interval_ms = (uint32_t)spread_ms;
	uint64_t random = (uint64_t)arc4random() << 32 | arc4random();

	return job_wait(s, job, schedule_first(&terms, random), f);
}

/* A job whose account is in the new configuration too. What changed about the account begins anew;
 * what did not change goes on, with its connection. */
static int keep_job(struct service *s, struct job *job, const struct account *now, struct fault *f)
{
	const struct account *before = job->account;
	bool same = before && account_is_same(before, now);
	bool sooner = before && now->interval_ms < before->interval_ms;

	job->account = now;
	if (!same) {
		schedule_reset(&job->schedule);
		job_cancel(s, job, "the account's configuration has changed");
	}
	if (job->poll) {
		job->again = job->again || !same;
		return 0;
	}
	/* Whoever reloads has mended something: what failed is tried again soon. But not a login
	 * that was refused: reloading often would lock the account. */
	bool retry = job->schedule.state != SCHEDULE_WELL && job->schedule.logins_refused == 0;
	if (!same || sooner || retry)
		return wait_first(s, job, f);
	return 0;
}

static int compare_jobs(const void *a, const void *b)
{
	return strcmp((*(struct job *const *)a)->name, (*(struct job *const *)b)->name);
}

/* Jobs of accounts that went: those at rest are freed, the others end. */
static void drop_gone(struct service *s, struct job **jobs, size_t *n)
{
	for (size_t i = 0; i < s->jobs_n; i++) {
		struct job *job = s->jobs[i];

		if (config_account(service_config(s), job->name))
			continue;
		log_line(LOG_LEVEL_INFO, job->name, "not configured any more");
		job->account = NULL;
		if (job->poll) {
			jobs[(*n)++] = job;
			job_cancel(s, job, "the account is not configured any more");
			continue;
		}
		agenda_remove(&s->agenda, &job->due);
		service_dismiss(s, job);
		(void)job_free(job);
	}
}

static int add_job(
	struct service *s, struct job **jobs, size_t *n, const struct account *a, struct fault *f)
{
	struct job *job = service_job(s, a->name);

	if (job) {
		jobs[(*n)++] = job;
		return keep_job(s, job, a, f);
	}
	job = job_new(a, f);
	if (!job)
		return -1;
	jobs[(*n)++] = job;
	return wait_first(s, job, f);
}

/* s->loaded is the new one; s->jobs are still those of the old one. */
static int replace_jobs(struct service *s, struct fault *f)
{
	const struct config *c = service_config(s);
	struct job **jobs = calloc(c->accounts_n + s->jobs_n + 1, sizeof(struct job *));
	size_t n = 0;
	int r = 0;

	if (!jobs)
		return fault_memory(f);
	for (size_t i = 0; i < c->accounts_n && r == 0; i++)
		r = add_job(s, jobs, &n, &c->accounts[i], f);
	drop_gone(s, jobs, &n);
	free(s->jobs);
	s->jobs = jobs;
	s->jobs_n = n;
	qsort(jobs, n, sizeof(struct job *), compare_jobs);
	return r;
}

static void warn_without_tls(const struct config *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->accounts_n; i++) {
		if (c->accounts[i].tls == TLS_NONE && n++ < WARNINGS)
			log_line(LOG_LEVEL_WARNING, c->accounts[i].name,
				"WITHOUT TLS: anybody on the way can read its mail and may learn "
				"its password");
	}
	if (n > WARNINGS)
		log_line(
			LOG_LEVEL_WARNING, NULL, "and %zu more accounts WITHOUT TLS", n - WARNINGS);
}

int service_load(struct service *s, struct config *config, struct fault *f)
{
	struct loaded *l = calloc(1, sizeof *l), *before = s->loaded;

	if (!l) {
		config_free(config);
		return fault_memory(f);
	}
	l->config = config;
	s->loaded = l;
	warn_without_tls(config);
	if (replace_jobs(s, f) < 0)
		return -1;
	if (before) {
		before->users++;
		loaded_release(s, before);
	}
	return 0;
}

/* ---- Reading it again ------------------------------------------------------------------------ */

static void set_config_error(struct service *s, const char *text)
{
	bool was = s->config_error[0], is = text[0];

	(void)snprintf(s->config_error, sizeof s->config_error, "%s", text);
	s->changed = true;
	if (is) {
		log_line(LOG_LEVEL_ERROR, NULL,
			"the configuration is broken, the one before stays in force: %s", text);
		service_alert(s, ALERT_CONFIG_BROKEN, NULL, text);
	} else if (was) {
		service_alert(s, ALERT_CONFIG_OK, NULL, "the configuration is right again");
	}
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void note_fixed(const struct config *before, const struct config *now)
{
	if (!same_text(before->archive, now->archive) ||
		!same_text(before->cache_dir, now->cache_dir) ||
		!same_text(before->runtime_dir, now->runtime_dir) ||
		!same_text(before->metrics_file, now->metrics_file) ||
		before->sandbox != now->sandbox)
		log_line(LOG_LEVEL_WARNING, NULL,
			"archive, cache-dir, runtime-dir, sandbox and a metrics-file in another "
			"folder take effect when the service is started again");
}

/* One that does not work off what it was asked for is no reason to end: it goes on with the
 * configuration before, and that is told until a reload reaches it. */
static int reload_runner(struct service *s, struct fault *f)
{
	if (runner_reload(s->options.runner, f) == 0) {
		set_config_error(s, "");
		return 0;
	}
	if (f->code != FAULT_LIMIT)
		return -1;
	set_config_error(s,
		"what gives out passwords and runs commands hangs and has not read it; see what it "
		"waits for (a file on a server that is gone?), then reload again");
	return 0;
}

int service_reload(struct service *s, struct fault *f)
{
	struct config *config = NULL;
	struct fault broken = {0};

	notify_reloading();
	if (config_load(s->options.config_path, &config, &broken) < 0) {
		set_config_error(s, broken.text);
		notify_ready();
		return 0;
	}
	note_fixed(service_config(s), config);
	if (!same_text(service_config(s)->metrics_file, config->metrics_file)) {
		service_remove_metrics(s);
		s->metrics_at = 0;
	}
	if (service_load(s, config, f) < 0)
		return -1;
	poller_set_caps(s->poller, config->max_sessions, config->max_sessions_per_server);
	if (reload_runner(s, f) < 0)
		return -1;
	service_retry_upkeep(s);
	log_line(LOG_LEVEL_INFO, NULL, "configuration read again: %zu account%s",
		config->accounts_n, config->accounts_n == 1 ? "" : "s");
	notify_ready();
	return 0;
}

/* It reads the same files a moment later: somebody may have written to them in between. */
void service_reloaded(struct service *s, const struct fault *outcome)
{
	if (outcome->code != FAULT_NONE)
		set_config_error(s, outcome->text);
}
