/* A taker that writes down what it is given: "flags folder received [bytes]", refusals, notes. */
#pragma once

#include "cli/import_taker.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

struct taken {
	struct buffer log;   /* messages, refusals and losses */
	struct buffer notes; /* a line each */
	uint64_t begun, ended, refused, lost, bytes, position;
	int open;
	int stop_at; /* begin() that fails; 0: none */
	int skip_at; /* bytes() of the message with this number gives IMPORT_SKIP; 0: none */
};

static inline void taken_write(struct buffer *to, const char *text)
{
	struct fault f;
	bool added = buffer_append_text(to, text, &f) == 0;

	assert(added);
	(void)added;
}

static inline int taken_begin(void *context, const struct found *m, struct fault *f)
{
	struct taken *t = context;
	char received[32];

	assert(!t->open && m->where && m->where[0]);
	if (++t->begun == (uint64_t)t->stop_at)
		return fault_set(f, FAULT_INTERRUPT, SCOPE_ARCHIVE, 0, "stopped");
	t->open = 1;
	(void)snprintf(received, sizeof received, "%" PRId64, m->received / 1000);
	if (m->received != 0) {
		taken_write(&t->log, received);
		taken_write(&t->log, " ");
	}
	if (m->folder && m->folder[0]) {
		taken_write(&t->log, m->folder);
		taken_write(&t->log, " ");
	}
	for (size_t i = 0; i < m->also_n; i++) {
		taken_write(&t->log, "+");
		taken_write(&t->log, m->also[i]);
		taken_write(&t->log, " ");
	}
	if (m->flags && m->flags[0]) {
		taken_write(&t->log, m->flags);
		taken_write(&t->log, " ");
	}
	taken_write(&t->log, "[");
	return 0;
}

static inline int taken_bytes(void *context, struct slice bytes, struct fault *f)
{
	struct taken *t = context;

	assert(t->open && bytes.len > 0);
	t->bytes += bytes.len;
	if (t->begun == (uint64_t)t->skip_at) {
		t->open = 0;
		taken_write(&t->log, "...");
		return IMPORT_SKIP;
	}
	if (t->log.len + bytes.len > t->log.max)
		return 0; /* too many to write down */
	return buffer_append(&t->log, bytes.data, bytes.len, f);
}

static inline int taken_end(void *context, struct fault *f)
{
	struct taken *t = context;

	(void)f;
	assert(t->open);
	t->open = 0;
	t->ended++;
	taken_write(&t->log, "]");
	return 0;
}

static inline int taken_refuse(
	void *context, const struct found *m, const char *why, struct fault *f)
{
	struct taken *t = context;

	(void)m;
	(void)f;
	t->open = 0;
	t->refused++;
	taken_write(&t->log, "!refused: ");
	taken_write(&t->log, why);
	return 0;
}

static inline int taken_lost(void *context, const char *path, const char *why, struct fault *f)
{
	struct taken *t = context;

	(void)path;
	(void)f;
	assert(!t->open);
	t->lost++;
	taken_write(&t->log, "!lost: ");
	taken_write(&t->log, why);
	return 0;
}

static inline int taken_note(void *context, const char *path, const char *what, struct fault *f)
{
	struct taken *t = context;

	(void)path;
	(void)f;
	taken_write(&t->notes, what);
	taken_write(&t->notes, "\n");
	return 0;
}

static inline int taken_read_as(
	void *context, const char *path, const char *dialect, const char *text, struct fault *f)
{
	assert(dialect && (!text || strstr(text, dialect)));
	return text ? taken_note(context, path, text, f) : 0;
}

static inline int taken_own_begin(void *context, int fd, const char *path, struct fault *f)
{
	(void)context;
	(void)fd;
	(void)path;
	(void)f;
	return 0;
}

static inline void taken_own_end(void *context)
{
	(void)context;
}

static inline int taken_position(void *context, uint64_t done, struct fault *f)
{
	struct taken *t = context;

	(void)f;
	assert(done >= t->position);
	t->position = done;
	return 0;
}

/* Empty; to be deinited. */
static inline struct import_taker taken_make(struct taken *t)
{
	*t = (struct taken){.log = buffer_make(8 * 1024 * 1024), .notes = buffer_make(64 * 1024)};
	return (struct import_taker){.context = t,
		.begin = taken_begin,
		.bytes = taken_bytes,
		.end = taken_end,
		.refuse = taken_refuse,
		.lost = taken_lost,
		.note = taken_note,
		.read_as = taken_read_as,
		.own_begin = taken_own_begin,
		.own_end = taken_own_end,
		.position = taken_position};
}

static inline void taken_deinit(struct taken *t)
{
	buffer_deinit(&t->log);
	buffer_deinit(&t->notes);
}
