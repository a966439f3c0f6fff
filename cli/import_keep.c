/* Messages are gathered in a batch; while one is being committed the next is filled. What came of a
 * message is known when its batch is done, and is counted then, for the source that it came from.
 *
 * A message in several folders is several items of one spool: one after the other in one batch, the
 * first of them marked. */
#include "cli/import_keep.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "cli/import_dry.h"
#include "cli/import_own.h"
#include "cli/import_place.h"
#include "cli/import_writer.h"
#include "cli/json.h"
#include "cli/stop.h"

#include <fcntl.h>
#include <stdio.h>

enum { CONVERTED = 64 * 1024 };

enum tag { TAG_ALSO, TAG_FIRST };

struct import_keep {
	struct run *run;
	const struct import_terms *terms;
	struct import_taker taker;
	struct import_source *source;

	/* Keeping */
	struct spool_pool *pool;
	struct import_writer *writer;
	struct import_dry *dry;
	uint64_t maildrop;
	struct batch batch;

	/* The message that is open */
	enum { BETWEEN, INSIDE, SKIPPING } state;
	struct batch items;    /* one for each of its folders, without a spool yet */
	struct spool *spool;   /* IMPORT_KEEP */
	struct hasher *hasher; /* IMPORT_DRY */
	uint64_t size;
	uint8_t last; /* byte of it, as it is in the source */
	uint8_t *converted;
	struct buffer where;

	struct readings readings;
	struct import_own own;
	uint64_t all_bytes, done_before, done; /* for progress */
	uint64_t found;
	bool told_cut;
};

void import_sums_add(struct import_sums *to, const struct import_sums *s)
{
	to->found += s->found;
	to->kept += s->kept;
	to->duplicate += s->duplicate;
	to->known += s->known;
	to->refused += s->refused;
	to->bytes += s->bytes;
	to->lost += s->lost;
	to->passed += s->passed;
}

bool import_sums_fit(const struct import_sums *s)
{
	return s->found == s->kept + s->known + s->refused;
}

/* ---- What came of a batch -------------------------------------------------------------------- */

static struct import_source *source_of(const struct item *i)
{
	return (struct import_source *)(uintptr_t)
		i->cookie; /* NOLINT: that is what cookies are for */
}

static void count(struct import_source *s, const struct item *first, bool kept)
{
	s->waiting--;
	s->sums.kept += kept;
	s->sums.known += !kept;
	if (first->outcome == OUTCOME_KEPT)
		s->sums.bytes += first->size;
	else
		s->sums.duplicate += kept;
}

static void count_all(struct batch *done)
{
	for (struct item *i; (i = batch_take(done));) {
		bool kept = i->outcome != OUTCOME_KNOWN;

		while (done->first && done->first->tag == TAG_ALSO) {
			struct item *also = batch_take(done);

			kept |= also->outcome != OUTCOME_KNOWN;
			item_free(also);
		}
		count(source_of(i), i, kept);
		item_free(i);
	}
}

static int wait_for_writer(struct import_keep *k, struct fault *f)
{
	struct batch done CLEANUP(batch_deinit);

	batch_init(&done);
	int r = import_writer_wait(k->writer, &done, f);
	for (char *text; (text = store_take_notice(k->run->store)); free(text))
		run_note(k->run, "%s", text);
	count_all(&done);
	return r;
}

static int hand_over(struct import_keep *k, struct fault *f)
{
	if (wait_for_writer(k, f) < 0)
		return -1;
	if (k->batch.items > 0)
		import_writer_put(k->writer, &k->batch);
	return 0;
}

int import_keep_finish(struct import_keep *k, struct fault *f)
{
	readings_tell(&k->readings, k->run);
	if (k->terms->mode == IMPORT_DRY)
		return 0;
	return hand_over(k, f) < 0 || wait_for_writer(k, f) < 0 ? -1 : 0;
}

/* ---- Messages -------------------------------------------------------------------------------- */

static void drop_message(struct import_keep *k)
{
	struct digest ignored;

	batch_deinit(&k->items);
	k->spool = spool_free(k->spool);
	if (k->hasher && k->state == INSIDE)
		hasher_end(k->hasher, &ignored);
	k->state = BETWEEN;
}

static int set_folder(struct import_keep *k, struct item *i, const char *folder, struct fault *f)
{
	struct slice path = slice_text(folder ? folder : "");
	int cut = 0;

	if (k->terms->folder)
		cut |= place_add_path(&i->folder, slice_text(k->terms->folder), f);
	for (const uint8_t *slash; cut >= 0 && path.len > 0;) {
		slash = memchr(path.data, '/', path.len);
		size_t n = slash ? (size_t)(slash - path.data) : path.len;
		int r = place_add(&i->folder, slice_of(path.data, n), f);

		cut = r < 0 ? r : cut | r;
		n += slash != NULL;
		path = slice_of(path.data + n, path.len - n);
	}
	if (cut > 0 && !k->told_cut) {
		k->told_cut = true;
		run_note(k->run, "folders with very long names are kept under shorter ones");
	}
	return cut < 0 ? -1 : 0;
}

static int add_item(struct import_keep *k, const struct found *m, const char *folder, enum tag tag,
	struct fault *f)
{
	struct item *i CLEANUP(item_freep) = item_new(ITEM_MESSAGE, k->maildrop, f);
	size_t flags = m->flags ? strlen(m->flags) : 0;

	if (!i || set_folder(k, i, folder, f) < 0)
		return -1;
	if (flags > LIMIT_FLAGS) {
		flags = LIMIT_FLAGS;
		while (flags > 0 && m->flags[flags] != ' ')
			flags--;
	}
	if (buffer_append(&i->flags, m->flags, flags, f) < 0)
		return -1;
	i->imported = true;
	i->received = m->received;
	i->class_ = k->terms->class_;
	i->tag = tag;
	i->cookie = (uintptr_t)k->source;
	batch_add(&k->items, TAKE(i));
	return 0;
}

static int interrupted(struct fault *f)
{
	return fault_set(f, FAULT_INTERRUPT, SCOPE_ARCHIVE, 0, "interrupted");
}

static int remember_where(struct import_keep *k, const char *where, struct fault *f)
{
	size_t n = strlen(where);

	buffer_clear(&k->where);
	return buffer_append(&k->where, where, n < LIMIT_IMPORT_NAME ? n : LIMIT_IMPORT_NAME, f);
}

static void count_refused(struct import_keep *k, const char *where, const char *why)
{
	struct json_line line;
	char text[2048];

	k->source->sums.found++;
	k->source->sums.refused++;
	k->found++;
	if (k->run->json) {
		progress_clear(&k->run->progress);
		json_line_begin(&line, "refused");
		json_add_text(&line, "path", k->source->path);
		json_add_text(&line, "where", where);
		json_add_text(&line, "why", why);
		json_line_print(&line, &k->run->out);
	}
	run_complain(
		k->run, "refused: %s: %s", escape_text(slice_text(where), text, sizeof text), why);
}

/* IMPORT_SKIP. */
static int refuse_large(struct import_keep *k, struct fault *f)
{
	const char *where = buffer_text(&k->where);
	char why[128], size[TEXT_NUMBER];

	drop_message(k);
	k->state = SKIPPING;
	(void)snprintf(why, sizeof why, "larger than %s (max-message-size)",
		text_size(k->terms->largest, size));
	if (!where)
		return fault_memory(f);
	count_refused(k, where, why);
	return IMPORT_SKIP;
}

static int keep_begin(void *context, const struct found *m, struct fault *f)
{
	struct import_keep *k = context;
	size_t also = m->also_n < LIMIT_IMPORT_PLACES ? m->also_n : LIMIT_IMPORT_PLACES;

	if (stop_requested())
		return interrupted(f);
	drop_message(k);
	k->size = 0;
	k->last = 0;
	if (remember_where(k, m->where, f) < 0)
		return -1;
	if (m->size > k->terms->largest)
		return refuse_large(k, f);
	if (add_item(k, m, m->folder, TAG_FIRST, f) < 0)
		return -1;
	for (size_t n = 0; n < also; n++) {
		if (add_item(k, m, m->also[n], TAG_ALSO, f) < 0)
			return -1;
	}
	if (k->pool && spool_new(k->pool, &k->spool, f) < 0)
		return -1;
	k->state = INSIDE;
	return 0;
}

static int keep_refuse(void *context, const struct found *m, const char *why, struct fault *f)
{
	struct import_keep *k = context;
	const char *where = m ? m->where : buffer_text(&k->where);

	if (stop_requested())
		return interrupted(f);
	if (k->state == SKIPPING) { /* it was refused already */
		drop_message(k);
		return 0;
	}
	drop_message(k);
	if (!where)
		return fault_memory(f);
	count_refused(k, where, why);
	return 0;
}

static int put(struct import_keep *k, struct slice bytes, struct fault *f)
{
	k->size += bytes.len;
	if (k->spool)
		return spool_write(k->spool, bytes, f);
	hasher_add(k->hasher, bytes.data, bytes.len);
	return 0;
}

/* Each LF that no CR stands before becomes CRLF. */
static int put_converted(struct import_keep *k, struct slice bytes, struct fault *f)
{
	uint8_t *out = k->converted;
	size_t n = 0;

	for (size_t at = 0; at < bytes.len;) {
		const uint8_t *lf = memchr(bytes.data + at, '\n', bytes.len - at);
		size_t end = lf ? (size_t)(lf - bytes.data) : bytes.len;
		size_t room = (size_t)CONVERTED - 2 - n;
		size_t take = end - at < room ? end - at : room;

		memcpy(out + n, bytes.data + at, take);
		n += take;
		at += take;
		k->last = take > 0 ? out[n - 1] : k->last;
		if (lf && at == end) {
			if (k->last != '\r')
				out[n++] = '\r';
			out[n++] = k->last = '\n';
			at++;
		}
		if (n + 2 >= CONVERTED || at == bytes.len) {
			if (put(k, slice_of(out, n), f) < 0)
				return -1;
			n = 0;
		}
	}
	return 0;
}

static int keep_bytes(void *context, struct slice bytes, struct fault *f)
{
	struct import_keep *k = context;

	if (k->state != INSIDE || bytes.len == 0)
		return k->state == SKIPPING ? IMPORT_SKIP : 0;
	if (bytes.len > k->terms->largest || k->size > k->terms->largest - bytes.len)
		return refuse_large(k, f);
	if (stop_requested())
		return interrupted(f);
	if (k->terms->ends == IMPORT_CRLF)
		return put_converted(k, bytes, f);
	return put(k, bytes, f);
}

/* Flags from outside: words that IMAP could have, single spaces between. */
static bool flags_are_sound(const char *flags)
{
	for (const char *p = flags; *p; p++) {
		bool begins = p == flags || p[-1] == ' ';

		if (*p < ' ' || *p > '~' || strchr("(){%*\"]", *p) || (*p == '\\' && !begins) ||
			(*p == ' ' && (begins || !p[1])))
			return false;
	}
	return strlen(flags) <= LIMIT_FLAGS;
}

/* The message that is open lies where the export's manifest says that it lay. */
static int refile(struct import_keep *k, const struct digest *digest, struct fault *f)
{
	struct manifest_entry e;
	int r = import_own_find(&k->own, digest, &e, f);

	if (r <= 0)
		return r;
	struct item *i = batch_take(&k->items);
	batch_deinit(&k->items);
	batch_add(&k->items, i);
	buffer_clear(&i->folder);
	buffer_clear(&i->flags);
	i->received = e.folder ? e.received : e.archived;
	if (e.folder && flags_are_sound(e.flags) && buffer_append_text(&i->flags, e.flags, f) < 0)
		return -1;
	return set_folder(k, i, e.folder, f);
}

static int end_dry(struct import_keep *k, struct fault *f)
{
	struct import_sums *sums = &k->source->sums;
	struct digest digest;
	bool kept = false;
	int first = -1;

	hasher_end(k->hasher, &digest);
	k->state = BETWEEN;
	if (refile(k, &digest, f) < 0)
		return -1;
	for (struct item *i; (i = batch_take(&k->items)); item_free(i)) {
		int r = import_dry_classify(k->dry, buffer_slice(&i->folder), &digest, f);

		if (r < 0) {
			item_free(i);
			return -1;
		}
		kept |= r != DRY_KNOWN;
		first = first < 0 ? r : first;
	}
	sums->kept += kept;
	sums->known += !kept;
	sums->duplicate += kept && first != DRY_NEW;
	sums->bytes += first == DRY_NEW ? k->size : 0;
	return 0;
}

static int end_kept(struct import_keep *k, struct fault *f)
{
	spool_finish(k->spool);
	if (refile(k, spool_digest(k->spool), f) < 0)
		return -1;
	for (struct item *i; (i = batch_take(&k->items));) {
		i->spool = i->tag == TAG_FIRST ? k->spool : spool_share(k->spool);
		if (i->tag == TAG_FIRST)
			k->state = BETWEEN;
		if (item_set_import_uidl(i, f) < 0) {
			if (i->tag == TAG_FIRST)
				k->spool = NULL;
			item_free(i);
			return -1;
		}
		batch_add(&k->batch, i);
	}
	k->spool = NULL;
	k->source->waiting++;
	/* One is filled while another is written: small messages count by what they take in memory.
	 */
	bool due = k->batch.items >= LIMIT_IMPORT_BATCH || batch_is_due(&k->batch, monotonic_ms());
	return due ? hand_over(k, f) : 0;
}

static void draw(struct import_keep *k)
{
	const struct progress_state state = {
		.label = k->terms->mode == IMPORT_DRY ? "looking" : "importing",
		.done = k->done_before + k->done,
		.all = k->all_bytes,
		.items = k->found,
		.items_all = 0};

	progress_update(&k->run->progress, &state);
}

static int keep_end(void *context, struct fault *f)
{
	struct import_keep *k = context;

	if (k->state != INSIDE) {
		drop_message(k);
		return 0;
	}
	/* As POP3 sends it: the last line has an end too. */
	if (k->terms->ends == IMPORT_CRLF && k->size > 0 && k->last != '\n' &&
		put(k, k->last == '\r' ? slice_text("\n") : slice_text("\r\n"), f) < 0)
		return -1;
	k->source->sums.found++;
	k->found++;
	draw(k);
	return k->terms->mode == IMPORT_DRY ? end_dry(k, f) : end_kept(k, f);
}

/* ---- Sources --------------------------------------------------------------------------------- */

static void print_about(struct import_keep *k, const char *type, const char *path, const char *key,
	const char *text)
{
	struct json_line line;

	if (!k->run->json)
		return;
	progress_clear(&k->run->progress);
	json_line_begin(&line, type);
	json_add_text(&line, "path", path);
	json_add_text(&line, key, text);
	json_line_print(&line, &k->run->out);
}

static int keep_lost(void *context, const char *path, const char *why, struct fault *f)
{
	struct import_keep *k = context;
	char text[2048];

	if (stop_requested())
		return interrupted(f);
	k->source->sums.lost++;
	print_about(k, "lost", path, "why", why);
	run_complain(k->run, "cannot be read: %s: %s",
		escape_text(slice_text(path), text, sizeof text), why);
	return 0;
}

static int keep_note(void *context, const char *path, const char *what, struct fault *f)
{
	struct import_keep *k = context;
	char text[2048];

	if (stop_requested())
		return interrupted(f);
	print_about(k, "note", path, "text", what);
	run_note(k->run, "%s: %s", escape_text(slice_text(path), text, sizeof text), what);
	return 0;
}

static int keep_read_as(
	void *context, const char *path, const char *dialect, const char *text, struct fault *f)
{
	struct import_keep *k = context;

	if (stop_requested())
		return interrupted(f);
	reading_counts_add(&k->source->read_as, dialect);
	return readings_add(&k->readings, k->run, path, dialect, text, f);
}

static int keep_own_begin(void *context, int fd, const char *path, struct fault *f)
{
	struct import_keep *k = context;
	const char *scratch = k->run->store ? store_folder(k->run->store) : P_tmpdir;
	int folder CLEANUP(fd_closep) = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char shown[2048];
	int r = import_own_begin(&k->own, fd, folder, f);

	(void)escape_text(slice_text(path), shown, sizeof shown);
	if (r == IMPORT_OWN_BAD)
		run_note(k->run,
			"%s: its manifest cannot be read, or is none of an export, and is "
			"not followed",
			shown);
	else if (r == 0)
		run_detail(k->run,
			"%s: an export; folders, flags and times are those of its "
			"manifest",
			shown);
	return r < 0 ? -1 : 0;
}

static void keep_own_end(void *context)
{
	struct import_keep *k = context;

	import_own_end(&k->own);
}

static int keep_pass(void *context, const char *path, struct fault *f)
{
	struct import_keep *k = context;
	char text[2048];

	if (stop_requested())
		return interrupted(f);
	k->source->sums.passed++;
	run_detail(k->run, "no mail: %s", escape_text(slice_text(path), text, sizeof text));
	return 0;
}

static int keep_position(void *context, uint64_t done, struct fault *f)
{
	struct import_keep *k = context;

	k->done = done;
	draw(k);
	return stop_requested() ? interrupted(f) : 0;
}

void import_keep_source(struct import_keep *k, struct import_source *source)
{
	k->source = source;
	k->done_before += k->done;
	k->done = 0;
}

void import_keep_expect(struct import_keep *k, uint64_t bytes)
{
	k->all_bytes = bytes;
	k->done = k->done_before = 0;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int open_maildrop(struct import_keep *k, struct fault *f)
{
	struct maildrop m CLEANUP(maildrop_deinit) = {0};
	const char *name = k->terms->account;

	if (store_maildrop(k->run->store, name, MAILDROP_IMPORT, name, &m, f) < 0)
		return -1;
	k->maildrop = m.number;
	return 0;
}

static int open_for_keeping(struct import_keep *k, struct fault *f)
{
	if (open_maildrop(k, f) < 0 ||
		spool_pool_open(store_folder(k->run->store), &k->pool, f) < 0)
		return -1;
	return import_writer_open(k->run->store, &k->writer, f);
}

static int open_dry(struct import_keep *k, struct fault *f)
{
	if (hasher_new(&k->hasher, f) < 0)
		return -1;
	return import_dry_open(k->run->store, k->terms->account, &k->dry, f);
}

int import_keep_open(struct run *run, const struct import_terms *terms, struct import_keep **ret,
	struct fault *f)
{
	struct import_keep *k CLEANUP(import_keep_closep) = calloc(1, sizeof *k);

	if (!k)
		return fault_memory(f);
	k->run = run;
	k->terms = terms;
	k->taker = (struct import_taker){.context = k,
		.begin = keep_begin,
		.bytes = keep_bytes,
		.end = keep_end,
		.refuse = keep_refuse,
		.lost = keep_lost,
		.note = keep_note,
		.read_as = keep_read_as,
		.own_begin = keep_own_begin,
		.own_end = keep_own_end,
		.pass = keep_pass,
		.position = keep_position};
	batch_init(&k->batch);
	batch_init(&k->items);
	k->where = buffer_make(LIMIT_IMPORT_NAME + 1);
	k->converted = malloc(CONVERTED);
	if (!k->converted)
		return fault_memory(f);
	if ((terms->mode == IMPORT_DRY ? open_dry(k, f) : open_for_keeping(k, f)) < 0)
		return -1;
	*ret = TAKE(k);
	return 0;
}

struct import_keep *import_keep_close(struct import_keep *k)
{
	if (!k)
		return NULL;
	import_writer_close(k->writer);
	drop_message(k);
	batch_deinit(&k->batch);
	spool_pool_close(k->pool);
	import_dry_close(k->dry);
	hasher_free(k->hasher);
	buffer_deinit(&k->where);
	readings_deinit(&k->readings);
	import_own_deinit(&k->own);
	free(k->converted);
	free(k);
	return NULL;
}

void import_keep_closep(struct import_keep **k)
{
	*k = import_keep_close(*k);
}

const struct import_taker *import_keep_taker(const struct import_keep *k)
{
	return &k->taker;
}
