#include "cli/json.h"

#include "archive/escape.h"

#include <errno.h>

void json_line_begin(struct json_line *l, const char *type)
{
	l->object = json_object();
	l->failed = !l->object;
	if (type)
		json_add_text(l, "type", type);
}

void json_line_deinit(struct json_line *l)
{
	json_decref(l->object);
	l->object = NULL;
}

void json_add_value(struct json_line *l, const char *key, json_t *value)
{
	if (json_object_set_new(l->object, key, value) < 0)
		l->failed = true;
}

static json_t *text_of(struct slice bytes)
{
	/* json_stringn() refuses what is not well-formed UTF-8. */
	json_t *text = json_stringn(bytes.len ? (const char *)bytes.data : "", bytes.len);
	struct buffer escaped CLEANUP(buffer_deinit) = buffer_make(SIZE_MAX / 2);
	struct fault f;

	if (text)
		return text;
	if (escape_append(&escaped, bytes, &f) < 0)
		return NULL;
	return json_stringn((const char *)escaped.data, escaped.len);
}

void json_add_bytes(struct json_line *l, const char *key, struct slice bytes)
{
	json_add_value(l, key, text_of(bytes));
}

void json_add_text(struct json_line *l, const char *key, const char *text)
{
	json_add_bytes(l, key, slice_text(text));
}

void json_add_count(struct json_line *l, const char *key, uint64_t n)
{
	json_add_value(l, key, json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n));
}

void json_add_flag(struct json_line *l, const char *key, bool flag)
{
	json_add_value(l, key, json_boolean(flag));
}

void json_add_sums(struct json_line *l, const struct sums *s)
{
	json_add_count(l, "listed", s->listed);
	json_add_count(l, "archived", s->archived);
	json_add_count(l, "pending", s->pending);
	json_add_count(l, "refused", s->refused);
	json_add_count(l, "vanished", s->vanished);
}

void json_add_moment(struct json_line *l, const char *key, moment_ms t)
{
	char text[MOMENT_TEXT];

	if (t == 0) {
		json_add_value(l, key, json_null());
		return;
	}
	moment_format(t, text);
	json_add_text(l, key, text);
}

void json_add_texts(struct json_line *l, const char *key, char *const *texts)
{
	json_t *array = json_array();

	for (; array && *texts; texts++) {
		if (json_array_append_new(array, text_of(slice_text(*texts))) < 0)
			l->failed = true;
	}
	json_add_value(l, key, array);
}

char *json_line_text(struct json_line *l)
{
	/* ASCII alone: nothing in it can drive a terminal, and nothing is lost. */
	char *text = l->failed ? NULL : json_dumps(l->object, JSON_COMPACT | JSON_ENSURE_ASCII);
	char *whole = NULL;

	json_line_deinit(l);
	if (!text)
		return NULL;
	if (asprintf(&whole, "%s\n", text) < 0)
		whole = NULL;
	free(text);
	return whole;
}

void json_line_print(struct json_line *l, struct output *o)
{
	char *text CLEANUP(freep) = json_line_text(l);

	if (text)
		out_bytes(o, slice_text(text));
	else if (!o->error)
		o->error = ENOMEM;
}
