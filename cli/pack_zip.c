/* zip, as PKWARE's APPNOTE.TXT 6.3 has it: deflated entries with UTF-8 names, sizes in the local
 * headers (no data descriptors, which some readers cannot pass over), Unix times, and zip64 fields
 * where a number needs them.
 *
 * Not by libarchive: that keeps the central directory in memory until the end, some hundred bytes
 * for each message, and cannot go on in a file that an earlier run began. Here the directory grows
 * in a file without a name, and what an interrupted run had of it is read again from the local
 * headers. */
#include "cli/pack.h"

#include "archive/file.h"
#include "archive/limits.h"
#include "cli/new_file.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>
#include <zlib.h>

enum {
	LOCAL_HEADER = 0x04034b50,
	CENTRAL_HEADER = 0x02014b50,
	END64 = 0x06064b50,
	END64_LOCATOR = 0x07064b50,
	END = 0x06054b50,
	LOCAL_LEN = 30,
	CENTRAL_LEN = 46,
	END_ALL_LEN = 56 + 20 + 22,
	NEEDS_DEFLATE = 20,
	NEEDS_ZIP64 = 45,
	MADE_BY_UNIX = 3 << 8,
	FLAG_UTF8 = 0x0800,
	DEFLATED = 8,
	EXTRA_ZIP64 = 0x0001,
	EXTRA_TIME = 0x5455,
	TIME_LEN = 9,	    /* extra field: id, length, flags, seconds */
	SIZES_LEN = 20,	    /* extra field: id, length, both sizes */
	CENTRAL_EXTRA = 28, /* likewise, with the offset */
	LOCAL_AT = 14,	    /* and in a local one */
	FILE_MODE = 0100600,
	LEVEL = 3,
	WINDOW_BITS = 15,
	MEMORY_LEVEL = 8,
	OUT_SIZE = 64 * 1024,
	NAME_MAX_LEN = 1024,
	HEADER_MAX = CENTRAL_LEN + NAME_MAX_LEN + TIME_LEN + CENTRAL_EXTRA
};
#define NUMBER_MAX  UINT32_C(0xffffffff)
#define ENTRIES_MAX 0xffff
/* Deflate makes nothing larger than this so much that it would not fit 32 bits. */
#define LARGE UINT64_C(0xf0000000)

struct entry {
	char name[NAME_MAX_LEN + 1];
	uint32_t crc, dos_time; /* dos_time: date above, time below */
	uint32_t seconds;	/* since 1970 */
	uint64_t size, packed, offset;
	bool large; /* with 64-bit sizes in its local header */
};

struct zip {
	struct pack pack;
	z_stream deflate;
	bool deflates; /* deflateInit2() went well */
	struct entry entry;
	uint64_t data;	      /* of the entry, in the file */
	int directory;	      /* the file of central headers */
	struct buffer header; /* under construction */
	struct buffer held;   /* central headers that are not in the file yet */
	uint64_t directory_len, entries;
	uint8_t out[OUT_SIZE];
};

static struct zip *zip_of(struct pack *p)
{
	return (struct zip *)p;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static void put(struct buffer *to, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		to->data[to->len++] = (uint8_t)(value >> 8 * i);
}

static uint64_t get(const uint8_t *from, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = bytes; i-- > 0;)
		value = value << 8 | from[i];
	return value;
}

static uint64_t or_max(uint64_t value, bool large)
{
	return large ? NUMBER_MAX : value;
}

/* Local time with a step of two seconds, from 1980 on; in the upper half the date. */
static uint32_t dos_time(moment_ms t)
{
	time_t seconds = (time_t)(t / 1000);
	struct tm tm;

	if (t <= 0 || !localtime_r(&seconds, &tm) || tm.tm_year < 80 || tm.tm_year > 207)
		return 1 << 21 | 1 << 16;
	return (uint32_t)(tm.tm_year - 80) << 25 | (uint32_t)(tm.tm_mon + 1) << 21 |
	       (uint32_t)tm.tm_mday << 16 | (uint32_t)tm.tm_hour << 11 | (uint32_t)tm.tm_min << 5 |
	       (uint32_t)tm.tm_sec / 2;
}

static void put_time(struct buffer *to, uint32_t seconds)
{
	put(to, EXTRA_TIME, 2);
	put(to, TIME_LEN - 4, 2);
	put(to, 1, 1);
	put(to, seconds, 4);
}

/* ---- Headers --------------------------------------------------------------------------------- */

static void put_numbers(struct buffer *to, const struct entry *e, bool large)
{
	put(to, e->crc, 4);
	put(to, or_max(e->packed, large), 4);
	put(to, or_max(e->size, large), 4);
}

static void make_local(struct zip *z)
{
	const struct entry *e = &z->entry;
	struct buffer *to = &z->header;
	size_t len = strlen(e->name);

	buffer_clear(to);
	put(to, LOCAL_HEADER, 4);
	put(to, e->large ? NEEDS_ZIP64 : NEEDS_DEFLATE, 2);
	put(to, FLAG_UTF8, 2);
	put(to, DEFLATED, 2);
	put(to, e->dos_time, 4);
	put_numbers(to, e, e->large);
	put(to, len, 2);
	put(to, TIME_LEN + (e->large ? SIZES_LEN : 0), 2);
	memcpy(to->data + to->len, e->name, len);
	to->len += len;
	put_time(to, e->seconds);
	if (!e->large)
		return;
	put(to, EXTRA_ZIP64, 2);
	put(to, SIZES_LEN - 4, 2);
	put(to, e->size, 8);
	put(to, e->packed, 8);
}

static void make_central(struct zip *z)
{
	const struct entry *e = &z->entry;
	struct buffer *to = &z->header;
	size_t len = strlen(e->name);
	bool far = e->offset >= NUMBER_MAX;
	size_t numbers = (e->large ? 16u : 0u) + (far ? 8u : 0u);

	buffer_clear(to);
	put(to, CENTRAL_HEADER, 4);
	put(to, MADE_BY_UNIX | NEEDS_ZIP64, 2);
	put(to, numbers ? NEEDS_ZIP64 : NEEDS_DEFLATE, 2);
	put(to, FLAG_UTF8, 2);
	put(to, DEFLATED, 2);
	put(to, e->dos_time, 4);
	put_numbers(to, e, e->large);
	put(to, len, 2);
	put(to, TIME_LEN + (numbers ? 4 + numbers : 0), 2);
	put(to, 0, 2 + 2 + 2); /* no comment, disk 0, no internal attributes */
	put(to, (uint64_t)FILE_MODE << 16, 4);
	put(to, or_max(e->offset, far), 4);
	memcpy(to->data + to->len, e->name, len);
	to->len += len;
	put_time(to, e->seconds);
	if (!numbers)
		return;
	put(to, EXTRA_ZIP64, 2);
	put(to, numbers, 2);
	if (e->large) {
		put(to, e->size, 8);
		put(to, e->packed, 8);
	}
	if (far)
		put(to, e->offset, 8);
}

/* ---- The directory ----------------------------------------------------------------------------
 */

static int directory_error(const char *what, struct fault *f)
{
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
		"cannot %s the directory of a zip file", what);
}

static int write_held(struct zip *z, struct fault *f)
{
	if (new_file_append(z->directory, buffer_slice(&z->held)) < 0)
		return directory_error("write", f);
	buffer_clear(&z->held);
	return 0;
}

static int add_to_directory(struct zip *z, struct fault *f)
{
	make_central(z);
	if (z->held.len + z->header.len > OUT_SIZE && write_held(z, f) < 0)
		return -1;
	if (buffer_append(&z->held, z->header.data, z->header.len, f) < 0)
		return -1;
	z->directory_len += z->header.len;
	z->entries++;
	return 0;
}

static int not_ours(struct fault *f)
{
	return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
		"the unfinished zip file is not what its manifest says; name a new file");
}

/* From what the local header says. */
static int read_entry(const struct zip *z, uint64_t offset, struct entry *ret)
{
	const struct volume *v = z->pack.out;
	uint8_t b[LOCAL_LEN], extra[TIME_LEN + SIZES_LEN];

	if (volume_read(v, offset, b, sizeof b) < 0 || get(b, 4) != LOCAL_HEADER)
		return -1;
	size_t len = (size_t)get(b + 26, 2), extra_len = (size_t)get(b + 28, 2);
	if (len > NAME_MAX_LEN || extra_len < TIME_LEN || extra_len > sizeof extra ||
		volume_read(v, offset + LOCAL_LEN, ret->name, len) < 0 ||
		volume_read(v, offset + LOCAL_LEN + len, extra, extra_len) < 0)
		return -1;
	ret->name[len] = '\0';
	ret->dos_time = (uint32_t)get(b + 10, 4);
	ret->crc = (uint32_t)get(b + LOCAL_AT, 4);
	ret->packed = get(b + LOCAL_AT + 4, 4);
	ret->size = get(b + LOCAL_AT + 8, 4);
	ret->seconds = (uint32_t)get(extra + 5, 4);
	ret->offset = offset;
	ret->large = extra_len == sizeof extra;
	if (ret->large) {
		ret->size = get(extra + TIME_LEN + 4, 8);
		ret->packed = get(extra + TIME_LEN + 12, 8);
	}
	return strlen(ret->name) == len ? 0 : -1;
}

static int zip_recall(struct pack *p, uint64_t offset, struct fault *f)
{
	struct zip *z = zip_of(p);

	return read_entry(z, offset, &z->entry) < 0 ? not_ours(f) : add_to_directory(z, f);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int zip_open(struct volume *out, int folder, struct pack **ret, struct fault *f)
{
	struct zip *z = calloc(1, sizeof *z);
	struct pack *owned CLEANUP(pack_closep) = z ? &z->pack : NULL;

	if (!z)
		return fault_memory(f);
	z->pack = (struct pack){&pack_zip, out};
	z->header = buffer_make(HEADER_MAX);
	z->held = buffer_make(OUT_SIZE);
	z->directory = file_open_unlinked(folder);
	if (z->directory < 0)
		return directory_error("make a file for", f);
	z->deflates = deflateInit2(&z->deflate, LEVEL, Z_DEFLATED, -WINDOW_BITS, MEMORY_LEVEL,
			      Z_DEFAULT_STRATEGY) == Z_OK;
	if (!z->deflates || buffer_reserve(&z->header, HEADER_MAX, f) < 0)
		return fault_memory(f);
	*ret = TAKE(owned);
	return 0;
}

static void zip_close(struct pack *p)
{
	struct zip *z = zip_of(p);

	if (z->deflates)
		(void)deflateEnd(&z->deflate);
	fd_closep(&z->directory);
	buffer_deinit(&z->header);
	buffer_deinit(&z->held);
	free(z);
}

/* ---- Entries --------------------------------------------------------------------------------- */

static int zip_begin(struct pack *p, const struct pack_entry *e, struct fault *f)
{
	struct zip *z = zip_of(p);
	size_t len = strlen(e->name);
	int64_t seconds = e->time > 0 ? e->time / 1000 : 0;

	if (len > NAME_MAX_LEN)
		return fault_set(f, FAULT_LIMIT, SCOPE_MESSAGE, 0, "too long a name for zip");
	z->entry = (struct entry){.dos_time = dos_time(e->time),
		.crc = (uint32_t)crc32(0, NULL, 0),
		.seconds = seconds > INT32_MAX ? INT32_MAX : (uint32_t)seconds,
		.offset = volume_end(p->out),
		.large = e->size >= LARGE};
	memcpy(z->entry.name, e->name, len + 1);
	if (deflateReset(&z->deflate) != Z_OK)
		return fault_memory(f);
	make_local(z);
	if (volume_put(p->out, buffer_slice(&z->header), f) < 0)
		return -1;
	z->data = volume_end(p->out);
	return 0;
}

/* flush: Z_NO_FLUSH, or Z_FINISH for the end of an entry. */
static int deflate_some(struct zip *z, struct slice bytes, int flush, struct fault *f)
{
	int r;

	/* zlib does not write to what it reads, and says so only in its documentation. */
	memcpy(&z->deflate.next_in, &bytes.data, sizeof bytes.data);
	z->deflate.avail_in = (unsigned)bytes.len;
	do {
		z->deflate.next_out = z->out;
		z->deflate.avail_out = OUT_SIZE;
		r = deflate(&z->deflate, flush);
		if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
			return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "zlib fails");
		if (volume_put(z->pack.out, slice_of(z->out, OUT_SIZE - z->deflate.avail_out), f) <
			0)
			return -1;
	} while (flush == Z_FINISH ? r != Z_STREAM_END : z->deflate.avail_out == 0);
	return 0;
}

static int zip_put(struct pack *p, struct slice bytes, struct fault *f)
{
	struct zip *z = zip_of(p);

	while (bytes.len > 0) {
		size_t n = bytes.len < MIB ? bytes.len : MIB;

		z->entry.crc = (uint32_t)crc32(z->entry.crc, bytes.data, (unsigned)n);
		z->entry.size += n;
		if (deflate_some(z, slice_of(bytes.data, n), Z_NO_FLUSH, f) < 0)
			return -1;
		bytes = slice_of(bytes.data + n, bytes.len - n);
	}
	return 0;
}

static int zip_end(struct pack *p, struct fault *f)
{
	struct zip *z = zip_of(p);

	if (deflate_some(z, slice_of(NULL, 0), Z_FINISH, f) < 0)
		return -1;
	z->entry.packed = volume_end(p->out) - z->data;
	make_local(z);
	if (volume_patch(p->out, z->entry.offset, buffer_slice(&z->header), f) < 0)
		return -1;
	return add_to_directory(z, f);
}

static int zip_flush(struct pack *p, struct fault *f)
{
	(void)p;
	(void)f;
	return 0;
}

static uint64_t zip_offset(const struct pack *p)
{
	return volume_end(p->out);
}

/* ---- The end --------------------------------------------------------------------------------- */

static int put_directory(struct zip *z, struct fault *f)
{
	uint64_t at = 0;

	if (write_held(z, f) < 0)
		return -1;
	while (at < z->directory_len) {
		ssize_t n = pread(z->directory, z->out, OUT_SIZE, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ENODATA;
		if (n <= 0)
			return directory_error("read", f);
		if (volume_put(z->pack.out, slice_of(z->out, (size_t)n), f) < 0)
			return -1;
		at += (uint64_t)n;
	}
	return 0;
}

static int zip_finish(struct pack *p, struct fault *f)
{
	struct zip *z = zip_of(p);
	struct buffer *to = &z->header;
	uint64_t from = volume_end(p->out);

	if (put_directory(z, f) < 0)
		return -1;
	buffer_clear(to);
	if (z->entries >= ENTRIES_MAX || from >= NUMBER_MAX || z->directory_len >= NUMBER_MAX) {
		uint64_t end = volume_end(p->out);

		put(to, END64, 4);
		put(to, 44, 8); /* bytes that follow in this record */
		put(to, MADE_BY_UNIX | NEEDS_ZIP64, 2);
		put(to, NEEDS_ZIP64, 2);
		put(to, 0, 8); /* this is disk 0, and the directory begins there */
		put(to, z->entries, 8);
		put(to, z->entries, 8);
		put(to, z->directory_len, 8);
		put(to, from, 8);
		put(to, END64_LOCATOR, 4);
		put(to, 0, 4);
		put(to, end, 8);
		put(to, 1, 4);
	}
	put(to, END, 4);
	put(to, 0, 4);
	uint64_t n = z->entries < ENTRIES_MAX ? z->entries : ENTRIES_MAX;
	put(to, n, 2);
	put(to, n, 2);
	put(to, or_max(z->directory_len, z->directory_len >= NUMBER_MAX), 4);
	put(to, or_max(from, from >= NUMBER_MAX), 4);
	put(to, 0, 2);
	return volume_put(p->out, buffer_slice(to), f);
}

static uint64_t zip_most(const struct pack *p, size_t name_len, uint64_t size)
{
	const struct zip *z = (const struct zip *)p;

	return volume_end(p->out) + z->directory_len + 2 * (HEADER_MAX - NAME_MAX_LEN + name_len) +
	       size + size / 1000 + 64 + END_ALL_LEN;
}

const struct pack_kind pack_zip = {
	.open = zip_open,
	.recall = zip_recall,
	.begin = zip_begin,
	.put = zip_put,
	.end = zip_end,
	.flush = zip_flush,
	.reset = zip_flush,
	.finish = zip_finish,
	.offset = zip_offset,
	.most = zip_most,
	.close = zip_close,
};
