#include "cli/import_readings.h"

#include "archive/escape.h"

#include <inttypes.h>
#include <stdio.h>

void reading_counts_add(struct reading_counts *c, const char *format)
{
	size_t i = 0;

	while (i < c->n && strcmp(c->of[i].format, format) != 0)
		i++;
	if (i == sizeof c->of / sizeof *c->of)
		return;
	if (i == c->n)
		c->of[c->n++].format = format;
	c->of[i].files++;
}

void reading_counts_json(const struct reading_counts *c, struct json_line *line)
{
	json_t *object = c->n ? json_object() : NULL;

	for (size_t i = 0; i < c->n; i++)
		line->failed |= json_object_set_new(object, c->of[i].format,
					json_integer((json_int_t)c->of[i].files)) < 0;
	if (c->n)
		json_add_value(line, "read_as", object);
}

void readings_deinit(struct readings *r)
{
	for (size_t i = 0; i < READINGS_FEW; i++)
		free(r->text[i]);
	*r = (struct readings){0};
}

int readings_add(struct readings *r, struct run *run, const char *path, const char *format,
	const char *text, struct fault *f)
{
	char shown[2048];

	reading_counts_add(&r->counts, format);
	if (!text)
		return 0;
	(void)escape_text(slice_text(path), shown, sizeof shown);
	run_detail(run, "%s: %s", shown, text);
	if (r->files < READINGS_FEW && asprintf(&r->text[r->files], "%s: %s", shown, text) < 0) {
		r->text[r->files] = NULL;
		return fault_memory(f);
	}
	r->files++;
	return 0;
}

static void tell_counts(const struct readings *r, struct run *run)
{
	char text[256], number[TEXT_NUMBER];
	size_t len = 0;

	for (size_t i = 0; i < r->counts.n && len < sizeof text; i++)
		len += (size_t)snprintf(text + len, sizeof text - len,
			i ? ", %s as %s" : "%s files read as %s",
			text_count(r->counts.of[i].files, number), r->counts.of[i].format);
	run_note(run, "%s; -v names each, and says why", text);
}

void readings_tell(struct readings *r, struct run *run)
{
	if (run->verbosity != VERBOSITY_VERBOSE && r->files > READINGS_FEW)
		tell_counts(r, run);
	for (size_t i = 0;
		run->verbosity != VERBOSITY_VERBOSE && r->files <= READINGS_FEW && i < r->files;
		i++)
		run_note(run, "%s", r->text[i]);
	readings_deinit(r);
}
