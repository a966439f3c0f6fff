#include "cli/options.h"

#include "archive/escape.h"
#include "daemon/nearest.h"

#include <stdio.h>

static const struct option_spec *find_long(
	const struct option_spec *const *tables, const char *name, size_t len)
{
	for (; *tables; tables++) {
		for (const struct option_spec *o = *tables; o->name; o++) {
			if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
				return o;
		}
	}
	return NULL;
}

static const struct option_spec *find_short(const struct option_spec *const *tables, char letter)
{
	for (; *tables; tables++) {
		for (const struct option_spec *o = *tables; o->name; o++) {
			if (o->letter == letter)
				return o;
		}
	}
	return NULL;
}

static int unknown_option(
	const struct option_spec *const *tables, struct slice given, struct fault *f)
{
	char text[64];
	struct nearest near = {.word = text};

	(void)escape_text(given, text, sizeof text);
	for (; *tables; tables++) {
		for (const struct option_spec *o = *tables; o->name; o++)
			nearest_offer(&near, o->name);
	}
	if (near.best)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"unknown option --%s; did you mean --%s?", text, near.best);
	return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0, "unknown option --%s", text);
}

static int add_given(
	struct arguments *a, const struct option_spec *spec, const char *value, struct fault *f)
{
	if (a->given_n == OPTIONS_MAX)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0, "too many options (at most %d)",
			OPTIONS_MAX);
	a->given[a->given_n].spec = spec;
	a->given[a->given_n].value = value;
	a->given_n++;
	return 0;
}

/* The argument that is not joined to its option: the next word, which is stepped over. */
static int next_value(int argc, char *const *argv, int *i, const struct option_spec *spec,
	const char **ret, struct fault *f)
{
	if (*i + 1 >= argc)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0, "option --%s needs %s",
			spec->name, spec->argument);
	*ret = argv[++*i];
	return 0;
}

static int parse_long(struct arguments *a, int argc, char *const *argv, int *i,
	const struct option_spec *const *tables, struct fault *f)
{
	const char *name = argv[*i] + 2, *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	const struct option_spec *spec = find_long(tables, name, len);
	const char *value = equals ? equals + 1 : NULL;

	if (!spec)
		return unknown_option(tables, slice_of(name, len), f);
	if (value && !spec->argument)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0, "option --%s takes no argument",
			spec->name);
	if (spec->argument && !value && next_value(argc, argv, i, spec, &value, f) < 0)
		return -1;
	return add_given(a, spec, value, f);
}

static int parse_short(struct arguments *a, int argc, char *const *argv, int *i,
	const struct option_spec *const *tables, struct fault *f)
{
	for (const char *p = argv[*i] + 1; *p; p++) {
		const struct option_spec *spec = find_short(tables, *p);
		const char *value = NULL;
		char text[8];

		if (!spec)
			return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0, "unknown option -%s",
				escape_text(slice_of(p, 1), text, sizeof text));
		if (!spec->argument) {
			if (add_given(a, spec, NULL, f) < 0)
				return -1;
			continue;
		}
		if (p[1])
			value = p + 1;
		else if (next_value(argc, argv, i, spec, &value, f) < 0)
			return -1;
		return add_given(a, spec, value, f);
	}
	return 0;
}

int arguments_parse(struct arguments *ret, int argc, char *const *argv,
	const struct option_spec *const *tables, struct fault *f)
{
	struct arguments a CLEANUP(arguments_deinit) = {0};
	bool ended = false;

	a.operand = calloc((size_t)argc + 1, sizeof *a.operand);
	if (!a.operand)
		return fault_memory(f);
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		int r = 0;

		if (ended || word[0] != '-' || !word[1])
			a.operand[a.operand_n++] = word;
		else if (strcmp(word, "--") == 0)
			ended = true;
		else if (word[1] == '-')
			r = parse_long(&a, argc, argv, &i, tables, f);
		else
			r = parse_short(&a, argc, argv, &i, tables, f);
		if (r < 0)
			return -1;
	}
	*ret = a;
	a.operand = NULL;
	return 0;
}

void arguments_deinit(struct arguments *a)
{
	free(a->operand);
	a->operand = NULL;
}

bool option_given(const struct arguments *a, const char *name)
{
	for (size_t i = 0; i < a->given_n; i++) {
		if (strcmp(a->given[i].spec->name, name) == 0)
			return true;
	}
	return false;
}

const char *option_value(const struct arguments *a, const char *name)
{
	for (size_t i = a->given_n; i-- > 0;) {
		if (strcmp(a->given[i].spec->name, name) == 0)
			return a->given[i].value;
	}
	return NULL;
}
