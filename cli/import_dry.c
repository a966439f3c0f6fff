#include "cli/import_dry.h"

#include "archive/find.h"
#include "archive/limits.h"
#include "archive/maildrop.h"

/* Numbers made of digests, which nobody can steer: a table without a hash function. */
struct set {
	uint64_t *slot; /* 0: free */
	size_t n, size;
};

struct import_dry {
	struct store *store;
	uint64_t maildrop; /* 0: there is none yet */
	struct set bytes, places;
	struct hasher *hasher;
};

static bool find_maildrop(const struct maildrop *all, size_t n, const char *account, uint64_t *ret)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(all[i].server, MAILDROP_IMPORT) == 0 &&
			strcmp(all[i].user, account) == 0) {
			*ret = all[i].number;
			return true;
		}
	}
	return false;
}

int import_dry_open(struct store *s, const char *account, struct import_dry **ret, struct fault *f)
{
	struct import_dry *d CLEANUP(import_dry_closep) = calloc(1, sizeof *d);
	struct maildrop *all = NULL;
	size_t n = 0;

	if (!d)
		return fault_memory(f);
	d->store = s;
	if (hasher_new(&d->hasher, f) < 0 || (s && store_maildrops(s, &all, &n, f) < 0))
		return -1;
	(void)find_maildrop(all, n, account, &d->maildrop);
	maildrops_free(all, n);
	*ret = TAKE(d);
	return 0;
}

struct import_dry *import_dry_close(struct import_dry *d)
{
	if (!d)
		return NULL;
	free(d->bytes.slot);
	free(d->places.slot);
	hasher_free(d->hasher);
	free(d);
	return NULL;
}

void import_dry_closep(struct import_dry **d)
{
	*d = import_dry_close(*d);
}

/* ---- What this run has seen ------------------------------------------------------------------ */

static size_t place_of(const struct set *s, uint64_t number)
{
	size_t i = (size_t)(number & (s->size - 1));

	while (s->slot[i] != 0 && s->slot[i] != number)
		i = (i + 1) & (s->size - 1);
	return i;
}

static int grow(struct set *s, struct fault *f)
{
	struct set larger = {.size = s->size ? s->size * 2 : 4096};

	larger.slot = calloc(larger.size, sizeof *larger.slot);
	if (!larger.slot)
		return fault_memory(f);
	for (size_t i = 0; i < s->size; i++) {
		if (s->slot[i] != 0)
			larger.slot[place_of(&larger, s->slot[i])] = s->slot[i];
	}
	larger.n = s->n;
	free(s->slot);
	*s = larger;
	return 0;
}

/* 1: it was there. */
static int add(struct set *s, uint64_t number, struct fault *f)
{
	number += number == 0;
	if (s->n >= LIMIT_IMPORT_REMEMBERED) {
		free(s->slot);
		*s = (struct set){0};
	}
	if (s->n * 2 >= s->size && grow(s, f) < 0)
		return -1;
	size_t i = place_of(s, number);
	if (s->slot[i] == number)
		return 1;
	s->slot[i] = number;
	s->n++;
	return 0;
}

static uint64_t number_of(const struct digest *d)
{
	uint64_t number;

	memcpy(&number, d->byte, sizeof number);
	return number;
}

/* ---- What the archive has -------------------------------------------------------------------- */

static int look_up(
	struct import_dry *d, struct slice folder, const struct digest *digest, struct fault *f)
{
	char hex[DIGEST_HEX + 1];
	struct message m;
	struct filing *all = NULL;
	size_t n = 0;
	int ret = DRY_DUPLICATE;

	if (!d->store)
		return DRY_NEW;
	digest_hex(digest, hex);
	if (find_one(d->store, hex, &m, f) < 0)
		return f->code == FAULT_MISSING ? DRY_NEW : -1;
	int r = d->maildrop ? find_filings(d->store, &m, &all, &n, f) : 0;
	message_deinit(&m);
	if (r < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (all[i].maildrop == d->maildrop &&
			slice_compare(slice_text(all[i].folder), folder) == 0)
			ret = DRY_KNOWN;
	}
	filings_free(all, n);
	return ret;
}

int import_dry_classify(
	struct import_dry *d, struct slice folder, const struct digest *digest, struct fault *f)
{
	struct digest place;

	hasher_add(d->hasher, folder.data, folder.len);
	hasher_add(d->hasher, "", 1);
	hasher_add(d->hasher, digest->byte, DIGEST_LEN);
	hasher_end(d->hasher, &place);
	int place_seen = add(&d->places, number_of(&place), f);
	int bytes_seen = place_seen < 0 ? -1 : add(&d->bytes, number_of(digest), f);
	if (bytes_seen < 0)
		return -1;
	if (place_seen)
		return DRY_KNOWN;
	int r = look_up(d, folder, digest, f);
	return r == DRY_NEW && bytes_seen ? DRY_DUPLICATE : r;
}
