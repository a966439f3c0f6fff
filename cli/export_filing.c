#include "cli/export_filing.h"

#include "archive/limits.h"
#include "daemon/imap_name.h"

#include <stdio.h>
#include <strings.h>

enum { FOLDER_MOST = 200 }; /* of a name's 255: servers put theirs behind it */

int export_filing_read(
	struct export_filing *x, struct store *s, const struct message *m, struct fault *f)
{
	if (find_filings(s, m, &x->all, &x->n, f) < 0)
		return -1;
	x->chosen = x->n ? &x->all[0] : NULL;
	for (size_t i = 0; i < x->n; i++) {
		if (x->all[i].folder[0]) {
			x->chosen = &x->all[i];
			break;
		}
	}
	return 0;
}

void export_filing_deinit(struct export_filing *x)
{
	filings_free(x->all, x->n);
	*x = (struct export_filing){0};
}

void export_filing_tell(const struct export_filing *x, struct json_line *line)
{
	if (!x->chosen)
		return;
	json_add_bytes(line, "folder", slice_text(x->chosen->folder));
	json_add_bytes(line, "flags", slice_text(x->chosen->flags));
	json_add_moment(line, "received", x->chosen->received);
}

int export_filing_maildir(const struct export_filing *x, char folder[static MAILDIR_FOLDER],
	char flags[static MAILDIR_LETTERS], struct fault *f)
{
	struct buffer name CLEANUP(buffer_deinit) = buffer_make(LIMIT_FOLDER * 4);

	folder[0] = '\0';
	memcpy(flags, "S", 2);
	if (!x->chosen)
		return 0;
	maildir_letters(x->chosen->flags, flags);
	int r = imap_name_of_path(&name, x->chosen->folder, '.', NULL, f);
	if (r < 0)
		return -1;
	const char *text = r == 0 ? buffer_text(&name) : "INBOX";
	if (!text)
		return fault_memory(f);
	if (strcasecmp(text, "INBOX") != 0 && !strchr(text, '/'))
		(void)snprintf(folder, MAILDIR_FOLDER, ".%.*s/", FOLDER_MOST, text);
	return 0;
}
