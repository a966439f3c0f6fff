/* Any bytes as what popkeep-worker says of messages: either it is wrong, or each record is within
 * its caps and says the same when it is written again. */
#include "archive/index_record.h"
#include "archive/plain_text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer again CLEANUP(buffer_deinit) = buffer_make(INDEX_RECORD_MOST);
	struct slice rest = slice_of(data, size);
	struct index_record r;
	struct fault f = {0};
	ssize_t n;

	while ((n = index_record_parse(rest, &r, &f)) > 0) {
		struct slice whole = slice_of(rest.data, (size_t)n);

		require((size_t)n <= rest.len && (size_t)n <= INDEX_RECORD_MOST);
		for (int i = 0; i < INDEX_TEXTS; i++)
			require(plain_is(r.text[i], i == INDEX_NAMES ? PLAIN_LINES : PLAIN_LINE));
		buffer_clear(&again);
		require(index_record_format(&r, &again, &f) == 0);
		/* A date that is not said may have been any number. */
		require(again.len == whole.len);
		rest = slice_of(rest.data + n, rest.len - (size_t)n);
	}
	require(n == 0 || (f.code == FAULT_FORMAT && f.text[0]));
	return 0;
}
