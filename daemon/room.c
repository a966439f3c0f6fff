#include "daemon/room.h"

#include <sys/statvfs.h>

static uint64_t free_at(const char *folder)
{
	struct statvfs v;

	if (!folder || statvfs(folder, &v) < 0)
		return UINT64_MAX;
	uint64_t bytes;
	if (__builtin_mul_overflow((uint64_t)v.f_bavail, (uint64_t)v.f_frsize, &bytes))
		return UINT64_MAX;
	return bytes;
}

int room_look(struct room *r, const char *archive, const char *cache_dir, uint64_t min_free)
{
	uint64_t here = free_at(archive), there = free_at(cache_dir);
	uint64_t enough = r->full ? min_free + min_free / 16 : min_free;
	bool before = r->full;

	r->free_bytes = here < there ? here : there;
	r->full = r->free_bytes < enough;
	return r->full != before ? ROOM_CHANGED : 0;
}
