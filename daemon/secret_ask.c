/* While the terminal shows no typing, the signals that would end us are blocked and watched for by
 * a signalfd; they are let through only when the terminal is as it was. */
#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/secret_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <termios.h>

static void say(int tty, const char *text)
{
	ssize_t ignored = write(tty, text, strlen(text));
	(void)ignored;
}

/* One line of the terminal, up to size bytes with its end. */
static int read_typed(int tty, int signals, char *to, size_t size, size_t *ret_len, struct fault *f)
{
	int64_t deadline = monotonic_ms() + LIMIT_SECRET_MS;
	size_t len = 0;

	while (len < size && !(len > 0 && to[len - 1] == '\n')) {
		struct pollfd p[] = {
			{.fd = signals, .events = POLLIN}, {.fd = tty, .events = POLLIN}};
		int64_t left = deadline - monotonic_ms();

		if (left <= 0)
			return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, 0,
				"no password was typed within %d s", LIMIT_SECRET_MS / 1000);
		if (poll(p, 2, (int)left) < 0 && errno != EINTR)
			return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno, "poll");
		if (p[0].revents)
			return fault_set(f, FAULT_INTERRUPT, SCOPE_ACCOUNT, 0, "interrupted");
		if (!p[1].revents)
			continue;
		ssize_t n = read(tty, to + len, size - len);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return fault_errno(
				f, FAULT_ACCESS, SCOPE_ACCOUNT, errno, "cannot read the terminal");
		if (n == 0)
			break;
		if (n > 0)
			len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}

static int ask_hidden(
	int tty, int signals, const struct account *a, struct secret *ret, struct fault *f)
{
	char typed[4096], user[100], host[200],
		prompt[400]; /* a line of a terminal is not longer */
	struct termios before, hidden;
	size_t len = 0;

	if (tcgetattr(tty, &before) < 0)
		return fault_errno(f, FAULT_ACCESS, SCOPE_ACCOUNT, errno, "/dev/tty");
	hidden = before;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	hidden.c_lflag |= ICANON | ISIG;
	(void)snprintf(prompt, sizeof prompt, "Password of %s at %s: ",
		escape_text(slice_text(a->user ? a->user : ""), user, sizeof user),
		escape_text(slice_text(a->host ? a->host : ""), host, sizeof host));
	if (tcsetattr(tty, TCSAFLUSH, &hidden) < 0)
		return fault_errno(f, FAULT_ACCESS, SCOPE_ACCOUNT, errno, "/dev/tty");
	say(tty, prompt);
	int r = read_typed(tty, signals, typed, sizeof typed, &len, f);
	(void)tcsetattr(tty, TCSAFLUSH, &before);
	say(tty, "\n");
	if (r == 0)
		r = secret_take_line(slice_of(typed, len), "you typed", ret, f);
	explicit_bzero(typed, sizeof typed);
	return r;
}

int secret_ask(const struct account *a, struct secret *ret, struct fault *f)
{
	int tty CLEANUP(fd_closep) = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	sigset_t ending, blocked, before;

	if (tty < 0)
		return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, errno,
			"no terminal to ask for the password on; give password-command or "
			"password-file");
	sigemptyset(&ending);
	(void)sigaddset(&ending, SIGINT);
	(void)sigaddset(&ending, SIGTERM);
	(void)sigaddset(&ending, SIGHUP);
	(void)sigaddset(&ending, SIGQUIT);
	blocked = ending;
	(void)sigaddset(&blocked, SIGTSTP); /* a shell would take over a terminal without echo */
	int signals CLEANUP(fd_closep) = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno, "signalfd");
	(void)pthread_sigmask(SIG_BLOCK, &blocked, &before);
	int r = ask_hidden(tty, signals, a, ret, f);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}
