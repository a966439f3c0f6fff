#include "archive/seal_gather.h"

#include "archive/file.h"
#include "archive/segment.h"

#include <errno.h>
#include <inttypes.h>

/* While a digest of each span is needed: sorting them finds what is equal. */
struct span_digest {
	struct digest digest;
	uint32_t span;
};

struct gathering {
	const struct seal_fds *fds;
	struct gathered *g;
	struct seal_status *status;
	struct frame_cache cache;
	struct hasher *hasher;
	struct buffer message; /* as much of it as is looked at */
	struct buffer part;
	uint64_t keep;	  /* bytes of the message that go into the buffer */
	uint64_t scratch; /* bytes in the scratch file */
	struct split split;
	struct span_digest *digest; /* of each span */
	size_t digests_size;
};

static void gathering_deinit(struct gathering *w)
{
	frame_cache_deinit(&w->cache);
	hasher_free(w->hasher);
	buffer_deinit(&w->message);
	buffer_deinit(&w->part);
	free(w->digest);
}

static void gathering_freep(struct gathering **w)
{
	if (*w)
		gathering_deinit(*w);
	free(*w);
}

void gathered_deinit(struct gathered *g)
{
	free(g->mail);
	free(g->span);
	free(g->part);
	free(g->order);
	cluster_free(g->cluster);
	*g = (struct gathered){0};
}

/* Room for one more element in an array that grows by half. */
static int grow(void **array, size_t have, size_t *size, size_t each, struct fault *f)
{
	if (have < *size)
		return 0;
	size_t more = *size + *size / 2 + 256;
	void *grown = reallocarray(*array, more, each);
	if (!grown)
		return fault_memory(f);
	*array = grown;
	*size = more;
	return 0;
}

/* ---- The request ----------------------------------------------------------------------------- */

/* All of it before any work: who wrote it may be waiting to be rid of it. */
static int read_request(struct gathering *w, struct fault *f)
{
	struct gathered *g = w->g;
	struct seal_reader r;
	struct seal_mail m;
	int n;

	if (seal_request_read(w->fds->request, &r, f) < 0)
		return -1;
	if (r.sources != w->fds->sources)
		return fault_set(f, FAULT_FORMAT, SCOPE_ARCHIVE, 0,
			"the request is for %zu segments, and %zu are open", r.sources,
			w->fds->sources);
	g->options = r.options;
	while ((n = seal_request_next(&r, &m, f)) == SEAL_MAIL) {
		void *array = g->mail;

		if (grow(&array, g->mails, &g->mails_size, sizeof *g->mail, f) < 0)
			return -1;
		g->mail = array;
		g->mail[g->mails++] = (struct gathered_mail){.digest = m.digest,
			.place = m.frame_offset,
			.size = m.size,
			.archived_s = m.archived / 1000,
			.entry = (uint32_t)m.entry_offset,
			.source = (uint16_t)m.source};
		g->bytes += m.size;
	}
	return n;
}

/* ---- Parts ----------------------------------------------------------------------------------- */

static int add_span(struct gathering *w, struct slice message, const struct split_span *s,
	struct gathered_mail *m, struct fault *f)
{
	struct gathered *g = w->g;
	void *spans = g->span, *digests = w->digest;

	if (grow(&spans, g->spans, &g->spans_size, sizeof *g->span, f) < 0)
		return -1;
	g->span = spans;
	if (grow(&digests, g->spans, &w->digests_size, sizeof *w->digest, f) < 0)
		return -1;
	w->digest = digests;
	if (split_decode(message, s, &w->part, f) < 0)
		return -1;
	struct span_digest *d = &w->digest[g->spans];
	hasher_add(w->hasher, w->part.data, w->part.len);
	hasher_end(w->hasher, &d->digest);
	d->span = (uint32_t)g->spans;
	g->span[g->spans++] = (struct gathered_span){
		.offset = (uint32_t)s->offset,
		.size = (uint32_t)s->size,
		.part_size = (uint32_t)s->part_size,
		.line = s->line,
		.kind = (uint8_t)s->kind,
		.eol = (uint8_t)s->eol,
	};
	m->spans++;
	return cluster_add_part(g->cluster, &d->digest, f);
}

/* Beyond LIMIT_SEGMENT_SPANS messages stay whole. */
static int split(struct gathering *w, struct gathered_mail *m, struct fault *f)
{
	struct slice message = buffer_slice(&w->message);

	m->span = (uint32_t)w->g->spans;
	if (w->g->options.sharing == SEAL_SHARING_OFF || m->size > LIMIT_SPLIT_MESSAGE ||
		m->size < LIMIT_PART_LEAST)
		return 0;
	if (split_message(message, &w->part, &w->split, f) < 0)
		return -1;
	if (w->g->spans + w->split.spans > LIMIT_SEGMENT_SPANS)
		return 0;
	for (size_t i = 0; i < w->split.spans; i++) {
		if (add_span(w, message, &w->split.span[i], m, f) < 0)
			return -1;
	}
	return 0;
}

static int by_digest(const void *a, const void *b)
{
	const struct span_digest *x = a, *y = b;
	int order = digest_compare(&x->digest, &y->digest);

	return order ? order : (x->span > y->span) - (x->span < y->span);
}

/* Equal digests become one part. */
static int find_parts(struct gathering *w, struct fault *f)
{
	struct gathered *g = w->g;

	if (g->spans > 0)
		qsort(w->digest, g->spans, sizeof *w->digest, by_digest);
	for (size_t i = 0; i < g->spans; i++) {
		struct gathered_span *s = &g->span[w->digest[i].span];
		void *parts = g->part;
		bool again = i > 0 &&
			     digest_compare(&w->digest[i].digest, &w->digest[i - 1].digest) == 0;

		if (!again && grow(&parts, g->parts, &g->parts_size, sizeof *g->part, f) < 0)
			return -1;
		g->part = parts;
		if (!again)
			g->part[g->parts++] = (struct gathered_part){.digest = w->digest[i].digest};
		s->part = (uint32_t)(g->parts - 1);
		g->part[s->part].wanted |= again || s->kind == PIECE_BASE64;
	}
	return 0;
}

/* ---- Messages -------------------------------------------------------------------------------- */

static int on_bytes(void *context, struct slice bytes, struct fault *f)
{
	struct gathering *w = context;
	uint64_t room = w->keep - w->message.len;
	size_t n = bytes.len < room ? bytes.len : (size_t)room;

	hasher_add(w->hasher, bytes.data, bytes.len);
	if (file_write_at(w->fds->scratch, bytes, w->scratch) < 0)
		return fault_errno(
			f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot write the scratch file");
	w->scratch += bytes.len;
	if (buffer_append(&w->message, bytes.data, n, f) < 0)
		return -1;
	return seal_status_add(w->status, bytes.len, f);
}

static int not_as_kept(const struct gathered_mail *m, const char *why, struct fault *f)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(&m->digest, hex);
	return fault_set(f, FAULT_DAMAGE, SCOPE_MESSAGE, 0,
		"message %s in segment %d of the request, frame %" PRIu64 ", entry %" PRIu32 ": %s",
		hex, m->source, m->place, m->entry, why);
}

static int read_mail(struct gathering *w, struct gathered_mail *m, struct fault *f)
{
	struct location at = {m->source + 1U, m->place, m->entry};
	uint64_t begins = w->scratch;
	struct digest found;
	struct fault why;

	buffer_clear(&w->message);
	w->keep = m->size <= LIMIT_SPLIT_MESSAGE ? m->size : LIMIT_HEADER_BYTES;
	int r = segment_read_entry(w->fds->source[m->source], &w->cache, &at, &m->digest, m->size,
		UINT64_MAX, on_bytes, w, &why);
	hasher_end(w->hasher, &found);
	if (r == ENTRY_OTHER)
		return not_as_kept(m, why.text, f);
	if (r < 0) {
		*f = why;
		return -1;
	}
	if (w->scratch - begins != m->size || digest_compare(&found, &m->digest) != 0)
		return not_as_kept(m, "it is not what was kept", f);
	m->place = begins;
	return 0;
}

static int gather(struct gathering *w, struct fault *f)
{
	struct gathered *g = w->g;

	if (read_request(w, f) < 0 || cluster_new(&g->cluster, f) < 0)
		return -1;
	w->status->all = 2 * g->bytes;
	for (size_t i = 0; i < g->mails; i++) {
		struct gathered_mail *m = &g->mail[i];

		if (read_mail(w, m, f) < 0 ||
			cluster_add(g->cluster, buffer_slice(&w->message), f) < 0 ||
			split(w, m, f) < 0)
			return -1;
	}
	if (find_parts(w, f) < 0 || cluster_order(g->cluster, &g->order, f) < 0)
		return -1;
	g->cluster = cluster_free(g->cluster);
	return 0;
}

int seal_gather(
	const struct seal_fds *fds, struct gathered *g, struct seal_status *status, struct fault *f)
{
	struct gathering *w CLEANUP(gathering_freep) = calloc(1, sizeof *w);

	if (!w)
		return fault_memory(f);
	w->fds = fds;
	w->g = g;
	w->status = status;
	w->message = buffer_make(LIMIT_SPLIT_MESSAGE);
	w->part = buffer_make(LIMIT_SPLIT_MESSAGE);
	if (hasher_new(&w->hasher, f) < 0)
		return -1;
	return gather(w, f);
}
