#include "daemon/control_path.h"

#include "archive/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void control_paths_deinit(struct control_paths *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->path[i]);
	*p = (struct control_paths){0};
}

/* FOLDER[/below]/ID.sock, of the folder's first n bytes. */
static int add(struct control_paths *p, const char *folder, size_t n, const char *below,
	const char *id, struct fault *f)
{
	assert(p->n < CONTROL_PATHS);
	if (asprintf(&p->path[p->n], "%.*s%s/%s.sock", (int)n, folder, below, id) < 0)
		return fault_memory(f);
	p->n++;
	return 0;
}

/* Of the environment: relative ones are passed over, as the XDG specification asks. */
static int add_named(struct control_paths *p, const char *variable, const char *below,
	const char *id, struct fault *f)
{
	const char *value = getenv(variable);

	if (!value || value[0] != '/')
		return 0;
	return add(p, value, strcspn(value, ":"), below, id, f);
}

int control_candidates(const char *runtime_dir, const char *archive, enum control_side side,
	struct control_paths *ret, struct fault *f)
{
	struct control_paths p CLEANUP(control_paths_deinit) = {0};
	char id[STORE_ID];

	if (store_identify(archive, id, f) < 0)
		return -1;
	if (runtime_dir && add(&p, runtime_dir, strlen(runtime_dir), "", id, f) < 0)
		return -1;
	if (side == CONTROL_SERVICE && add_named(&p, "RUNTIME_DIRECTORY", "", id, f) < 0)
		return -1;
	if (add_named(&p, "XDG_RUNTIME_DIR", "/popkeep", id, f) < 0 ||
		add(&p, "/run/popkeep", strlen("/run/popkeep"), "", id, f) < 0 ||
		add(&p, archive, strlen(archive), "", id, f) < 0)
		return -1;
	*ret = p;
	p = (struct control_paths){0};
	return 0;
}

/* 0, or an errno. */
static int make_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder CLEANUP(freep) = strndup(path, slash == path ? 1 : (size_t)(slash - path));

	if (!folder)
		return ENOMEM;
	if (mkdir(folder, 0700) == 0)
		return 0;
	int error = errno;
	/* On a read-only file system, and where it may not be made, it may be there nevertheless.
	 */
	if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0)
		return 0;
	return error == EEXIST ? errno : error;
}

int control_choose_path(const char *runtime_dir, const char *archive, char **ret, struct fault *f)
{
	struct control_paths p CLEANUP(control_paths_deinit) = {0};
	int error = 0;

	if (control_candidates(runtime_dir, archive, CONTROL_SERVICE, &p, f) < 0)
		return -1;
	for (size_t i = 0; i < (runtime_dir ? 1 : p.n); i++) {
		error = make_folder(p.path[i]);
		if (error)
			continue;
		if (strlen(p.path[i]) > CONTROL_PATH_MOST)
			return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
				"the control socket's path %s has %zu bytes, and %d are the "
				"limit: set runtime-dir to a folder with a shorter name",
				p.path[i], strlen(p.path[i]), CONTROL_PATH_MOST);
		*ret = TAKE(p.path[i]);
		return 0;
	}
	return fault_errno(f, FAULT_USAGE, SCOPE_ARCHIVE, error,
		"no folder for the control socket: %s cannot be used; set runtime-dir to one that "
		"the archive's owner may write to",
		runtime_dir ? runtime_dir : archive);
}
