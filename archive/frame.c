#include "archive/frame.h"

#include "archive/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
	IN_SIZE = 128 * 1024,
	OUT_SIZE = 256 * 1024,
	TAR_MAGIC_AT = 257, /* "ustar" in a POSIX.1-1988 header */
};

struct frame_reader {
	int fd;
	uint64_t offset, end; /* where the next pread begins, where it must stop */
	ZSTD_DCtx *zstd;
	ZSTD_inBuffer in;
	uint64_t start, frame_end;
	bool inside; /* a frame has begun and not ended */
	uint8_t in_data[IN_SIZE], out_data[OUT_SIZE];
};

int frame_reader_open(
	int fd, uint64_t from, uint64_t end, struct frame_reader **ret, struct fault *f)
{
	struct frame_reader *r CLEANUP(frame_reader_closep) = malloc(sizeof *r);

	if (!r)
		return fault_memory(f);
	memset(r, 0, offsetof(struct frame_reader, in_data));
	r->fd = fd;
	r->end = end;
	r->zstd = ZSTD_createDCtx();
	if (!r->zstd)
		return fault_memory(f);
	if (ZSTD_isError(
		    ZSTD_DCtx_setParameter(r->zstd, ZSTD_d_windowLogMax, LIMIT_FRAME_WINDOW_LOG)))
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "zstd refuses its parameters");
	frame_reader_seek(r, from);
	*ret = TAKE(r);
	return 0;
}

struct frame_reader *frame_reader_close(struct frame_reader *r)
{
	if (!r)
		return NULL;
	ZSTD_freeDCtx(r->zstd);
	free(r);
	return NULL;
}

void frame_reader_closep(struct frame_reader **r)
{
	*r = frame_reader_close(*r);
}

void frame_reader_seek(struct frame_reader *r, uint64_t from)
{
	(void)ZSTD_DCtx_reset(r->zstd, ZSTD_reset_session_only);
	r->offset = r->start = from;
	r->in = (ZSTD_inBuffer){r->in_data, 0, 0};
	r->frame_end = 0;
	r->inside = false;
}

uint64_t frame_reader_start(const struct frame_reader *r)
{
	return r->start;
}

uint64_t frame_reader_end(const struct frame_reader *r)
{
	return r->frame_end;
}

uint64_t frame_reader_offset(const struct frame_reader *r)
{
	return r->offset - (r->in.size - r->in.pos);
}

/* Fills the input; 0 at the end of the file. */
static int fill(struct frame_reader *r, struct fault *f)
{
	uint64_t left = r->offset < r->end ? r->end - r->offset : 0;
	size_t want = left < IN_SIZE ? (size_t)left : IN_SIZE;
	ssize_t n = 0;

	if (want > 0) {
		do {
			n = pread(r->fd, r->in_data, want, (off_t)r->offset);
		} while (n < 0 && errno == EINTR);
	}
	if (n < 0)
		return fault_errno(f, FAULT_DAMAGE, SCOPE_MESSAGE, errno,
			"cannot read at byte %" PRIu64, r->offset);
	r->in = (ZSTD_inBuffer){r->in_data, (size_t)n, 0};
	r->offset += (uint64_t)n;
	return n > 0;
}

void frame_reader_use(struct frame_reader *r, int fd)
{
	r->fd = fd;
}

/* Input, where there is none; 0 at the end of the file. */
static int have_input(struct frame_reader *r, struct fault *f)
{
	if (r->in.pos < r->in.size)
		return 1;
	int more = fill(r, f);
	if (more == 0 && r->inside)
		return fault_set(f, FAULT_DAMAGE, SCOPE_MESSAGE, 0,
			"the frame at byte %" PRIu64 " is cut short", r->start);
	return more;
}

int frame_read_into(struct frame_reader *r, uint8_t *to, size_t room, size_t *ret, struct fault *f)
{
	ZSTD_outBuffer out = {to, room, 0};

	for (;;) {
		int more = have_input(r, f);

		if (more <= 0)
			return more;
		if (!r->inside) {
			r->start = frame_reader_offset(r);
			r->inside = true;
		}
		size_t left = ZSTD_decompressStream(r->zstd, &out, &r->in);
		if (ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation)
			return fault_memory(f);
		if (ZSTD_isError(left))
			return fault_set(f, FAULT_DAMAGE, SCOPE_MESSAGE, 0,
				"the frame at byte %" PRIu64 " cannot be decoded: %s", r->start,
				ZSTD_getErrorName(left));
		r->inside = left != 0;
		r->frame_end = r->inside ? 0 : frame_reader_offset(r);
		if (out.pos > 0 || !r->inside) {
			*ret = out.pos;
			return FRAME_BYTES;
		}
	}
}

int frame_read(struct frame_reader *r, struct slice *ret, struct fault *f)
{
	size_t n = 0;

	while (n == 0) {
		int more = frame_read_into(r, r->out_data, OUT_SIZE, &n, f);

		if (more <= 0)
			return more;
	}
	*ret = slice_of(r->out_data, n);
	return FRAME_BYTES;
}

/* Whether a whole frame stands at the reader's place and begins with a tar header; its end. */
static int is_tar_frame(struct frame_reader *r, bool *ret, struct fault *f)
{
	struct slice bytes;
	struct fault why;

	*ret = false;
	for (bool first = true;; first = false) {
		int n = frame_read(r, &bytes, &why);

		if (n < 0 && (why.error == EIO || why.code == FAULT_MEMORY)) {
			*f = why;
			return -1;
		}
		if (n <= 0)
			return 0;
		if (first &&
			(bytes.len < 512 || memcmp(bytes.data + TAR_MAGIC_AT, "ustar", 5) != 0))
			return 0;
		if (frame_reader_end(r) > 0) {
			*ret = true;
			return 0;
		}
	}
}

int frame_find(int fd, uint64_t from, uint64_t end, uint64_t *ret, struct fault *f)
{
	static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd}; /* RFC 8878 section 3.1.1 */
	struct frame_reader *r CLEANUP(frame_reader_closep) = NULL;
	uint8_t *window CLEANUP(freep) = malloc(IN_SIZE);

	if (!window)
		return fault_memory(f);
	if (frame_reader_open(fd, from, end, &r, f) < 0)
		return -1;
	while (from + sizeof magic <= end) {
		size_t want = end - from < IN_SIZE ? (size_t)(end - from) : IN_SIZE;
		ssize_t n = pread(fd, window, want, (off_t)from);

		if (n < (ssize_t)sizeof magic)
			break;
		const uint8_t *at = memmem(window, (size_t)n, magic, sizeof magic);
		if (!at) {
			from += (uint64_t)n - (sizeof magic - 1);
			continue;
		}
		from += (uint64_t)(at - window);
		bool found;
		frame_reader_seek(r, from);
		if (is_tar_frame(r, &found, f) < 0)
			return -1;
		if (found) {
			*ret = from;
			return 0;
		}
		from++;
	}
	return FRAME_NONE;
}
