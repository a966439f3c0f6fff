/* Any bytes as a segment. The first byte chooses: they are the file as it is, or what its frames
 * hold (a fuzzer does not find frames with valid checksums by itself), cut into frames of a size
 * that the first byte gives. Whatever it is, the walk ends, moves forward only, and what it calls a
 * message reads back as that message from the place that it names, or is told to be damaged. */
#include "archive/digest.h"
#include "archive/frame.h"
#include "archive/segment.h"
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <zstd.h>

enum { READ_BACK_MAX = 64 };

static int digest_sink(void *context, struct slice bytes, struct fault *f)
{
	(void)f;
	hasher_add(context, bytes.data, bytes.len);
	return 0;
}

static void put(int fd, const void *data, size_t size)
{
	require(size == 0 || write(fd, data, size) == (ssize_t)size);
}

static void put_frames(int fd, const uint8_t *data, size_t size, size_t step)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	uint8_t *out = malloc(ZSTD_compressBound(step));

	require(c && out);
	require(!ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1)));
	for (size_t at = 0; at < size; at += step) {
		size_t n = size - at < step ? size - at : step;
		size_t made = ZSTD_compress2(c, out, ZSTD_compressBound(step), data + at, n);

		require(!ZSTD_isError(made));
		put(fd, out, made);
	}
	free(out);
	(void)ZSTD_freeCCtx(c);
}

static uint64_t make_file(int fd, const uint8_t *data, size_t size)
{
	if (data[0] & 1)
		put_frames(fd, data + 1, size - 1, (size_t)512 * (1 + data[0] / 2));
	else
		put(fd, data + 1, size - 1);
	off_t end = lseek(fd, 0, SEEK_END);
	require(end >= 0);
	return (uint64_t)end;
}

static void read_back(int fd, struct frame_cache *cache, const struct segment_entry *e)
{
	struct hasher *hasher CLEANUP(hasher_freep) = NULL;
	struct digest found;
	struct fault f;

	require(hasher_new(&hasher, &f) == 0);
	int r = segment_read_entry(
		fd, cache, &e->at, &e->named, e->size, UINT64_MAX, digest_sink, hasher, &f);
	/* libarchive asks more of the first header that it meets than of the next ones. */
	require(r == 0 || (r == ENTRY_OTHER && f.code == FAULT_DAMAGE));
	hasher_end(hasher, &found);
	require(r != 0 || digest_compare(&found, &e->named) == 0);
}

static void walk(int fd, uint64_t end)
{
	struct segment_walk *w CLEANUP(segment_walk_closep) = NULL;
	struct frame_cache cache CLEANUP(frame_cache_deinit) = {0};
	struct segment_entry e = {0};
	struct fault f = {0};
	uint64_t from, to, last_damage = 0, last_frame = 0;
	int r, messages = 0;

	require(segment_walk_open(fd, 1, 0, end, WALK_DIGEST, &w, &f) == 0);
	while ((r = segment_walk_next(w, &e, &from, &to, &f)) > 0) {
		if (r == WALK_DAMAGE) {
			require(from < to && to <= end && from >= last_damage);
			require(f.code == FAULT_DAMAGE && f.text[0]);
			last_damage = to;
			continue;
		}
		require(e.at.segment == 1 && e.at.frame_offset < end);
		require(e.at.frame_offset >= last_frame);
		last_frame = e.at.frame_offset;
		if (entry_is_message(e.kind) && digest_compare(&e.named, &e.found) == 0 &&
			messages++ < READ_BACK_MAX)
			read_back(fd, &cache, &e);
	}
	require(r == 0);
}

/* A place that was never one: whatever lies there, it is told and not believed. */
static void read_anywhere(int fd, const uint8_t *data, size_t size, uint64_t end)
{
	struct frame_cache cache CLEANUP(frame_cache_deinit) = {0};
	struct hasher *hasher CLEANUP(hasher_freep) = NULL;
	struct digest digest = {{0}};
	struct fault f = {0};
	struct location at = {1, end ? data[size - 1] % end : 0, data[size / 2] * 32U};

	require(hasher_new(&hasher, &f) == 0);
	require(segment_read_entry(fd, &cache, &at, &digest, data[0], UINT64_MAX, digest_sink,
			hasher, &f) == ENTRY_OTHER);
	require(f.code == FAULT_DAMAGE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	int fd CLEANUP(fd_closep) = memfd_create("segment", MFD_CLOEXEC);
	require(fd >= 0);
	uint64_t end = make_file(fd, data, size);

	walk(fd, end);
	read_anywhere(fd, data, size, end);
	return 0;
}
