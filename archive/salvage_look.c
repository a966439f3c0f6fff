/* What of a segment is damaged, and whether it lies elsewhere too. */
#include "archive/file.h"
#include "archive/salvage_private.h"
#include "archive/stretch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { FIRST_SIZE = 256 };

/* ---- Its messages ---------------------------------------------------------------------------- */

void salvage_forget(struct salvage *x)
{
	for (size_t i = 0; i < x->mails; i++)
		free(x->mail[i].why);
	free(x->mail);
	fd_closep(&x->fd);
	x->mail = NULL;
	x->mails = x->mails_size = x->bad = 0;
	x->all = x->done = 0;
}

static int add_mail(struct salvage *x, sqlite3_stmt *row, struct fault *f)
{
	struct slice digest = column_bytes(row, 1);

	if (digest.len != DIGEST_LEN)
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
			"catalog.db is damaged; run `popkeep rebuild`");
	if (x->mails == x->mails_size) {
		size_t size = x->mails_size ? x->mails_size * 2 : FIRST_SIZE;
		struct salvage_mail *grown = reallocarray(x->mail, size, sizeof *grown);

		if (!grown)
			return fault_memory(f);
		x->mail = grown;
		x->mails_size = size;
	}
	struct salvage_mail *m = &x->mail[x->mails++];
	*m = (struct salvage_mail){.id = column_number(row, 0),
		.size_bytes = column_number(row, 2),
		.archived = sqlite3_column_int64(row, 3),
		.maildrop = column_number(row, 4),
		.at = {column_number(row, 6), column_number(row, 7), column_number(row, 8)}};
	memcpy(m->digest.byte, digest.data, DIGEST_LEN);
	x->all += m->size_bytes;
	return 0;
}

static int list_mail(struct salvage *x, struct fault *f)
{
	struct catalog *c = x->s->catalog;
	sqlite3_stmt *q = catalog_statement(c, x->number ? SQL_BY_PLACE : SQL_NOT_LOCATED, f);
	int r;

	if (!q)
		return -1;
	if (x->number)
		bind_number(q, 1, x->number);
	while ((r = catalog_step(c, q, f)) > 0) {
		if (add_mail(x, q, f) < 0) {
			r = -1;
			break;
		}
	}
	(void)sqlite3_reset(q);
	return r;
}

int salvage_load(struct store *s, struct seal_turn *turn, void *salvage, struct fault *f)
{
	struct salvage *x = salvage;

	(void)turn;
	if (x->number == 0)
		return list_mail(x, f);
	int r = catalog_get_segment(s->catalog, x->number, &x->row, f);
	if (r < 0)
		return -1;
	if (r == CATALOG_NONE || x->row.state == SEGMENT_REPLACED)
		return fault_set(f, FAULT_MISSING, SCOPE_ARCHIVE, 0,
			"the archive has no segment %06" PRIu64, x->number);
	x->fd = segment_open_file(s->segments_fd, x->number, f);
	if (x->fd < 0 && f->code != FAULT_DAMAGE)
		return -1;
	return list_mail(x, f);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static int go_on(struct salvage *x, uint64_t bytes, struct fault *f)
{
	x->done += bytes;
	if (x->job->progress && x->job->progress(x->job->progress_context, x->done, x->all) != 0)
		return fault_set(
			f, FAULT_INTERRUPT, SCOPE_ARCHIVE, 0, "stopped; nothing was changed");
	return 0;
}

static void forget_cached(struct salvage *x)
{
	frame_cache_deinit(&x->s->cache);
	if (x->fd >= 0)
		(void)posix_fadvise(x->fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int look_at(struct salvage *x, struct salvage_mail *mail, struct fault *f)
{
	struct message m = {.id = mail->id,
		.digest = mail->digest,
		.size_bytes = mail->size_bytes,
		.at = mail->at,
		.located = x->number > 0};
	int r = message_check(x->s, &m, f);

	if (r < 0 && f->code == FAULT_DAMAGE && x->fd >= 0) {
		forget_cached(x);
		r = message_check(x->s, &m, f);
	}
	if (r < 0 && f->code != FAULT_DAMAGE)
		return -1;
	if (r == 0)
		return 0;
	/* The message is named beside it. */
	const char *why = strstr(f->text, " is damaged: ");
	mail->state = SALVAGE_BAD;
	mail->why = strdup(why ? why + strlen(" is damaged: ") : f->text);
	x->bad++;
	return mail->why ? 0 : fault_memory(f);
}

/* Damage that hits no message: what was sealed is the file. */
static int is_as_sealed(struct salvage *x, bool *ret, struct fault *f)
{
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	struct digest found = {0};

	if (hasher_new(&h, f) < 0)
		return -1;
	*ret = false;
	for (int tries = 0; !*ret && tries < 2; tries++) {
		*ret = file_digest(x->fd, x->row.length, h, &found) == 0 &&
		       digest_compare(&found, &x->row.digest) == 0;
		if (!*ret)
			forget_cached(x);
	}
	return 0;
}

/* Of one that was not sealed: each entry decodes, and the bytes are those that were written. */
static int is_as_written(struct salvage *x, bool *ret, struct fault *f)
{
	struct segment_walk *walk CLEANUP(segment_walk_closep) = NULL;
	struct segment_entry e;
	uint64_t from, to;
	int r;

	if (segment_walk_open(x->fd, x->number, 0, x->row.length, WALK_DIGEST, &walk, f) < 0)
		return -1;
	while ((r = segment_walk_next(walk, &e, &from, &to, f)) == WALK_ENTRY) {
		if (entry_is_message(e.kind) &&
			(e.unread || digest_compare(&e.named, &e.found) != 0))
			break;
	}
	if (r == 0)
		return stretches_fit(x->s->catalog, x->number, x->fd, x->row.length, ret, f);
	*ret = false;
	return r < 0 ? -1 : 0;
}

static int is_file_whole(struct salvage *x, bool *ret, struct fault *f)
{
	struct stat st;

	*ret = false;
	if (x->fd < 0 || fstat(x->fd, &st) < 0)
		return 0;
	uint64_t size = (uint64_t)st.st_size;
	if (size < x->row.length || (x->row.state == SEGMENT_SEALED && size != x->row.length))
		return 0;
	if (x->row.state != SEGMENT_SEALED)
		return is_as_written(x, ret, f);
	return is_as_sealed(x, ret, f);
}

int salvage_look(struct salvage *x, bool *ret_damaged, struct fault *f)
{
	bool whole = true;

	x->bad = 0;
	for (size_t i = 0; i < x->mails; i++) {
		if (look_at(x, &x->mail[i], f) < 0 || go_on(x, x->mail[i].size_bytes, f) < 0)
			return -1;
	}
	if (x->bad == 0 && x->number > 0 && is_file_whole(x, &whole, f) < 0)
		return -1;
	*ret_damaged = x->bad > 0 || !whole;
	return 0;
}

/* ---- Elsewhere ------------------------------------------------------------------------------- */

struct wanted {
	struct salvage_mail *mail;
};

static int by_digest(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return digest_compare(&x->mail->digest, &y->mail->digest);
}

struct search {
	struct salvage *x;
	struct wanted *bad; /* by digest */
};

static void note_entry(struct search *w, const struct segment_entry *e)
{
	struct salvage_mail mail = {.digest = e->found};
	const struct wanted key = {&mail};

	if (!entry_is_message(e->kind) || e->unread || digest_compare(&e->named, &e->found) != 0)
		return;
	const struct wanted *found =
		bsearch(&key, w->bad, w->x->bad, sizeof(struct wanted), by_digest);
	/* The first, by segment and place, counts. */
	if (!found || found->mail->state == SALVAGE_ELSEWHERE)
		return;
	found->mail->state = SALVAGE_ELSEWHERE;
	found->mail->elsewhere = e->at;
}

static int search_in(struct search *w, const struct segment_row *row, struct fault *f)
{
	struct segment_walk *walk CLEANUP(segment_walk_closep) = NULL;
	struct segment_entry e;
	uint64_t from, to;
	int r;
	int fd CLEANUP(fd_closep) = segment_open_file(w->x->s->segments_fd, row->number, f);

	if (fd < 0)
		return f->code == FAULT_DAMAGE ? 0 : -1;
	if (segment_walk_open(fd, row->number, 0, row->length, WALK_DIGEST, &walk, f) < 0)
		return -1;
	while ((r = segment_walk_next(walk, &e, &from, &to, f)) > 0) {
		if (r == WALK_ENTRY)
			note_entry(w, &e);
		if (go_on(w->x, 0, f) < 0)
			return -1;
	}
	return r;
}

int salvage_search(struct salvage *x, struct fault *f)
{
	struct wanted *bad CLEANUP(freep) = calloc(x->bad + 1, sizeof(struct wanted));
	struct search w = {x, bad};
	struct segment_row row = {0};
	size_t n = 0;
	int r;

	if (!bad)
		return fault_memory(f);
	for (size_t i = 0; i < x->mails; i++) {
		if (x->mail[i].state == SALVAGE_BAD)
			bad[n++].mail = &x->mail[i];
	}
	qsort(bad, n, sizeof(struct wanted), by_digest);
	while (n > 0 &&
		(r = catalog_next_segment(x->s->catalog, row.number, &row, f)) != CATALOG_NONE) {
		if (r < 0)
			return -1;
		if (row.number != x->number && row.state != SEGMENT_REPLACED &&
			search_in(&w, &row, f) < 0)
			return -1;
	}
	for (size_t i = 0; i < n; i++)
		x->bad -= bad[i].mail->state == SALVAGE_ELSEWHERE;
	return 0;
}
