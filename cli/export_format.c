#include "cli/export_format.h"

const struct export_format *const export_formats[] = {&export_eml, &export_mboxrd, &export_maildir,
	&export_tar, &export_tar_zst, &export_zip, NULL};

const struct export_format *export_format_named(const char *name)
{
	for (const struct export_format *const *each = export_formats; *each; each++) {
		if (strcmp((*each)->name, name) == 0)
			return *each;
	}
	return NULL;
}

void export_target_closep(struct export_target **to)
{
	if (*to)
		(*to)->format->close(*to);
	*to = NULL;
}

void export_totals_add(struct export_totals *t, uint64_t size, moment_ms archived)
{
	t->messages++;
	t->bytes += size;
	if (archived <= 0)
		return;
	if (t->oldest == 0 || archived < t->oldest)
		t->oldest = archived;
	if (archived > t->newest)
		t->newest = archived;
}
