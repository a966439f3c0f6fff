/* From files to accounts as they stand there: includes, syntax, and each value by itself. What
 * holds between accounts, and what they take over from the global keys, is config.c's. */
#pragma once

#include "daemon/config_complaint.h"
#include "daemon/config_keys.h"

/* Where an account was configured, beside the account of the same index. */
struct config_origin {
	const char *file;
	unsigned line;
	uint64_t keys; /* bit 1 << enum config_key: it has its own */
	enum tls_mode tls;
};

struct config_parse {
	struct config *config;	       /* accounts and global keys; the caller may take it */
	struct config_origin *origins; /* config->accounts_n of them */
	struct account defaults;       /* from the global keys */
	struct config_origin global;   /* of the defaults: keys and tls */
	char **files;		       /* names: what origins point to; the caller may take them */
	size_t files_n;
	struct complaints complaints;
};

/* Fills *p, which is config_parse_deinit()'s in any case. 0: read to the end, though there may be
 * complaints; -1: stopped where the last complaint says. */
int config_parse(const char *path, struct config_parse *p) MUST_CHECK;
void config_parse_deinit(struct config_parse *p);
