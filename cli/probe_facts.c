#include "cli/probe_facts.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

/* ---- What is known of it beforehand -------------------------------------------------------- */

static bool host_ends_with(const char *host, const char *domain)
{
	size_t host_len = strlen(host), len = strlen(domain);

	if (host_len < len || strcasecmp(host + host_len - len, domain) != 0)
		return false;
	return host_len == len || host[host_len - len - 1] == '.';
}

static const char *provider_caveat(const char *host)
{
	static const struct {
		const char *domain, *caveat;
	} known[] = {
		{"gmail.com", "Gmail lists about 250 messages in a session and may archive or "
			      "delete what was "
			      "fetched: in its settings choose \"keep Gmail's copy in the Inbox\"; "
			      "with the "
			      "user \"recent:...\" it lists the last 30 days again and again"},
		{"googlemail.com",
			"Gmail lists about 250 messages in a session and may archive or delete "
			"what was "
			"fetched: in its settings choose \"keep Gmail's copy in the Inbox\""},
		{"outlook.com", "Outlook takes OAuth 2 only (token-command); a wrong scope looks "
				"like a wrong "
				"password, and it allows 16 connections per user"},
		{"office365.com", "Office 365 takes OAuth 2 only (token-command); a wrong scope "
				  "looks like a wrong "
				  "password, and it allows 16 connections per user"},
		{"wildduck.email", "WildDuck lists the newest 250 messages and ends sessions after "
				   "60 s: several fetches may be needed"},
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (host_ends_with(host, known[i].domain))
			return known[i].caveat;
	}
	return NULL;
}

/* ---- What it said itself --------------------------------------------------------------------- */

static void caveat(struct caveats *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void caveat(struct caveats *c, const char *format, ...)
{
	va_list args;

	if (c->n == CAVEATS_MAX)
		return;
	va_start(args, format);
	(void)vsnprintf(c->text[c->n++], CAVEAT_TEXT, format, args);
	va_end(args);
}

void probe_find_caveats(const struct account *a, const struct probe_report *r, struct caveats *c)
{
	char interval[TEXT_NUMBER];
	uint64_t days_ms = 0;

	*c = (struct caveats){0};
	if (a->tls == TLS_NONE)
		caveat(c, "without TLS anybody on the way reads the mail, and the password unless "
			  "the login hides it");
	if (!r->has_uidl) {
		c->fatal = true;
		caveat(c, "the server has no UIDL: what was fetched cannot be told from what is "
			  "new, this account cannot be kept");
	}
	if (r->expire_known && r->expire_days == 0)
		caveat(c, "EXPIRE 0: the server may delete a message as soon as it was fetched");
	else if (r->expire_known && r->expire_days != UINT64_MAX) {
		caveat(c, "EXPIRE %" PRIu64 ": the server deletes mail after %" PRIu64 " days",
			r->expire_days, r->expire_days);
		if (__builtin_mul_overflow(r->expire_days, UINT64_C(86400000), &days_ms))
			days_ms = UINT64_MAX;
		if (days_ms < a->interval_ms)
			caveat(c, "that is less than the interval of %s: mail will be lost",
				text_duration(a->interval_ms, interval));
	}
	if (r->login_delay_s > a->interval_ms / 1000)
		caveat(c, "LOGIN-DELAY %" PRIu64 " s is more than the interval of %s",
			r->login_delay_s, text_duration(a->interval_ms, interval));
	if (!r->has_pipelining)
		caveat(c, "no PIPELINING: one message for each round trip of %" PRId64 " ms",
			r->rtt_ms);
	if (provider_caveat(a->host))
		caveat(c, "%s", provider_caveat(a->host));
}

/* ---- How long a first fetch takes ----------------------------------------------------------- */

/* Round trips for each message without PIPELINING; the bytes at the speed of the listing where
 * that was long enough to tell, otherwise at 2 MB/s. */
int64_t probe_estimate_ms(const struct probe_report *r)
{
	double per_ms = 2000;
	double trips = r->has_pipelining ? (double)r->messages / 64 : (double)r->messages;

	if (r->sample_bytes >= 64000 && r->sample_ms > 0)
		per_ms = (double)r->sample_bytes / (double)r->sample_ms;
	return r->login_ms + (int64_t)((double)r->bytes / per_ms + trips * (double)r->rtt_ms);
}

/* ---- As JSON --------------------------------------------------------------------------------- */

void probe_add_json(struct json_line *line, const struct probe_report *r, struct caveats *c)
{
	char *texts[CAVEATS_MAX + 1] = {NULL};

	for (size_t i = 0; i < c->n; i++)
		texts[i] = c->text[i];
	json_add_text(line, "tls", r->tls);
	json_add_text(line, "mechanism", r->mechanism);
	json_add_text(line, "capabilities", r->capabilities);
	json_add_count(line, "messages", r->messages);
	json_add_count(line, "bytes", r->bytes);
	json_add_flag(line, "uidl", r->has_uidl);
	json_add_flag(line, "pipelining", r->has_pipelining);
	json_add_flag(line, "top", r->has_top);
	if (r->expire_known && r->expire_days != UINT64_MAX)
		json_add_count(line, "expire_days", r->expire_days);
	json_add_count(line, "login_delay_s", r->login_delay_s);
	json_add_count(line, "rtt_ms", r->rtt_ms < 0 ? 0 : (uint64_t)r->rtt_ms);
	json_add_count(line, "first_fetch_ms", (uint64_t)probe_estimate_ms(r));
	json_add_texts(line, "caveats", texts);
}
