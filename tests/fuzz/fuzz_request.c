/* Any bytes as what popkeep-worker is asked to do: either a line is wrong and named, or each
 * message of it is within its caps, and says the same when it is written again. */
#include "archive/seal_work.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>

static void check_options(const struct seal_reader *r)
{
	require(r->options.level >= 1 && r->options.level <= 19);
	require(r->options.frame_bytes >= 64 * KIB && r->options.frame_bytes <= LIMIT_SEALED_FRAME);
	require(r->sources >= 1 && r->sources <= LIMIT_REPACK_SOURCES);
}

static void check_mail(const struct seal_reader *r, const struct seal_mail *m)
{
	require(m->source < r->sources);
	require(m->size <= LIMIT_MESSAGE && m->entry_offset <= LIMIT_SEALED_FRAME);
	require(m->archived >= 0 && m->archived % 1000 == 0);
	require(r->mails <= LIMIT_SEGMENT_MESSAGES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer again CLEANUP(buffer_deinit) = buffer_make(64 * MIB);
	int fd CLEANUP(fd_closep) = memfd_create("request", MFD_CLOEXEC);
	struct seal_reader r;
	struct seal_mail m;
	struct fault f = {0};
	int got;

	require(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
	if (seal_request_read(fd, &r, &f) < 0) {
		require(f.code == FAULT_FORMAT && f.text[0]);
		return 0;
	}
	check_options(&r);
	require(seal_request_begin(&r.options, r.sources, &again, &f) == 0);
	while ((got = seal_request_next(&r, &m, &f)) == SEAL_MAIL) {
		check_mail(&r, &m);
		require(seal_request_mail(&m, &again, &f) == 0);
	}
	require(got == 0 || (f.code == FAULT_FORMAT && f.text[0]));
	require(again.len <= size && memcmp(again.data, data, again.len) == 0);
	return 0;
}
