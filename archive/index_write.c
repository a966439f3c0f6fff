#include "archive/index_private.h"

#include "archive/exchange.h"

/* One record, its texts in the buffer of all rows. */
struct row {
	const struct planned *of;
	struct index_record record; /* text: only the lengths */
	size_t at;
};

struct index_rows {
	struct store *s;
	struct search_db *d;
	const struct index_plan *p;
	enum index_which which;
	struct search_state *state;
	struct index_result *sum;
	struct buffer in; /* of the worker: less than a record */
	size_t next;	  /* message of the plan that it has to speak of now */
	struct row *row;
	size_t rows;
	struct buffer texts;
};

int index_rows_new(struct store *s, struct search_db *d, const struct index_plan *p,
	enum index_which which, struct search_state *state, struct index_result *sum,
	struct index_rows **ret, struct fault *f)
{
	struct index_rows *r CLEANUP(index_rows_freep) = calloc(1, sizeof *r);

	if (!r)
		return fault_memory(f);
	r->s = s;
	r->d = d;
	r->p = p;
	r->which = which;
	r->state = state;
	r->sum = sum;
	r->in = buffer_make(INDEX_RECORD_MOST);
	r->texts = buffer_make(LIMIT_INDEX_BATCH_BYTES + INDEX_RECORD_MOST);
	r->row = calloc(LIMIT_INDEX_BATCH, sizeof *r->row);
	if (!r->row)
		return fault_memory(f);
	*ret = TAKE(r);
	return 0;
}

struct index_rows *index_rows_free(struct index_rows *r)
{
	if (!r)
		return NULL;
	buffer_deinit(&r->in);
	buffer_deinit(&r->texts);
	free(r->row);
	free(r);
	return NULL;
}

void index_rows_freep(struct index_rows **r)
{
	*r = index_rows_free(*r);
}

/* ---- Messages that cannot be read ------------------------------------------------------------ */

int index_put_again(struct search_db *d, uint64_t id, const struct digest *digest, moment_ms tried,
	struct fault *f)
{
	sqlite3_stmt *s = search_db_statement(d, SEARCH_PUT_AGAIN, f);

	if (!s)
		return -1;
	bind_number(s, 1, id);
	bind_bytes(s, 2, slice_of(digest->byte, DIGEST_LEN));
	bind_number(s, 3, (uint64_t)tried);
	return search_db_run(d, s, f);
}

int index_delete_again(struct search_db *d, uint64_t id, struct fault *f)
{
	sqlite3_stmt *s = search_db_statement(d, SEARCH_DELETE_AGAIN, f);

	if (!s)
		return -1;
	bind_number(s, 1, id);
	return search_db_run(d, s, f);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static int put_header(struct index_rows *r, const struct row *row, struct fault *f)
{
	const struct index_record *record = &row->record;
	sqlite3_stmt *s = search_db_statement(r->d, SEARCH_PUT_HEADER, f);

	if (!s)
		return -1;
	bind_number(s, 1, row->of->id);
	bind_bytes(s, 2, slice_of(row->of->mail.digest.byte, DIGEST_LEN));
	if (record->has_date)
		bind_number(s, 3, (uint64_t)record->date);
	if (record->has_received)
		bind_number(s, 4, (uint64_t)record->received);
	bind_text(s, 5, record->text[INDEX_SENDER]);
	bind_text(s, 6, record->text[INDEX_RECIPIENTS]);
	bind_text(s, 7, record->text[INDEX_COPIED]);
	bind_text(s, 8, record->text[INDEX_SUBJECT]);
	bind_text(s, 9, record->text[INDEX_MESSAGE_ID]);
	bind_number(s, 10, record->attachments);
	bind_text(s, 11, record->text[INDEX_NAMES]);
	return search_db_run(r->d, s, f);
}

static int put_words(struct index_rows *r, const struct row *row, struct fault *f)
{
	const struct index_record *record = &row->record;
	sqlite3_stmt *s = search_db_statement(r->d, SEARCH_PUT_WORDS, f);

	if (!s)
		return -1;
	bind_number(s, 1, row->of->id);
	bind_text(s, 2, record->text[INDEX_SENDER]);
	bind_text(s, 3, record->text[INDEX_RECIPIENTS]);
	bind_text(s, 4, record->text[INDEX_COPIED]);
	bind_text(s, 5, record->text[INDEX_SUBJECT]);
	bind_text(s, 6, record->text[INDEX_NAMES]);
	return search_db_run(r->d, s, f);
}

static int put_row(struct index_rows *r, struct row *row, struct fault *f)
{
	size_t at = row->at;

	if (!row->record.read)
		return index_put_again(r->d, row->of->id, &row->of->mail.digest, moment_now(), f);
	for (int i = 0; i < INDEX_TEXTS; i++) {
		row->record.text[i].data = r->texts.data + at;
		at += row->record.text[i].len;
	}
	if (put_header(r, row, f) < 0 || put_words(r, row, f) < 0)
		return -1;
	r->state->indexed++;
	return r->which == INDEX_AGAIN ? index_delete_again(r->d, row->of->id, f) : 0;
}

/* FTS5 writes what it holds whenever a row comes before the last one. */
static int by_id(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return (x->of->id > y->of->id) - (x->of->id < y->of->id);
}

static int put_all(struct index_rows *r, struct fault *f)
{
	if (r->rows > 0)
		qsort(r->row, r->rows, sizeof *r->row, by_id);
	for (size_t i = 0; i < r->rows; i++) {
		if (put_row(r, &r->row[i], f) < 0)
			return -1;
	}
	return search_db_set_state(r->d, r->s->id, r->state, f);
}

int index_rows_commit(struct index_rows *r, struct fault *f)
{
	const struct search_state before = *r->state;

	if (search_db_begin(r->d, f) < 0)
		return -1;
	if (put_all(r, f) < 0 || search_db_commit(r->d, f) < 0) {
		search_db_rollback(r->d);
		*r->state = before;
		return -1;
	}
	for (size_t i = 0; i < r->rows; i++) {
		r->sum->indexed += r->row[i].record.read;
		r->sum->failed += !r->row[i].record.read;
	}
	r->rows = 0;
	buffer_clear(&r->texts);
	return 0;
}

/* ---- What the worker says -------------------------------------------------------------------- */

static int add(struct index_rows *r, const struct index_record *record, struct fault *f)
{
	if (record->number != r->next || r->next == r->p->mails)
		return exchange_lie(f, "spoke of a message that it was not asked for");
	if (r->rows == LIMIT_INDEX_BATCH || r->texts.len >= LIMIT_INDEX_BATCH_BYTES) {
		if (index_rows_commit(r, f) < 0)
			return -1;
	}
	r->row[r->rows] = (struct row){&r->p->mail[r->next], *record, r->texts.len};
	for (int i = 0; i < INDEX_TEXTS; i++) {
		struct slice text = record->text[i];

		if (text.len && buffer_append(&r->texts, text.data, text.len, f) < 0)
			return -1;
	}
	r->rows++;
	r->next++;
	return 0;
}

/* Takes all whole records off the beginning of bytes. */
static int take_records(struct index_rows *r, struct slice *bytes, struct fault *f)
{
	struct index_record record;
	ssize_t n;

	while ((n = index_record_parse(*bytes, &record, f)) > 0) {
		if (add(r, &record, f) < 0)
			return -1;
		*bytes = slice_of(bytes->data + n, bytes->len - (size_t)n);
	}
	if (n < 0) {
		f->code = FAULT_SYSTEM;
		return fault_prefix(f, "the worker lies");
	}
	return 0;
}

int index_rows_take(struct index_rows *r, struct slice bytes, struct fault *f)
{
	/* The one whose beginning came before: as much as is missing of it, at most. */
	while (r->in.len > 0 && bytes.len > 0) {
		size_t room = r->in.max - r->in.len, before = r->in.len;
		size_t n = bytes.len < room ? bytes.len : room;
		struct slice held;

		if (buffer_append(&r->in, bytes.data, n, f) < 0)
			return -1;
		held = buffer_slice(&r->in);
		if (take_records(r, &held, f) < 0)
			return -1;
		if (held.len == r->in.len && n == bytes.len)
			return 0; /* still not the whole of it */
		/* What is behind the whole ones is still in bytes. */
		size_t used = r->in.len - held.len;
		buffer_clear(&r->in);
		n = used > before ? used - before : 0;
		bytes = slice_of(bytes.data + n, bytes.len - n);
	}
	if (take_records(r, &bytes, f) < 0)
		return -1;
	return bytes.len ? buffer_append(&r->in, bytes.data, bytes.len, f) : 0;
}

int index_rows_end(struct index_rows *r, struct fault *f)
{
	if (r->in.len > 0 || r->next != r->p->mails)
		return exchange_lie(f, "left out messages that it was asked for");
	if (r->which == INDEX_NEW && r->p->last > 0) {
		r->state->done = r->p->last;
		r->state->digest = r->p->last_digest;
	}
	return index_rows_commit(r, f);
}
