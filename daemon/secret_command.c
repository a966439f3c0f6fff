#include "daemon/secret_command.h"

#include "archive/limits.h"
#include "daemon/child.h"
#include "daemon/secret_private.h"

#include <errno.h>
#include <sys/epoll.h>

struct secret_command {
	struct child child;
	int poll;
	int64_t deadline_ms;
	uint32_t timeout_ms;
	char *text; /* LIMIT_SECRET bytes, wiped in the end */
	size_t len;
	bool too_long;
};

static int watch(int poll, int fd, struct fault *f)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno, "epoll");
	return 0;
}

static int start(struct secret_command *c, const char *command, struct fault *f)
{
	c->poll = epoll_create1(EPOLL_CLOEXEC);
	if (c->poll < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno, "cannot run a command");
	if (child_start(command, CHILD_PIPE, NULL, &c->child, f) < 0 ||
		watch(c->poll, c->child.out, f) < 0)
		return -1;
	return watch(c->poll, c->child.process, f);
}

int secret_command_begin(
	const char *command, uint32_t timeout_ms, struct secret_command **ret, struct fault *f)
{
	struct secret_command *c CLEANUP(secret_command_freep) = calloc(1, sizeof *c);

	if (!c)
		return fault_memory(f);
	c->child = CHILD_NONE;
	c->poll = -1;
	c->text = malloc(LIMIT_SECRET);
	if (!c->text)
		return fault_memory(f);
	c->deadline_ms = monotonic_ms() + timeout_ms;
	c->timeout_ms = timeout_ms;
	if (start(c, command, f) < 0)
		return -1;
	*ret = TAKE(c);
	return 0;
}

struct secret_command *secret_command_free(struct secret_command *c)
{
	if (!c)
		return NULL;
	child_deinit(&c->child);
	fd_closep(&c->poll);
	return secret_command_forget(c);
}

struct secret_command *secret_command_forget(struct secret_command *c)
{
	if (!c)
		return NULL;
	if (c->text)
		explicit_bzero(c->text, LIMIT_SECRET);
	free(c->text);
	free(c);
	return NULL;
}

void secret_command_freep(struct secret_command **c)
{
	*c = secret_command_free(*c);
}

int secret_command_fd(const struct secret_command *c)
{
	return c->poll;
}

int64_t secret_command_deadline_ms(const struct secret_command *c)
{
	return c->deadline_ms;
}

/* Reads what is there. At the end of the output the pipe leaves the poll, or it would stay
 * readable while the process lives on. */
static int drain(struct secret_command *c, struct fault *f)
{
	char beyond[512];

	while (c->child.out >= 0) {
		bool full = c->len == LIMIT_SECRET;
		ssize_t n = full ? read(c->child.out, beyond, sizeof beyond)
				 : read(c->child.out, c->text + c->len, LIMIT_SECRET - c->len);

		explicit_bzero(beyond, sizeof beyond);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno,
				"cannot read what the command prints");
		if (n == 0)
			fd_closep(&c->child.out);
		else if (full)
			c->too_long = true;
		else
			c->len += (size_t)n;
	}
	return 0;
}

int secret_command_step(struct secret_command *c, struct secret *ret, struct fault *f)
{
	if (drain(c, f) < 0)
		return -1;
	int r = child_end(&c->child, f);
	if (r < 0)
		return -1;
	if (r == CHILD_RUNS && monotonic_ms() < c->deadline_ms)
		return SECRET_COMMAND_WAIT;
	if (r == CHILD_RUNS)
		return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, 0,
			"the command did not end within %u s", c->timeout_ms / 1000);
	/* What it left in the pipe; a child of its own may still hold the other end open. */
	if (drain(c, f) < 0)
		return -1;
	if (c->too_long)
		return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, 0,
			"the command prints more than %d bytes", (int)LIMIT_SECRET);
	return secret_take_line(slice_of(c->text, c->len), "the command prints", ret, f);
}
