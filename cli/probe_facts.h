/* What a trial login told, for people and for scripts: shown by `account check` and `account add`.
 */
#pragma once

#include "cli/json.h"
#include "daemon/probe.h"

enum { CAVEATS_MAX = 8, CAVEAT_TEXT = 256 };

/* A person's sentences. */
struct caveats {
	char text[CAVEATS_MAX][CAVEAT_TEXT];
	size_t n;
	bool fatal; /* the account cannot be kept */
};

void probe_find_caveats(const struct account *a, const struct probe_report *r, struct caveats *c);
/* How long a first fetch takes, about. */
int64_t probe_estimate_ms(const struct probe_report *r);
/* The keys of JSON.md from tls to caveats. */
void probe_add_json(struct json_line *line, const struct probe_report *r, struct caveats *c);
