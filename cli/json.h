/* One object a line (JSON.md says which). A line that could not be made whole because memory ran
 * out is not printed, and the command fails. */
#pragma once

#include "archive/maildrop.h"
#include "archive/moment.h"
#include "cli/output.h"

#include <jansson.h>

/* Of JSON.md. Adding a key or a type leaves it as it is. */
enum { JSON_SHAPES_VERSION = 1 };

/* Embedded; json_line_print() ends it. */
struct json_line {
	json_t *object;
	bool failed;
};

void json_line_begin(struct json_line *l, const char *type);
void json_line_deinit(struct json_line *l);

/* Bytes from anywhere: as they are when they are UTF-8, otherwise escaped as archive/escape.h does.
 */
void json_add_bytes(struct json_line *l, const char *key, struct slice bytes);
void json_add_text(struct json_line *l, const char *key, const char *text);
void json_add_count(struct json_line *l, const char *key, uint64_t n);
void json_add_flag(struct json_line *l, const char *key, bool flag);
/* RFC 3339 in UTC; null for 0. */
void json_add_moment(struct json_line *l, const char *key, moment_ms t);
/* The five sums of an account. */
void json_add_sums(struct json_line *l, const struct sums *s);
/* An array of texts, NULL-ended. */
void json_add_texts(struct json_line *l, const char *key, char *const *texts);
/* Takes ownership of value, which may be NULL when memory ran out. */
void json_add_value(struct json_line *l, const char *key, json_t *value);

/* Prints the line, or hands it out as text with its LF (the caller frees it). Both end the line. */
void json_line_print(struct json_line *l, struct output *o);
char *json_line_text(struct json_line *l);
