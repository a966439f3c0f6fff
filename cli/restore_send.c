/* Mail on its way: read in the order in which it lies, announced in the journal, sent on whichever
 * line has room, and taken off the list when the server has answered. A candidate is fetched and
 * compared first; one that differs is sent. */
#include "cli/restore_imap_private.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/imap_name.h"

#include <inttypes.h>
#include <stdio.h>

enum { ANNOUNCE_MOST = 64, CHECKS_MOST = 32, TRIES_MOST = 3, DRAIN_MS = 10000, TURN_MS = 200 };

static struct item *item_of(struct imap_restore *x, const struct job *j)
{
	return &x->items.all[j->item];
}

/* ---- Jobs ------------------------------------------------------------------------------------ */

static void job_free(struct imap_restore *x, struct job *j)
{
	if (j->line && j->line->flying > 0)
		j->line->flying--;
	x->jobs_bytes -= j->spool ? j->size : 0;
	spool_freep(&j->spool);
	hasher_freep(&j->fetched);
	hasher_freep(&j->fetched_loose);
	free(j->flags);
	*j = (struct job){0};
	x->jobs_n--;
}

static struct job *job_new(struct imap_restore *x)
{
	for (size_t k = 0; k < LIMIT_RESTORE_JOBS; k++) {
		if (x->jobs[k].state == JOB_FREE) {
			x->jobs_n++;
			return &x->jobs[k];
		}
	}
	return NULL;
}

static uint64_t cookie_of(const struct imap_restore *x, const struct job *j)
{
	return (uint64_t)(j - x->jobs) + 1;
}

static void take_back(struct job *j)
{
	if (j->line && j->line->flying > 0)
		j->line->flying--;
	j->line = NULL;
}

static int note(
	struct imap_restore *x, const struct job *j, enum journal_kind kind, struct fault *f)
{
	const struct item *i = &x->items.all[j->item];
	const struct journal_line line = {.kind = kind,
		.folder = x->items.folders[i->folder].journal,
		.id = item_id(i),
		.digest = journal_digest(&j->message.digest)};

	return journal_add(x->journal, &line, f);
}

/* Nothing came of it, and that is certain. */
static int note_not(struct imap_restore *x, const struct job *j, struct fault *f)
{
	return note(x, j, JOURNAL_NOT, f);
}

static int note_compared(struct imap_restore *x, const struct job *j, struct fault *f)
{
	item_of(x, j)->compared = 1;
	return note(x, j, JOURNAL_COMPARED, f);
}

static int refuse(struct imap_restore *x, struct job *j, const char *text, struct fault *f)
{
	struct item *i = item_of(x, j);

	i->state = ITEM_REFUSED;
	x->done_items++;
	x->done_bytes += j->message.size_bytes;
	tell_failed(x, i, &j->message, text);
	return j->checks ? 0 : note_not(x, j, f);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* What the server can keep of them. */
static char *flags_for(const struct item_folder *folder, const char *flags)
{
	char *kept = malloc(strlen(flags) + 1);
	size_t len = 0;

	for (const char *at = flags; kept && *at;) {
		size_t n = strcspn(at, " ");
		bool takes =
			imap_flag_is_valid(slice_of(at, n)) && (at[0] == '\\' || folder->keywords);

		if (takes && len > 0)
			kept[len++] = ' ';
		if (takes) {
			memcpy(kept + len, at, n);
			len += n;
		}
		at += n + (at[n] == ' ');
	}
	if (kept)
		kept[len] = '\0';
	return kept;
}

static int place(struct imap_restore *x, struct job *j, const struct message *m, struct fault *f)
{
	struct placements p CLEANUP(placements_deinit) = {0};
	const struct item_folder *folder = &x->items.folders[item_of(x, j)->folder];
	size_t at = 0;

	if (placements_read(x->order->store, m, &x->order->rules, &p, f) < 0)
		return -1;
	for (size_t k = 0; k < p.n; k++) {
		if (strcmp(p.all[k].folder, folder->path) == 0)
			at = k;
	}
	j->received = p.all[at].received;
	j->flags = flags_for(folder, p.all[at].flags);
	return j->flags ? 0 : fault_memory(f);
}

/* >0: it cannot be had or sent, and it was said why. */
static int fill_spool(
	struct imap_restore *x, struct job *j, const struct message *m, struct fault *f)
{
	struct item *i = item_of(x, j);
	struct wire wire = {0};

	if (spool_new(x->pool, &j->spool, f) < 0)
		return -1;
	wire.to = j->spool;
	if (message_read(x->order->store, m, wire_add, &wire, f) < 0) {
		if (f->code != FAULT_DAMAGE && f->scope != SCOPE_MESSAGE)
			return -1;
		i->state = ITEM_DAMAGED;
		tell_failed(x, i, m, f->text);
		return 1;
	}
	spool_finish(j->spool);
	j->size = spool_size(j->spool);
	j->digest = *spool_digest(j->spool);
	x->jobs_bytes += j->size;
	if (wire.has_nul) {
		i->state = ITEM_REFUSED;
		tell_failed(x, i, m,
			"it holds a NUL byte, which IMAP does not carry; popkeep export has it");
		return 1;
	}
	item_set_size(i, j->size);
	i->flags |= ITEM_WIRE;
	x->sums->crlf += wire.bare_lfs > 0;
	return 0;
}

static int prepare(struct imap_restore *x, struct item *i, const struct message *m, struct fault *f)
{
	struct job *j = job_new(x);
	const struct item_folder *folder = &x->items.folders[i->folder];

	if (!j)
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0, "too many messages at once");
	j->state = JOB_READ;
	j->item = (uint32_t)(i - x->items.all);
	j->message = *m;
	j->message.account = j->message.class_ = NULL;
	if (folder->closed) {
		i->state = ITEM_REFUSED;
		tell_failed(x, i, m, folder->why);
		job_free(x, j);
		return 0;
	}
	int r = fill_spool(x, j, m, f);
	if (r == 0)
		r = place(x, j, m, f);
	if (r != 0) {
		x->done_items += r > 0;
		job_free(x, j);
		return r < 0 ? -1 : 0;
	}
	j->checks = i->state == ITEM_CANDIDATE;
	j->state = j->checks ? JOB_CHECK : JOB_READ;
	x->unannounced += !j->checks;
	i->state = ITEM_SENDING;
	return 0;
}

/* Jobs of the next message. 0: none is left. */
static int read_next(struct imap_restore *x, struct find_cursor *c, struct fault *f)
{
	struct message m;
	int r = find_next(c, &m, f);

	if (r <= 0)
		return r;
	for (struct item *i = items_first(&x->items, m.id); i; i = items_next(&x->items, i)) {
		if (item_key(m.id, journal_digest(&m.digest)) != i->key)
			continue;
		if ((i->state == ITEM_TODO || i->state == ITEM_CANDIDATE) &&
			prepare(x, i, &m, f) < 0)
			return -1;
	}
	return FIND_ROW;
}

static bool has_room(const struct imap_restore *x)
{
	/* A message may go into several folders. */
	return x->jobs_n < LIMIT_RESTORE_JOBS / 2 && x->jobs_bytes < LIMIT_RESTORE_BYTES;
}

static int announce(struct imap_restore *x, struct fault *f)
{
	for (size_t k = 0; k < LIMIT_RESTORE_JOBS; k++) {
		struct job *j = &x->jobs[k];
		const struct item *i = &x->items.all[j->item];

		if (j->state != JOB_READ)
			continue;
		const struct journal_line line = {.kind = JOURNAL_INTENT,
			.folder = x->items.folders[i->folder].journal,
			.id = item_id(i),
			.digest = journal_digest(&j->message.digest),
			.size = j->size,
			.t = moment_now()};
		if (journal_add(x->journal, &line, f) < 0)
			return -1;
	}
	if (journal_sync(x->journal, f) < 0)
		return -1;
	for (size_t k = 0; k < LIMIT_RESTORE_JOBS; k++) {
		if (x->jobs[k].state == JOB_READ)
			x->jobs[k].state = JOB_ANNOUNCED;
	}
	x->unannounced = 0;
	return 0;
}

/* ---- Handing out ----------------------------------------------------------------------------- */

static bool can_take(const struct line *l, const struct job *j, int64_t now)
{
	if (!l->up || l->begin_at > now)
		return false;
	if (j->checks)
		return l->flying < CHECKS_MOST;
	return imap_has_room(imap_session_engine(l->session));
}

/* The one with the least to do; to fetch, first one that has the folder open. */
static struct line *line_for(struct imap_restore *x, const struct job *j, int64_t now)
{
	const struct item *i = &x->items.all[j->item];
	struct line *best = NULL;

	for (unsigned k = 0; k < x->lines_n; k++) {
		struct line *l = &x->lines[k];

		if (!can_take(l, j, now))
			continue;
		if (j->checks && l->selected == i->folder + 1u)
			return l;
		if (!best || l->flying < best->flying)
			best = l;
	}
	return best;
}

static int order_fetch(struct imap_restore *x, struct line *l, struct job *j, struct fault *f)
{
	const struct item *i = &x->items.all[j->item];
	const struct imap_order open = {
		.kind = IMAP_EXAMINE, .mailbox = x->items.folders[i->folder].name};
	const struct imap_order fetch = {.kind = IMAP_FETCH_BODY,
		.cookie = cookie_of(x, j),
		.first = i->uid,
		.last = i->uid};

	if (l->selected != i->folder + 1u) {
		if (imap_command(imap_session_engine(l->session), &open, f) < 0)
			return -1;
		l->selected = i->folder + 1u;
	}
	if ((!j->fetched && hasher_new(&j->fetched, f) < 0) ||
		(!j->fetched_loose && hasher_new(&j->fetched_loose, f) < 0))
		return -1;
	return imap_command(imap_session_engine(l->session), &fetch, f);
}

static int order_append(struct imap_restore *x, struct line *l, struct job *j, struct fault *f)
{
	const struct item *i = &x->items.all[j->item];
	const struct imap_order append = {.kind = IMAP_APPEND,
		.cookie = cookie_of(x, j),
		.mailbox = x->items.folders[i->folder].name,
		.flags = j->flags,
		.has_received = true,
		.received = j->received,
		.size = j->size};

	j->given = 0;
	return imap_command(imap_session_engine(l->session), &append, f);
}

static int hand_out(struct imap_restore *x, struct fault *f)
{
	int64_t now = monotonic_ms();

	for (size_t k = 0; k < LIMIT_RESTORE_JOBS; k++) {
		struct job *j = &x->jobs[k];

		if (j->state != JOB_ANNOUNCED && j->state != JOB_CHECK)
			continue;
		struct line *l = line_for(x, j, now);
		if (!l)
			continue;
		int r = j->checks ? order_fetch(x, l, j, f) : order_append(x, l, j, f);
		if (r < 0 && f->scope != SCOPE_MESSAGE)
			return f->code == FAULT_LIMIT ? 0 : -1;
		if (r < 0) {
			if (refuse(x, j, f->text, f) < 0)
				return -1;
			job_free(x, j);
			continue;
		}
		j->state = JOB_FLYING;
		j->line = l;
		l->flying++;
	}
	return 0;
}

/* ---- What came of it ------------------------------------------------------------------------- */

/* The server may still want the rest of the bytes of what it has refused. */
static void announce_again(struct job *j)
{
	j->again = j->given < j->size;
	j->state = j->again ? JOB_DRAINING : JOB_ANNOUNCED;
	if (!j->again)
		take_back(j);
}

static int give(struct imap_restore *x, struct line *l, struct job *j, const struct imap_event *e,
	struct fault *f)
{
	size_t n = 0, room = e->room < sizeof x->piece ? e->room : sizeof x->piece;

	if (spool_read(j->spool, e->offset, x->piece, room, &n, f) < 0)
		return -1;
	j->given = e->offset + imap_give(imap_session_engine(l->session), slice_of(x->piece, n));
	if (j->state != JOB_DRAINING || j->given < j->size)
		return 0;
	if (j->again)
		announce_again(j);
	else
		job_free(x, j);
	return 0;
}

static int append_done(
	struct imap_restore *x, struct job *j, const struct imap_reply *r, struct fault *f)
{
	struct item *i = item_of(x, j);
	struct item_folder *folder = &x->items.folders[i->folder];

	i->uid = r->uid_validity == folder->uid_validity ? r->uid : 0;
	x->sums->sent++;
	x->sums->sent_bytes += j->message.size_bytes;
	folder->sent++;
	line_did_well(j->line);
	return note_done(x, i, &j->message, f);
}

static void stop_because(
	struct imap_restore *x, enum fault_code code, const char *what, const char *text)
{
	if (x->stopping)
		return;
	x->stopping = true;
	fault_record(&x->why, code, SCOPE_ACCOUNT, 0, "%s: %s", what, text);
}

static int back_to_todo(struct imap_restore *x, struct job *j, struct fault *f)
{
	item_of(x, j)->state = ITEM_TODO;
	return note_not(x, j, f);
}

/* JOB_FLYING as it was: sent again later. */
static void again_later(
	struct imap_restore *x, struct job *j, const struct imap_reply *r, const char *text)
{
	struct line *l = j->line;

	if (l->begin_at <= monotonic_ms())
		line_pause(x, l, r->wait_ms);
	if (l->failures > LIMIT_RESTORE_TRIES)
		stop_because(x, FAULT_PROTOCOL, "the server keeps putting us off", text);
	if (j->checks) {
		j->state = JOB_CHECK;
		take_back(j);
	} else {
		announce_again(j);
	}
}

static int no_mailbox(struct imap_restore *x, struct job *j, const char *text, struct fault *f)
{
	struct item *i = item_of(x, j);
	const struct imap_order create = {
		.kind = IMAP_CREATE, .mailbox = x->items.folders[i->folder].name};

	if (i->tries++ >= TRIES_MOST)
		return refuse(x, j, text, f);
	if (imap_command(imap_session_engine(j->line->session), &create, f) < 0)
		return -1;
	announce_again(j);
	return 0;
}

static int not_allowed(struct imap_restore *x, struct job *j, const char *text, struct fault *f)
{
	struct item_folder *folder = &x->items.folders[item_of(x, j)->folder];

	folder->closed = true;
	if (!folder->why)
		folder->why = strdup(text);
	return folder->why ? refuse(x, j, text, f) : fault_memory(f);
}

static int append_replied(
	struct imap_restore *x, struct job *j, const struct imap_event *e, struct fault *f)
{
	const struct imap_reply *reply = &e->reply;
	char text[384];
	int r = 0;

	if (e->unasked)
		j->given = j->size; /* nothing of it is drained */
	(void)escape_text(reply->text, text, sizeof text);
	switch (imap_verdict(reply)) {
	case IMAP_DONE:
		r = append_done(x, j, reply, f);
		break;
	case IMAP_NO_MAILBOX:
		r = no_mailbox(x, j, text, f);
		break;
	case IMAP_FULL:
		stop_because(x, FAULT_LIMIT, "the target is full", text);
		r = back_to_todo(x, j, f);
		break;
	case IMAP_LATER:
		again_later(x, j, reply, text);
		break;
	case IMAP_NOT_ALLOWED:
		r = not_allowed(x, j, text, f);
		break;
	case IMAP_TOO_BIG:
	case IMAP_EXISTS:
	case IMAP_REFUSED:
		r = refuse(x, j, text, f);
		break;
	}
	if (r < 0)
		return -1;
	if (j->state == JOB_ANNOUNCED || j->state == JOB_DRAINING)
		return 0;
	if (j->given < j->size)
		j->state = JOB_DRAINING;
	else
		job_free(x, j);
	return 0;
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static void hash_loosely(struct hasher *h, struct slice bytes)
{
	while (bytes.len > 0) {
		const uint8_t *cr = memchr(bytes.data, '\r', bytes.len);
		size_t n = cr ? (size_t)(cr - bytes.data) : bytes.len;

		hasher_add(h, bytes.data, n);
		n += cr ? 1 : 0;
		bytes = slice_of(bytes.data + n, bytes.len - n);
	}
}

/* Of what was read from the archive: its bytes without CRs, which some servers add or drop. */
static int loose_digest(
	struct imap_restore *x, const struct job *j, struct digest *ret, struct fault *f)
{
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	size_t n = 0;

	if (hasher_new(&h, f) < 0)
		return -1;
	for (uint64_t at = 0; at < j->size; at += n) {
		if (spool_read(j->spool, at, x->piece, sizeof x->piece, &n, f) < 0)
			return -1;
		if (n == 0)
			break;
		hash_loosely(h, slice_of(x->piece, n));
	}
	hasher_end(h, ret);
	return 0;
}

/* JOB_SAME; 0: not. */
enum { JOB_SAME = 1 };
static int compare_candidate(struct imap_restore *x, struct job *j, struct fault *f)
{
	struct item *i = item_of(x, j);
	struct digest fetched, loose, ours;

	hasher_end(j->fetched, &fetched);
	hasher_end(j->fetched_loose, &loose);
	if (digest_compare(&fetched, &j->digest) == 0)
		return JOB_SAME;
	if (!(i->flags & ITEM_DOUBTED))
		return 0;
	if (loose_digest(x, j, &ours, f) < 0)
		return -1;
	if (digest_compare(&loose, &ours) != 0)
		return 0;
	i->flags |= ITEM_CHANGED;
	return JOB_SAME;
}

static int candidate_checked(struct imap_restore *x, struct job *j, struct fault *f)
{
	struct item *i = item_of(x, j);
	int r = compare_candidate(x, j, f);

	if (r < 0)
		return -1;
	if (r == JOB_SAME) {
		i->flags |= ITEM_SEEN | (i->flags & ITEM_DOUBTED ? 0u : ITEM_FOUND);
		x->sums->there++;
		x->items.folders[i->folder].there++;
		x->sums->found += !(i->flags & ITEM_DOUBTED);
		r = note_done(x, i, &j->message, f);
		if (r == 0)
			r = note_compared(x, j, f);
		job_free(x, j);
		return r;
	}
	take_back(j);
	if (look_next_candidate(x, j->item)) {
		j->state = JOB_CHECK;
		return 0;
	}
	i->uid = 0;
	j->checks = false;
	j->state = JOB_READ;
	x->unannounced++;
	return 0;
}

/* As it was sent, where that is not as it is kept. */
static int wire_digest(
	struct imap_restore *x, const struct message *m, struct digest *ret, struct fault *f)
{
	struct spool *s CLEANUP(spool_freep) = NULL;
	struct wire wire = {0};

	if (spool_new(x->pool, &s, f) < 0)
		return -1;
	wire.to = s;
	if (message_read(x->order->store, m, wire_add, &wire, f) < 0)
		return -1;
	spool_finish(s);
	*ret = *spool_digest(s);
	return 0;
}

static int fetched_back(struct imap_restore *x, struct job *j, bool got, struct fault *f)
{
	struct item *i = item_of(x, j);
	struct digest fetched, ours = j->message.digest;

	hasher_end(j->fetched, &fetched);
	if (got) {
		if (item_size(i) != j->message.size_bytes &&
			wire_digest(x, &j->message, &ours, f) < 0)
			return -1;
		x->sums->compared++;
		if (digest_compare(&fetched, &ours) != 0)
			i->flags |= ITEM_CHANGED;
		if (note_compared(x, j, f) < 0)
			return -1;
	}
	x->done_items++;
	x->done_bytes += j->message.size_bytes;
	job_free(x, j);
	return 0;
}

static int fetch_replied(
	struct imap_restore *x, struct job *j, const struct imap_reply *reply, struct fault *f)
{
	enum imap_verdict v = imap_verdict(reply);
	char text[384];

	if (v == IMAP_LATER) {
		again_later(x, j, reply, escape_text(reply->text, text, sizeof text));
		return 0;
	}
	if (!j->spool)
		return fetched_back(x, j, v == IMAP_DONE, f);
	return candidate_checked(x, j, f);
}

/* ---- Events ---------------------------------------------------------------------------------- */

int send_take(struct imap_restore *x, struct line *l, const struct imap_event *e, struct fault *f)
{
	if (e->cookie == 0 || e->cookie > LIMIT_RESTORE_JOBS)
		return 0;
	struct job *j = &x->jobs[e->cookie - 1];
	if (j->line != l)
		return 0;
	switch (e->kind) {
	case IMAP_WANT_BYTES:
		return give(x, l, j, e, f);
	case IMAP_BODY:
		hasher_add(j->fetched, e->bytes.data, e->bytes.len);
		hash_loosely(j->fetched_loose, e->bytes);
		return 0;
	case IMAP_REPLY:
		if (j->checks)
			return fetch_replied(x, j, &e->reply, f);
		return append_replied(x, j, e, f);
	case IMAP_UP:
	case IMAP_LISTED:
	case IMAP_STATUS_DATA:
	case IMAP_MESSAGE:
	case IMAP_BODY_END:
	case IMAP_NOTICE:
		break;
	}
	return 0;
}

void send_lost(struct imap_restore *x, struct line *l)
{
	struct digest unused;

	for (size_t k = 0; x->jobs && k < LIMIT_RESTORE_JOBS; k++) {
		struct job *j = &x->jobs[k];

		if (j->state == JOB_FREE || j->line != l)
			continue;
		take_back(j);
		if (j->state == JOB_DRAINING && !j->again) {
			job_free(x, j);
		} else if (j->checks) {
			hasher_end(j->fetched, &unused);
			hasher_end(j->fetched_loose, &unused);
			j->state = JOB_CHECK;
		} else if (j->given < j->size) {
			/* Without its last byte it cannot have been taken. */
			j->state = JOB_ANNOUNCED;
			j->again = false;
		} else {
			item_of(x, j)->state = ITEM_DOUBT;
			x->doubt_at = monotonic_ms();
			job_free(x, j);
		}
	}
}

void send_free(struct imap_restore *x)
{
	for (size_t k = 0; x->jobs && k < LIMIT_RESTORE_JOBS; k++) {
		if (x->jobs[k].state != JOB_FREE)
			job_free(x, &x->jobs[k]);
	}
	free(x->jobs);
	x->jobs = NULL;
}

/* ---- Once through ---------------------------------------------------------------------------- */

/* What no line has yet goes back: nobody has seen it. */
static int give_up_unsent(struct imap_restore *x, struct fault *f)
{
	for (size_t k = 0; k < LIMIT_RESTORE_JOBS; k++) {
		struct job *j = &x->jobs[k];

		if (j->state != JOB_READ && j->state != JOB_ANNOUNCED && j->state != JOB_CHECK)
			continue;
		if (j->spool)
			item_of(x, j)->state = ITEM_TODO;
		if (j->state == JOB_ANNOUNCED && note_not(x, j, f) < 0)
			return -1;
		job_free(x, j);
	}
	x->unannounced = 0;
	return 0;
}

static unsigned flying(const struct imap_restore *x)
{
	unsigned n = 0;

	for (unsigned k = 0; k < x->lines_n; k++)
		n += x->lines[k].flying;
	return n;
}

typedef int reader(struct imap_restore *x, struct find_cursor *c, struct fault *f);

static int pass(struct imap_restore *x, struct find_cursor *c, reader *read, struct fault *f)
{
	bool ended = false;
	int64_t until = 0;

	while (!ended || x->jobs_n > 0) {
		if (x->stopping) {
			until = until ? until : monotonic_ms() + DRAIN_MS;
			ended = true;
			if (give_up_unsent(x, f) < 0)
				return -1;
			if (flying(x) == 0 || monotonic_ms() > until)
				break;
		}
		bool reads = !ended && has_room(x);
		if (reads) {
			int r = read(x, c, f);

			if (r < 0)
				return -1;
			ended = r == 0;
		}
		bool idle = flying(x) == 0 || !has_room(x) || ended;
		if (x->unannounced >= ANNOUNCE_MOST || (x->unannounced > 0 && idle)) {
			if (announce(x, f) < 0)
				return -1;
		}
		if (hand_out(x, f) < 0 || lines_turn(x, reads ? 0 : TURN_MS, f) < 0)
			return -1;
	}
	return journal_flush(x->journal, f);
}

static int with_cursor(struct imap_restore *x, reader *read, struct fault *f)
{
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	const struct find_options by_place = {.order = FIND_BY_PLACE};

	if (find_open(x->order->store, x->order->wanted, &by_place, &c, f) < 0)
		return -1;
	return pass(x, c, read, f);
}

int send_all(struct imap_restore *x, struct fault *f)
{
	return with_cursor(x, read_next, f);
}

/* The next message that this run sent. */
static int read_sent(struct imap_restore *x, struct find_cursor *c, struct fault *f)
{
	struct message m;
	int r = find_next(c, &m, f);

	if (r <= 0)
		return r;
	for (struct item *i = items_first(&x->items, m.id); i; i = items_next(&x->items, i)) {
		struct job *j;

		if (i->state != ITEM_DONE || i->uid == 0 || i->compared)
			continue;
		j = job_new(x);
		if (!j)
			break;
		j->state = JOB_CHECK;
		j->checks = true;
		j->item = (uint32_t)(i - x->items.all);
		j->message = m;
		j->message.account = j->message.class_ = NULL;
	}
	return FIND_ROW;
}

static uint64_t count_uncompared(const struct imap_restore *x)
{
	uint64_t n = 0;

	for (size_t k = 0; k < x->items.n; k++) {
		const struct item *i = &x->items.all[k];

		n += i->state == ITEM_DONE && i->uid != 0 && !i->compared;
	}
	return n;
}

/* Once more for what a server did not give out or no job was free for, as long as it gets on. */
int send_compare(struct imap_restore *x, struct fault *f)
{
	uint64_t left = count_uncompared(x), before;

	do {
		before = left;
		if (left > 0 && with_cursor(x, read_sent, f) < 0)
			return -1;
		left = count_uncompared(x);
	} while (left > 0 && left < before && !x->stopping);
	x->sums->uncompared = left;
	return 0;
}
