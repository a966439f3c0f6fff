/* The archive's upkeep: when something is due, who does it (runner.h), and who is told how it went.
 * What is known of it from before the service began comes from the archive. */
#include "archive/index.h"
#include "archive/seal.h"
#include "archive/upkeep.h"
#include "daemon/metrics.h"
#include "daemon/service_private.h"
#include "daemon/upkeep.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	LOOK_MS = 60000,
	LOOK_INDEX_MS = 5000, /* mail that nothing followed for so long is indexed */
	INDEX_MS = 60000,     /* at most as often, and at least while mail comes on and on */
	RETRY_FIRST_MS = 15 * 60000,
	RETRY_LAST_MS = 6 * 3600000,
};

static const char *const WHAT[UPKEEP_TROUBLES] = {
	[TROUBLE_SEAL] = "sealing",
	[TROUBLE_COMMAND] = "the seal-command",
	[TROUBLE_INDEX] = "indexing",
};

/* ---- Trouble ----------------------------------------------------------------------------------
 */

static int64_t retry_ms(unsigned failures)
{
	int64_t ms = RETRY_FIRST_MS;

	for (unsigned i = 1; i < failures && ms < RETRY_LAST_MS; i++)
		ms *= 2;
	return ms < RETRY_LAST_MS ? ms : RETRY_LAST_MS;
}

static void begin_trouble(struct service *s, enum upkeep_troubles which, const char *text)
{
	struct upkeep_trouble *t = &s->upkeep.trouble[which];
	bool is_news = strncmp(t->text, text, UPKEEP_TEXT - 1) != 0;

	s->changed = true;
	s->upkeep.failures[which]++;
	t->failures++;
	t->retry_at = monotonic_ms() + retry_ms(t->failures);
	(void)snprintf(t->text, sizeof t->text, "%s", text);
	log_line(is_news ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, NULL,
		"%s failed: %s; next try in %" PRId64 " min", WHAT[which], text,
		retry_ms(t->failures) / 60000);
	if (which == TROUBLE_INDEX)
		return; /* no mail is in danger; status tells of it */
	if (!t->alerted)
		service_alert(s, ALERT_SEAL_FAILED, NULL, text);
	t->alerted = true;
}

static void end_trouble(struct service *s, enum upkeep_troubles which)
{
	struct upkeep_trouble *t = &s->upkeep.trouble[which];
	bool alerted = t->alerted;

	if (!t->text[0])
		return;
	s->changed = true;
	*t = (struct upkeep_trouble){0};
	log_line(LOG_LEVEL_NOTICE, NULL, "%s goes well again", WHAT[which]);
	if (alerted &&
		!s->upkeep.trouble[which == TROUBLE_SEAL ? TROUBLE_COMMAND : TROUBLE_SEAL].alerted)
		service_alert(s, ALERT_SEAL_OK, NULL, "the archive is sealed again");
}

/* Whoever was told by the service before this one is to hear of the end too. */
static int recall(
	struct service *s, enum upkeep_troubles which, enum upkeep_job job, struct fault *f)
{
	struct upkeep_trouble *t = &s->upkeep.trouble[which];
	struct upkeep u;

	if (store_get_upkeep(poller_store(s->poller), job, &u, f) < 0)
		return -1;
	if (u.code == FAULT_NONE)
		return 0;
	(void)snprintf(t->text, sizeof t->text, "%s", u.text);
	t->alerted = which != TROUBLE_INDEX;
	return 0;
}

int service_recall_upkeep(struct service *s, struct fault *f)
{
	if (recall(s, TROUBLE_SEAL, UPKEEP_SEAL, f) < 0)
		return -1;
	if (recall(s, TROUBLE_COMMAND, UPKEEP_COMMAND, f) < 0)
		return -1;
	return recall(s, TROUBLE_INDEX, UPKEEP_INDEX, f);
}

void service_retry_upkeep(struct service *s)
{
	s->upkeep.look_at = s->upkeep.look_at_index = s->upkeep.index_at = 0;
	s->upkeep.indexed = false;
	for (size_t i = 0; i < UPKEEP_TROUBLES; i++) {
		s->upkeep.trouble[i].retry_at = 0;
		s->upkeep.trouble[i].failures = 0;
	}
}

/* ---- Beginning --------------------------------------------------------------------------------
 */

static void ask(struct service *s, unsigned wish, const char *text)
{
	struct fault f;

	if (runner_upkeep(s->options.runner, wish, text, &f) < 0) {
		log_line(LOG_LEVEL_WARNING, NULL, "upkeep does not begin: %s", f.text);
		return;
	}
	s->upkeep.runs = true;
	s->upkeep.wish = wish;
	s->upkeep.notes = wish & UPKEEP_NOTE;
}

static bool may_try(const struct service *s, enum upkeep_troubles which, int64_t now)
{
	return now >= s->upkeep.trouble[which].retry_at;
}

/* What was ill is tried even where nothing is due any more: somebody may have sealed by hand. */
static bool seal_is_due(struct service *s, int64_t now)
{
	const struct config *c = service_config(s);
	struct fault f;

	if (c->seal == SEAL_NEVER || !may_try(s, TROUBLE_SEAL, now))
		return false;
	if (s->upkeep.trouble[TROUBLE_SEAL].text[0])
		return true;
	int r = store_seal_is_due(poller_store(s->poller), &c->seal_due, &f);
	if (r < 0)
		log_line(LOG_LEVEL_DEBUG, NULL, "what is to be sealed is not known: %s", f.text);
	return r == 0;
}

static bool handover_is_due(struct service *s, int64_t now)
{
	char path[HANDOVER_PATH];
	struct fault f;

	if (!service_config(s)->seal_command || !may_try(s, TROUBLE_COMMAND, now))
		return false;
	if (s->upkeep.trouble[TROUBLE_COMMAND].text[0])
		return true;
	return store_next_handover(poller_store(s->poller), path, &f) == HANDOVER_FILE;
}

/* When mail came, and no more for a moment, or it does not end. What could not be read is no
 * reason: it is tried again with what comes. */
static unsigned look_at_index(struct service *s, int64_t now)
{
	struct service_upkeep *k = &s->upkeep;
	struct index_state lag;
	struct fault f;

	if (now < k->look_at_index || !may_try(s, TROUBLE_INDEX, now))
		return 0;
	k->look_at_index = now + LOOK_INDEX_MS;
	if (store_index_state(poller_store(s->poller), &lag, &f) < 0) {
		log_line(LOG_LEVEL_DEBUG, NULL, "what is to be indexed is not known: %s", f.text);
		return 0;
	}
	bool quiet = lag.messages == k->seen;
	bool lags = lag.indexed + lag.unread < lag.messages || k->trouble[TROUBLE_INDEX].text[0];
	k->seen = lag.messages;
	if (!lags || now < k->index_at ||
		(!quiet && moment_now() - lag.oldest < INDEX_MS && k->indexed))
		return 0;
	k->index_at = now + INDEX_MS;
	if (k->indexed)
		return UPKEEP_INDEX_NEW;
	k->indexed = true;
	return UPKEEP_INDEX_ALL;
}

static unsigned look_at_segments(struct service *s, int64_t now)
{
	unsigned wish = 0;

	if (now < s->upkeep.look_at)
		return 0;
	s->upkeep.look_at = now + LOOK_MS;
	if (seal_is_due(s, now))
		wish |= UPKEEP_SEAL_DUE;
	if (handover_is_due(s, now))
		wish |= UPKEEP_HAND_OVER;
	/* What is sealed now is handed over now. */
	if (wish & UPKEEP_SEAL_DUE && service_config(s)->seal_command &&
		may_try(s, TROUBLE_COMMAND, now))
		wish |= UPKEEP_HAND_OVER;
	return wish;
}

void service_look_at_upkeep(struct service *s, int64_t now)
{
	/* Sealing needs room before it gives some. */
	if (s->upkeep.runs || s->stopping || s->room.full)
		return;
	unsigned wish = look_at_segments(s, now) | look_at_index(s, now);
	if (wish)
		ask(s, wish, NULL);
}

void service_stop_upkeep(struct service *s)
{
	struct fault ignored;

	if (s->upkeep.runs)
		(void)!runner_upkeep(s->options.runner, UPKEEP_END, NULL, &ignored);
}

/* ---- Metrics ----------------------------------------------------------------------------------
 */

/* What cannot be read just now is left out. */
void service_measure_upkeep(const struct service *s, struct metrics *to)
{
	const struct service_upkeep *k = &s->upkeep;
	struct store *store = poller_store(s->poller);
	struct unsealed u = {0};
	struct index_state lag;
	struct upkeep row;
	struct fault ignored;

	to->sealed_segments = k->sealed;
	to->seal_failures = k->failures[TROUBLE_SEAL];
	to->command_failures = k->failures[TROUBLE_COMMAND];
	to->seal_failing = k->trouble[TROUBLE_SEAL].text[0] ? METRICS_YES : METRICS_NO;
	to->command_failing = k->trouble[TROUBLE_COMMAND].text[0] ? METRICS_YES : METRICS_NO;
	to->index_failures = k->failures[TROUBLE_INDEX];
	to->index_failing = k->trouble[TROUBLE_INDEX].text[0] ? METRICS_YES : METRICS_NO;
	if (store_index_state(store, &lag, &ignored) == 0)
		to->not_indexed = lag.messages - lag.indexed;
	if (store_get_upkeep(store, UPKEEP_SEAL, &row, &ignored) == 0)
		to->seal_succeeded = row.succeeded;
	if (store_get_upkeep(store, UPKEEP_VERIFY, &row, &ignored) == 0)
		to->verify_succeeded = row.succeeded;
	while (store_next_unsealed(store, u.segment, &u, &ignored) == UNSEALED_SEGMENT) {
		to->unsealed_segments++;
		to->unsealed_messages += u.messages;
		to->unsealed_bytes += u.bytes;
	}
}

/* ---- What comes of it -------------------------------------------------------------------------
 */

/* It is no failure that somebody else seals, copies or repacks just now. */
static void wait_for_others(struct service *s, const char *text)
{
	if (s->upkeep.wish & (UPKEEP_SEAL_DUE | UPKEEP_HAND_OVER)) {
		s->upkeep.trouble[TROUBLE_SEAL].retry_at = monotonic_ms() + RETRY_FIRST_MS;
		s->upkeep.trouble[TROUBLE_COMMAND].retry_at = monotonic_ms() + RETRY_FIRST_MS;
	}
	log_line(LOG_LEVEL_DEBUG, NULL, "upkeep waits: %s", text);
}

static void take_end(struct service *s, const char *text)
{
	bool was_note = s->upkeep.notes;

	s->upkeep.runs = s->upkeep.notes = false;
	/* One that died could not say so to the archive. */
	if (text[0] && !was_note && !s->stopping) {
		bool sealed = s->upkeep.wish & (UPKEEP_SEAL_DUE | UPKEEP_HAND_OVER);

		begin_trouble(s, sealed ? TROUBLE_SEAL : TROUBLE_INDEX, text);
		ask(s, UPKEEP_NOTE | (sealed ? 0 : UPKEEP_INDEX_NEW), text);
	}
}

int service_take_upkeep(struct service *s, const struct runner_answer *a, struct fault *f)
{
	switch ((enum upkeep_news)a->tag) {
	case NEWS_SEALED:
	case NEWS_HANDED:
		s->changed = true;
		s->upkeep.sealed += a->tag == NEWS_SEALED;
		log_line(LOG_LEVEL_INFO, NULL, "%s%s",
			a->tag == NEWS_HANDED ? "the seal-command has " : "", a->text);
		return 0;
	case NEWS_SEAL_WELL:
		end_trouble(s, TROUBLE_SEAL);
		return 0;
	case NEWS_COMMAND_WELL:
		end_trouble(s, TROUBLE_COMMAND);
		return 0;
	case NEWS_INDEXED:
		s->changed = true;
		log_line(LOG_LEVEL_DEBUG, NULL, "%s", a->text);
		return 0;
	case NEWS_INDEX_WELL:
		end_trouble(s, TROUBLE_INDEX);
		return 0;
	case NEWS_INDEX_FAILED:
		begin_trouble(s, TROUBLE_INDEX, a->text);
		return 0;
	case NEWS_SEAL_FAILED:
		begin_trouble(s, TROUBLE_SEAL, a->text);
		return 0;
	case NEWS_COMMAND_FAILED:
		begin_trouble(s, TROUBLE_COMMAND, a->text);
		return 0;
	case NEWS_BUSY:
		wait_for_others(s, a->text);
		return 0;
	case NEWS_WRITE_FAILED:
		begin_trouble(s, TROUBLE_SEAL, a->text);
		return fault_set(f, FAULT_WRITE, SCOPE_ARCHIVE, 0, "sealing: %s", a->text);
	case NEWS_NOTICE:
		log_line(LOG_LEVEL_NOTICE, NULL, "%s", a->text);
		return 0;
	case NEWS_SANDBOX:
		(void)snprintf(s->upkeep.sandbox, sizeof s->upkeep.sandbox, "%s", a->text);
		return 0;
	case NEWS_ENDED:
		take_end(s, a->text);
		return 0;
	case NEWS_KINDS:
		break;
	}
	return 0;
}
