#include "cli/eml_folders.h"

#include "archive/limits.h"

#include <stdio.h>

static struct eml_month *month_of(struct eml_folders *x, const char *name, struct fault *f)
{
	/* The last one first: messages that lie together are of one month. */
	for (size_t i = x->n; i-- > 0;) {
		if (memcmp(x->months[i].name, name, EML_FOLDER) == 0)
			return &x->months[i];
	}
	if (x->n == x->size) {
		size_t size = x->size ? 2 * x->size : 64;
		struct eml_month *more = reallocarray(x->months, size, sizeof *more);

		if (!more) {
			(void)fault_memory(f);
			return NULL;
		}
		x->months = more;
		x->size = size;
	}
	struct eml_month *m = &x->months[x->n++];
	*m = (struct eml_month){.number = 1};
	memcpy(m->name, name, EML_FOLDER);
	return m;
}

int eml_folders_place(struct eml_folders *x, char name[static EML_NAME], struct fault *f)
{
	struct eml_month *m = month_of(x, name, f);
	char text[16];

	if (!m)
		return -1;
	if (m->files >= LIMIT_EXPORT_FOLDER) {
		m->files = 0;
		m->number++;
	}
	m->files++;
	if (m->number == 1)
		return 0;
	int len = snprintf(text, sizeof text, "_%u", m->number);
	size_t rest = strlen(name + EML_FOLDER) + 1;
	if (len < 0 || EML_FOLDER + (size_t)len + rest > EML_NAME)
		return fault_set(f, FAULT_LIMIT, SCOPE_MESSAGE, 0, "too long a name");
	memmove(name + EML_FOLDER + len, name + EML_FOLDER, rest);
	memcpy(name + EML_FOLDER, text, (size_t)len);
	return 0;
}

int eml_folders_recall(struct eml_folders *x, const char *name, struct fault *f)
{
	uint32_t number = 0;

	if (strlen(name) <= EML_FOLDER || !strchr("/_", name[EML_FOLDER]))
		return 0;
	for (const char *c = name + EML_FOLDER + 1; name[EML_FOLDER] == '_' && *c != '/'; c++) {
		if (*c < '0' || *c > '9' || number > 100000)
			return 0;
		number = 10 * number + (uint32_t)(*c - '0');
	}
	struct eml_month *m = month_of(x, name, f);
	if (!m)
		return -1;
	number = number ? number : 1;
	if (number > m->number) {
		m->number = number;
		m->files = 0;
	}
	m->files += number == m->number;
	return 0;
}

void eml_folders_deinit(struct eml_folders *x)
{
	free(x->months);
	*x = (struct eml_folders){0};
}
