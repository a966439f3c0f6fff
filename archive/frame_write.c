#include "archive/frame_write.h"

#include "archive/limits.h"

#include <assert.h>
#include <zstd.h>

enum { OUT_SIZE = 256 * 1024 };

struct frame_writer {
	struct frame_sink sink;
	ZSTD_CCtx *zstd;
	uint64_t most;
	uint64_t decoded; /* in the frame that is open; 0: none is */
	uint64_t start;	  /* of it, in the file */
	uint64_t written; /* where the next byte of out goes, in the file */
	size_t out_len;
	uint8_t out[OUT_SIZE];
};

static int set_parameters(
	struct frame_writer *w, const struct frame_write_options *options, struct fault *f)
{
	/* zstd takes 0 for what the level says. */
	const struct {
		ZSTD_cParameter name;
		int value;
	} all[] = {
		{ZSTD_c_compressionLevel, options->level},
		{ZSTD_c_checksumFlag, 1},
		{ZSTD_c_windowLog, options->window_log},
		{ZSTD_c_hashLog, options->hash_log},
		{ZSTD_c_searchLog, options->search_log},
	};

	assert(options->window_log <= LIMIT_FRAME_WINDOW_LOG);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		if (ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, all[i].name, all[i].value)))
			return fault_set(
				f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "zstd refuses its parameters");
	}
	return 0;
}

int frame_writer_open(const struct frame_write_options *options, const struct frame_sink *sink,
	struct frame_writer **ret, struct fault *f)
{
	struct frame_writer *w CLEANUP(frame_writer_closep) = malloc(sizeof *w);

	if (!w)
		return fault_memory(f);
	memset(w, 0, offsetof(struct frame_writer, out));
	w->sink = *sink;
	w->most = options->most_bytes;
	w->written = options->offset;
	w->zstd = ZSTD_createCCtx();
	if (!w->zstd)
		return fault_memory(f);
	if (set_parameters(w, options, f) < 0)
		return -1;
	*ret = TAKE(w);
	return 0;
}

struct frame_writer *frame_writer_close(struct frame_writer *w)
{
	if (!w)
		return NULL;
	ZSTD_freeCCtx(w->zstd);
	free(w);
	return NULL;
}

void frame_writer_closep(struct frame_writer **w)
{
	*w = frame_writer_close(*w);
}

int frame_writer_flush(struct frame_writer *w, struct fault *f)
{
	if (w->out_len > 0 && w->sink.write(w->sink.context, slice_of(w->out, w->out_len), f) < 0)
		return -1;
	w->written += w->out_len;
	w->out_len = 0;
	return 0;
}

static int compress(
	struct frame_writer *w, struct slice bytes, ZSTD_EndDirective directive, struct fault *f)
{
	ZSTD_inBuffer in = {bytes.data, bytes.len, 0};

	for (;;) {
		ZSTD_outBuffer out = {w->out, OUT_SIZE, w->out_len};
		size_t left = ZSTD_compressStream2(w->zstd, &out, &in, directive);

		if (ZSTD_isError(left))
			return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "zstd: %s",
				ZSTD_getErrorName(left));
		w->out_len = out.pos;
		if (w->out_len == OUT_SIZE && frame_writer_flush(w, f) < 0)
			return -1;
		if (in.pos == in.size && (directive != ZSTD_e_end || left == 0))
			return 0;
	}
}

int frame_writer_end_frame(struct frame_writer *w, struct fault *f)
{
	uint64_t decoded = w->decoded;

	if (decoded == 0)
		return 0;
	w->decoded = 0;
	if (compress(w, slice_of(NULL, 0), ZSTD_e_end, f) < 0)
		return -1;
	if (!w->sink.ended)
		return 0;
	if (frame_writer_flush(w, f) < 0)
		return -1;
	return w->sink.ended(w->sink.context, w->written - w->start, decoded, f);
}

int frame_writer_add(struct frame_writer *w, struct slice bytes, struct fault *f)
{
	while (bytes.len > 0) {
		if (w->decoded == 0)
			w->start = w->written + w->out_len;
		uint64_t room = w->most - w->decoded;
		size_t n = bytes.len < room ? bytes.len : (size_t)room;
		if (compress(w, slice_of(bytes.data, n), ZSTD_e_continue, f) < 0)
			return -1;
		w->decoded += n;
		bytes = slice_of(bytes.data + n, bytes.len - n);
		if (w->decoded == w->most && frame_writer_end_frame(w, f) < 0)
			return -1;
	}
	return 0;
}

uint64_t frame_writer_decoded(const struct frame_writer *w)
{
	return w->decoded;
}

uint64_t frame_writer_start(const struct frame_writer *w)
{
	return w->decoded ? w->start : w->written + w->out_len;
}
