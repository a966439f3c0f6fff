#include "daemon/secret.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/mechanism.h"
#include "daemon/secret_command.h"
#include "daemon/secret_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

void secret_deinit(struct secret *s)
{
	if (s->text)
		explicit_bzero(s->text, s->len);
	free(s->text);
	*s = (struct secret){0};
}

int secret_take_line(struct slice bytes, const char *what, struct secret *ret, struct fault *f)
{
	const uint8_t *end = bytes.len ? memchr(bytes.data, '\n', bytes.len) : NULL;
	size_t len = end ? (size_t)(end - bytes.data) : bytes.len;

	if (end && len > 0 && bytes.data[len - 1] == '\r')
		len--;
	if (len == 0)
		return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, 0, "%s nothing", what);
	if (memchr(bytes.data, '\0', len))
		return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, 0, "%s a NUL byte", what);
	char *text = malloc(len + 1);
	if (!text)
		return fault_memory(f);
	memcpy(text, bytes.data, len);
	text[len] = '\0';
	*ret = (struct secret){text, len};
	return 0;
}

/* Who may have seen or changed the secret. systemd keeps credentials in a folder that only the
 * service can enter, with an access list that shows as rights of the group. */
static int check_file(const struct stat *st, const char *path, mode_t forbidden, struct fault *f)
{
	char text[300];

	(void)escape_text(slice_text(path), text, sizeof text);
	if (!S_ISREG(st->st_mode) && !S_ISFIFO(st->st_mode))
		return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, 0, "%s is no file", text);
	/* Root acts for whoever owns the archive, and could read the file anyhow. */
	if (geteuid() != 0 && st->st_uid != geteuid() && st->st_uid != 0)
		return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, 0,
			"%s belongs to another user (%u), who knows the password; chown it", text,
			(unsigned)st->st_uid);
	if (st->st_mode & forbidden)
		return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, 0,
			"%s can be read or written by others; chmod 600 it, and change the "
			"password if they should not know it",
			text);
	return 0;
}

/* Up to size bytes; a pipe ("<(pass …)" of a shell) is waited for. */
static int read_all(int fd, char *to, size_t size, size_t *ret_len, struct fault *f)
{
	int64_t deadline = monotonic_ms() + LIMIT_SECRET_MS;
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, to + len, size - len);

		if (n == 0)
			break;
		if (n > 0) {
			len += (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return fault_errno(
				f, FAULT_ACCESS, SCOPE_ACCOUNT, errno, "cannot read the password");
		int64_t left = deadline - monotonic_ms();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (left <= 0)
			return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, 0,
				"no password came within %d s", LIMIT_SECRET_MS / 1000);
		(void)poll(&p, 1, (int)left);
	}
	*ret_len = len;
	return 0;
}

static int read_line(int fd, struct secret *ret, struct fault *f)
{
	char *text = malloc(LIMIT_SECRET + 1);
	size_t len = 0;

	if (!text)
		return fault_memory(f);
	int r = read_all(fd, text, LIMIT_SECRET + 1, &len, f);
	if (r == 0 && len > LIMIT_SECRET)
		r = fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, 0,
			"the file holds more than %d bytes", (int)LIMIT_SECRET);
	if (r == 0)
		r = secret_take_line(slice_of(text, len), "the file holds", ret, f);
	explicit_bzero(text, LIMIT_SECRET + 1);
	free(text);
	return r;
}

static int read_file(const char *path, mode_t forbidden, struct secret *ret, struct fault *f)
{
	int fd CLEANUP(fd_closep) = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char text[300];
	struct stat st;

	if (fd < 0)
		return fault_errno(f, FAULT_ACCESS, SCOPE_ACCOUNT, errno, "cannot open %s",
			escape_text(slice_text(path), text, sizeof text));
	if (fstat(fd, &st) < 0)
		return fault_errno(f, FAULT_ACCESS, SCOPE_ACCOUNT, errno, "fstat");
	if (check_file(&st, path, forbidden, f) < 0)
		return -1;
	return read_line(fd, ret, f);
}

static int read_credential(const char *name, struct secret *ret, struct fault *f)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	char path[4096], text[100];

	(void)escape_text(slice_text(name), text, sizeof text);
	if (!folder)
		return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, 0,
			"credential \"%s\": systemd gave none ($CREDENTIALS_DIRECTORY is not set); "
			"see LoadCredential= in systemd.exec(5)",
			text);
	if (!name[0] || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"credential \"%s\": not a name, but a path", text);
	int n = snprintf(path, sizeof path, "%s/%s", folder, name);
	if (n < 0 || (size_t)n >= sizeof path)
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0, "credential: name too long");
	return read_file(path, S_IWGRP | S_IRWXO, ret, f);
}

static int run(const char *command, const char *key, struct secret *ret, struct fault *f)
{
	struct secret_command *c CLEANUP(secret_command_freep) = NULL;
	int r = secret_command_begin(command, LIMIT_SECRET_MS, &c, f);

	while (r == 0 && (r = secret_command_step(c, ret, f)) == SECRET_COMMAND_WAIT) {
		struct pollfd p = {.fd = secret_command_fd(c), .events = POLLIN};
		int64_t left = secret_command_deadline_ms(c) - monotonic_ms();

		r = 0;
		/* Only a signal that somebody catches does that: whoever waits is to stop. */
		if (poll(&p, 1, left > 0 ? (int)left : 0) < 0 && errno == EINTR)
			r = fault_set(f, FAULT_INTERRUPT, SCOPE_SESSION, 0,
				"stopped before it had ended");
	}
	return r < 0 ? fault_prefix(f, "%s", key) : 0;
}

bool secret_is_needed(const struct account *a)
{
	const struct mechanism *forced = a->auth ? mechanism_named(a->auth) : NULL;

	return !forced || !(forced->flags & MECHANISM_NO_SECRET);
}

static int read_source(const struct account *a, struct secret *ret, struct fault *f)
{
	switch (a->secret_source) {
	case SECRET_COMMAND:
		return run(a->secret_value, "password-command", ret, f);
	case SECRET_TOKEN_COMMAND:
		return run(a->secret_value, "token-command", ret, f);
	case SECRET_FILE:
		return read_file(a->secret_value, S_IRWXG | S_IRWXO, ret, f);
	case SECRET_CREDENTIAL:
		return read_credential(a->secret_value, ret, f);
	case SECRET_ASK:
		return secret_ask(a, ret, f);
	case SECRET_NONE:
		if (!secret_is_needed(a))
			return 0;
		break;
	}
	return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
		"no password: give password-command, password-file, credential or token-command");
}

int secret_read(const struct account *a, struct secret *ret, struct fault *f)
{
	struct secret s = {0};

	if (read_source(a, &s, f) < 0)
		return a->name ? fault_prefix(f, "account %s", a->name) : -1;
	*ret = s;
	return 0;
}
