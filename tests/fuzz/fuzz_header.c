/* Any bytes as a message: its header is read, and what came out of it is printed as search would.
 */
#include "archive/encoded_word.h"
#include "archive/escape.h"
#include "archive/header.h"
#include "archive/mail_date.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct header h CLEANUP(header_deinit) = {0};
	struct fault f;
	moment_ms t;

	require(header_read(slice_of(data, size), &h, &f) == 0);
	require(h.body <= size);
	for (int i = 0; i < HEADER_FIELDS; i++) {
		struct slice field = buffer_slice(&h.field[i]);
		char text[256];

		require(field.len <= HEADER_FIELD_MAX);
		(void)escape_text(field, text, sizeof text);
	}
	(void)mail_date_parse(buffer_slice(&h.field[HEADER_DATE]), &t);
	return 0;
}
