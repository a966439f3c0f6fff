#include "cli/import_own.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

void import_own_deinit(struct import_own *o)
{
	while (o->depth > 0)
		import_own_end(o);
}

int import_own_begin(struct import_own *o, int fd, int scratch, struct fault *f)
{
	struct manifest *m = NULL;
	int r = 0;

	if (o->depth < IMPORT_OWN_DEPTH)
		r = manifest_open_read(fd, scratch, &m, f);
	/* What cannot be read says nothing; only memory is everybody's. */
	if (r < 0 && f->code == FAULT_MEMORY)
		return -1;
	if (o->depth < IMPORT_OWN_DEPTH)
		o->manifest[o->depth] = m;
	o->depth++;
	return r == 0 ? 0 : IMPORT_OWN_BAD;
}

void import_own_end(struct import_own *o)
{
	o->depth--;
	if (o->depth >= IMPORT_OWN_DEPTH)
		return;
	manifest_close(o->manifest[o->depth]);
	o->manifest[o->depth] = NULL;
}

int import_own_find(
	struct import_own *o, const struct digest *d, struct manifest_entry *ret, struct fault *f)
{
	size_t i = o->depth < IMPORT_OWN_DEPTH ? o->depth : IMPORT_OWN_DEPTH;

	while (i-- > 0) {
		int r = o->manifest[i] ? manifest_look(o->manifest[i], d, ret, f) : 0;

		if (r > 0 || (r < 0 && f->code == FAULT_MEMORY))
			return r;
	}
	return 0;
}

/* ---- For readers ----------------------------------------------------------------------------- */

static int open_manifest(int at, const char *name)
{
	struct stat st;
	/* A FIFO must not make us wait. */
	int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
		fd_closep(&fd);
	return fd;
}

static int open_beside(int at, const char *path, size_t len, const char *rest)
{
	char *name CLEANUP(freep) = NULL;

	if (asprintf(&name, "%.*s%s.manifest.jsonl", (int)len, path, rest) < 0) {
		name = NULL;
		return -1;
	}
	return open_manifest(at, name);
}

int import_own_beside(int at, const char *path)
{
	enum { DIGITS = 4 };
	const char *dash = strrchr(path, '-'), *slash = strrchr(path, '/');
	int fd = strlen(path) < PATH_MAX ? open_beside(at, path, strlen(path), "") : -1;

	if (fd >= 0 || !dash || (slash && dash < slash) || strlen(path) >= PATH_MAX)
		return fd;
	size_t digits = strspn(dash + 1, "0123456789");
	const char *rest = dash + 1 + digits;
	if (digits < DIGITS || (*rest && *rest != '.'))
		return -1;
	return open_beside(at, path, (size_t)(dash - path), rest);
}

int import_own_within(int folder)
{
	return open_manifest(folder, "manifest.jsonl");
}
