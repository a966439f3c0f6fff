/* Those that are told without asking: the log, the alert-command, the archive's memory of how polls
 * go, the metrics, the service manager. */
#include "daemon/fare.h"
#include "daemon/metrics.h"
#include "daemon/notify.h"
#include "daemon/service_private.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	ALERT_FAILURES = 3, /* in a row: fewer pass by themselves, and nobody is woken for them */
	TICK_MS = 1000,
	TICK_IDLE_MS = 10000, /* while nothing is polled */
	METRICS_MS = 30000,
	METRICS_CHANGED_MS = 5000,
	TOLD_MS = 2000
};

struct counted_jobs service_count(const struct service *s)
{
	struct counted_jobs c = {0};

	for (size_t i = 0; i < s->jobs_n; i++) {
		c.failing += s->jobs[i]->schedule.state == SCHEDULE_FAILING;
		c.attention += s->jobs[i]->schedule.state == SCHEDULE_ATTENTION;
	}
	return c;
}

/* ---- One account ----------------------------------------------------------------------------- */

void service_alert(
	struct service *s, enum alert_event event, const struct job *job, const char *text)
{
	struct fault f;
	struct alert a = {.event = event,
		.account = job ? job->name : NULL,
		.text = text,
		.since = job && job->since ? job->since : moment_now()};

	if (runner_alert(s->options.runner, &a, &f) < 0)
		log_line(LOG_LEVEL_WARNING, NULL, "alert-command was not run: %s", f.text);
}

static void alert_job(struct service *s, struct job *job, enum schedule_state before)
{
	enum schedule_state now = job->schedule.state;
	uint32_t failures = job->schedule.failures;
	const char *text = job->text ? job->text : "";

	if (now == SCHEDULE_WELL && job->alerted) {
		service_alert(s, ALERT_WELL, job, "");
		job->alerted = false;
	} else if (now == SCHEDULE_ATTENTION && before != SCHEDULE_ATTENTION) {
		service_alert(s, ALERT_ATTENTION, job, text);
		job->alerted = true;
	} else if (now == SCHEDULE_FAILING && failures >= ALERT_FAILURES && !job->alerted) {
		service_alert(s, ALERT_FAILING, job, text);
		job->alerted = true;
	}
}

void service_recall_alert(struct job *job)
{
	const struct schedule *s = &job->schedule;

	job->alerted = s->state == SCHEDULE_ATTENTION ||
		       (s->state == SCHEDULE_FAILING && s->failures >= ALERT_FAILURES);
}

static void put_health(struct service *s, struct job *job)
{
	struct health h = {
		.account = job->name,
		.since = job->since,
		.tried = job->tried,
		.next = job->next,
		.code = job->code,
		.text = job->text,
	};
	struct fault f;

	fare_note(&h, &job->schedule);
	if (h.state == HEALTH_WELL && !job->has_health)
		return;
	if (poller_put_health(s->poller, &h, &s->ticket, &f) < 0)
		log_line(LOG_LEVEL_WARNING, job->name, "its state is not noted: %s", f.text);
	else
		job->has_health = h.state != HEALTH_WELL;
}

static const char *delay_text(const struct job *job, char *to, size_t size)
{
	int64_t s = (job->next - moment_now() + 500) / 1000;

	if (s < 120)
		(void)snprintf(to, size, "%" PRId64 " s", s < 0 ? 0 : s);
	else if (s < 7200)
		(void)snprintf(to, size, "%" PRId64 " min", s / 60);
	else
		(void)snprintf(to, size, "%" PRId64 " h", s / 3600);
	return to;
}

static void log_job(struct job *job, enum schedule_state before, const struct poller_event *e)
{
	char delay[32];

	if (e->new_messages > 0)
		log_line(LOG_LEVEL_INFO, job->name, "%" PRIu64 " new (%" PRIu64 " bytes)",
			e->new_messages, e->new_bytes);
	if (e->hindrance == HINDRANCE_NONE) {
		log_line(before == SCHEDULE_WELL ? LOG_LEVEL_DEBUG : LOG_LEVEL_NOTICE, job->name,
			"%s", before == SCHEDULE_WELL ? "polled" : "polls go well again");
		return;
	}
	/* A server that is away for a day is told once. */
	bool is_news = e->hindrance != HINDRANCE_STOPPED &&
		       (!job->is_repeated || job->schedule.state != before);
	log_line(is_news ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, job->name, "%s%s; next try in %s",
		job->schedule.state == SCHEDULE_ATTENTION ? "needs attention: " : "", e->fault.text,
		delay_text(job, delay, sizeof delay));
}

void service_report_job(struct service *s, struct job *job, enum schedule_state before,
	const struct poller_event *e)
{
	log_job(job, before, e);
	if (e->hindrance == HINDRANCE_STOPPED)
		return;
	if (job->schedule.state != before || !job->since)
		job->since = moment_now();
	alert_job(s, job, before);
	put_health(s, job);
}

/* ---- Room on disk ---------------------------------------------------------------------------- */

static void stop_for_room(struct service *s)
{
	for (size_t i = 0; i < s->jobs_n; i++)
		job_cancel(s, s->jobs[i], s->disk);
}

static void look_at_room(struct service *s)
{
	const struct config *c = service_config(s);

	if (room_look(&s->room, s->options.archive_folder, c->cache_dir, c->min_free) !=
		ROOM_CHANGED)
		return;
	s->changed = true;
	if (!s->room.full) {
		s->disk[0] = '\0';
		log_line(LOG_LEVEL_NOTICE, NULL, "there is room on disk again, polling goes on");
		service_alert(s, ALERT_DISK_OK, NULL, "there is room again");
		return;
	}
	(void)snprintf(s->disk, sizeof s->disk,
		"disk full: %" PRIu64 " MB free where the archive lies, min-free is %" PRIu64
		" MB; nothing is polled until there is more, then it goes on by itself",
		s->room.free_bytes / 1000000, c->min_free / 1000000);
	log_line(LOG_LEVEL_ERROR, NULL, "%s", s->disk);
	service_alert(s, ALERT_DISK_FULL, NULL, s->disk);
	stop_for_room(s);
}

/* ---- Metrics --------------------------------------------------------------------------------- */

static int format_metrics(const struct service *s, struct buffer *to, struct fault *f)
{
	struct metrics m = {
		.archive = s->options.archive_folder,
		.accounts_n = s->jobs_n,
		.fetched_messages = s->fetched_messages,
		.fetched_bytes = s->fetched_bytes,
		.sessions = poller_active(s->poller),
		.disk_free_bytes = s->room.free_bytes,
		.disk_full = s->room.full ? METRICS_YES : METRICS_NO,
		.config_broken = s->config_error[0] ? METRICS_YES : METRICS_NO,
	};
	struct metrics_account *all CLEANUP(freep) = calloc(s->jobs_n + 1, sizeof *all);

	if (!all)
		return fault_memory(f);
	for (size_t i = 0; i < s->jobs_n; i++) {
		const struct job *job = s->jobs[i];

		all[i] = (struct metrics_account){job->name, job->schedule.state, job->sums,
			job->succeeded, job->schedule.failures};
	}
	m.accounts = all;
	service_measure_upkeep(s, &m);
	memcpy(m.polls, s->polls, sizeof m.polls);
	return metrics_format(&m, to, f);
}

static void write_metrics(struct service *s, int64_t now)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(LIMIT_METRICS);
	const char *path = service_config(s)->metrics_file;
	struct fault f;

	s->metrics_at = now + METRICS_MS;
	s->changed = false;
	if (!path)
		return;
	if (format_metrics(s, &text, &f) < 0 || metrics_write(path, buffer_slice(&text), &f) < 0)
		log_line(LOG_LEVEL_WARNING, NULL, "%s", f.text);
}

void service_remove_metrics(const struct service *s)
{
	if (s->loaded && service_config(s)->metrics_file)
		metrics_remove(service_config(s)->metrics_file);
}

/* ---- The service manager ------------------------------------------------ */

static void tell_manager(struct service *s)
{
	struct counted_jobs c = service_count(s);
	char text[sizeof s->told];

	if (s->room.full)
		(void)snprintf(text, sizeof text, "disk full, nothing is polled");
	else
		(void)snprintf(text, sizeof text,
			"%zu account%s, %" PRIu32 " polled just now; %" PRIu64 " failing, %" PRIu64
			" in need of attention%s%s",
			s->jobs_n, s->jobs_n == 1 ? "" : "s", poller_active(s->poller), c.failing,
			c.attention, s->config_error[0] ? "; the configuration is broken: " : "",
			s->config_error);
	if (strcmp(text, s->told) == 0)
		return;
	memcpy(s->told, text, sizeof text);
	notify_status(text);
}

int64_t service_next_tick(const struct service *s)
{
	return s->tick_at < s->watchdog_at || !s->watchdog_ms ? s->tick_at : s->watchdog_at;
}

void service_tick(struct service *s)
{
	int64_t now = monotonic_ms();

	if (s->watchdog_ms && now >= s->watchdog_at) {
		s->watchdog_at = now + s->watchdog_ms;
		notify_watchdog();
	}
	if (now < s->tick_at)
		return;
	bool busy = poller_active(s->poller) > 0 || s->room.full || s->changed;
	s->tick_at = now + (busy ? TICK_MS : TICK_IDLE_MS);
	look_at_room(s);
	service_look_at_upkeep(s, now);
	if (now >= s->told_at) {
		s->told_at = now + TOLD_MS;
		tell_manager(s);
	}
	if (now >= s->metrics_at ||
		(s->changed && now >= s->metrics_at - METRICS_MS + METRICS_CHANGED_MS))
		write_metrics(s, now);
}
