#include "cli/restore_target.h"

#include "archive/digest.h"
#include "archive/escape.h"
#include "archive/limits.h"
#include "cli/chosen.h"

#include <limits.h>
#include <stdio.h>

static const char MAILDIR[] = "maildir:";

static int no_login_option(const struct arguments *a, struct fault *f)
{
	static const struct option_spec options[] = {LOGIN_OPTIONS, {NULL, 0, NULL, NULL}};

	for (const struct option_spec *o = options; o->name; o++) {
		if (option_given(a, o->name))
			return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
				"--%s goes with a server, not with a Maildir", o->name);
	}
	return 0;
}

static int read_maildir(
	struct restore_target *t, const char *path, const struct arguments *args, struct fault *f)
{
	char *full CLEANUP(freep) = NULL;

	if (no_login_option(args, f) < 0)
		return -1;
	if (!path[0])
		return fault_set(
			f, FAULT_USAGE, SCOPE_SESSION, 0, "--to maildir: without a path behind it");
	full = realpath(path, NULL);
	t->maildir = strdup(full ? full : path);
	return t->maildir ? 0 : fault_memory(f);
}

static int encode(struct buffer *to, const char *text, struct fault *f)
{
	for (const char *p = text; *p; p++) {
		bool plain = *p > 0x20 && *p < 0x7f && !strchr("%@:/?#", *p);

		if (plain ? buffer_append(to, p, 1, f) < 0
			  : buffer_append_format(to, f, "%%%02X", (unsigned)(uint8_t)*p) < 0)
			return -1;
	}
	return 0;
}

static int format_place(const struct account *a, struct buffer *to, struct fault *f)
{
	bool v6 = strchr(a->host, ':') != NULL;

	if (buffer_append_text(to, a->tls == TLS_IMPLICIT ? "imaps://" : "imap://", f) < 0 ||
		encode(to, a->authzid ? a->authzid : a->user, f) < 0 ||
		buffer_append_format(to, f, "@%s%s%s", v6 ? "[" : "", a->host, v6 ? "]" : "") < 0)
		return -1;
	if (a->port == (a->tls == TLS_IMPLICIT ? 993 : 143))
		return 0;
	return buffer_append_format(to, f, ":%u", (unsigned)a->port);
}

static int take_text(char **to, struct buffer *from, struct fault *f)
{
	const char *text = buffer_text(from);

	free(*to);
	*to = text ? strdup(text) : NULL;
	return *to ? 0 : fault_memory(f);
}

int restore_target_name(struct restore_target *t, struct fault *f)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(8 * KIB);

	if (t->maildir) {
		char shown[PATH_MAX];

		(void)escape_text(slice_text(t->maildir), shown, sizeof shown);
		if (buffer_append_format(&text, f, "%s%s", MAILDIR, shown) < 0 ||
			take_text(&t->place, &text, f) < 0)
			return -1;
		return take_text(&t->shown, &text, f);
	}
	if (format_place(&t->account, &text, f) < 0 || take_text(&t->place, &text, f) < 0)
		return -1;
	if (t->folder && (buffer_append_text(&text, "/", f) < 0 ||
				 escape_append(&text, slice_text(t->folder), f) < 0))
		return -1;
	return take_text(&t->shown, &text, f);
}

int restore_target_read(struct restore_target *ret, const char *to, const char *user,
	const struct arguments *args, struct fault *f)
{
	account_init(&ret->account);
	if (strncmp(to, MAILDIR, sizeof MAILDIR - 1) == 0) {
		if (read_maildir(ret, to + sizeof MAILDIR - 1, args, f) < 0)
			return -1;
		return restore_target_name(ret, f);
	}
	if (account_set_imap_url(&ret->account, to, &ret->folder, f) < 0)
		return fault_prefix(f, "--to");
	if (login_options_read_for(&ret->account, args, user, "--to", f) < 0)
		return -1;
	return restore_target_name(ret, f);
}

void restore_target_deinit(struct restore_target *t)
{
	account_deinit(&t->account);
	free(t->maildir);
	free(t->folder);
	free(t->place);
	free(t->shown);
	*t = (struct restore_target){0};
}

char *restore_journal_path(
	const char *folder, const char *cache_dir, const char *host, const char *place)
{
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	struct fault ignored;
	struct digest d;
	char hex[DIGEST_HEX + 1], *path = NULL;

	if (hasher_new(&h, &ignored) < 0)
		return NULL;
	hasher_add(h, place, strlen(place));
	hasher_end(h, &d);
	digest_hex(&d, hex);
	if (asprintf(&path, "%s/restore/%.100s-%.16s.journal", cache_dir ? cache_dir : folder, host,
		    hex) < 0)
		return NULL;
	return path;
}
