/* Values as popkeep.conf(5) wants them. */
#pragma once

#include "archive/bytes.h"

/* Appends "value" in double quotes, so that it is read as it is: quotes, backslashes, dollar signs
 * (${NAME} is the environment's) and control characters are escaped. */
int config_write_value(struct buffer *to, const char *value, struct fault *f) MUST_CHECK;

struct config_pair {
	const char *key, *value; /* value NULL: the key is left out */
};

/* Appends an account's section. */
int config_write_account(struct buffer *to, const char *name, const struct config_pair *pairs,
	size_t n, struct fault *f) MUST_CHECK;
