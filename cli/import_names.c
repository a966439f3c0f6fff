#include "cli/import_names.h"

#include "archive/limits.h"

#include <errno.h>

void names_deinit(struct names *n)
{
	free(n->all);
	free(n->text);
	*n = (struct names){0};
}

static int grow(void **data, size_t *size, size_t need, size_t each)
{
	size_t more = *size ? *size : 1024;

	while (more < need)
		more *= 2;
	if (more == *size)
		return 0;
	void *grown = reallocarray(*data, more, each);
	if (!grown) {
		errno = ENOMEM;
		return -1;
	}
	*data = grown;
	*size = more;
	return 0;
}

int names_add(struct names *n, const char *name, uint64_t inode, uint8_t type)
{
	size_t len = strlen(name) + 1;
	void *all = n->all, *text = n->text;

	if (grow(&all, &n->size, n->n + 1, sizeof *n->all) < 0)
		return -1;
	n->all = all;
	if (grow(&text, &n->text_size, n->text_len + len, 1) < 0)
		return -1;
	n->text = text;
	n->all[n->n++] =
		(struct names_entry){.inode = inode, .at = (uint32_t)n->text_len, .type = type};
	memcpy(n->text + n->text_len, name, len);
	n->text_len += len;
	return 0;
}

static int by_inode(const void *a, const void *b)
{
	uint64_t x = ((const struct names_entry *)a)->inode,
		 y = ((const struct names_entry *)b)->inode;

	return (x > y) - (x < y);
}

int names_read(struct names *n, DIR *dir)
{
	n->n = n->text_len = 0;
	while (n->n < LIMIT_IMPORT_CHUNK) {
		errno = 0;
		const struct dirent *e = readdir(dir);

		if (!e && errno)
			return -1;
		if (!e)
			break;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (names_add(n, e->d_name, e->d_ino, e->d_type) < 0)
			return -1;
	}
	if (n->n > 0)
		qsort(n->all, n->n, sizeof *n->all, by_inode);
	return 0;
}

/* ---- Sets ------------------------------------------------------------------------------------ */

void name_set_deinit(struct name_set *s)
{
	hasher_free(s->hasher);
	free(s->all);
	*s = (struct name_set){0};
}

static int number_of(struct name_set *s, struct slice name, uint64_t *ret, struct fault *f)
{
	struct digest d;

	if (!s->hasher && hasher_new(&s->hasher, f) < 0)
		return -1;
	hasher_add(s->hasher, name.data, name.len);
	hasher_end(s->hasher, &d);
	memcpy(ret, d.byte, sizeof *ret);
	return 0;
}

int name_set_add(struct name_set *s, struct slice name, struct fault *f)
{
	void *all = s->all;
	uint64_t number;

	if (number_of(s, name, &number, f) < 0)
		return -1;
	if (grow(&all, &s->size, s->n + 1, sizeof *s->all) < 0)
		return fault_memory(f);
	s->all = all;
	s->all[s->n++] = number;
	s->sorted = false;
	return 0;
}

int name_set_take(struct name_set *s, struct name_set *from, struct fault *f)
{
	void *all = s->all;

	if (from->n == 0)
		return 0;
	if (grow(&all, &s->size, s->n + from->n, sizeof *s->all) < 0)
		return fault_memory(f);
	s->all = all;
	memcpy(s->all + s->n, from->all, from->n * sizeof *from->all);
	s->n += from->n;
	from->n = 0;
	s->sorted = false;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int name_set_has(struct name_set *s, struct slice name, struct fault *f)
{
	uint64_t number;

	if (s->n == 0)
		return 0;
	if (number_of(s, name, &number, f) < 0)
		return -1;
	if (!s->sorted)
		qsort(s->all, s->n, sizeof *s->all, by_number);
	s->sorted = true;
	return bsearch(&number, s->all, s->n, sizeof *s->all, by_number) != NULL;
}
