/* Any bytes as a sealed segment. The first byte chooses: they are the file as it is, or the entries
 * of a tar file, put into frames of a size that the first byte gives, with end blocks and true
 * tables (a fuzzer finds neither checksums nor digests by itself). Whatever it is, table and walk
 * agree on its end, the walk ends, and what it calls a whole message reads back as it. */
#include "archive/digest.h"
#include "archive/frame_table.h"
#include "archive/frame_write.h"
#include "archive/limits.h"
#include "archive/segment.h"
#include "archive/tar_write.h"
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>

enum { READ_BACK_MAX = 32, TABLE_ROOM = 4 * 1024 * 1024, SUM_AT = 148, SUM_LEN = 8 };

struct file {
	int fd;
	struct hasher *hasher;
	struct frame_table table;
};

static int on_bytes(void *context, struct slice bytes, struct fault *f)
{
	struct file *file = context;

	(void)f;
	hasher_add(file->hasher, bytes.data, bytes.len);
	require(write(file->fd, bytes.data, bytes.len) == (ssize_t)bytes.len);
	return 0;
}

static int on_frame(void *context, uint64_t size, uint64_t decoded, struct fault *f)
{
	struct file *file = context;
	struct digest digest;

	hasher_end(file->hasher, &digest);
	return frame_table_add(&file->table, (uint32_t)size, (uint32_t)decoded, &digest, f);
}

/* Headers get the checksum that they should have. */
static void mend_headers(uint8_t *tar, size_t size)
{
	for (size_t at = 0; at + TAR_BLOCK <= size; at += TAR_BLOCK) {
		uint8_t *block = tar + at;
		unsigned sum = 0;

		if (memcmp(block + 257, "ustar", 5) != 0)
			continue;
		memset(block + SUM_AT, ' ', SUM_LEN);
		for (size_t i = 0; i < TAR_BLOCK; i++)
			sum += block[i];
		(void)snprintf((char *)block + SUM_AT, SUM_LEN, "%06o", sum);
	}
}

static void put_sealed(int fd, const uint8_t *data, size_t size, size_t step)
{
	struct file file = {.fd = fd};
	struct frame_sink sink = {on_bytes, on_frame, &file};
	struct frame_write_options options = {.level = 1, .most_bytes = step};
	struct frame_writer *frames CLEANUP(frame_writer_closep) = NULL;
	struct buffer tables CLEANUP(buffer_deinit) = buffer_make(TABLE_ROOM);
	uint8_t *tar CLEANUP(freep) = calloc(1, size + TAR_END);
	struct fault f;

	require(tar && hasher_new(&file.hasher, &f) == 0);
	memcpy(tar, data, size);
	mend_headers(tar, size);
	require(frame_writer_open(&options, &sink, &frames, &f) == 0);
	require(frame_writer_add(frames, slice_of(tar, size + TAR_END), &f) == 0);
	require(frame_writer_end_frame(frames, &f) == 0 && frame_writer_flush(frames, &f) == 0);
	require(frame_table_format(&file.table, &tables, &f) == 0);
	require(write(fd, tables.data, tables.len) == (ssize_t)tables.len);
	frame_table_deinit(&file.table);
	hasher_free(file.hasher);
}

static int digest_sink(void *context, struct slice bytes, struct fault *f)
{
	(void)f;
	hasher_add(context, bytes.data, bytes.len);
	return 0;
}

static void read_back(int fd, struct frame_cache *cache, const struct segment_entry *e)
{
	struct hasher *hasher CLEANUP(hasher_freep) = NULL;
	struct digest found;
	struct fault f;

	require(hasher_new(&hasher, &f) == 0);
	require(segment_read_entry(fd, cache, &e->at, &e->named, e->size, UINT64_MAX, digest_sink,
			hasher, &f) == 0);
	hasher_end(hasher, &found);
	require(digest_compare(&found, &e->named) == 0);
}

static unsigned walk(int fd, uint64_t end, enum walk_mode mode, uint64_t *ret_end)
{
	struct segment_walk *w CLEANUP(segment_walk_closep) = NULL;
	struct frame_cache cache CLEANUP(frame_cache_deinit) = {0};
	struct segment_entry e = {0};
	struct fault f = {0};
	uint64_t from, to, last = 0;
	int r, messages = 0;
	unsigned damage = 0;

	require(segment_walk_open(fd, 1, 0, end, mode, &w, &f) == 0);
	while ((r = segment_walk_next(w, &e, &from, &to, &f)) > 0) {
		if (r == WALK_DAMAGE) {
			require(from < to && to <= end && from >= last);
			require(f.code == FAULT_DAMAGE && f.text[0]);
			last = to;
			damage++;
			continue;
		}
		require(!e.unread || f.code == FAULT_DAMAGE);
		if (mode == WALK_DIGEST && entry_is_message(e.kind) &&
			digest_compare(&e.named, &e.found) == 0 && messages++ < READ_BACK_MAX)
			read_back(fd, &cache, &e);
	}
	require(r == 0);
	(void)segment_walk_tail(w, ret_end);
	return damage;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_table t CLEANUP(frame_table_deinit) = {0};
	struct fault f;
	uint64_t frames_end;

	if (size < 1)
		return 0;
	int fd CLEANUP(fd_closep) = memfd_create("sealed", MFD_CLOEXEC);
	require(fd >= 0);
	bool made = data[0] & 1;
	if (made)
		put_sealed(fd, data + 1, size - 1, (size_t)512 * (1 + data[0] / 2));
	else
		require(write(fd, data + 1, size - 1) == (ssize_t)(size - 1));
	uint64_t end = (uint64_t)lseek(fd, 0, SEEK_END);
	int r = frame_table_read(fd, end, &t, &f);
	require(r >= 0 || f.code == FAULT_DAMAGE);
	require(!made || r == 0);
	require(r != 0 || frame_table_end(&t) < end);
	unsigned damage = walk(fd, end, WALK_DIGEST, &frames_end);
	require(!made || damage > 0 || frames_end == frame_table_end(&t));
	(void)walk(fd, end, WALK_NAMES, &frames_end);
	return 0;
}
