/* mboxrd.h says what stands in the file. */
#include "cli/pack.h"

#include "archive/limits.h"
#include "cli/mboxrd.h"

enum { PIECE = 64 * 1024, OUT_MAX = 2 * PIECE };

struct mbox {
	struct pack pack;
	struct mboxrd state;
	struct buffer out; /* encoded, of one piece */
};

static struct mbox *mbox_of(struct pack *p)
{
	return (struct mbox *)p;
}

static int mbox_open(struct volume *out, int folder, struct pack **ret, struct fault *f)
{
	struct mbox *x = calloc(1, sizeof *x);

	(void)folder;
	if (!x)
		return fault_memory(f);
	x->pack = (struct pack){&pack_mboxrd, out};
	x->out = buffer_make(OUT_MAX);
	*ret = &x->pack;
	return 0;
}

static int mbox_begin(struct pack *p, const struct pack_entry *e, struct fault *f)
{
	(void)f;
	mboxrd_begin(
		&mbox_of(p)->state, e->time, e->lines == PACK_LINES_LF ? MBOXRD_CRLF : MBOXRD_KEPT);
	return 0;
}

static int mbox_put(struct pack *p, struct slice bytes, struct fault *f)
{
	struct mbox *x = mbox_of(p);

	while (bytes.len > 0) {
		size_t n = bytes.len < PIECE ? bytes.len : PIECE;

		buffer_clear(&x->out);
		int r = mboxrd_add(&x->state, slice_of(bytes.data, n), &x->out, f);
		if (r != 0)
			return r == MBOXRD_BARE_LF ? PACK_BARE_LF : -1;
		if (volume_put(p->out, buffer_slice(&x->out), f) < 0)
			return -1;
		bytes = slice_of(bytes.data + n, bytes.len - n);
	}
	return 0;
}

static int mbox_end(struct pack *p, struct fault *f)
{
	struct mbox *x = mbox_of(p);

	buffer_clear(&x->out);
	int r = mboxrd_end(&x->state, &x->out, f);
	if (r != 0)
		return r == MBOXRD_BARE_LF ? PACK_BARE_LF : -1;
	return volume_put(p->out, buffer_slice(&x->out), f);
}

static int nothing(struct pack *p, struct fault *f)
{
	(void)p;
	(void)f;
	return 0;
}

static uint64_t mbox_offset(const struct pack *p)
{
	return volume_end(p->out);
}

static uint64_t mbox_most(const struct pack *p, size_t name_len, uint64_t size)
{
	(void)name_len;
	return volume_end(p->out) + size + size / 5 + KIB;
}

static void mbox_close(struct pack *p)
{
	buffer_deinit(&mbox_of(p)->out);
	free(mbox_of(p));
}

const struct pack_kind pack_mboxrd = {
	.open = mbox_open,
	.begin = mbox_begin,
	.put = mbox_put,
	.end = mbox_end,
	.flush = nothing,
	.reset = nothing,
	.finish = nothing,
	.offset = mbox_offset,
	.most = mbox_most,
	.close = mbox_close,
};
