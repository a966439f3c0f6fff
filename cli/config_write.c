#include "cli/config_write.h"

int config_write_value(struct buffer *to, const char *value, struct fault *f)
{
	if (buffer_append_text(to, "\"", f) < 0)
		return -1;
	for (const char *p = value; *p; p++) {
		unsigned char c = (unsigned char)*p;
		int r;

		if (c < 0x20 || c == 0x7f)
			r = buffer_append_format(to, f, "\\x%02x", c);
		else if (strchr("\"\\$", c))
			r = buffer_append_format(to, f, "\\%c", c);
		else
			r = buffer_append(to, p, 1, f);
		if (r < 0)
			return -1;
	}
	return buffer_append_text(to, "\"", f);
}

int config_write_account(struct buffer *to, const char *name, const struct config_pair *pairs,
	size_t n, struct fault *f)
{
	if (buffer_append_text(to, "account ", f) < 0 || config_write_value(to, name, f) < 0 ||
		buffer_append_text(to, " {\n", f) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!pairs[i].value)
			continue;
		if (buffer_append_format(to, f, "    %-16s = ", pairs[i].key) < 0 ||
			config_write_value(to, pairs[i].value, f) < 0 ||
			buffer_append_text(to, "\n", f) < 0)
			return -1;
	}
	return buffer_append_text(to, "}\n", f);
}
