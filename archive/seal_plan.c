/* What goes into a sealed segment. */
#include "archive/seal_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { FIRST_SIZE = 256 };

void seal_plan_init(struct seal_plan *p)
{
	*p = (struct seal_plan){.ledger_fd = -1};
}

void seal_plan_deinit(struct seal_plan *p)
{
	for (size_t i = 0; i < p->sources; i++)
		fd_closep(&p->source[i].fd);
	fd_closep(&p->ledger_fd);
	free(p->mail);
	free(p->by_digest);
	free(p->place);
	free(p->maildrop);
	seal_plan_init(p);
}

/* ---- Choosing -------------------------------------------------------------------------------- */

/* Numbers of the first and the last message that the segment holds; it holds some. */
static int ids_in(
	struct store *s, uint64_t number, uint64_t *ret_first, uint64_t *ret_last, struct fault *f)
{
	sqlite3_stmt *q = catalog_statement(s->catalog, SQL_IDS_IN_SEGMENT, f);

	if (!q)
		return -1;
	bind_number(q, 1, number);
	int r = catalog_step(s->catalog, q, f);
	if (r > 0) {
		*ret_first = column_number(q, 0);
		*ret_last = column_number(q, 1);
	}
	(void)sqlite3_reset(q);
	return r < 0 ? -1 : 0;
}

/* Number of the next message of the class, in a direction, that lies somewhere; *ret is left as it
 * is where there is none. */
static int next_placed(struct store *s, enum catalog_statement direction, uint64_t id,
	const char *class_, uint64_t *ret, struct fault *f)
{
	sqlite3_stmt *q = catalog_statement(s->catalog, direction, f);

	if (!q)
		return -1;
	bind_number(q, 1, id);
	bind_text(q, 2, slice_text(class_));
	int r = catalog_step(s->catalog, q, f);
	if (r > 0)
		*ret = column_number(q, 0);
	(void)sqlite3_reset(q);
	return r < 0 ? -1 : 0;
}

/* Messages of a class follow each other in its segments as their numbers do: one that lies nowhere
 * lay where its neighbours lie. */
int seal_look_astray(struct store *s, const struct segment_row *row, struct fault *f)
{
	uint64_t first = 0, last = 0, before = 0, behind = INT64_MAX;

	if (ids_in(s, row->number, &first, &last, f) < 0 ||
		next_placed(s, SQL_PLACED_BEFORE, first, row->class_, &before, f) < 0 ||
		next_placed(s, SQL_PLACED_BEHIND, last, row->class_, &behind, f) < 0)
		return -1;
	sqlite3_stmt *q = catalog_statement(s->catalog, SQL_COUNT_ASTRAY, f);
	if (!q)
		return -1;
	bind_text(q, 1, slice_text(row->class_));
	bind_number(q, 2, before);
	bind_number(q, 3, behind);
	int r = catalog_step(s->catalog, q, f);
	uint64_t n = r > 0 ? column_number(q, 0) : 0;
	(void)sqlite3_reset(q);
	return r < 0 ? -1 : n > 0 ? SEAL_ASTRAY : 0;
}

int seal_plan_add_source(
	struct seal_plan *p, struct store *s, const struct segment_row *row, struct fault *f)
{
	struct stat st;

	if (p->sources == LIMIT_REPACK_SOURCES)
		return fault_set(
			f, FAULT_LIMIT, SCOPE_ARCHIVE, 0, "too many segments to make one of");
	int fd CLEANUP(fd_closep) = segment_open_file(s->segments_fd, row->number, f);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "segment %06" PRIu64, row->number);
	if ((uint64_t)st.st_size != row->length)
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
			"segment %06" PRIu64 " has %lld bytes, but %" PRIu64 " were kept",
			row->number, (long long)st.st_size, row->length);
	if (p->sources == 0)
		(void)snprintf(p->class_, sizeof p->class_, "%s", row->class_);
	p->source[p->sources++] =
		(struct seal_source){.row = *row, .fd = fd_take(&fd), .first = p->mails};
	return 0;
}

int seal_plan_add_mail(struct seal_plan *p, const struct message *m, struct fault *f)
{
	if (p->mails == LIMIT_SEGMENT_MESSAGES)
		return fault_set(f, FAULT_LIMIT, SCOPE_ARCHIVE, 0,
			"more than %d messages for one segment", LIMIT_SEGMENT_MESSAGES);
	if (p->mails == p->mails_size) {
		size_t size = p->mails_size ? p->mails_size * 2 : FIRST_SIZE;
		struct seal_mail *grown = reallocarray(p->mail, size, sizeof *grown);

		if (!grown)
			return fault_memory(f);
		p->mail = grown;
		p->mails_size = size;
	}
	p->mail[p->mails++] = (struct seal_mail){.source = (uint32_t)(p->sources - 1),
		.frame_offset = m->at.frame_offset,
		.entry_offset = m->at.entry_offset,
		.size = m->size_bytes,
		.archived = m->archived,
		.digest = m->digest};
	p->source[p->sources - 1].mails++;
	p->bytes += m->size_bytes;
	return seal_add_maildrop(p, m->maildrop, f);
}

/* The maildrops under which messages of a segment came, beside the first of each. */
static int add_other_maildrops(
	struct seal_plan *p, struct store *s, uint64_t number, struct fault *f)
{
	sqlite3_stmt *q = catalog_statement(s->catalog, SQL_ALSO_IN_SEGMENT, f);
	int r;

	if (!q)
		return -1;
	bind_number(q, 1, number);
	while ((r = catalog_step(s->catalog, q, f)) > 0) {
		if (seal_add_maildrop(p, column_number(q, 0), f) < 0) {
			r = -1;
			break;
		}
	}
	(void)sqlite3_reset(q);
	return r;
}

static int add_messages(struct seal_plan *p, struct store *s, uint64_t number, struct fault *f)
{
	sqlite3_stmt *q = catalog_statement(s->catalog, SQL_BY_PLACE, f);
	int r;

	if (!q)
		return -1;
	bind_number(q, 1, number);
	while ((r = catalog_step(s->catalog, q, f)) > 0) {
		struct slice digest = column_bytes(q, 1);
		struct message m = {.size_bytes = column_number(q, 2),
			.archived = sqlite3_column_int64(q, 3),
			.maildrop = column_number(q, 4),
			.at = {number, column_number(q, 7), column_number(q, 8)}};

		if (digest.len != DIGEST_LEN) {
			r = fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
				"catalog.db is damaged; run `popkeep rebuild`");
			break;
		}
		memcpy(m.digest.byte, digest.data, DIGEST_LEN);
		if (seal_plan_add_mail(p, &m, f) < 0) {
			r = -1;
			break;
		}
	}
	(void)sqlite3_reset(q);
	return r;
}

int seal_plan_add(
	struct seal_plan *p, struct store *s, const struct segment_row *row, struct fault *f)
{
	int r = seal_look_astray(s, row, f);

	if (r < 0)
		return -1;
	if (r == SEAL_ASTRAY)
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
			"segment %06" PRIu64 " may hold messages that cannot be found; run "
			"`popkeep verify`",
			row->number);
	if (seal_plan_add_source(p, s, row, f) < 0 || add_messages(p, s, row->number, f) < 0)
		return -1;
	return add_other_maildrops(p, s, row->number, f);
}

/* ---- By digest ------------------------------------------------------------------------------- */

static int by_digest(const void *a, const void *b, void *context)
{
	const struct seal_mail *mail = context;

	return digest_compare(
		&mail[*(const uint32_t *)a].digest, &mail[*(const uint32_t *)b].digest);
}

size_t seal_plan_find(const struct seal_plan *p, const struct digest *d)
{
	size_t from = 0, to = p->mails;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		int order = digest_compare(&p->mail[p->by_digest[middle]].digest, d);

		if (order == 0)
			return p->by_digest[middle];
		if (order < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return p->mails;
}

int seal_plan_finish(struct seal_plan *p, struct store *s, struct fault *f)
{
	p->by_digest = calloc(p->mails, sizeof *p->by_digest);
	p->place = calloc(p->mails, sizeof *p->place);
	if (!p->by_digest || !p->place)
		return fault_memory(f);
	for (size_t i = 0; i < p->mails; i++)
		p->by_digest[i] = (uint32_t)i;
	qsort_r(p->by_digest, p->mails, sizeof *p->by_digest, by_digest, p->mail);
	return seal_write_ledger(p, s, f);
}
