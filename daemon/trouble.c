#include "daemon/trouble.h"

#include "archive/limits.h"

void trouble_deinit(struct trouble *t)
{
	for (size_t i = 0; i < t->n; i++)
		buffer_deinit(&t->suspect[i].uidl);
	free(t->suspect);
	*t = (struct trouble){0};
}

struct suspect *trouble_find(struct trouble *t, struct slice uidl)
{
	for (size_t i = 0; i < t->n; i++) {
		if (slice_compare(buffer_slice(&t->suspect[i].uidl), uidl) == 0)
			return &t->suspect[i];
	}
	return NULL;
}

struct suspect *trouble_add(struct trouble *t, struct slice uidl)
{
	struct fault ignored;

	if (t->n == LIMIT_SUSPECTS)
		return NULL;
	struct suspect *grown = reallocarray(t->suspect, t->n + 1, sizeof *grown);
	if (!grown)
		return NULL;
	t->suspect = grown;
	struct suspect *one = &grown[t->n];
	*one = (struct suspect){.uidl = buffer_make(LIMIT_UIDL)};
	if (buffer_append(&one->uidl, uidl.data, uidl.len, &ignored) < 0)
		return NULL;
	t->n++;
	return one;
}
