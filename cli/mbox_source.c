#include "cli/mbox_source.h"

#include "archive/escape.h"
#include "cli/mbox_from.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

enum { PIECE = 256 * 1024, SIZE = LIMIT_MBOX_WINDOW + PIECE };

/* ---- Opening --------------------------------------------------------------------------------- */

/* For a moment in which nobody delivers. Whoever delivers has the lock for as long as one message
 * takes; where there are no locks, or somebody keeps one, it is done without. */
static void wait_for_delivery(int fd)
{
	enum { TRIES = 20, PAUSE_NS = 50 * 1000 * 1000 };
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

	for (int i = 0; i < TRIES; i++) {
		if (fcntl(fd, F_OFD_SETLK, &lock) == 0 || (errno != EAGAIN && errno != EACCES))
			return;
		(void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
	}
}

static void let_deliver(int fd)
{
	struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	(void)fcntl(fd, F_OFD_SETLK, &lock);
}

int mbox_source_open(struct mbox_source *s, struct fault *f)
{
	s->window = malloc(SIZE);
	if (!s->window)
		return fault_memory(f);
	if (s->stream)
		return 0;
	wait_for_delivery(s->fd);
	int r = fstat(s->fd, &s->last);
	let_deliver(s->fd);
	if (r < 0)
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_SESSION, errno, "cannot look at the file");
	s->size = (uint64_t)s->last.st_size;
	(void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return 0;
}

void mbox_source_close(struct mbox_source *s)
{
	free(s->window);
	s->window = NULL;
}

/* ---- The window ------------------------------------------------------------------------------ */

struct slice mbox_source_window(const struct mbox_source *s)
{
	return slice_of(s->window + s->begin, s->end - s->begin);
}

void mbox_source_take(struct mbox_source *s, size_t n)
{
	s->begin += n;
	s->offset += n;
	if (s->begin == s->end)
		s->begin = s->end = 0;
}

ssize_t mbox_source_look(const struct mbox_source *s, uint64_t offset, void *to, size_t n)
{
	size_t have = 0;

	if (offset >= s->size)
		return 0;
	if (n > s->size - offset)
		n = (size_t)(s->size - offset);
	while (have < n) {
		ssize_t r = pread(s->fd, (uint8_t *)to + have, n - have, (off_t)(offset + have));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		if (r == 0)
			break;
		have += (size_t)r;
	}
	return (ssize_t)have;
}

static int ends(struct mbox_source *s, const char *what, int error)
{
	s->ended = true;
	(void)snprintf(s->why, sizeof s->why, "%s%s%s", what, error ? ": " : "",
		error ? strerror(error) : "");
	return MBOX_SOURCE_ENDS;
}

/* What was read last is still where it was: somebody appended to the file, or changed a field of a
 * message where it stands, and what is read now continues it. */
static bool still_continues(const struct mbox_source *s, uint64_t end)
{
	uint8_t seen[sizeof s->tail];

	return mbox_source_look(s, end - s->tail_len, seen, s->tail_len) == (ssize_t)s->tail_len &&
	       memcmp(seen, s->tail, s->tail_len) == 0;
}

static void keep_tail(struct mbox_source *s, size_t n)
{
	s->tail_len = n < sizeof s->tail ? n : sizeof s->tail;
	memcpy(s->tail, s->window + s->end - s->tail_len, s->tail_len);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Called when something was read from `at` on, and none of that was given away. */
static int check_change(struct mbox_source *s, uint64_t at)
{
	struct stat now;

	if (fstat(s->fd, &now) < 0)
		return ends(s, "cannot look at the file", errno);
	if (is_same(&now, &s->last))
		return 0;
	s->last = now;
	if ((uint64_t)now.st_size < s->size)
		return ends(s, "the file became shorter while it was read", 0);
	if (!still_continues(s, at))
		return ends(s, "the file was rewritten while it was read", 0);
	s->more = (uint64_t)now.st_size - s->size;
	return 0;
}

static int more_of_file(struct mbox_source *s)
{
	uint64_t at = s->offset + (s->end - s->begin);
	size_t n = s->size - at < PIECE ? (size_t)(s->size - at) : PIECE;
	ssize_t got = mbox_source_look(s, at, s->window + s->end, n);

	if (got < 0)
		return ends(s, "cannot read any further", errno);
	int r = check_change(s, at);
	if (r != 0)
		return r;
	if ((size_t)got < n)
		return ends(s, "the file became shorter while it was read", 0);
	s->end += n;
	keep_tail(s, n);
	if (at + n == s->size)
		s->extent = MBOX_WHOLE;
	return 0;
}

static int more_of_stream(struct mbox_source *s, struct fault *f)
{
	size_t n = 0;
	int r = s->stream->read(s->stream->context, s->window + s->end, PIECE, &n, f);

	if (r < 0)
		return -1;
	if (r == IMPORT_BROKEN) {
		return ends(s, f->text, 0);
	}
	s->end += n;
	if (n == 0)
		s->extent = MBOX_WHOLE;
	return 0;
}

int mbox_source_more(struct mbox_source *s, struct fault *f)
{
	if (s->ended)
		return MBOX_SOURCE_ENDS;
	if (SIZE - s->end < PIECE) {
		memmove(s->window, s->window + s->begin, s->end - s->begin);
		s->end -= s->begin;
		s->begin = 0;
	}
	return s->stream ? more_of_stream(s, f) : more_of_file(s);
}

/* ---- The end --------------------------------------------------------------------------------- */

int mbox_source_check_end(struct mbox_source *s)
{
	char line[MBOX_FROM_LEN + 2];
	struct stat now;

	if (s->stream || fstat(s->fd, &now) < 0 || (uint64_t)now.st_size <= s->size)
		return 0;
	s->more = (uint64_t)now.st_size - s->size;
	ssize_t n = pread(s->fd, line, sizeof line, (off_t)s->size);
	size_t skip = n > 0 && line[0] == '\n' ? 1 : n > 1 && memcmp(line, "\r\n", 2) == 0 ? 2 : 0;

	if (n < (ssize_t)skip + MBOX_FROM_LEN || memcmp(line + skip, "From ", MBOX_FROM_LEN) != 0)
		return ends(
			s, "the file grew while it was read, in the middle of its last message", 0);
	return 0;
}
