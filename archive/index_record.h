/* What popkeep-worker says of one message, on its way through a pipe. Little-endian:
 *
 *	u32	length of what follows
 *	u32	number of the message in the request, from 0 on: each one, in order
 *	u8	1: it was read, and is what was kept; 2: it could not be read, and nothing follows
 *	u8	bits: 1 has a date, 2 has a received
 *	i64 i64	date, received; 0 where there is none
 *	u32	attachments
 *	six texts, each u32 length and bytes: sender, recipients, copied, subject, message_id, names
 *
 * Lengths are capped by limits.h, texts are as mail_scan.h says. */
#pragma once

#include "archive/bytes.h"
#include "archive/limits.h"
#include "archive/moment.h"

enum index_text {
	INDEX_SENDER,
	INDEX_RECIPIENTS,
	INDEX_COPIED,
	INDEX_SUBJECT,
	INDEX_MESSAGE_ID,
	INDEX_NAMES,
	INDEX_TEXTS
};

struct index_record {
	uint32_t number;
	bool read;
	bool has_date, has_received;
	moment_ms date, received;
	uint32_t attachments;
	struct slice text[INDEX_TEXTS]; /* borrowed */
};

/* The largest one, with its length. */
#define INDEX_RECORD_MOST                                                                          \
	(64 + 4 * INDEX_TEXTS + LIMIT_INDEX_SENDER + 2 * LIMIT_INDEX_LIST + LIMIT_INDEX_SUBJECT +  \
		LIMIT_INDEX_ID + LIMIT_INDEX_NAMES)

int index_record_format(
	const struct index_record *r, struct buffer *to, struct fault *f) MUST_CHECK;

/* The record that bytes begin with: its length in all, and *ret borrows from them; 0: more bytes
 * are needed. <0: nobody who does what he should says this: FAULT_FORMAT, and *f says what is
 * wrong. Texts are checked: what gets through is UTF-8 without control characters. */
ssize_t index_record_parse(
	struct slice bytes, struct index_record *ret, struct fault *f) MUST_CHECK;
