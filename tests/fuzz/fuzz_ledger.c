/* Any bytes as a ledger. The first byte chooses: they are the first file as it is, or its lines, in
 * which "begin" and "commit" alone on a line stand for those that fit (a fuzzer does not find roots
 * by itself). Whatever it is: the groups lie one behind the other; a line that could be read says,
 * written and read again, the same; and without the tail, the same groups are read and no tail. */
#include "archive/ledger.h"
#include "archive/limits.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* The reader opens files by name: one folder for all inputs, removed at the end. */
static char path[] = "/tmp/popkeep-fuzz-XXXXXX";
static int folder = -1;

static void remove_folder(void)
{
	char name[LEDGER_NAME];

	ledger_name(1, name);
	(void)unlinkat(folder, name, 0);
	(void)rmdir(path);
}

static int make_file(struct slice text)
{
	char name[LEDGER_NAME];

	if (folder < 0) {
		require(mkdtemp(path) != NULL);
		folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		require(folder >= 0 && atexit(remove_folder) == 0);
	}
	ledger_name(1, name);
	int fd = openat(folder, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	require(fd >= 0 && (text.len == 0 || write(fd, text.data, text.len) == (ssize_t)text.len));
	return fd;
}

/* ---- Lines that fit -------------------------------------------------------------------------- */

struct text {
	struct buffer bytes;
	struct merkle tree;
	struct hasher *hasher;
};

static bool is_word(struct slice line, const char *word)
{
	return slice_compare(line, slice_text(word)) == 0;
}

static void add_line(struct text *t, struct slice line, struct fault *f)
{
	struct event e = {.t = 1000, .size = t->tree.size, .leaf = t->tree.size};
	size_t start = t->bytes.len;

	e.archive = slice_text("00000000000000000000000000000000");
	e.kind = is_word(line, "begin")	   ? EVENT_BEGIN
		 : is_word(line, "commit") ? EVENT_COMMIT
					   : EVENT_UNKNOWN;
	merkle_root(&t->tree, t->hasher, &e.root);
	if (e.kind != EVENT_UNKNOWN)
		require(event_format(&e, &t->bytes, f) == 0);
	else
		require(buffer_append(&t->bytes, line.data, line.len, f) == 0 &&
			buffer_append(&t->bytes, "\n", 1, f) == 0);
	merkle_add(&t->tree, slice_of(t->bytes.data + start, t->bytes.len - start - 1), t->hasher);
}

static void make_lines(struct slice from, struct buffer *ret)
{
	struct text t = {.bytes = buffer_make(16 * MIB)};
	struct fault f;

	require(hasher_new(&t.hasher, &f) == 0);
	while (from.len > 0) {
		const uint8_t *end = memchr(from.data, '\n', from.len);
		size_t len = end ? (size_t)(end - from.data) : from.len;

		if (end)
			add_line(&t, slice_of(from.data, len), &f);
		else
			require(buffer_append(&t.bytes, from.data, len, &f) == 0);
		from = slice_of(from.data + len + (end ? 1 : 0), from.len - len - (end ? 1 : 0));
	}
	hasher_free(t.hasher);
	*ret = t.bytes;
}

/* ---- What must hold -------------------------------------------------------------------------- */

static void check_line(struct slice line)
{
	struct buffer scratch CLEANUP(buffer_deinit) = buffer_make(LIMIT_LEDGER_LINE * 2);
	struct buffer once CLEANUP(buffer_deinit) = buffer_make(LIMIT_LEDGER_LINE * 4);
	struct buffer twice CLEANUP(buffer_deinit) = buffer_make(LIMIT_LEDGER_LINE * 4);
	struct event e;
	struct fault f;

	if (line.len >= LIMIT_LEDGER_LINE || event_parse(line, &scratch, &e, &f) != 0)
		return;
	if (e.kind == EVENT_UNKNOWN || event_format(&e, &once, &f) < 0)
		return;
	require(event_parse(slice_of(once.data, once.len - 1), &scratch, &e, &f) == 0);
	require(event_format(&e, &twice, &f) == 0);
	require(slice_compare(buffer_slice(&once), buffer_slice(&twice)) == 0);
}

struct seen {
	uint64_t groups, bad, lines, length;
	struct ledger_tail tail; /* bytes 0: none */
};

static struct seen read_all(void)
{
	struct ledger_reader *r CLEANUP(ledger_reader_closep) = NULL;
	struct ledger_at start = {0};
	struct seen s = {0};
	struct fault f = {0};
	struct slice line;
	uint64_t number;
	int n;

	require(ledger_reader_open(folder, &start, &r, &f) == 0);
	while ((n = ledger_reader_next(r, &f)) == LEDGER_GROUP || n == LEDGER_BAD) {
		require(n != LEDGER_BAD || (f.code == FAULT_DAMAGE && f.text[0]));
		while (ledger_reader_line(r, &line, &number)) {
			require(number == s.lines++);
			check_line(line);
		}
		s.groups += n == LEDGER_GROUP;
		s.bad += n == LEDGER_BAD;
		require(ledger_reader_at(r)->length > s.length);
		s.length = ledger_reader_at(r)->length;
	}
	if (n == LEDGER_TAIL)
		s.tail = ledger_reader_tail(r);
	require(n >= 0 || f.code == FAULT_DAMAGE);
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer lines CLEANUP(buffer_deinit) = {0};
	struct slice text = slice_of(data + 1, size > 0 ? size - 1 : 0);

	if (size < 1)
		return 0;
	if (data[0] & 1) {
		make_lines(text, &lines);
		text = buffer_slice(&lines);
	}
	int fd CLEANUP(fd_closep) = make_file(text);
	struct seen all = read_all();
	if (all.tail.bytes == 0)
		return 0;
	require(all.tail.offset == all.length);
	require(all.tail.offset + all.tail.bytes == text.len);
	require(ftruncate(fd, (off_t)all.tail.offset) == 0);
	struct seen cut = read_all();
	require(cut.tail.bytes == 0 && cut.groups == all.groups && cut.bad == all.bad &&
		cut.lines == all.lines && cut.length == all.length);
	return 0;
}
