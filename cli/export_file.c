/* The formats with all messages in one file: mboxrd, tar, tar.zst, zip. For NAME:
 *
 *   .NAME.origin          of which archive and query this is; written first, removed last
 *   NAME.manifest.jsonl   a line for each message, with offset; a torn last one is cut
 *   .NAME.part            the messages
 *   NAME.summary.txt, NAME.SHA256SUMS   when all is in it
 *   NAME                  .NAME.part, when it is whole and synced, and the ledger tells of it
 *
 * With --split the files are called NAME-0001 and so on, .NAME-0001.part before; one gets its name
 * when it is whole and .NAME.volumes has its digest.
 *
 * A message's line is written after its bytes are synced, some megabytes at a time. So whatever an
 * interrupted run left in the part behind the last line's message is cut, and the export goes on
 * from there. The lock on .NAME.origin keeps a second one away.
 *
 * A tar or zip holds a folder with the messages and, as last entries, the lines of the manifest
 * that are about it, a summary, and SHA256SUMS: it can be checked alone. */
#include "cli/export_file.h"

#include "archive/file.h"
#include "archive/frame.h"
#include "archive/limits.h"
#include "cli/export_filing.h"
#include "cli/export_origin.h"
#include "cli/export_summary.h"
#include "cli/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum { LINES_FULL = 1024 * 1024, LINES_MAX = 2 * LINES_FULL + (int)LIMIT_MANIFEST_LINE };
#define UNSYNCED_MAX (32 * MIB)

int export_file_error(const struct export_file *x, const char *what, struct fault *f)
{
	return fault_errno(
		f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot %s %s", what, x->names.shown);
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* All that an export leaves when it ended. */
static bool looks_whole(const struct export_file *x, const char *name)
{
	return strcmp(name, x->names.manifest) != 0 && strcmp(name, x->names.sums) != 0 &&
	       strcmp(name, x->names.summary) != 0 &&
	       export_is_there(x->names.folder, x->names.manifest) &&
	       export_is_there(x->names.folder, x->names.sums) &&
	       export_is_there(x->names.folder, x->names.summary);
}

static int refuse(const struct export_file *x, const char *name, struct fault *f)
{
	if (looks_whole(x, name))
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s is an export that ended already (popkeep verify checks it) and is not "
			"written over; name a new file",
			x->names.shown);
	return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
		"%s%s exists and is not written over; name a new file", x->names.shown,
		strcmp(name, x->names.manifest) == 0  ? ".manifest.jsonl"
		: strcmp(name, x->names.sums) == 0    ? ".SHA256SUMS"
		: strcmp(name, x->names.summary) == 0 ? ".summary.txt"
						      : "");
}

/* Of what a new export writes; a volume of it stands for the others. */
static int refuse_existing(const struct export_file *x, struct fault *f)
{
	char *volume CLEANUP(freep) = export_volume_name(&x->names, x->job.split ? 1 : 0);
	char *part CLEANUP(freep) = volume ? export_part_name(volume) : NULL;

	if (!part)
		return fault_memory(f);
	const char *const names[] = {
		x->names.name, volume, part, x->names.manifest, x->names.sums, x->names.summary};
	/* What a run left that was killed behind its last step. */
	(void)unlinkat(x->names.folder, x->names.volumes, 0);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (export_is_there(x->names.folder, names[i]))
			return refuse(x, names[i], f);
	}
	return 0;
}

/* What a run left that was killed behind its last rename: the name, and an origin without a part.
 */
static int claim_ended(struct export_file *x, int origin, struct fault *f)
{
	const struct export_names *n = &x->names;
	char *part CLEANUP(freep) = export_part_name(n->name);

	if (!part)
		return fault_memory(f);
	if (origin == 0 && !export_is_there(n->folder, part) && looks_whole(x, n->name)) {
		x->ended = true;
		return 0;
	}
	if (origin == ORIGIN_NEW || !export_is_there(n->folder, part))
		export_origin_remove(n->folder, n->origin);
	return refuse(x, n->name, f);
}

static int claim(struct export_file *x, struct fault *f)
{
	const struct export_names *n = &x->names;
	int r = export_origin_claim(
		n->folder, n->origin, x->job.origin, n->shown, &x->origin_fd, f);
	if (r < 0)
		return -1;
	if (!x->job.split && export_is_there(n->folder, n->name))
		return claim_ended(x, r, f);
	if (r == 0)
		return 0;
	if (refuse_existing(x, f) < 0) {
		export_origin_remove(n->folder, n->origin);
		return -1;
	}
	return export_origin_write(n->folder, x->origin_fd, x->job.origin, n->shown, f);
}

/* ---- What an earlier run left -----------------------------------------------------------------
 */

static int bad_manifest(const struct export_file *x, struct fault *f)
{
	return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
		"%s.manifest.jsonl is not of this export; name a new file", x->names.shown);
}

/* Lines of a volume follow each other, as volumes do. */
static int on_earlier(void *context, const struct manifest_entry *e, struct fault *f)
{
	struct export_file *x = (struct export_file *)context;
	const char *volume = x->kind->entries ? e->volume : e->file;

	if (!volume || e->offset == MANIFEST_NONE)
		return bad_manifest(x, f);
	if (!x->volume_name || strcmp(volume, x->volume_name) != 0) {
		if (x->volume_name && !x->job.split)
			return bad_manifest(x, f);
		if (x->job.split)
			x->number++;
		free(x->volume_name);
		x->volume_name = export_volume_name(&x->names, x->number);
		if (!x->volume_name)
			return fault_memory(f);
		if (strcmp(volume, x->volume_name) != 0)
			return bad_manifest(x, f);
		x->from = e->from;
		x->in_volume = (struct export_totals){0};
	}
	if (x->kind->entries && eml_folders_recall(&x->months, e->file, f) < 0)
		return -1;
	x->last_offset = e->offset;
	if (e->length != MANIFEST_NONE &&
		__builtin_add_overflow(e->offset, e->length, &x->last_end))
		return bad_manifest(x, f);
	export_totals_add(&x->target.totals, e->size, e->archived);
	export_totals_add(&x->in_volume, e->size, e->archived);
	return 0;
}

/* A line of the volume's own SHA256SUMS, and of what the pack has to know. */
static int on_again(void *context, const struct manifest_entry *e, struct fault *f)
{
	struct export_file *x = (struct export_file *)context;

	if (e->from < x->from)
		return 0;
	if (x->kind->pack->recall && x->kind->pack->recall(x->pack, e->offset, f) < 0)
		return -1;
	if (x->kind->entries && export_sums_line(&x->sums, &e->digest, e->file, f) < 0)
		return -1;
	if (x->sums.len < LINES_FULL)
		return 0;
	if (new_file_append(x->sums_fd, buffer_slice(&x->sums)) < 0)
		return export_file_error(x, "write", f);
	x->sums_len += x->sums.len;
	buffer_clear(&x->sums);
	return 0;
}

/* Where the zstd frame ends that begins at x->last_offset. */
static int end_of_frame(struct export_file *x, const char *part, uint64_t *ret, struct fault *f)
{
	int fd CLEANUP(fd_closep) =
		openat(x->names.folder, part, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct frame_reader *reader CLEANUP(frame_reader_closep) = NULL;
	struct slice bytes;

	if (fd < 0)
		return export_file_error(x, "read", f);
	if (frame_reader_open(fd, x->last_offset, UINT64_MAX, &reader, f) < 0)
		return -1;
	while (frame_read(reader, &bytes, f) > 0) {
		*ret = frame_reader_end(reader);
		if (*ret > 0)
			return 0;
	}
	return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
		"the unfinished export of %s is not what its manifest says; name a new file",
		x->names.shown);
}

static int go_on(struct export_file *x, struct fault *f)
{
	char *part CLEANUP(freep) = NULL;
	uint64_t keep = x->last_end;

	if (!x->volume_name)
		return 0;
	part = export_part_name(x->volume_name);
	if (!part)
		return fault_memory(f);
	if (x->job.split && x->number == x->whole) {
		/* It was whole when that run was killed, perhaps without its name. */
		if (!export_is_there(x->names.folder, x->volume_name) &&
			new_file_rename(x->names.folder, part, x->volume_name) < 0)
			return export_file_error(x, "rename what was written to", f);
		return 0;
	}
	if (x->job.split && x->number != x->whole + 1)
		return bad_manifest(x, f);
	if (!x->kind->in_place && end_of_frame(x, part, &keep, f) < 0)
		return -1;
	if (export_file_begin_volume(x, x->number, keep, f) < 0)
		return -1;
	return manifest_reread(x->manifest, on_again, x, f);
}

int export_file_begin_volume(struct export_file *x, uint64_t number, uint64_t keep, struct fault *f)
{
	char *name = export_volume_name(&x->names, number);
	char *part CLEANUP(freep) = name ? export_part_name(name) : NULL;

	free(x->volume_name);
	x->volume_name = name;
	x->number = number;
	if (!part)
		return fault_memory(f);
	if (keep == 0) {
		x->from = manifest_end(x->manifest);
		x->in_volume = (struct export_totals){0};
	}
	export_inner_folder(&x->names, name, x->inner);
	fd_closep(&x->sums_fd);
	x->sums_len = 0;
	x->sums_fd = file_open_unlinked(x->names.folder);
	if (x->sums_fd < 0)
		return export_file_error(x, "write", f);
	if (volume_open(x->names.folder, part, x->names.shown, keep, &x->volume, f) < 0)
		return -1;
	x->synced = keep;
	return x->kind->pack->open(x->volume, x->names.folder, &x->pack, f);
}

void export_file_close(struct export_target *to)
{
	struct export_file *x = export_file_of(to);

	pack_closep(&x->pack);
	volume_closep(&x->volume);
	manifest_close(x->manifest);
	export_source_deinit(&x->source);
	eml_folders_deinit(&x->months);
	buffer_deinit(&x->lines);
	buffer_deinit(&x->sums);
	fd_closep(&x->sums_fd);
	fd_closep(&x->origin_fd);
	export_names_deinit(&x->names);
	free(x->volume_name);
	free(x);
}

int export_file_open(const struct export_kind *kind, const struct export_job *job,
	struct export_target **ret, struct fault *f)
{
	struct export_file *x = calloc(1, sizeof *x);
	struct export_target *owned CLEANUP(export_target_closep) = x ? &x->target : NULL;

	if (!x)
		return fault_memory(f);
	x->target.format = kind->format;
	x->kind = kind;
	x->job = *job;
	x->names.folder = x->origin_fd = x->sums_fd = -1;
	x->lines = buffer_make(LINES_MAX);
	x->sums = buffer_make(LINES_MAX);
	if (export_names_set(&x->names, job->path, f) < 0 || claim(x, f) < 0 ||
		export_file_read_whole(x, &x->whole, f) < 0)
		return -1;
	if (manifest_open(x->names.folder, x->names.manifest, job->expected, on_earlier, x,
		    &x->manifest, f) < 0)
		return fault_prefix(f, "%s", x->names.shown);
	x->target.earlier = manifest_count(x->manifest);
	if (!x->ended && go_on(x, f) < 0)
		return -1;
	*ret = TAKE(owned);
	return x->ended ? EXPORT_PRESENT : 0;
}

/* ---- One message ------------------------------------------------------------------------------
 */

struct putting {
	struct pack *pack;
	bool bare_lf;
};

static int put_piece(void *context, struct slice bytes, struct fault *f)
{
	struct putting *p = (struct putting *)context;
	int r = p->pack->kind->put(p->pack, bytes, f);

	if (r <= 0)
		return r;
	p->bare_lf = true;
	return fault_set(f, FAULT_FORMAT, SCOPE_MESSAGE, 0, "a bare LF");
}

/* PACK_BARE_LF; then, and when it failed, something of it may be in the volume. */
static int put_entry(struct export_file *x, struct store *s, const struct message *m,
	const struct pack_entry *e, struct fault *f)
{
	struct putting p = {.pack = x->pack};
	const struct pack_kind *kind = x->kind->pack;

	if (kind->begin(x->pack, e, f) < 0)
		return -1;
	int r = x->source.whole ? put_piece(&p, buffer_slice(&x->source.bytes), f)
				: message_read(s, m, put_piece, &p, f);
	if (r == 0 && (r = kind->end(x->pack, f)) > 0)
		p.bare_lf = true;
	return p.bare_lf ? PACK_BARE_LF : r;
}

/* A large message is digested while it is written: what was written of one that is damaged, or has
 * to be written in another way, is cut. */
static int write_entry(struct export_file *x, struct store *s, const struct message *m,
	struct pack_entry *e, struct fault *f)
{
	const struct pack_kind *kind = x->kind->pack;
	struct fault more;
	int r;

	for (;;) {
		if (!x->source.whole && kind->flush(x->pack, f) < 0)
			break;
		uint64_t mark = volume_end(x->volume);

		r = put_entry(x, s, m, e, f);
		if (r == 0)
			return 0;
		if (r < 0 && f->scope != SCOPE_MESSAGE)
			break;
		if (volume_cut(x->volume, mark, &more) < 0 || kind->reset(x->pack, &more) < 0) {
			*f = more;
			break;
		}
		if (r < 0)
			return -1;
		e->lines = PACK_LINES_KEPT;
	}
	x->failed = true;
	return -1;
}

static int add_lines(struct export_file *x, const struct message *m,
	const struct export_filing *filing, char *const *accounts, const char *file,
	const struct pack_entry *e, uint64_t offset, struct fault *f)
{
	uint64_t end = volume_end(x->volume);
	struct json_line line;

	manifest_line(&line, file, m, accounts);
	export_filing_tell(filing, &line);
	if (x->kind->entries)
		json_add_bytes(&line, "volume", slice_text(x->volume_name));
	json_add_count(&line, "offset", offset);
	if (x->kind->in_place)
		json_add_count(&line, "length", end - offset);
	if (!x->kind->entries)
		json_add_text(&line, "line_ends", e->lines == PACK_LINES_LF ? "crlf" : "kept");
	char *text CLEANUP(freep) = json_line_text(&line);
	if (!text)
		return fault_memory(f);
	if (buffer_append_text(&x->lines, text, f) < 0 ||
		(x->kind->entries && export_sums_line(&x->sums, &m->digest, file, f) < 0))
		return -1;
	x->pending[x->pending_n++] = (struct export_pending){end, x->lines.len, x->sums.len};
	export_totals_add(&x->in_volume, m->size_bytes, m->archived);
	export_totals_add(&x->target.totals, m->size_bytes, m->archived);
	return 0;
}

/* Lines of the first n of them. */
static int tell(struct export_file *x, size_t n, struct fault *f)
{
	if (n == 0)
		return 0;
	const struct export_pending *last = &x->pending[n - 1];
	if (manifest_add(x->manifest, slice_of(x->lines.data, last->lines_end), f) < 0)
		return fault_prefix(f, "%s", x->names.shown);
	x->pending_n = 0;
	buffer_clear(&x->lines);
	return 0;
}

int export_file_settle(struct export_file *x, struct fault *f)
{
	if (x->failed)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "%s was not written to its end",
			x->names.shown);
	if (!x->pack)
		return 0;
	x->failed = true;
	if (x->kind->pack->flush(x->pack, f) < 0 || volume_sync(x->volume, f) < 0 ||
		tell(x, x->pending_n, f) < 0)
		return -1;
	if (new_file_append(x->sums_fd, buffer_slice(&x->sums)) < 0)
		return export_file_error(x, "write", f);
	x->sums_len += x->sums.len;
	buffer_clear(&x->sums);
	x->synced = volume_end(x->volume);
	x->failed = false;
	return 0;
}

/* Room for the message in the volume, or in a new one. */
static int make_room(
	struct export_file *x, const struct message *m, size_t name_len, struct fault *f)
{
	const struct pack_kind *kind = x->kind->pack;
	uint64_t lines = 2 * (name_len + DIGEST_HEX) + KIB;

	if (!x->volume)
		return export_file_begin_volume(x, x->job.split ? x->number + 1 : 0, 0, f);
	for (int flushed = 0; x->job.split > 0; flushed++) {
		if (kind->most(x->pack, name_len, m->size_bytes) + export_file_rest(x, lines) <=
			x->job.split)
			return 0;
		if (flushed)
			break;
		if (kind->flush(x->pack, f) < 0) {
			x->failed = true;
			return -1;
		}
	}
	if (!x->job.split || x->in_volume.messages == 0)
		return 0;
	if (export_file_end_volume(x, f) < 0) {
		x->failed = true;
		return -1;
	}
	return export_file_begin_volume(x, x->number + 1, 0, f);
}

/* The name within the folder that is in the file; of mboxrd the file's own. */
static int entry_name(
	struct export_file *x, const struct message *m, char name[static EML_NAME], struct fault *f)
{
	int taken = manifest_note(x->manifest, &m->digest, f);

	if (taken < 0 || export_source_header(&x->source, f) < 0)
		return -1;
	eml_name(m, &x->source.header, export_zone(&x->job),
		taken == MANIFEST_FOUND ? DIGEST_HEX : EML_ID, name);
	return eml_folders_place(&x->months, name, f);
}

int export_file_add(struct export_target *to, struct store *s, const struct message *m,
	char *const *accounts, struct fault *f)
{
	struct export_file *x = export_file_of(to);
	struct export_filing filing CLEANUP(export_filing_deinit) = {0};
	char name[EML_NAME], inner[EXPORT_INNER + EML_NAME];
	const char *there;
	int r = manifest_find(x->manifest, &m->digest, &there, f);

	if (r != 0)
		return r < 0 ? -1 : EXPORT_PRESENT;
	if (export_filing_read(&filing, s, m, f) < 0 ||
		export_source_read(&x->source, s, m, f) < 0 ||
		(x->kind->entries && entry_name(x, m, name, f) < 0) ||
		make_room(x, m, x->kind->entries ? sizeof inner : 0, f) < 0)
		return -1;
	if (x->kind->entries)
		(void)snprintf(inner, sizeof inner, "%s/%s", x->inner, name);
	struct pack_entry e = {.name = inner, .size = m->size_bytes, .time = m->archived};
	/* What a large message writes begins behind what was flushed for it. */
	if (!x->source.whole && x->kind->pack->flush(x->pack, f) < 0) {
		x->failed = true;
		return -1;
	}
	uint64_t offset = x->kind->pack->offset(x->pack);
	if (write_entry(x, s, m, &e, f) < 0)
		return -1;
	const char *file = x->kind->entries ? name : x->volume_name;
	if (add_lines(x, m, &filing, accounts, file, &e, offset, f) < 0) {
		x->failed = true;
		return -1;
	}
	return x->pending_n == PENDING_MAX || x->lines.len >= LINES_FULL ||
			       volume_end(x->volume) - x->synced >= UNSYNCED_MAX
		       ? export_file_settle(x, f)
		       : 0;
}

/* Where something could not be written, messages that are in the file with all of their bytes stay
 * there: the disk is full, and the same command will go on. */
int export_file_stop(struct export_target *to, struct fault *f)
{
	struct export_file *x = export_file_of(to);
	size_t n = x->pending_n;

	if (x->failed && x->volume && x->kind->in_place) {
		uint64_t written = volume_written(x->volume);

		while (n > 0 && x->pending[n - 1].end > written)
			n--;
		if (n > 0 && (volume_cut(x->volume, x->pending[n - 1].end, f) < 0 ||
				     volume_sync(x->volume, f) < 0 || tell(x, n, f) < 0))
			return -1;
	} else if (!x->failed && export_file_settle(x, f) < 0) {
		return -1;
	}
	if (manifest_sync(x->manifest, f) < 0)
		return fault_prefix(f, "%s", x->names.shown);
	return fsync(x->names.folder) < 0 ? export_file_error(x, "sync the folder of", f) : 0;
}
