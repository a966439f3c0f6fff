/* Hard links in a tar: their bytes are those of another entry, which came by before them. They are
 * remembered, and the archive is read once more at its end. */
#include "cli/import_packed.h"

#include "archive/limits.h"

static bool is_wanted_link(const char *path)
{
	struct packed_path at;

	packed_split_path(path, &at);
	return at.file[0] != '.' && (at.in_maildir || import_is_eml(at.file));
}

int packed_remember_link(struct packed *p, const char *path, const char *target, struct fault *f)
{
	size_t bytes = strlen(path) + strlen(target) + 2 + sizeof(struct link);

	if (!is_wanted_link(path))
		return packed_pass(p, path, f);
	if (p->start == UINT64_MAX)
		return packed_refuse(p, path, "a hard link, which cannot be followed in a pipe", f);
	if (p->links_bytes + bytes > LIMIT_IMPORT_LINKS)
		return packed_refuse(p, path, "too many hard links", f);
	if (p->links_n == p->links_size) {
		size_t size = p->links_size ? p->links_size * 2 : 64;
		struct link *grown = reallocarray(p->links, size, sizeof *grown);

		if (!grown)
			return fault_memory(f);
		p->links = grown;
		p->links_size = size;
	}
	struct link *l = &p->links[p->links_n];
	*l = (struct link){.target = strdup(target), .path = strdup(path)};
	p->links_n++;
	p->links_bytes += bytes;
	return l->target && l->path ? 0 : fault_memory(f);
}

static int by_target(const void *a, const void *b)
{
	return strcmp(((const struct link *)a)->target, ((const struct link *)b)->target);
}

static size_t first_link(const struct packed *p, const char *target)
{
	size_t from = 0, to = p->links_n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (strcmp(p->links[middle].target, target) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* All links to the entry that is being read. One that is larger than the buffer is given to the
 * first of them only: a stream comes by once. */
static int take_linked(struct packed *p, struct fault *f)
{
	const char *target = packed_name(p);
	size_t i = first_link(p, target), have = 0, n = 0;

	if (i == p->links_n || strcmp(p->links[i].target, target) != 0)
		return 0;
	int r = 0;
	while (have < LIMIT_IMPORT_WHOLE &&
		(r = packed_read(p, p->whole + have, LIMIT_IMPORT_WHOLE - have, &n, f)) == 0 &&
		n > 0)
		have += n;
	if (r < 0)
		return -1;
	for (bool first = true; i < p->links_n && strcmp(p->links[i].target, target) == 0;
		i++, first = false) {
		p->links[i].done = true;
		if (r > 0)
			r = packed_refuse(p, p->links[i].path, f->text, f) < 0 ? -1 : r;
		else if (have == LIMIT_IMPORT_WHOLE && !first)
			r = packed_refuse(p, p->links[i].path,
				"one of several hard links to a large file", f);
		else
			r = packed_take_message(p, p->links[i].path, slice_of(p->whole, have), f);
		if (r < 0)
			return -1;
	}
	return 0;
}

int packed_take_links(struct packed *p, struct fault *f)
{
	if (p->links_n == 0)
		return 0;
	qsort(p->links, p->links_n, sizeof *p->links, by_target);
	int r = packed_reopen(p, f);
	while (r == 0 && (r = packed_next(p, f)) == PACKED_ENTRY) {
		r = archive_entry_filetype(p->entry) == AE_IFREG && !packed_target(p)
			    ? take_linked(p, f)
			    : 0;
	}
	if (r < 0)
		return -1;
	for (size_t i = 0; i < p->links_n; i++) {
		if (!p->links[i].done &&
			packed_refuse(p, p->links[i].path,
				"a hard link to something that is not in the archive", f) < 0)
			return -1;
	}
	return 0;
}
