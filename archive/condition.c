#include "archive/condition.h"

#include "archive/own.h"

#include <stdlib.h>

struct condition *condition_new(enum condition_kind kind, struct fault *f)
{
	struct condition *c = calloc(1, sizeof *c);

	if (!c) {
		(void)fault_memory(f);
		return NULL;
	}
	c->kind = kind;
	c->low = INT64_MIN;
	c->high = INT64_MAX;
	return c;
}

struct condition *condition_free(struct condition *c)
{
	if (!c)
		return NULL;
	condition_free(c->left);
	condition_free(c->right);
	free(c->text);
	free(c);
	return NULL;
}

void condition_freep(struct condition **c)
{
	*c = condition_free(*c);
}

bool condition_uses_index(const struct condition *c)
{
	if (!c)
		return false;
	return c->kind >= CONDITION_DATE || condition_uses_index(c->left) ||
	       condition_uses_index(c->right);
}
