#include "archive/find_sql.h"

#include "archive/limits.h"

enum {
	TEXT_MAX = 256 * KIB, /* some 300 bytes a condition */
	VALUES_MAX = 8 * LIMIT_QUERY_TERMS
};

struct find_sql find_sql_make(enum find_index index)
{
	return (struct find_sql){.text = buffer_make(TEXT_MAX), .index = index};
}

void find_sql_deinit(struct find_sql *q)
{
	for (size_t i = 0; i < q->values; i++)
		free(q->value[i].text);
	free(q->value);
	buffer_deinit(&q->text);
	*q = (struct find_sql){0};
}

int find_sql_add(struct find_sql *q, const char *fixed, struct fault *f)
{
	return buffer_append_text(&q->text, fixed, f);
}

/* ---- Parameters ------------------------------------------------------------------------------ */

/* Takes ownership of v.text. */
static int add_value(struct find_sql *q, struct find_value v, struct fault *f)
{
	if (q->values == q->size) {
		size_t size = q->size ? 2 * q->size : 16;
		struct find_value *grown =
			size > VALUES_MAX ? NULL : reallocarray(q->value, size, sizeof *grown);

		if (!grown) {
			free(v.text);
			return size > VALUES_MAX ? fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
							   "the query has more than %d conditions",
							   LIMIT_QUERY_TERMS)
						 : fault_memory(f);
		}
		q->value = grown;
		q->size = size;
	}
	q->value[q->values++] = v;
	return 0;
}

int find_sql_number(struct find_sql *q, int64_t number, struct fault *f)
{
	if (add_value(q, (struct find_value){.kind = VALUE_NUMBER, .number = number}, f) < 0)
		return -1;
	return find_sql_add(q, "?", f);
}

static int add_text(struct find_sql *q, const char *text, struct fault *f)
{
	char *copy = strdup(text);

	if (!copy)
		return fault_memory(f);
	if (add_value(q, (struct find_value){.kind = VALUE_TEXT, .text = copy}, f) < 0)
		return -1;
	return find_sql_add(q, "?", f);
}

static int add_digest(struct find_sql *q, const struct digest *digest, struct fault *f)
{
	if (add_value(q, (struct find_value){.kind = VALUE_DIGEST, .digest = *digest}, f) < 0)
		return -1;
	return find_sql_add(q, "?", f);
}

int find_sql_bind(const struct find_sql *q, sqlite3_stmt *s, struct fault *f)
{
	for (size_t i = 0; i < q->values; i++) {
		const struct find_value *v = &q->value[i];
		int at = (int)i + 1, r = SQLITE_OK;

		switch (v->kind) {
		case VALUE_NUMBER:
			r = sqlite3_bind_int64(s, at, v->number);
			break;
		case VALUE_TEXT:
			r = sqlite3_bind_text(s, at, v->text, -1, SQLITE_TRANSIENT);
			break;
		case VALUE_DIGEST:
			r = sqlite3_bind_blob(s, at, v->digest.byte, DIGEST_LEN, SQLITE_TRANSIENT);
			break;
		}
		if (r != SQLITE_OK)
			return r == SQLITE_NOMEM ? fault_memory(f)
						 : fault_set(f, FAULT_LIMIT, SCOPE_SESSION, r,
							   "the query is too large");
	}
	return 0;
}

/* ---- Conditions of the catalog --------------------------------------------------------------- */

bool find_digests(const char *hex, struct digest *ret_low, struct digest *ret_high)
{
	size_t len = strlen(hex);

	if (len > DIGEST_HEX)
		return false;
	memset(ret_low->byte, 0x00, DIGEST_LEN);
	memset(ret_high->byte, 0xff, DIGEST_LEN);
	for (size_t i = 0; i < len; i++) {
		const char *digits = "0123456789abcdef";
		char c = hex[i] >= 'A' && hex[i] <= 'F' ? (char)(hex[i] + 'a' - 'A') : hex[i];
		const char *at = memchr(digits, c, 16);

		if (!at)
			return false;
		unsigned shift = i % 2 ? 0 : 4, nibble = (unsigned)(at - digits);
		uint8_t keep = (uint8_t) ~(0xfu << shift);
		ret_low->byte[i / 2] = (uint8_t)((ret_low->byte[i / 2] & keep) | nibble << shift);
		ret_high->byte[i / 2] = (uint8_t)((ret_high->byte[i / 2] & keep) | nibble << shift);
	}
	return true;
}

static int add_id(struct find_sql *q, const char *hex, struct fault *f)
{
	struct digest low, high;

	if (!hex || !*hex || !find_digests(hex, &low, &high))
		return fault_set(f, FAULT_USAGE, SCOPE_MESSAGE, 0,
			"a message id is 1 to %d hexadecimal digits", DIGEST_HEX);
	if (find_sql_add(q, "(message.digest >= ", f) < 0 || add_digest(q, &low, f) < 0 ||
		find_sql_add(q, " AND message.digest <= ", f) < 0 || add_digest(q, &high, f) < 0)
		return -1;
	return find_sql_add(q, ")", f);
}

static int add_account(struct find_sql *q, const char *name, struct fault *f)
{
	static const char numbers[] = "(SELECT number FROM main.maildrop WHERE name = ";

	if (find_sql_add(q, "(message.maildrop IN ", f) < 0 || find_sql_add(q, numbers, f) < 0 ||
		add_text(q, name, f) < 0 ||
		find_sql_add(q,
			") OR EXISTS (SELECT 1 FROM main.also WHERE also.message = message.id "
			"AND also.maildrop IN ",
			f) < 0 ||
		find_sql_add(q, numbers, f) < 0 || add_text(q, name, f) < 0)
		return -1;
	return find_sql_add(q, ")))", f);
}

/* low <= column < high; a column that is NULL lies outside. */
static int add_span(
	struct find_sql *q, const char *column, const struct condition *c, struct fault *f)
{
	if (find_sql_add(q, "(", f) < 0)
		return -1;
	if (c->low > INT64_MIN &&
		(find_sql_add(q, column, f) < 0 || find_sql_add(q, " >= ", f) < 0 ||
			find_sql_number(q, c->low, f) < 0 || find_sql_add(q, " AND ", f) < 0))
		return -1;
	if (c->high < INT64_MAX &&
		(find_sql_add(q, column, f) < 0 || find_sql_add(q, " < ", f) < 0 ||
			find_sql_number(q, c->high, f) < 0 || find_sql_add(q, " AND ", f) < 0))
		return -1;
	if (find_sql_add(q, column, f) < 0)
		return -1;
	return find_sql_add(q, " IS NOT NULL)", f);
}

/* ---- Conditions of the header -----------------------------------------------------------------
 */

/* Whether FTS5 can answer the whole of it by one expression. */
static bool is_words(const struct condition *c)
{
	if (c->kind == CONDITION_AND || c->kind == CONDITION_OR)
		return is_words(c->left) && is_words(c->right);
	return c->kind == CONDITION_WORDS;
}

/* The words as a string of FTS5: in it nothing has a meaning but the quotation mark. */
static int add_phrase(struct buffer *to, const struct condition *c, struct fault *f)
{
	static const char *const column[] = {[FIELD_ANY] = "",
		[FIELD_FROM] = "sender : ",
		[FIELD_TO] = "recipients : ",
		[FIELD_CC] = "copied : ",
		[FIELD_SUBJECT] = "subject : "};

	if (buffer_append_text(to, column[c->field], f) < 0 || buffer_append_text(to, "\"", f) < 0)
		return -1;
	for (const char *p = c->text; *p; p++) {
		if (buffer_append(to, p, 1, f) < 0 || (*p == '"' && buffer_append(to, p, 1, f) < 0))
			return -1;
	}
	return buffer_append_text(to, c->prefix ? "\" *" : "\"", f);
}

/* AND holds more tightly than OR there, too. */
static int add_match(struct buffer *to, const struct condition *c, bool inside_and, struct fault *f)
{
	bool is_and = c->kind == CONDITION_AND, enclosed = inside_and && c->kind == CONDITION_OR;

	if (c->kind == CONDITION_WORDS)
		return add_phrase(to, c, f);
	if ((enclosed && buffer_append_text(to, "(", f) < 0) ||
		add_match(to, c->left, is_and, f) < 0 ||
		buffer_append_text(to, is_and ? " AND " : " OR ", f) < 0 ||
		add_match(to, c->right, is_and, f) < 0)
		return -1;
	return enclosed ? buffer_append_text(to, ")", f) : 0;
}

static int add_words(struct find_sql *q, const struct condition *c, struct fault *f)
{
	struct buffer match CLEANUP(buffer_deinit) = buffer_make(TEXT_MAX);

	if (add_match(&match, c, false, f) < 0)
		return -1;
	if (!buffer_text(&match))
		return fault_memory(f);
	if (find_sql_add(q, "message.id IN (SELECT rowid FROM search.words WHERE words MATCH ", f) <
			0 ||
		add_text(q, buffer_text(&match), f) < 0)
		return -1;
	return find_sql_add(q, ")", f);
}

/* True or false of an indexed message. */
static int add_of_header(struct find_sql *q, const struct condition *c, struct fault *f)
{
	if (is_words(c))
		return add_words(q, c, f);
	if (c->kind == CONDITION_DATE) {
		if (find_sql_add(q, "message.id IN (SELECT id FROM search.header WHERE ", f) < 0 ||
			add_span(q, "header.date", c, f) < 0)
			return -1;
		return find_sql_add(q, ")", f);
	}
	if (c->kind == CONDITION_ATTACHMENT)
		return find_sql_add(q, "h.attachments > 0", f);
	if (find_sql_add(q, "message.id IN (SELECT id FROM search.header WHERE message_id = ", f) <
			0 ||
		add_text(q, c->text, f) < 0)
		return -1;
	return find_sql_add(q, ")", f);
}

static int add_indexed(struct find_sql *q, const struct condition *c, struct fault *f)
{
	if (q->index == INDEX_ABSENT)
		return find_sql_add(q, "(NULL)", f);
	if (find_sql_add(q, "CASE WHEN h.id IS NOT NULL THEN ", f) < 0 ||
		add_of_header(q, c, f) < 0)
		return -1;
	return find_sql_add(q, " END", f);
}

/* ---- Trees ------------------------------------------------------------------------------------
 */

/* Where an expression stands: inside of what is tighter than its own operator it needs parentheses.
 * There are no others, since SQLite's parser has a stack of 100. */
enum place { PLACE_OR, PLACE_AND, PLACE_NOT };

static int add_condition(
	struct find_sql *q, const struct condition *c, enum place place, struct fault *f);

static int add_joined(struct find_sql *q, const struct condition *c, struct fault *f)
{
	bool is_and = c->kind == CONDITION_AND;
	enum place inside = is_and ? PLACE_AND : PLACE_OR;

	if (add_condition(q, c->left, inside, f) < 0 ||
		find_sql_add(q, is_and ? " AND " : " OR ", f) < 0)
		return -1;
	return add_condition(q, c->right, inside, f);
}

/* Of two that undo each other, neither. */
static int add_not(struct find_sql *q, const struct condition *c, struct fault *f)
{
	if (c->left->kind == CONDITION_NOT)
		return add_condition(q, c->left->left, PLACE_NOT, f);
	if (find_sql_add(q, "NOT ", f) < 0)
		return -1;
	return add_condition(q, c->left, PLACE_NOT, f);
}

static int add_bare(struct find_sql *q, const struct condition *c, struct fault *f)
{
	if (is_words(c))
		return add_indexed(q, c, f);
	switch (c->kind) {
	case CONDITION_AND:
	case CONDITION_OR:
		return add_joined(q, c, f);
	case CONDITION_NOT:
		return add_not(q, c, f);
	case CONDITION_ACCOUNT:
		return add_account(q, c->text, f);
	case CONDITION_ID:
		return add_id(q, c->text, f);
	case CONDITION_ARCHIVED:
		return add_span(q, "message.archived", c, f);
	case CONDITION_SIZE:
		return add_span(q, "message.size", c, f);
	case CONDITION_DATE:
	case CONDITION_WORDS:
	case CONDITION_MESSAGE_ID:
	case CONDITION_ATTACHMENT:
		break;
	}
	return add_indexed(q, c, f);
}

static int add_condition(
	struct find_sql *q, const struct condition *c, enum place place, struct fault *f)
{
	bool enclosed = (c->kind == CONDITION_OR && place > PLACE_OR) ||
			(c->kind == CONDITION_AND && place > PLACE_AND);

	if (enclosed && find_sql_add(q, "(", f) < 0)
		return -1;
	if (add_bare(q, c, f) < 0)
		return -1;
	return enclosed ? find_sql_add(q, ")", f) : 0;
}

/* Of what must all hold, each by itself: one that the index answers leads to the messages, instead
 * of being looked up for each of them. */
static int add_conjuncts(struct find_sql *q, const struct condition *c, struct fault *f)
{
	if (c->kind == CONDITION_AND && !is_words(c)) {
		if (add_conjuncts(q, c->left, f) < 0 || find_sql_add(q, " AND ", f) < 0)
			return -1;
		return add_conjuncts(q, c->right, f);
	}
	if (q->index == INDEX_ABSENT || (c->kind < CONDITION_DATE && !is_words(c)))
		return add_condition(q, c, PLACE_AND, f);
	if (find_sql_add(q, "h.id IS NOT NULL AND ", f) < 0)
		return -1;
	return add_of_header(q, c, f);
}

static int add_tables(struct find_sql *q, const struct condition *wanted, struct fault *f)
{
	if (find_sql_add(q, " FROM main.message", f) < 0)
		return -1;
	if (q->index == INDEX_ABSENT || !condition_uses_index(wanted))
		return 0;
	return find_sql_add(q,
		" LEFT JOIN search.header AS h ON h.id = message.id AND h.digest = message.digest",
		f);
}

int find_sql_where(struct find_sql *q, const struct condition *wanted, struct fault *f)
{
	if (add_tables(q, wanted, f) < 0)
		return -1;
	if (!wanted)
		return 0;
	if (find_sql_add(q, " WHERE ", f) < 0)
		return -1;
	return add_conjuncts(q, wanted, f);
}

int find_sql_where_unknown(struct find_sql *q, const struct condition *wanted, struct fault *f)
{
	if (add_tables(q, wanted, f) < 0 || find_sql_add(q, " WHERE ", f) < 0)
		return -1;
	if (q->index == INDEX_ATTACHED && find_sql_add(q, "h.id IS NULL AND ", f) < 0)
		return -1;
	if (find_sql_add(q, "(", f) < 0 || add_condition(q, wanted, PLACE_OR, f) < 0)
		return -1;
	return find_sql_add(q, ") IS NULL", f);
}
