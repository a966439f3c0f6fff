/* The trusted side of the index. The steps, under TURN_INDEX:
 *
 *   1. search.db is opened; one that does not fit the archive begins anew    search_db.c
 *   2. rows of messages that are not there any more go                       index_check.c
 *   3. messages that have no row are chosen, where they lie now              index_plan.c
 *   4. a worker reads them and says what is in their headers                 exchange.c
 *   5. what it says is checked and committed, in batches                     index_write.c
 *   3 to 5 again, until there are none
 *
 * `state.done` moves when all messages up to it have a row, or are noted as unread. A plan is in
 * order of place and its batches are committed each, so that after a crash rows may be there beyond
 * it: step 3 passes them over. Nothing of this is durable at once, and all of it can be made again.
 */
#include "archive/exchange.h"
#include "archive/index_private.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

struct running {
	struct store *s;
	const struct index_job *job;
	enum index_care care;
	struct search_db *d;
	struct search_state state;
	struct index_result sum;
	uint64_t wanted; /* about so many messages, for progress */

	/* One plan's. */
	struct index_plan plan;
	struct index_rows *rows;
	size_t next; /* of the request */
};

enum { RETRY_MS = 3600 * 1000 };

/* ---- One plan -------------------------------------------------------------------------------- */

static int add_request(void *context, struct buffer *to, struct fault *f)
{
	struct running *x = context;

	if (x->next == 0 && index_request_begin(x->plan.sources, to, f) < 0)
		return -1;
	while (x->next < x->plan.mails && to->len < EXCHANGE_PIECE) {
		if (seal_request_mail(&x->plan.mail[x->next++].mail, to, f) < 0)
			return -1;
	}
	if (x->next < x->plan.mails)
		return 0;
	return seal_request_end(to, f) < 0 ? -1 : EXCHANGE_REQUEST_ENDS;
}

static int take_bytes(void *context, struct slice bytes, struct fault *f)
{
	struct running *x = context;

	return index_rows_take(x->rows, bytes, f);
}

static int show(void *context, struct fault *f)
{
	struct running *x = context;
	uint64_t done = x->sum.indexed + x->sum.failed;

	if (!x->job->progress || x->job->progress(x->job->progress_context, done,
					 done > x->wanted ? done : x->wanted) == 0)
		return 0;
	return fault_set(f, FAULT_INTERRUPT, SCOPE_ARCHIVE, 0, "stopped");
}

/* What came before somebody stopped it is kept. */
static int talk(struct running *x, struct fault *f)
{
	const struct seal_fds fds = {.request = -1,
		.out = -1,
		.status = -1,
		.scratch = -1,
		.ledger = -1,
		.source = x->plan.fd,
		.sources = x->plan.sources};
	const struct exchange_job job = {.starter = &x->job->starter,
		.fds = &fds,
		.request = add_request,
		.take = take_bytes,
		.idle = show,
		.context = x,
		.silence_ms = x->job->silence_ms,
		.deadline_ms = exchange_deadline(x->plan.bytes, x->job->silence_ms)};
	struct fault ignored;

	int r = exchange_run(&job, f);
	if (r == 0)
		return index_rows_end(x->rows, f);
	if (f->code == FAULT_INTERRUPT && index_rows_commit(x->rows, &ignored) < 0)
		search_db_rollback(x->d);
	return -1;
}

static int make_plan(struct running *x, enum index_which which, uint64_t after, moment_ms before,
	struct fault *f)
{
	if (search_db_begin(x->d, f) < 0)
		return -1;
	if (index_plan_make(&x->plan, x->s, x->d, which, after, before, &x->state, f) < 0 ||
		search_db_set_state(x->d, x->s->id, &x->state, f) < 0 ||
		search_db_commit(x->d, f) < 0) {
		search_db_rollback(x->d);
		return -1;
	}
	return 0;
}

static int read_plan(struct running *x, enum index_which which, struct fault *f)
{
	struct index_rows *rows CLEANUP(index_rows_freep) = NULL;

	if (index_rows_new(x->s, x->d, &x->plan, which, &x->state, &x->sum, &rows, f) < 0)
		return -1;
	x->rows = rows;
	x->next = 0;
	return x->plan.mails > 0 ? talk(x, f) : index_rows_end(rows, f);
}

/* Plan after plan. */
static int read_all(struct running *x, enum index_which which, moment_ms before, struct fault *f)
{
	struct index_plan *plan = &x->plan;
	uint64_t after = which == INDEX_NEW ? x->state.done : 0;
	int r;

	do {
		index_plan_init(plan);
		r = show(x, f) < 0 || make_plan(x, which, after, before, f) < 0 ? -1 : 0;
		if (r == 0 && plan->last > 0)
			r = read_plan(x, which, f);
		r = r < 0 ? -1 : plan->last > 0;
		after = plan->last;
		index_plan_deinit(plan);
	} while (r > 0);
	return r;
}

/* ---- Does it fit the archive? ---------------------------------------------------------------- */

/* The message up to which it goes is, or was, one of this archive. A copy of the archive from
 * before may have taken its place, and other messages have got the numbers. */
static int fits(struct store *s, const struct search_state *state, bool *ret, struct fault *f)
{
	*ret = state->done == 0;
	if (*ret)
		return 0;
	sqlite3_stmt *row = catalog_statement(s->catalog, SQL_DIGEST_OF, f);
	if (!row)
		return -1;
	bind_number(row, 1, state->done);
	int r = catalog_step(s->catalog, row, f);
	*ret = r > 0 &&
	       slice_compare(column_bytes(row, 0), slice_of(state->digest.byte, DIGEST_LEN)) == 0;
	(void)sqlite3_reset(row);
	return r < 0 ? -1 : 0;
}

static int make_folder(struct store *s, struct fault *f)
{
	/* It was made with the archive; who removed the cache may have removed it too. */
	if (mkdirat(s->folder_fd, FOLDER_SEARCH, 0700) < 0 && errno != EEXIST)
		return fault_errno(
			f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot make %s/", FOLDER_SEARCH);
	return 0;
}

static int open_db(struct running *x, struct fault *f)
{
	struct search_anew anew = {0};
	bool fit;

	if (make_folder(x->s, f) < 0 || store_open_catalog(x->s, f) < 0 ||
		search_db_open(x->s->search_path, x->s->id, SEARCH_WRITE, &x->d, &anew, f) < 0)
		return -1;
	if (anew.why[0])
		store_notice(x->s, "search.db begins anew: %s", anew.why);
	if (search_db_get_state(x->d, &x->state, f) < 0 || fits(x->s, &x->state, &fit, f) < 0)
		return -1;
	if (!fit)
		store_notice(x->s, "search.db begins anew: it is not of this state of the archive");
	if (fit && x->care != INDEX_ANEW)
		return 0;
	x->state = (struct search_state){0};
	return search_db_empty(x->d, x->s->id, f);
}

/* ---- The whole ------------------------------------------------------------------------------- */

static int run_once(struct running *x, struct fault *f)
{
	struct index_state lag;
	moment_ms now = moment_now();

	if (open_db(x, f) < 0 || index_forget_lost(x->s, x->d, &x->state, &x->sum, f) < 0)
		return -1;
	if (x->care == INDEX_THOROUGH && index_compare(x->s, x->d, &x->state, &x->sum, f) < 0)
		return -1;
	if (store_index_state(x->s, &lag, f) < 0)
		return -1;
	x->wanted = lag.messages - lag.indexed;
	moment_ms before = x->care == INDEX_QUICK ? now - RETRY_MS : now;
	if (read_all(x, INDEX_AGAIN, before, f) < 0)
		return -1;
	return read_all(x, INDEX_NEW, now, f);
}

/* Damage that shows only when a page is read: once, it begins anew. */
static int run(struct running *x, struct fault *f)
{
	int r = run_once(x, f);

	if (r == 0 || f->code != FAULT_DAMAGE || strncmp(f->text, "search.db", 9) != 0)
		return r;
	store_notice(x->s, "search.db begins anew: %s", f->text);
	x->care = INDEX_ANEW;
	x->d = search_db_close(x->d);
	return run_once(x, f);
}

int store_index(
	struct store *s, const struct index_job *job, struct index_result *ret, struct fault *f)
{
	struct running x = {.s = s, .job = job, .care = job->care};
	int r = turn_try(s->lock_fd, TURN_INDEX, f);

	if (r == TURN_TAKEN)
		return fault_set(f, FAULT_BUSY, SCOPE_ARCHIVE, 0,
			"another popkeep process is indexing this archive");
	if (r < 0)
		return -1;
	r = run(&x, f);
	search_db_close(x.d);
	turn_release(s->lock_fd, TURN_INDEX);
	*ret = x.sum;
	return r;
}
