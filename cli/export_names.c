#include "cli/export_names.h"

#include "archive/escape.h"
#include "cli/eml_name.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { SUFFIX_MAX = 8 };

static char *join(const char *before, const char *name, const char *behind)
{
	char *text = NULL;

	return asprintf(&text, "%s%s%s", before, name, behind) < 0 ? NULL : text;
}

/* ".tar.zst" and the like are one; what is long, or all there is, is none. */
static size_t suffix_at(const char *name)
{
	static const char *const doubled[] = {".tar.zst", ".tar.zstd"};
	size_t len = strlen(name);
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; i < sizeof doubled / sizeof *doubled; i++) {
		size_t n = strlen(doubled[i]);

		if (len > n && strcmp(name + len - n, doubled[i]) == 0)
			return len - n;
	}
	return dot && dot != name && strlen(dot) <= SUFFIX_MAX ? (size_t)(dot - name) : len;
}

static int open_folder(struct export_names *n, const char *path, struct fault *f)
{
	const char *slash = strrchr(path, '/');
	char *folder CLEANUP(freep) = !slash	      ? strdup(".")
				      : slash == path ? strdup("/")
						      : strndup(path, (size_t)(slash - path));

	if (!folder)
		return fault_memory(f);
	n->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (n->folder < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
			"cannot open the folder of %s", n->shown);
	return 0;
}

int export_names_set(struct export_names *n, const char *path, struct fault *f)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	size_t stem = suffix_at(name);
	char text[512];

	n->shown = strdup(escape_text(slice_text(path), text, sizeof text));
	n->name = strdup(name);
	n->stem = strndup(name, stem);
	n->suffix = strdup(name + stem);
	n->origin = join(".", name, ".origin");
	n->volumes = join(".", name, ".volumes");
	n->manifest = join("", name, ".manifest.jsonl");
	n->sums = join("", name, ".SHA256SUMS");
	n->summary = join("", name, ".summary.txt");
	if (!n->shown || !n->name || !n->stem || !n->suffix || !n->origin || !n->volumes ||
		!n->manifest || !n->sums || !n->summary)
		return fault_memory(f);
	if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s is no name for a file, which this format writes", n->shown);
	return open_folder(n, path, f);
}

void export_names_deinit(struct export_names *n)
{
	free(n->shown);
	free(n->name);
	free(n->stem);
	free(n->suffix);
	free(n->origin);
	free(n->volumes);
	free(n->manifest);
	free(n->sums);
	free(n->summary);
	fd_closep(&n->folder);
}

char *export_volume_name(const struct export_names *n, uint64_t number)
{
	char *text = NULL;

	if (number == 0)
		return strdup(n->name);
	return asprintf(&text, "%s-%04" PRIu64 "%s", n->stem, number, n->suffix) < 0 ? NULL : text;
}

char *export_part_name(const char *volume)
{
	return join(".", volume, ".part");
}

void export_inner_folder(
	const struct export_names *n, const char *volume, char ret[static EXPORT_INNER])
{
	size_t len = strlen(volume) - strlen(n->suffix);

	eml_safe_text(slice_of(volume, len), EXPORT_INNER, ret);
	if (!ret[0] || ret[0] == '.')
		memcpy(ret, "mail", sizeof "mail");
}

int export_is_there(int folder, const char *name)
{
	struct stat st;

	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}
