#include "cli/restore_items.h"

#include "archive/limits.h"

void items_deinit(struct items *t)
{
	for (size_t i = 0; i < t->folders_n; i++) {
		free(t->folders[i].path);
		free(t->folders[i].name);
		free(t->folders[i].why);
	}
	free(t->folders);
	free(t->all);
	free(t->by_id);
	free(t->by_message_id);
	free(t->by_uid);
	*t = (struct items){0};
}

int items_folder(struct items *t, const char *path, unsigned *ret, struct fault *f)
{
	/* The last ones are asked for again and again; there are few of them. */
	for (size_t i = t->folders_n; i-- > 0;) {
		if (strcmp(t->folders[i].path, path) == 0) {
			*ret = (unsigned)i;
			return 0;
		}
	}
	if (t->folders_n == LIMIT_RESTORE_FOLDERS)
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
			"more than %d folders at once; restore less with a query",
			LIMIT_RESTORE_FOLDERS);
	struct item_folder *more = reallocarray(t->folders, t->folders_n + 1, sizeof *more);
	if (!more)
		return fault_memory(f);
	t->folders = more;
	more[t->folders_n] = (struct item_folder){.path = strdup(path), .journal = UINT32_MAX};
	if (!more[t->folders_n].path)
		return fault_memory(f);
	*ret = (unsigned)t->folders_n++;
	return 0;
}

int items_add(struct items *t, const struct item *item, struct fault *f)
{
	if (t->n == LIMIT_RESTORE_MESSAGES)
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
			"more than %d messages at once; restore less with a query",
			LIMIT_RESTORE_MESSAGES);
	if (t->n == t->size) {
		size_t size = t->size ? t->size + t->size / 2 : 1024;
		struct item *more = reallocarray(t->all, size, sizeof *more);

		if (!more)
			return fault_memory(f);
		t->all = more;
		t->size = size;
	}
	t->all[t->n++] = *item;
	struct item_folder *folder = &t->folders[item->folder];
	folder->messages++;
	folder->bytes += item_size(item);
	t->bytes += item_size(item);
	return 0;
}

/* ---- Orders ---------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b, void *context)
{
	const struct item *all = (const struct item *)context;
	const struct item *x = &all[*(const uint32_t *)a], *y = &all[*(const uint32_t *)b];

	return (item_id(x) > item_id(y)) - (item_id(x) < item_id(y));
}

int items_sort(struct items *t, struct fault *f)
{
	size_t n = t->n ? t->n : 1;

	t->by_id = reallocarray(NULL, n, sizeof *t->by_id);
	t->by_message_id = reallocarray(NULL, n, sizeof *t->by_message_id);
	t->by_uid = reallocarray(NULL, n, sizeof *t->by_uid);
	if (!t->by_id || !t->by_message_id || !t->by_uid)
		return fault_memory(f);
	t->messages = 0;
	for (size_t i = 0; i < t->n; i++) {
		if (i == 0 || item_id(&t->all[i]) != item_id(&t->all[i - 1]))
			t->by_id[t->messages++] = (uint32_t)i;
		t->by_message_id[i] = t->by_uid[i] = (uint32_t)i;
	}
	qsort_r(t->by_id, t->messages, sizeof *t->by_id, by_id, t->all);
	return 0;
}

struct item *items_first(struct items *t, uint64_t id)
{
	size_t low = 0, high = t->messages;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (item_id(&t->all[t->by_id[middle]]) < id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == t->messages || item_id(&t->all[t->by_id[low]]) != id)
		return NULL;
	return &t->all[t->by_id[low]];
}

struct item *items_next(struct items *t, struct item *i)
{
	size_t at = (size_t)(i - t->all) + 1;

	return at < t->n && item_id(&t->all[at]) == item_id(i) ? &t->all[at] : NULL;
}

struct item *items_find(struct items *t, uint64_t id, unsigned folder)
{
	struct item *i = items_first(t, id);

	while (i && i->folder != folder)
		i = items_next(t, i);
	return i;
}

static uint64_t key_of(const struct item *i, bool by_uid)
{
	return by_uid ? i->uid : items_key(i->message_id, item_size(i));
}

static int compare(const struct item *x, const struct item *y, bool by_uid)
{
	uint64_t a = key_of(x, by_uid), b = key_of(y, by_uid);

	if (x->folder != y->folder)
		return x->folder < y->folder ? -1 : 1;
	return (a > b) - (a < b);
}

static int by_message_id(const void *a, const void *b, void *context)
{
	const struct item *all = (const struct item *)context;

	return compare(&all[*(const uint32_t *)a], &all[*(const uint32_t *)b], false);
}

static int by_uid(const void *a, const void *b, void *context)
{
	const struct item *all = (const struct item *)context;

	return compare(&all[*(const uint32_t *)a], &all[*(const uint32_t *)b], true);
}

void items_order(struct items *t)
{
	qsort_r(t->by_message_id, t->n, sizeof *t->by_message_id, by_message_id, t->all);
	qsort_r(t->by_uid, t->n, sizeof *t->by_uid, by_uid, t->all);
}

/* The first that is not before (folder, key), or with after that is behind it. */
static size_t bound(
	const struct items *t, enum items_order order, unsigned folder, uint64_t key, bool after)
{
	const uint32_t *indices = order == BY_UID ? t->by_uid : t->by_message_id;
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct item *i = &t->all[indices[middle]];
		uint64_t k = key_of(i, order == BY_UID);

		if (i->folder < folder || (i->folder == folder && (k < key || (after && k == key))))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const uint32_t *items_range(const struct items *t, enum items_order order, unsigned folder,
	uint64_t low, uint64_t high, size_t *ret_n)
{
	size_t begin = bound(t, order, folder, low, false);

	*ret_n = bound(t, order, folder, high, true) - begin;
	return (order == BY_UID ? t->by_uid : t->by_message_id) + begin;
}

size_t items_count(const struct items *t, enum item_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += t->all[i].state == state;
	return n;
}
