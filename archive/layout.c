#include "archive/layout.h"

#include "archive/escape.h"
#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define TEMPORARY FILE_POPKEEP ".new"

static const char text_of_layout[] =
	"format=1\n"
	"features-required=\n"
	"features-optional=\n"
	"id=%s\n"
	"\n"
	"This folder is a mail archive made by popkeep. Every message lies in it byte for byte.\n"
	"Without popkeep, with tar and zstd:\n"
	"\n"
	"    for s in segments/*.tar.zst; do tar --zstd -xf \"$s\"; done\n"
	"\n"
	"gives mail/<sha256>.eml, one file a message, named by the SHA-256 of its bytes. One "
	"segment\n"
	"at a time: tar takes a second name for a member. ledger/*.log says in plain text when "
	"each\n"
	"came, from which account and under which UIDL. catalog.db and search/ are caches that\n"
	"`popkeep rebuild` makes again. Nothing here is to be edited by hand.\n";

int layout_write(int folder_fd, const char *id, struct fault *f)
{
	int fd CLEANUP(fd_closep) =
		openat(folder_fd, TEMPORARY, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || dprintf(fd, text_of_layout, id) < 0 || fsync(fd) < 0 ||
		renameat(folder_fd, TEMPORARY, folder_fd, FILE_POPKEEP) < 0 || fsync(folder_fd) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot write the archive's POPKEEP file");
	return 0;
}

struct layout {
	struct slice format, required, optional, id;
};

static void get_line(struct layout *l, struct slice line)
{
	const struct {
		const char *key;
		struct slice *at;
	} keys[] = {{"format=", &l->format}, {"features-required=", &l->required},
		{"features-optional=", &l->optional}, {"id=", &l->id}};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		size_t n = strlen(keys[i].key);

		if (line.len >= n && memcmp(line.data, keys[i].key, n) == 0)
			*keys[i].at = slice_of(line.data + n, line.len - n);
	}
}

/* Keys stand before the first empty line. */
static void parse(struct slice text, struct layout *ret)
{
	while (text.len > 0) {
		const uint8_t *end = memchr(text.data, '\n', text.len);
		size_t len = end ? (size_t)(end - text.data) : text.len;

		if (len == 0)
			return;
		get_line(ret, slice_of(text.data, len));
		text.data += end ? len + 1 : len;
		text.len -= end ? len + 1 : len;
	}
}

static int judge(const struct layout *l, enum store_mode mode, struct fault *f)
{
	char shown[128];

	if (slice_compare(l->format, slice_text("1")) != 0)
		return fault_set(f, FAULT_FORMAT, SCOPE_ARCHIVE, 0,
			"the archive has format %s; this version of popkeep reads format 1: use "
			"the one "
			"that made it, or a later one",
			escape_text(l->format, shown, sizeof shown));
	if (l->required.len > 0)
		return fault_set(f, FAULT_FORMAT, SCOPE_ARCHIVE, 0,
			"the archive needs features that this version of popkeep lacks: %s",
			escape_text(l->required, shown, sizeof shown));
	if (l->optional.len > 0 && mode == STORE_WRITE)
		return fault_set(f, FAULT_FORMAT, SCOPE_ARCHIVE, 0,
			"the archive has features that this version of popkeep lacks, and can only "
			"be read by it: %s",
			escape_text(l->optional, shown, sizeof shown));
	if (l->id.len != ARCHIVE_ID - 1)
		return fault_set(
			f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0, "the archive's POPKEEP file has no id");
	return 0;
}

int layout_read(
	int folder_fd, enum store_mode mode, char ret_id[static ARCHIVE_ID], struct fault *f)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(LIMIT_POPKEEP_FILE);
	struct layout l = {0};
	int fd CLEANUP(fd_closep) = openat(folder_fd, FILE_POPKEEP, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return LAYOUT_NONE;
	if (fd < 0 || buffer_reserve(&text, LIMIT_POPKEEP_FILE, f) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
			"cannot read the archive's POPKEEP file");
	ssize_t n = pread(fd, text.data, LIMIT_POPKEEP_FILE, 0);
	if (n < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
			"cannot read the archive's POPKEEP file");
	parse(slice_of(text.data, (size_t)n), &l);
	if (judge(&l, mode, f) < 0)
		return -1;
	memcpy(ret_id, l.id.data, l.id.len);
	ret_id[l.id.len] = '\0';
	return 0;
}
