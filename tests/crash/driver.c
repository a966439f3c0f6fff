/* The program that is killed, cut off and refused its writes.
 *
 *   driver work FOLDER FROM TO   makes the archive where there is none, then commits the groups
 * FROM to TO - 1; what a group archived is told on stdout, with one writev(), only when
 * store_commit() has returned driver check FOLDER TAG      opens the archive, tells all that is in
 * it and what is wrong with it, commits one more group, rebuilds, compares
 *   driver seal FOLDER N         seals whatever is open, and meanwhile commits group N, and one
 * more for each further segment; what is sealed is told
 *   driver repack FOLDER N       merges sealed segments, likewise
 *   driver copy FOLDER TARGET    copies the archive, and tells
 *   driver rebuild FOLDER        makes the catalog again
 *   driver read FOLDER           reads all messages without writing anything
 *
 * Groups are the same in every run, so that a run after a crash does again what the daemon would
 * do. writev(), because nothing in the library calls it: calls are counted by name. */
#include "archive/batch.h"
#include "archive/check.h"
#include "archive/copy.h"
#include "archive/fault.h"
#include "archive/known.h"
#include "archive/limits.h"
#include "archive/maildrop.h"
#include "archive/own.h"
#include "archive/recipe.h"
#include "archive/seal.h"
#include "tests/crash/dump.h"
#include "tests/crash/forked.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/uio.h>

enum {
	SMALL = 300,
	MEDIUM = 600 * 1024,
	LARGE = 5 * 1024 * 1024,
	LONG_UIDL = 900,
	PART = 40 * 1024,
	SEALS_MOST = 4,
	FDS_MOST = 1024
};

struct run {
	struct store *store;
	struct spool_pool *pool;
	uint64_t drop[2]; /* numbers of the two maildrops */
	struct batch group;
	struct fault f;
	unsigned wrong;
};

static void run_deinit(struct run *r)
{
	batch_deinit(&r->group);
	store_close(r->store);
	spool_pool_close(r->pool);
}

static int tell(const char *text)
{
	struct iovec all = {(void *)(uintptr_t)text, strlen(text)};

	(void)fflush(stdout);
	return writev(STDOUT_FILENO, &all, 1) == (ssize_t)all.iov_len ? 0 : -1;
}

/* ---- Groups -------------------------------------------------------------------------------- */

/* Bytes that do not compress, the same for the same seed. */
static void fill_noise(uint8_t *to, size_t len, uint64_t seed)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15 + 1;

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		to[i] = (uint8_t)(x >> 24);
	}
}

static int write_body(struct spool *spool, unsigned seed, size_t size, struct fault *f)
{
	uint8_t block[4096];

	fill_noise(block, sizeof block, seed);
	for (size_t done = 0, block_number = 0; done < size; block_number++) {
		size_t n = size - done < sizeof block ? size - done : sizeof block;

		if (size < LARGE) /* a large one compresses, so that runs stay small */
			fill_noise(block, n, seed + (block_number << 32));
		if (spool_write(spool, slice_of(block, n), f) < 0)
			return -1;
		done += n;
	}
	return 0;
}

/* Message `seed` of about `size` bytes under uidl. */
static int add_message(struct run *r, unsigned drop, unsigned seed, size_t size, const char *uidl,
	const char *class_, uint64_t copy)
{
	char head[64];
	struct item *i CLEANUP(item_freep) = item_new(ITEM_MESSAGE, r->drop[drop], &r->f);

	if (!i)
		return -1;
	(void)snprintf(head, sizeof head, "Subject: %u\r\n\r\n", seed);
	i->class_ = class_;
	i->copy = copy;
	if (spool_new(r->pool, &i->spool, &r->f) < 0 ||
		spool_write(i->spool, slice_text(head), &r->f) < 0 ||
		write_body(i->spool, seed, size, &r->f) < 0 ||
		buffer_append_text(&i->uidl, uidl, &r->f) < 0)
		return -1;
	spool_finish(i->spool);
	i->listed_size = spool_size(i->spool);
	batch_add(&r->group, TAKE(i));
	return 0;
}

static int add_many(
	struct run *r, unsigned drop, unsigned from, unsigned n, size_t size, const char *class_)
{
	char uidl[32];

	for (unsigned i = from; i < from + n; i++) {
		(void)snprintf(uidl, sizeof uidl, "u%u", i);
		if (add_message(r, drop, i, size, uidl, class_, 1) < 0)
			return -1;
	}
	return 0;
}

/* Its ledger line spans several sectors. */
static int add_long_uidl(struct run *r, unsigned seed)
{
	char uidl[LONG_UIDL + 1];

	memset(uidl, 0xe4, LONG_UIDL);
	(void)snprintf(uidl, 16, "event=commit %u", seed);
	uidl[strlen(uidl)] = (char)0xe4;
	uidl[LONG_UIDL] = '\0';
	return add_message(r, 0, seed, SMALL, uidl, NULL, 1);
}

/* A message with an attachment, the same for the same number. */
static int add_attachment(struct run *r, unsigned drop, unsigned seed, unsigned part)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(4 * (uint64_t)PART);
	struct item *i CLEANUP(item_freep) = item_new(ITEM_MESSAGE, r->drop[drop], &r->f);
	struct base64_lines encoder;
	uint8_t bytes[PART];

	if (!i)
		return -1;
	fill_noise(bytes, sizeof bytes, part);
	base64_lines_init(&encoder, 76, PIECE_CRLF);
	if (buffer_append_format(&text, &r->f,
		    "Subject: %u\r\nContent-Type: application/pdf\r\n"
		    "Content-Transfer-Encoding: base64\r\n\r\n",
		    seed) < 0 ||
		base64_lines_add(&encoder, slice_of(bytes, sizeof bytes), &text, &r->f) < 0 ||
		base64_lines_end(&encoder, &text, &r->f) < 0 ||
		spool_new(r->pool, &i->spool, &r->f) < 0 ||
		spool_write(i->spool, buffer_slice(&text), &r->f) < 0 ||
		buffer_append_format(&i->uidl, &r->f, "a%u", seed) < 0)
		return -1;
	spool_finish(i->spool);
	i->listed_size = spool_size(i->spool);
	batch_add(&r->group, TAKE(i));
	return 0;
}

static int add_refusal(struct run *r, unsigned drop, const char *uidl)
{
	struct item *i CLEANUP(item_freep) = item_new(ITEM_REFUSAL, r->drop[drop], &r->f);

	if (!i || buffer_append_text(&i->uidl, uidl, &r->f) < 0)
		return -1;
	i->reason = REFUSAL_RETR_FAILED;
	i->listed_size = 77;
	(void)snprintf(i->text, sizeof i->text, "-ERR no such message");
	batch_add(&r->group, TAKE(i));
	return 0;
}

static int add_accept(struct run *r, unsigned drop, const char *uidl)
{
	struct item *i CLEANUP(item_freep) = item_new(ITEM_ACCEPT, r->drop[drop], &r->f);

	if (!i || buffer_append_text(&i->uidl, uidl, &r->f) < 0)
		return -1;
	(void)snprintf(i->text, sizeof i->text, "not to be had");
	batch_add(&r->group, TAKE(i));
	return 0;
}

static int add_listing(struct run *r, unsigned drop, struct sums sums)
{
	struct item *i CLEANUP(item_freep) = item_new(ITEM_LISTING, r->drop[drop], &r->f);

	if (!i)
		return -1;
	i->sums = sums;
	i->complete = true;
	i->pending = calloc(2, sizeof *i->pending);
	i->vanished = calloc(1, sizeof *i->vanished);
	if (!i->pending || !i->vanished)
		return fault_memory(&r->f);
	for (; i->pending_n < 2; i->pending_n++) {
		i->pending[i->pending_n].uidl = buffer_make(LIMIT_UIDL);
		i->pending[i->pending_n].listed_size = 100 + i->pending_n;
		if (buffer_append_text(&i->pending[i->pending_n].uidl,
			    i->pending_n ? "pending-2" : "pending-1", &r->f) < 0)
			return -1;
	}
	i->vanished_n = 1;
	i->vanished[0].uidl = buffer_make(LIMIT_UIDL);
	if (buffer_append_text(&i->vanished[0].uidl, "gone", &r->f) < 0)
		return -1;
	batch_add(&r->group, TAKE(i));
	return 0;
}

/* The group of number n. */
static int collect(struct run *r, unsigned n)
{
	switch (n) {
	case 0:
		return add_many(r, 0, 0, 3, SMALL, NULL);
	case 1: /* first of its class beside the first of another: two new segments */
		return add_many(r, 1, 100, 12, SMALL, "legal") < 0
			       ? -1
			       : add_many(r, 0, 3, 2, SMALL, NULL);
	case 2:
		return add_message(r, 0, 10, LARGE, "large", NULL, 1);
	case 3:
		return add_listing(r, 0, (struct sums){9, 6, 2, 1, 1});
	case 4: /* bytes of group 0 under the other maildrop, a refusal, the same bytes twice */
		return add_refusal(r, 0, "refused") < 0 || add_many(r, 1, 0, 2, SMALL, NULL) < 0 ||
				       add_message(r, 0, 20, SMALL, "twice", NULL, 1) < 0 ||
				       add_message(r, 0, 20, SMALL, "twice", NULL, 2) < 0
			       ? -1
			       : 0;
	case 5:
		return add_accept(r, 0, "refused") < 0 || add_accept(r, 0, "gone") < 0
			       ? -1
			       : add_message(r, 1, 30, MEDIUM, "medium", NULL, 1);
	case 6:
		return add_long_uidl(r, 40) < 0 || add_long_uidl(r, 41) < 0 ? -1 : 0;
	case 7: /* what a sealed segment stores once */
		return add_attachment(r, 0, 50, 1) < 0 || add_attachment(r, 1, 51, 1) < 0 ||
				       add_attachment(r, 0, 52, 2) < 0
			       ? -1
			       : 0;
	default:
		return add_many(r, n % 2, 1000 + n * 10, 1 + n % 3, SMALL, n % 5 ? NULL : "legal");
	}
}

/* ---- Working --------------------------------------------------------------------------------- */

static void print_hex(FILE *to, struct slice bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		(void)fprintf(to, "%02x", bytes.data[i]);
}

/* What the group archived, to be told once it is durable. */
static int describe(struct run *r, char **ret)
{
	size_t len;
	char hex[DIGEST_HEX + 1];
	FILE *to = open_memstream(ret, &len);

	if (!to)
		return fault_memory(&r->f);
	for (struct item *i = r->group.first; i; i = i->next) {
		if (i->kind == ITEM_MESSAGE) {
			digest_hex(spool_digest(i->spool), hex);
			(void)fprintf(to, "kept %s %" PRIu64 " ", hex, i->maildrop);
		} else if (i->kind == ITEM_REFUSAL) {
			(void)fprintf(to, "refused - %" PRIu64 " ", i->maildrop);
		} else {
			continue;
		}
		print_hex(to, buffer_slice(&i->uidl));
		(void)fputc('\n', to);
	}
	return fclose(to) == 0 ? 0 : fault_memory(&r->f);
}

static int commit_and_tell(struct run *r)
{
	char *text CLEANUP(freep) = NULL;

	if (describe(r, &text) < 0 || store_commit(r->store, &r->group, &r->f) < 0)
		return -1;
	batch_deinit(&r->group);
	batch_init(&r->group);
	return tell(text);
}

static int begin(struct run *r, const char *folder)
{
	static const char *const names[] = {"anna", "bert"};
	struct maildrop m;

	if (store_create(folder, NULL, &r->f) < 0 ||
		store_open(folder, NULL, STORE_WRITE, &r->store, &r->f) < 0 ||
		spool_pool_open(folder, &r->pool, &r->f) < 0)
		return -1;
	for (size_t i = 0; i < 2; i++) {
		if (store_maildrop(r->store, names[i], "pop.example.com", names[i], &m, &r->f) < 0)
			return -1;
		r->drop[i] = m.number;
		maildrop_deinit(&m);
	}
	return 0;
}

static int work(struct run *r, const char *folder, unsigned from, unsigned to)
{
	if (begin(r, folder) < 0)
		return -1;
	for (unsigned n = from; n < to; n++) {
		if (collect(r, n) < 0 || commit_and_tell(r) < 0)
			return -1;
	}
	return 0;
}

/* ---- Sealing, copying ------------------------------------------------------------------------ */

struct ingest {
	const char *folder;
	unsigned next, end; /* groups */
	int failed;
	struct fault f;
};

/* Somebody else commits: with a handle of its own, as another process has. */
static void ingest_one(void *context)
{
	struct ingest *i = context;
	struct run other CLEANUP(run_deinit) = {0};

	batch_init(&other.group);
	if (i->next == i->end) /* a seal that fails goes on with what has come meanwhile */
		return;
	if (work(&other, i->folder, i->next, i->next + 1) < 0) {
		i->failed = -1;
		i->f = other.f;
	}
	i->next++;
}

static bool is_wanted(const struct seal_fds *fds, int fd)
{
	if (fd == fds->request || fd == fds->out || fd == fds->status || fd == fds->scratch ||
		fd == fds->ledger)
		return true;
	for (size_t i = 0; i < fds->sources; i++) {
		if (fd == fds->source[i])
			return true;
	}
	return false;
}

/* The worker: nothing of the other process stays open, neither its locks nor its ends of pipes. */
static int work_alone(struct forked *w, const struct seal_fds *fds)
{
	struct fault f;

	(void)w;
	for (int fd = STDERR_FILENO + 1; fd < FDS_MOST; fd++) {
		if (!is_wanted(fds, fd))
			(void)close(fd);
	}
	return seal_work(fds, &f) < 0 ? 1 : 0;
}

static int tell_sealed(const struct seal_result *made)
{
	char text[64];

	(void)snprintf(text, sizeof text, "sealed - %" PRIu64 " %" PRIu64 "\n", made->segment,
		made->messages);
	return tell(text);
}

/* bytes 0: seal. Small frames, so that small segments have several. What was committed meanwhile is
 * sealed too, but not without end. */
static int seal_all(struct run *r, const char *folder, unsigned group, uint64_t bytes)
{
	static const struct seal_due all_due = {0};
	struct ingest i = {.folder = folder, .next = group, .end = group + SEALS_MOST};
	struct forked worker = {.instead = work_alone, .meanwhile = ingest_one, .context = &i};
	struct seal_job job = forked_job(&worker);
	struct seal_result made;
	int got = 0;

	job.options = (struct seal_options){1, 256 * KIB, SEAL_SHARING_ON};
	if (store_open(folder, NULL, STORE_WRITE, &r->store, &r->f) < 0)
		return -1;
	for (unsigned n = 0; n < SEALS_MOST && got == 0; n++) {
		got = bytes ? store_repack(r->store, bytes, &job, &made, &r->f)
			    : store_seal(r->store, &all_due, &job, &made, &r->f);
		if (got == 0 && tell_sealed(&made) < 0)
			return -1;
	}
	if (got >= 0 && i.failed) {
		r->f = i.f;
		got = -1;
	}
	return got < 0 ? -1 : 0;
}

static int copy_to(struct run *r, const char *folder, const char *target)
{
	struct copy_sums sums;

	if (store_open(folder, NULL, STORE_WRITE, &r->store, &r->f) < 0 ||
		store_copy(r->store, target, COPY_NEW, NULL, &sums, &r->f) < 0)
		return -1;
	return tell("copied - 0 -\n");
}

/* ---- Checking -------------------------------------------------------------------------------- */

static void wrong(struct run *r, const char *what, const char *text)
{
	printf("WRONG %s: %s\n", what, text);
	r->wrong++;
}

static void print_notices(struct run *r)
{
	for (char *text; (text = store_take_notice(r->store)); free(text))
		printf("notice %s\n", text);
}

static int print_messages(struct run *r)
{
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	struct message m;
	char hex[DIGEST_HEX + 1];
	int got;

	if (find_open(r->store, NULL, NULL, &c, &r->f) < 0)
		return -1;
	while ((got = find_next(c, &m, &r->f)) == FIND_ROW) {
		digest_hex(&m.digest, hex);
		printf("message %s %" PRIu64 "\n", hex, m.id);
		if (message_check(r->store, &m, &r->f) < 0)
			wrong(r, "message", r->f.text);
	}
	return got;
}

static int print_known(struct run *r, uint64_t drop)
{
	struct known_cursor *c CLEANUP(known_closep) = NULL;
	struct known k;
	int got;

	if (known_open(r->store, drop, &c, &r->f) < 0)
		return -1;
	while ((got = known_next(c, &k, &r->f)) == KNOWN_ROW) {
		printf("known %d %" PRIu64 " ", (int)k.state, drop);
		print_hex(stdout, k.uidl);
		printf(" %" PRIu64 "\n", k.state == KNOWN_KEPT ? k.copies : 0);
	}
	return got;
}

static int verify_all(struct run *r, const char *when)
{
	struct verify *v CLEANUP(verify_closep) = NULL;
	struct damage d;
	int got;

	if (verify_open(r->store, VERIFY_FULL, &v, &r->f) < 0)
		return -1;
	while ((got = verify_step(v, &d, &r->f)) > 0) {
		if (got == VERIFY_DAMAGE)
			wrong(r, when, d.text);
	}
	return got;
}

static int print_content(struct run *r)
{
	struct maildrop *all;
	size_t n;

	if (print_messages(r) < 0 || store_maildrops(r->store, &all, &n, &r->f) < 0)
		return -1;
	int got = 0;
	for (size_t i = 0; i < n && got == 0; i++) {
		printf("maildrop %" PRIu64 " %s\n", all[i].number, all[i].name);
		got = print_known(r, all[i].number);
	}
	maildrops_free(all, n);
	return got;
}

/* Two keep lines for one digest would be one message archived twice. */
static int print_lines(struct run *r)
{
	struct ledger_lines *l CLEANUP(ledger_lines_closep) = NULL;
	struct slice line;
	uint64_t number;
	int got;

	if (ledger_lines_open(r->store, 0, &l, &r->f) < 0)
		return -1;
	while ((got = ledger_lines_next(l, &line, &number, &r->f)) == LEDGER_LINE)
		printf("line %.*s\n", (int)line.len, (const char *)line.data);
	return got;
}

static int go_on(struct run *r, const char *folder, unsigned tag)
{
	store_close(r->store);
	r->store = NULL;
	if (begin(r, folder) < 0 || add_many(r, 0, 1000000 + tag, 2, SMALL, NULL) < 0 ||
		add_many(r, 1, 2000000 + tag, 1, SMALL, "legal") < 0 || commit_and_tell(r) < 0 ||
		store_tidy(r->store, &r->f) < 0)
		return -1;
	return verify_all(r, "verify after going on");
}

static int compare_rebuilt(struct run *r, const char *folder)
{
	char *before CLEANUP(freep) = NULL, *after CLEANUP(freep) = NULL;
	char path[4096], text[512];
	struct rebuild_sums sums;

	(void)snprintf(path, sizeof path, "%s/catalog.db", folder);
	if (dump_catalog(path, &before, &r->f) < 0 ||
		store_rebuild(folder, NULL, NULL, NULL, &sums, &r->f) < 0 ||
		dump_catalog(path, &after, &r->f) < 0)
		return -1;
	if (dump_difference(before, after, text))
		wrong(r, "rebuild", text);
	return verify_all(r, "verify after rebuild");
}

static int check(struct run *r, const char *folder, unsigned tag)
{
	if (store_open(folder, NULL, STORE_WRITE, &r->store, &r->f) < 0)
		return -1;
	print_notices(r);
	if (verify_all(r, "verify") < 0 || print_content(r) < 0 || print_lines(r) < 0 ||
		tell("") < 0 || go_on(r, folder, tag) < 0 || compare_rebuilt(r, folder) < 0)
		return -1;
	return 0;
}

static int rebuild(struct run *r, const char *folder)
{
	struct rebuild_sums sums;

	return store_rebuild(folder, NULL, NULL, NULL, &sums, &r->f);
}

static int read_all(struct run *r, const char *folder)
{
	return store_open(folder, NULL, STORE_READ, &r->store, &r->f) < 0 ? -1 : print_messages(r);
}

static unsigned number(const char *text)
{
	unsigned n = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		n = n * 10 + (unsigned)(*text - '0');
	return n;
}

int main(int argc, char **argv)
{
	struct run r CLEANUP(run_deinit) = {0};
	int done = -1;

	batch_init(&r.group);
	if (argc == 5 && strcmp(argv[1], "work") == 0)
		done = work(&r, argv[2], number(argv[3]), number(argv[4]));
	else if (argc == 4 && strcmp(argv[1], "check") == 0)
		done = check(&r, argv[2], number(argv[3]));
	else if (argc == 4 && strcmp(argv[1], "seal") == 0)
		done = seal_all(&r, argv[2], number(argv[3]), 0);
	else if (argc == 4 && strcmp(argv[1], "repack") == 0)
		done = seal_all(&r, argv[2], number(argv[3]), GIB);
	else if (argc == 4 && strcmp(argv[1], "copy") == 0)
		done = copy_to(&r, argv[2], argv[3]);
	else if (argc == 3 && strcmp(argv[1], "rebuild") == 0)
		done = rebuild(&r, argv[2]);
	else if (argc == 3 && strcmp(argv[1], "read") == 0)
		done = read_all(&r, argv[2]);
	else
		return 2;
	if (done < 0) {
		printf("FAULT %d %s\n", (int)r.f.code, r.f.text);
		return fault_exit_status(&r.f);
	}
	printf("done\n");
	return r.wrong ? 1 : 0;
}
