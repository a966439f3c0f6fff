#include "archive/ledger.h"

#include "archive/file.h"
#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

void ledger_name(uint64_t number, char ret[static LEDGER_NAME])
{
	(void)snprintf(ret, LEDGER_NAME, "%06" PRIu64 ".log", number);
}

static uint64_t parse_name(const char *name)
{
	uint64_t number = file_number(name);
	char again[LEDGER_NAME];

	ledger_name(number, again);
	return strcmp(again, name) == 0 ? number : 0;
}

int ledger_last_file(int folder_fd, uint64_t *ret, struct fault *f)
{
	uint64_t last = 0;
	DIR *dir CLEANUP(dir_closep) = folder_read(folder_fd);

	if (!dir)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot list ledger/");
	for (struct dirent *e; (e = readdir(dir));) {
		uint64_t number = parse_name(e->d_name);

		last = number > last ? number : last;
	}
	*ret = last;
	return 0;
}

/* SHA-256 of a whole ledger file up to its length. */
static int digest_file(int folder_fd, uint64_t number, uint64_t length, struct hasher *h,
	struct digest *ret, struct fault *f)
{
	char name[LEDGER_NAME];
	uint8_t chunk[16384];

	ledger_name(number, name);
	int fd CLEANUP(fd_closep) = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fault_errno(
			f, FAULT_DAMAGE, SCOPE_ARCHIVE, errno, "cannot open ledger/%s", name);
	for (uint64_t at = 0; at < length;) {
		size_t want = length - at < sizeof chunk ? (size_t)(length - at) : sizeof chunk;
		ssize_t n = pread(fd, chunk, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fault_errno(f, FAULT_DAMAGE, SCOPE_ARCHIVE, n < 0 ? errno : ENODATA,
				"cannot read ledger/%s", name);
		hasher_add(h, chunk, (size_t)n);
		at += (uint64_t)n;
	}
	hasher_end(h, ret);
	return 0;
}

static int begin_file(struct ledger_group *g, int folder_fd, const char *archive_id, moment_ms now,
	struct fault *f)
{
	struct event e = {.kind = EVENT_BEGIN,
		.t = now,
		.archive = slice_text(archive_id),
		.leaf = g->at.tree.size};
	uint64_t number;

	if (g->at.file > 0 &&
		digest_file(folder_fd, g->at.file, g->at.length, g->hasher, &e.root, f) < 0)
		return -1;
	g->new_file = true;
	g->at.file++;
	g->at.length = 0;
	return ledger_group_add(g, &e, &number, f);
}

int ledger_group_begin(struct ledger_group *g, int folder_fd, const struct ledger_at *at,
	enum ledger_roll roll, const char *archive_id, moment_ms now, struct fault *f)
{
	*g = (struct ledger_group){.at = *at, .text = buffer_make(LIMIT_LEDGER_GROUP)};
	if (hasher_new(&g->hasher, f) < 0)
		return -1;
	if (at->file == 0 || at->length >= LIMIT_LEDGER_FILE || roll == ROLL_NOW)
		return begin_file(g, folder_fd, archive_id, now, f);
	return 0;
}

void ledger_group_deinit(struct ledger_group *g)
{
	buffer_deinit(&g->text);
	g->hasher = hasher_free(g->hasher);
}

int ledger_group_add(
	struct ledger_group *g, const struct event *e, uint64_t *ret_number, struct fault *f)
{
	size_t start = g->text.len;

	if (event_format(e, &g->text, f) < 0) {
		g->text.len = start;
		return -1;
	}
	*ret_number = g->at.tree.size;
	merkle_add(&g->at.tree, slice_of(g->text.data + start, g->text.len - start - 1), g->hasher);
	g->at.last = e->t;
	return 0;
}

int ledger_group_write(struct ledger_group *g, int folder_fd, moment_ms now, struct fault *f)
{
	struct event commit = {.kind = EVENT_COMMIT, .t = now, .size = g->at.tree.size};
	char name[LEDGER_NAME];
	uint64_t number;
	struct stat st;

	merkle_root(&g->at.tree, g->hasher, &commit.root);
	if (ledger_group_add(g, &commit, &number, f) < 0)
		return -1;
	ledger_name(g->at.file, name);
	int flags = O_WRONLY | O_CLOEXEC | (g->new_file ? O_CREAT | O_EXCL : 0);
	int fd CLEANUP(fd_closep) = openat(folder_fd, name, flags, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fault_errno(
			f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot open ledger/%s", name);
	if ((uint64_t)st.st_size != g->at.length)
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
			"ledger/%s has %lld bytes where the catalog says %" PRIu64, name,
			(long long)st.st_size, g->at.length);
	if (file_write_at(fd, buffer_slice(&g->text), g->at.length) < 0)
		return fault_errno(
			f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot write ledger/%s", name);
	if (fdatasync(fd) < 0)
		return fault_errno(
			f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot sync ledger/%s", name);
	if (g->new_file && fsync(folder_fd) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot sync ledger/");
	g->at.length += g->text.len;
	return 0;
}
