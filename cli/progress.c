#include "cli/progress.h"

#include "archive/moment.h"
#include "cli/output.h"

#include <inttypes.h>
#include <stdio.h>

enum { SILENT_MS = 1000, REDRAW_MS = 200, BAR_MIN = 8, BAR_MAX = 30 };

void progress_init(struct progress *p, enum progress_wanted wanted)
{
	*p = (struct progress){.on = wanted == PROGRESS_ON_TERMINAL && isatty(STDERR_FILENO) == 1};
	progress_begin(p);
}

void progress_begin(struct progress *p)
{
	p->began = monotonic_ms();
	p->drawn_at = 0;
}

/* The parts of a line in the order in which they stand there. */
enum part { PART_LABEL, PART_BAR, PART_PERCENT, PART_ITEMS, PART_RATE, PART_LEFT, PARTS };
enum { PART_TEXT = 48 };

static void format_left(int64_t ms, char ret[static PART_TEXT])
{
	int64_t s = (ms + 999) / 1000;

	if (s < 3600)
		(void)snprintf(ret, PART_TEXT, "%d:%02d", (int)(s / 60), (int)(s % 60));
	else if (s < 100 * 3600)
		(void)snprintf(ret, PART_TEXT, "%dh%02d", (int)(s / 3600), (int)(s % 3600 / 60));
	else
		(void)snprintf(ret, PART_TEXT, ">99h");
}

static double share_of(const struct progress_state *s)
{
	return s->done >= s->all ? 1 : (double)s->done / (double)s->all;
}

/* As wide as fits into room, brackets included; nothing when that is too little for a bar. */
static void format_bar(double share, size_t room, char ret[static PART_TEXT])
{
	size_t width = room < BAR_MAX + 2 ? room : BAR_MAX + 2;

	ret[0] = '\0';
	if (width < BAR_MIN + 2)
		return;
	width -= 2;
	size_t filled = (size_t)(share * (double)width);
	ret[0] = '[';
	for (size_t i = 0; i < width; i++)
		ret[1 + i] = i < filled ? '#' : '.';
	memcpy(ret + 1 + width, "]", 2);
}

static void format_parts(
	const struct progress_state *s, int64_t elapsed_ms, char part[static PARTS][PART_TEXT])
{
	char a[TEXT_NUMBER], b[TEXT_NUMBER];
	double seconds = elapsed_ms > 0 ? (double)elapsed_ms / 1000 : 0.001;
	double rate = (double)s->done / seconds;

	(void)snprintf(part[PART_LABEL], PART_TEXT, "%s", s->label);
	if (s->items_all)
		(void)snprintf(part[PART_ITEMS], PART_TEXT, "%s/%s", text_count(s->items, a),
			text_count(s->items_all, b));
	if (s->done)
		(void)snprintf(part[PART_RATE], PART_TEXT, "%s/s",
			s->unit == PROGRESS_BYTES ? text_size((uint64_t)rate, a)
						  : text_count((uint64_t)rate, a));
	if (!s->all)
		return;
	(void)snprintf(part[PART_PERCENT], PART_TEXT, "%3d%%", (int)(share_of(s) * 100));
	if (rate > 0)
		format_left((int64_t)((1 - share_of(s)) * (double)s->all / rate * 1000),
			part[PART_LEFT]);
}

void progress_line(const struct progress_state *s, int64_t elapsed_ms, unsigned columns,
	char ret[static PROGRESS_LINE])
{
	/* What a narrow terminal still shows, the most useful first; the bar takes what is left. */
	static const enum part order[PARTS] = {
		PART_PERCENT, PART_LEFT, PART_RATE, PART_ITEMS, PART_LABEL, PART_BAR};
	char part[PARTS][PART_TEXT] = {{0}};
	bool shown[PARTS] = {false};
	size_t used = 0, room = columns < PROGRESS_LINE - 1 ? columns : PROGRESS_LINE - 1;

	format_parts(s, elapsed_ms, part);
	for (size_t i = 0; i < PARTS; i++) {
		if (order[i] == PART_BAR && s->all && used < room)
			format_bar(share_of(s), room - used - 1, part[PART_BAR]);
		size_t len = strlen(part[order[i]]) + (used ? 1 : 0);

		if (part[order[i]][0] && used + len <= room) {
			shown[order[i]] = true;
			used += len;
		}
	}
	ret[0] = '\0';
	for (size_t i = 0, at = 0; i < PARTS; i++) {
		if (shown[i])
			at += (size_t)snprintf(
				ret + at, PROGRESS_LINE - at, "%s%s", at ? " " : "", part[i]);
	}
}

void progress_update(struct progress *p, const struct progress_state *s)
{
	char line[PROGRESS_LINE];
	int64_t now = monotonic_ms();

	if (!p->on || now - p->began < SILENT_MS || now - p->drawn_at < REDRAW_MS)
		return;
	/* The last column stays free: some terminals wrap as soon as it is written. */
	progress_line(s, now - p->began, terminal_columns(STDERR_FILENO) - 1, line);
	(void)fprintf(stderr, "\r%s\033[K", line);
	(void)fflush(stderr);
	p->drawn = true;
	p->drawn_at = now;
}

void progress_clear(struct progress *p)
{
	if (!p->drawn)
		return;
	(void)fputs("\r\033[K", stderr);
	(void)fflush(stderr);
	p->drawn = false;
}
