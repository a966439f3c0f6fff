/* The ledger of a copy. A file that grew is written anew under another name and put in place whole:
 * many groups appended at once could be torn in the middle, which no archive's own writer ever
 * leaves behind. The last file is all that has to be compared and written, 64 MiB at most. */
#include "archive/copy_private.h"
#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

int copy_ledger_length(struct copy *c, uint64_t number, uint64_t *ret, struct fault *f)
{
	char name[LEDGER_NAME];
	struct stat st;

	ledger_name(number, name);
	if (fstatat(c->s->ledger_fd, name, &st, 0) < 0)
		return fault_errno(
			f, FAULT_DAMAGE, SCOPE_SESSION, errno, "%s/ledger/%s", c->s->folder, name);
	*ret = number == c->at.file ? c->at.length : (uint64_t)st.st_size;
	return 0;
}

/* The copy's file; ret_to -1 and length 0 where it has none. */
static int open_pair(struct copy *c, char name[static LEDGER_NAME], struct copy_pair *ret,
	uint64_t *ret_length, struct fault *f)
{
	struct stat st = {0};

	*ret = (struct copy_pair){.folder = FOLDER_LEDGER, .name = name, .to = -1};
	ret->from = openat(c->s->ledger_fd, name, O_RDONLY | O_CLOEXEC);
	if (ret->from < 0)
		return fault_errno(
			f, FAULT_DAMAGE, SCOPE_SESSION, errno, "%s/ledger/%s", c->s->folder, name);
	ret->to = openat(c->ledger_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if ((ret->to < 0 && errno != ENOENT) || (ret->to >= 0 && fstat(ret->to, &st) < 0)) {
		fd_closep(&ret->from);
		fd_closep(&ret->to);
		return fault_errno(
			f, FAULT_DAMAGE, SCOPE_SESSION, errno, "%s/ledger/%s", c->target, name);
	}
	*ret_length = (uint64_t)st.st_size;
	return 0;
}

static void close_pair(struct copy_pair *p)
{
	fd_closep(&p->from);
	fd_closep(&p->to);
}

static int fault_ahead(struct copy *c, struct fault *f)
{
	return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
		"the ledger in %s goes further than the archive's: something was archived there, "
		"or the archive itself was put back from an older copy; copy to another folder",
		c->target);
}

/* enough: of a file that is no longer written, its length. */
static int compare_file(struct copy *c, const struct copy_pair *p, uint64_t there, uint64_t length,
	bool enough, struct fault *f)
{
	uint64_t same;

	if (p->to < 0 || (enough && there == length))
		return 0;
	(void)posix_fadvise(p->to, 0, 0, POSIX_FADV_DONTNEED);
	if (copy_compare(c, p, 0, there < length ? there : length, &same, f) < 0)
		return -1;
	if (same < there && same < length)
		return fault_set(f, FAULT_DAMAGE, SCOPE_SESSION, 0,
			"ledger/%s differs from byte %" PRIu64
			" on in the archive and in %s: one of them is damaged (`popkeep verify` "
			"looks at the archive), or something was archived in the copy; where the "
			"copy's is the damaged one, move it away and copy again",
			p->name, same, c->target);
	return there > length ? fault_ahead(c, f) : 0;
}

static int check_file(struct copy *c, uint64_t number, uint64_t last_there, struct fault *f)
{
	char name[LEDGER_NAME];
	uint64_t length, there;
	struct copy_pair p;

	ledger_name(number, name);
	if (copy_ledger_length(c, number, &length, f) < 0 || open_pair(c, name, &p, &there, f) < 0)
		return -1;
	int r = compare_file(c, &p, there, length, c->depth == COPY_NEW && number < last_there, f);
	close_pair(&p);
	return r;
}

int copy_check_ledger(struct copy *c, struct fault *f)
{
	uint64_t last;

	if (ledger_last_file(c->ledger_fd, &last, f) < 0)
		return fault_prefix(f, "%s", c->target);
	if (last > c->at.file)
		return fault_ahead(c, f);
	for (uint64_t number = 1; number <= c->at.file; number++) {
		if (check_file(c, number, last, f) < 0)
			return -1;
	}
	return 0;
}

static int write_anew(struct copy *c, const struct copy_pair *whole, uint64_t there,
	uint64_t length, struct fault *f)
{
	struct copy_pair p = *whole;
	struct digest digest;
	int fd CLEANUP(fd_closep) = openat(c->ledger_fd, FILE_COPY_TMP,
		O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	p.to = fd;
	if (fd < 0)
		return copy_fault_write(c, FOLDER_LEDGER, p.name, f);
	if (copy_verified(c, &p, 0, length, &digest, f) < 0) {
		(void)unlinkat(c->ledger_fd, FILE_COPY_TMP, 0);
		return -1;
	}
	if (copy_drop_databases(c, f) < 0)
		return -1;
	if (renameat(c->ledger_fd, FILE_COPY_TMP, c->ledger_fd, p.name) < 0 ||
		fsync(c->ledger_fd) < 0)
		return copy_fault_write(c, FOLDER_LEDGER, p.name, f);
	copy_tell(c, there > 0 ? COPY_GREW : COPY_MADE, FOLDER_LEDGER, p.name, length - there);
	return 0;
}

static int copy_file(struct copy *c, uint64_t number, struct fault *f)
{
	char name[LEDGER_NAME];
	uint64_t length, there;
	struct copy_pair p;

	ledger_name(number, name);
	if (copy_ledger_length(c, number, &length, f) < 0 || open_pair(c, name, &p, &there, f) < 0)
		return -1;
	/* copy_check_ledger() saw that it is a beginning of ours. */
	int r = there == length ? 0 : write_anew(c, &p, there, length, f);
	close_pair(&p);
	return r;
}

/* A file is put in place before the next one is begun: a ledger without its middle is damaged. */
int copy_ledger(struct copy *c, struct fault *f)
{
	for (uint64_t number = 1; number <= c->at.file; number++) {
		if (copy_file(c, number, f) < 0)
			return -1;
	}
	c->sums.ledger_files = c->at.file;
	return 0;
}
