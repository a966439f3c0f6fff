#include "cli/migrate_map.h"

#include "archive/escape.h"
#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

enum column { ACCOUNT, TARGET, USER, PASSWORD_COMMAND, COLUMNS };
enum { FIELDS_MAX = 16, UNUSED = COLUMNS };

static const char *const NAMES[COLUMNS] = {"account", "target", "user", "password-command"};

struct reader {
	struct slice left;
	const char *name;
	uint64_t line, column;		   /* of what comes next, from 1; a column is a character */
	uint64_t field_line, field_column; /* of the field that was read last */
	struct buffer field;
	enum column columns[FIELDS_MAX];
	size_t columns_n;
};

static int wrong(const struct reader *r, struct fault *f, const char *why)
{
	return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
		"%s: line %" PRIu64 ", column %" PRIu64 ": %s", r->name, r->field_line,
		r->field_column, why);
}

static void step(struct reader *r)
{
	uint8_t c = r->left.data[0];

	r->left = slice_of(r->left.data + 1, r->left.len - 1);
	if (c == '\n') {
		r->line++;
		r->column = 1;
	} else if ((c & 0xc0) != 0x80) {
		r->column++;
	}
}

static bool next_is(const struct reader *r, char c)
{
	return r->left.len > 0 && r->left.data[0] == (uint8_t)c;
}

static bool at_line_end(const struct reader *r)
{
	return r->left.len == 0 || next_is(r, '\n') ||
	       (r->left.len >= 2 && memcmp(r->left.data, "\r\n", 2) == 0);
}

static int take(struct reader *r, struct fault *f)
{
	if (r->left.data[0] == '\0')
		return wrong(r, f, "a NUL byte");
	if (buffer_append(&r->field, r->left.data, 1, f) < 0)
		return f->code == FAULT_LIMIT ? wrong(r, f, "a field that is too long") : -1;
	step(r);
	return 0;
}

static int read_quoted(struct reader *r, struct fault *f)
{
	step(r);
	for (;;) {
		if (r->left.len == 0)
			return wrong(r, f, "a quote that does not end");
		if (next_is(r, '"')) {
			step(r);
			if (!next_is(r, '"'))
				break;
		}
		if (take(r, f) < 0)
			return -1;
	}
	if (!at_line_end(r) && !next_is(r, ','))
		return wrong(r, f, "something stands behind the quote that ends this field");
	return 0;
}

static int read_field(struct reader *r, struct fault *f)
{
	buffer_clear(&r->field);
	r->field_line = r->line;
	r->field_column = r->column;
	if (next_is(r, '"'))
		return read_quoted(r, f);
	while (!at_line_end(r) && !next_is(r, ',')) {
		if (next_is(r, '"'))
			return wrong(r, f, "a quote in a field that does not begin with one");
		if (take(r, f) < 0)
			return -1;
	}
	return 0;
}

static void end_line(struct reader *r)
{
	if (next_is(r, '\r'))
		step(r);
	if (r->left.len > 0)
		step(r);
}

/* ---- The header line ------------------------------------------------------------------------- */

/* "Target user" is what people write; so is "password_command". */
static bool is_named(struct slice text, enum column column)
{
	static const char *const others[COLUMNS] = {
		"from", "to", "target user", "password command"};
	char name[32];

	if (text.len >= sizeof name)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = (char)text.data[i];

		name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c == '_' ? '-' : c;
	}
	name[text.len] = '\0';
	return strcmp(name, NAMES[column]) == 0 || strcmp(name, others[column]) == 0;
}

static int add_column(struct reader *r, struct fault *f)
{
	enum column column = ACCOUNT;

	if (r->columns_n == FIELDS_MAX)
		return wrong(r, f, "too many columns");
	while (column < COLUMNS && !is_named(buffer_slice(&r->field), column))
		column++;
	if (column == COLUMNS)
		return wrong(r, f,
			"no such column; the first line names them: account, target, user, "
			"password-command");
	for (size_t i = 0; i < r->columns_n; i++) {
		if (r->columns[i] == column)
			return wrong(r, f, "this column is there twice");
	}
	r->columns[r->columns_n++] = column;
	return 0;
}

static bool has_column(const struct reader *r, enum column column)
{
	for (size_t i = 0; i < r->columns_n; i++) {
		if (r->columns[i] == column)
			return true;
	}
	return false;
}

static int read_header(struct reader *r, struct fault *f)
{
	do {
		if (r->columns_n > 0)
			step(r);
		if (read_field(r, f) < 0 || add_column(r, f) < 0)
			return -1;
	} while (next_is(r, ','));
	end_line(r);
	if (!has_column(r, ACCOUNT) || !has_column(r, TARGET))
		return wrong(r, f, "the first line must name the columns account and target");
	return 0;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static void row_deinit(struct migrate_row *row)
{
	free(row->account);
	free(row->target);
	free(row->user);
	free(row->password_command);
	*row = (struct migrate_row){0};
}

static char **place_of(struct migrate_row *row, enum column column)
{
	switch (column) {
	case ACCOUNT:
		return &row->account;
	case TARGET:
		return &row->target;
	case USER:
		return &row->user;
	case PASSWORD_COMMAND:
	case COLUMNS:
		break;
	}
	return &row->password_command;
}

static int set_field(struct reader *r, struct migrate_row *row, size_t at, struct fault *f)
{
	const char *text;

	if (at >= r->columns_n)
		return wrong(r, f, "more fields than the first line has columns");
	if (r->field.len == 0 && r->columns[at] <= TARGET)
		return wrong(r, f, r->columns[at] == ACCOUNT ? "no account" : "no target");
	if (r->field.len == 0)
		return 0;
	text = buffer_text(&r->field);
	char **to = place_of(row, r->columns[at]);
	*to = text ? strdup(text) : NULL;
	return *to ? 0 : fault_memory(f);
}

static int read_row(struct reader *r, struct migrate_row *row, struct fault *f)
{
	size_t at = 0;

	row->line = r->line;
	for (;;) {
		if (read_field(r, f) < 0 || set_field(r, row, at++, f) < 0)
			return -1;
		if (!next_is(r, ','))
			break;
		step(r);
	}
	end_line(r);
	return at < r->columns_n ? wrong(r, f, "fewer fields than the first line has columns") : 0;
}

static int add_row(struct reader *r, struct migrate_map *m, struct fault *f)
{
	struct migrate_row row = {0};
	struct migrate_row *more;

	if (read_row(r, &row, f) < 0) {
		row_deinit(&row);
		return -1;
	}
	more = m->n < LIMIT_ACCOUNTS ? reallocarray(m->rows, m->n + 1, sizeof *more) : NULL;
	if (!more) {
		row_deinit(&row);
		return m->n < LIMIT_ACCOUNTS
			       ? fault_memory(f)
			       : fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
					 "%s: more than %d mailboxes", r->name, LIMIT_ACCOUNTS);
	}
	m->rows = more;
	m->rows[m->n++] = row;
	return 0;
}

static int read_all(struct reader *r, struct migrate_map *m, struct fault *f)
{
	if (r->left.len >= 3 && memcmp(r->left.data, "\xef\xbb\xbf", 3) == 0)
		r->left = slice_of(r->left.data + 3, r->left.len - 3);
	if (read_header(r, f) < 0)
		return -1;
	while (r->left.len > 0) {
		if (at_line_end(r))
			end_line(r);
		else if (add_row(r, m, f) < 0)
			return -1;
	}
	if (m->n > 0)
		return 0;
	return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0, "%s names no mailbox", r->name);
}

int migrate_map_parse(struct slice text, const char *name, struct migrate_map *ret, struct fault *f)
{
	struct reader r = {.left = text,
		.name = name,
		.line = 1,
		.column = 1,
		.field = buffer_make(LIMIT_CONFIG_VALUE)};
	int result = read_all(&r, ret, f);

	buffer_deinit(&r.field);
	return result;
}

int migrate_map_read(const char *path, struct migrate_map *ret, struct fault *f)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(LIMIT_CONFIG_FILE);
	int fd CLEANUP(fd_closep) = open(path, O_RDONLY | O_CLOEXEC);
	char name[256];
	ssize_t n = fd < 0 ? -1 : 1;

	(void)escape_text(slice_text(path), name, sizeof name);
	while (n > 0) {
		if (buffer_reserve(&text, 64 * KIB, f) < 0)
			return fault_prefix(f, "%s", name);
		n = read(fd, text.data + text.len, 64 * KIB);
		text.len += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		return fault_errno(f, FAULT_USAGE, SCOPE_SESSION, errno, "cannot read %s", name);
	return migrate_map_parse(buffer_slice(&text), name, ret, f);
}

void migrate_map_deinit(struct migrate_map *m)
{
	for (size_t i = 0; i < m->n; i++)
		row_deinit(&m->rows[i]);
	free(m->rows);
	*m = (struct migrate_map){0};
}
