#include "daemon/config_complaint.h"

#include "archive/escape.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MORE_MAX = 32 }; /* "; and 4294967295 more" */

int complain(struct complaints *c, const char *file, unsigned line, const char *format, ...)
{
	char name[256], where[300], what[FAULT_TEXT_MAX], before[FAULT_TEXT_MAX];
	struct fault *f = &c->fault;
	va_list args;

	if (f->code != FAULT_NONE && f->code != FAULT_USAGE)
		return -1;
	va_start(args, format);
	(void)vsnprintf(what, sizeof what, format, args);
	va_end(args);
	(void)escape_text(slice_text(file), name, sizeof name);
	(void)snprintf(where, sizeof where, line ? "%s:%u" : "%s", name, line);
	c->n++;
	if (f->code == FAULT_NONE) {
		fault_record(f, FAULT_USAGE, SCOPE_ARCHIVE, 0, "%s: %s", where, what);
		return -1;
	}
	size_t more = strlen(where) + strlen(what) + strlen("; : ");
	/* In the order of their places: after one that did not fit, none is told. */
	if (c->untold > 0 || strlen(f->text) + more + MORE_MAX >= sizeof f->text) {
		c->untold++;
		return -1;
	}
	memcpy(before, f->text, sizeof before);
	fault_record(f, FAULT_USAGE, SCOPE_ARCHIVE, 0, "%s; %s: %s", before, where, what);
	return -1;
}

int complain_memory(struct complaints *c)
{
	c->untold = 0;
	return fault_memory(&c->fault);
}

int complaints_result(const struct complaints *c, struct fault *f)
{
	if (c->fault.code == FAULT_NONE)
		return 0;
	*f = c->fault;
	if (c->untold > 0)
		fault_record(f, f->code, f->scope, f->error, "%s; and %u more", c->fault.text,
			c->untold);
	return -1;
}
