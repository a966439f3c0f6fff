/* The order: no core dumps and no debugger; no descriptor beyond those it was given; what loads
 * late is loaded; caps on memory, files and descriptors; the sandbox; and only then the work. */
#include "daemon/worker.h"

#include "archive/dense.h"
#include "archive/escape.h"
#include "archive/index_work.h"
#include "archive/limits.h"
#include "archive/seal_work.h"
#include "daemon/harden.h"
#include "daemon/quantity.h"
#include "daemon/sanitizer.h"
#include "daemon/worker_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

enum { DONE = 0, FAILED = 1, MISUSED = 2 };

/* What it can do. */
enum verb { SEAL, INDEX };

struct work {
	enum verb verb;
	enum sandbox_mode mode;
	int source[LIMIT_REPACK_SOURCES];
	size_t sources;
	struct charsets *charsets; /* INDEX */
};

static int parse(int argc, char **argv, struct work *ret)
{
	uint64_t n;

	if (argc != 4)
		return -1;
	if (strcmp(argv[1], "index") == 0)
		ret->verb = INDEX;
	else if (strcmp(argv[1], "seal") != 0)
		return -1;
	if (strcmp(argv[2], "required") == 0)
		ret->mode = SANDBOX_REQUIRED;
	else if (strcmp(argv[2], "best") != 0)
		return -1;
	if (quantity_count(argv[3], &n) != 0 || n < 1 || n > LIMIT_REPACK_SOURCES)
		return -1;
	ret->sources = (size_t)n;
	for (size_t i = 0; i < n; i++)
		ret->source[i] = WORKER_SOURCE + (int)i;
	for (int fd = 0; fd < WORKER_SOURCE + (int)n; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			return -1;
	}
	return 0;
}

static int load_compression(struct fault *f)
{
	static const struct dense_options options = {1, 64 * KIB};
	struct dense *dense CLEANUP(dense_closep) = NULL;
	uint64_t frame, entry;
	int null CLEANUP(fd_closep) = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "/dev/null");
	if (dense_open(null, &options, &dense, f) < 0 ||
		dense_begin(dense, "mail/0.eml", 1, 0, &frame, &entry, f) < 0 ||
		dense_put(dense, slice_text("\n"), f) < 0)
		return -1;
	return dense_end(dense, f);
}

/* OpenSSL reads its configuration, and character sets are loaded, when they are first used. */
static int load_what_loads_late(struct work *w, struct fault *f)
{
	struct hasher *hasher CLEANUP(hasher_freep) = NULL;
	struct digest ignored;

	if (hasher_new(&hasher, f) < 0)
		return -1;
	hasher_add(hasher, "", 0);
	hasher_end(hasher, &ignored);
	return w->verb == INDEX ? charsets_open(&w->charsets, f) : load_compression(f);
}

static int cap(int resource, const char *what, uint64_t most, struct fault *f)
{
	const struct rlimit limit = {most, most};

	if (setrlimit((__rlimit_resource_t)resource, &limit) == 0)
		return 0;
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot limit its %s", what);
}

enum { FOR_THE_SANDBOX = 1 }; /* a descriptor that it opens and closes */

/* AddressSanitizer maps terabytes. */
static int cap_all(const struct work *w, struct fault *f)
{
	(void)signal(SIGXFSZ, SIG_IGN); /* a write that is refused says it better */
	if (!WITH_ADDRESS_SANITIZER && cap(RLIMIT_DATA, "memory", LIMIT_WORKER_MEMORY, f) < 0)
		return -1;
	if (cap(RLIMIT_FSIZE, "files", LIMIT_WORKER_SCRATCH, f) < 0 ||
		cap(RLIMIT_NOFILE, "descriptors", WORKER_SOURCE + w->sources + FOR_THE_SANDBOX, f) <
			0)
		return -1;
	return cap(RLIMIT_NPROC, "processes", 0, f);
}

static int say(const char *text)
{
	size_t len = strlen(text);

	return write(WORKER_STATUS, text, len) == (ssize_t)len ? 0 : -1;
}

static int say_failed(const struct fault *f)
{
	char line[LIMIT_WORKER_TEXT], text[LIMIT_WORKER_TEXT - 16];

	(void)snprintf(line, sizeof line, "failed %s\n",
		escape_again(slice_text(f->text), text, sizeof text));
	(void)say(line);
	return FAILED;
}

static int greet(const struct sandbox_state *sandbox)
{
	char line[LIMIT_WORKER_TEXT];

	(void)snprintf(line, sizeof line, WORKER_GREETING "%s %s\n",
		sandbox->incomplete ? "incomplete" : "complete", sandbox->text);
	return say(line);
}

static int shut_in(struct work *w, struct sandbox_state *ret, struct fault *f)
{
	if (load_what_loads_late(w, f) < 0 || cap_all(w, f) < 0)
		return -1;
	return worker_sandbox_enter(w->mode, ret, f);
}

int worker_main(int argc, char **argv)
{
	struct work w = {.mode = SANDBOX_BEST};
	struct sandbox_state sandbox;
	struct fault f;

	process_harden();
	if (parse(argc, argv, &w) != 0) {
		(void)fputs(
			"popkeep-worker: popkeep and popkeepd start it, see popkeep-worker(8)\n",
			stderr);
		return MISUSED;
	}
	(void)close_range((unsigned)(WORKER_SOURCE + w.sources), ~0U, 0);
	if (shut_in(&w, &sandbox, &f) < 0)
		return say_failed(&f);
	if (greet(&sandbox) < 0)
		return FAILED;
	const struct seal_fds fds = {
		.request = WORKER_REQUEST,
		.out = WORKER_OUT,
		.status = WORKER_STATUS,
		.scratch = WORKER_SCRATCH,
		.ledger = WORKER_LEDGER,
		.source = w.source,
		.sources = w.sources,
	};
	int r = w.verb == INDEX ? index_work(&fds, w.charsets, &f) : seal_work(&fds, &f);
	return r < 0 ? FAILED : DONE; /* it said so itself */
}
