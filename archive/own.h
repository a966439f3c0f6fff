/* Ownership on the stack: every owning local is declared with CLEANUP(fn) and initialised there;
 * fn takes a pointer to the variable and accepts the empty value. TAKE(x) hands x over and leaves
 * the empty value behind. */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define MUST_CHECK  __attribute__((warn_unused_result))

#define TAKE(x)                                                                                    \
	__extension__({                                                                            \
		__typeof__(x) taken_ = (x);                                                        \
		(x) = (__typeof__(x))0;                                                            \
		taken_;                                                                            \
	})

/* For `int fd CLEANUP(fd_closep) = -1`. Errors of close() are of no interest to callers: whatever
 * must be durable was synced before. */
static inline void fd_closep(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static inline int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* For `char *text CLEANUP(freep) = NULL`, and any other pointer that malloc gave. */
static inline void freep(void *pointer)
{
	free(*(void **)pointer);
	*(void **)pointer = NULL;
}
