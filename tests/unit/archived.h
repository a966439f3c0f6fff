/* Mail in a world's archive, and what can be asked of it. */
#pragma once

#include "archive/check.h"
#include "archive/find.h"
#include "tests/crash/dump.h"
#include "tests/unit/world.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

/* Message i under UIDL "u<i>", of a class; NULL: the default one. */
static inline struct item *message_of(struct world *w, unsigned i, const char *class_)
{
	char text[128], uidl[16];
	struct item *item = item_new(ITEM_MESSAGE, w->drop.number, &w->f);

	assert_non_null(item);
	(void)snprintf(text, sizeof text,
		"Subject: %u\r\nFrom: anna@example.com\r\n\r\nbody of message %u\r\n", i, i);
	(void)snprintf(uidl, sizeof uidl, "u%u", i);
	ok(w, spool_new(w->pool, &item->spool, &w->f));
	ok(w, spool_write(item->spool, slice_text(text), &w->f));
	spool_finish(item->spool);
	item->class_ = class_;
	item->listed_size = strlen(text);
	ok(w, buffer_append_text(&item->uidl, uidl, &w->f));
	return item;
}

/* n messages from number `from` on, in one group. */
static inline void keep_of(struct world *w, unsigned from, unsigned n, const char *class_)
{
	struct batch g CLEANUP(batch_deinit);

	batch_init(&g);
	for (unsigned i = from; i < from + n; i++)
		batch_add(&g, message_of(w, i, class_));
	ok(w, store_commit(w->store, &g, &w->f));
}

static inline void keep(struct world *w, unsigned from, unsigned n)
{
	keep_of(w, from, n, NULL);
}

static inline uint64_t count(struct world *w)
{
	uint64_t messages = 0, bytes;

	ok(w, find_count(w->store, NULL, &messages, &bytes, &w->f));
	return messages;
}

static inline unsigned damages(struct world *w)
{
	struct verify *v CLEANUP(verify_closep) = NULL;
	struct damage d;
	unsigned n = 0;
	int r;

	ok(w, verify_open(w->store, VERIFY_FULL, &v, &w->f));
	while ((r = verify_step(v, &d, &w->f)) > 0) {
		if (r == VERIFY_DAMAGE && n++ < 3)
			print_message("# %s\n", d.text);
	}
	ok(w, r);
	return n;
}

static inline unsigned readable(struct world *w)
{
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	struct message m;
	unsigned n = 0;

	ok(w, find_open(w->store, NULL, NULL, &c, &w->f));
	while (find_next(c, &m, &w->f) == FIND_ROW) {
		if (message_check(w->store, &m, &w->f) == 0)
			n++;
		else
			print_message("# %s\n", w->f.text);
	}
	return n;
}

static inline void every_message_reads(struct world *w)
{
	assert_int_equal(readable(w), count(w));
}

static inline const char *path_of(struct world *w, const char *name)
{
	static char path[4][160];
	static unsigned next;
	char *ret = path[next++ % 4];

	(void)snprintf(ret, sizeof path[0], "%s/%s", w->path, name);
	return ret;
}

static inline bool exists(struct world *w, const char *name)
{
	struct stat st;

	return stat(path_of(w, name), &st) == 0;
}

static inline unsigned mode_of(struct world *w, const char *name)
{
	struct stat st;

	assert_int_equal(stat(path_of(w, name), &st), 0);
	return st.st_mode & 07777;
}

static inline off_t size_of(struct world *w, const char *name)
{
	struct stat st;

	assert_int_equal(stat(path_of(w, name), &st), 0);
	return st.st_size;
}

/* The handle is closed meanwhile. */
static inline void rebuild(struct world *w)
{
	struct rebuild_sums sums;

	store_close(w->store);
	w->store = NULL;
	ok(w, store_rebuild(w->path, NULL, NULL, NULL, &sums, &w->f));
	reopen(w);
}

/* The catalog made again has the rows of the one that grew. */
static inline void rebuild_is_the_same(struct world *w)
{
	char *before CLEANUP(freep) = NULL, *after CLEANUP(freep) = NULL;
	char difference[512];

	ok(w, dump_catalog(path_of(w, "catalog.db"), &before, &w->f));
	rebuild(w);
	ok(w, dump_catalog(path_of(w, "catalog.db"), &after, &w->f));
	if (dump_difference(before, after, difference))
		fail_msg("%s", difference);
}

/* ---- Behind its back ------------------------------------------------------------------------- */

static inline int take_number(void *to, int columns, char **values, char **names)
{
	(void)columns, (void)names;
	*(int64_t *)to = values[0] ? (int64_t)strtoll(values[0], NULL, 10) : 0;
	return 0;
}

/* The number that a query gives. */
static inline int64_t number_of(struct world *w, const char *query)
{
	sqlite3 *db = NULL;
	int64_t number = -1;

	assert_int_equal(sqlite3_open(path_of(w, "catalog.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, query, take_number, &number, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
	return number;
}

static inline void sql(struct world *w, const char *statement)
{
	(void)number_of(w, statement);
}

static inline void flip(struct world *w, const char *name, off_t at)
{
	uint8_t byte;
	int fd CLEANUP(fd_closep) = open(path_of(w, name), O_RDWR | O_CLOEXEC);

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x11;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

/* ---- Larger mail ----------------------------------------------------------------------------- */

static inline void keep_text(struct world *w, unsigned i, const char *text, size_t len)
{
	struct item *item = message_of(w, i, NULL);

	item->spool = spool_free(item->spool);
	ok(w, spool_new(w->pool, &item->spool, &w->f));
	ok(w, spool_write(item->spool, slice_of(text, len), &w->f));
	spool_finish(item->spool);
	item->listed_size = len;
	(void)commit_one(w, item);
}

/* Message i with an attachment of 60 kB in base64, the same for the same `which`. */
static inline void keep_attachment(struct world *w, unsigned i, unsigned which)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(1024 * 1024);
	uint32_t x = which + 1;

	ok(w, buffer_append_format(&text, &w->f,
		      "Subject: %u\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; "
		      "boundary=\"b\"\r\n\r\n--b\r\n\r\nhello\r\n--b\r\nContent-Type: "
		      "application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n",
		      i));
	for (unsigned line = 0; line < 1000; line++) {
		char row[79];

		for (unsigned at = 0; at < 76; at++) {
			x = x * 1664525 + 1013904223;
			row[at] = digits[x >> 26];
		}
		memcpy(row + 76, "\r\n", 3);
		ok(w, buffer_append_text(&text, row, &w->f));
	}
	ok(w, buffer_append_text(&text, "--b--\r\n", &w->f));
	keep_text(w, i, (const char *)text.data, text.len);
}

/* One of 6 MB, which spans frames. */
static inline void keep_large(struct world *w, unsigned i)
{
	const size_t len = 6000000;
	char *text = malloc(len);
	uint32_t x = i;

	assert_non_null(text);
	for (size_t at = 0; at < len; at++) {
		x = x * 1664525 + 1013904223;
		text[at] = at % 70 == 69 ? '\n' : (char)('a' + (x >> 28));
	}
	keep_text(w, i, text, len);
	free(text);
}
