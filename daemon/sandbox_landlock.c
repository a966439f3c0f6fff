/* Landlock by its system calls: the C library has no functions for them, and Debian 12's header
 * stops at version 2. A right is asked for only where the running kernel knows it. */
#include "daemon/sandbox_private.h"

#include "archive/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* linux/landlock.h, under names of our own, since the header may have them or not. */
enum { RULE_PATH_BENEATH = 1, CREATE_VERSION = 1 };

#define FS_EXECUTE     (UINT64_C(1) << 0)
#define FS_WRITE_FILE  (UINT64_C(1) << 1)
#define FS_READ_FILE   (UINT64_C(1) << 2)
#define FS_READ_DIR    (UINT64_C(1) << 3)
#define FS_REMOVE_DIR  (UINT64_C(1) << 4)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_CHAR   (UINT64_C(1) << 6)
#define FS_MAKE_DIR    (UINT64_C(1) << 7)
#define FS_MAKE_REG    (UINT64_C(1) << 8)
#define FS_MAKE_SOCK   (UINT64_C(1) << 9)
#define FS_MAKE_FIFO   (UINT64_C(1) << 10)
#define FS_MAKE_BLOCK  (UINT64_C(1) << 11)
#define FS_MAKE_SYM    (UINT64_C(1) << 12)
#define FS_REFER       (UINT64_C(1) << 13) /* version 2 */
#define FS_TRUNCATE    (UINT64_C(1) << 14) /* 3 */
#define FS_IOCTL_DEV   (UINT64_C(1) << 15) /* 5 */

#define NET_BIND_TCP   (UINT64_C(1) << 0) /* 4 */
#define NET_CONNECT    (UINT64_C(1) << 1) /* 4; where it is not handled it is free */
#define SCOPE_ABSTRACT (UINT64_C(1) << 0) /* 6 */
#define SCOPE_SIGNAL   (UINT64_C(1) << 1) /* 6 */

#define READ_RIGHTS (FS_READ_FILE | FS_READ_DIR)
#define WRITE_RIGHTS                                                                               \
	(READ_RIGHTS | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR |              \
		FS_MAKE_REG | FS_MAKE_SOCK | FS_REFER | FS_TRUNCATE)
#define FILE_RIGHTS (FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE) /* that a file can have */

enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_NET = 4, ABI_IOCTL = 5, ABI_SCOPE = 6 };

struct ruleset {
	uint64_t fs;
	uint64_t net;	 /* 4 */
	uint64_t scoped; /* 6 */
};

struct path_rule {
	uint64_t allowed;
	int32_t folder_fd;
} __attribute__((packed));

/* What the C library (names, character sets, zones), OpenSSL and libcurl open while they work. From
 * /run only what tells of names: /run/credentials must stay out. */
static const char *const always_read[] = {
	"/etc",
	"/usr",
	"/lib",
	"/lib32",
	"/lib64",
	"/libx32",
	"/run/NetworkManager",
	"/run/connman",
	"/run/netconfig",
	"/run/nscd",
	"/run/resolvconf",
	"/run/systemd/resolve",
	"/run/systemd/userdb",
	"/var/cache/nscd",
	"/var/lib/ca-certificates",
	"/nix/store",
	"/dev/null",
	"/dev/random",
	"/dev/urandom",
	"/proc/self",
	"/proc/sys/crypto",
	"/proc/sys/kernel/random",
	"/proc/sys/vm/overcommit_memory",
	"/sys/devices/system/cpu",
};

/* version 1 has no way to let a file move between folders: it is never allowed. */
static uint64_t handled_by(int abi)
{
	uint64_t rights = FS_REFER - 1;

	if (abi >= ABI_REFER)
		rights |= FS_REFER;
	if (abi >= ABI_TRUNCATE)
		rights |= FS_TRUNCATE;
	if (abi >= ABI_IOCTL)
		rights |= FS_IOCTL_DEV;
	return rights;
}

/* The service manager's socket may have an abstract name, and then it must stay within reach. */
static uint64_t scopes(enum sandbox_who who)
{
	const char *notify = who == SANDBOX_SERVICE ? getenv("NOTIFY_SOCKET") : NULL;

	return notify && notify[0] == '@' ? SCOPE_SIGNAL : SCOPE_SIGNAL | SCOPE_ABSTRACT;
}

static int create_ruleset(int abi, enum sandbox_who who)
{
	struct ruleset attr = {.fs = handled_by(abi)};
	size_t size = sizeof(attr.fs);

	if (abi >= ABI_NET) {
		attr.net = who == SANDBOX_WORKER ? NET_BIND_TCP | NET_CONNECT : NET_BIND_TCP;
		size = offsetof(struct ruleset, scoped);
	}
	if (abi >= ABI_SCOPE) {
		attr.scoped = scopes(who);
		size = sizeof(attr);
	}
	return (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
}

static int add_rule(int ruleset, int abi, int fd, uint64_t rights)
{
	struct path_rule rule = {.allowed = rights & handled_by(abi), .folder_fd = fd};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	if (!S_ISDIR(st.st_mode))
		rule.allowed &= FILE_RIGHTS;
	return (int)syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
}

/* A file or folder that cannot be opened cannot be read either: passed over. */
static void allow_reading(int ruleset, int abi, const char *path)
{
	int fd CLEANUP(fd_closep) = open(path, O_PATH | O_CLOEXEC);

	if (fd >= 0)
		(void)add_rule(ruleset, abi, fd, READ_RIGHTS);
}

/* Where /etc/resolv.conf points to, when that is elsewhere: its folder, since the file is replaced
 * by others of its name. Of /run, which has more than that, the file alone. */
static void allow_resolver(int ruleset, int abi)
{
	char path[PATH_MAX];

	if (!realpath("/etc/resolv.conf", path))
		return;
	char *slash = strrchr(path, '/');
	if (slash && slash != path && strncmp(path, "/run/", (size_t)(slash - path) + 1) != 0)
		*slash = '\0';
	allow_reading(ruleset, abi, path);
}

/* The folder of the ticket cache: kinit and its like replace the file. Caches in other places than
 * files are reached through sockets or the kernel's keyring. */
static void allow_tickets(int ruleset, int abi)
{
	const char *name = getenv("KRB5CCNAME");
	char path[PATH_MAX] = "/tmp/";

	if (name && strncmp(name, "FILE:", 5) == 0)
		name += 5;
	if (name && strncmp(name, "DIR:", 4) == 0) {
		allow_reading(ruleset, abi, name + 4);
		return;
	}
	if (name && name[0] == '/' && strlen(name) < sizeof(path))
		(void)snprintf(path, sizeof(path), "%s", name);
	char *slash = strrchr(path, '/');
	if (slash && slash != path) {
		*slash = '\0';
		allow_reading(ruleset, abi, path);
	}
}

static int allow_writing(int ruleset, int abi, const char *path, struct fault *f)
{
	char text[PATH_MAX];
	int fd CLEANUP(fd_closep) = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && add_rule(ruleset, abi, fd, WRITE_RIGHTS) == 0)
		return 0;
	int error = errno;
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, error, "sandbox: the folder %s",
		escape_text(slice_text(path), text, sizeof(text)));
}

static int add_rules(int ruleset, int abi, const struct sandbox_plan *plan, struct fault *f)
{
	for (size_t i = 0; i < plan->write_folders_n; i++) {
		if (allow_writing(ruleset, abi, plan->write_folders[i], f) < 0)
			return -1;
	}
	for (size_t i = 0; i < sizeof(always_read) / sizeof(always_read[0]); i++)
		allow_reading(ruleset, abi, always_read[i]);
	for (size_t i = 0; i < plan->read_paths_n; i++)
		allow_reading(ruleset, abi, plan->read_paths[i]);
	allow_resolver(ruleset, abi);
	if (plan->kerberos == SANDBOX_WITH_KERBEROS)
		allow_tickets(ruleset, abi);
	int null CLEANUP(fd_closep) = open("/dev/null", O_PATH | O_CLOEXEC);
	if (null >= 0)
		(void)add_rule(ruleset, abi, null, FS_READ_FILE | FS_WRITE_FILE);
	return 0;
}

/* /proc/self is known by its inode, which the kernel makes anew once nothing holds the name. */
static void pin_proc(void)
{
	int fd = open("/proc/self", O_PATH | O_CLOEXEC);

	(void)fd; /* for the life of the process */
}

static int lacks(char lack[static SANDBOX_LACK_MAX], int error)
{
	if (error == ENOSYS || error == EOPNOTSUPP)
		(void)snprintf(lack, SANDBOX_LACK_MAX, "no Landlock on this kernel");
	else
		(void)snprintf(lack, SANDBOX_LACK_MAX, "no Landlock (%s)", strerror(error));
	return SANDBOX_LACKS;
}

int sandbox_landlock_as(int abi, const struct sandbox_plan *plan,
	char lack[static SANDBOX_LACK_MAX], struct fault *f)
{
	int ruleset CLEANUP(fd_closep) = create_ruleset(abi, plan->who);

	if (ruleset < 0)
		return lacks(lack, errno);
	if (plan->who == SANDBOX_SERVICE) {
		pin_proc();
		if (add_rules(ruleset, abi, plan, f) < 0)
			return -1;
	}
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return lacks(lack, errno);
	return 0;
}

int sandbox_landlock(const struct sandbox_plan *plan, int *ret_abi,
	char lack[static SANDBOX_LACK_MAX], struct fault *f)
{
	int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);

	if (abi < 1)
		return lacks(lack, abi < 0 ? errno : ENOSYS);
	int r = sandbox_landlock_as(abi, plan, lack, f);
	if (r == 0)
		*ret_abi = abi;
	return r;
}
