#include "archive/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The last line of defence: whatever a caller forgot to escape cannot drive a terminal. */
static void make_printable(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++) {
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
}

static void record(struct fault *f, enum fault_code code, enum fault_scope scope, int error,
	const char *format, va_list args)
{
	f->code = code;
	f->scope = scope;
	f->error = error;
	if (vsnprintf(f->text, sizeof f->text, format, args) < 0)
		f->text[0] = '\0';
	make_printable(f->text);
}

void fault_record(struct fault *f, enum fault_code code, enum fault_scope scope, int error,
	const char *format, ...)
{
	va_list args;

	va_start(args, format);
	record(f, code, scope, error, format, args);
	va_end(args);
}

/* What could not be looked at for want of descriptors or memory is not damaged. */
static enum fault_code code_for(enum fault_code code, int error)
{
	if (code != FAULT_DAMAGE)
		return code;
	return error == ENOMEM			    ? FAULT_MEMORY
	       : error == EMFILE || error == ENFILE ? FAULT_SYSTEM
						    : code;
}

void fault_record_errno(struct fault *f, enum fault_code code, enum fault_scope scope, int error,
	const char *format, ...)
{
	char reason[128];
	va_list args;

	va_start(args, format);
	record(f, code_for(code, error), scope, error, format, args);
	va_end(args);
	size_t used = strlen(f->text);
	(void)snprintf(f->text + used, sizeof f->text - used, ": %s",
		strerror_r(error, reason, sizeof reason));
}

void fault_add_prefix(struct fault *f, const char *format, ...)
{
	char joined[FAULT_TEXT_MAX];
	va_list args;

	va_start(args, format);
	int n = vsnprintf(joined, sizeof joined, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof joined - 3)
		return;
	make_printable(joined);
	size_t room = sizeof joined - (size_t)n;
	if (snprintf(joined + n, room, ": %s", f->text) >= (int)room)
		memcpy(joined + sizeof joined - 4, "...", 4);
	memcpy(f->text, joined, sizeof joined);
}

void fault_widen(struct fault *f, enum fault_scope scope)
{
	if (scope > f->scope)
		f->scope = scope;
}

int fault_exit_status(const struct fault *f)
{
	switch (f->code) {
	case FAULT_NONE:
		return 0;
	case FAULT_USAGE:
	case FAULT_ACCESS:
		return 2;
	case FAULT_PROTOCOL:
		return 3;
	case FAULT_DAMAGE:
		return 4;
	case FAULT_MISSING:
		return 5;
	case FAULT_BUSY:
		return 6;
	case FAULT_LOGIN:
		return 7;
	case FAULT_REACH:
		return 8;
	case FAULT_WRITE:
		return 74;
	case FAULT_SYSTEM:
	case FAULT_MEMORY:
	case FAULT_LIMIT:
	case FAULT_FORMAT:
	case FAULT_INTERRUPT:
		break;
	}
	return 1;
}
