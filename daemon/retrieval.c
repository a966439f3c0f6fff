#include "daemon/retrieval.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/session_private.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

struct repeat {
	uint32_t entry;
	struct digest digest;
};

static int64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void retrieval_deinit(struct retrieval *r)
{
	free(r->order);
	free(r->repeat);
	*r = (struct retrieval){0};
}

static const struct listed *entry_of(const struct session *s, uint32_t entry)
{
	return &s->listing.entries[entry];
}

/* ---- Messages that broke a session ----------------------------------------------------------- */

void trouble_deinit(struct trouble *t)
{
	for (size_t i = 0; i < t->n; i++)
		buffer_deinit(&t->suspect[i].uidl);
	free(t->suspect);
	*t = (struct trouble){0};
}

static struct suspect *find_suspect(struct trouble *t, struct slice uidl)
{
	for (size_t i = 0; i < t->n; i++) {
		if (slice_compare(buffer_slice(&t->suspect[i].uidl), uidl) == 0)
			return &t->suspect[i];
	}
	return NULL;
}

static struct suspect *add_suspect(struct trouble *t, struct slice uidl, struct fault *f)
{
	struct suspect *grown = realloc(t->suspect, (t->n + 1) * sizeof *grown);

	if (!grown) {
		(void)fault_memory(f);
		return NULL;
	}
	t->suspect = grown;
	struct suspect *one = &grown[t->n];
	*one = (struct suspect){.uidl = buffer_make(LIMIT_UIDL)};
	if (buffer_append(&one->uidl, uidl.data, uidl.len, f) < 0)
		return NULL;
	t->n++;
	return one;
}

/* ---- Handing in
 * ----------------------------------------------------------------------------------- */

static struct item *new_item(
	struct session *s, enum item_kind kind, uint32_t entry, struct fault *f)
{
	const struct listed *e = entry_of(s, entry);
	struct slice uidl = listing_uidl(&s->listing, e);
	struct item *item CLEANUP(item_freep) = item_new(kind, s->maildrop->number, f);

	if (!item || buffer_append(&item->uidl, uidl.data, uidl.len, f) < 0)
		return NULL;
	item->listed_size = e->size;
	item->tag = (uint64_t)entry + 1;
	return TAKE(item);
}

static int refuse(
	struct session *s, uint32_t entry, enum refusal reason, const char *text, struct fault *f)
{
	struct item *item = new_item(s, ITEM_REFUSAL, entry, f);

	if (!item)
		return -1;
	item->reason = reason;
	/* Escaped already; a longer one is cut. */
	size_t len = strnlen(text, sizeof item->text - 1);
	memcpy(item->text, text, len);
	item->text[len] = '\0';
	session_submit(s, item);
	return 0;
}

static int refuse_too_large(struct session *s, uint32_t entry, uint64_t octets, struct fault *f)
{
	char text[128];

	(void)snprintf(text, sizeof text, "%" PRIu64 " octets, and max-message-size is %" PRIu64,
		octets, s->account->max_message_size);
	return refuse(s, entry, REFUSAL_TOO_LARGE, text, f);
}

/* Which of equal messages under one UIDL this is, in this session. */
static int count_copy(
	struct session *s, uint32_t entry, const struct digest *d, uint64_t *ret, struct fault *f)
{
	struct retrieval *r = &s->retrieval;
	const struct listed *e = entry_of(s, entry);
	struct slice uidl = listing_uidl(&s->listing, e);

	*ret = 1;
	bool shared = (entry > 0 && slice_compare(listing_uidl(&s->listing, e - 1), uidl) == 0) ||
		      (entry + 1 < s->listing.n &&
			      slice_compare(listing_uidl(&s->listing, e + 1), uidl) == 0);
	if (!shared || r->repeats >= LIMIT_REPEATED)
		return 0;
	for (size_t i = 0; i < r->repeats; i++) {
		const struct listed *other = entry_of(s, r->repeat[i].entry);

		*ret += digest_compare(&r->repeat[i].digest, d) == 0 &&
			slice_compare(listing_uidl(&s->listing, other), uidl) == 0;
	}
	struct repeat *grown = realloc(r->repeat, (r->repeats + 1) * sizeof *grown);
	if (!grown)
		return fault_memory(f);
	r->repeat = grown;
	grown[r->repeats++] = (struct repeat){entry, *d};
	return 0;
}

static int hand_in(struct session *s, uint32_t entry, struct fault *f)
{
	struct item *item CLEANUP(item_freep) = new_item(s, ITEM_MESSAGE, entry, f);

	if (!item)
		return -1;
	spool_finish(s->spool);
	if (count_copy(s, entry, spool_digest(s->spool), &item->copy, f) < 0)
		return -1;
	item->class_ = s->account->class_;
	s->counts.fetched++;
	s->counts.fetched_bytes += spool_size(s->spool);
	item->spool = TAKE(s->spool);
	session_submit(s, TAKE(item));
	return 0;
}

void retrieval_settle(struct session *s, const struct item *item)
{
	if (item->tag == 0)
		return;
	size_t entry = (size_t)item->tag - 1;
	s->counts.settled++;
	if (item->kind == ITEM_REFUSAL) {
		plan_set_refused(&s->plan, entry);
		return;
	}
	plan_set_archived(&s->plan, entry);
	if (item->outcome == OUTCOME_KEPT) {
		s->counts.new_messages++;
		s->counts.new_bytes += item->size;
	} else if (item->outcome == OUTCOME_SEEN) {
		s->counts.duplicates++;
	}
}

/* ---- What the server sends ---------------------------------------------------------------------
 */

static uint32_t current(const struct session *s)
{
	assert(s->retrieval.done < s->retrieval.n);
	return s->retrieval.order[s->retrieval.done];
}

static void end_one(struct session *s)
{
	struct retrieval *r = &s->retrieval;

	window_done(&r->window, entry_of(s, current(s))->size, now_us());
	r->done++;
	session_touch(s);
}

/* -ERR to RETR: this message's trouble. A server that says that it is its own, and says so of one
 * message after the other, is left alone for now; but each of these refusals stands, so that a
 * message that always gets such an answer does not keep the others waiting for ever. */
static int on_refusal(struct session *s, const struct pop3_event *e, struct fault *f)
{
	char text[200];

	(void)escape_text(e->reply.text, text, sizeof text);
	bool system = e->reply.code == REPLY_CODE_SYS_TEMP ||
		      e->reply.code == REPLY_CODE_SYS_PERM || e->reply.code == REPLY_CODE_IN_USE;
	s->retrieval.system_errors = system ? s->retrieval.system_errors + 1 : 0;
	if (refuse(s, current(s), REFUSAL_RETR_FAILED, text, f) < 0)
		return -1;
	end_one(s);
	if (s->retrieval.system_errors < LIMIT_SYSTEM_ERRORS)
		return 1;
	return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0,
		"the server has trouble of its own: %s; try again later", text);
}

static int on_data(struct session *s, const struct pop3_event *e, struct fault *f)
{
	if (e->octets <= s->account->max_message_size)
		return spool_write(s->spool, e->bytes, f) < 0 ? -1 : 1;
	/* More than was announced: nobody knows how much more. */
	if (refuse_too_large(s, current(s), e->octets, f) < 0)
		return -1;
	s->retrieval.refused = true;
	return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
		"message %" PRIu32 " is larger than announced and than max-message-size",
		e->number);
}

/* >0 to go on, 0 when all is fetched. */
static int on_retrieval(struct session *s, const struct pop3_event *e, struct fault *f)
{
	switch (e->kind) {
	case POP3_REPLY:
		session_touch(s);
		if (e->command == POP3_NOOP)
			return 0;
		if (e->reply.status != REPLY_OK)
			return on_refusal(s, e, f);
		s->spool = spool_free(s->spool);
		return spool_new(s->tools->spools, &s->spool, f) < 0 ? -1 : 1;
	case POP3_DATA:
		return on_data(s, e, f);
	case POP3_MESSAGE_END:
		s->retrieval.system_errors = 0;
		if (hand_in(s, current(s), f) < 0)
			return -1;
		end_one(s);
		return 1;
	case POP3_LINE:
	case POP3_END:
		break;
	}
	return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0, "an answer out of step");
}

/* ---- What is asked
 * --------------------------------------------------------------------------------- */

/* One at a time: the next command goes out when the last message has ended but for what confirms
 * it. */
static bool is_quiet(const struct session *s)
{
	const struct retrieval *r = &s->retrieval;
	size_t in_flight = r->sent - r->done;

	return in_flight == 0 || (in_flight == 1 && pop3_unconfirmed(s->pop3) != 0);
}

static bool may_send(const struct session *s)
{
	const struct retrieval *r = &s->retrieval;

	/* A full window must not hold back the command that confirms its last message. */
	if (is_quiet(s))
		return true;
	if (!s->pipelining || r->sent >= r->alone_from)
		return false;
	return window_may_send(&r->window, entry_of(s, r->order[r->sent])->size);
}

/* Queues what may be in flight. */
static int ask(struct session *s, struct fault *f)
{
	struct retrieval *r = &s->retrieval;

	while (r->sent < r->n && may_send(s)) {
		const struct listed *e = entry_of(s, r->order[r->sent]);

		if (pop3_command(s->pop3, POP3_RETR, e->number, f) < 0)
			return -1;
		window_sent(&r->window, e->size, now_us());
		r->sent++;
	}
	bool alone = !s->pipelining || r->alone_from < r->n;
	if (r->sent < r->n || r->closing || (alone && !is_quiet(s)))
		return 0;
	/* What follows the last message confirms it. */
	r->closing = true;
	return pop3_command(s->pop3, POP3_NOOP, 0, f);
}

/* ---- Beginning and breaking -------------------------------------------------------------------
 */

static int order_messages(struct session *s, struct fault *f)
{
	struct retrieval *r = &s->retrieval;
	const struct entry_list *fetch = &s->plan.fetch;
	size_t alone = fetch->n;

	r->order = calloc(fetch->n + 1, sizeof *r->order);
	if (!r->order)
		return fault_memory(f);
	for (size_t i = 0; i < fetch->n; i++) {
		uint32_t entry = fetch->at[i];
		const struct suspect *suspect =
			find_suspect(s->trouble, listing_uidl(&s->listing, entry_of(s, entry)));

		if (suspect && suspect->alone)
			r->order[--alone] = entry;
		else
			r->order[r->n++] = entry;
	}
	r->alone_from = r->n;
	r->n = fetch->n;
	return 0;
}

int retrieval_begin(struct session *s, struct fault *f)
{
	struct retrieval *r = &s->retrieval;
	const struct entry_list *too_large = &s->plan.too_large;

	for (size_t i = 0; i < too_large->n; i++) {
		if (refuse_too_large(s, too_large->at[i], entry_of(s, too_large->at[i])->size, f) <
			0)
			return -1;
	}
	window_init(&r->window, s->pipelining ? WINDOW_PIPELINED : WINDOW_SERIAL);
	if (order_messages(s, f) < 0)
		return -1;
	r->began = monotonic_ms();
	s->counts.to_fetch = r->n;
	s->counts.to_fetch_bytes = s->plan.fetch_bytes;
	s->on_event = on_retrieval;
	s->on_idle = ask;
	return 0;
}

/* The entry of a message number among those asked for and not ended, and the one that ended last.
 */
static bool find_in_flight(const struct session *s, uint32_t number, uint32_t *ret)
{
	const struct retrieval *r = &s->retrieval;

	for (size_t i = r->done > 0 ? r->done - 1 : 0; i < r->sent; i++) {
		if (entry_of(s, r->order[i])->number == number) {
			*ret = r->order[i];
			return true;
		}
	}
	return false;
}

void retrieval_note_break(struct session *s)
{
	struct fault f;
	uint32_t entry;
	uint32_t framing = pop3_suspect(s->pop3), cut = pop3_receiving(s->pop3);

	if (s->state != SESSION_FETCHING || s->fault.code != FAULT_PROTOCOL ||
		s->retrieval.refused || !find_in_flight(s, framing ? framing : cut, &entry))
		return;
	struct slice uidl = listing_uidl(&s->listing, entry_of(s, entry));
	struct suspect *suspect = find_suspect(s->trouble, uidl);
	if (!suspect)
		suspect = add_suspect(s->trouble, uidl, &f);
	if (!suspect)
		return;
	suspect->breaks++;
	s->counts.settled++; /* something was learned: worth another session */
	bool again = framing ? suspect->alone : suspect->breaks >= LIMIT_BREAKS;
	suspect->alone = true;
	if (again)
		(void)refuse(
			s, entry, framing ? REFUSAL_FRAMING : REFUSAL_TRUNCATED, s->fault.text, &f);
}
