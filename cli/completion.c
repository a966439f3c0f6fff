#include "cli/completion.h"

#include "cli/command.h"
#include "cli/export_format.h"
#include "cli/mbox_dialect.h"
#include "daemon/config_keys.h"

#include <ctype.h>
#include <stdio.h>

enum kind {
	NOTHING,
	ACCOUNTS,
	COMMANDS,
	DIALECTS,
	FILES,
	FOLDERS,
	FORMATS,
	KINDS_OF_MAIL,
	TLS_MODES,
	UNKNOWN
};

/* By what help calls an argument. COMMAND is two things: a shell's for an option, ours for help. */
static const struct {
	const char *argument;
	enum kind kind;
} KINDS[] = {
	{"ACCOUNT", ACCOUNTS},
	{"AGE", NOTHING},
	{"ARCHIVE", FOLDERS},
	{"COMMAND", NOTHING},
	{"CONFIG", FILES},
	{"DATE", NOTHING},
	{"DIALECT", DIALECTS},
	{"DIR", FOLDERS},
	{"FILE", FILES},
	{"FLAGS", NOTHING},
	{"FOLDER", NOTHING},
	{"FORMAT", FORMATS},
	{"HEX", NOTHING},
	{"HOW", NOTHING},
	{"ID", NOTHING},
	{"KIND", KINDS_OF_MAIL},
	{"MECHANISM", NOTHING},
	{"MODE", TLS_MODES},
	{"N", NOTHING},
	{"NAME", ACCOUNTS},
	{"PATH", FILES},
	{"PIN", NOTHING},
	{"QUERY", NOTHING},
	{"SEGMENT", NOTHING},
	{"SIZE", NOTHING},
	{"TARGET", NOTHING},
	{"TEMPLATE", NOTHING},
	{"TEXT", NOTHING},
	{"UIDL", NOTHING},
	{"URL", NOTHING},
	{"USER", NOTHING},
};

static enum kind kind_of(struct slice argument)
{
	for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
		if (slice_compare(slice_text(KINDS[i].argument), argument) == 0)
			return KINDS[i].kind;
	}
	return UNKNOWN;
}

bool completion_knows(struct slice argument)
{
	return kind_of(argument) != UNKNOWN;
}

/* ---- What was typed before ------------------------------------------------------------------- */

enum { OPERANDS_MAX = 16 };

struct typed {
	const char *operand[OPERANDS_MAX];
	size_t operands;
	const char *config;		  /* of -c; or NULL */
	const struct option_spec *wanted; /* its argument is what is being typed */
	bool options_ended;
};

static const struct option_spec *in_table(
	const struct option_spec *table, const char *name, size_t len, char letter)
{
	for (; table->name; table++) {
		if (letter ? table->letter == letter
			   : strlen(table->name) == len && memcmp(table->name, name, len) == 0)
			return table;
	}
	return NULL;
}

/* An option takes an argument in every table or in none, whatever the command is. */
static const struct option_spec *find_option(const char *name, size_t len, char letter)
{
	const struct option_spec *found = in_table(global_options, name, len, letter);

	for (const struct command *const *c = commands; *c && !found; c++)
		found = in_table((*c)->options, name, len, letter);
	return found;
}

/* The option that the word after this one belongs to. */
static const struct option_spec *option_of(const char *word, const char **ret_joined)
{
	const char *equals = strchr(word, '=');
	const struct option_spec *o = NULL;

	*ret_joined = NULL;
	if (word[1] == '-') {
		o = find_option(
			word + 2, equals ? (size_t)(equals - word) - 2 : strlen(word + 2), '\0');
		*ret_joined = equals ? equals + 1 : NULL;
	}
	for (const char *p = word + 1; word[1] != '-' && *p; p++) {
		o = find_option(NULL, 0, *p);
		if (o && o->argument) {
			*ret_joined = p[1] ? p + 1 : NULL;
			break;
		}
	}
	return o && o->argument ? o : NULL;
}

static void read_typed(struct typed *t, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *word = words[i], *value = NULL;

		if (t->options_ended || word[0] != '-' || !word[1]) {
			if (t->operands < OPERANDS_MAX)
				t->operand[t->operands++] = word;
			continue;
		}
		t->options_ended = strcmp(word, "--") == 0;
		const struct option_spec *o = t->options_ended ? NULL : option_of(word, &value);
		if (o && !value && i + 1 == n)
			t->wanted = o;
		else if (o && !value)
			value = words[++i];
		if (o && value && strcmp(o->name, "config") == 0)
			t->config = value;
	}
}

/* ---- What can follow ------------------------------------------------------------------------- */

struct offering {
	struct output *out;
	const char *before; /* "--format=" where the value is joined to its option */
	size_t before_len;
	const char *begun; /* what candidates begin with */
};

static void offer(const struct offering *o, struct slice word, const char *summary)
{
	size_t len = strlen(o->begun);

	if (word.len < len || memcmp(word.data, o->begun, len) != 0)
		return;
	out_bytes(o->out, slice_of(o->before, o->before_len));
	out_escaped(o->out, word);
	out_format(o->out, "\t%s\n", summary);
}

static int load(const struct run *run, const struct typed *t, struct config **ret, struct fault *f)
{
	const char *named = t->config ? t->config : run_named_config(run);
	char *path CLEANUP(freep) = NULL;

	if (named ? config_path("", named, &path, f) != 0 : config_default_path(&path, f) != 0)
		return -1;
	return config_load(path, ret, f);
}

static void offer_accounts(const struct offering *o, const struct run *run, const struct typed *t)
{
	struct config *c CLEANUP(config_freep) = NULL;
	struct fault ignored;

	if (load(run, t, &c, &ignored) < 0)
		return;
	for (size_t i = 0; i < c->accounts_n; i++)
		offer(o, slice_text(c->accounts[i].name), "account");
}

/* The next word of every command that begins with these words; one that is several commands' once:
 * they stand together in the table. */
static void offer_commands(const struct offering *o, const char *const *words, size_t n)
{
	struct slice last = {0};

	for (const struct command *const *c = commands; *c; c++) {
		const char *at = (*c)->name;
		size_t i = 0;

		for (; i < n && strncmp(at, words[i], strlen(words[i])) == 0 &&
			at[strlen(words[i])] == ' ';
			i++)
			at += strlen(words[i]) + 1;
		struct slice next = slice_of(at, strcspn(at, " "));
		if (i < n || (last.len > 0 && slice_compare(next, last) == 0))
			continue;
		last = next;
		offer(o, next, at[next.len] ? "..." : (*c)->summary);
	}
}

static void offer_kind(
	const struct offering *o, enum kind kind, const struct run *run, const struct typed *t)
{
	switch (kind) {
	case ACCOUNTS:
		offer_accounts(o, run, t);
		break;
	case COMMANDS:
		offer_commands(o, t->operand + 1, t->operands - 1);
		break;
	case FILES:
		out_format(o->out, ":files\n");
		break;
	case FOLDERS:
		out_format(o->out, ":folders\n");
		break;
	case FORMATS:
		for (const struct export_format *const *e = export_formats; *e; e++)
			offer(o, slice_text((*e)->name), "format");
		break;
	case KINDS_OF_MAIL:
		offer(o, slice_text("eml"), "messages, one a file");
		offer(o, slice_text("mbox"), "many in one file");
		offer(o, slice_text("maildir"), "a folder with cur and new");
		offer(o, slice_text("tar"), "an archive");
		offer(o, slice_text("zip"), "an archive");
		break;
	case DIALECTS:
		for (enum mbox_dialect d = MBOX_O; d <= MBOX_CL2; d++)
			offer(o, slice_text(mbox_dialect_name(d)), "dialect");
		break;
	case TLS_MODES:
		offer(o, slice_text("implicit"), "TLS from the start, pop3s://");
		offer(o, slice_text("starttls"), "STLS, pop3://");
		offer(o, slice_text("none"), "no TLS");
		break;
	case NOTHING:
	case UNKNOWN:
		break;
	}
}

static void offer_options(const struct offering *o, const struct option_spec *table)
{
	char name[64];

	for (; table->name; table++) {
		(void)snprintf(name, sizeof name, "--%s", table->name);
		offer(o, slice_text(name), table->summary);
	}
}

/* What the command's help calls the operand that follows `given` ones: "[NAME...]" is all of them,
 * "NAME UIDL" one after the other. */
static enum kind kind_of_operand(const struct command *c, size_t given)
{
	const char *at = c->arguments;

	if (c == &command_help)
		return COMMANDS;
	if (c == &command_account_add)
		return NOTHING; /* the one NAME that must be new */
	for (;; given--) {
		at += *at == '[';
		size_t len = 0;
		while (isupper((unsigned char)at[len]))
			len++;
		if (len == 0)
			return NOTHING;
		if (given == 0 || strncmp(at + len, "...", 3) == 0)
			return kind_of(slice_of(at, len));
		at += len;
		at += *at == ']';
		at += *at == ' ';
	}
}

void completion_print(struct run *run, const char *const *words, size_t n)
{
	const char *current = n > 0 ? words[n - 1] : "", *joined = NULL;
	struct offering o = {.out = &run->out, .before = current, .begun = current};
	struct typed t = {0};
	size_t taken = 0;

	read_typed(&t, words, n > 0 ? n - 1 : 0);
	bool is_option = !t.wanted && !t.options_ended && current[0] == '-';
	const struct option_spec *own =
		is_option && current[1] ? option_of(current, &joined) : NULL;
	if (joined) {
		t.wanted = own;
		o.before_len = (size_t)(joined - current);
		o.begun = joined;
	}
	const struct command *c = command_find(t.operand, t.operands, &taken);
	if (t.wanted) {
		offer_kind(&o, kind_of(slice_text(t.wanted->argument)), run, &t);
	} else if (is_option) {
		if (c)
			offer_options(&o, c->options);
		offer_options(&o, global_options);
	} else if (!c) {
		offer_commands(&o, t.operand, t.operands);
	} else {
		offer_kind(&o, kind_of_operand(c, t.operands - taken), run, &t);
	}
}
