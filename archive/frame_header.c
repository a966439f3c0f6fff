#include "archive/frame_header.h"

#include <errno.h>
#include <inttypes.h>

enum {
	MAGIC_LEN = 4,
	HEADER_LEN = MAGIC_LEN + 2, /* with descriptor and window */
	BLOCK_HEADER = 3,
	CHECKSUM_LEN = 4,
	BLOCK_RLE = 1,
	BLOCK_RESERVED = 3,
	WINDOW_SHIFT = 3,
	WINDOW_LEAST = 10,
};

/* len bytes at offset; fewer: 1. */
static int get(int fd, uint64_t offset, uint64_t end, uint8_t *to, size_t len, struct fault *f)
{
	if (offset > end || end - offset < len)
		return 1;
	while (len > 0) {
		ssize_t n = pread(fd, to, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EIO) /* that is for the decoder to tell */
			return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
				"cannot read at byte %" PRIu64, offset);
		if (n <= 0)
			return 1;
		to += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* The end of a frame whose blocks begin at offset. */
static int pass_blocks(int fd, uint64_t offset, uint64_t end, uint64_t *ret, struct fault *f)
{
	uint8_t b[BLOCK_HEADER];

	for (;;) {
		int r = get(fd, offset, end, b, sizeof b, f);

		if (r != 0)
			return r;
		uint32_t header = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16;
		uint32_t type = header >> 1 & 3, size = header >> 3;
		if (type == BLOCK_RESERVED)
			return 1;
		offset += BLOCK_HEADER + (type == BLOCK_RLE ? 1 : size);
		if (header & 1) {
			*ret = offset + CHECKSUM_LEN;
			return *ret > end;
		}
	}
}

int frame_headers_check(int fd, uint64_t end, struct frame_headers *h, struct fault *f)
{
	static const uint8_t wanted[HEADER_LEN] = {0x28, 0xb5, 0x2f, 0xfd, OPEN_FRAME_DESCRIPTOR,
		(OPEN_FRAME_WINDOW_LOG - WINDOW_LEAST) << WINDOW_SHIFT};
	uint8_t header[HEADER_LEN];

	while (h->offset < end) {
		uint64_t next;
		int r = get(fd, h->offset, end, header, sizeof header, f);

		if (r == 0 && memcmp(header, wanted, MAGIC_LEN) != 0)
			r = 1;
		if (r == 0)
			r = pass_blocks(fd, h->offset + HEADER_LEN, end, &next, f);
		if (r != 0)
			return r < 0 ? -1 : 0;
		h->frames++;
		h->from = h->offset;
		h->offset = next;
		if (memcmp(header, wanted, HEADER_LEN) != 0)
			return FRAME_ODD;
	}
	return 0;
}
