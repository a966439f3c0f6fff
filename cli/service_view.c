#include "cli/service_view.h"

#include "daemon/control_client.h"

#include <stdio.h>
#include <sys/stat.h>

enum { ANSWER_MS = 5000 };

void service_view_deinit(struct service_view *v)
{
	free(v->accounts);
	*v = (struct service_view){0};
}

static int add_account(struct service_view *v, const struct control_account *a, struct fault *f)
{
	if (v->n == LIMIT_ACCOUNTS)
		return 0;
	struct control_account *more = reallocarray(v->accounts, v->n + 1, sizeof *more);
	if (!more)
		return fault_memory(f);
	v->accounts = more;
	more[v->n++] = *a;
	return 0;
}

/* 1: go on. */
static int take(struct service_view *v, const struct control_reply *reply, struct fault *f)
{
	switch (reply->kind) {
	case CONTROL_DAEMON:
		v->daemon = reply->daemon;
		v->runs = true;
		return 1;
	case CONTROL_ACCOUNT:
		return add_account(v, &reply->account, f) < 0 ? -1 : 1;
	case CONTROL_ERROR:
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "%s", reply->error.text);
	case CONTROL_END:
		return 0;
	case CONTROL_EVENT:
		break;
	}
	return 1;
}

static int read_all(struct service_view *v, struct control_client *c, struct fault *f)
{
	struct control_reply reply;
	int64_t deadline = monotonic_ms() + ANSWER_MS;

	for (;;) {
		int64_t left = deadline - monotonic_ms();
		int r = control_read(c, &reply, left < 0 ? 0 : (int)left, f);

		if (r == CONTROL_REPLY)
			r = take(v, &reply, f);
		else if (r == 0 || (r == CONTROL_NOTHING && left <= 0))
			return fault_set(
				f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "popkeepd does not answer");
		if (r <= 0)
			return r;
	}
}

int service_view_read(struct service_view *ret, const struct run *run,
	char ret_notice[static FAULT_TEXT_MAX], struct fault *f)
{
	struct control_paths paths CLEANUP(control_paths_deinit) = {0};
	struct control_request request = {.verb = CONTROL_STATUS, .extent = CONTROL_SOME};
	struct control_client *client CLEANUP(control_client_closep) = NULL;
	struct stat st;

	ret_notice[0] = '\0';
	if (stat(run->folder, &st) < 0)
		return 0;
	if (control_candidates(run->config ? run->config->runtime_dir : NULL, run->folder,
		    CONTROL_CLIENT, &paths, f) < 0)
		return -1;
	int r = control_connect(&paths, st.st_uid, &request, &client, f);
	if (r == 0)
		r = read_all(ret, client, f);
	if (r < 0 && f->code != FAULT_MEMORY) {
		(void)snprintf(ret_notice, FAULT_TEXT_MAX, "%s", f->text);
		service_view_deinit(ret);
		return 0;
	}
	return r < 0 ? -1 : 0;
}
