#include "cli/export_format.h"

#include "cli/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { ORIGIN_MAX = 4096 };

const struct export_format *const export_formats[] = {
	&export_eml, &export_mboxrd, &export_maildir, NULL};

const struct export_format *export_format_named(const char *name)
{
	for (const struct export_format *const *each = export_formats; *each; each++) {
		if (strcmp((*each)->name, name) == 0)
			return *each;
	}
	return NULL;
}

void export_target_closep(struct export_target **to)
{
	if (*to)
		(*to)->format->close(*to);
	*to = NULL;
}

int export_origin_check(
	int folder, const char *name, const char *origin, const char *shown, struct fault *f)
{
	int fd CLEANUP(fd_closep) = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char there[ORIGIN_MAX + 1];

	if (fd < 0 && errno == ENOENT)
		return 1;
	ssize_t n = fd < 0 ? -1 : read(fd, there, sizeof there);
	if (n < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
			"cannot read what %s is an export of", shown);
	bool begins_it = (size_t)n <= strlen(origin) && memcmp(there, origin, (size_t)n) == 0;
	if (begins_it && (size_t)n == strlen(origin))
		return 0;
	/* Of a run that was killed while it wrote this, before anything else. */
	if (begins_it && unlinkat(folder, name, 0) == 0)
		return 1;
	return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
		"%s holds another export (of another archive, query or format); name a new one",
		shown);
}

int export_origin_write(
	int folder, const char *name, const char *origin, const char *shown, struct fault *f)
{
	int fd CLEANUP(fd_closep) =
		openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || new_file_append(fd, slice_text(origin)) < 0 || fsync(fd) < 0 ||
		fsync(folder) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
			"cannot write what %s is an export of", shown);
	return 0;
}
