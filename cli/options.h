/* Reading a command line against const tables. Options may stand before or after the command, as
 * --name value, --name=value, -n value or -nvalue; "--" ends them. The same option takes an
 * argument, or none, in every table: that is what lets one stand before its command. */
#pragma once

#include "archive/bytes.h"

#include <stdbool.h>

/* A table of these ends with an entry without a name. */
struct option_spec {
	const char *name;
	char letter;	      /* 0: none */
	const char *argument; /* what help calls it; NULL: it takes none */
	const char *summary;
};

enum { OPTIONS_MAX = 64 };

/* Everything borrowed from argv and the tables, but for the array of operands. */
struct arguments {
	struct {
		const struct option_spec *spec;
		const char *value; /* NULL where it takes no argument */
	} given[OPTIONS_MAX];
	size_t given_n;
	const char **operand; /* what is not an option, in order */
	size_t operand_n;
	size_t taken; /* operands that named the command */
};

/* tables: all tables whose options are known, NULL-ended. FAULT_USAGE names an unknown option and
 * the nearest known one. An option is looked up in the first table that has it. */
int arguments_parse(struct arguments *ret, int argc, char *const *argv,
	const struct option_spec *const *tables, struct fault *f) MUST_CHECK;
void arguments_deinit(struct arguments *a);

bool option_given(const struct arguments *a, const char *name);
/* The value given last, or NULL. */
const char *option_value(const struct arguments *a, const char *name);

/* The operands behind the command's name. */
static inline const char **operands(const struct arguments *a)
{
	return a->operand + a->taken;
}
static inline size_t operands_n(const struct arguments *a)
{
	return a->operand_n - a->taken;
}
