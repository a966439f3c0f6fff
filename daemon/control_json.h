/* What requests and replies have in common: one JSON object a line. Inside control_*.c only. */
#pragma once

#include "archive/bytes.h"
#include "archive/moment.h"

#include <jansson.h>

/* Embedded; a value that could not be added because memory ran out fails the whole line. */
struct control_line {
	json_t *object;
	bool failed;
};

/* {"v":1,"<what>":"<which>". */
void control_line_begin(struct control_line *l, const char *what, const char *which);
void control_line_deinit(struct control_line *l);
/* Takes ownership of value, which may be NULL when memory ran out. */
void control_line_add(struct control_line *l, const char *key, json_t *value);
/* Bytes that are no UTF-8 are escaped. */
void control_line_text(struct control_line *l, const char *key, const char *text);
void control_line_count(struct control_line *l, const char *key, uint64_t n);
/* In ASCII with its LF, at most max bytes. Ends the line. FAULT_LIMIT, FAULT_MEMORY. */
int control_line_end(
	struct control_line *l, size_t max, struct buffer *to, struct fault *f) MUST_CHECK;

/* A line of at most max bytes that is an object of version CONTROL_VERSION with a text at `what`.
 * *ret_object is the caller's, *ret_which borrowed from it. FAULT_PROTOCOL, FAULT_LIMIT,
 * FAULT_MEMORY. */
int control_line_parse(struct slice line, size_t max, const char *what, json_t **ret_object,
	const char **ret_which, struct fault *f) MUST_CHECK;
void control_json_freep(json_t **j);

/* What is missing, of another type or out of range reads as empty or 0. */
const char *control_get_text(const json_t *object, const char *key);
/* Cut at a whole character; control characters become '?'. */
void control_copy_text(const json_t *object, const char *key, char *ret, size_t size);
uint64_t control_get_count(const json_t *object, const char *key);
/* The index of the text at key in names, 0 when it is none of them. */
unsigned control_get_name(
	const json_t *object, const char *key, const char *const *names, size_t n);
