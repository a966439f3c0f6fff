/* The new file of a seal, as it comes out of a worker: seal_check.c finds out what it is. Here only
 * the space that it takes is watched, beside what exchange.c watches. */
#include "archive/exchange.h"
#include "archive/file.h"
#include "archive/seal_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct making {
	struct store *s;
	struct seal_plan *p;
	const struct seal_job *job;
	int to; /* seal.tmp */
	struct hasher *hasher;
	uint64_t written, most; /* bytes of the file, and how many it may have */
	size_t next_mail;	/* of the request */
};

static void making_deinit(struct making *x)
{
	hasher_free(x->hasher);
	fd_closep(&x->to);
}

static int add_request(void *context, struct buffer *to, struct fault *f)
{
	struct making *x = context;

	if (x->next_mail == 0 && seal_request_begin(&x->job->options, x->p->sources, to, f) < 0)
		return -1;
	while (x->next_mail < x->p->mails && to->len < EXCHANGE_PIECE) {
		if (seal_request_mail(&x->p->mail[x->next_mail++], to, f) < 0)
			return -1;
	}
	if (x->next_mail < x->p->mails)
		return 0;
	return seal_request_end(to, f) < 0 ? -1 : EXCHANGE_REQUEST_ENDS;
}

static int take_bytes(void *context, struct slice bytes, struct fault *f)
{
	struct making *x = context;

	if (bytes.len > x->most - x->written)
		return exchange_lie(f, "made more bytes than a segment of these messages can have");
	if (file_write_at(x->to, bytes, x->written) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot write segments/" FILE_SEAL_TMP);
	hasher_add(x->hasher, bytes.data, bytes.len);
	x->written += bytes.len;
	return 0;
}

int64_t seal_deadline(const struct seal_plan *p, const struct seal_job *job)
{
	return exchange_deadline(p->bytes, job->silence_ms);
}

static int open_making(struct making *x, struct fault *f)
{
	/* zstd makes what it cannot compress larger by less than an eighth. */
	uint64_t each = x->p->bytes + x->p->mails * LIMIT_SEALED_EACH + x->p->ledger_size;

	x->most = each + each / 8 + LIMIT_SEALED_REST;
	x->to = openat(
		x->s->segments_fd, FILE_SEAL_TMP, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (x->to < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot make segments/" FILE_SEAL_TMP);
	return hasher_new(&x->hasher, f);
}

/* The worker's scratch file lies where the archive does. */
static bool is_full(struct store *s)
{
	struct statvfs fs;

	return fstatvfs(s->folder_fd, &fs) == 0 && fs.f_bavail * fs.f_frsize < LIMIT_SEALED_REST;
}

/* The room that the worker needs, or a full disk would look like its fault. Where that cannot be
 * had in advance, it goes on. */
static int open_scratch(const struct making *x, int *ret, struct fault *f)
{
	int fd CLEANUP(fd_closep) = file_open_unlinked(x->s->folder_fd);

	if (fd < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot make a temporary file in the archive");
	if (x->p->bytes > 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)x->p->bytes) < 0 &&
		(errno == ENOSPC || errno == EDQUOT))
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"a temporary file of %" PRIu64 " MiB in the archive",
			x->p->bytes / MIB + 1);
	*ret = fd_take(&fd);
	return 0;
}

static int run(struct making *x, struct fault *f)
{
	int source[LIMIT_REPACK_SOURCES];
	int scratch CLEANUP(fd_closep) = -1;

	if (open_scratch(x, &scratch, f) < 0)
		return -1;
	for (size_t i = 0; i < x->p->sources; i++)
		source[i] = x->p->source[i].fd;
	const struct seal_fds fds = {.request = -1,
		.out = -1,
		.status = -1,
		.scratch = scratch,
		.ledger = x->p->ledger_fd,
		.source = source,
		.sources = x->p->sources};
	const struct exchange_job job = {.starter = &x->job->starter,
		.fds = &fds,
		.request = add_request,
		.take = take_bytes,
		.context = x,
		.progress = x->job->progress,
		.progress_context = x->job->progress_context,
		.silence_ms = x->job->silence_ms,
		.deadline_ms = seal_deadline(x->p, x->job)};
	int r = exchange_run(&job, f);
	if (r == EXCHANGE_FAILED && is_full(x->s))
		f->code = FAULT_WRITE;
	return r == 0 ? 0 : -1;
}

static int make_durable(struct making *x, struct sealed_file *ret, struct fault *f)
{
	if (fchmod(x->to, 0440) < 0 || fdatasync(x->to) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot sync segments/" FILE_SEAL_TMP);
	ret->size = x->written;
	hasher_end(x->hasher, &ret->digest);
	return 0;
}

int seal_exchange(struct store *s, struct seal_plan *p, const struct seal_job *job,
	struct sealed_file *ret, struct fault *f)
{
	struct making x CLEANUP(making_deinit) = {.s = s, .p = p, .job = job, .to = -1};
	struct sealed_file file = {0};

	if (open_making(&x, f) < 0)
		return -1;
	if (run(&x, f) < 0 || make_durable(&x, &file, f) < 0) {
		(void)unlinkat(s->segments_fd, FILE_SEAL_TMP, 0);
		return -1;
	}
	*ret = file;
	return 0;
}
