#include "cli/fetch_service.h"

#include "cli/stop.h"
#include "daemon/control_client.h"

#include <errno.h>
#include <sys/stat.h>

enum { LOOK_MS = 1000, HEARD_MS = 15000 };

struct fetch_service {
	const struct chosen *chosen;
	struct control_client *client;
	size_t *by_name; /* indexes into chosen->all, by name */
	struct control_reply reply;
	int64_t deadline; /* for its first word; INT64_MAX once that came */
};

struct fetch_service *fetch_service_free(struct fetch_service *s)
{
	if (!s)
		return NULL;
	control_client_closep(&s->client);
	free(s->by_name);
	free(s);
	return NULL;
}

void fetch_service_freep(struct fetch_service **s)
{
	*s = fetch_service_free(*s);
}

static int compare_chosen(const void *a, const void *b, void *context)
{
	const struct chosen *c = context;

	return strcmp(
		c->all[*(const size_t *)a].account->name, c->all[*(const size_t *)b].account->name);
}

static struct chosen_account *find(const struct fetch_service *s, const char *name)
{
	size_t low = 0, high = s->chosen->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct chosen_account *one = &s->chosen->all[s->by_name[middle]];
		int order = strcmp(name, one->account->name);

		if (order == 0)
			return one;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static int sort_names(struct fetch_service *s, struct fault *f)
{
	size_t n = s->chosen->n;

	s->by_name = calloc(n + 1, sizeof *s->by_name);
	if (!s->by_name)
		return fault_memory(f);
	for (size_t i = 0; i < n; i++)
		s->by_name[i] = i;
	qsort_r(s->by_name, n, sizeof *s->by_name, compare_chosen, (void *)(uintptr_t)s->chosen);
	return 0;
}

/* An archive that is not there yet has no service. */
static int connect_to(struct fetch_service *s, const struct run *run, struct fault *f)
{
	const struct chosen *c = s->chosen;
	struct control_paths paths CLEANUP(control_paths_deinit) = {0};
	struct control_request request = {.verb = CONTROL_FETCH};
	struct stat st;

	if (stat(run->folder, &st) < 0)
		return FETCH_NO_SERVICE;
	if (control_candidates(run->config ? run->config->runtime_dir : NULL, run->folder,
		    CONTROL_CLIENT, &paths, f) < 0)
		return f->code == FAULT_MISSING ? FETCH_NO_SERVICE : -1;
	request.accounts = calloc(c->n + 1, sizeof *request.accounts);
	if (!request.accounts)
		return fault_memory(f);
	for (size_t i = 0; i < c->n; i++)
		request.accounts[i] = c->all[i].account->name;
	request.accounts_n = c->n;
	int r = control_connect(&paths, st.st_uid, &request, &s->client, f);
	free(request.accounts);
	return r == CONTROL_NONE ? FETCH_NO_SERVICE : r;
}

int fetch_service_begin(
	struct run *run, const struct chosen *chosen, struct fetch_service **ret, struct fault *f)
{
	struct fetch_service *s CLEANUP(fetch_service_freep) = calloc(1, sizeof *s);

	if (!s)
		return fault_memory(f);
	s->chosen = chosen;
	if (sort_names(s, f) < 0)
		return -1;
	int r = connect_to(s, run, f);
	s->deadline = monotonic_ms() + HEARD_MS;
	if (r == 0)
		*ret = TAKE(s);
	return r;
}

/* The exit status as popkeep has it, and the kind of failure that gives it. */
static int refused(const struct control_reply *reply, struct fault *f)
{
	enum fault_code code = reply->error.status == STATUS_USAGE  ? FAULT_USAGE
			       : reply->error.status == STATUS_BUSY ? FAULT_BUSY
								    : FAULT_SYSTEM;

	return fault_set(f, code, SCOPE_ARCHIVE, 0, "%s", reply->error.text);
}

static int gone(struct fault *f)
{
	return fault_set(f, FAULT_INTERRUPT, SCOPE_ARCHIVE, 0,
		"popkeepd went away; what came whole is kept, its log says why");
}

/* 1: *ret is an event for the caller; 0: pass over it. */
static int take_event(struct fetch_service *s, struct poller_event *ret)
{
	const struct control_event *e = &s->reply.event;
	struct chosen_account *one = find(s, e->account);

	if (!one && e->account[0])
		return 0;
	*ret = e->event;
	ret->poll = NULL;
	ret->owner = one;
	ret->account = one ? one->account : NULL;
	return POLLER_EVENT;
}

int fetch_service_next(struct fetch_service *s, struct poller_event *ret, struct fault *f)
{
	for (;;) {
		if (stop_requested())
			return fault_set(f, FAULT_INTERRUPT, SCOPE_ARCHIVE, 0,
				"interrupted; popkeepd goes on with what it was asked for");
		int r = control_read(s->client, &s->reply, LOOK_MS, f);
		if (r < 0)
			return -1;
		if (r == 0)
			return gone(f);
		if (r == CONTROL_NOTHING && monotonic_ms() >= s->deadline)
			return fault_set(f, FAULT_BUSY, SCOPE_ARCHIVE, 0,
				"popkeepd, which keeps this archive, does not answer; its log says "
				"more");
		if (r == CONTROL_NOTHING)
			continue;
		s->deadline = INT64_MAX;
		if (s->reply.kind == CONTROL_END)
			return 0;
		if (s->reply.kind == CONTROL_ERROR)
			return refused(&s->reply, f);
		if (s->reply.kind == CONTROL_EVENT && take_event(s, ret))
			return POLLER_EVENT;
	}
}
