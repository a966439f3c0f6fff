#include "archive/header.h"
#include "cli/command.h"
#include "cli/message_list.h"
#include "cli/readable.h"

#include "archive/escape.h"
#include "archive/find.h"
#include "archive/limits.h"
#include "archive/spool.h"

#include <stdio.h>

/* ---- Which message ------------------------------------------------------------------------- */

static int say_ambiguous(struct run *run, const char *id)
{
	char *text CLEANUP(freep) = strdup(id);
	const struct condition wanted = {
		.kind = CONDITION_ID, .text = text, .low = INT64_MIN, .high = INT64_MAX};
	static const struct find_options ten = {FIND_NEWEST, 10};
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	struct message m;
	struct fault f;
	char hex[DIGEST_HEX + 1], archived[TEXT_MOMENT];

	run_complain(run, "more than one message's id begins with %s; give more digits:", id);
	if (find_open(run->store, &wanted, &ten, &c, &f) < 0)
		return run_fail(run, &f);
	while (find_next(c, &m, &f) == FIND_ROW) {
		digest_hex(&m.digest, hex);
		(void)fprintf(
			stderr, "  %s  %s\n", hex, text_minute(&run->out, m.archived, archived));
	}
	return STATUS_USAGE;
}

/* ---- Its bytes, checked before the first of them is let out -------------------------------- */

static int to_spool(void *context, struct slice bytes, struct fault *f)
{
	struct spool *s = (struct spool *)context;

	return spool_write(s, bytes, f);
}

/* Reads it whole; memory up to LIMIT_SPOOL_MEMORY, an unlinked file beyond. */
static int read_checked(struct run *run, const struct message *m, struct spool_pool **ret_pool,
	struct spool **ret, struct fault *f)
{
	struct spool_pool *pool CLEANUP(spool_pool_closep) = NULL;
	struct spool *spool CLEANUP(spool_freep) = NULL;
	const char *folder = secure_getenv("TMPDIR");

	if (spool_pool_open(folder && folder[0] ? folder : "/tmp", &pool, f) < 0 ||
		spool_new(pool, &spool, f) < 0 ||
		message_read(run->store, m, to_spool, spool, f) < 0) {
		/* That folder is not the archive: exit 74 would be wrong. */
		if (f->code == FAULT_WRITE)
			f->code = FAULT_SYSTEM;
		return -1;
	}
	spool_finish(spool);
	*ret = TAKE(spool);
	*ret_pool = TAKE(pool);
	return 0;
}

/* Gives the spool's bytes from `from` on to `put`. */
typedef void put_bytes(struct output *o, struct slice bytes);
static int pour(struct run *run, struct spool *spool, uint64_t from, uint64_t to, put_bytes *put,
	struct fault *f)
{
	uint8_t piece[16 * 1024];

	while (from < to && !out_is_over(&run->out)) {
		size_t n = 0, want = to - from < sizeof piece ? (size_t)(to - from) : sizeof piece;

		if (spool_read(spool, from, piece, want, &n, f) < 0)
			return -1;
		if (n == 0)
			break;
		put(&run->out, slice_of(piece, n));
		from += n;
	}
	return 0;
}

/* ---- As text ------------------------------------------------------------------------------- */

/* Gives the spool's bytes to r in pieces that end with a line, so that no character is cut in two.
 */
static int pour_text(
	struct readable *r, struct spool *spool, uint64_t from, uint64_t to, struct fault *f)
{
	struct buffer piece CLEANUP(buffer_deinit) = buffer_make(READABLE_PIECE);

	if (buffer_reserve(&piece, READABLE_PIECE, f) < 0)
		return -1;
	while (from < to && !out_is_over(r->out)) {
		size_t n = 0,
		       want = to - from < READABLE_PIECE ? (size_t)(to - from) : READABLE_PIECE;

		if (spool_read(spool, from, piece.data, want, &n, f) < 0)
			return -1;
		if (n == 0)
			break;
		if (from + n < to) {
			const uint8_t *lf = memrchr(piece.data, '\n', n);

			n = lf ? (size_t)(lf - piece.data) + 1 : n;
		}
		readable_put(r, slice_of(piece.data, n));
		from += n;
	}
	readable_end(r);
	return 0;
}

static bool field_contains(const struct header *h, enum header_field field, const char *word)
{
	const struct buffer *b = &h->field[field];

	return b->len >= strlen(word) && memmem(b->data, b->len, word, strlen(word));
}

static void say_what_is_not_decoded(struct run *run, const struct header *h)
{
	static const char *const encodings[] = {"base64", "BASE64", "Base64", "quoted-printable",
		"Quoted-Printable", "QUOTED-PRINTABLE"};
	bool encoded = field_contains(h, HEADER_CONTENT_TYPE, "ultipart/") ||
		       field_contains(h, HEADER_CONTENT_TYPE, "MULTIPART/");

	for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
		encoded |= field_contains(h, HEADER_TRANSFER_ENCODING, encodings[i]);
	if (encoded)
		run_note(run, "parts are shown undecoded, as they came; --raw writes the exact "
			      "bytes for a mail program");
}

static int show_readable(struct run *run, struct spool *spool, struct fault *f)
{
	struct header header CLEANUP(header_deinit) = {0};
	struct buffer head CLEANUP(buffer_deinit) = buffer_make(LIMIT_HEADER_BYTES);
	struct readable text = {.out = &run->out};
	size_t n = 0;

	if (buffer_reserve(&head, LIMIT_HEADER_BYTES, f) < 0)
		return -1;
	while (head.len < LIMIT_HEADER_BYTES) {
		if (spool_read(spool, head.len, head.data + head.len, LIMIT_HEADER_BYTES - head.len,
			    &n, f) < 0)
			return -1;
		if (n == 0)
			break;
		head.len += n;
	}
	if (header_read(buffer_slice(&head), &header, f) < 0)
		return -1;
	for (enum header_field i = 0; i <= HEADER_SUBJECT; i++) {
		if (header.field[i].len == 0)
			continue;
		out_format(&run->out, "%s: ", header_name(i));
		out_escaped(&run->out, buffer_slice(&header.field[i]));
		out_format(&run->out, "\n");
	}
	out_format(&run->out, "\n");
	if (pour_text(&text, spool, header.body, spool_size(spool), f) < 0)
		return -1;
	if (!out_is_over(&run->out))
		say_what_is_not_decoded(run, &header);
	return 0;
}

/* Up to the empty line, which stands alone or behind the header's last CRLF. */
static int header_end(struct spool *spool, uint64_t *ret, struct fault *f)
{
	uint8_t piece[16 * 1024];
	uint64_t at = 0;
	bool line_is_empty = true;

	for (;;) {
		size_t n = 0;

		if (spool_read(spool, at, piece, sizeof piece, &n, f) < 0)
			return -1;
		for (size_t i = 0; i < n; i++) {
			if (piece[i] == '\n' && line_is_empty) {
				*ret = at + i + 1;
				return 0;
			}
			line_is_empty = piece[i] == '\n' || (line_is_empty && piece[i] == '\r');
		}
		if (n == 0)
			break;
		at += n;
	}
	*ret = at;
	return 0;
}

static int show_headers(struct run *run, struct spool *spool, struct fault *f)
{
	struct readable text = {.out = &run->out, .all = true};
	uint64_t end = 0;

	if (header_end(spool, &end, f) < 0)
		return -1;
	return pour_text(&text, spool, 0, end, f);
}

/* ---- The command --------------------------------------------------------------------------- */

static int show_message(struct run *run, const struct message *m)
{
	struct spool_pool *pool CLEANUP(spool_pool_closep) = NULL;
	struct spool *spool CLEANUP(spool_freep) = NULL;
	struct fault f;
	int r;

	if (read_checked(run, m, &pool, &spool, &f) < 0)
		return run_fail(run, &f);
	if (option_given(&run->arguments, "raw"))
		r = pour(run, spool, 0, spool_size(spool), out_bytes, &f);
	else if (option_given(&run->arguments, "headers"))
		r = show_headers(run, spool, &f);
	else
		r = show_readable(run, spool, &f);
	return r < 0 ? run_fail(run, &f) : STATUS_DONE;
}

static int show_run(struct run *run)
{
	struct message m CLEANUP(message_deinit) = {0};
	struct fault f;

	if (operands_n(&run->arguments) != 1)
		return run_usage(run, "show needs one message's id; popkeep search lists them");
	if (option_given(&run->arguments, "raw") && option_given(&run->arguments, "headers"))
		return run_usage(run, "--raw and --headers exclude each other");
	if (run->json)
		return run_usage(
			run, "show has no --json; search --json and show --raw have it all");
	if (option_given(&run->arguments, "raw") && run->out.terminal)
		return run_usage(run,
			"a message's bytes could drive the terminal: send them to a file or a "
			"program, as in popkeep show --raw ID >message.eml");
	const char *id = operands(&run->arguments)[0];
	int r = find_one(run->store, id, &m, &f);
	if (r < 0)
		return run_fail(run, &f);
	if (r == FIND_AMBIGUOUS)
		return say_ambiguous(run, id);
	return show_message(run, &m);
}

static const struct option_spec options[] = {
	{"raw", 0, NULL, "the exact bytes; not to a terminal"},
	{"headers", 0, NULL, "the header alone, undecoded"},
	{NULL, 0, NULL, NULL},
};

const struct command command_show = {
	.name = "show",
	.arguments = "ID",
	.summary = "show a message",
	.details = "ID is the beginning of a message's digest, at least four digits, as search\n"
		   "shows it. Bytes that a terminal could act on are shown as \\xNN, a backslash\n"
		   "as two.",
	.options = options,
	.everyday = true,
	.needs = NEEDS_ARCHIVE,
	.function = show_run,
};
