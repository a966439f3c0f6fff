#include "cli/zip_check.h"

#include "archive/limits.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>

enum {
	LOCAL_HEADER = 0x04034b50,
	CENTRAL_HEADER = 0x02014b50,
	END64 = 0x06064b50,
	END64_LOCATOR = 0x07064b50,
	END = 0x06054b50,
	LOCAL_LEN = 30,
	CENTRAL_LEN = 46,
	END_LEN = 22,
	LOCATOR_LEN = 20,
	END64_LEN = 56,
	EXTRA_ZIP64 = 0x0001,
	NAME_LEN = 1024,
	TAIL = 16 * 1024 /* in which the end record is looked for */
};
#define NUMBER_MAX UINT32_C(0xffffffff)

static uint64_t get(const uint8_t *from, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = bytes; i-- > 0;)
		value = value << 8 | from[i];
	return value;
}

static bool read_at(int fd, uint64_t at, void *to, size_t len)
{
	ssize_t n;

	do
		n = pread(fd, to, len, (off_t)at);
	while (n < 0 && errno == EINTR);
	return n >= 0 && (size_t)n == len;
}

struct directory {
	int fd;
	uint64_t at, end, entries;
};

static bool read_end64(struct directory *d, uint64_t end_at)
{
	uint8_t b[END64_LEN];

	if (end_at < LOCATOR_LEN || !read_at(d->fd, end_at - LOCATOR_LEN, b, LOCATOR_LEN) ||
		get(b, 4) != END64_LOCATOR)
		return false;
	uint64_t at = get(b + 8, 8);
	if (at > end_at || !read_at(d->fd, at, b, sizeof b) || get(b, 4) != END64)
		return false;
	d->entries = get(b + 32, 8);
	d->end = at;
	return !__builtin_sub_overflow(at, get(b + 40, 8), &d->at) && d->at == get(b + 48, 8);
}

static bool read_end(struct directory *d, uint64_t size)
{
	uint8_t b[END_LEN];

	if (size < END_LEN || !read_at(d->fd, size - END_LEN, b, sizeof b) || get(b, 4) != END)
		return false;
	d->entries = get(b + 10, 2);
	uint64_t len = get(b + 12, 4), from = get(b + 16, 4);
	if (d->entries == 0xffff || len == NUMBER_MAX || from == NUMBER_MAX)
		return read_end64(d, size - END_LEN);
	d->end = size - END_LEN;
	d->at = from;
	return from + len == d->end;
}

/* Where the entry begins, by its central header and the extra fields behind the name. */
static bool offset_of(const struct directory *d, const uint8_t *header, uint64_t *ret)
{
	uint8_t extra[64];
	size_t len = (size_t)get(header + 30, 2), at = 0;

	*ret = get(header + 42, 4);
	if (*ret != NUMBER_MAX)
		return true;
	if (len > sizeof extra ||
		!read_at(d->fd, d->at + CENTRAL_LEN + get(header + 28, 2), extra, len))
		return false;
	while (at + 4 <= len) {
		size_t size = (size_t)get(extra + at + 2, 2);

		/* The offset is the last of what it has. */
		if (get(extra + at, 2) == EXTRA_ZIP64 && size >= 8 && at + 4 + size <= len) {
			*ret = get(extra + at + 4 + size - 8, 8);
			return true;
		}
		at += 4 + size;
	}
	return false;
}

/* Its local header has the same name and checksum. */
static bool entry_fits(const struct directory *d, const uint8_t *header, const uint8_t *name)
{
	uint8_t local[LOCAL_LEN], there[NAME_LEN];
	size_t len = (size_t)get(header + 28, 2);
	uint64_t offset;

	return offset_of(d, header, &offset) && read_at(d->fd, offset, local, sizeof local) &&
	       get(local, 4) == LOCAL_HEADER && get(local + 26, 2) == len &&
	       memcmp(local + 14, header + 16, 4) == 0 &&
	       read_at(d->fd, offset + LOCAL_LEN, there, len) && memcmp(there, name, len) == 0;
}

/* 1: it is none, or of nothing that was found. */
static int check_entry(struct directory *d, struct found_files *found, struct fault *f)
{
	uint8_t header[CENTRAL_LEN], name[NAME_LEN];
	struct found_file file;

	if (!read_at(d->fd, d->at, header, sizeof header) || get(header, 4) != CENTRAL_HEADER)
		return 1;
	size_t len = (size_t)get(header + 28, 2);
	if (len > sizeof name || !read_at(d->fd, d->at + CENTRAL_LEN, name, len) ||
		!entry_fits(d, header, name))
		return 1;
	d->at += CENTRAL_LEN + len + get(header + 30, 2) + get(header + 32, 2);
	const uint8_t *slash = memchr(name, '/', len);
	if (!slash)
		return 1;
	struct slice inner = slice_of(slash + 1, len - (size_t)(slash + 1 - name));
	if (slice_compare(inner, slice_text("SHA256SUMS")) == 0)
		return 0;
	int r = found_files_look(found, inner, &file, f);
	return r < 0 ? -1 : r == 0;
}

int zip_check(int fd, struct found_files *found, struct fault *f)
{
	struct directory d = {.fd = fd};
	uint8_t magic[4];
	struct stat st;

	if (!read_at(fd, 0, magic, sizeof magic) || get(magic, 4) != LOCAL_HEADER)
		return ZIP_NONE;
	if (fstat(fd, &st) < 0 || !read_end(&d, (uint64_t)st.st_size) ||
		d.entries != found_files_count(found) + 1)
		return ZIP_WRONG;
	for (uint64_t i = 0; i < d.entries; i++) {
		int r = check_entry(&d, found, f);

		if (r != 0)
			return r < 0 ? -1 : ZIP_WRONG;
	}
	return d.at == d.end ? 0 : ZIP_WRONG;
}

/* Where the directory begins, by the end record at b, which lies at this place of the file. */
static uint64_t directory_at(int fd, const uint8_t *b, uint64_t place)
{
	uint64_t at = get(b + 16, 4);
	uint8_t locator[LOCATOR_LEN], end[END64_LEN];

	if (at != NUMBER_MAX || place < LOCATOR_LEN ||
		!read_at(fd, place - LOCATOR_LEN, locator, sizeof locator) ||
		get(locator, 4) != END64_LOCATOR ||
		!read_at(fd, get(locator + 8, 8), end, sizeof end))
		return at;
	return get(end + 48, 8);
}

uint64_t zip_directory_size(int fd)
{
	uint8_t tail[TAIL];
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_size < END_LEN)
		return 0;
	uint64_t size = (uint64_t)st.st_size;
	size_t len = size < sizeof tail ? (size_t)size : sizeof tail;
	if (!read_at(fd, size - len, tail, len))
		return 0;
	for (size_t i = len - END_LEN + 1; i-- > 0;) {
		if (get(tail + i, 4) != END)
			continue;
		uint64_t at = directory_at(fd, tail + i, size - len + i);
		return at < size ? size - at : 0;
	}
	return 0;
}
