/* What lies in segments/ and belongs to nothing: told, and no damage. */
#include "archive/escape.h"
#include "archive/file.h"
#include "archive/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

/* Nobody is at it just now. */
static bool is_quiet(const struct verify *v, const char *name)
{
	struct stat st;

	return fstatat(v->s->segments_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_mtime < time(NULL) - QUIET_S;
}

/* A segment's name that the catalog does not know. */
static int note_unknown(struct verify *v, const char *file, const char *name, uint64_t number,
	enum segment_state state, struct fault *f)
{
	struct segment_row row;
	int r = catalog_get_segment(v->s->catalog, number, &row, f);

	if (r < 0)
		return -1;
	if (r != CATALOG_NONE || !is_quiet(v, name))
		return 0;
	(void)verify_note(v, file, 0, 0, "%s",
		state == SEGMENT_SEALED
			? "no line of the ledger says that it was sealed: the next seal removes "
			  "it, "
			  "once all that it holds was found elsewhere"
			: "the catalog does not know it: what it holds never happened");
	return 0;
}

/* Of what somebody may be writing. NULL: it is something else. */
static const char *what_is(const char *name)
{
	if (strcmp(name, FILE_SEAL_TMP) == 0)
		return "left by a seal that died: the next one removes it";
	if (strcmp(name, FILE_COPY_TMP) == 0)
		return "left by a copy that was interrupted: the next one removes it";
	return NULL;
}

static int look_at(struct verify *v, const char *name, struct fault *f)
{
	char file[64], safe[48];
	uint64_t number;
	enum segment_state state;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	(void)escape_text(slice_text(name), safe, sizeof safe);
	(void)snprintf(file, sizeof file, FOLDER_SEGMENTS "/%s", safe);
	if (segment_parse_name(name, &number, &state) == 0)
		return note_unknown(v, file, name, number, state, f);
	const char *what = what_is(name);
	if (what && is_quiet(v, name))
		(void)verify_note(v, file, 0, 0, "%s", what);
	else if (!what)
		(void)verify_note(v, file, 0, 0, "%s",
			segment_is_damaged_name(name) ? "put aside by salvage; nobody reads it"
						      : "nothing of popkeep's");
	return 0;
}

int verify_files(struct verify *v, struct fault *f)
{
	if (!v->files)
		v->files = folder_read(v->s->segments_fd);
	if (!v->files)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot list segments/");
	struct dirent *e = readdir(v->files);
	if (e)
		return look_at(v, e->d_name, f);
	dir_closep(&v->files);
	v->stage = STAGE_MISSING;
	return 0;
}
