/* A session broke while it fetched: which message is to blame, so that it is fetched alone next
 * time and refused when it breaks sessions again. */
#include "daemon/retrieval_private.h"

#include "archive/limits.h"

/* Whom to blame for a break, and how sure that is. */
struct blame {
	uint32_t entry;
	enum refusal reason;
	bool certain; /* when it happens to a message that is fetched alone */
};

static struct suspect *suspect_of(struct session *s, uint32_t entry)
{
	struct slice uidl = listing_uidl(&s->listing, entry_of(s, entry));
	struct suspect *suspect = trouble_find(s->trouble, uidl);

	return suspect ? suspect : trouble_add(s->trouble, uidl);
}

static void mark_alone(struct session *s, uint32_t entry)
{
	struct suspect *suspect = suspect_of(s, entry);

	if (!suspect)
		return;
	suspect->alone = true;
	s->trouble->serial = false;
	s->counts.settled++; /* something was learned: worth another session */
}

/* Neither in a message nor at its end: a command has no reply. Some servers end a session after so
 * many messages: whose turn it then was is not to blame. So only what is asked for first is
 * refused, and only a few in a row: then it is the server's trouble. */
static void note_unanswered(struct session *s)
{
	const struct retrieval *r = &s->retrieval;
	size_t in_flight = r->sent - r->done;
	struct fault f;

	if (in_flight == 0)
		return;
	if (s->pipelining && in_flight > 1) {
		/* Answers may have been lost with it. */
		s->trouble->serial = true;
		s->counts.settled++;
		return;
	}
	uint32_t entry = r->order[r->done];
	if (pop3_unconfirmed(s->pop3) != 0 && in_flight > 1) {
		/* One of the two: alone it will show. */
		mark_alone(s, entry);
		mark_alone(s, r->order[r->done + 1]);
		return;
	}
	if (s->counts.fetched > 0) {
		mark_alone(s, entry);
		return;
	}
	struct suspect *suspect = suspect_of(s, entry);
	if (!suspect)
		return;
	s->counts.settled++;
	if (++suspect->breaks < LIMIT_BREAKS)
		return;
	(void)retrieval_refuse(s, entry, REFUSAL_TRUNCATED, s->fault.text, &f);
	if (++s->trouble->unanswered >= LIMIT_SYSTEM_ERRORS)
		fault_widen(&s->fault, SCOPE_ACCOUNT);
}

/* The entry of a message number among those asked for and not ended. */
static bool find_in_flight(const struct session *s, uint32_t number, uint32_t *ret)
{
	const struct retrieval *r = &s->retrieval;

	for (size_t i = r->done; number > 0 && i < r->sent; i++) {
		if (entry_of(s, r->order[i])->number == number) {
			*ret = r->order[i];
			return true;
		}
	}
	return false;
}

static bool find_blame(struct session *s, struct blame *ret)
{
	const struct retrieval *r = &s->retrieval;
	uint32_t entry;

	if (r->draining || r->held) {
		entry = r->draining ? r->doubted : current(s);
		*ret = (struct blame){entry, REFUSAL_FRAMING, false};
		return true;
	}
	if (find_in_flight(s, pop3_suspect(s->pop3), &entry)) {
		*ret = (struct blame){entry, REFUSAL_FRAMING, true};
		return true;
	}
	if (find_in_flight(s, pop3_receiving(s->pop3), &entry)) {
		*ret = (struct blame){entry, REFUSAL_TRUNCATED, false};
		return true;
	}
	return false;
}

void retrieval_note_break(struct session *s)
{
	struct fault f;
	struct blame b;

	if (s->state != SESSION_FETCHING || s->fault.code != FAULT_PROTOCOL ||
		s->fault.scope > SCOPE_SESSION || s->retrieval.refused)
		return;
	if (!find_blame(s, &b)) {
		note_unanswered(s);
		return;
	}
	struct suspect *suspect = suspect_of(s, b.entry);
	if (!suspect)
		return;
	suspect->breaks++;
	bool was_alone = suspect->alone || is_alone(&s->retrieval);
	mark_alone(s, b.entry);
	if (b.certain ? was_alone : suspect->breaks >= LIMIT_BREAKS)
		(void)retrieval_refuse(s, b.entry, b.reason, s->fault.text, &f);
}
