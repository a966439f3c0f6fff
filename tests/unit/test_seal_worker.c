/* Workers that die, hang and lie: the open segment stays, and the reason is told. */
#include "archive/check.h"
#include "archive/dense.h"
#include "archive/frame_table.h"
#include "archive/handle.h"
#include "archive/limits.h"
#include "archive/segment_readme.h"
#include "tests/crash/forked.h"
#include "tests/unit/archived.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

static const struct seal_due all_due = {0};

static int say(const struct seal_fds *fds, const char *text)
{
	return write(fds->status, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : 1;
}

static int put(int fd, const void *data, size_t len)
{
	const uint8_t *at = data;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n <= 0)
			return 1;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* ---- One that dies or hangs ------------------------------------------------------------------ */

static int dies(struct forked *w, const struct seal_fds *fds)
{
	(void)w, (void)fds;
	(void)signal(SIGSEGV, SIG_DFL);
	(void)raise(SIGSEGV);
	return 1;
}

static int says_nothing(struct forked *w, const struct seal_fds *fds)
{
	(void)w, (void)fds;
	return 0;
}

static int hangs(struct forked *w, const struct seal_fds *fds)
{
	(void)w, (void)fds;
	while (pause() < 0)
		;
	return 1;
}

static int only_talks(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	while (say(fds, "progress 5 10\n") == 0)
		(void)usleep(10000);
	return 1;
}

static int goes_back_and_forth(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	while (say(fds, "progress 5 10\nprogress 0 10\n") == 0)
		(void)usleep(10000);
	return 1;
}

static int trickles(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	while (put(fds->out, "x", 1) == 0)
		(void)usleep(10000);
	return 1;
}

static int fails(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	return say(fds, "failed of no \x1b[31m memory\n");
}

static int says_too_much(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	for (int i = 0; i < 100; i++)
		(void)say(fds, "progress progress progress progress ");
	return 0;
}

static int counts_backwards(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	return say(fds, "progress 10 5\n");
}

static int says_zeros(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	return put(fds->status, "done\0\n", 6);
}

static int never_ends(struct forked *w, const struct seal_fds *fds)
{
	static const uint8_t noise[65536];

	(void)w;
	while (put(fds->out, noise, sizeof noise) == 0)
		;
	return 1;
}

static int makes_nothing(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	return say(fds, "done\n");
}

/* ---- One that makes something else ----------------------------------------------------------- */

enum lie {
	LIE_NONE,
	LIE_MISSING,   /* the last message is left out */
	LIE_TWICE,     /* the first one is there twice */
	LIE_BYTES,     /* the first one has another byte */
	LIE_SIZE,      /* it is longer */
	LIE_NAMES,     /* two messages have each other's name */
	LIE_EXTRA,     /* one that nobody asked for */
	LIE_FOREIGN,   /* an entry of another name */
	LIE_PART,      /* one whose bytes are not those of its name */
	LIE_SMALL,     /* one that is smaller than parts are */
	LIE_RECIPE,    /* a recipe that makes something else */
	LIE_LEDGER,    /* another LEDGER */
	LIE_NO_LEDGER, /* none */
	LIE_README,    /* another README */
	LIE_READMES,   /* README twice */
	LIES
};

struct message_bytes {
	struct digest digest;
	uint8_t bytes[4096];
	size_t len;
};

static int take(void *context, struct slice bytes, struct fault *f)
{
	struct message_bytes *m = context;

	(void)f;
	memcpy(m->bytes + m->len, bytes.data, bytes.len);
	m->len += bytes.len;
	return 0;
}

static int entry(struct dense *d, const char *name, const void *data, size_t len)
{
	struct fault f;

	return dense_begin(d, name, len, 1000, NULL, NULL, &f) < 0 ||
	       (len > 0 && dense_put(d, slice_of(data, len), &f) < 0);
}

static int mail(struct dense *d, const struct digest *name, const struct message_bytes *m)
{
	char hex[DIGEST_HEX + 1], path[128];

	digest_hex(name, hex);
	(void)snprintf(path, sizeof path, "mail/%s.eml", hex);
	return entry(d, path, m->bytes, m->len);
}

static int part(struct dense *d, const char *folder, const char *ending, const void *data, size_t n)
{
	static const struct digest zero = {0};
	char hex[DIGEST_HEX + 1], path[128];

	digest_hex(&zero, hex);
	(void)snprintf(path, sizeof path, "%s/%s%s", folder, hex, ending);
	return entry(d, path, data, n);
}

/* Its bytes are those of its name. */
static int small_part(struct dense *d)
{
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	char hex[DIGEST_HEX + 1], path[128];
	struct digest digest;
	struct fault f;

	if (hasher_new(&h, &f) < 0)
		return 1;
	hasher_add(h, "x", 1);
	hasher_end(h, &digest);
	digest_hex(&digest, hex);
	(void)snprintf(path, sizeof path, "part/%s", hex);
	return entry(d, path, "x", 1);
}

static size_t read_messages(const struct seal_fds *fds, struct message_bytes *ret, size_t max)
{
	struct seal_reader r;
	struct seal_mail m;
	struct fault f;
	struct frame_cache cache = {0};
	size_t n = 0;

	if (seal_request_read(fds->request, &r, &f) < 0)
		return 0;
	while (n < max && seal_request_next(&r, &m, &f) == SEAL_MAIL) {
		struct location at = {1, m.frame_offset, m.entry_offset};

		ret[n].digest = m.digest;
		if (segment_read_entry(fds->source[m.source], &cache, &at, &m.digest, m.size,
			    UINT64_MAX, take, &ret[n], &f) != 0)
			return 0;
		n++;
	}
	frame_cache_deinit(&cache);
	return n;
}

static int lie_of_messages(struct dense *d, enum lie lie, struct message_bytes *m, size_t n)
{
	int bad = 0;

	for (size_t i = 0; i < n; i++) {
		const struct digest *name = &m[i].digest;

		if (lie == LIE_MISSING && i + 1 == n)
			continue;
		m[i].bytes[5] ^= lie == LIE_BYTES && i == 0;
		m[i].len += lie == LIE_SIZE && i == 0;
		if (lie == LIE_NAMES && i < 2)
			name = &m[1 - i].digest;
		if (lie == LIE_RECIPE && i == 0) {
			char text[256];
			int len = snprintf(text, sizeof text,
				"popkeep-recipe 1\nsize %zu\nliteral %zu\n\n%0*d", m[i].len,
				m[i].len, (int)m[i].len, 7);
			char hex[DIGEST_HEX + 1], path[128];

			digest_hex(name, hex);
			(void)snprintf(path, sizeof path, "mail/%s.recipe", hex);
			bad |= entry(d, path, text, (size_t)len);
			continue;
		}
		bad |= mail(d, name, &m[i]);
		if (lie == LIE_TWICE && i == 0)
			bad |= mail(d, name, &m[i]);
	}
	return bad;
}

static int lies_with(struct forked *w, const struct seal_fds *fds)
{
	static const uint8_t large[LIMIT_PART_LEAST];
	enum lie lie = *(enum lie *)w->context;
	struct message_bytes *m = calloc(64, sizeof *m);
	struct dense *d = NULL;
	struct fault f;
	struct buffer readme = buffer_make(SEGMENT_README_MAX);
	uint8_t ledger[8192];
	int bad = 0;
	size_t n = read_messages(fds, m, 64);
	ssize_t len = pread(fds->ledger, ledger, sizeof ledger, 0);

	if (n == 0 || len <= 0 ||
		dense_open(fds->out, &(struct dense_options){9, 4 * MIB}, &d, &f) < 0 ||
		segment_readme(&readme, &f) < 0)
		return 1;
	bad |= lie_of_messages(d, lie, m, n);
	if (lie == LIE_EXTRA)
		bad |= part(d, "mail", ".eml", "x", 1);
	if (lie == LIE_FOREIGN)
		bad |= entry(d, "etc/passwd", "root", 4);
	if (lie == LIE_PART)
		bad |= part(d, "part", "", large, sizeof large);
	if (lie == LIE_SMALL)
		bad |= small_part(d);
	if (lie != LIE_NO_LEDGER)
		bad |= entry(d, "LEDGER", ledger, (size_t)len - (lie == LIE_LEDGER));
	bad |= entry(d, "README", readme.data, readme.len - (lie == LIE_README));
	if (lie == LIE_READMES)
		bad |= entry(d, "README", readme.data, readme.len);
	bad |= dense_end(d, &f);
	return say(fds, "done\n") | bad;
}

/* ---- One that spoils the right file ---------------------------------------------------------- */

struct spoiling {
	enum { SPOIL_FLIP, SPOIL_CUT, SPOIL_APPEND, SPOIL_NOTHING } how;
	off_t from_end; /* of the byte, or of what is cut or appended */
};

static int spoils(struct forked *w, const struct seal_fds *fds)
{
	const struct spoiling *s = w->context;
	struct seal_fds own = *fds;
	struct stat st;
	struct fault f;

	own.out = memfd_create("segment", MFD_CLOEXEC);
	if (seal_work(&own, &f) < 0 || fstat(own.out, &st) < 0)
		return 1;
	size_t len = (size_t)st.st_size;
	uint8_t *bytes = calloc(1, len + 4096);
	if (pread(own.out, bytes, len, 0) != (ssize_t)len)
		return 1;
	if (s->how == SPOIL_FLIP)
		bytes[len - (size_t)s->from_end] ^= 1;
	else if (s->how == SPOIL_CUT)
		len -= (size_t)s->from_end;
	else if (s->how == SPOIL_APPEND)
		len += (size_t)s->from_end;
	return put(fds->out, bytes, len);
}

/* ---- One that hides something ---------------------------------------------------------------- */

/* Between two frames, in a skippable one: in a row of the table of its own, or in that of the frame
 * before it. */
static int hides(struct forked *w, const struct seal_fds *fds)
{
	static const char hidden[] = "\x50\x2a\x4d\x18\x04\0\0\0evil";
	enum { HIDDEN = sizeof hidden - 1 };
	bool in_row = *(const bool *)w->context;
	struct seal_fds own = *fds;
	struct frame_table t = {0}, other = {0};
	struct buffer all = buffer_make(MIB), tables = buffer_make(MIB);
	struct hasher *h = NULL;
	struct digest d;
	struct stat st;
	struct fault f;

	own.out = memfd_create("segment", MFD_CLOEXEC);
	if (seal_work(&own, &f) < 0 || fstat(own.out, &st) < 0 || hasher_new(&h, &f) < 0 ||
		frame_table_read(own.out, (uint64_t)st.st_size, &t, &f) != 0 ||
		buffer_reserve(&all, (size_t)st.st_size + HIDDEN, &f) < 0)
		return 1;
	size_t first = t.frame[0].size, rest = (size_t)frame_table_end(&t) - first;
	if (pread(own.out, all.data, first, 0) != (ssize_t)first ||
		pread(own.out, all.data + first + HIDDEN, rest, (off_t)first) != (ssize_t)rest)
		return 1;
	memcpy(all.data + first, hidden, HIDDEN);
	hasher_add(h, all.data + (in_row ? 0 : first), HIDDEN + (in_row ? first : 0));
	hasher_end(h, &d);
	int r = in_row ? frame_table_add(
				 &other, t.frame[0].size + HIDDEN, t.frame[0].decoded, &d, &f)
		       : frame_table_add(&other, t.frame[0].size, t.frame[0].decoded,
				 &t.frame[0].digest, &f);
	if (r == 0 && !in_row)
		r = frame_table_add(&other, HIDDEN, 0, &d, &f);
	for (size_t i = 1; i < t.frames && r == 0; i++)
		r = frame_table_add(
			&other, t.frame[i].size, t.frame[i].decoded, &t.frame[i].digest, &f);
	if (r < 0 || frame_table_format(&other, &tables, &f) < 0)
		return 1;
	return put(fds->out, all.data, first + HIDDEN + rest) |
	       put(fds->out, tables.data, tables.len);
}

/* ---- What becomes of them -------------------------------------------------------------------- */

static void stays(struct world *w, struct forked *worker, const char *why)
{
	struct seal_job job = forked_job(worker);
	struct seal_result r;

	if (worker->instead == hangs || worker->instead == only_talks ||
		worker->instead == goes_back_and_forth || worker->instead == trickles)
		job.silence_ms = 300;
	assert_true(store_seal(w->store, &all_due, &job, &r, &w->f) < 0);
	if (!strstr(w->f.text, why))
		fail_msg("%s", w->f.text);
	assert_int_equal(w->f.code, FAULT_SYSTEM);
	assert_true(exists(w, "segments/000001.open.tar.zst"));
	assert_false(exists(w, "segments/000002.tar.zst"));
	assert_false(exists(w, "segments/seal.tmp"));
}

static void then_it_is_sealed(struct world *w, unsigned messages)
{
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);
	struct seal_result r;

	keep(w, 500, 1);
	/* What failed before comes last. */
	assert_int_equal(store_seal(w->store, &all_due, &job, &r, &w->f), 0);
	if (r.messages == 1)
		assert_int_equal(store_seal(w->store, &all_due, &job, &r, &w->f), 0);
	assert_int_equal(r.messages, messages);
	assert_int_equal(count(w), messages + 1);
	every_message_reads(w);
	assert_int_equal(damages(w), 0);
}

static void a_worker_that_dies_or_hangs_leaves_the_segment_as_it_was(void **state)
{
	static const struct {
		int (*instead)(struct forked *w, const struct seal_fds *fds);
		const char *why;
	} all[] = {
		{dies, "killed by 11"},
		{says_nothing, "ended without a word"},
		{hangs, "no sign of life for 0.3 s"},
		{only_talks, "no sign of life for 0.3 s"},
		{goes_back_and_forth, "no sign of life for 0.3 s"},
		{trickles, "was not done in the time"},
		{fails, "of no \\x1b[31m memory"},
		{says_too_much, "said something that cannot be read"},
		{counts_backwards, "said something that cannot be read"},
		{says_zeros, "said something that cannot be read"},
		{never_ends, "more bytes than a segment"},
		{makes_nothing, "is wrong"},
	};
	struct world *w = *state;

	keep(w, 0, 5);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct forked worker = {.instead = all[i].instead};

		stays(w, &worker, all[i].why);
	}
	then_it_is_sealed(w, 5);
}

static void what_was_not_asked_for_is_not_put_in_place(void **state)
{
	struct world *w = *state;

	keep(w, 0, 5);
	for (enum lie lie = LIE_MISSING; lie < LIES; lie++) {
		struct forked worker = {.instead = lies_with, .context = &lie};

		stays(w, &worker, "the sealed segment that the worker made is wrong");
	}
	enum lie none = LIE_NONE;
	struct forked worker = {.instead = lies_with, .context = &none};
	struct seal_job job = forked_job(&worker);
	struct seal_result r;

	assert_int_equal(store_seal(w->store, &all_due, &job, &r, &w->f), 0);
	every_message_reads(w);
}

static void a_file_that_is_spoiled_anywhere_is_not_put_in_place(void **state)
{
	struct world *w = *state;

	keep(w, 0, 5);
	for (off_t at = 1; at < 2600; at += at < 200 ? 1 : 97) {
		struct spoiling s = {SPOIL_FLIP, at};
		struct forked worker = {.instead = spoils, .context = &s};

		stays(w, &worker, "is wrong");
	}
	for (off_t n = 1; n < 2600; n += n < 200 ? 7 : 397) {
		struct spoiling cut = {SPOIL_CUT, n}, more = {SPOIL_APPEND, n};
		struct forked one = {.instead = spoils, .context = &cut};
		struct forked other = {.instead = spoils, .context = &more};

		stays(w, &one, "is wrong");
		stays(w, &other, "is wrong");
	}
	struct spoiling nothing = {SPOIL_NOTHING, 0};
	struct forked worker = {.instead = spoils, .context = &nothing};
	struct seal_job job = forked_job(&worker);
	struct seal_result r;

	assert_int_equal(store_seal(w->store, &all_due, &job, &r, &w->f), 0);
	every_message_reads(w);
}

static void keep_one_more(void *context)
{
	struct world *w = context;
	struct store *ours = w->store;

	w->store = w->other;
	keep(w, (unsigned)(1000 + count(w)), 1);
	w->store = ours;
}

static void a_job_that_fails_does_not_run_after_ingest(void **state)
{
	struct world *w = *state;
	struct forked worker = {.instead = says_nothing, .meanwhile = keep_one_more, .context = w};
	struct seal_job job = forked_job(&worker);
	struct seal_result r;

	keep(w, 0, 5);
	ok(w, store_open(w->path, NULL, STORE_WRITE, &w->other, &w->f));
	assert_true(store_seal(w->store, &all_due, &job, &r, &w->f) < 0);
	/* Once for the segment, and not for those that began while it failed. */
	assert_int_equal(worker.runs, 1);
	assert_true(exists(w, "segments/000002.open.tar.zst"));
	assert_int_equal(count(w), 6);
}

static void what_hides_between_the_frames_is_found(void **state)
{
	static const bool ways[] = {false, true};
	struct world *w = *state;

	keep(w, 0, 5);
	for (size_t i = 0; i < 2; i++) {
		bool in_row = ways[i];
		struct forked worker = {.instead = hides, .context = &in_row};

		stays(w, &worker, "its frames are not those of its table");
	}
	then_it_is_sealed(w, 5);
}

static int stop(void *context, uint64_t done, uint64_t all)
{
	(void)context, (void)done, (void)all;
	return 1;
}

static void whoever_asked_can_stop_the_job(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);
	struct seal_result r;

	keep(w, 0, 5);
	job.progress = stop;
	assert_true(store_seal(w->store, &all_due, &job, &r, &w->f) < 0);
	assert_int_equal(w->f.code, FAULT_INTERRUPT);
	assert_false(exists(w, "segments/seal.tmp"));
	then_it_is_sealed(w, 5);
}

static void a_full_disk_is_told_and_ends_nothing(void **state)
{
	struct world *w = *state;
	struct forked worker = {.instead = never_ends};
	struct seal_job job = forked_job(&worker);
	struct seal_result r;
	struct rlimit was, little;
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);

	keep(w, 0, 3);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	little = (struct rlimit){4 * MIB, was.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	int got = store_seal(w->store, &all_due, &job, &r, &w->f);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	(void)signal(SIGXFSZ, handler);
	assert_true(got < 0);
	if (w->f.code != FAULT_WRITE)
		fail_msg("%d %s", w->f.code, w->f.text);
	assert_false(exists(w, "segments/seal.tmp"));
	assert_false(exists(w, "write-failed"));
	assert_true(exists(w, "segments/000001.open.tar.zst"));
	then_it_is_sealed(w, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_DROP_TEST(a_worker_that_dies_or_hangs_leaves_the_segment_as_it_was),
		WORLD_DROP_TEST(a_job_that_fails_does_not_run_after_ingest),
		WORLD_DROP_TEST(what_was_not_asked_for_is_not_put_in_place),
		WORLD_DROP_TEST(a_file_that_is_spoiled_anywhere_is_not_put_in_place),
		WORLD_DROP_TEST(what_hides_between_the_frames_is_found),
		WORLD_DROP_TEST(whoever_asked_can_stop_the_job),
		WORLD_DROP_TEST(a_full_disk_is_told_and_ends_nothing),
	};

	return cmocka_run_group_tests_name("seal_worker", tests, NULL, NULL);
}
