/* What the ledger remembers of messages that were given out. */
#pragma once

#include "archive/digest.h"
#include "archive/store.h"

enum record_kind { RECORD_EXPORT, RECORD_RESTORE };

/* All borrowed. A target is a path or URL without any secret; texts beyond their cap are cut. */
struct record {
	enum record_kind kind;
	struct slice query;	       /* canonical, at most LIMIT_QUERY bytes are told */
	struct slice target;	       /* at most LIMIT_CONFIG_VALUE / 2 */
	struct slice format;	       /* EXPORT: "mboxrd" */
	uint64_t messages, bytes;      /* that are there now */
	uint64_t failed;	       /* that were wanted and are not */
	const struct digest *manifest; /* EXPORT: SHA-256 of manifest.jsonl */
};

/* A group of one line. s is STORE_WRITE; as store_commit(). */
int store_record(struct store *s, const struct record *r, struct fault *f) MUST_CHECK;
