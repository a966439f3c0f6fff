/* What the ledger says of sealed segments: the last word on which there are, and on their bytes. */
#include "archive/limits.h"
#include "archive/verify.h"

static struct verified_seal *find(struct verify *v, uint64_t segment)
{
	for (size_t i = v->seals; i > 0; i--) {
		if (v->seal[i - 1].segment == segment)
			return &v->seal[i - 1];
	}
	return NULL;
}

int verify_add_seal(struct verify *v, const struct event *e, struct fault *f)
{
	struct slice replaces = e->replaces;
	uint64_t number;

	if (v->seals == LIMIT_VERIFY_SEALS)
		return 0; /* what is known of the rest is what the catalog says */
	if (v->seals == v->seals_size) {
		size_t size = v->seals_size ? v->seals_size * 2 : 64;
		struct verified_seal *grown = realloc(v->seal, size * sizeof *grown);

		if (!grown)
			return fault_memory(f);
		v->seal = grown;
		v->seals_size = size;
	}
	while (event_replaced(&replaces, &number)) {
		struct verified_seal *old = find(v, number);
		if (old)
			old->replaced = true;
	}
	v->seal[v->seals++] =
		(struct verified_seal){.segment = e->segment, .size = e->size, .digest = e->digest};
	return 0;
}

bool verify_sealed_as(const struct verify *v, const struct segment_row *row, struct digest *ret)
{
	static const struct digest none;

	for (size_t i = 0; i < v->seals; i++) {
		if (v->seal[i].segment == row->number) {
			*ret = v->seal[i].digest;
			return true;
		}
	}
	*ret = row->digest; /* sealed since the catalog was read first */
	return digest_compare(ret, &none) != 0;
}

static int check(struct verify *v, const struct verified_seal *l, struct fault *f)
{
	struct segment_row row;
	const char *wrong = NULL;

	if (l->replaced)
		return 0;
	int r = catalog_get_segment(v->s->catalog, l->segment, &row, f);
	if (r < 0)
		return -1;
	if (r == CATALOG_NONE)
		wrong = "lacks";
	else if (row.state == SEGMENT_REPLACED)
		return 0; /* meanwhile */
	else if (row.state != SEGMENT_SEALED || row.length != l->size ||
		 digest_compare(&row.digest, &l->digest) != 0)
		wrong = "has something else of";
	if (wrong)
		verify_advise(
			verify_found(v, FILE_CATALOG, 0, 0,
				"it %s segment %06" PRIu64 ", which the ledger says was sealed",
				wrong, l->segment),
			"run `popkeep rebuild`");
	return 0;
}

int verify_seals(struct verify *v, struct fault *f)
{
	if (v->seals_checked < v->seals)
		return check(v, &v->seal[v->seals_checked++], f);
	v->stage = STAGE_FILES;
	return 0;
}
