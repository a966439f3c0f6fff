/* Any bytes as an mbox file. The first byte says in which dialect it is read, and in what pieces.
 * Every byte is in one event, and the messages and counts are the same whatever the pieces are;
 * apart_take() sees to the former. */
#include "cli/mbox_from.h"
#include "cli/takeout.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/mbox_apart.h"

enum { FILE_MAX = 64 * 1024, DIALECTS = MBOX_CL2 + 1 };

/* What is read out of headers has its bounds too; a file's first line may be any. */
static void check_marks(struct slice file)
{
	struct mbox_marks m = {0};
	struct takeout labels = {0};
	struct fault f;
	moment_ms t = 1;

	require(mbox_marks_read(file, &m, &f) == 0);
	require(m.flags.len <= LIMIT_FLAGS && m.labels.len <= LIMIT_HEADER_FIELD);
	require(takeout_read(&m, &labels, &f) == 0);
	require(labels.n >= 1 && labels.n <= TAKEOUT_FOLDERS && m.flags.len <= LIMIT_FLAGS);
	for (size_t i = 0; i < labels.n; i++) {
		const char *name = labels.folder[i];

		require(name[0] && name[0] != '/' && strlen(name) <= LIMIT_FOLDER);
		require(!strstr(name, "//") && name[strlen(name) - 1] != '/');
	}
	takeout_deinit(&labels);
	mbox_marks_deinit(&m);
	if (mbox_from_parse(file, &t) == 0)
		require(t >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct apart whole = {.out = buffer_make(MIB)}, pieces = {.out = buffer_make(MIB)};

	if (size < 1 || size > FILE_MAX)
		return 0;
	enum mbox_dialect dialect = (enum mbox_dialect)(data[0] % DIALECTS);
	enum mbox_lookup lookup = data[0] & 0x80 ? MBOX_CAN_ASK : MBOX_CANNOT_ASK;
	size_t piece = (size_t)(data[0] / DIALECTS % 16) * 7 + 1;
	struct slice file = slice_of(data + 1, size - 1);

	apart_take(&whole, file, FILE_MAX, dialect, lookup);
	apart_take(&pieces, file, piece + file.len / 256, dialect, lookup);
	require(slice_compare(buffer_slice(&whole.out), buffer_slice(&pieces.out)) == 0);
	require(memcmp(&whole.parser.counts, &pieces.parser.counts, sizeof whole.parser.counts) ==
		0);
	buffer_deinit(&whole.out);
	buffer_deinit(&pieces.out);
	check_marks(file);
	return 0;
}
