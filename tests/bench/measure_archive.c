/* Fills an archive without a server, and reads single messages of one, in one process:
 *
 *   measure_archive fill ARCHIVE      keeps the files whose paths come on stdin, one a line, each
 *                                     under an account that is called like the folder it lies in
 *   measure_archive read ARCHIVE N    reads N messages, chosen evenly, in an order that jumps
 *                                     about, each checked against its digest; first with an empty
 *                                     cache each time, then with one that is kept. Milliseconds of
 *                                     CPU time, and of the clock
 *
 * Both print one line of JSON. */
#include "archive/batch.h"
#include "archive/find.h"
#include "archive/limits.h"
#include "archive/maildrop.h"
#include "archive/own.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { READ_AT_ONCE = 256 * 1024, NAME_SIZE = 64 };

struct filling {
	struct store *store;
	struct spool_pool *pool;
	struct batch group;
	char account[NAME_SIZE];
	uint64_t maildrop, messages, bytes;
	uint8_t *block;
	struct fault f;
};

static void filling_deinit(struct filling *l)
{
	batch_deinit(&l->group);
	store_close(l->store);
	spool_pool_close(l->pool);
	free(l->block);
}

static double seconds_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- Filling -------------------------------------------------------------------------------- */

/* The last folder of path. */
static void account_of(const char *path, char ret[static NAME_SIZE])
{
	const char *end = strrchr(path, '/'), *begin = end;

	while (begin && begin > path && begin[-1] != '/')
		begin--;
	(void)snprintf(ret, NAME_SIZE, "%.*s", begin ? (int)(end - begin) : 0, begin ? begin : "");
	if (!ret[0])
		(void)snprintf(ret, NAME_SIZE, "mail");
}

static int commit(struct filling *l)
{
	if (store_commit(l->store, &l->group, &l->f) < 0)
		return -1;
	batch_deinit(&l->group);
	batch_init(&l->group);
	return 0;
}

static int change_account(struct filling *l, const char *path)
{
	struct maildrop m CLEANUP(maildrop_deinit) = {0};
	char name[NAME_SIZE];

	account_of(path, name);
	if (strcmp(name, l->account) == 0)
		return 0;
	if (store_maildrop(l->store, name, "pop.example.com", name, &m, &l->f) < 0)
		return -1;
	(void)snprintf(l->account, sizeof l->account, "%s", name);
	l->maildrop = m.number;
	return 0;
}

static int spool_file(struct filling *l, const char *path, struct spool *spool)
{
	int fd CLEANUP(fd_closep) = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, l->block, READ_AT_ONCE)) > 0) {
		if (spool_write(spool, slice_of(l->block, (size_t)n), &l->f) < 0)
			return -1;
	}
	if (fd < 0 || n < 0)
		return fault_set(&l->f, FAULT_SYSTEM, SCOPE_SESSION, 0, "%s cannot be read", path);
	spool_finish(spool);
	return 0;
}

static int keep(struct filling *l, const char *path)
{
	if (change_account(l, path) < 0)
		return -1;
	struct item *i CLEANUP(item_freep) = item_new(ITEM_MESSAGE, l->maildrop, &l->f);
	if (!i || spool_new(l->pool, &i->spool, &l->f) < 0 || spool_file(l, path, i->spool) < 0 ||
		buffer_append_format(&i->uidl, &l->f, "%" PRIu64, l->messages) < 0)
		return -1;
	i->listed_size = spool_size(i->spool);
	l->messages++;
	l->bytes += i->listed_size;
	batch_add(&l->group, TAKE(i));
	return l->group.bytes >= LIMIT_GROUP_BYTES || l->group.items >= LIMIT_GROUP_ITEMS
		       ? commit(l)
		       : 0;
}

static int fill_all(struct filling *l, const char *folder)
{
	char *line CLEANUP(freep) = NULL;
	size_t size = 0;

	l->block = malloc(READ_AT_ONCE);
	if (!l->block)
		return fault_memory(&l->f);
	if (store_create(folder, NULL, &l->f) < 0 ||
		store_open(folder, NULL, STORE_WRITE, &l->store, &l->f) < 0 ||
		spool_pool_open(folder, &l->pool, &l->f) < 0)
		return -1;
	for (ssize_t n; (n = getline(&line, &size, stdin)) > 0;) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		if (keep(l, line) < 0)
			return -1;
	}
	return l->group.items ? commit(l) : 0;
}

static int fill(const char *folder)
{
	struct filling l CLEANUP(filling_deinit) = {0};

	batch_init(&l.group);
	double start = seconds_of(CLOCK_MONOTONIC);
	if (fill_all(&l, folder) < 0) {
		(void)fprintf(stderr, "measure_archive: %s\n", l.f.text);
		return 1;
	}
	(void)printf("{\"messages\": %" PRIu64 ", \"bytes\": %" PRIu64
		     ", \"wall_s\": %.4f, \"cpu_s\": %.4f}\n",
		l.messages, l.bytes, seconds_of(CLOCK_MONOTONIC) - start,
		seconds_of(CLOCK_PROCESS_CPUTIME_ID));
	return 0;
}

/* ---- Reading -------------------------------------------------------------------------------- */

struct reading {
	struct store *store;
	struct message *all; /* nothing of them is owned but where they lie */
	size_t n, size;
	double *ms, *cpu_ms;
	struct fault f;
};

static void reading_deinit(struct reading *r)
{
	store_close(r->store);
	free(r->all);
	free(r->ms);
	free(r->cpu_ms);
}

static int collect(struct reading *r)
{
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	struct message m;
	int got;

	if (find_open(r->store, NULL, NULL, &c, &r->f) < 0)
		return -1;
	while ((got = find_next(c, &m, &r->f)) == FIND_ROW) {
		if (r->n == r->size) {
			size_t size = r->size ? 2 * r->size : 1024;
			struct message *all = realloc(r->all, size * sizeof *all);

			if (!all)
				return fault_memory(&r->f);
			r->all = all;
			r->size = size;
		}
		m.account = m.class_ = NULL;
		r->all[r->n++] = m;
	}
	return got;
}

static int by_time(const void *a, const void *b)
{
	double x, y;

	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return (x > y) - (x < y);
}

enum cache { CACHE_EMPTY, CACHE_KEPT };

static int read_some(struct reading *r, const char *folder, size_t wanted, enum cache cache)
{
	uint64_t x = 88172645463325252U; /* xorshift: Marsaglia's own seed */

	for (size_t i = 0; i < wanted && r->n > 0; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (cache == CACHE_EMPTY) { /* a handle's own is empty when it is opened */
			r->store = store_close(r->store);
			if (store_open(folder, NULL, STORE_READ, &r->store, &r->f) < 0)
				return -1;
		}
		double start = seconds_of(CLOCK_MONOTONIC);
		double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
		if (message_check(r->store, &r->all[x % r->n], &r->f) < 0)
			return -1;
		r->cpu_ms[i] = (seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1000;
		r->ms[i] = (seconds_of(CLOCK_MONOTONIC) - start) * 1000;
	}
	qsort(r->ms, wanted, sizeof *r->ms, by_time);
	qsort(r->cpu_ms, wanted, sizeof *r->cpu_ms, by_time);
	return 0;
}

static void print(const char *name, const double *ms, size_t n)
{
	(void)printf("\"%s\": [%.3f, %.3f, %.3f]", name, ms[n / 2], ms[n * 99 / 100], ms[n - 1]);
}

static int read_both(struct reading *r, const char *folder, size_t wanted)
{
	if (store_open(folder, NULL, STORE_READ, &r->store, &r->f) < 0 || collect(r) < 0)
		return -1;
	r->ms = calloc(wanted, sizeof *r->ms);
	r->cpu_ms = calloc(wanted, sizeof *r->cpu_ms);
	if (!r->ms || !r->cpu_ms)
		return fault_memory(&r->f);
	if (read_some(r, folder, wanted, CACHE_EMPTY) < 0)
		return -1;
	(void)printf("{");
	print("empty_cpu_ms", r->cpu_ms, wanted);
	(void)printf(", ");
	print("empty_ms", r->ms, wanted);
	if (read_some(r, folder, wanted, CACHE_KEPT) < 0)
		return -1;
	(void)printf(", ");
	print("kept_cpu_ms", r->cpu_ms, wanted);
	(void)printf(", ");
	print("kept_ms", r->ms, wanted);
	(void)printf("}\n");
	return 0;
}

static int read_them(const char *folder, size_t wanted)
{
	struct reading r CLEANUP(reading_deinit) = {0};

	if (read_both(&r, folder, wanted) < 0) {
		(void)fprintf(stderr, "measure_archive: %s\n", r.f.text);
		return 1;
	}
	return 0;
}

static size_t number(const char *text)
{
	size_t n = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		n = n * 10 + (size_t)(*text - '0');
	return n;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "fill") == 0)
		return fill(argv[2]);
	if (argc == 4 && strcmp(argv[1], "read") == 0 && number(argv[3]) > 0)
		return read_them(argv[2], number(argv[3]));
	return 2;
}
