/* Any bytes as a message, as popkeep-worker reads it for the index: in one piece and in small ones
 * the same comes out of it, and what is said of it gets through the pipe unchanged. */
#include "archive/index_record.h"
#include "archive/mail_scan.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static const struct mail_facts *scan(struct mail_scan *s, struct slice message, size_t step)
{
	const struct mail_facts *facts = NULL;
	struct fault f;

	mail_scan_begin(s);
	for (size_t at = 0; at < message.len; at += step) {
		size_t n = message.len - at < step ? message.len - at : step;

		require(mail_scan_add(s, slice_of(message.data + at, n), &f) == 0);
	}
	require(mail_scan_end(s, &facts, &f) == 0);
	return facts;
}

static struct index_record record_of(const struct mail_facts *x)
{
	return (struct index_record){.number = 7,
		.read = true,
		.has_date = x->has_date,
		.has_received = x->has_received,
		.date = x->date,
		.received = x->received,
		.attachments = (uint32_t)x->attachments,
		.text = {buffer_slice(&x->sender), buffer_slice(&x->recipients),
			buffer_slice(&x->copied), buffer_slice(&x->subject),
			buffer_slice(&x->message_id), buffer_slice(&x->names)}};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mail_scan *whole CLEANUP(mail_scan_freep) = NULL;
	struct mail_scan *pieces CLEANUP(mail_scan_freep) = NULL;
	struct buffer first CLEANUP(buffer_deinit) = buffer_make(INDEX_RECORD_MOST);
	struct buffer second CLEANUP(buffer_deinit) = buffer_make(INDEX_RECORD_MOST);
	struct slice message = slice_of(data, size);
	struct index_record a, b, back;
	struct fault f;

	require(mail_scan_new(NULL, &whole, &f) == 0 && mail_scan_new(NULL, &pieces, &f) == 0);
	a = record_of(scan(whole, message, size + 1));
	b = record_of(scan(pieces, message, size % 13 + 1));
	require(index_record_format(&a, &first, &f) == 0 &&
		index_record_format(&b, &second, &f) == 0);
	require(slice_compare(buffer_slice(&first), buffer_slice(&second)) == 0);
	require(index_record_parse(buffer_slice(&first), &back, &f) == (ssize_t)first.len);
	return 0;
}
