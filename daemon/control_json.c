#include "daemon/control_json.h"

#include "archive/escape.h"
#include "daemon/control_message.h"

/* ---- Writing ---------------------------------------------------------------------------- */

void control_line_begin(struct control_line *l, const char *what, const char *which)
{
	*l = (struct control_line){.object = json_object()};
	control_line_add(l, "v", json_integer(CONTROL_VERSION));
	control_line_text(l, what, which);
}

void control_line_deinit(struct control_line *l)
{
	json_decref(l->object);
	l->object = NULL;
}

void control_line_add(struct control_line *l, const char *key, json_t *value)
{
	if (json_object_set_new(l->object, key, value) < 0)
		l->failed = true;
}

/* A text that was cut inside a character is no UTF-8 any more. */
static json_t *escaped(const char *text)
{
	struct buffer b CLEANUP(buffer_deinit) = buffer_make(LIMIT_CONTROL_REPLY);
	struct fault f;

	if (escape_append(&b, slice_text(text), &f) < 0)
		return NULL;
	return json_stringn((const char *)b.data, b.len);
}

void control_line_text(struct control_line *l, const char *key, const char *text)
{
	json_t *value = json_string(text);

	control_line_add(l, key, value ? value : escaped(text));
}

void control_line_count(struct control_line *l, const char *key, uint64_t n)
{
	control_line_add(l, key, json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n));
}

int control_line_end(struct control_line *l, size_t max, struct buffer *to, struct fault *f)
{
	char *text CLEANUP(freep) =
		l->failed ? NULL : json_dumps(l->object, JSON_COMPACT | JSON_ENSURE_ASCII);
	size_t before = to->len;

	control_line_deinit(l);
	if (!text)
		return fault_memory(f);
	if (strlen(text) > max)
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
			"a message to the service of %zu bytes; %zu are the limit", strlen(text),
			max);
	if (buffer_append_text(to, text, f) < 0)
		return -1;
	if (buffer_append(to, "\n", 1, f) < 0) {
		to->len = before;
		return -1;
	}
	return 0;
}

/* ---- Reading ---------------------------------------------------------------------------- */

void control_json_freep(json_t **j)
{
	json_decref(*j);
	*j = NULL;
}

/* Before jansson recurses into it. */
static bool is_too_deep(struct slice line)
{
	size_t depth = 0;
	bool in_text = false;

	for (size_t i = 0; i < line.len; i++) {
		uint8_t c = line.data[i];

		if (in_text) {
			i += c == '\\';
			in_text = c != '"';
		} else if (c == '"') {
			in_text = true;
		} else if ((c == '[' || c == '{') && ++depth > LIMIT_CONTROL_DEPTH) {
			return true;
		} else if ((c == ']' || c == '}') && depth > 0) {
			depth--;
		}
	}
	return false;
}

static int load(struct slice line, json_t **ret, struct fault *f)
{
	json_error_t error;
	char shown[sizeof error.text + 16];
	json_t *object = json_loadb(
		line.len ? (const char *)line.data : "", line.len, JSON_REJECT_DUPLICATES, &error);

	if (!object && json_error_code(&error) == json_error_out_of_memory)
		return fault_memory(f);
	if (!object)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0, "not a JSON object: %s",
			escape_text(slice_text(error.text), shown, sizeof shown));
	*ret = object;
	return 0;
}

int control_line_parse(struct slice line, size_t max, const char *what, json_t **ret_object,
	const char **ret_which, struct fault *f)
{
	json_t *object CLEANUP(control_json_freep) = NULL;

	if (line.len > max)
		return fault_set(
			f, FAULT_LIMIT, SCOPE_SESSION, 0, "a line of more than %zu bytes", max);
	if (is_too_deep(line))
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0, "JSON nested more than %d deep",
			LIMIT_CONTROL_DEPTH);
	if (load(line, &object, f) < 0)
		return -1;
	/* json_loadb() without JSON_DECODE_ANY gives objects and arrays. */
	json_t *v = json_object_get(object, "v");
	if (!json_is_integer(v))
		return fault_set(
			f, FAULT_PROTOCOL, SCOPE_SESSION, 0, "no version: \"v\" is not a number");
	if (json_integer_value(v) != CONTROL_VERSION)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"version %lld of the control protocol; this end speaks version %d: use "
			"popkeep and popkeepd of one release",
			(long long)json_integer_value(v), CONTROL_VERSION);
	const char *which = json_string_value(json_object_get(object, what));
	if (!which)
		return fault_set(
			f, FAULT_PROTOCOL, SCOPE_SESSION, 0, "no \"%s\" that is a text", what);
	*ret_object = TAKE(object);
	*ret_which = which;
	return 0;
}

const char *control_get_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

void control_copy_text(const json_t *object, const char *key, char *ret, size_t size)
{
	struct slice from = slice_text(control_get_text(object, key));
	size_t len = 0;

	while (from.len > 0) {
		uint32_t c;
		size_t n = utf8_next(from, &c);

		if (n == 0 || len + n >= size)
			break;
		memcpy(ret + len, from.data, n);
		if (c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xa0)) {
			ret[len] = '?';
			len += 1;
		} else {
			len += n;
		}
		from = slice_of(from.data + n, from.len - n);
	}
	ret[len] = '\0';
}

uint64_t control_get_count(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? (uint64_t)n : 0;
}

unsigned control_get_name(const json_t *object, const char *key, const char *const *names, size_t n)
{
	const char *text = control_get_text(object, key);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(text, names[i]) == 0)
			return (unsigned)i;
	}
	return 0;
}
