#include "cli/config_home.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "cli/new_file.h"
#include "daemon/config_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const char ACCOUNTS[] = "accounts.d", INCLUDE[] = "include(\"accounts.d/*.conf\")\n";

struct config_home {
	char *path, *shown; /* of the main configuration; escaped, for messages */
	char *folder;	    /* with its slash, or empty */
	char *beside;	    /* the same, escaped, for messages */
	const char *name;   /* without folder, within path */
	bool exists;
	struct stat st; /* when it does */
	struct config *config;
	struct buffer text;

	int accounts; /* the folder's descriptor, while adding */
	int above;    /* the one that it lies in */
	bool made;    /* accounts is new */

	uid_t reader; /* 0: nobody but who writes */
	gid_t reader_group;
};

static int system_error(const char *what, const char *shown, struct fault *f)
{
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot %s %s", what, shown);
}

/* ---- What there is --------------------------------------------------------------------------- */

static int read_main(struct config_home *h, int fd, struct fault *f)
{
	ssize_t n;

	do {
		if (buffer_reserve(&h->text, 64 * KIB, f) < 0)
			return -1;
		n = read(fd, h->text.data + h->text.len, 64 * KIB);
		if (n < 0)
			return system_error("read", h->shown, f);
		h->text.len += (size_t)n;
	} while (n > 0);
	return 0;
}

static int open_main(struct config_home *h, struct fault *f)
{
	int fd CLEANUP(fd_closep) = open(h->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &h->st) < 0)
		return system_error("open", h->shown, f);
	if (!S_ISREG(h->st.st_mode))
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s is no regular file: nothing can be added to it", h->shown);
	if (config_load(h->path, &h->config, f) < 0)
		return -1;
	h->exists = true;
	return read_main(h, fd, f);
}

int config_home_open(const char *path, struct config_home **ret, struct fault *f)
{
	struct config_home *h CLEANUP(config_home_closep) = calloc(1, sizeof *h);
	const char *slash = strrchr(path, '/');
	size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
	char text[256];

	if (!h)
		return fault_memory(f);
	h->accounts = h->above = -1;
	h->text = buffer_make(LIMIT_CONFIG_FILE + 256 * KIB);
	h->path = strdup(path);
	h->shown = strdup(escape_text(slice_text(path), text, sizeof text));
	h->folder = strndup(path, folder);
	h->beside = strdup(escape_text(slice_of(path, folder), text, sizeof text));
	if (!h->path || !h->shown || !h->folder || !h->beside)
		return fault_memory(f);
	h->name = h->path + folder;
	if (!h->name[0])
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s is no name of a configuration file", h->shown);
	if (open_main(h, f) < 0)
		return -1;
	*ret = TAKE(h);
	return 0;
}

void config_home_closep(struct config_home **home)
{
	struct config_home *h = TAKE(*home);

	if (!h)
		return;
	config_freep(&h->config);
	buffer_deinit(&h->text);
	fd_closep(&h->accounts);
	fd_closep(&h->above);
	free(h->path);
	free(h->shown);
	free(h->folder);
	free(h->beside);
	free(h);
}

const struct config *config_home_current(const struct config_home *h)
{
	return h->config;
}

int config_home_begin(struct config_home *h, struct slice text, struct fault *f)
{
	if (h->exists)
		return 0;
	buffer_clear(&h->text);
	if (buffer_append(&h->text, text.data, text.len, f) < 0)
		return -1;
	return buffer_append_text(&h->text, INCLUDE, f);
}

void config_home_set_reader(struct config_home *h, uid_t user, gid_t group)
{
	h->reader = user;
	h->reader_group = group;
}

char *config_home_account_path(const struct config_home *h, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s%s/%s.conf", h->folder, ACCOUNTS, name) < 0 ? NULL : path;
}

/* ---- Trying ---------------------------------------------------------------------------------- */

/* Takes words and the digits and marks behind them out of a text, wherever they stand. */
static void take_out(char *text, const char *words, const char *behind)
{
	for (char *at = text; (at = strstr(at, words));) {
		char *end = at + strlen(words);

		end += strspn(end, behind);
		memmove(at, end, strlen(end) + 1);
	}
}

/* "PATH:12: " and " in line 12" of a file that nobody will see. */
static void forget_place(char *text, const char *path)
{
	char shown[256];

	take_out(text, escape_text(slice_text(path), shown, sizeof shown), ":0123456789 ");
	take_out(text, " in line ", "0123456789");
}

/* Beside the main configuration, so that what it includes is found; the caller removes it. Where
 * there is no folder yet, nothing can be included: a file in memory will do. */
static int write_trial(struct config_home *h, char **ret_path, struct fault *f)
{
	char *path = NULL;
	struct stat st;
	bool somewhere = stat(h->folder[0] ? h->folder : ".", &st) == 0;
	int fd CLEANUP(fd_closep) = -1;

	if (somewhere && asprintf(&path, "%s.%s.XXXXXX", h->folder, h->name) < 0)
		return fault_memory(f);
	fd = somewhere ? mkostemp(path, O_CLOEXEC) : memfd_create("popkeep.conf", MFD_CLOEXEC);
	if (fd < 0 || new_file_append(fd, buffer_slice(&h->text)) < 0) {
		int error = errno;

		if (fd >= 0 && path)
			(void)unlink(path);
		free(path);
		errno = error;
		return system_error("write beside", h->shown, f);
	}
	if (!path && asprintf(&path, "/proc/self/fd/%d", fd) < 0)
		return fault_memory(f);
	*ret_path = path;
	return fd_take(&fd);
}

/* Loads what h->text is. */
static int load_trial(struct config_home *h, struct config **ret, struct fault *f)
{
	char *path CLEANUP(freep) = NULL;
	int fd CLEANUP(fd_closep) = write_trial(h, &path, f);

	if (fd < 0)
		return -1;
	int r = config_load(path, ret, f);
	(void)unlink(path);
	if (r < 0)
		forget_place(f->text, path);
	return r;
}

int config_home_try(
	struct config_home *h, struct slice section, struct config **ret, struct fault *f)
{
	size_t len = h->text.len;
	int r = -1;

	if (buffer_append_text(&h->text, "\n", f) == 0 &&
		buffer_append(&h->text, section.data, section.len, f) == 0)
		r = load_trial(h, ret, f);
	h->text.len = len;
	return r;
}

/* ---- Putting it there ------------------------------------------------------------------------ */

static bool has_reader(const struct config_home *h)
{
	return geteuid() == 0 && h->reader != 0 && !(h->exists && h->st.st_uid != 0);
}

static struct new_file_as as_config(const struct config_home *h)
{
	bool gives = geteuid() == 0 && h->exists && h->st.st_uid != 0;

	if (has_reader(h))
		return (struct new_file_as){
			.mode = 0640, .owner = (uid_t)-1, .group = h->reader_group};
	return (struct new_file_as){.mode = 0600,
		.owner = gives ? h->st.st_uid : (uid_t)-1,
		.group = gives ? h->st.st_gid : (gid_t)-1};
}

static struct new_file_as as_secret(const struct config_home *h)
{
	if (has_reader(h))
		return (struct new_file_as){
			.mode = 0600, .owner = h->reader, .group = h->reader_group};
	return as_config(h);
}

/* Nobody else may put files there: each is read as configuration. */
static int check_accounts(const struct config_home *h, struct fault *f)
{
	struct stat st;

	if (fstat(h->accounts, &st) < 0)
		return system_error("read the accounts.d of", h->shown, f);
	if (st.st_uid != geteuid() && st.st_uid != 0 && !(h->exists && st.st_uid == h->st.st_uid))
		return fault_set(f, FAULT_ACCESS, SCOPE_ARCHIVE, 0,
			"%s%s belongs to another user (%u)", h->beside, ACCOUNTS,
			(unsigned)st.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return fault_set(f, FAULT_ACCESS, SCOPE_ARCHIVE, 0,
			"%s%s can be written by others; chmod 700 it", h->beside, ACCOUNTS);
	return 0;
}

/* Folders that were made just now, and hold no secret that could be read without its file. */
static int open_to_reader(const struct config_home *h, int folder)
{
	return has_reader(h) ? fchmod(folder, 0755) : 0;
}

static int open_above(struct config_home *h, struct fault *f)
{
	const char *folder = h->folder[0] ? h->folder : ".";
	bool is_new = access(folder, F_OK) != 0;

	if (new_folders_above(h->path, f) < 0)
		return -1;
	h->above = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->above < 0 || (is_new && open_to_reader(h, h->above) < 0))
		return system_error("open the folder of", h->shown, f);
	return 0;
}

static int open_accounts(struct config_home *h, struct fault *f)
{
	struct new_file_as as = as_config(h);

	if (open_above(h, f) < 0)
		return -1;
	h->made = mkdirat(h->above, ACCOUNTS, 0700) == 0;
	if (!h->made && errno != EEXIST)
		return system_error("make accounts.d beside", h->shown, f);
	h->accounts = openat(h->above, ACCOUNTS, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (h->accounts < 0)
		return system_error("open accounts.d beside", h->shown, f);
	if (h->made && (fchown(h->accounts, as.owner, as.group) < 0 ||
			       open_to_reader(h, h->accounts) < 0 || fsync(h->above) < 0))
		return system_error("make accounts.d beside", h->shown, f);
	return check_accounts(h, f);
}

static int write_one(const struct config_home *h, const char *name, const char *suffix,
	struct slice bytes, struct new_file_as as, struct fault *f)
{
	char file[LIMIT_ACCOUNT_NAME + 16];

	(void)snprintf(file, sizeof file, "%s.%s", name, suffix);
	if (new_file_write(h->accounts, file, bytes, &as) == 0)
		return 0;
	if (errno == EEXIST)
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s%s/%s is there already; nothing was written", h->beside, ACCOUNTS, file);
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot write %s%s/%s", h->folder,
		ACCOUNTS, file);
}

static void remove_one(const struct config_home *h, const char *name, const char *suffix)
{
	char file[LIMIT_ACCOUNT_NAME + 16];

	(void)snprintf(file, sizeof file, "%s.%s", name, suffix);
	(void)unlinkat(h->accounts, file, 0);
}

static int write_password(
	struct config_home *h, const char *name, const struct secret *password, struct fault *f)
{
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(LIMIT_SECRET + 2);
	int r = buffer_reserve(&line, password->len + 1, f);

	/* One allocation, so that no copy of it stays behind. */
	if (r == 0 && (r = buffer_append(&line, password->text, password->len, f)) == 0 &&
		(r = buffer_append_text(&line, "\n", f)) == 0)
		r = write_one(h, name, "password", buffer_slice(&line), as_secret(h), f);
	if (line.data)
		explicit_bzero(line.data, line.size);
	return r;
}

static int check_unchanged(const struct config_home *h, struct fault *f)
{
	struct stat st;

	if (fstatat(h->above, h->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return system_error("read", h->shown, f);
	if (!S_ISREG(st.st_mode))
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s is a symbolic link and is not replaced; write %.*s into it yourself",
			h->shown, (int)strlen(INCLUDE) - 1, INCLUDE);
	if (geteuid() != 0 && st.st_uid != geteuid())
		return fault_set(f, FAULT_ACCESS, SCOPE_ARCHIVE, 0,
			"%s belongs to another user (%u) and does not include accounts.d", h->shown,
			(unsigned)st.st_uid);
	if (st.st_ino != h->st.st_ino || st.st_size != h->st.st_size ||
		st.st_mtim.tv_sec != h->st.st_mtim.tv_sec ||
		st.st_mtim.tv_nsec != h->st.st_mtim.tv_nsec)
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s was changed by somebody meanwhile; try again", h->shown);
	return 0;
}

static int add_include(struct config_home *h, const char *name, struct fault *f)
{
	struct new_file_as as = {.mode = h->st.st_mode & 07777,
		.owner = h->st.st_uid,
		.group = h->st.st_gid,
		.replaces = true};
	struct config *loaded CLEANUP(config_freep) = NULL;
	size_t len = h->text.len;

	if (check_unchanged(h, f) < 0)
		return -1;
	if ((len > 0 && h->text.data[len - 1] != '\n' &&
		    buffer_append_text(&h->text, "\n", f) < 0) ||
		buffer_append_text(&h->text, INCLUDE, f) < 0 || load_trial(h, &loaded, f) < 0)
		return -1;
	if (!config_account(loaded, name))
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "%s does not find %s%s",
			h->shown, h->beside, ACCOUNTS);
	if (new_file_write(h->above, h->name, buffer_slice(&h->text), &as) < 0)
		return system_error("write", h->shown, f);
	return 0;
}

static int make_main(struct config_home *h, const char *name, struct fault *f)
{
	struct new_file_as as = as_config(h);
	struct config *loaded CLEANUP(config_freep) = NULL;

	if (new_file_write(h->above, h->name, buffer_slice(&h->text), &as) < 0)
		return system_error("write", h->shown, f);
	if (config_load(h->path, &loaded, f) == 0 && config_account(loaded, name))
		return 0;
	if (loaded)
		(void)fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "%s does not find %s%s",
			h->shown, h->beside, ACCOUNTS);
	(void)unlinkat(h->above, h->name, 0);
	return -1;
}

/* The account's file is in place: the main configuration must find it. */
static int include(
	struct config_home *h, const char *name, enum config_home_change *ret, struct fault *f)
{
	struct config *loaded CLEANUP(config_freep) = NULL;

	if (!h->exists) {
		*ret = CONFIG_HOME_MADE;
		return make_main(h, name, f);
	}
	if (config_load(h->path, &loaded, f) < 0)
		return -1;
	*ret = CONFIG_HOME_INCLUDED;
	if (config_account(loaded, name))
		return 0;
	*ret = CONFIG_HOME_NOW_INCLUDES;
	return add_include(h, name, f);
}

static int add(struct config_home *h, const char *name, struct slice section,
	const struct secret *password, enum config_home_change *ret, struct fault *f)
{
	if (open_accounts(h, f) < 0 || (password && write_password(h, name, password, f) < 0))
		return -1;
	int r = write_one(h, name, "conf", section, as_config(h), f);
	if (r == 0 && (r = include(h, name, ret, f)) < 0)
		remove_one(h, name, "conf");
	if (r < 0 && password)
		remove_one(h, name, "password");
	return r;
}

int config_home_add(struct config_home *h, const char *name, struct slice section,
	const struct secret *password, enum config_home_change *ret_change, struct fault *f)
{
	enum config_home_change change = CONFIG_HOME_INCLUDED;

	if (add(h, name, section, password, &change, f) == 0) {
		*ret_change = change;
		return 0;
	}
	if (h->made)
		(void)unlinkat(h->above, ACCOUNTS, AT_REMOVEDIR);
	return -1;
}
