#include "cli/verify_path.h"

#include "archive/check.h"
#include "cli/stop.h"
#include "cli/verify_export.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static int draw(void *context, uint64_t done_bytes, uint64_t all_bytes)
{
	struct run *run = (struct run *)context;
	struct progress_state state = {.label = "reading", .done = done_bytes, .all = all_bytes};

	progress_update(&run->progress, &state);
	return stop_requested();
}

/* /var/tmp, since a catalog can be larger than what /tmp holds in memory. */
static int make_cache(char **ret, struct fault *f)
{
	const char *above = secure_getenv("TMPDIR");
	char *path = NULL;

	if (asprintf(&path, "%s/popkeep-verify-XXXXXX", above && above[0] ? above : "/var/tmp") < 0)
		return fault_memory(f);
	if (!mkdtemp(path)) {
		(void)fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno,
			"cannot make a folder for a database (TMPDIR names where): %s", path);
		free(path);
		return -1;
	}
	*ret = path;
	return 0;
}

/* Messages that no segment holds whole are for the verifying to tell. */
static int begin(struct run *run, const char *path, char **ret_cache, struct fault *f)
{
	struct rebuild_sums sums;

	/* root reads an archive as its owner, as any command does. */
	if (store_become_owner(path, f) < 0 || make_cache(ret_cache, f) < 0)
		return -1;
	stop_catch_signals();
	progress_begin(&run->progress);
	if (store_rebuild_into(path, *ret_cache, draw, run, &sums, f) < 0)
		return -1;
	progress_clear(&run->progress);
	return store_open(path, *ret_cache, STORE_INSPECT, &run->store, f);
}

static void end(struct run *run, char *cache)
{
	DIR *dir = opendir(cache);

	store_closep(&run->store);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		if (e->d_name[0] != '.')
			(void)unlinkat(dirfd(dir), e->d_name, 0);
	}
	if (dir)
		(void)closedir(dir);
	(void)rmdir(cache);
	free(cache);
}

int verify_path_run(struct run *run, int (*verify)(struct run *run))
{
	const char *path = operands_n(&run->arguments) > 0 ? operands(&run->arguments)[0] : NULL;
	char *cache = NULL;
	struct fault f;

	if (operands_n(&run->arguments) > 1)
		return run_usage(run, "verify takes one folder, or none");
	if (path && option_given(&run->arguments, "max-duration"))
		return run_usage(run, "--max-duration is for the archive that -C names: where it "
				      "goes on is kept in its databases");
	if (path && verify_export_knows(path))
		return verify_export_run(run, path);
	int r = path ? begin(run, path, &cache, &f) : run_open_archive(run, &f);
	int status = r < 0 ? run_fail(run, &f) : verify(run);
	if (cache)
		end(run, cache);
	return status;
}
