#include "archive/cluster.h"

struct cluster {
	size_t mails;
};

int cluster_new(struct cluster **ret, struct fault *f)
{
	struct cluster *c = calloc(1, sizeof *c);

	if (!c)
		return fault_memory(f);
	*ret = c;
	return 0;
}

struct cluster *cluster_free(struct cluster *c)
{
	free(c);
	return NULL;
}

void cluster_freep(struct cluster **c)
{
	*c = cluster_free(*c);
}

int cluster_add(struct cluster *c, struct slice head, struct fault *f)
{
	(void)head, (void)f;
	c->mails++;
	return 0;
}

int cluster_add_part(struct cluster *c, const struct digest *part, struct fault *f)
{
	(void)c, (void)part, (void)f;
	return 0;
}

int cluster_order(struct cluster *c, uint32_t **ret, struct fault *f)
{
	uint32_t *order = calloc(c->mails ? c->mails : 1, sizeof *order);

	if (!order)
		return fault_memory(f);
	for (size_t i = 0; i < c->mails; i++)
		order[i] = (uint32_t)i;
	*ret = order;
	return 0;
}
