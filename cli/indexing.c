#include "cli/indexing.h"

#include "archive/upkeep.h"
#include "cli/stop.h"
#include "daemon/worker_start.h"

struct indexing {
	struct run *run;
	struct worker_starter starter;
	bool told; /* how the worker is shut in */
};

static void indexing_deinit(struct indexing *x)
{
	worker_starter_deinit(&x->starter);
}

/* Once, when the first worker runs. */
static void tell_sandbox(struct indexing *x)
{
	const struct sandbox_state *sandbox = &x->starter.sandbox;

	if (x->told || !sandbox->text[0])
		return;
	x->told = true;
	if (sandbox->incomplete)
		run_note(x->run, "the worker's sandbox is incomplete: %s", sandbox->text);
	else
		run_detail(x->run, "the worker's sandbox: %s", sandbox->text);
}

static int draw(void *context, uint64_t done, uint64_t all)
{
	struct indexing *x = (struct indexing *)context;
	struct progress_state state = {
		.label = "indexing", .unit = PROGRESS_MESSAGES, .done = done, .all = all};

	tell_sandbox(x);
	progress_update(&x->run->progress, &state);
	return stop_requested();
}

/* For status. That somebody else does it, or stopped it, is no news. */
static void note_outcome(struct run *run, struct store *s, const struct fault *failure, bool did)
{
	struct upkeep before = {0};
	struct fault ignored;

	if (failure && (failure->code == FAULT_INTERRUPT || failure->code == FAULT_BUSY))
		return;
	if (!failure && !did &&
		(store_get_upkeep(s, UPKEEP_INDEX, &before, &ignored) < 0 ||
			before.code == FAULT_NONE))
		return;
	if (store_put_upkeep(s, UPKEEP_INDEX, failure, &ignored) < 0)
		run_detail(run, "how it went is not noted: %s", ignored.text);
}

int indexing_run(struct run *run, struct store *s, enum index_care care, struct index_result *ret,
	struct fault *f)
{
	struct indexing x CLEANUP(indexing_deinit) = {.run = run, .starter = WORKER_STARTER_NONE};

	worker_starter_init(&x.starter, run->config ? run->config->sandbox : SANDBOX_BEST);
	x.starter.verb = WORKER_INDEX;
	x.starter.stop = stop_requested;
	struct index_job job = {
		.starter = worker_starter(&x.starter),
		.care = care,
		.progress = draw,
		.progress_context = &x,
	};
	if (worker_patience(&x.starter, &job.silence_ms, f) < 0)
		return -1;
	progress_begin(&run->progress);
	int r = store_index(s, &job, ret, f);
	progress_clear(&run->progress);
	for (char *text; (text = store_take_notice(s)); free(text))
		run_note(run, "%s", text);
	note_outcome(run, s, r < 0 ? f : NULL, ret->indexed > 0);
	return r;
}

/* A failure that is not worth a word: somebody else does it, or we may not. */
static bool is_expected(const struct fault *f)
{
	return f->code == FAULT_BUSY || f->code == FAULT_ACCESS;
}

int indexing_catch_up(struct run *run, struct fault *f)
{
	struct store *writer CLEANUP(store_closep) = NULL;
	struct index_result result;
	struct index_state lag;
	struct fault why;

	if (store_index_state(run->store, &lag, &why) == 0 &&
		lag.indexed + lag.unread >= lag.messages)
		return 0;
	/* Who cannot write the folder cannot write what is in it. */
	if (access(run->folder, W_OK) < 0)
		return 0;
	int r = store_open(run->folder, run->cache_dir, STORE_WRITE, &writer, &why);
	if (r == 0)
		r = indexing_run(run, writer, INDEX_QUICK, &result, &why);
	if (r == 0)
		return 0;
	if (why.code == FAULT_INTERRUPT) {
		*f = why;
		return -1;
	}
	if (is_expected(&why))
		run_detail(run, "not indexed now: %s", why.text);
	else
		run_note(run, "the index could not be brought up to date: %s", why.text);
	return 0;
}
