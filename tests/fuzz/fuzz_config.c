/* Any bytes as a configuration: either all of it is right, or nothing is given and the fault says
 * why in printable text; and whatever it was, the next load finds the scanner as the first did. */
#include "archive/escape.h"
#include "daemon/config.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

const char *__lsan_default_suppressions(void);

/* libconfuse 3.3 leaks the arguments of a function call that is no complete one. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfuse.so";
}

static int load(const void *data, size_t size, struct config **ret, struct fault *f)
{
	int fd CLEANUP(fd_closep) = memfd_create("popkeep.conf", MFD_CLOEXEC);
	char path[32];

	require(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
	(void)snprintf(path, sizeof path, "/dev/fd/%d", fd);
	return config_load(path, ret, f);
}

static void check_good(const struct config *c)
{
	struct fault f;

	require(c->path && c->max_sessions > 0 && c->max_sessions_per_server > 0);
	for (size_t i = 0; i < c->accounts_n; i++) {
		const struct account *a = &c->accounts[i];

		require(account_name_is_valid(a->name) && a->host && a->port > 0 && a->class_);
		require(account_check_user(slice_text(a->user), &f) == 0);
		require((a->secret_source == SECRET_NONE) == (a->secret_value == NULL));
		require(config_account(c, a->name) == a);
	}
}

static void check_bad(const struct fault *f)
{
	require(f->code == FAULT_USAGE && f->text[0]);
	for (const char *p = f->text; *p; p++)
		require((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void check_next(void)
{
	static const char GOOD[] = "archive = 'x'\naccount a { server = pop3s://h user = a }\n";
	struct config *c CLEANUP(config_freep) = NULL;
	struct fault f;

	require(load(GOOD, strlen(GOOD), &c, &f) == 0);
	require(c->accounts_n == 1 && c->archive);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *c CLEANUP(config_freep) = NULL;
	struct fault f = {0};

	/* Other files are no part of the input: only itself, which is nested until it is refused.
	 */
	if (memmem(data, size, "include", 7) && !memmem(data, size, "include('3')", 12))
		return 0;
	if (load(data, size, &c, &f) == 0) {
		check_good(c);
	} else {
		require(!c);
		check_bad(&f);
	}
	check_next();
	return 0;
}
