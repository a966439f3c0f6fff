/* Takes an mbox file apart by cli/mbox_read.h, for test_mbox.py:
 *
 *	mbox_dump [-d DIALECT] [-p PIECE] FILE FOLDER
 *
 * Writes messages into FOLDER as 0, 1, …, and prints a line of JSON for each, and for notes,
 * refusals and losses. -p: as a stream, in pieces of so many bytes. Exit 1: it could not. */
#include "cli/json.h"
#include "cli/mbox_read.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

struct dump {
	int folder, file; /* file: of the message that is open */
	uint64_t n;
	FILE *in; /* of a stream */
	size_t piece;
};

static void print(struct json_line *line)
{
	char *text CLEANUP(freep) = json_line_text(line);

	(void)fputs(text ? text : "out of memory\n", stdout);
}

static void say(const char *type, const char *key, const char *text)
{
	struct json_line line;

	json_line_begin(&line, type);
	json_add_bytes(&line, key, slice_text(text));
	print(&line);
}

static int dump_begin(void *context, const struct found *m, struct fault *f)
{
	struct dump *d = context;
	struct json_line line;
	char name[32];

	json_line_begin(&line, "message");
	json_add_bytes(&line, "where", slice_text(m->where));
	json_add_bytes(&line, "folder", slice_text(m->folder));
	json_add_text(&line, "flags", m->flags);
	json_add_moment(&line, "received", m->received);
	json_t *also = json_array();
	for (size_t i = 0; also && i < m->also_n; i++)
		(void)json_array_append_new(also, json_string(m->also[i]));
	json_add_value(&line, "also", also);
	print(&line);
	(void)snprintf(name, sizeof name, "%" PRIu64, d->n++);
	d->file = openat(d->folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (d->file < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot make %s", name);
	return 0;
}

static int dump_bytes(void *context, struct slice bytes, struct fault *f)
{
	struct dump *d = context;

	if (write(d->file, bytes.data, bytes.len) != (ssize_t)bytes.len)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot write");
	return 0;
}

static int dump_end(void *context, struct fault *f)
{
	struct dump *d = context;

	(void)f;
	fd_closep(&d->file);
	return 0;
}

static int dump_refuse(void *context, const struct found *m, const char *why, struct fault *f)
{
	(void)m;
	say("refused", "why", why);
	return dump_end(context, f);
}

static int dump_lost(void *context, const char *path, const char *why, struct fault *f)
{
	(void)context;
	(void)path;
	(void)f;
	say("lost", "why", why);
	return 0;
}

static int dump_note(void *context, const char *path, const char *what, struct fault *f)
{
	(void)context;
	(void)path;
	(void)f;
	say("note", "what", what);
	return 0;
}

static int dump_read_as(
	void *context, const char *path, const char *dialect, const char *text, struct fault *f)
{
	(void)dialect;
	return text ? dump_note(context, path, text, f) : 0;
}

static int dump_position(void *context, uint64_t done, struct fault *f)
{
	(void)context;
	(void)done;
	(void)f;
	return 0;
}

static int read_piece(void *context, void *to, size_t size, size_t *ret_n, struct fault *f)
{
	struct dump *d = context;

	(void)f;
	*ret_n = fread(to, 1, d->piece < size ? d->piece : size, d->in);
	return 0;
}

static int dump(struct dump *d, const char *path, enum mbox_dialect dialect, struct fault *f)
{
	struct import_taker taker = {.context = d,
		.begin = dump_begin,
		.bytes = dump_bytes,
		.end = dump_end,
		.refuse = dump_refuse,
		.lost = dump_lost,
		.note = dump_note,
		.read_as = dump_read_as,
		.position = dump_position};
	struct import_stream stream = {
		.context = d, .name = path, .folder = "", .read = read_piece};
	struct mbox_file file = {.fd = fileno(d->in), .name = path, .folder = ""};

	return d->piece ? mbox_read_stream(&stream, dialect, &taker, f)
			: mbox_read_file(&file, dialect, &taker, f);
}

int main(int argc, char **argv)
{
	struct dump d = {.folder = -1, .file = -1};
	enum mbox_dialect dialect = MBOX_ANY;
	struct fault f = {0};
	int option;

	while ((option = getopt(argc, argv, "d:p:")) != -1) {
		if (option == 'p')
			d.piece = strtoul(optarg, NULL, 10);
		else if (option != 'd' || mbox_dialect_parse(optarg, &dialect) != 0)
			return 2;
	}
	if (argc != optind + 2)
		return 2;
	d.in = fopen(argv[optind], "re");
	d.folder = open(argv[optind + 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = d.in && d.folder >= 0 ? dump(&d, argv[optind], dialect, &f) : -1;
	if (r < 0)
		(void)fprintf(stderr, "mbox_dump: %s\n", f.text);
	if (d.in)
		(void)fclose(d.in);
	fd_closep(&d.folder);
	fd_closep(&d.file);
	return r < 0;
}
