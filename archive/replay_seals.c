#include "archive/replay_seals.h"

#include "archive/file.h"
#include "archive/limits.h"

#include <stdio.h>
#include <sys/stat.h>

enum { FIRST_SIZE = 16 };

void seals_deinit(struct seals *all)
{
	free(all->line);
	free(all->number);
	*all = (struct seals){0};
}

/* ---- Reading --------------------------------------------------------------------------------- */

static int add_number(struct seals *all, uint64_t number, struct fault *f)
{
	if (all->numbers == all->numbers_size) {
		size_t size = all->numbers_size ? all->numbers_size * 2 : FIRST_SIZE;
		uint64_t *grown = reallocarray(all->number, size, sizeof *grown);

		if (!grown)
			return fault_memory(f);
		all->number = grown;
		all->numbers_size = size;
	}
	all->number[all->numbers++] = number;
	return 0;
}

static int add_line(struct seals *all, const struct event *e, struct fault *f)
{
	struct slice replaces = e->replaces;
	uint64_t number;

	if (all->lines == all->lines_size) {
		size_t size = all->lines_size ? all->lines_size * 2 : FIRST_SIZE;
		struct seal_line *grown = reallocarray(all->line, size, sizeof *grown);

		if (!grown)
			return fault_memory(f);
		all->line = grown;
		all->lines_size = size;
	}
	struct seal_line *l = &all->line[all->lines++];
	*l = (struct seal_line){
		.segment = e->segment, .size = e->size, .digest = e->digest, .first = all->numbers};
	(void)snprintf(l->class_, sizeof l->class_, "%.*s", (int)e->class_.len,
		(const char *)e->class_.data);
	for (; event_replaced(&replaces, &number); l->replaces++) {
		if (add_number(all, number, f) < 0)
			return -1;
	}
	return 0;
}

static int read_group(
	struct seals *all, struct ledger_reader *r, struct buffer *scratch, struct fault *f)
{
	static const char begins[] = "v=1 event=seal "; /* in this order: FORMAT.md, "Ledger" */
	struct slice line;
	struct event e;
	uint64_t number;

	while (ledger_reader_line(r, &line, &number)) {
		if (line.len < sizeof begins || line.len >= LIMIT_LEDGER_LINE ||
			memcmp(line.data, begins, sizeof begins - 1) != 0)
			continue;
		int p = event_parse(line, scratch, &e, f);
		if (p < 0 || (p == 0 && add_line(all, &e, f) < 0))
			return -1;
	}
	return 0;
}

/* ---- What became of the files ---------------------------------------------------------------- */

static int is_good(
	struct store *s, const struct seal_line *l, struct hasher *h, bool *ret, struct fault *f)
{
	char name[SEGMENT_NAME];
	struct digest found;
	struct stat st;

	*ret = false;
	segment_name(l->segment, SEGMENT_SEALED, name);
	if (fstatat(s->segments_fd, name, &st, 0) < 0 || (uint64_t)st.st_size != l->size)
		return 0;
	int fd CLEANUP(fd_closep) = segment_open_file(s->segments_fd, l->segment, f);
	if (fd < 0)
		return f->code == FAULT_DAMAGE ? 0 : -1;
	if (file_digest(fd, l->size, h, &found) == 0)
		*ret = digest_compare(&found, &l->digest) == 0;
	return 0;
}

static bool has_number(const struct seals *all, const struct seal_line *l, uint64_t number)
{
	for (size_t i = l->first; i < l->first + l->replaces; i++) {
		if (all->number[i] == number)
			return true;
	}
	return false;
}

bool seals_replace(const struct seals *all, uint64_t number)
{
	for (size_t i = 0; i < all->lines; i++) {
		if (all->line[i].file != SEAL_BAD && has_number(all, &all->line[i], number))
			return true;
	}
	return false;
}

const struct seal_line *seals_find(const struct seals *all, uint64_t number)
{
	for (size_t i = all->lines; i-- > 0;) {
		if (all->line[i].segment == number)
			return &all->line[i];
	}
	return NULL;
}

/* The last one first: what a good one replaces is not looked at. */
static int judge(struct store *s, struct seals *all, struct fault *f)
{
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	bool good;

	if (hasher_new(&h, f) < 0)
		return -1;
	for (size_t i = 0; i < all->lines; i++)
		all->line[i].file = SEAL_BAD;
	for (size_t i = all->lines; i-- > 0;) {
		struct seal_line *l = &all->line[i];

		if (seals_replace(all, l->segment)) {
			l->file = SEAL_REPLACED;
			continue;
		}
		if (is_good(s, l, h, &good, f) < 0)
			return -1;
		l->file = good ? SEAL_GOOD : SEAL_BAD;
	}
	return 0;
}

int seals_read(struct store *s, const struct ledger_at *from, struct seals *ret, struct fault *f)
{
	struct ledger_reader *reader CLEANUP(ledger_reader_closep) = NULL;
	struct buffer scratch CLEANUP(buffer_deinit) = buffer_make(LIMIT_LEDGER_LINE * 2);
	struct seals all CLEANUP(seals_deinit) = {0};
	int r;

	if (ledger_reader_open(s->ledger_fd, from, &reader, f) < 0)
		return -1;
	while ((r = ledger_reader_next(reader, f)) == LEDGER_GROUP || r == LEDGER_BAD) {
		if (read_group(&all, reader, &scratch, f) < 0)
			return -1;
	}
	if (r < 0 || judge(s, &all, f) < 0)
		return -1;
	*ret = all;
	all = (struct seals){0};
	return 0;
}

/* ---- Rows and files -------------------------------------------------------------------------- */

/* The file of this number, whatever its name; false: there is none. */
static bool find_file(struct store *s, uint64_t number, uint64_t *ret_size)
{
	static const enum segment_state names[] = {SEGMENT_OPEN, SEGMENT_SEALED};
	char name[SEGMENT_NAME];
	struct stat st;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		segment_name(number, names[i], name);
		if (fstatat(s->segments_fd, name, &st, 0) == 0) {
			*ret_size = (uint64_t)st.st_size;
			return true;
		}
	}
	return false;
}

static int note_replaced(
	struct store *s, struct catalog *c, uint64_t number, const char *class_, struct fault *f)
{
	struct segment_row row = {.number = number, .state = SEGMENT_REPLACED};
	uint64_t length;

	if (!find_file(s, number, &length))
		return 0;
	int r = catalog_get_segment(c, number, &row, f);
	if (r < 0)
		return -1;
	if (r == CATALOG_NONE)
		(void)snprintf(row.class_, sizeof row.class_, "%s", class_);
	else if (row.state != SEGMENT_REPLACED)
		return 0;
	row.length = length; /* the catalog may have known less of it */
	return catalog_put_segment(c, &row, f);
}

static int drop_row(struct store *s, struct catalog *c, uint64_t number, struct fault *f)
{
	struct segment_row row;
	uint64_t size;
	int r = catalog_get_segment(c, number, &row, f);

	if (r != 0)
		return r < 0 ? -1 : 0;
	if (row.state != SEGMENT_REPLACED || find_file(s, number, &size))
		return 0;
	return catalog_delete_segment(c, number, f);
}

int seals_settle(struct store *s, struct catalog *c, const struct seals *all, struct fault *f)
{
	for (size_t i = 0; i < all->lines; i++) {
		const struct seal_line *l = &all->line[i];

		for (size_t n = l->first; n < l->first + l->replaces; n++) {
			uint64_t number = all->number[n];

			if (l->file != SEAL_BAD && note_replaced(s, c, number, l->class_, f) < 0)
				return -1;
			if (drop_row(s, c, number, f) < 0)
				return -1;
		}
	}
	return 0;
}
