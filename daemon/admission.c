#include "daemon/admission.h"

#include <string.h>

enum { BUCKETS = 512 };

struct admission_server {
	char *host;
	uint16_t port;
	uint32_t active;
	bool is_ready; /* in the queue of those that have somebody waiting and a place free */
	TAILQ_HEAD(, admission_entry) waiting;
	TAILQ_ENTRY(admission_server) ready_link;
	LIST_ENTRY(admission_server) bucket_link;
};

struct admission {
	uint32_t max_all, max_server;
	uint32_t active;
	TAILQ_HEAD(, admission_server) ready;
	LIST_HEAD(, admission_server) bucket[BUCKETS];
};

int admission_new(uint32_t max_all, uint32_t max_server, struct admission **ret, struct fault *f)
{
	struct admission *a = calloc(1, sizeof *a);

	if (!a)
		return fault_memory(f);
	a->max_all = max_all;
	a->max_server = max_server;
	TAILQ_INIT(&a->ready);
	for (size_t i = 0; i < BUCKETS; i++)
		LIST_INIT(&a->bucket[i]);
	*ret = a;
	return 0;
}

static void server_free(struct admission_server *s)
{
	LIST_REMOVE(s, bucket_link);
	free(s->host);
	free(s);
}

struct admission *admission_free(struct admission *a)
{
	if (!a)
		return NULL;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (!LIST_EMPTY(&a->bucket[i]))
			server_free(LIST_FIRST(&a->bucket[i]));
	}
	free(a);
	return NULL;
}

/* FNV-1a: hosts come from the configuration, nobody chooses them to collide. */
static size_t bucket_of(const char *host, uint16_t port)
{
	uint32_t h = 2166136261U ^ port;

	for (const char *c = host; *c; c++)
		h = (h ^ (unsigned char)*c) * 16777619U;
	return h % BUCKETS;
}

static struct admission_server *server_of(struct admission *a, const char *host, uint16_t port)
{
	size_t b = bucket_of(host, port);
	struct admission_server *s;

	LIST_FOREACH(s, &a->bucket[b], bucket_link)
	{
		if (s->port == port && strcmp(s->host, host) == 0)
			return s;
	}
	s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->port = port;
	s->host = strdup(host);
	if (!s->host) {
		free(s);
		return NULL;
	}
	TAILQ_INIT(&s->waiting);
	LIST_INSERT_HEAD(&a->bucket[b], s, bucket_link);
	return s;
}

/* Puts the server into the queue of ready ones or takes it out, as its state now is; one that
 * nobody needs is gone after it. */
static void update(struct admission *a, struct admission_server *s)
{
	bool ready = !TAILQ_EMPTY(&s->waiting) && s->active < a->max_server;

	if (ready && !s->is_ready)
		TAILQ_INSERT_TAIL(&a->ready, s, ready_link);
	else if (!ready && s->is_ready)
		TAILQ_REMOVE(&a->ready, s, ready_link);
	s->is_ready = ready;
	if (TAILQ_EMPTY(&s->waiting) && s->active == 0)
		server_free(s);
}

void admission_set_caps(struct admission *a, uint32_t max_all, uint32_t max_server)
{
	a->max_all = max_all;
	a->max_server = max_server;
	for (size_t i = 0; i < BUCKETS; i++) {
		struct admission_server *s = LIST_FIRST(&a->bucket[i]);

		while (s) {
			struct admission_server *next = LIST_NEXT(s, bucket_link);

			update(a, s);
			s = next;
		}
	}
}

int admission_add(struct admission *a, struct admission_entry *e, const char *host, uint16_t port,
	struct fault *f)
{
	struct admission_server *s = server_of(a, host, port);

	if (!s)
		return fault_memory(f);
	e->server = s;
	e->state = ADMISSION_WAITING;
	TAILQ_INSERT_TAIL(&s->waiting, e, link);
	update(a, s);
	return 0;
}

struct admission_entry *admission_next(struct admission *a)
{
	struct admission_server *s = TAILQ_FIRST(&a->ready);

	if (!s || a->active >= a->max_all)
		return NULL;
	struct admission_entry *e = TAILQ_FIRST(&s->waiting);
	TAILQ_REMOVE(&s->waiting, e, link);
	e->state = ADMISSION_ACTIVE;
	a->active++;
	s->active++;
	/* Behind the others: they take turns. */
	TAILQ_REMOVE(&a->ready, s, ready_link);
	s->is_ready = false;
	update(a, s);
	return e;
}

void admission_leave(struct admission *a, struct admission_entry *e)
{
	struct admission_server *s = e->server;

	if (!s)
		return;
	e->server = NULL;
	if (e->state == ADMISSION_WAITING) {
		TAILQ_REMOVE(&s->waiting, e, link);
	} else {
		s->active--;
		a->active--;
	}
	update(a, s);
}

uint32_t admission_active(const struct admission *a)
{
	return a->active;
}
