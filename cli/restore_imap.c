/* Restoring into an IMAP server:
 *
 *	1. the plan: every message that matches, by where it lies, and its folders
 *	2. the journal: what earlier runs brought, and what they left in doubt
 *	3. the target: folders are made, and listed where something is in them
 *	4. what is not there is sent; what may be there is compared first
 *	5. what is in doubt since (a connection broke before the answer) is looked for; 4 again
 *	6. each folder is listed from where this run began: is everything there, with its size?
 *	7. the ledger gets its line (cmd_restore.c)
 *
 * A message in doubt is looked for only when the server has had LIMIT_RESTORE_SETTLE_MS since its
 * bytes were sent: a session that was cut works off what it has received. */
#include "cli/restore_imap_private.h"

#include "archive/escape.h"
#include "archive/limits.h"

#include <stdarg.h>
#include <stdio.h>

enum { ROUNDS_MOST = 16, TURN_MS = 200 };

/* ---- Telling --------------------------------------------------------------------------------- */

void tell_note(struct imap_restore *x, const char *format, ...)
{
	char text[FAULT_TEXT_MAX + 128];
	const struct restore_event e = {.kind = RESTORE_NOTE, .text = text};
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	(void)x->watch->tell(x->watch->context, &e);
}

void tell_failed(struct imap_restore *x, struct item *i, const struct message *m, const char *text)
{
	const struct restore_event e = {.kind = RESTORE_FAILED,
		.message = m,
		.path = x->items.folders[i->folder].path,
		.text = text};

	i->flags |= ITEM_NAMED;
	(void)x->watch->tell(x->watch->context, &e);
}

int tell_progress(struct imap_restore *x)
{
	const struct restore_event e = {.kind = RESTORE_PROGRESS,
		.label = x->label,
		.done = x->done_bytes,
		.all = x->items.bytes,
		.items = x->done_items,
		.items_all = x->items.n};

	return x->watch->tell(x->watch->context, &e);
}

int note_done(struct imap_restore *x, struct item *i, const struct message *m, struct fault *f)
{
	const struct item_folder *folder = &x->items.folders[i->folder];
	const struct journal_line line = {.kind = JOURNAL_DONE,
		.folder = folder->journal,
		.id = item_id(i),
		.digest = journal_digest(&m->digest),
		.size = item_size(i),
		.uid_validity = folder->uid_validity,
		.uid = i->uid};

	i->state = ITEM_DONE;
	x->done_items++;
	x->done_bytes += m->size_bytes;
	return journal_add(x->journal, &line, f);
}

/* ---- 1. The plan ----------------------------------------------------------------------------- */

static int plan_message(struct imap_restore *x, const struct message *m, struct fault *f)
{
	struct placements p CLEANUP(placements_deinit) = {0};

	if (placements_read(x->order->store, m, &x->order->rules, &p, f) < 0)
		return -1;
	for (size_t k = 0; k < p.n; k++) {
		struct item i = {.key = item_key(m->id, journal_digest(&m->digest)),
			.message_id = p.message_id,
			.flags = p.indexed ? ITEM_INDEXED : 0};
		unsigned folder = 0;

		if (items_folder(&x->items, p.all[k].folder, &folder, f) < 0)
			return -1;
		i.folder = folder & (LIMIT_RESTORE_FOLDERS - 1);
		item_set_size(&i, m->size_bytes);
		if (items_add(&x->items, &i, f) < 0)
			return -1;
	}
	return 0;
}

static int plan(struct imap_restore *x, struct fault *f)
{
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	const struct find_options by_place = {.order = FIND_BY_PLACE};
	struct message m;
	int r;

	if (find_open(x->order->store, x->order->wanted, &by_place, &c, f) < 0)
		return -1;
	while ((r = find_next(c, &m, f)) == FIND_ROW) {
		if (plan_message(x, &m, f) < 0)
			return -1;
	}
	if (r < 0 || items_sort(&x->items, f) < 0)
		return -1;
	x->sums->messages = x->items.messages;
	x->sums->wanted = x->items.n;
	x->sums->bytes = x->items.bytes;
	return x->items.n ? 0 : fault_set(f, FAULT_MISSING, SCOPE_SESSION, 0, "no message matches");
}

/* ---- 2. The journal -------------------------------------------------------------------------- */

enum { NO_FOLDER = UINT16_MAX };

struct merge {
	uint16_t *folders; /* ours, by the journal's numbers */
	size_t n;
	moment_ms doubt; /* when the last intent without an answer was written */
};

static int merge_folder(
	struct imap_restore *x, struct merge *g, const struct journal_line *l, struct fault *f)
{
	uint16_t *more;

	if (l->folder != g->n || g->n >= LIMIT_RESTORE_FOLDERS)
		return 0; /* damaged; its lines do not count */
	more = reallocarray(g->folders, g->n + 1, sizeof *more);
	if (!more)
		return fault_memory(f);
	g->folders = more;
	more[g->n] = NO_FOLDER;
	for (size_t k = 0; k < x->items.folders_n; k++) {
		struct item_folder *folder = &x->items.folders[k];

		if (slice_compare(slice_text(folder->path), l->name) == 0) {
			more[g->n] = (uint16_t)k;
			folder->journal = l->folder;
		}
	}
	g->n++;
	x->journal_folders = (uint32_t)g->n;
	return 0;
}

static void merge_mailbox(struct item_folder *folder, const struct journal_line *l)
{
	if (folder->validity_before != l->uid_validity || !folder->next_before)
		folder->next_before = l->uid;
	folder->validity_before = l->uid_validity;
}

static void merge_message(
	struct imap_restore *x, struct merge *g, unsigned number, const struct journal_line *l)
{
	const struct item_folder *folder = &x->items.folders[number];
	struct item *i = items_find(&x->items, l->id, number);

	if (!i || i->key != item_key(l->id, l->digest))
		return;
	if (l->kind == JOURNAL_INTENT) {
		i->state = ITEM_DOUBT;
		g->doubt = l->t > g->doubt ? l->t : g->doubt;
	} else if (l->kind == JOURNAL_COMPARED) {
		i->compared = i->state == ITEM_DONE;
		return;
	} else if (l->kind == JOURNAL_DONE && l->uid_validity == folder->validity_before) {
		/* Without a UID, only its bytes can tell whether it is there still. */
		i->state = l->uid ? ITEM_DONE : ITEM_DOUBT;
		i->uid = l->uid;
		i->flags |= ITEM_EARLIER;
	} else {
		i->state = ITEM_TODO;
	}
	if (l->kind != JOURNAL_NOT) {
		item_set_size(i, l->size);
		i->flags |= ITEM_WIRE;
	}
}

static int merge_line(
	struct imap_restore *x, struct merge *g, const struct journal_line *l, struct fault *f)
{
	if (l->kind == JOURNAL_FOLDER)
		return merge_folder(x, g, l, f);
	if (l->folder >= g->n || g->folders[l->folder] == NO_FOLDER)
		return 0;
	unsigned number = g->folders[l->folder];
	if (l->kind == JOURNAL_MAILBOX)
		merge_mailbox(&x->items.folders[number], l);
	else
		merge_message(x, g, number, l);
	return 0;
}

/* The answer to what another run sent last may be under way still. */
static void note_doubt(struct imap_restore *x, moment_ms doubt)
{
	int64_t age = moment_now() - doubt;

	if (!doubt)
		return;
	x->doubt_at = monotonic_ms();
	if (age > 0)
		x->doubt_at -= age < LIMIT_RESTORE_SETTLE_MS ? age : LIMIT_RESTORE_SETTLE_MS;
}

static int merge(struct imap_restore *x, struct fault *f)
{
	struct merge g = {0};
	struct journal_line line;
	int r;

	if (journal_open(x->order->journal, store_id(x->order->store), x->order->target,
		    &x->journal, f) < 0)
		return -1;
	while ((r = journal_next(x->journal, &line, f)) == JOURNAL_LINE) {
		if (merge_line(x, &g, &line, f) < 0) {
			r = -1;
			break;
		}
	}
	free(g.folders);
	note_doubt(x, g.doubt);
	if (r == 0 && journal_damaged(x->journal))
		tell_note(x, "the journal is damaged in places; messages that it lost are looked "
			     "for at the target");
	return r;
}

/* ---- 3. and 5. The target -------------------------------------------------------------------- */

/* Until a session that was cut has done what it was asked to. */
static int settle(struct imap_restore *x, struct fault *f)
{
	if (!x->doubt_at || items_count(&x->items, ITEM_DOUBT) == 0)
		return 0;
	while (monotonic_ms() < x->doubt_at + LIMIT_RESTORE_SETTLE_MS) {
		if (lines_turn(x, TURN_MS, f) < 0)
			return -1;
		if (x->stopping)
			break;
	}
	x->doubt_at = 0;
	return 0;
}

/* What was in doubt and was not found was not taken; what was brought and is not there any more
 * goes again, or stays away. */
static void judge(struct imap_restore *x)
{
	for (size_t k = 0; k < x->items.n; k++) {
		struct item *i = &x->items.all[k];
		struct item_folder *folder = &x->items.folders[i->folder];

		if (i->state == ITEM_DOUBT) {
			i->state = ITEM_TODO;
		} else if (i->state == ITEM_DONE && i->flags & ITEM_EARLIER && folder->ready &&
			   !(i->flags & ITEM_SEEN)) {
			bool again = x->order->gone == GONE_AGAIN;

			i->state = again ? ITEM_TODO : ITEM_GONE;
			i->flags &= (uint8_t)~ITEM_EARLIER;
			i->uid = 0;
			x->sums->gone += !again;
		}
	}
}

static void count_there(struct imap_restore *x)
{
	for (size_t k = 0; k < x->items.n; k++) {
		struct item *i = &x->items.all[k];

		if (i->state != ITEM_DONE)
			continue;
		x->sums->there++;
		x->items.folders[i->folder].there++;
		x->done_items++;
		x->done_bytes += item_size(i);
	}
}

/* Looks for what is in doubt since this run began. */
static int look_for_doubts(struct imap_restore *x, struct fault *f)
{
	if (settle(x, f) < 0)
		return -1;
	items_order(&x->items);
	for (unsigned n = 0; n < x->items.folders_n; n++) {
		struct item_folder *folder = &x->items.folders[n];
		bool doubt = false;

		for (size_t k = 0; k < x->items.n && !doubt; k++)
			doubt = x->items.all[k].folder == n && x->items.all[k].state == ITEM_DOUBT;
		if (!folder->next_before)
			folder->next_before = folder->uid_next;
		if (doubt && look_into(x, n, folder->uid_next, f) < 0)
			return -1;
	}
	judge(x);
	return 0;
}

static size_t left(const struct imap_restore *x)
{
	return items_count(&x->items, ITEM_TODO) + items_count(&x->items, ITEM_CANDIDATE) +
	       items_count(&x->items, ITEM_DOUBT);
}

static int bring(struct imap_restore *x, struct fault *f)
{
	for (unsigned round = 0; round < ROUNDS_MOST && left(x) > 0; round++) {
		if (items_count(&x->items, ITEM_DOUBT) > 0 && look_for_doubts(x, f) < 0)
			return -1;
		lines_open_all(x);
		if (send_all(x, f) < 0)
			return -1;
		if (x->stopping)
			break;
	}
	return 0;
}

/* ---- 6. Is everything there? ----------------------------------------------------------------- */

static int verify(struct imap_restore *x, struct fault *f)
{
	items_order(&x->items);
	for (unsigned n = 0; n < x->items.folders_n; n++) {
		const struct item_folder *folder = &x->items.folders[n];

		if (folder->ready && folder->sent > 0 && look_into(x, n, folder->uid_next, f) < 0)
			return -1;
	}
	return 0;
}

/* Also where the target is full: the numbers shall be right then. */
static int check_end(struct imap_restore *x, struct fault *f)
{
	bool stopping = x->stopping;

	if ((stopping && x->why.code != FAULT_LIMIT) || x->order->compare == COMPARE_NONE)
		return 0;
	x->stopping = false;
	if (verify(x, f) < 0)
		return -1;
	x->stopping |= stopping;
	x->checked = true;
	return 0;
}

/* Where nothing was looked up, the server's word counts. */
static bool is_there(const struct imap_restore *x, const struct item *i)
{
	return i->state == ITEM_DONE && (!x->checked || i->flags & ITEM_SEEN);
}

static void count_end(struct imap_restore *x)
{
	for (size_t k = 0; k < x->items.n; k++) {
		const struct item *i = &x->items.all[k];
		bool there = is_there(x, i);

		x->sums->at_target += there;
		x->sums->at_target_bytes += there ? item_size(i) : 0;
		x->sums->changed += there && i->flags & ITEM_CHANGED;
		x->sums->damaged += i->state == ITEM_DAMAGED;
		x->sums->refused += i->state == ITEM_REFUSED;
		x->items.folders[i->folder].failed += !there && i->state != ITEM_GONE;
	}
	x->sums->unsure = x->sums->wanted - x->sums->at_target - x->sums->gone - x->sums->damaged -
			  x->sums->refused;
}

static void tell_folders(struct imap_restore *x)
{
	for (size_t k = 0; k < x->items.folders_n; k++) {
		const struct item_folder *folder = &x->items.folders[k];
		const struct restore_folder told = {.path = folder->path,
			.messages = folder->messages,
			.bytes = folder->bytes,
			.there = folder->there,
			.sent = folder->sent,
			.failed = folder->failed,
			.created = folder->created};
		const struct restore_event e = {.kind = RESTORE_FOLDER, .folder = &told};

		(void)x->watch->tell(x->watch->context, &e);
	}
}

/* The ids of those that nobody named yet. */
static int name_unsure(struct imap_restore *x, struct fault *f)
{
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	const struct find_options by_place = {.order = FIND_BY_PLACE};
	struct message m;
	int r;

	if (x->sums->unsure == 0 || x->stopping)
		return 0;
	if (find_open(x->order->store, x->order->wanted, &by_place, &c, f) < 0)
		return -1;
	while ((r = find_next(c, &m, f)) == FIND_ROW) {
		for (struct item *i = items_first(&x->items, m.id); i;
			i = items_next(&x->items, i)) {
			bool there = is_there(x, i);

			if (there || i->state == ITEM_GONE || i->flags & ITEM_NAMED)
				continue;
			tell_failed(x, i, &m,
				i->state == ITEM_DONE ? "the server took it and does not list it"
						      : "it was not sent");
		}
	}
	return r;
}

/* ---- All of it ------------------------------------------------------------------------------- */

static int prepare(struct imap_restore *x, struct fault *f)
{
	const struct restore_order *o = x->order;

	x->label = "restoring";
	x->jobs = calloc(LIMIT_RESTORE_JOBS, sizeof *x->jobs);
	if (!x->jobs)
		return fault_memory(f);
	if (plan(x, f) < 0)
		return -1;
	if (merge(x, f) < 0)
		return -1;
	if (network_open(&x->network, f) < 0 || spool_pool_open(o->spool, &x->pool, f) < 0)
		return -1;
	x->lines_n = 1;
	return 0;
}

static int work(struct imap_restore *x, struct fault *f)
{
	x->sums->unlooked = true;
	if (prepare(x, f) < 0)
		return -1;
	/* What a dry run is not sure of, it says. */
	if (!x->order->look_only && settle(x, f) < 0)
		return -1;
	if (look_at_folders(x, f) < 0)
		return -1;
	x->sums->unlooked = x->stopping;
	judge(x);
	count_there(x);
	if (x->order->look_only)
		return 0;
	if (bring(x, f) < 0)
		return -1;
	if (check_end(x, f) < 0)
		return -1;
	if (!x->stopping && x->order->compare == COMPARE_DIGESTS) {
		x->label = "comparing";
		x->done_bytes = x->done_items = 0;
		if (send_compare(x, f) < 0)
			return -1;
	}
	return 0;
}

/* A dry run counts what seems to be there. */
static void count_candidates(struct imap_restore *x)
{
	for (size_t k = 0; k < x->items.n; k++) {
		const struct item *i = &x->items.all[k];

		if (i->state != ITEM_CANDIDATE)
			continue;
		x->sums->there++;
		x->sums->found++;
		x->items.folders[i->folder].there++;
	}
}

static void deinit(struct imap_restore *x)
{
	struct fault ignored;

	lines_close(x);
	send_free(x);
	if (x->journal && !x->order->look_only && journal_flush(x->journal, &ignored) < 0)
		tell_note(x, "%s", ignored.text);
	journal_close(x->journal);
	x->network = network_close(x->network);
	spool_pool_closep(&x->pool);
	items_deinit(&x->items);
	free(x->candidates);
	free(x->prefix);
}

int restore_imap(const struct restore_order *order, const struct restore_watch *watch,
	struct restore_sums *ret, struct fault *f)
{
	struct imap_restore *x = calloc(1, sizeof *x);

	*ret = (struct restore_sums){0};
	if (!x)
		return fault_memory(f);
	x->order = order;
	x->watch = watch;
	x->sums = ret;
	int r = work(x, f);
	if (order->look_only)
		count_candidates(x);
	else
		count_end(x);
	if (r == 0 && !order->look_only)
		r = name_unsure(x, f);
	if (x->items.n && !x->sums->unlooked)
		tell_folders(x);
	if (r == 0 && x->stopping) {
		*f = x->why;
		r = -1;
	}
	deinit(x);
	free(x);
	return r;
}
