#include "cli/verify_export.h"

#include "archive/escape.h"
#include "archive/file.h"
#include "archive/limits.h"
#include "cli/stop.h"
#include "cli/text_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { TEXT_SIZE = 512, NAME_SHOWN = 384 };

/* ---- What is told ------------------------------------------------------------------------------
 */

void verify_export_tell(
	struct verify_export *x, const char *file, const struct digest *d, const char *format, ...)
{
	char text[TEXT_SIZE], name[NAME_SHOWN] = "", hex[DIGEST_HEX + 1] = "";
	struct output *o = &x->run->out;
	struct json_line line;
	va_list ap;

	x->damaged++;
	va_start(ap, format);
	(void)vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (file)
		(void)escape_text(slice_text(file), name, sizeof name);
	if (d)
		digest_hex(d, hex);
	progress_clear(&x->run->progress);
	if (!x->run->json) {
		out_format(o, "damaged%s%.*s%s%s: %s\n", d ? " message " : "", SHORT_ID, hex,
			file ? ", " : "", name, text);
		return;
	}
	json_line_begin(&line, "damage");
	if (d) {
		char id[SHORT_ID + 1] = "";

		memcpy(id, hex, SHORT_ID);
		json_add_text(&line, "id", id);
		json_add_text(&line, "digest", hex);
	}
	if (file)
		json_add_bytes(&line, "file", slice_text(file));
	json_add_text(&line, "text", text);
	json_line_print(&line, o);
}

static void print_summary(struct verify_export *x)
{
	struct output *o = &x->run->out;
	char messages[TEXT_NUMBER], size[TEXT_NUMBER], damaged[TEXT_NUMBER];
	struct json_line line;

	progress_clear(&x->run->progress);
	if (x->run->json) {
		json_line_begin(&line, "summary");
		json_add_count(&line, "messages", x->messages);
		json_add_count(&line, "segments", 0);
		json_add_count(&line, "bytes", x->bytes);
		json_add_count(&line, "damaged", x->damaged);
		json_add_text(&line, "export", x->path);
		json_line_print(&line, o);
		return;
	}
	out_format(o,
		"%s %s (%s) in an export read and digested: ", text_count(x->messages, messages),
		plural(x->messages, "message", "messages"), text_size(x->bytes, size));
	if (x->damaged)
		out_format(o, "%s damaged\n", text_count(x->damaged, damaged));
	else
		out_format(o, "all is as it was written\n");
}

int verify_export_advance(struct verify_export *x, uint64_t bytes, struct fault *f)
{
	x->done_bytes += bytes;
	const struct progress_state state = {.label = "verifying", .done = x->done_bytes};
	progress_update(&x->run->progress, &state);
	if (stop_requested() || out_is_over(&x->run->out))
		return fault_set(
			f, FAULT_INTERRUPT, SCOPE_SESSION, 0, "stopped before all was checked");
	return 0;
}

/* ---- Digests -----------------------------------------------------------------------------------
 */

int verify_export_digest(
	struct verify_export *x, int fd, const char *name, struct found_file *ret, struct fault *f)
{
	uint8_t piece[64 * 1024];
	ssize_t n;

	ret->size = 0;
	while ((n = pread(fd, piece, sizeof piece, (off_t)ret->size)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		hasher_add(x->hasher, piece, (size_t)n);
		ret->size += (uint64_t)n;
		if (verify_export_advance(x, (uint64_t)n, f) < 0)
			return -1;
	}
	int error = errno;
	hasher_end(x->hasher, &ret->digest);
	if (n == 0)
		return 0;
	verify_export_tell(x, name, NULL, "cannot be read: %s", strerror(error));
	return 1;
}

/* ---- Manifest and SHA256SUMS --------------------------------------------------------------------
 */

/* A Maildir's file without its flags, as if it lay in cur/: mail programs change them. */
static struct slice plain_name(const struct verify_export *x, const char *name, char *room)
{
	const char *colon = x->maildir ? strrchr(name, ':') : NULL;
	const char *slash = x->maildir ? strrchr(name, '/') : NULL;
	size_t len = colon && slash && colon > slash ? (size_t)(colon - name) : strlen(name);

	len = len < LIMIT_EXPORT_NAME ? len : LIMIT_EXPORT_NAME;
	memcpy(room, name, len);
	if (slash && slash - name >= 3 && memcmp(slash - 3, "new", 3) == 0)
		memcpy(room + (slash - name) - 3, "cur", 3);
	return slice_of(room, len);
}

static int on_line(void *context, const struct manifest_entry *e, struct fault *f)
{
	struct verify_export *x = (struct verify_export *)context;
	char room[LIMIT_EXPORT_NAME];
	struct found_file file;
	int r = found_files_want(x->found, plain_name(x, e->file, room), &file, f);

	if (r < 0)
		return -1;
	x->messages++;
	x->bytes += e->size;
	if (verify_export_advance(x, 0, f) < 0)
		return -1;
	if (r == 0)
		verify_export_tell(x, e->file, &e->digest, "it is missing");
	else if (r == FOUND_AGAIN)
		verify_export_tell(x, e->file, &e->digest, "the manifest has its name twice");
	else if (digest_compare(&file.digest, &e->digest) != 0 || file.size != e->size)
		verify_export_tell(
			x, e->file, &e->digest, "its bytes are not those that were written");
	return 0;
}

static int compare_manifest(struct verify_export *x, int fd, struct fault *f)
{
	uint64_t end, bad;
	struct stat st;

	if (fd < 0) {
		verify_export_tell(x, "manifest.jsonl", NULL, "it is missing");
		return 0;
	}
	if (manifest_walk(fd, "manifest.jsonl", on_line, x, &end, &bad, f) < 0)
		return -1;
	if (bad)
		verify_export_tell(x, "manifest.jsonl", NULL,
			"line %" PRIu64 " is none of a manifest; what follows was not looked at",
			bad);
	else if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != end)
		verify_export_tell(x, "manifest.jsonl", NULL, "its last line is torn");
	return 0;
}

int verify_export_sums_line(struct slice line, struct digest *ret, char *name)
{
	bool escaped = line.len > 0 && line.data[0] == '\\';
	size_t used = 0;

	if (escaped)
		line = slice_of(line.data + 1, line.len - 1);
	if (line.len < DIGEST_HEX + 3 || line.len - DIGEST_HEX - 2 > LIMIT_EXPORT_NAME ||
		line.data[DIGEST_HEX] != ' ' || !strchr(" *", line.data[DIGEST_HEX + 1]) ||
		digest_parse(slice_of(line.data, DIGEST_HEX), ret) != 0)
		return 1;
	for (size_t i = DIGEST_HEX + 2; i < line.len; i++) {
		char c = (char)line.data[i];

		if (escaped && c == '\\' && i + 1 < line.len) {
			c = (char)line.data[++i];
			c = c == 'n' ? '\n' : c == 'r' ? '\r' : c;
		}
		if (c == '\0')
			return 1;
		name[used++] = c;
	}
	name[used] = '\0';
	return 0;
}

static int on_sum(void *context, struct slice line, uint64_t from, struct fault *f)
{
	struct verify_export *x = (struct verify_export *)context;
	char name[LIMIT_EXPORT_NAME + 1], room[LIMIT_EXPORT_NAME];
	struct found_file file;
	struct digest d;

	if (verify_export_sums_line(line, &d, name) != 0) {
		verify_export_tell(x, "SHA256SUMS", NULL,
			"at byte %" PRIu64 " is no line as sha256sum writes it", from);
		return 0;
	}
	int r = found_files_look(x->found, plain_name(x, name, room), &file, f);
	if (r < 0)
		return -1;
	bool beside = strcmp(name, "manifest.jsonl") == 0 || strcmp(name, "summary.txt") == 0;
	x->manifest_summed |= strcmp(name, "manifest.jsonl") == 0;
	/* What is wrong with a message was told already, by the manifest. */
	if (beside && (r == 0 || digest_compare(&file.digest, &d) != 0))
		verify_export_tell(x, name, NULL,
			r ? "its bytes are not those of SHA256SUMS" : "it is missing");
	if (beside && r > 0 && found_files_want(x->found, slice_text(name), &file, f) < 0)
		return -1;
	if (!beside && r > 0 && digest_compare(&file.digest, &d) != 0 && x->damaged == 0)
		verify_export_tell(x, name, NULL, "SHA256SUMS has another digest");
	return 0;
}

void verify_export_sums_end(struct verify_export *x, int fd, int r, uint64_t end, const char *name)
{
	struct stat st;

	if (r > 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size != end)
		verify_export_tell(x, name, NULL, "it is torn");
	else if (!x->manifest_summed)
		verify_export_tell(x, name, NULL, "it is not whole: the manifest is not in it");
}

static int compare_sums(struct verify_export *x, int fd, struct fault *f)
{
	uint64_t end;

	if (fd < 0) {
		verify_export_tell(x, "SHA256SUMS", NULL,
			"it is missing: the export was not finished; the same export goes on");
		return 0;
	}
	int r = text_lines(fd, "SHA256SUMS", 2 * LIMIT_EXPORT_NAME, on_sum, x, &end, f);
	if (r < 0)
		return -1;
	verify_export_sums_end(x, fd, r, end, "SHA256SUMS");
	return 0;
}

int verify_export_compare(struct verify_export *x, int manifest, int sums, struct fault *f)
{
	char name[LIMIT_EXPORT_NAME + 1];
	struct slice each;
	int r;

	if (compare_manifest(x, manifest, f) < 0 || compare_sums(x, sums, f) < 0)
		return -1;
	if (manifest < 0)
		return 0;
	while ((r = found_files_unwanted(x->found, &each, f)) == FOUND_FILE) {
		memcpy(name, each.data, each.len);
		name[each.len] = '\0';
		if (strcmp(name, "manifest.jsonl") == 0 || strcmp(name, "summary.txt") == 0)
			continue;
		verify_export_tell(x, name, NULL, "it is surplus: the manifest does not know it");
	}
	return r;
}

/* ---- The whole ---------------------------------------------------------------------------------
 */

static bool is_there(const char *path, const char *behind)
{
	char *text CLEANUP(freep) = NULL;
	struct stat st;

	if (asprintf(&text, "%s%s", path, behind) < 0) {
		text = NULL;
		return false;
	}
	return stat(text, &st) == 0;
}

int verify_export_knows(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
		return 1;
	if (is_there(path, "/POPKEEP"))
		return 0;
	return is_there(path, "/manifest.jsonl") || is_there(path, "/.popkeep-export") ||
	       is_there(path, ".manifest.jsonl");
}

static int open_scratch(struct verify_export *x, struct fault *f)
{
	const char *above = secure_getenv("TMPDIR");
	const char *path = above && above[0] ? above : "/var/tmp";

	x->scratch = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (x->scratch < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno,
			"cannot open the folder for files (TMPDIR names one)");
	return hasher_new(&x->hasher, f);
}

static int check(struct verify_export *x, struct fault *f)
{
	struct stat st;

	if (open_scratch(x, f) < 0)
		return -1;
	stop_catch_signals();
	progress_begin(&x->run->progress);
	return stat(x->path, &st) == 0 && S_ISDIR(st.st_mode) ? verify_export_folder(x, f)
							      : verify_export_file(x, f);
}

int verify_export_run(struct run *run, const char *path)
{
	struct verify_export x = {.run = run, .path = path, .scratch = -1};
	struct fault f;
	int status = STATUS_DONE;

	if (check(&x, &f) < 0)
		status = run_fail(run, &f);
	else
		print_summary(&x);
	found_files_closep(&x.found);
	hasher_freep(&x.hasher);
	fd_closep(&x.scratch);
	return x.damaged ? STATUS_DAMAGED : status;
}
