/* The one error type. Storage belongs to the caller, nothing is allocated. A function that can
 * fail takes `struct fault *` last and returns <0 with *fault set and its outputs untouched, 0 when
 * done, and >0 for an outcome that its header names. The text is written once, where the failure
 * happened; callers add context in front with fault_prefix().
 *
 * Bytes from outside (server texts, UIDLs, file names) go through escape_append() or
 * escape_text() before they are put into a text. */
#pragma once

#include <stdbool.h>

/* What kind of failure: decides the exit status and whether trying again can help. */
enum fault_code {
	FAULT_NONE = 0,
	FAULT_USAGE,	/* command line or configuration; nothing was started (exit 2) */
	FAULT_SYSTEM,	/* a system call or library failed outside of writing the archive (1) */
	FAULT_MEMORY,	/* out of memory (1) */
	FAULT_LIMIT,	/* a cap of archive/limits.h was reached (1) */
	FAULT_MISSING,	/* what was named does not exist (5) */
	FAULT_ACCESS,	/* refused: not the owner, or a secret that others can read (2) */
	FAULT_FORMAT,	/* an archive or database this version cannot read or write (1) */
	FAULT_DAMAGE,	/* the archive is damaged (4) */
	FAULT_BUSY,	/* the archive, or a maildrop, stayed busy (6) */
	FAULT_LOGIN,	/* the server refused the login (7) */
	FAULT_REACH,	/* DNS, TCP, TLS or certificate: the server was not reached (8) */
	FAULT_PROTOCOL, /* the server broke POP3, stalled, or cut the session (3) */
	FAULT_WRITE,	/* a write or sync to the archive failed (74) */
	FAULT_INTERRUPT /* stopped by a signal (1) */
};

/* How much is dead. A caller may only widen it. */
enum fault_scope { SCOPE_MESSAGE, SCOPE_SESSION, SCOPE_ACCOUNT, SCOPE_ARCHIVE };

enum { FAULT_TEXT_MAX = 768 };

struct fault {
	enum fault_code code;
	enum fault_scope scope;
	int error; /* errno or a library's code, 0 when there is none */
	char text[FAULT_TEXT_MAX];
};

void fault_record(struct fault *f, enum fault_code code, enum fault_scope scope, int error,
	const char *format, ...) __attribute__((format(printf, 5, 6)));
void fault_record_errno(struct fault *f, enum fault_code code, enum fault_scope scope, int error,
	const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Sets *f and yields -1. A macro, so that the compiler sees the -1. */
#define fault_set(f, code, scope, error, ...)                                                      \
	(fault_record((f), (code), (scope), (error), __VA_ARGS__), -1)
/* The same with ": strerror(error)" after the text. FAULT_DAMAGE becomes FAULT_SYSTEM or
 * FAULT_MEMORY where error says that descriptors or memory ran out. */
#define fault_errno(f, code, scope, error, ...)                                                    \
	(fault_record_errno((f), (code), (scope), (error), __VA_ARGS__), -1)
#define fault_memory(f) (fault_record((f), FAULT_MEMORY, SCOPE_SESSION, 0, "out of memory"), -1)

/* Puts "context: " in front of the text; yields -1 for `return fault_prefix(...)`. */
void fault_add_prefix(struct fault *f, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
#define fault_prefix(f, ...) (fault_add_prefix((f), __VA_ARGS__), -1)

void fault_widen(struct fault *f, enum fault_scope scope);

/* The exit status of a program that ends because of this fault (0 done, 1 failed, 2 usage,
 * 3 partly, 4 damaged, 5 nothing matched, 6 busy, 7 login, 8 not reachable, 74 write failed). */
int fault_exit_status(const struct fault *f);
