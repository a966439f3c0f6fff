#include "archive/seal_work.h"

#include "archive/dense.h"
#include "archive/seal_gather.h"
#include "archive/segment_readme.h"
#include "archive/tar_write.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { CHUNK = 256 * 1024, ENTRY_NAME = DIGEST_HEX + 16 };

struct writing {
	const struct seal_fds *fds;
	struct gathered *g;
	struct seal_status *status;
	struct dense *dense;
	struct buffer message, part, header;
	struct recipe recipe;
	uint8_t chunk[CHUNK];
};

static void writing_freep(struct writing **w)
{
	if (!*w)
		return;
	dense_close((*w)->dense);
	buffer_deinit(&(*w)->message);
	buffer_deinit(&(*w)->part);
	buffer_deinit(&(*w)->header);
	free(*w);
}

/* ---- Bytes from files ------------------------------------------------------------------------ */

/* All of them: a file that ends before is damage. */
static int read_at(int fd, void *to, size_t len, uint64_t offset, struct fault *f)
{
	uint8_t *at = to;

	while (len > 0) {
		ssize_t n = pread(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
				"cannot read the scratch file or the ledger lines");
		if (n == 0)
			return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
				"the scratch file or the ledger lines are cut short");
		at += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* An entry of which a file holds the bytes. */
static int copy_entry(struct writing *w, const char *name, int fd, uint64_t offset, uint64_t size,
	moment_ms mtime, struct fault *f)
{
	if (dense_begin(w->dense, name, size, mtime, NULL, NULL, f) < 0)
		return -1;
	while (size > 0) {
		size_t n = size < CHUNK ? (size_t)size : CHUNK;

		if (read_at(fd, w->chunk, n, offset, f) < 0 ||
			dense_put(w->dense, slice_of(w->chunk, n), f) < 0 ||
			seal_status_add(w->status, n, f) < 0)
			return -1;
		offset += n;
		size -= n;
	}
	return 0;
}

/* ---- Messages -------------------------------------------------------------------------------- */

static void name_entry(
	const char *folder, const struct digest *d, const char *ending, char ret[static ENTRY_NAME])
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	(void)snprintf(ret, ENTRY_NAME, "%s/%s%s", folder, hex, ending);
}

static int write_whole(struct writing *w, const struct gathered_mail *m, struct fault *f)
{
	char name[ENTRY_NAME];

	name_entry("mail", &m->digest, ".eml", name);
	return copy_entry(w, name, w->fds->scratch, m->place, m->size, m->archived_s * 1000, f);
}

static int write_message(struct writing *w, const struct gathered_mail *m, struct fault *f)
{
	return write_whole(w, m, f);
}

/* ---- The rest -------------------------------------------------------------------------------- */

static int write_ledger(struct writing *w, moment_ms mtime, struct fault *f)
{
	struct stat st;

	if (fstat(w->fds->ledger, &st) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "the ledger lines");
	return copy_entry(w, "LEDGER", w->fds->ledger, 0, (uint64_t)st.st_size, mtime, f);
}

static int write_readme(struct writing *w, moment_ms mtime, struct fault *f)
{
	struct slice text = slice_text(segment_readme);

	if (dense_begin(w->dense, "README", text.len, mtime, NULL, NULL, f) < 0)
		return -1;
	return dense_put(w->dense, text, f);
}

static int write_all(struct writing *w, struct fault *f)
{
	moment_ms latest = 0;

	for (size_t i = 0; i < w->g->mails; i++) {
		const struct gathered_mail *m = &w->g->mail[w->g->order[i]];

		if (write_message(w, m, f) < 0)
			return -1;
		if (m->archived_s * 1000 > latest)
			latest = m->archived_s * 1000;
	}
	if (write_ledger(w, latest, f) < 0 || write_readme(w, latest, f) < 0)
		return -1;
	return dense_end(w->dense, f);
}

static int write_segment(
	const struct seal_fds *fds, struct gathered *g, struct seal_status *status, struct fault *f)
{
	struct writing *w CLEANUP(writing_freep) = calloc(1, sizeof *w);
	struct dense_options options = {g->options.level, g->options.frame_bytes};

	if (!w)
		return fault_memory(f);
	w->fds = fds;
	w->g = g;
	w->status = status;
	w->message = buffer_make(LIMIT_SPLIT_MESSAGE);
	w->part = buffer_make(LIMIT_SPLIT_MESSAGE);
	w->header = buffer_make(LIMIT_RECIPE_HEADER);
	if (dense_open(fds->out, &options, &w->dense, f) < 0)
		return -1;
	return write_all(w, f);
}

int seal_work(const struct seal_fds *fds, struct fault *f)
{
	struct gathered g CLEANUP(gathered_deinit) = {0};
	struct seal_status status = {.fd = fds->status};
	struct fault unsaid;

	int r = seal_gather(fds, &g, &status, f);
	if (r == 0)
		r = write_segment(fds, &g, &status, f);
	if (r == 0)
		return seal_status_end(&status, NULL, f);
	(void)seal_status_end(&status, f, &unsaid); /* *f says more than that nobody listens */
	return -1;
}
