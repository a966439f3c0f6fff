#include "archive/decimal.h"
#include "archive/index_work.h"
#include "archive/seal_work.h"

#include <errno.h>
#include <inttypes.h>

#define MAGIC	    "popkeep-seal 1"
#define MAGIC_INDEX "popkeep-index 1"

enum { WORDS_MOST = 8 };

/* ---- Writing --------------------------------------------------------------------------------- */

int seal_request_begin(
	const struct seal_options *options, size_t sources, struct buffer *to, struct fault *f)
{
	return buffer_append_format(to, f,
		MAGIC "\nlevel %d\nframe %" PRIu64 "\npart-sharing %s\nsources %zu\n",
		options->level, options->frame_bytes,
		options->sharing == SEAL_SHARING_ON ? "on" : "off", sources);
}

int index_request_begin(size_t sources, struct buffer *to, struct fault *f)
{
	return buffer_append_format(to, f, MAGIC_INDEX "\nsources %zu\n", sources);
}

int seal_request_mail(const struct seal_mail *m, struct buffer *to, struct fault *f)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(&m->digest, hex);
	return buffer_append_format(to, f,
		"mail %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %s\n", m->source,
		m->frame_offset, m->entry_offset, m->size, m->archived > 0 ? m->archived / 1000 : 0,
		hex);
}

int seal_request_end(struct buffer *to, struct fault *f)
{
	return buffer_append_text(to, "end\n", f);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static int bad(const struct seal_reader *r, const char *why, struct fault *f)
{
	return fault_set(
		f, FAULT_FORMAT, SCOPE_ARCHIVE, 0, "line %zu of the request: %s", r->line, why);
}

static int fill(struct seal_reader *r, struct fault *f)
{
	ssize_t n;

	memmove(r->text, r->text + r->from, r->to - r->from);
	r->to -= r->from;
	r->from = 0;
	if (r->to == sizeof r->text)
		return bad(r, "it is too long", f);
	do {
		n = read(r->fd, r->text + r->to, sizeof r->text - r->to);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot read the request");
	if (n == 0)
		return bad(r, "it ends too early", f);
	r->to += (size_t)n;
	return 0;
}

/* The next line without its LF, borrowed until the next call. */
static int next_line(struct seal_reader *r, struct slice *ret, struct fault *f)
{
	const char *end;
	size_t looked = 0;

	r->line++;
	while (!(end = memchr(r->text + r->from + looked, '\n', r->to - r->from - looked))) {
		looked = r->to - r->from;
		if (fill(r, f) < 0)
			return -1;
	}
	*ret = slice_of(r->text + r->from, (size_t)(end - (r->text + r->from)));
	r->from += ret->len + 1;
	return 0;
}

/* Words between single spaces; their number, or WORDS_MOST + 1 where there are more. */
static size_t take_words(struct slice line, struct slice word[static WORDS_MOST])
{
	for (size_t n = 0; n < WORDS_MOST; n++) {
		const uint8_t *space = line.len ? memchr(line.data, ' ', line.len) : NULL;

		word[n] = line;
		if (!space)
			return n + 1;
		word[n].len = (size_t)(space - line.data);
		line = slice_of(space + 1, line.len - word[n].len - 1);
	}
	return WORDS_MOST + 1;
}

static bool is_word(struct slice word, const char *text)
{
	return slice_compare(word, slice_text(text)) == 0;
}

/* From least to most. */
static bool number(struct slice word, uint64_t least, uint64_t most, uint64_t *ret)
{
	return decimal_parse(word, ret) && *ret >= least && *ret <= most;
}

/* A line of a name and a value. */
static int read_value(struct seal_reader *r, const char *name, struct slice *ret, struct fault *f)
{
	struct slice line, word[WORDS_MOST];

	if (next_line(r, &line, f) < 0)
		return -1;
	if (take_words(line, word) != 2 || !is_word(word[0], name))
		return fault_set(f, FAULT_FORMAT, SCOPE_ARCHIVE, 0,
			"line %zu of the request: no %s", r->line, name);
	*ret = word[1];
	return 0;
}

static int read_number(struct seal_reader *r, const char *name, uint64_t least, uint64_t most,
	uint64_t *ret, struct fault *f)
{
	struct slice value;

	if (read_value(r, name, &value, f) < 0)
		return -1;
	return number(value, least, most, ret)
		       ? 0
		       : fault_set(f, FAULT_FORMAT, SCOPE_ARCHIVE, 0,
				 "line %zu of the request: %s is not %" PRIu64 " to %" PRIu64,
				 r->line, name, least, most);
}

int seal_request_read(int fd, struct seal_reader *ret, struct fault *f)
{
	struct seal_reader *r = ret;
	struct slice line, sharing;
	uint64_t level, sources;

	*r = (struct seal_reader){.fd = fd};
	if (next_line(r, &line, f) < 0)
		return -1;
	if (!is_word(line, MAGIC))
		return bad(r, "it is none that this version knows", f);
	if (read_number(r, "level", 1, LIMIT_SEAL_LEVEL, &level, f) < 0 ||
		read_number(r, "frame", LIMIT_SEALED_FRAME_LEAST, LIMIT_SEALED_FRAME,
			&r->options.frame_bytes, f) < 0 ||
		read_value(r, "part-sharing", &sharing, f) < 0)
		return -1;
	if (!is_word(sharing, "on") && !is_word(sharing, "off"))
		return bad(r, "part-sharing is neither on nor off", f);
	if (read_number(r, "sources", 1, LIMIT_REPACK_SOURCES, &sources, f) < 0)
		return -1;
	r->options.level = (int)level;
	r->options.sharing = is_word(sharing, "on") ? SEAL_SHARING_ON : SEAL_SHARING_OFF;
	r->sources = (size_t)sources;
	return 0;
}

int index_request_read(int fd, struct seal_reader *ret, struct fault *f)
{
	struct slice line;
	uint64_t sources;

	*ret = (struct seal_reader){.fd = fd};
	if (next_line(ret, &line, f) < 0)
		return -1;
	if (!is_word(line, MAGIC_INDEX))
		return bad(ret, "it is none that this version knows", f);
	if (read_number(ret, "sources", 1, LIMIT_REPACK_SOURCES, &sources, f) < 0)
		return -1;
	ret->sources = (size_t)sources;
	return 0;
}

static bool parse_mail(const struct seal_reader *r, struct slice line, struct seal_mail *ret)
{
	struct slice word[WORDS_MOST];
	uint64_t source, archived_s;

	if (take_words(line, word) != 7 || !is_word(word[0], "mail") ||
		!number(word[1], 0, r->sources - 1, &source) ||
		!number(word[2], 0, INT64_MAX, &ret->frame_offset) ||
		!number(word[3], 0, LIMIT_SEALED_FRAME, &ret->entry_offset) ||
		!number(word[4], 0, LIMIT_MESSAGE, &ret->size) ||
		!number(word[5], 0, INT64_MAX / 1000, &archived_s) ||
		digest_parse(word[6], &ret->digest) != 0)
		return false;
	ret->source = (uint32_t)source;
	ret->archived = (moment_ms)archived_s * 1000;
	return true;
}

int seal_request_next(struct seal_reader *r, struct seal_mail *ret, struct fault *f)
{
	struct seal_mail m;
	struct slice line;

	if (next_line(r, &line, f) < 0)
		return -1;
	if (is_word(line, "end"))
		return 0;
	if (r->mails == LIMIT_SEGMENT_MESSAGES)
		return bad(r, "there are too many messages", f);
	if (!parse_mail(r, line, &m))
		return bad(r, "it says no message", f);
	r->mails++;
	*ret = m;
	return SEAL_MAIL;
}
