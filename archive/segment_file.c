#include "archive/segment_file.h"

#include "archive/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

void segment_name(uint64_t number, enum segment_state state, char ret[static SEGMENT_NAME])
{
	(void)snprintf(ret, SEGMENT_NAME, "%06" PRIu64 "%s.tar.zst", number,
		state == SEGMENT_SEALED ? "" : ".open");
}

void segment_damaged_name(uint64_t number, char ret[static SEGMENT_NAME])
{
	(void)snprintf(ret, SEGMENT_NAME, "%06" PRIu64 ".damaged", number);
}

bool segment_is_damaged_name(const char *name)
{
	char again[SEGMENT_NAME];

	segment_damaged_name(file_number(name), again);
	return strcmp(again, name) == 0;
}

int segment_parse_name(const char *name, uint64_t *ret_number, enum segment_state *ret_state)
{
	uint64_t number = file_number(name);
	char again[SEGMENT_NAME];

	for (enum segment_state state = SEGMENT_OPEN; state <= SEGMENT_SEALED; state++) {
		segment_name(number, state, again);
		if (number > 0 && strcmp(again, name) == 0) {
			*ret_number = number;
			*ret_state = state;
			return 0;
		}
	}
	return SEGMENT_OTHER;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = ((const struct segment_file *)a)->number;
	uint64_t y = ((const struct segment_file *)b)->number;

	return (x > y) - (x < y);
}

static int add_file(
	int segments_fd, const char *name, struct segment_file **all, size_t *n, struct fault *f)
{
	struct segment_file file = {0};
	struct stat st;

	if (segment_parse_name(name, &file.number, &file.state) != 0)
		return 0;
	if (fstatat(segments_fd, name, &st, 0) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "segments/%s", name);
	file.size = (uint64_t)st.st_size;
	if (*n % 64 == 0) {
		struct segment_file *grown = realloc(*all, (*n + 64) * sizeof *grown);

		if (!grown)
			return fault_memory(f);
		*all = grown;
	}
	(*all)[(*n)++] = file;
	return 0;
}

int segment_files(int segments_fd, struct segment_file **ret, size_t *ret_n, struct fault *f)
{
	struct segment_file *all CLEANUP(freep) = NULL;
	size_t n = 0;
	DIR *dir CLEANUP(dir_closep) = folder_read(segments_fd);

	if (!dir)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot list segments/");
	for (struct dirent *e; (e = readdir(dir));) {
		if (add_file(segments_fd, e->d_name, &all, &n, f) < 0)
			return -1;
	}
	if (n > 0)
		qsort(all, n, sizeof *all, by_number);
	*ret = TAKE(all);
	*ret_n = n;
	return 0;
}

int segment_last_file(int segments_fd, uint64_t *ret, struct fault *f)
{
	struct segment_file *all CLEANUP(freep) = NULL;
	size_t n;

	if (segment_files(segments_fd, &all, &n, f) < 0)
		return -1;
	*ret = n > 0 ? all[n - 1].number : 0;
	return 0;
}

int segment_next_open(int segments_fd, uint64_t after, uint64_t *ret, struct fault *f)
{
	uint64_t next = 0, number;
	enum segment_state state;
	DIR *dir CLEANUP(dir_closep) = folder_read(segments_fd);

	if (!dir)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot list segments/");
	for (struct dirent *e; (e = readdir(dir));) {
		if (segment_parse_name(e->d_name, &number, &state) == 0 && state == SEGMENT_OPEN &&
			number > after && (next == 0 || number < next))
			next = number;
	}
	*ret = next;
	return 0;
}

int segment_open_file(int segments_fd, uint64_t number, struct fault *f)
{
	char name[SEGMENT_NAME];

	segment_name(number, SEGMENT_SEALED, name);
	int fd = openat(segments_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	segment_name(number, SEGMENT_OPEN, name);
	fd = openat(segments_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fault_errno(f, FAULT_DAMAGE, SCOPE_MESSAGE, errno, "segments/%s", name);
	return fd;
}
