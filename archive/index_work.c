#include "archive/index_work.h"

#include "archive/index_record.h"
#include "archive/mail_scan.h"
#include "archive/seal_status.h"
#include "archive/segment.h"

#include <errno.h>
#include <inttypes.h>

/* Written at once: a pipe takes no more anyway, and few calls are cheap. */
enum { OUT_SIZE = 64 * 1024 };

struct indexing {
	const struct seal_fds *fds;
	struct seal_mail *mail;
	size_t mails, mails_size;
	struct frame_cache cache;
	struct hasher *hasher;
	struct mail_scan *scan;
	struct seal_status status;
	struct buffer out;
	uint64_t given; /* bytes of the message */
};

static void indexing_freep(struct indexing **w)
{
	if (!*w)
		return;
	frame_cache_deinit(&(*w)->cache);
	hasher_free((*w)->hasher);
	mail_scan_free((*w)->scan);
	buffer_deinit(&(*w)->out);
	free((*w)->mail);
	free(*w);
}

/* ---- The request ----------------------------------------------------------------------------- */

static int add_mail(struct indexing *w, const struct seal_mail *m, struct fault *f)
{
	if (w->mails == w->mails_size) {
		size_t more = w->mails_size + w->mails_size / 2 + 256;
		struct seal_mail *grown = reallocarray(w->mail, more, sizeof *grown);

		if (!grown)
			return fault_memory(f);
		w->mail = grown;
		w->mails_size = more;
	}
	w->mail[w->mails++] = *m;
	w->status.all += m->size;
	return 0;
}

/* All of it before any work: who wrote it may be waiting to be rid of it. */
static int read_request(struct indexing *w, struct fault *f)
{
	struct seal_reader r;
	struct seal_mail m;
	int n;

	if (index_request_read(w->fds->request, &r, f) < 0)
		return -1;
	if (r.sources != w->fds->sources)
		return fault_set(f, FAULT_FORMAT, SCOPE_ARCHIVE, 0,
			"the request is for %zu segments, and %zu are open", r.sources,
			w->fds->sources);
	while ((n = seal_request_next(&r, &m, f)) == SEAL_MAIL) {
		if (add_mail(w, &m, f) < 0)
			return -1;
	}
	return n;
}

/* ---- Records --------------------------------------------------------------------------------- */

static int flush(struct indexing *w, struct fault *f)
{
	struct slice left = buffer_slice(&w->out);

	while (left.len > 0) {
		ssize_t n = write(w->fds->out, left.data, left.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
				"cannot write what was found");
		left = slice_of(left.data + n, left.len - (size_t)n);
	}
	buffer_clear(&w->out);
	return 0;
}

static int put(struct indexing *w, const struct index_record *r, struct fault *f)
{
	if (index_record_format(r, &w->out, f) < 0)
		return -1;
	return w->out.len >= OUT_SIZE ? flush(w, f) : 0;
}

static int put_facts(
	struct indexing *w, uint32_t number, const struct mail_facts *facts, struct fault *f)
{
	const struct index_record r = {
		.number = number,
		.read = true,
		.has_date = facts->has_date,
		.has_received = facts->has_received,
		.date = facts->date,
		.received = facts->received,
		.attachments = (uint32_t)facts->attachments,
		.text = {[INDEX_SENDER] = buffer_slice(&facts->sender),
			[INDEX_RECIPIENTS] = buffer_slice(&facts->recipients),
			[INDEX_COPIED] = buffer_slice(&facts->copied),
			[INDEX_SUBJECT] = buffer_slice(&facts->subject),
			[INDEX_MESSAGE_ID] = buffer_slice(&facts->message_id),
			[INDEX_NAMES] = buffer_slice(&facts->names)},
	};

	return put(w, &r, f);
}

/* ---- Messages -------------------------------------------------------------------------------- */

static int on_bytes(void *context, struct slice bytes, struct fault *f)
{
	struct indexing *w = context;

	hasher_add(w->hasher, bytes.data, bytes.len);
	w->given += bytes.len;
	if (mail_scan_add(w->scan, bytes, f) < 0)
		return -1;
	return seal_status_add(&w->status, bytes.len, f);
}

/* 0, or ENTRY_OTHER: it is not what was kept. */
static int read_mail(struct indexing *w, const struct seal_mail *m, struct fault *f)
{
	struct location at = {m->source + 1U, m->frame_offset, m->entry_offset};
	struct digest found;
	struct fault why;

	w->given = 0;
	mail_scan_begin(w->scan);
	int r = segment_read_entry(w->fds->source[m->source], &w->cache, &at, &m->digest, m->size,
		UINT64_MAX, on_bytes, w, &why);
	hasher_end(w->hasher, &found);
	if (r < 0) {
		*f = why;
		return -1;
	}
	bool kept = r == 0 && w->given == m->size && digest_compare(&found, &m->digest) == 0;
	return kept ? 0 : ENTRY_OTHER;
}

static int work_on(struct indexing *w, uint32_t number, struct fault *f)
{
	const struct mail_facts *facts;
	int r = read_mail(w, &w->mail[number], f);

	if (r == ENTRY_OTHER) {
		const struct index_record unread = {.number = number};

		return put(w, &unread, f);
	}
	if (r < 0 || mail_scan_end(w->scan, &facts, f) < 0)
		return -1;
	return put_facts(w, number, facts, f);
}

static int work(struct indexing *w, struct charsets *charsets, struct fault *f)
{
	if (hasher_new(&w->hasher, f) < 0 || mail_scan_new(charsets, &w->scan, f) < 0 ||
		read_request(w, f) < 0)
		return -1;
	for (size_t i = 0; i < w->mails; i++) {
		if (work_on(w, (uint32_t)i, f) < 0)
			return -1;
	}
	return flush(w, f);
}

int index_work(const struct seal_fds *fds, struct charsets *charsets, struct fault *f)
{
	struct indexing *w CLEANUP(indexing_freep) = calloc(1, sizeof *w);
	struct fault unsaid;

	if (!w)
		return fault_memory(f);
	w->fds = fds;
	w->status.fd = fds->status;
	w->out = buffer_make(OUT_SIZE + INDEX_RECORD_MOST);
	if (work(w, charsets, f) == 0)
		return seal_status_end(&w->status, NULL, f);
	(void)seal_status_end(&w->status, f, &unsaid); /* *f says more than that nobody listens */
	return -1;
}
