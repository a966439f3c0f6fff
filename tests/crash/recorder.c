/* For LD_PRELOAD: writes down, in order, what a program does to the files below CRASH_ROOT, so that
 * states.py can build what a power cut would have left. CRASH_LOG names the log. Records are a
 * line, with bytes behind some; files go by inode:
 *
 *   W <ino> <offset> <len>  bytes written        O <folder> <name> <ino>  a file is there
 *   T <ino> <len>           size set             M <folder> <name> <ino>  a folder was made
 *   S <ino>                 file or folder       R <folder> <name> <folder> <name>  renamed
 *                           synced               U <folder> <name>        removed
 *   A <len>                 what writev() told: the driver's acknowledgements
 *
 * A call that failed is not recorded. One that states.py knows nothing of ends the program. With
 * CRASH_STOP=n the program ends right after record n, as if it had been killed. */
#undef _FORTIFY_SOURCE	 /* dprintf() is a function here */
#undef _FILE_OFFSET_BITS /* open() and open64() are two functions here */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define REAL(name)                                                                                 \
	static __typeof__(&(name)) real;                                                           \
	if (!real)                                                                                 \
	real = (__typeof__(&(name)))dlsym(RTLD_NEXT, #name)

static int log_fd = -2;

static void put(const void *data, size_t len)
{
	const char *at = data;

	if (log_fd == -2) {
		const char *path = getenv("CRASH_LOG");

		log_fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path,
					O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)
			      : -1;
	}
	while (log_fd >= 0 && len > 0) {
		long n = syscall(SYS_write, log_fd, at, len);

		if (n <= 0)
			_exit(99);
		at += n;
		len -= (size_t)n;
	}
}

static void stop_when_told(void)
{
	static long done;
	const char *text = getenv("CRASH_STOP");
	long stop = 0;

	for (; text && *text >= '0' && *text <= '9'; text++)
		stop = stop * 10 + (*text - '0');
	if (++done == stop)
		_exit(137);
}

static void record_with(const void *body, long len, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void record_with(const void *body, long len, const char *format, ...)
{
	char line[PATH_MAX];
	va_list args;

	va_start(args, format);
	int n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	put(line, (size_t)n);
	put(body, (size_t)len);
	stop_when_told();
}

#define record(...) record_with(NULL, 0, __VA_ARGS__)

static unsigned long inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) &&
			       st.st_nlink > 0
		       ? (unsigned long)st.st_ino
		       : 0;
}

/* The folder that `path` lies in, seen from folder_fd, and its last name. 0: none of ours. */
static unsigned long split(int folder_fd, const char *path, const char **ret_name)
{
	char folder[PATH_MAX];
	struct stat st;
	const char *slash = strrchr(path, '/');

	*ret_name = slash ? slash + 1 : path;
	if (!**ret_name || strcmp(*ret_name, ".") == 0 || strcmp(*ret_name, "..") == 0)
		return 0;
	if (!slash)
		(void)snprintf(folder, sizeof folder, ".");
	else
		(void)snprintf(folder, sizeof folder, "%.*s",
			slash == path ? 1 : (int)(slash - path), path);
	return fstatat(folder_fd, folder, &st, 0) == 0 ? (unsigned long)st.st_ino : 0;
}

static void record_name(char kind, int folder_fd, const char *path, int fd)
{
	const char *name;
	unsigned long folder = split(folder_fd, path, &name), ino = 0;
	struct stat st;

	if (fd >= 0)
		ino = inode_of(fd);
	else if (fstatat(folder_fd, path, &st, 0) == 0)
		ino = (unsigned long)st.st_ino;
	if (folder && ino)
		record("%c %lu %s %lu\n", kind, folder, name, ino);
}

static void record_write(int fd, const void *data, long len, long offset)
{
	unsigned long ino = inode_of(fd);

	if (!ino || len <= 0)
		return;
	record_with(data, len, "W %lu %ld %ld\n", ino, offset, len);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static mode_t mode_of(int flags, va_list args)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

#define OPEN(name)                                                                                 \
	EXPORT int name(const char *path, int flags, ...)                                          \
	{                                                                                          \
		va_list args;                                                                      \
		REAL(name);                                                                        \
		va_start(args, flags);                                                             \
		int fd = real(path, flags, mode_of(flags, args));                                  \
		va_end(args);                                                                      \
		if (fd >= 0 && (flags & O_CREAT))                                                  \
			record_name('O', AT_FDCWD, path, fd);                                      \
		if (fd >= 0 && (flags & O_TRUNC) && inode_of(fd))                                  \
			record("T %lu 0\n", inode_of(fd));                                         \
		return fd;                                                                         \
	}
#define OPENAT(name)                                                                               \
	EXPORT int name(int folder, const char *path, int flags, ...)                              \
	{                                                                                          \
		va_list args;                                                                      \
		REAL(name);                                                                        \
		va_start(args, flags);                                                             \
		int fd = real(folder, path, flags, mode_of(flags, args));                          \
		va_end(args);                                                                      \
		if (fd >= 0 && (flags & O_CREAT))                                                  \
			record_name('O', folder, path, fd);                                        \
		if (fd >= 0 && (flags & O_TRUNC) && inode_of(fd))                                  \
			record("T %lu 0\n", inode_of(fd));                                         \
		return fd;                                                                         \
	}
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

EXPORT int mkdir(const char *path, mode_t mode)
{
	REAL(mkdir);
	int r = real(path, mode);
	if (r == 0)
		record_name('M', AT_FDCWD, path, -1);
	return r;
}

EXPORT int mkdirat(int folder, const char *path, mode_t mode)
{
	REAL(mkdirat);
	int r = real(folder, path, mode);
	if (r == 0)
		record_name('M', folder, path, -1);
	return r;
}

/* ---- Half of it ------------------------------------------------------------------------------ */

static size_t cut(size_t len)
{
	static int wanted = -1;

	if (wanted < 0)
		wanted = getenv("CRASH_SHORT") != NULL;
	return wanted && len > 1 ? len / 2 : len;
}

#define PREAD(name, type)                                                                          \
	EXPORT ssize_t name(int fd, void *data, size_t len, type offset)                           \
	{                                                                                          \
		REAL(name);                                                                        \
		return real(fd, data, cut(len), offset);                                           \
	}
PREAD(pread, off_t)
PREAD(pread64, off64_t)

EXPORT ssize_t read(int fd, void *data, size_t len)
{
	REAL(read);
	return real(fd, data, cut(len));
}

/* ---- Writing --------------------------------------------------------------------------------- */

#define PWRITE(name, type)                                                                         \
	EXPORT ssize_t name(int fd, const void *data, size_t len, type offset)                     \
	{                                                                                          \
		REAL(name);                                                                        \
		ssize_t n = real(fd, data, cut(len), offset);                                      \
		record_write(fd, data, n, offset);                                                 \
		return n;                                                                          \
	}
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

EXPORT ssize_t write(int fd, const void *data, size_t len)
{
	REAL(write);
	ssize_t n = real(fd, data, fd > STDERR_FILENO ? cut(len) : len);
	if (n > 0 && fd > STDERR_FILENO)
		record_write(fd, data, n, lseek(fd, 0, SEEK_CUR) - n);
	return n;
}

/* The driver's voice. */
EXPORT ssize_t writev(int fd, const struct iovec *all, int n)
{
	REAL(writev);
	ssize_t done = real(fd, all, n);
	if (done > 0 && fd == STDOUT_FILENO && n == 1)
		record_with(all->iov_base, (long)done, "A %ld\n", (long)done);
	return done;
}

static int print(int fd, const char *format, va_list args)
{
	char text[PATH_MAX];
	int n = vsnprintf(text, sizeof text, format, args);

	return n < 0 ? n : (int)write(fd, text, (size_t)n);
}

EXPORT int dprintf(int fd, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = print(fd, format, args);
	va_end(args);
	return n;
}

EXPORT int __dprintf_chk(int fd, int flag, const char *format, ...);
EXPORT int __dprintf_chk(int fd, int flag, const char *format, ...)
{
	va_list args;

	(void)flag;
	va_start(args, format);
	int n = print(fd, format, args);
	va_end(args);
	return n;
}

#define TRUNCATE(name, type)                                                                       \
	EXPORT int name(int fd, type size)                                                         \
	{                                                                                          \
		REAL(name);                                                                        \
		int r = real(fd, size);                                                            \
		if (r == 0 && inode_of(fd))                                                        \
			record("T %lu %ld\n", inode_of(fd), (long)size);                           \
		return r;                                                                          \
	}
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

/* ---- Syncing, renaming, removing ------------------------------------------------------------ */

#define SYNC(name)                                                                                 \
	EXPORT int name(int fd)                                                                    \
	{                                                                                          \
		REAL(name);                                                                        \
		int r = real(fd);                                                                  \
		if (r == 0 && inode_of(fd))                                                        \
			record("S %lu\n", inode_of(fd));                                           \
		return r;                                                                          \
	}
SYNC(fsync)
SYNC(fdatasync)

static void record_rename(int from, const char *old, int to, const char *new)
{
	const char *name, *new_name;
	unsigned long folder = split(from, old, &name), new_folder = split(to, new, &new_name);

	record("R %lu %s %lu %s\n", folder, name, new_folder, new_name);
}

EXPORT int rename(const char *old, const char *new)
{
	REAL(rename);
	int r = real(old, new);
	if (r == 0)
		record_rename(AT_FDCWD, old, AT_FDCWD, new);
	return r;
}

EXPORT int renameat(int from, const char *old, int to, const char *new)
{
	REAL(renameat);
	int r = real(from, old, to, new);
	if (r == 0)
		record_rename(from, old, to, new);
	return r;
}

EXPORT int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	REAL(renameat2);
	int r = real(from, old, to, new, flags);
	if (r == 0 && (flags & RENAME_EXCHANGE))
		_exit(98);
	if (r == 0)
		record_rename(from, old, to, new);
	return r;
}

static void record_removal(int folder_fd, const char *path)
{
	const char *name;
	unsigned long folder = split(folder_fd, path, &name);

	record("U %lu %s\n", folder, name);
}

EXPORT int unlink(const char *path)
{
	REAL(unlink);
	int r = real(path);
	if (r == 0)
		record_removal(AT_FDCWD, path);
	return r;
}

EXPORT int unlinkat(int folder, const char *path, int flags)
{
	REAL(unlinkat);
	int r = real(folder, path, flags);
	if (r == 0)
		record_removal(folder, path);
	return r;
}

/* ---- What nobody calls ----------------------------------------------------------------------- */

static void unknown(const char *name, int fd)
{
	if (fd >= 0 && !inode_of(fd))
		return; /* a pipe, or a file without a name */
	(void)fprintf(stderr, "recorder: %s() is not recorded\n", name);
	_exit(98);
}

EXPORT int link(const char *old, const char *new)
{
	REAL(link);
	unknown("link", -1);
	return real(old, new);
}

EXPORT int linkat(int from, const char *old, int to, const char *new, int flags)
{
	REAL(linkat);
	unknown("linkat", -1);
	return real(from, old, to, new, flags);
}

EXPORT int truncate(const char *path, off_t size)
{
	REAL(truncate);
	unknown("truncate", -1);
	return real(path, size);
}

EXPORT int rmdir(const char *path)
{
	REAL(rmdir);
	unknown("rmdir", -1);
	return real(path);
}

EXPORT ssize_t copy_file_range(
	int from, off64_t *at, int to, off64_t *to_at, size_t len, unsigned flags)
{
	REAL(copy_file_range);
	unknown("copy_file_range", to);
	return real(from, at, to, to_at, len, flags);
}

EXPORT ssize_t pwritev(int fd, const struct iovec *all, int n, off_t offset)
{
	REAL(pwritev);
	unknown("pwritev", fd);
	return real(fd, all, n, offset);
}
