#include "cli/fetch_health.h"

#include "daemon/fare.h"

int health_book_open(struct health_book *b, struct poller *p, struct fault *f)
{
	return store_health(poller_store(p), &b->rows, &b->n, f);
}

void health_book_deinit(struct health_book *b)
{
	health_free(b->rows, b->n);
	*b = (struct health_book){0};
}

static int compare_account(const void *name, const void *row)
{
	return strcmp(name, ((const struct health *)row)->account);
}

int health_book_note(const struct health_book *b, struct poller *p, const struct poller_event *done,
	struct fault *f)
{
	const struct account *a = done->account;
	struct schedule_terms terms = {.interval_ms = a->interval_ms};
	const struct health *before =
		b->n ? bsearch(a->name, b->rows, b->n, sizeof *b->rows, compare_account) : NULL;
	struct schedule s = {0};
	char text[FAULT_TEXT_MAX];
	moment_ms now = moment_now();

	if (done->hindrance == HINDRANCE_STOPPED || (done->hindrance == HINDRANCE_NONE && !before))
		return 0;
	if (before)
		fare_restore(&s, before);
	enum schedule_state was = s.state;
	/* When the next poll is, is not ours to say: somebody runs us. */
	(void)schedule_next(&s, &terms, done->hindrance, done->login_delay_s, 0);
	memcpy(text, done->fault.text, sizeof text);
	struct health h = {.account = a->name,
		.since = before && s.state == was ? before->since : now,
		.tried = now,
		.code = done->fault.code,
		.text = text};
	fare_note(&h, &s);
	uint64_t ignored; /* closing the poller waits for it */
	return poller_put_health(p, &h, &ignored, f);
}
