#include "daemon/retrieval_private.h"

#include "archive/escape.h"
#include "archive/limits.h"

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

/* ---- Handing in ------------------------------------------------------------------------------ */

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

int retrieval_refuse(
	struct session *s, uint32_t entry, enum refusal reason, const char *text, struct fault *f)
{
	struct item *item = new_item(s, ITEM_REFUSAL, entry, f);

	if (!item)
		return -1;
	item->reason = reason;
	/* Escaped already; a longer one is cut. */
	size_t len = strlen(text);
	if (len > sizeof item->text - 1)
		len = sizeof item->text - 1;
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
	return retrieval_refuse(s, entry, REFUSAL_TOO_LARGE, text, f);
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
	s->trouble->unanswered = 0;
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

/* ---- Who is in flight ------------------------------------------------------------------------ */

/* All that was asked for has ended, but for what confirms the last message. */
static bool is_quiet(const struct session *s)
{
	const struct retrieval *r = &s->retrieval;
	size_t in_flight = r->sent - r->done;

	return in_flight == 0 || (in_flight == 1 && (r->held || pop3_unconfirmed(s->pop3) != 0));
}

static void end_one(struct session *s)
{
	struct retrieval *r = &s->retrieval;

	window_done(&r->window, entry_of(s, current(s))->size, now_us());
	r->done++;
	session_touch(s);
}

/* ---- Doubts ---------------------------------------------------------------------------------- */

static bool is_shorter(const struct session *s, uint32_t entry, uint64_t octets)
{
	uint64_t announced = entry_of(s, entry)->size;

	return announced != SIZE_UNKNOWN && octets < announced;
}

/* Such mail exists; but with as many octets as announced. */
static bool begins_like_a_reply(const struct session *s, uint32_t entry, uint64_t octets)
{
	const struct retrieval *r = &s->retrieval;
	uint64_t announced = entry_of(s, entry)->size;
	bool like = (r->first_n >= 3 && memcmp(r->first, "+OK", 3) == 0) ||
		    (r->first_n >= 4 && memcmp(r->first, "-ERR", 4) == 0);

	return like && announced != SIZE_UNKNOWN && octets != announced;
}

/* Not as announced, by a server that nearly always announces what it sends. */
static bool is_doubtful(const struct session *s, uint32_t entry, uint64_t octets)
{
	const struct trouble *t = s->trouble;
	uint64_t announced = entry_of(s, entry)->size;
	bool other = s->retrieval.shifted ? octets != announced : octets < announced;

	if (begins_like_a_reply(s, entry, octets))
		return true;
	return announced != SIZE_UNKNOWN && other && !s->maildrop->sizes_unreliable &&
	       t->inexact < LIMIT_DOUBTS + t->exact / 16;
}

static void count_size(struct session *s, uint32_t entry, uint64_t octets)
{
	uint64_t announced = entry_of(s, entry)->size;

	if (announced == octets)
		s->trouble->exact++;
	else if (announced != SIZE_UNKNOWN)
		s->trouble->inexact++;
}

/* The message that has just ended goes behind those that are fetched alone. The others that are in
 * flight are passed over and asked for once more. */
static void begin_to_drain(struct session *s)
{
	struct retrieval *r = &s->retrieval;

	r->doubted = current(s);
	r->drain_to = r->done;
	r->draining = true;
	r->alone_from--;
	r->order[r->done] = r->order[r->alone_from];
	r->order[r->alone_from] = r->doubted;
	r->done++;
	s->spool = spool_free(s->spool);
}

/* In step after all: the announced size was wrong, or else what is fetched alone will tell. */
static void end_draining(struct session *s)
{
	struct retrieval *r = &s->retrieval;

	s->trouble->inexact++;
	r->draining = r->shifted = false;
	r->sent = r->done = r->drain_to;
	window_init(&r->window, s->pipelining ? WINDOW_CAREFUL : WINDOW_SERIAL);
}

/* ---- What the server sends ------------------------------------------------------------------- */

static int out_of_step(struct fault *f)
{
	return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0, "an answer out of step");
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
	s->retrieval.shifted = true;
	if (retrieval_refuse(s, current(s), REFUSAL_RETR_FAILED, text, f) < 0)
		return -1;
	end_one(s);
	if (s->retrieval.system_errors < LIMIT_SYSTEM_ERRORS)
		return 1;
	return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0,
		"the server has trouble of its own: %s; try again later", text);
}

static void note_first(struct retrieval *r, struct slice bytes)
{
	for (size_t i = 0; i < bytes.len && r->first_n < sizeof r->first; i++)
		r->first[r->first_n++] = bytes.data[i];
}

static int on_data(struct session *s, const struct pop3_event *e, struct fault *f)
{
	bool fits = e->octets <= s->account->max_message_size;

	note_first(&s->retrieval, e->bytes);
	if (fits && s->retrieval.draining)
		return 1;
	if (fits)
		return spool_write(s->spool, e->bytes, f) < 0 ? -1 : 1;
	/* More than was announced: nobody knows how much more. */
	if (!s->retrieval.draining) {
		if (refuse_too_large(s, current(s), e->octets, f) < 0)
			return -1;
		s->retrieval.refused = true;
	}
	return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
		"message %" PRIu32 " is larger than announced and than max-message-size",
		e->number);
}

static int on_message_end(struct session *s, const struct pop3_event *e, struct fault *f)
{
	struct retrieval *r = &s->retrieval;

	if (is_alone(r)) {
		r->held = true;
		return begins_like_a_reply(s, current(s), e->octets) ? out_of_step(f) : 1;
	}
	if (is_doubtful(s, current(s), e->octets)) {
		begin_to_drain(s);
		return 1;
	}
	r->system_errors = 0;
	count_size(s, current(s), e->octets);
	if (hand_in(s, current(s), f) < 0)
		return -1;
	end_one(s);
	return 1;
}

/* While draining: what comes is nobody's. */
static int pass_over(struct session *s, const struct pop3_event *e)
{
	if (e->kind == POP3_MESSAGE_END || e->reply.status != REPLY_OK)
		s->retrieval.done++;
	session_touch(s);
	return 1;
}

static int on_message(struct session *s, const struct pop3_event *e, struct fault *f)
{
	if (s->retrieval.draining)
		return pass_over(s, e);
	if (e->kind == POP3_MESSAGE_END)
		return on_message_end(s, e, f);
	if (e->reply.status != REPLY_OK)
		return on_refusal(s, e, f);
	s->retrieval.first_n = 0;
	s->spool = spool_free(s->spool);
	return spool_new(s->tools->spools, &s->spool, f) < 0 ? -1 : 1;
}

/* How many NOOPs confirm that the session is in step. */
static uint32_t probes_needed(const struct session *s)
{
	const struct retrieval *r = &s->retrieval;

	if (r->held && is_shorter(s, current(s), spool_size(s->spool)))
		return LIMIT_PROBES;
	return r->draining || r->sent > r->alone_from ? 2 : 1;
}

/* A NOOP was answered. >0 to go on, 0 when all is fetched. */
static int on_probe(struct session *s, const struct pop3_event *e, struct fault *f)
{
	struct retrieval *r = &s->retrieval;

	/* No server refuses it: that was meant for something else. */
	if (e->reply.status != REPLY_OK && (r->held || r->draining))
		return out_of_step(f);
	r->probing = false;
	r->probes++;
	if (r->probes < probes_needed(s))
		return 1;
	if (r->draining) {
		end_draining(s);
		return 1;
	}
	if (r->held) {
		r->held = false;
		r->system_errors = 0;
		if (hand_in(s, current(s), f) < 0)
			return -1;
		end_one(s);
	}
	return r->done < r->n || r->too_large < s->plan.too_large.n;
}

/* >0 to go on, 0 when all is fetched. */
static int on_retrieval(struct session *s, const struct pop3_event *e, struct fault *f)
{
	switch (e->kind) {
	case POP3_REPLY:
		session_touch(s);
		return e->command == POP3_NOOP ? on_probe(s, e, f) : on_message(s, e, f);
	case POP3_DATA:
		return on_data(s, e, f);
	case POP3_MESSAGE_END:
		return on_message(s, e, f);
	case POP3_LINE:
	case POP3_END:
		break;
	}
	return out_of_step(f);
}

/* ---- What is asked --------------------------------------------------------------------------- */

static bool may_send(const struct session *s)
{
	const struct retrieval *r = &s->retrieval;

	if (r->draining)
		return false;
	/* One at a time, and only in step. */
	if (r->sent >= r->alone_from)
		return r->sent == r->done && !r->probing && r->probes >= probes_needed(s);
	/* A full window must not hold back the command that confirms its last message. */
	if (is_quiet(s))
		return true;
	return s->pipelining && window_may_send(&r->window, entry_of(s, r->order[r->sent])->size);
}

static bool may_probe(const struct session *s)
{
	const struct retrieval *r = &s->retrieval;

	if (r->probing || r->probes >= probes_needed(s))
		return false;
	if (r->draining || r->sent > r->alone_from || !s->pipelining)
		return (r->draining || r->sent >= r->alone_from) && is_quiet(s);
	/* Behind the last of the window, without waiting for it. */
	return r->sent == r->alone_from;
}

/* As many as the intake has room for: a listing may have millions of them. */
static int refuse_some(struct session *s, struct fault *f)
{
	struct retrieval *r = &s->retrieval;
	const struct entry_list *all = &s->plan.too_large;

	for (; r->too_large < all->n && intake_has_room(s->tools->intake); r->too_large++) {
		uint32_t entry = all->at[r->too_large];

		if (refuse_too_large(s, entry, entry_of(s, entry)->size, f) < 0)
			return -1;
	}
	return 0;
}

/* Queues what may be in flight. */
static int ask(struct session *s, struct fault *f)
{
	struct retrieval *r = &s->retrieval;

	if (refuse_some(s, f) < 0)
		return -1;
	while (r->sent < r->n && may_send(s)) {
		const struct listed *e = entry_of(s, r->order[r->sent]);

		if (pop3_command(s->pop3, POP3_RETR, e->number, f) < 0)
			return -1;
		window_sent(&r->window, e->size, now_us());
		r->sent++;
		r->probes = 0;
	}
	if (r->too_large < s->plan.too_large.n || !may_probe(s))
		return 0;
	r->probing = true;
	return pop3_command(s->pop3, POP3_NOOP, 0, f);
}

/* ---- Beginning ------------------------------------------------------------------------------- */

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
			trouble_find(s->trouble, listing_uidl(&s->listing, entry_of(s, entry)));

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
