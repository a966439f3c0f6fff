#include "daemon/service.h"

#include "daemon/notify.h"
#include "daemon/service_private.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>

enum { STOP_MS = 5000 }; /* for sessions to come to their end; commits have as long as they need */

/* ---- Signals --------------------------------------------------------------------------------- */

static int open_signals(struct service *s, struct fault *f)
{
	sigset_t wanted;

	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGTERM);
	(void)sigaddset(&wanted, SIGINT);
	(void)sigaddset(&wanted, SIGHUP);
	s->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "signalfd");
	return 0;
}

static void stop(struct service *s)
{
	if (s->stopping) {
		s->stop_deadline = monotonic_ms(); /* asked twice: what is durable is enough */
		return;
	}
	s->stopping = true;
	s->stop_deadline = monotonic_ms() + STOP_MS;
	notify_stopping();
	service_stop_upkeep(s);
	log_line(LOG_LEVEL_INFO, NULL, "ending: what has arrived whole is committed");
	poller_stop(s->poller);
}

static int take_signals(struct service *s, struct fault *f)
{
	struct signalfd_siginfo one;

	while (read(s->signals, &one, sizeof one) == (ssize_t)sizeof one) {
		if (one.ssi_signo != SIGHUP)
			stop(s);
		else if (!s->stopping && service_reload(s, f) < 0)
			return -1;
	}
	return 0;
}

/* ---- The runner ------------------------------------------------------------------------------ */

static int take_answers(struct service *s, struct fault *f)
{
	struct runner_answer answer = {0};
	int r;

	while ((r = runner_take(s->options.runner, &answer, f)) > 0) {
		switch (r) {
		case RUNNER_SECRET:
			service_take_secret(s, &answer);
			break;
		case RUNNER_RELOADED:
			service_reloaded(s, &answer.fault);
			break;
		case RUNNER_UPKEEP:
			if (service_take_upkeep(s, &answer, f) < 0)
				return -1;
			break;
		default:
			log_line(LOG_LEVEL_WARNING, NULL, "%s", answer.text);
		}
	}
	return r;
}

/* ---- The loop -------------------------------------------------------------------------------- */

static int until(int64_t due, int64_t now, int least)
{
	int64_t left = due - now;

	return left <= 0 ? 0 : left < least ? (int)left : least;
}

static int timeout_ms(const struct service *s)
{
	const struct agenda_entry *first = agenda_first(&s->agenda);
	int64_t now = monotonic_ms();
	int least = until(service_next_tick(s), now, 60000);

	/* Nothing begins while the disk is full. */
	if (first && !s->room.full && !s->stopping)
		least = until(first->due, now, least);
	if (s->stopping)
		least = until(s->stop_deadline, now, least);
	return until(control_due(s->options.control), now, least);
}

static int wait_for_work(struct service *s, struct fault *f)
{
	struct pollfd fds[2 + CONTROL_POLLED] = {
		{.fd = s->signals, .events = POLLIN},
		{.fd = runner_fd(s->options.runner), .events = POLLIN},
	};
	struct control *control = s->options.control;
	size_t n = control_gather(control, fds + 2, CONTROL_POLLED);

	if (poller_wait(s->poller, fds, n + 2, timeout_ms(s), f) < 0)
		return -1;
	control_serve(control, fds + 2, n, monotonic_ms());
	return fds[0].revents ? take_signals(s, f) : 0;
}

static bool is_over(const struct service *s)
{
	return s->stopping && (poller_is_idle(s->poller) || monotonic_ms() >= s->stop_deadline);
}

static int turn(struct service *s, struct fault *f)
{
	if (poller_turn(s->poller, f) < 0 || service_take_events(s, f) < 0 ||
		take_answers(s, f) < 0 || service_take_requests(s, f) < 0)
		return -1;
	service_send_endings(s);
	service_tick(s);
	return service_begin_due(s, f);
}

static int work(struct service *s, struct fault *f)
{
	while (!is_over(s)) {
		if (turn(s, f) < 0 || wait_for_work(s, f) < 0)
			return -1;
	}
	return 0;
}

/* ---- Life ------------------------------------------------------------------------------------ */

static int open_service(struct service *s, struct config *config, struct fault *f)
{
	if (service_load(s, config, f) < 0)
		return -1;
	struct poller_options o = {
		.archive_folder = s->options.archive_folder,
		.cache_dir = config->cache_dir,
		.max_sessions = config->max_sessions,
		.max_sessions_per_server = config->max_sessions_per_server,
	};
	if (open_signals(s, f) < 0 || poller_open(&o, &s->poller, f) < 0)
		return -1;
	return service_remember(s, f) < 0 ? -1 : service_recall_upkeep(s, f);
}

static void close_service(struct service *s)
{
	/* The poller first: its polls borrow accounts. */
	s->poller = poller_close(s->poller);
	for (size_t i = 0; i < s->jobs_n; i++) {
		struct job *job = s->jobs[i];

		if (job->loaded)
			loaded_release(s, job->loaded);
		(void)job_free(job);
	}
	free(s->jobs);
	agenda_deinit(&s->agenda);
	if (s->loaded) {
		config_free(s->loaded->config);
		free(s->loaded);
	}
	fd_closep(&s->signals);
}

static void tell_failure(struct service *s, const struct fault *f)
{
	log_line(LOG_LEVEL_ERROR, NULL, "%s", f->text);
	if (f->code == FAULT_WRITE)
		service_alert(s, ALERT_WRITE_FAILED, NULL, f->text);
}

int service_run(const struct service_options *options, struct config *config, struct fault *f)
{
	struct service s = {.options = *options, .signals = -1, .started = moment_now()};
	TAILQ_INIT(&s.asked);
	int r = open_service(&s, config, f);

	if (r == 0) {
		s.watchdog_ms = notify_watchdog_ms();
		notify_ready();
		log_line(LOG_LEVEL_INFO, NULL, "ready: %zu account%s, archive %s, sandbox: %s",
			s.jobs_n, s.jobs_n == 1 ? "" : "s", options->archive_folder,
			options->sandbox->text);
		r = work(&s, f);
	}
	if (r < 0)
		tell_failure(&s, f);
	service_remove_metrics(&s);
	close_service(&s);
	return r;
}
