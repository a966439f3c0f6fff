#include "cli/import_file.h"

#include "archive/limits.h"

#include <errno.h>
#include <strings.h>

/* ---- Messages -------------------------------------------------------------------------------- */

/* Fields that mail has and other text does not. */
static const char *const mail_fields[] = {"From", "To", "Cc", "Subject", "Date", "Message-ID",
	"Received", "Return-Path", "MIME-Version", "Delivered-To", "Content-Type", "Reply-To",
	"In-Reply-To", "Envelope-To", "X-Mozilla-Status", "X-Received", "ARC-Seal",
	"DKIM-Signature", "X-Original-To", "Sender", "Resent-From"};

static bool is_mail_field(struct slice name)
{
	for (size_t i = 0; i < sizeof mail_fields / sizeof *mail_fields; i++) {
		if (strlen(mail_fields[i]) == name.len &&
			strncasecmp(mail_fields[i], (const char *)name.data, name.len) == 0)
			return true;
	}
	return false;
}

/* "Name:" at the beginning of a line; its length without the colon, 0: it is none. */
static size_t field_name(struct slice line)
{
	size_t n = 0;

	while (n < line.len && line.data[n] > 0x20 && line.data[n] < 0x7f && line.data[n] != ':')
		n++;
	size_t end = n;
	while (n < line.len && (line.data[n] == ' ' || line.data[n] == '\t'))
		n++;
	return n < line.len && line.data[n] == ':' ? end : 0;
}

/* Fields, one of them of mail, up to an empty line or the end of what is seen; the last line may be
 * cut. */
static bool is_header(struct slice text)
{
	bool of_mail = false, first = true;

	while (text.len > 0) {
		const uint8_t *lf = memchr(text.data, '\n', text.len);
		size_t n = lf ? (size_t)(lf - text.data) : text.len;
		struct slice line = slice_of(text.data, n);

		if (n == 0 || (n == 1 && text.data[0] == '\r'))
			break;
		size_t name = field_name(line);
		bool folded = !first && (line.data[0] == ' ' || line.data[0] == '\t');
		/* UUCP's and broken gateways' line within a header. */
		bool quoted = !first && n > 5 && memcmp(line.data, ">From", 5) == 0;
		if (name == 0 && !folded && !quoted && lf)
			return false;
		of_mail |= name > 0 && is_mail_field(slice_of(line.data, name));
		first = false;
		n += lf != NULL;
		text = slice_of(text.data + n, text.len - n);
	}
	return of_mail;
}

/* ---- Archives -------------------------------------------------------------------------------- */

static bool begins(struct slice bytes, const void *with, size_t n)
{
	return bytes.len >= n && memcmp(bytes.data, with, n) == 0;
}

bool import_is_compressed(struct slice begin)
{
	return begins(begin, "\x1f\x8b", 2) || begins(begin, "BZh", 3) ||
	       begins(begin,
		       "\xfd"
		       "7zXZ\0",
		       6) ||
	       begins(begin, "\x28\xb5\x2f\xfd", 4) || begins(begin, "\x04\x22\x4d\x18", 4) ||
	       (begin.len >= 4 && (begin.data[0] & 0xf0) == 0x50 &&
		       memcmp(begin.data + 1, "\x2a\x4d\x18", 3) == 0);
}

static bool is_archive(struct slice begin)
{
	enum { USTAR_AT = 257 };

	return begins(begin, "PK\3\4", 4) || begins(begin, "PK\5\6", 4) ||
	       begins(begin, "PK00PK\3\4", 8) ||
	       (begin.len > USTAR_AT + 5 && memcmp(begin.data + USTAR_AT, "ustar", 5) == 0);
}

/* A "From " that no line's end follows is text. */
static bool is_mbox(struct slice begin)
{
	return begins(begin, "From ", 5) && memchr(begin.data, '\n', begin.len);
}

enum import_what import_what(struct slice begin)
{
	if (begin.len == 0)
		return WHAT_EMPTY;
	if (is_archive(begin) || import_is_compressed(begin))
		return WHAT_PACKED;
	if (begins(begin, "\xef\xbb\xbf", 3))
		begin = slice_of(begin.data + 3, begin.len - 3);
	if (is_mbox(begin))
		return WHAT_MBOX;
	if (is_header(begin))
		return WHAT_MESSAGE;
	/* Empty lines before the first message are nobody's. */
	while (begin.len > 0 && (begin.data[0] == '\n' || begin.data[0] == '\r'))
		begin = slice_of(begin.data + 1, begin.len - 1);
	return is_mbox(begin) ? WHAT_MBOX : WHAT_OTHER;
}

bool import_is_eml(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && strcasecmp(name + n - 4, ".eml") == 0;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static ssize_t read_some(int fd, void *to, size_t size)
{
	ssize_t n;

	do {
		n = read(fd, to, size);
	} while (n < 0 && errno == EINTR);
	return n;
}

ssize_t import_read_full(int fd, void *to, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = read_some(fd, (uint8_t *)to + have, size - have);

		if (n < 0)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

int import_input_read(void *context, void *to, size_t size, size_t *ret_n, struct fault *f)
{
	struct import_input *i = context;

	if (i->peek.len > 0) {
		size_t n = i->peek.len < size ? i->peek.len : size;

		memcpy(to, i->peek.data, n);
		i->peek = slice_of(i->peek.data + n, i->peek.len - n);
		*ret_n = n;
	} else {
		ssize_t n = read_some(i->fd, to, size);

		if (n < 0) {
			fault_record(f, FAULT_SYSTEM, SCOPE_SESSION, errno, "%s", strerror(errno));
			return IMPORT_BROKEN;
		}
		*ret_n = (size_t)n;
	}
	i->done += *ret_n;
	return i->taker->position(i->taker->context, i->base + i->done, f) < 0 ? -1 : 0;
}

const char *import_change(const struct stat *before, const struct stat *now, uint64_t read)
{
	if (now->st_size != before->st_size || now->st_mtim.tv_sec != before->st_mtim.tv_sec ||
		now->st_mtim.tv_nsec != before->st_mtim.tv_nsec)
		return "changed while it was read";
	if (S_ISREG(now->st_mode) && read != (uint64_t)now->st_size)
		return "has another length than it says";
	return "";
}

moment_ms import_mtime(const struct stat *st)
{
	enum { MS = 1000, NS_IN_MS = 1000000 };

	return (moment_ms)st->st_mtim.tv_sec * MS + st->st_mtim.tv_nsec / NS_IN_MS;
}
