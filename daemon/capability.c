#include "daemon/capability.h"

#include "archive/escape.h"
#include "archive/limits.h"

#include <stdio.h>
#include <strings.h>

void capabilities_init(struct capabilities *c)
{
	*c = (struct capabilities){0};
}

/* Takes the next word off *rest; empty at the end. */
static struct slice next_word(struct slice *rest)
{
	size_t from = 0, to;

	while (from < rest->len && (rest->data[from] == ' ' || rest->data[from] == '\t'))
		from++;
	for (to = from; to < rest->len && rest->data[to] != ' ' && rest->data[to] != '\t';)
		to++;
	struct slice word = slice_of(rest->data + from, to - from);
	*rest = slice_of(rest->data + to, rest->len - to);
	return word;
}

static bool is(struct slice word, const char *name)
{
	return word.len == strlen(name) &&
	       strncasecmp((const char *)word.data, name, word.len) == 0;
}

/* Digits only; huge numbers stay below UINT64_MAX, which means "never" here. */
static bool number(struct slice word, uint64_t *ret)
{
	uint64_t value = 0;

	for (size_t i = 0; i < word.len; i++) {
		if (word.data[i] < '0' || word.data[i] > '9')
			return false;
		if (value < UINT64_MAX / 100)
			value = value * 10 + (word.data[i] - '0');
	}
	*ret = value;
	return word.len > 0;
}

/* RFC 4422: 1 to 20 of A-Z 0-9 - _. Others cannot be a mechanism that we know. */
static void add_sasl(struct capabilities *c, struct slice word)
{
	char name[CAPABILITIES_SASL_NAME] = {0};

	if (word.len == 0 || word.len >= sizeof name || c->n_sasl == CAPABILITIES_SASL)
		return;
	for (size_t i = 0; i < word.len; i++) {
		char ch = (char)word.data[i];

		if (ch >= 'a' && ch <= 'z')
			ch = (char)(ch - 'a' + 'A');
		if (!ch || !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", ch))
			return;
		name[i] = ch;
	}
	if (!capabilities_have_sasl(c, name))
		memcpy(c->sasl[c->n_sasl++], name, sizeof name);
}

static void add_expire(struct capabilities *c, struct slice rest)
{
	struct slice word = next_word(&rest);

	if (is(word, "NEVER")) {
		c->expire_known = true;
		c->expire_days = UINT64_MAX;
	} else if (number(word, &c->expire_days)) {
		c->expire_known = true;
	}
}

/* Only whole entries stay, so that no character is cut; behind each there is room for ", ...". */
static void add_text(struct capabilities *c, struct slice line)
{
	char escaped[CAPABILITIES_TEXT];
	size_t used = strlen(c->text);
	const char *between = used ? ", " : "";

	if (c->text_is_cut)
		return;
	(void)escape_text(line, escaped, sizeof escaped);
	c->text_is_cut = used + strlen(between) + strlen(escaped) + sizeof ", ..." > sizeof c->text;
	(void)snprintf(c->text + used, sizeof c->text - used, "%s%s", between,
		c->text_is_cut ? "..." : escaped);
}

/* Those that are a name alone. */
static void add_flag(struct capabilities *c, struct slice keyword)
{
	const struct {
		const char *name;
		bool *flag;
	} flags[] = {
		{"TOP", &c->top},
		{"USER", &c->user},
		{"UIDL", &c->uidl},
		{"STLS", &c->stls},
		{"PIPELINING", &c->pipelining},
		{"RESP-CODES", &c->resp_codes},
		{"AUTH-RESP-CODE", &c->auth_resp_code},
		{"UTF8", &c->utf8},
	};

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		if (is(keyword, flags[i].name))
			*flags[i].flag = true;
	}
}

int capabilities_add(struct capabilities *c, struct slice line, struct fault *f)
{
	struct slice rest = line;
	struct slice keyword = next_word(&rest);

	if (++c->lines > LIMIT_CAPA_LINES)
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
			"the answer to CAPA has more than %d lines", LIMIT_CAPA_LINES);
	if (is(keyword, "SASL")) {
		for (struct slice word; (word = next_word(&rest)).len > 0;)
			add_sasl(c, word);
	} else if (is(keyword, "EXPIRE")) {
		add_expire(c, rest);
	} else if (is(keyword, "LOGIN-DELAY")) {
		c->login_delay_known = number(next_word(&rest), &c->login_delay_s);
	} else if (is(keyword, "IMPLEMENTATION") && rest.len > 0) {
		(void)escape_text(slice_of(rest.data + 1, rest.len - 1), c->implementation,
			sizeof c->implementation);
	} else {
		add_flag(c, keyword);
	}
	add_text(c, line);
	return 0;
}

bool capabilities_have_sasl(const struct capabilities *c, const char *mechanism)
{
	for (unsigned i = 0; i < c->n_sasl; i++) {
		if (strcmp(c->sasl[i], mechanism) == 0)
			return true;
	}
	return false;
}
