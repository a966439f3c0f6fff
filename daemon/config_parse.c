/* libconfuse scans, this file listens: each value goes where it belongs when it is read, and each
 * account section is taken and removed at its end, so that memory is one section's and finding the
 * same title again is not libconfuse's (which compares with every one before).
 *
 * Its callbacks get no argument of ours. All keys are "simple" ones whose storage is a slot that
 * begins with the text that libconfuse writes, and from which the reader is found.
 *
 * An included file is a parse of its own within the first. libconfuse's include function keeps a
 * stack in static memory that an error leaves as it is: the next load would begin in a closed file.
 */
#include "daemon/config_parse.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/config_text.h"

#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libintl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { READ_SIZE = 65536, ACCOUNTS_FIRST = 64, SHOWN = 80 };
#define MIN_FREE    (1 * GIB)
#define SEAL_BYTES  (1 * GIB)
#define SEAL_AGE_MS (30 * INT64_C(86400000))

struct reader;
struct slot {
	char *text; /* libconfuse's copy of the last value; first, see above */
	struct reader *reader;
};

struct reader {
	struct config_parse *parse;
	cfg_t *root;
	struct slot global, account;
	const char *file; /* the one that is read now */
	char *folder;
	unsigned depth;
	uint64_t bytes_read;
	size_t room; /* for accounts */

	const char *global_file[CONFIG_KEYS];
	unsigned global_line[CONFIG_KEYS];

	/* The account section that is read now; origin.line is 0 outside of one. */
	struct account current;
	struct config_origin origin;
	char *url_user;
	unsigned line[CONFIG_KEYS];
};

static struct slot *slot_of(const cfg_opt_t *opt)
{
	return (struct slot *)(void *)opt->simple_value.ptr;
}

static struct reader *reader_of(const cfg_t *cfg)
{
	return slot_of(&cfg->opts[0])->reader;
}

static void begin_account(struct reader *r)
{
	account_init(&r->current);
	/* libconfuse leaves the root's line at the opening brace until the section ends. */
	r->origin = (struct config_origin){.file = r->file, .line = (unsigned)r->root->line};
	memset(r->line, 0, sizeof r->line);
}

static void drop_account(struct reader *r)
{
	account_deinit(&r->current);
	freep(&r->url_user);
	r->origin.line = 0;
}

/* 0, or 1 when the key stood there before. */
static int note_place(struct reader *r, enum config_place place, enum config_key key, unsigned line)
{
	unsigned *lines = place == CONFIG_GLOBAL ? r->global_line : r->line;
	const char *first = place == CONFIG_GLOBAL ? r->global_file[key] : r->file;
	char shown[256];

	if (lines[key]) {
		(void)complain(&r->parse->complaints, r->file, line,
			"%s stands twice (first at %s:%u)", config_key_def(key)->name,
			escape_text(slice_text(first), shown, sizeof shown), lines[key]);
		return 1;
	}
	lines[key] = line;
	if (place == CONFIG_GLOBAL)
		r->global_file[key] = r->file;
	return 0;
}

static int set_value(struct reader *r, enum config_place place, enum config_key key,
	const char *value, unsigned line)
{
	const struct config_key_def *def = config_key_def(key);
	struct config_parse *p = r->parse;
	struct config_origin *origin = place == CONFIG_GLOBAL ? &p->global : &r->origin;
	const struct config_target target = {
		.config = p->config,
		.account = place == CONFIG_GLOBAL ? &p->defaults : &r->current,
		.tls = &origin->tls,
		.url_user = &r->url_user,
		.folder = r->folder,
	};
	struct fault f = {0};
	char shown[SHOWN];

	if (strlen(value) > LIMIT_CONFIG_VALUE)
		return complain(&p->complaints, r->file, line, "%s: longer than %d bytes",
			def->name, LIMIT_CONFIG_VALUE);
	int result = def->set(&target, value, &f);
	if (result == 1)
		return complain(&p->complaints, r->file, line, "%s = \"%s\": expected %s",
			def->name, escape_text(slice_text(value), shown, sizeof shown),
			def->expected);
	if (result < 0 && f.code == FAULT_MEMORY)
		return complain_memory(&p->complaints);
	if (result < 0)
		return complain(&p->complaints, r->file, line, "%s: %s", def->name, f.text);
	origin->keys |= UINT64_C(1) << key;
	return 0;
}

/* Goes on after a wrong value: there may be others. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct slot *slot = slot_of(opt);
	struct reader *r = slot->reader;
	enum config_place place = slot == &r->global ? CONFIG_GLOBAL : CONFIG_ACCOUNT;
	enum config_key key = config_key_find(opt->name);
	unsigned line = (unsigned)cfg->line;

	if (place == CONFIG_ACCOUNT && !r->origin.line)
		begin_account(r);
	if (note_place(r, place, key, line) == 0)
		(void)set_value(r, place, key, value, line);
	*(const char **)result = value;
	return r->parse->complaints.fault.code == FAULT_MEMORY ? -1 : 0;
}

static void unknown_key(struct reader *r, enum config_place place, const char *name, unsigned line)
{
	struct complaints *c = &r->parse->complaints;
	char shown[SHOWN];
	bool is_section = strcmp(name, "account") == 0 || strcmp(name, "include") == 0;

	(void)escape_text(slice_text(name), shown, sizeof shown);
	if (config_key_is_secret(name))
		(void)complain(c, r->file, line,
			"unknown key \"%s\": no secret stands in the configuration; use "
			"password-command, password-file, credential or token-command",
			shown);
	else if (config_key_find(name) < CONFIG_KEYS || is_section)
		(void)complain(c, r->file, line,
			place == CONFIG_GLOBAL ? "\"%s\" belongs into an account section"
					       : "\"%s\" does not belong into an account section",
			shown);
	else if (config_key_nearest(name, place))
		(void)complain(c, r->file, line, "unknown key \"%s\"; did you mean \"%s\"?", shown,
			config_key_nearest(name, place));
	else
		(void)complain(c, r->file, line, "unknown key \"%s\"", shown);
}

static void on_error(cfg_t *cfg, const char *format, va_list args)
{
	struct reader *r = reader_of(cfg);
	enum config_place place = cfg == r->root ? CONFIG_GLOBAL : CONFIG_ACCOUNT;
	unsigned line = (unsigned)cfg->line;
	char text[256], shown[512];

	/* The one that we say better; libconfuse may have translated it. */
	if (strcmp(format, dgettext("confuse", "no such option '%s'")) == 0) {
		unknown_key(r, place, va_arg(args, const char *), line);
		return;
	}
	(void)vsnprintf(text, sizeof text, format, args);
	(void)complain(&r->parse->complaints, r->file, line, "%s",
		escape_text(slice_text(text), shown, sizeof shown));
}

static void check_secrets(struct reader *r, const char *shown)
{
	enum config_key first = CONFIG_KEYS;

	for (enum config_key key = KEY_PASSWORD_COMMAND; key <= KEY_TOKEN_COMMAND; key++) {
		if (!r->line[key])
			continue;
		if (first < CONFIG_KEYS)
			(void)complain(&r->parse->complaints, r->file, r->line[key],
				"account \"%s\" has %s and, in line %u, %s: only one of them",
				shown, config_key_def(key)->name, r->line[first],
				config_key_def(first)->name);
		first = key;
	}
}

static void check_tls(struct reader *r)
{
	static const uint64_t BOTH = UINT64_C(1) << KEY_SERVER | UINT64_C(1) << KEY_TLS;
	struct account *a = &r->current;

	if ((r->origin.keys & BOTH) != BOTH)
		return;
	if (a->tls == TLS_STARTTLS && r->origin.tls == TLS_NONE)
		a->tls = TLS_NONE;
	if (a->tls != r->origin.tls)
		(void)complain(&r->parse->complaints, r->file, r->line[KEY_TLS],
			"tls contradicts the %s:// of server in line %u",
			a->tls == TLS_IMPLICIT ? "pop3s" : "pop3", r->line[KEY_SERVER]);
}

static void check_user(struct reader *r, const char *shown)
{
	if (r->url_user && r->line[KEY_USER])
		(void)complain(&r->parse->complaints, r->file, r->line[KEY_USER],
			"account \"%s\" has user and, in line %u, another in server", shown,
			r->line[KEY_SERVER]);
	else if (r->url_user)
		r->current.user = TAKE(r->url_user);
	else if (!r->line[KEY_USER] && (r->current.host || !r->line[KEY_SERVER]))
		(void)complain(&r->parse->complaints, r->file, r->origin.line,
			"account \"%s\": user is missing", shown);
}

static void check_account(struct reader *r)
{
	char shown[SHOWN];

	(void)escape_text(slice_text(r->current.name), shown, sizeof shown);
	if (!account_name_is_valid(r->current.name))
		(void)complain(&r->parse->complaints, r->file, r->origin.line,
			"account \"%s\": a name is 1 to %d of A-Z a-z 0-9 . _ - @ +, and does not "
			"begin with . or -",
			shown, LIMIT_ACCOUNT_NAME);
	if (!r->line[KEY_SERVER])
		(void)complain(&r->parse->complaints, r->file, r->origin.line,
			"account \"%s\": server is missing", shown);
	check_user(r, shown);
	check_secrets(r, shown);
	check_tls(r);
}

static int make_room(struct reader *r)
{
	struct config *c = r->parse->config;
	size_t room = r->room ? r->room * 2 : ACCOUNTS_FIRST;

	if (c->accounts_n < r->room)
		return 0;
	if (c->accounts_n >= LIMIT_ACCOUNTS)
		return complain(&r->parse->complaints, r->file, r->origin.line,
			"more than %d accounts", LIMIT_ACCOUNTS);
	room = room < LIMIT_ACCOUNTS ? room : LIMIT_ACCOUNTS;
	struct account *accounts = reallocarray(c->accounts, room, sizeof *accounts);
	if (!accounts)
		return complain_memory(&r->parse->complaints);
	c->accounts = accounts;
	struct config_origin *origins =
		reallocarray(r->parse->origins, room, sizeof *r->parse->origins);
	if (!origins)
		return complain_memory(&r->parse->complaints);
	r->parse->origins = origins;
	r->room = room;
	return 0;
}

/* A section has ended. */
static int on_account(cfg_t *cfg, cfg_opt_t *opt)
{
	struct reader *r = reader_of(cfg);
	struct config *c = r->parse->config;

	if (!r->origin.line)
		begin_account(r);
	r->current.name = strdup(cfg_title(cfg_opt_getnsec(opt, 0)));
	(void)cfg_opt_rmnsec(opt, 0);
	if (!r->current.name || !r->current.class_)
		return complain_memory(&r->parse->complaints);
	check_account(r);
	if (make_room(r) < 0)
		return -1;
	r->parse->origins[c->accounts_n] = r->origin;
	c->accounts[c->accounts_n++] = r->current;
	r->current = (struct account){0};
	drop_account(r);
	return 0;
}

/* The first may be a pipe, of a shell's <(…). An included one is a regular file: a pattern may
 * match whatever lies there, and opening that must not wait. */
static int open_file(struct reader *r, const char *path, const char *by, unsigned line)
{
	struct complaints *c = &r->parse->complaints;
	int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | (by ? O_NONBLOCK : 0);
	int fd CLEANUP(fd_closep) = open(path, flags);
	char shown[256];
	struct stat st;

	(void)escape_text(slice_text(path), shown, sizeof shown);
	if (fd < 0 && by)
		return complain(c, by, line, "include: %s: %s", shown, strerrordesc_np(errno));
	if (fd < 0)
		return complain(
			c, path, 0, "cannot open the configuration: %s", strerrordesc_np(errno));
	if (by && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
		return complain(c, by, line, "include: %s is no regular file", shown);
	return fd_take(&fd);
}

static int read_text(struct reader *r, const char *path, int fd, struct buffer *text)
{
	struct complaints *c = &r->parse->complaints;
	struct fault f;

	for (;;) {
		if (buffer_reserve(text, READ_SIZE, &f) < 0)
			return complain_memory(c);
		ssize_t n = read(fd, text->data + text->len, READ_SIZE);
		if (n < 0)
			return complain(c, path, 0, "%s", strerrordesc_np(errno));
		if (n == 0)
			return 0;
		text->len += (size_t)n;
		r->bytes_read += (size_t)n;
		if (r->bytes_read > LIMIT_CONFIG_FILE)
			return complain(c, path, 0, "the configuration is larger than %d MiB",
				(int)(LIMIT_CONFIG_FILE / MIB));
	}
}

/* Takes over text, which may be NULL; NULL when out of memory. */
static const char *keep_text(char ***texts, size_t *n, char *text)
{
	char **grown = text ? reallocarray(*texts, *n + 1, sizeof *grown) : NULL;

	if (!grown) {
		free(text);
		return NULL;
	}
	*texts = grown;
	grown[(*n)++] = text;
	return text;
}

/* The part of a pattern's folder that holds no wildcard. */
static char *pattern_folder(const char *pattern)
{
	char *fixed CLEANUP(freep) = strndup(pattern, strcspn(pattern, "*?["));

	return fixed ? config_folder(fixed) : NULL;
}

static int scan(struct reader *r, struct buffer *text)
{
	struct complaints *c = &r->parse->complaints;
	unsigned before = c->n;
	FILE *file = fmemopen(text->data, text->len, "r");

	if (!file)
		return complain_memory(c);
	errno = 0;
	int result = cfg_parse_fp(r->root, file), error = errno;
	(void)fclose(file);
	if (result == CFG_SUCCESS)
		return 0;
	if (c->n > before || c->fault.code == FAULT_MEMORY)
		return -1;
	if (error == ENOMEM)
		return complain_memory(c);
	/* The one thing that libconfuse refuses without a word. */
	return complain(c, r->file, (unsigned)r->root->line, "an empty key, here or below");
}

/* by and line: where it is included; NULL for the first. */
static int read_file(struct reader *r, const char *path, const char *by, unsigned line)
{
	struct complaints *c = &r->parse->complaints;
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(LIMIT_CONFIG_FILE + 2 * READ_SIZE);
	struct fault f;

	int fd CLEANUP(fd_closep) = open_file(r, path, by, line);
	if (fd < 0 || read_text(r, path, fd, &text) < 0)
		return -1;
	const char *file_before = r->file;
	char *folder CLEANUP(freep) = config_folder(path);
	const char *name = keep_text(&r->parse->files, &r->parse->files_n, strdup(path));
	int line_before = r->root->line;
	if (!folder || !name || buffer_append_text(&text, "\n", &f) < 0)
		return complain_memory(c);
	if (config_text_prepare((char *)text.data, text.len, name, c) < 0)
		return -1;
	char *folder_before = r->folder;
	r->file = name;
	r->folder = folder;
	r->depth++;
	int result = scan(r, &text);
	r->depth--;
	r->file = file_before;
	r->folder = folder_before;
	r->root->line = line_before;
	return result;
}

/* A pattern that matches nothing is fine (accounts.d/ may be empty), a name must exist. */
static int include(struct reader *r, const char *path, unsigned line)
{
	struct config *c = r->parse->config;
	glob_t found = {0};
	int result = 0;

	if (!strpbrk(path, "*?["))
		return read_file(r, path, r->file, line);
	if (!keep_text(&c->folders, &c->folders_n, pattern_folder(path)))
		return complain_memory(&r->parse->complaints);
	int r_glob = glob(path, 0, NULL, &found);
	if (r_glob != 0 && r_glob != GLOB_NOMATCH)
		result = complain(
			&r->parse->complaints, r->file, line, "include: the folder cannot be read");
	for (size_t i = 0; i < found.gl_pathc && result == 0; i++)
		result = read_file(r, found.gl_pathv[i], r->file, line);
	globfree(&found);
	return result;
}

static int on_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	struct reader *r = reader_of(cfg);
	struct complaints *c = &r->parse->complaints;
	unsigned line = (unsigned)cfg->line;
	char *path CLEANUP(freep) = NULL;
	struct fault f;

	(void)opt;
	if (argc != 1)
		return complain(c, r->file, line, "include takes one file or pattern");
	if (r->depth >= LIMIT_INCLUDE_DEPTH)
		return complain(c, r->file, line, "includes are nested deeper than %d",
			LIMIT_INCLUDE_DEPTH);
	if (config_path(r->folder, argv[0], &path, &f) < 0)
		return f.code == FAULT_MEMORY ? complain_memory(c)
					      : complain(c, r->file, line, "include: %s", f.text);
	return include(r, path, line);
}

/* The keys of one place. Returns how many; opts has room for all and what follows. */
static size_t make_options(cfg_opt_t *opts, enum config_place place, struct slot *slot)
{
	size_t n = 0;

	for (enum config_key key = 0; key < CONFIG_KEYS; key++) {
		if (config_key_def(key)->places & place)
			opts[n++] = (cfg_opt_t){.name = config_key_def(key)->name,
				.type = CFGT_STR,
				.simple_value.string = &slot->text,
				.parsecb = on_value};
	}
	return n;
}

static cfg_t *make_root(struct reader *r)
{
	cfg_opt_t in_account[CONFIG_KEYS + 1] = {0}, global[CONFIG_KEYS + 3] = {0};
	size_t n = make_options(global, CONFIG_GLOBAL, &r->global);

	(void)make_options(in_account, CONFIG_ACCOUNT, &r->account);
	global[n++] = (cfg_opt_t){.name = "account",
		.type = CFGT_SEC,
		.flags = CFGF_MULTI | CFGF_TITLE,
		.subopts = in_account,
		.validcb = on_account};
	global[n++] = (cfg_opt_t){.name = "include", .type = CFGT_FUNC, .func = on_include};
	cfg_t *root = cfg_init(global, CFGF_NONE);
	if (root)
		(void)cfg_set_error_function(root, on_error);
	return root;
}

static struct config *make_config(void)
{
	struct config *c = malloc(sizeof *c);

	if (c)
		*c = (struct config){
			.min_free = MIN_FREE,
			.max_sessions = LIMIT_SESSIONS,
			.max_sessions_per_server = LIMIT_SESSIONS_SERVER,
			.sandbox = SANDBOX_BEST,
			.seal_due = {SEAL_BYTES, SEAL_AGE_MS},
			.seal_options = SEAL_OPTIONS_DEFAULT,
		};
	return c;
}

int config_parse(const char *path, struct config_parse *p)
{
	struct reader r = {.parse = p};
	int result;

	*p = (struct config_parse){.config = make_config()};
	account_init(&p->defaults);
	r.global.reader = r.account.reader = &r;
	r.root = make_root(&r);
	if (!p->config || !p->defaults.class_ || !r.root)
		result = complain_memory(&p->complaints);
	else
		result = read_file(&r, path, NULL, 0);
	if (r.root)
		(void)cfg_free(r.root);
	if (r.origin.line)
		drop_account(&r);
	free(r.global.text);
	free(r.account.text);
	return result;
}

void config_parse_deinit(struct config_parse *p)
{
	for (size_t i = 0; i < p->files_n; i++)
		free(p->files[i]);
	free(p->files);
	free(p->origins);
	account_deinit(&p->defaults);
	p->config = config_free(p->config);
}
