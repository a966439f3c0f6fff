#include "archive/turns.h"

#include "archive/moment.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

enum { FIRST_PAUSE_US = 200, LONGEST_PAUSE_US = 10000 };

static int set_lock(int fd, uint64_t turn, short type)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)turn, .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &lock);
}

int turn_try(int lock_fd, uint64_t turn, struct fault *f)
{
	if (set_lock(lock_fd, turn, F_WRLCK) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return TURN_TAKEN;
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot lock the archive");
}

int turn_test(int lock_fd, uint64_t turn, struct fault *f)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)turn, .l_len = 1};

	if (fcntl(lock_fd, F_OFD_GETLK, &lock) < 0)
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot ask for the archive's lock");
	return lock.l_type == F_UNLCK ? 0 : TURN_TAKEN;
}

void turn_release(int lock_fd, uint64_t turn)
{
	(void)set_lock(lock_fd, turn, F_UNLCK);
}

/* Asks again and again: a blocking lock call has no deadline, and signals belong to the program. */
static int take(int fd, enum turn turn, int64_t deadline, struct fault *f)
{
	long pause_us = FIRST_PAUSE_US;

	for (;;) {
		int r = turn_try(fd, turn, f);

		if (r != TURN_TAKEN)
			return r;
		if (monotonic_ms() >= deadline)
			return fault_set(f, FAULT_BUSY, SCOPE_ARCHIVE, 0,
				"the archive stayed busy: another popkeep process is committing; "
				"try again");
		struct timespec pause = {.tv_nsec = pause_us * 1000};
		(void)nanosleep(&pause, NULL);
		pause_us = pause_us * 2 > LONGEST_PAUSE_US ? LONGEST_PAUSE_US : pause_us * 2;
	}
}

int turn_wait(int lock_fd, enum turn turn, int64_t wait_ms, struct fault *f)
{
	return take(lock_fd, turn, monotonic_ms() + wait_ms, f);
}

int turns_take_commit(int lock_fd, int64_t wait_ms, struct fault *f)
{
	int64_t deadline = monotonic_ms() + wait_ms;

	if (take(lock_fd, TURN_QUEUE, deadline, f) < 0)
		return -1;
	int r = take(lock_fd, TURN_COMMIT, deadline, f);
	turn_release(lock_fd, TURN_QUEUE);
	return r;
}
