/* What is at the target: how its folders are spelled, which are missing, and which messages of ours
 * may be in them. A message that is listed is one of ours when our journal says so by its UID, or
 * when all its bytes are the same: those whose Message-ID and size fit are candidates, and are
 * fetched before one is believed (restore_send.c). */
#include "cli/restore_imap_private.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/imap_name.h"

#include <stdio.h>
#include <strings.h>

enum { ALIKE_MOST = 256 };

/* ---- Which may be ours ----------------------------------------------------------------------- */

struct look {
	struct imap_restore *x;
	unsigned folder;
	uint32_t first;
};

static int add_candidate(struct imap_restore *x, uint32_t item, uint32_t uid, struct fault *f)
{
	struct item *i = &x->items.all[item];

	if (i->state != ITEM_CANDIDATE) {
		i->flags |= i->state == ITEM_DOUBT ? ITEM_DOUBTED : 0u;
		i->state = ITEM_CANDIDATE;
		i->uid = uid;
		return 0;
	}
	if (uid == i->uid)
		return 0;
	if (uid < i->uid) {
		/* The least is looked at first, in whatever order they are listed. */
		uint32_t later = i->uid;

		i->uid = uid;
		uid = later;
	}
	if (x->candidates_n == LIMIT_RESTORE_CANDIDATES)
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
			"too many messages at the target look like those to be restored");
	if (x->candidates_n == x->candidates_size) {
		size_t size = x->candidates_size ? x->candidates_size * 2 : 64;
		struct candidate *more = reallocarray(x->candidates, size, sizeof *more);

		if (!more)
			return fault_memory(f);
		x->candidates = more;
		x->candidates_size = size;
	}
	x->candidates[x->candidates_n++] = (struct candidate){item, uid};
	return 0;
}

static bool may_be(const struct look *l, const struct item *i, const struct imap_message *m)
{
	uint64_t size = item_size(i);

	if (i->state != ITEM_TODO && i->state != ITEM_DOUBT && i->state != ITEM_CANDIDATE)
		return false;
	if (m->size == size)
		return true;
	/* It may have bare LFs, which became CRLF on the way. */
	if (!(i->flags & ITEM_WIRE) && m->size > size && m->size <= 2 * size)
		return true;
	bool doubted = i->state == ITEM_DOUBT || i->flags & ITEM_DOUBTED;
	return doubted && m->uid >= l->x->items.folders[l->folder].next_before;
}

/* The server took it and did not say under which UID: it is this one. The next run has to know, or
 * it could not tell the message from one that was never brought. */
static int note_uid(const struct look *l, struct item *i, uint32_t uid, struct fault *f)
{
	const struct item_folder *folder = &l->x->items.folders[l->folder];
	const struct journal_line line = {.kind = JOURNAL_DONE,
		.folder = folder->journal,
		.id = item_id(i),
		.digest = item_digest(i),
		.size = item_size(i),
		.uid_validity = folder->uid_validity,
		.uid = uid};

	i->uid = uid;
	i->flags |= ITEM_SEEN;
	return journal_add(l->x->journal, &line, f);
}

/* Those with this key; exact: of this size alone. */
static int match(const struct look *l, uint32_t message_id, bool exact,
	const struct imap_message *m, struct fault *f)
{
	struct imap_restore *x = l->x;
	size_t n;
	const uint32_t *at = items_range(&x->items, BY_MESSAGE_ID, l->folder,
		items_key(message_id, exact ? m->size : 0),
		items_key(message_id, exact ? m->size : UINT32_MAX), &n);

	for (size_t k = 0; k < n && k < ALIKE_MOST; k++) {
		struct item *i = &x->items.all[at[k]];

		if (i->state == ITEM_DONE && i->uid == 0 && m->size == item_size(i) &&
			m->uid >= x->items.folders[l->folder].uid_next)
			return note_uid(l, i, m->uid, f);
		if (may_be(l, i, m) && add_candidate(x, at[k], m->uid, f) < 0)
			return -1;
	}
	return 0;
}

static bool is_done(const struct look *l, const struct imap_message *m)
{
	struct items *t = &l->x->items;
	size_t n;
	const uint32_t *at = items_range(t, BY_UID, l->folder, m->uid, m->uid, &n);
	struct item *done = NULL;

	/* One message is there for one of ours, though the server gave its UID to several. */
	for (size_t k = 0; k < n; k++) {
		struct item *i = &t->all[at[k]];

		if (i->state == ITEM_DONE && (!done || m->size == item_size(i)))
			done = i;
	}
	if (!done)
		return false;
	done->flags |= ITEM_SEEN;
	if (done->flags & ITEM_WIRE && m->size != item_size(done))
		done->flags |= ITEM_CHANGED;
	return true;
}

static int take_listed(void *context, const struct imap_event *e, struct fault *f)
{
	const struct look *l = (const struct look *)context;
	uint32_t hash;

	if (e->kind != IMAP_MESSAGE || e->message.uid < l->first || is_done(l, &e->message))
		return 0;
	hash = message_id_hash(e->message.message_id);
	if (match(l, hash, e->message.message_id.len == 0, &e->message, f) < 0)
		return -1;
	return match(l, 0, true, &e->message, f);
}

static int by_item(const void *a, const void *b)
{
	const struct candidate *x = (const struct candidate *)a, *y = (const struct candidate *)b;

	if (x->item != y->item)
		return x->item < y->item ? -1 : 1;
	return (x->uid > y->uid) - (x->uid < y->uid);
}

bool look_next_candidate(struct imap_restore *x, uint32_t item)
{
	struct item *i = &x->items.all[item];
	size_t low = 0, high = x->candidates_n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct candidate *c = &x->candidates[middle];

		if (c->item < item || (c->item == item && c->uid <= i->uid))
			low = middle + 1;
		else
			high = middle;
	}
	if (low == x->candidates_n || x->candidates[low].item != item)
		return false;
	i->uid = x->candidates[low].uid;
	return true;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

/* Asks on a line that is up, and again where the connection breaks. */
static int ask(struct imap_restore *x, const struct imap_order *order, struct asked *a,
	struct line **ret, struct fault *f)
{
	bool broke = true;

	while (broke) {
		if (lines_first(x, ret, f) < 0 || lines_ask(x, *ret, order, a, &broke, f) < 0)
			return -1;
		if (broke)
			continue;
		(*ret)->selected = 0;
		if (a->verdict == IMAP_LATER) {
			if ((*ret)->failures >= LIMIT_RESTORE_TRIES)
				return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0,
					"the server keeps putting us off: %s", a->text);
			line_pause(x, *ret, a->reply.wait_ms);
			broke = true;
		}
	}
	return 0;
}

static int select_folder(struct imap_restore *x, const struct item_folder *folder, struct asked *a,
	struct line **ret, struct fault *f)
{
	const struct imap_order order = {
		.kind = x->order->look_only ? IMAP_EXAMINE : IMAP_SELECT, .mailbox = folder->name};

	return ask(x, &order, a, ret, f);
}

static int list_from(
	struct imap_restore *x, unsigned folder, uint32_t first, bool *ret_broke, struct fault *f)
{
	struct look look = {x, folder, first};
	struct asked a = {.taker = take_listed, .context = &look}, selected = {0};
	const struct imap_order order = {
		.kind = IMAP_FETCH_LIST, .first = first, .last = UINT32_MAX};
	struct line *l;

	*ret_broke = false;
	if (select_folder(x, &x->items.folders[folder], &selected, &l, f) < 0)
		return -1;
	if (selected.verdict != IMAP_DONE)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0,
			"the server does not open a folder any more: %s", selected.text);
	const struct imap_selected *s = imap_selected(imap_session_engine(l->session));
	if (s->uid_validity != x->items.folders[folder].uid_validity)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0,
			"the folder was made anew meanwhile (its UIDVALIDITY changed), and what is "
			"in it is not known any more");
	if (s->exists == 0)
		return 0;
	if (lines_ask(x, l, &order, &a, ret_broke, f) < 0)
		return -1;
	if (!*ret_broke && a.verdict != IMAP_DONE)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0,
			"the server does not list a folder: %s", a.text);
	line_did_well(l);
	return 0;
}

int look_into(struct imap_restore *x, unsigned folder, uint32_t first, struct fault *f)
{
	char name[256];
	bool broke = true;

	/* What a broken listing found is found again: candidates are not remembered twice. */
	while (broke) {
		if (list_from(x, folder, first ? first : 1, &broke, f) < 0)
			return fault_prefix(f, "folder %s",
				escape_text(slice_text(x->items.folders[folder].path), name,
					sizeof name));
		if (broke)
			items_order(&x->items); /* UIDs that it has told already */
	}
	if (x->candidates_n)
		qsort(x->candidates, x->candidates_n, sizeof *x->candidates, by_item);
	return 0;
}

/* ---- Folders --------------------------------------------------------------------------------- */

static int take_delimiter(void *context, const struct imap_event *e, struct fault *f)
{
	struct imap_restore *x = (struct imap_restore *)context;

	(void)f;
	if (e->kind == IMAP_LISTED)
		x->delimiter = e->listed.delimiter;
	return 0;
}

static int spell(struct imap_restore *x, struct item_folder *folder, struct fault *f)
{
	struct buffer name CLEANUP(buffer_deinit) = buffer_make(4 * LIMIT_FOLDER + 16);

	int r = imap_name_of_path(&name, folder->path, x->delimiter, x->prefix, f);
	if (r < 0)
		return -1;
	if (r == IMAP_NAME_INVALID)
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"a folder's name cannot be written in IMAP");
	free(folder->name);
	folder->name = strdup(buffer_text(&name) ? buffer_text(&name) : "");
	return folder->name ? 0 : fault_memory(f);
}

static bool is_below_inbox(const char *path)
{
	return strncasecmp(path, "INBOX", 5) == 0 && (path[5] == '/' || !path[5]);
}

/* Where the server refuses the name: it may want all folders below INBOX (Courier). */
static int create_below_inbox(
	struct imap_restore *x, struct item_folder *folder, struct asked *a, struct fault *f)
{
	char prefix[] = {'I', 'N', 'B', 'O', 'X', x->delimiter, '\0'};
	struct line *l;

	x->prefix = strdup(prefix);
	if (!x->prefix)
		return fault_memory(f);
	if (spell(x, folder, f) < 0)
		return -1;
	const struct imap_order order = {.kind = IMAP_CREATE, .mailbox = folder->name};
	if (ask(x, &order, a, &l, f) < 0)
		return -1;
	if (a->verdict == IMAP_DONE || a->verdict == IMAP_EXISTS)
		return 0;
	freep(&x->prefix);
	return spell(x, folder, f);
}

static int close_folder(struct item_folder *folder, const char *text, struct fault *f)
{
	folder->closed = true;
	free(folder->why);
	folder->why = strdup(text);
	return folder->why ? 0 : fault_memory(f);
}

/* 0 also when the server refuses: folder->closed. */
static int create(struct imap_restore *x, struct item_folder *folder, struct fault *f)
{
	struct asked a = {0}, subscribed = {0};
	struct imap_order order = {.kind = IMAP_CREATE, .mailbox = folder->name};
	struct line *l;
	char first[256];

	if (ask(x, &order, &a, &l, f) < 0)
		return -1;
	if (a.verdict != IMAP_DONE && a.verdict != IMAP_EXISTS) {
		memcpy(first, a.text, sizeof first);
		if (!x->prefix && x->delimiter && !is_below_inbox(folder->path) &&
			create_below_inbox(x, folder, &a, f) < 0)
			return -1;
		if (a.verdict != IMAP_DONE && a.verdict != IMAP_EXISTS)
			return close_folder(folder, first, f);
	}
	folder->created = a.verdict == IMAP_DONE;
	order = (struct imap_order){.kind = IMAP_SUBSCRIBE, .mailbox = folder->name};
	return ask(x, &order, &subscribed, &l, f);
}

/* Mail that was there under another UIDVALIDITY is not known any more. */
static void forget_earlier(struct imap_restore *x, unsigned folder)
{
	for (size_t k = 0; k < x->items.n; k++) {
		struct item *i = &x->items.all[k];

		if (i->folder == folder && (i->state == ITEM_DONE || i->state == ITEM_DOUBT)) {
			i->state = ITEM_TODO;
			i->uid = 0;
			i->flags &= (uint8_t) ~(ITEM_EARLIER | ITEM_SEEN);
		}
	}
	x->items.folders[folder].next_before = 0;
}

static int note_folder(struct imap_restore *x, unsigned number, struct fault *f)
{
	struct item_folder *folder = &x->items.folders[number];
	struct journal_line line = {.kind = JOURNAL_FOLDER,
		.folder = folder->journal,
		.name = slice_text(folder->path)};

	if (!x->journal || x->order->look_only)
		return 0;
	if (folder->journal == UINT32_MAX) {
		folder->journal = line.folder = x->journal_folders++;
		if (journal_add(x->journal, &line, f) < 0)
			return -1;
	}
	line = (struct journal_line){.kind = JOURNAL_MAILBOX,
		.folder = folder->journal,
		.uid_validity = folder->uid_validity,
		.uid = folder->uid_next,
		.t = moment_now()};
	return journal_add(x->journal, &line, f);
}

static int note_selected(
	struct imap_restore *x, unsigned number, const struct imap_selected *s, struct fault *f)
{
	struct item_folder *folder = &x->items.folders[number];

	folder->ready = true;
	folder->uid_validity = s->uid_validity;
	folder->uid_next = s->uid_next;
	folder->keywords = !s->keywords_known || s->keywords_any;
	if (s->read_only && !x->order->look_only)
		return close_folder(folder, "the folder is read-only", f);
	if (folder->validity_before && folder->validity_before != s->uid_validity)
		forget_earlier(x, number);
	return note_folder(x, number, f);
}

static int look_at_folder(struct imap_restore *x, unsigned number, struct fault *f)
{
	struct item_folder *folder = &x->items.folders[number];
	struct asked a = {0};
	struct line *l;

	if (spell(x, folder, f) < 0 || select_folder(x, folder, &a, &l, f) < 0)
		return -1;
	if (a.verdict != IMAP_DONE && x->order->look_only) {
		folder->created = true;
		return 0;
	}
	if (a.verdict != IMAP_DONE) {
		if (create(x, folder, f) < 0)
			return -1;
		if (folder->closed)
			return 0;
		if (select_folder(x, folder, &a, &l, f) < 0)
			return -1;
		if (a.verdict != IMAP_DONE)
			return close_folder(folder, a.text, f);
	}
	const struct imap_selected s = *imap_selected(imap_session_engine(l->session));
	if (note_selected(x, number, &s, f) < 0)
		return -1;
	return s.exists > 0 ? look_into(x, number, 1, f) : 0;
}

int look_at_folders(struct imap_restore *x, struct fault *f)
{
	struct asked a = {.taker = take_delimiter, .context = x};
	const struct imap_order order = {.kind = IMAP_LIST, .mailbox = ""};
	struct line *l;
	char name[256];

	if (ask(x, &order, &a, &l, f) < 0)
		return -1;
	items_order(&x->items);
	for (unsigned i = 0; i < x->items.folders_n; i++) {
		if (look_at_folder(x, i, f) < 0)
			return fault_prefix(f, "folder %s",
				escape_text(
					slice_text(x->items.folders[i].path), name, sizeof name));
	}
	return 0;
}
