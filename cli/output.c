#include "cli/output.h"

#include "archive/escape.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <wchar.h>

unsigned terminal_columns(int fd)
{
	struct winsize size = {0};

	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

unsigned terminal_rows(int fd)
{
	struct winsize size = {0};

	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_row == 0)
		return 24;
	return size.ws_row;
}

void output_init(struct output *o)
{
	*o = (struct output){.to = stdout, .terminal = isatty(STDOUT_FILENO) == 1};
	o->columns = o->terminal ? terminal_columns(STDOUT_FILENO) : 80;
}

static void failed(struct output *o)
{
	if (!o->error)
		o->error = errno ? errno : EIO;
}

void out_bytes(struct output *o, struct slice bytes)
{
	if (o->error || bytes.len == 0)
		return;
	errno = 0;
	if (fwrite(bytes.data, 1, bytes.len, o->to) != bytes.len)
		failed(o);
}

void out_format(struct output *o, const char *format, ...)
{
	va_list args;

	if (o->error)
		return;
	errno = 0;
	va_start(args, format);
	if (vfprintf(o->to, format, args) < 0)
		failed(o);
	va_end(args);
}

void out_escaped(struct output *o, struct slice bytes)
{
	enum { PIECE = 4096 };
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(5 * PIECE);
	struct fault f;

	/* In pieces that end between two characters: an escaped byte is four characters long. */
	while (bytes.len > 0 && !o->error) {
		size_t n = bytes.len < PIECE ? bytes.len : PIECE;

		while (n > PIECE - 4 && n < bytes.len && (bytes.data[n] & 0xc0) == 0x80)
			n--;
		buffer_clear(&text);
		if (escape_append(&text, slice_of(bytes.data, n), &f) < 0) {
			o->error = ENOMEM;
			return;
		}
		out_bytes(o, buffer_slice(&text));
		bytes = slice_of(bytes.data + n, bytes.len - n);
	}
}

int output_finish(struct output *o, int status)
{
	char reason[128];

	errno = 0;
	if (fflush(stdout) != 0)
		failed(o);
	if (!o->error)
		return status;
	if (o->error == EPIPE)
		return status ? status : STATUS_CLOSED_PIPE;
	(void)fprintf(stderr, "popkeep: writing to standard output: %s\n",
		strerror_r(o->error, reason, sizeof reason));
	return status ? status : 1;
}

/* The character that text begins with, its length and the columns it takes. */
static size_t step(struct slice text, size_t *ret_columns)
{
	uint32_t c = 0;
	size_t len = utf8_next(text, &c);
	int width = len ? wcwidth((wchar_t)c) : 1;

	*ret_columns = width < 0 ? 1 : (size_t)width;
	return len ? len : 1;
}

size_t text_fit(struct slice utf8, size_t columns)
{
	size_t at = 0;

	while (at < utf8.len) {
		size_t width;
		size_t len = step(slice_of(utf8.data + at, utf8.len - at), &width);

		if (width > columns)
			break;
		columns -= width;
		at += len;
	}
	return at;
}

size_t text_width(struct slice utf8)
{
	size_t columns = 0;

	for (size_t at = 0; at < utf8.len;) {
		size_t width;

		at += step(slice_of(utf8.data + at, utf8.len - at), &width);
		columns += width;
	}
	return columns;
}

const char *text_count(uint64_t n, char ret[static TEXT_NUMBER])
{
	char digits[24];
	int len = snprintf(digits, sizeof digits, "%" PRIu64, n);
	char *to = ret;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return ret;
}

const char *text_size(uint64_t bytes, char ret[static TEXT_NUMBER])
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
	double value = (double)bytes;
	size_t unit = 0;

	if (bytes < 1000) {
		(void)snprintf(ret, TEXT_NUMBER, "%u B", (unsigned)bytes);
		return ret;
	}
	/* 999.95 would be shown as 1000.0 */
	for (value /= 1000; value >= 999.5 && unit < 5; unit++)
		value /= 1000;
	(void)snprintf(ret, TEXT_NUMBER, value < 99.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return ret;
}

const char *text_duration(int64_t ms, char ret[static TEXT_NUMBER])
{
	int64_t s = ms < 0 ? 0 : (ms + 999) / 1000;

	if (s < 60)
		(void)snprintf(ret, TEXT_NUMBER, "%d s", (int)s);
	else if (s < 3600)
		(void)snprintf(ret, TEXT_NUMBER, "%d min %d s", (int)(s / 60), (int)(s % 60));
	else if (s < 48 * 3600)
		(void)snprintf(
			ret, TEXT_NUMBER, "%d h %d min", (int)(s / 3600), (int)(s % 3600 / 60));
	else
		(void)snprintf(ret, TEXT_NUMBER, "%" PRId64 " days", s / 86400);
	return ret;
}

static const char *text_moment(
	const struct output *o, moment_ms t, const char *format, char ret[static TEXT_MOMENT])
{
	time_t seconds = (time_t)(t / 1000 - (t % 1000 < 0));
	struct tm tm = {0};

	if (!(o->utc ? gmtime_r(&seconds, &tm) : localtime_r(&seconds, &tm)) ||
		strftime(ret, TEXT_MOMENT - 1, format, &tm) == 0) {
		(void)snprintf(ret, TEXT_MOMENT, "%" PRId64, t);
		return ret;
	}
	if (o->utc)
		memcpy(ret + strlen(ret), "Z", 2);
	return ret;
}

const char *text_minute(const struct output *o, moment_ms t, char ret[static TEXT_MOMENT])
{
	return text_moment(o, t, "%Y-%m-%d %H:%M", ret);
}

const char *text_second(const struct output *o, moment_ms t, char ret[static TEXT_MOMENT])
{
	return text_moment(o, t, "%Y-%m-%d %H:%M:%S", ret);
}

const char *plural(uint64_t n, const char *one, const char *more)
{
	return n == 1 ? one : more;
}
