#include "archive/limits.h"
#include "archive/seal_work.h"
#include "archive/segment.h"
#include "tests/unit/folder.h"
#include "tests/unit/sealed.h"

#include <fcntl.h>
#include <sys/mman.h>

enum { MESSAGES_MOST = 600 };

/* An open segment, and what a worker is handed to seal it. */
struct world {
	char path[64];
	int folder, source;
	struct spool_pool *pool;
	struct segment_writer *writer;
	struct seal_options options;
	struct seal_mail mail[MESSAGES_MOST];
	size_t mails;
	struct buffer request;
	struct seal_fds fds;
	struct sealed *sealed;
	struct fault f;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	folder_make(w->path);
	*state = w;
	w->folder = open(w->path, O_RDONLY | O_DIRECTORY);
	w->source = -1;
	w->options = (struct seal_options){1, 256 * KIB, SEAL_SHARING_ON};
	w->request = buffer_make(1 * MIB);
	w->fds = (struct seal_fds){.request = memfd_create("request", 0),
		.out = memfd_create("out", 0),
		.status = memfd_create("status", 0),
		.scratch = memfd_create("scratch", 0),
		.ledger = memfd_create("ledger", 0),
		.source = &w->source,
		.sources = 1};
	if (spool_pool_open(w->path, &w->pool, &w->f) < 0)
		return -1;
	return segment_writer_open(w->folder, 1, 0, &w->writer, &w->f);
}

static int teardown(void **state)
{
	struct world *w = *state;

	segment_writer_close(w->writer);
	spool_pool_close(w->pool);
	sealed_closep(&w->sealed);
	buffer_deinit(&w->request);
	close(w->fds.request);
	close(w->fds.out);
	close(w->fds.status);
	close(w->fds.scratch);
	close(w->fds.ledger);
	fd_closep(&w->source);
	close(w->folder);
	folder_remove(w->path);
	free(w);
	return 0;
}

/* ---- Mail ------------------------------------------------------------------------------------ */

static const struct seal_mail *keep(struct world *w, struct slice bytes)
{
	struct spool *s CLEANUP(spool_freep) = NULL;
	struct seal_mail *m = &w->mail[w->mails];
	struct location at;

	assert_true(w->mails++ < MESSAGES_MOST);
	assert_int_equal(spool_new(w->pool, &s, &w->f), 0);
	assert_int_equal(spool_write(s, bytes, &w->f), 0);
	spool_finish(s);
	m->archived = (moment_ms)w->mails * 1000;
	assert_int_equal(segment_append(w->writer, s, m->archived, &at, &w->f), 0);
	m->frame_offset = at.frame_offset;
	m->entry_offset = at.entry_offset;
	m->size = bytes.len;
	m->digest = *spool_digest(s);
	return m;
}

static const struct seal_mail *keep_text(struct world *w, const char *text)
{
	return keep(w, slice_text(text));
}

/* size bytes that do not repeat and are no base64. */
static void add_noise(struct buffer *to, uint32_t seed, size_t size)
{
	struct fault f;
	uint32_t x = seed * 2654435761u + 1;

	assert_int_equal(buffer_reserve(to, size, &f), 0);
	for (size_t i = 0; i < size; i++) {
		x = x * 1664525u + 1013904223u;
		to->data[to->len++] = (uint8_t)(x >> 24);
	}
}

static void add_text(struct buffer *to, const char *text)
{
	struct fault f;

	assert_int_equal(buffer_append_text(to, text, &f), 0);
}

/* A message with an attachment of these bytes, to this recipient. */
static const struct seal_mail *keep_attachment(
	struct world *w, const char *recipient, enum piece_eol eol, struct slice attachment)
{
	struct buffer b CLEANUP(buffer_deinit) = buffer_make(SIZE_MAX);
	struct base64_lines lines;
	const char *end = eol == PIECE_CRLF ? "\r\n" : "\n";
	struct fault f;

	add_text(&b, "From: anna@one.example\r\nTo: ");
	add_text(&b, recipient);
	add_text(&b, "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n"
		     "\r\n--b\r\n\r\nhello\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	base64_lines_init(&lines, 76, eol);
	assert_int_equal(base64_lines_add(&lines, attachment, &b, &f), 0);
	assert_int_equal(base64_lines_end(&lines, &b, &f), 0);
	add_text(&b, end);
	add_text(&b, "--b--\r\n");
	return keep(w, buffer_slice(&b));
}

/* ---- Sealing --------------------------------------------------------------------------------- */

static void end_source(struct world *w)
{
	char name[SEGMENT_NAME];

	assert_int_equal(segment_flush(w->writer, &w->f), 0);
	segment_name(1, SEGMENT_OPEN, name);
	w->source = openat(w->folder, name, O_RDWR);
	assert_true(w->source >= 0);
}

static void give(int fd, struct slice bytes)
{
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, bytes.data, bytes.len, 0), bytes.len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
}

static void make_request(struct world *w)
{
	assert_int_equal(seal_request_begin(&w->options, 1, &w->request, &w->f), 0);
	for (size_t i = 0; i < w->mails; i++)
		assert_int_equal(seal_request_mail(&w->mail[i], &w->request, &w->f), 0);
	assert_int_equal(seal_request_end(&w->request, &w->f), 0);
	give(w->fds.request, buffer_slice(&w->request));
}

/* All that is on the status pipe; static. */
static const char *status(struct world *w)
{
	static char text[65536];
	ssize_t n = pread(w->fds.status, text, sizeof text - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

/* Seals, and puts every message together again. */
static void seal(struct world *w)
{
	struct buffer found CLEANUP(buffer_deinit) = buffer_make(SIZE_MAX);
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	struct digest d;

	end_source(w);
	make_request(w);
	if (seal_work(&w->fds, &w->f) < 0)
		fail_msg("%s", w->f.text);
	assert_true(ends_with(status(w), "done\n"));
	w->sealed = sealed_open(w->fds.out);
	assert_int_equal(hasher_new(&h, &w->f), 0);
	for (size_t i = 0; i < w->mails; i++) {
		assert_true(sealed_message(w->sealed, &w->mail[i].digest, w->mail[i].size, &found));
		hasher_add(h, found.data, found.len);
		hasher_end(h, &d);
		assert_int_equal(digest_compare(&d, &w->mail[i].digest), 0);
	}
}

/* ---- What is written ------------------------------------------------------------------------- */

static void every_message_is_in_it_with_ledger_and_readme_last(void **state)
{
	struct world *w = *state;
	struct buffer large CLEANUP(buffer_deinit) = buffer_make(SIZE_MAX);

	keep_text(w, "");
	keep_text(w, "From: a@one\r\n\r\nhello\r\n");
	add_noise(&large, 1, 9 * MIB);
	keep(w, buffer_slice(&large));
	keep_text(w, "x");
	give(w->fds.ledger, slice_text("v=1 event=keep\n"));
	seal(w);
	assert_int_equal(w->sealed->entries, 6);
	const struct sealed_entry *last = &w->sealed->entry[4];
	assert_string_equal(last[0].name, "LEDGER");
	assert_memory_equal(last[0].bytes.data, "v=1 event=keep\n", 15);
	assert_int_equal(last[0].mtime, 4);
	assert_string_equal(last[1].name, "README");
	assert_memory_equal(last[1].bytes.data, "#!/usr/bin/env python3\n", 23);
}

static void a_segment_without_mail_has_ledger_and_readme(void **state)
{
	struct world *w = *state;

	seal(w);
	assert_int_equal(w->sealed->entries, 2);
}

static void an_attachment_to_several_is_there_once(void **state)
{
	struct world *w = *state;
	struct buffer noise CLEANUP(buffer_deinit) = buffer_make(SIZE_MAX);

	add_noise(&noise, 2, 100000);
	keep_attachment(w, "b@two", PIECE_CRLF, buffer_slice(&noise));
	keep_text(w, "From: c@three\r\n\r\nbetween them\r\n");
	keep_attachment(w, "d@four", PIECE_LF, buffer_slice(&noise));
	keep_attachment(w, "e@five", PIECE_CRLF, buffer_slice(&noise));
	seal(w);
	assert_int_equal(sealed_count(w->sealed, "part/", ""), 1);
	assert_int_equal(sealed_count(w->sealed, "mail/", ".recipe"), 3);
	assert_int_equal(sealed_count(w->sealed, "mail/", ".eml"), 1);
	/* And they stand together, the part first. */
	assert_int_equal(strncmp(w->sealed->entry[0].name, "part/", 5), 0);
	assert_true(ends_with(w->sealed->entry[3].name, ".recipe"));
	assert_memory_equal(w->sealed->entry[0].bytes.data, noise.data, noise.len);
}

static void an_attachment_to_one_is_decoded_too(void **state)
{
	struct world *w = *state;
	struct buffer noise CLEANUP(buffer_deinit) = buffer_make(SIZE_MAX);

	add_noise(&noise, 3, 20000);
	keep_attachment(w, "b@two", PIECE_CRLF, buffer_slice(&noise));
	seal(w);
	assert_int_equal(sealed_count(w->sealed, "part/", ""), 1);
	assert_int_equal(w->sealed->entry[0].frame, w->sealed->entry[1].frame);
}

static void a_small_attachment_stays_in_its_message(void **state)
{
	struct world *w = *state;
	struct buffer noise CLEANUP(buffer_deinit) = buffer_make(SIZE_MAX);

	add_noise(&noise, 3, LIMIT_PART_LEAST - 1);
	keep_attachment(w, "b@two", PIECE_CRLF, buffer_slice(&noise));
	seal(w);
	assert_int_equal(sealed_count(w->sealed, "part/", ""), 0);
}

static const struct seal_mail *keep_body(struct world *w, const char *to, struct slice body)
{
	struct buffer b CLEANUP(buffer_deinit) = buffer_make(SIZE_MAX);
	struct fault f;

	add_text(&b, to);
	add_text(&b, "Content-Type: multipart/mixed; boundary=xyz\n\n--xyz\nContent-Type: "
		     "text/plain\n\n");
	assert_int_equal(buffer_append(&b, body.data, body.len, &f), 0);
	add_text(&b, "\n--xyz--\n");
	return keep(w, buffer_slice(&b));
}

static void a_body_that_is_no_base64_is_shared_where_it_is_there_twice(void **state)
{
	struct world *w = *state;
	struct buffer once CLEANUP(buffer_deinit) = buffer_make(SIZE_MAX);
	struct buffer twice CLEANUP(buffer_deinit) = buffer_make(SIZE_MAX);

	for (int i = 0; i < 4000; i++) {
		assert_int_equal(buffer_append_format(&once, &w->f, "line %d\n", i), 0);
		assert_int_equal(buffer_append_format(&twice, &w->f, "other %d\n", i), 0);
	}
	keep_body(w, "To: b@two\n", buffer_slice(&once));
	keep_body(w, "To: b@two\n", buffer_slice(&twice));
	keep_body(w, "To: c@three\n", buffer_slice(&twice));
	seal(w);
	assert_int_equal(sealed_count(w->sealed, "part/", ""), 1);
	assert_int_equal(sealed_count(w->sealed, "mail/", ".recipe"), 2);
	assert_int_equal(sealed_count(w->sealed, "mail/", ".eml"), 1);
}

static void without_sharing_every_message_is_plain(void **state)
{
	struct world *w = *state;
	struct buffer noise CLEANUP(buffer_deinit) = buffer_make(SIZE_MAX);

	add_noise(&noise, 2, 100000);
	keep_attachment(w, "b@two", PIECE_CRLF, buffer_slice(&noise));
	keep_attachment(w, "c@three", PIECE_CRLF, buffer_slice(&noise));
	w->options.sharing = SEAL_SHARING_OFF;
	seal(w);
	assert_int_equal(sealed_count(w->sealed, "part/", ""), 0);
	assert_int_equal(sealed_count(w->sealed, "mail/", ".eml"), 2);
}

static void a_message_at_the_cap_is_split_and_one_beyond_it_is_not(void **state)
{
	struct world *w = *state;
	struct buffer b CLEANUP(buffer_deinit) = buffer_make(SIZE_MAX);
	static const char head[] = "Content-Transfer-Encoding: base64\r\n\r\n";

	add_text(&b, head);
	assert_int_equal(buffer_reserve(&b, LIMIT_SPLIT_MESSAGE, &w->f), 0);
	for (uint64_t i = 0; b.len < LIMIT_SPLIT_MESSAGE; i++)
		b.data[b.len++] = i % 78 == 76 ? '\r' : i % 78 == 77 ? '\n' : 'A';
	keep(w, buffer_slice(&b));
	add_text(&b, "A");
	keep(w, buffer_slice(&b));
	w->options.frame_bytes = LIMIT_SEALED_FRAME;
	seal(w);
	assert_int_equal(sealed_count(w->sealed, "mail/", ".recipe"), 1);
	assert_int_equal(sealed_count(w->sealed, "mail/", ".eml"), 1);
}

static void the_same_request_gives_the_same_bytes(void **state)
{
	struct world *w = *state;
	static uint8_t one[256 * 1024], other[256 * 1024];
	char text[200];

	for (int i = 0; i < 500; i++) {
		(void)snprintf(text, sizeof text,
			"From: a@%d\nMessage-ID: <%d@x>\nReferences: <%d@x>\n\n%d\n", i % 7, i,
			i * 7919 % 400, i);
		keep_text(w, text);
	}
	seal(w);
	ssize_t n = pread(w->fds.out, one, sizeof one, 0);
	assert_int_equal(ftruncate(w->fds.out, 0), 0);
	assert_int_equal(lseek(w->fds.out, 0, SEEK_SET), 0);
	assert_int_equal(lseek(w->fds.request, 0, SEEK_SET), 0);
	assert_int_equal(seal_work(&w->fds, &w->f), 0);
	assert_int_equal(pread(w->fds.out, other, sizeof other, 0), n);
	assert_memory_equal(one, other, (size_t)n);
}

/* Where the sealed segment holds them; their order becomes that of the segment, as in requests. */
static void find_places(struct world *w)
{
	struct seal_mail mail[MESSAGES_MOST];
	struct digest d;
	size_t n = 0;

	for (size_t i = 0; i < w->sealed->entries; i++) {
		const struct sealed_entry *e = &w->sealed->entry[i];

		if (strncmp(e->name, "mail/", 5) != 0)
			continue;
		assert_int_equal(digest_parse(slice_of(e->name + 5, DIGEST_HEX), &d), 0);
		for (size_t k = 0; k < w->mails; k++) {
			if (digest_compare(&w->mail[k].digest, &d) == 0)
				mail[n] = w->mail[k];
		}
		mail[n].frame_offset = e->frame;
		mail[n++].entry_offset = e->entry;
	}
	assert_int_equal(n, w->mails);
	memcpy(w->mail, mail, n * sizeof *mail);
}

static void a_sealed_segment_sealed_again_is_the_same(void **state)
{
	struct world *w = *state;
	struct buffer noise CLEANUP(buffer_deinit) = buffer_make(SIZE_MAX);
	static uint8_t one[4 * 1024 * 1024], other[4 * 1024 * 1024];

	for (uint32_t i = 0; i < 12; i++) {
		char to[32];

		buffer_clear(&noise);
		add_noise(&noise, i % 5, 30000 * (i % 5 + 1));
		(void)snprintf(to, sizeof to, "%u@two", i);
		keep_attachment(w, to, i % 2 ? PIECE_CRLF : PIECE_LF, buffer_slice(&noise));
		keep_text(w, to);
	}
	seal(w);
	find_places(w);
	ssize_t n = pread(w->fds.out, one, sizeof one, 0);
	fd_closep(&w->source);
	w->source = dup(w->fds.out);
	close(w->fds.out);
	w->fds.out = memfd_create("again", 0);
	buffer_clear(&w->request);
	make_request(w);
	if (seal_work(&w->fds, &w->f) < 0)
		fail_msg("%s", w->f.text);
	assert_int_equal(pread(w->fds.out, other, sizeof other, 0), n);
	assert_memory_equal(one, other, (size_t)n);
}

static void progress_ends_at_all_the_bytes(void **state)
{
	struct world *w = *state;
	struct buffer noise CLEANUP(buffer_deinit) = buffer_make(SIZE_MAX);

	add_noise(&noise, 9, 40 * MIB);
	keep(w, buffer_slice(&noise));
	seal(w);
	assert_non_null(strstr(status(w), "progress 8"));
	assert_non_null(strstr(status(w), " 83886080\n"));
}

/* ---- What is refused ------------------------------------------------------------------------- */

static void fails(struct world *w, enum fault_code code, const char *text)
{
	assert_int_equal(seal_work(&w->fds, &w->f), -1);
	assert_int_equal(w->f.code, code);
	if (!strstr(w->f.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, w->f.text);
	const char *said = strstr(status(w), "failed ");
	assert_non_null(said);
	assert_non_null(strstr(said, text));
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
}

static void a_flipped_byte_in_the_source_names_the_message(void **state)
{
	struct world *w = *state;
	struct buffer noise CLEANUP(buffer_deinit) = buffer_make(SIZE_MAX);
	char hex[DIGEST_HEX + 1];
	uint8_t byte;

	add_noise(&noise, 5, 50000);
	digest_hex(&keep(w, buffer_slice(&noise))->digest, hex);
	end_source(w);
	assert_int_equal(pread(w->source, &byte, 1, 30000), 1);
	byte ^= 1;
	assert_int_equal(pwrite(w->source, &byte, 1, 30000), 1);
	make_request(w);
	fails(w, FAULT_DAMAGE, hex);
}

static void a_message_that_lies_elsewhere_is_damage(void **state)
{
	struct world *w = *state;

	keep_text(w, "one");
	keep_text(w, "two");
	end_source(w);
	w->mail[1].entry_offset = w->mail[0].entry_offset;
	make_request(w);
	fails(w, FAULT_DAMAGE, "frame 0, entry 0");
}

static void bytes_that_have_another_digest_are_damage(void **state)
{
	struct world *w = *state;
	struct spool *s CLEANUP(spool_freep) = NULL;

	keep_text(w, "one");
	assert_int_equal(segment_flush(w->writer, &w->f), 0);
	end_source(w);
	w->mail[0].size = 2;
	make_request(w);
	fails(w, FAULT_DAMAGE, "message ");
}

#define DIGEST_0 "0000000000000000000000000000000000000000000000000000000000000000"
#define HEAD	 "popkeep-seal 1\nlevel 9\nframe 4194304\npart-sharing on\nsources 1\n"

static void a_bad_request_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"popkeep-seal 2\n",
		"popkeep-seal 1\n",
		"popkeep-seal 1\nlevel 0\n",
		"popkeep-seal 1\nlevel 20\n",
		"popkeep-seal 1\nlevel 09\n",
		"popkeep-seal 1\nlevel -1\n",
		"popkeep-seal 1\nlevel 9 \n",
		"popkeep-seal 1\nlevel\n",
		"popkeep-seal 1\nlevel 9\nframe 65535\n",
		"popkeep-seal 1\nlevel 9\nframe 16777217\n",
		"popkeep-seal 1\nlevel 9\nframe 99999999999999999999999\n",
		"popkeep-seal 1\nlevel 9\nframe 65536\npart-sharing maybe\n",
		"popkeep-seal 1\nlevel 9\nframe 65536\npart-sharing on\nsources 0\n",
		"popkeep-seal 1\nlevel 9\nframe 65536\npart-sharing on\nsources 65\n",
		"popkeep-seal 1\nlevel 9\nframe 65536\npart-sharing on\nsources 2\nend\n",
		HEAD,
		HEAD "end",
		HEAD "mail\nend\n",
		HEAD "mail 1 0 0 0 0 " DIGEST_0 "\nend\n",
		HEAD "mail 0 9223372036854775808 0 0 0 " DIGEST_0 "\nend\n",
		HEAD "mail 0 0 16777217 0 0 " DIGEST_0 "\nend\n",
		HEAD "mail 0 0 0 8589934592 0 " DIGEST_0 "\nend\n",
		HEAD "mail 0 0 0 0 -1 " DIGEST_0 "\nend\n",
		HEAD "mail 0 0 0 0 0 0" DIGEST_0 "\nend\n",
		HEAD "mail 0 0 0 0 0 " DIGEST_0 " 0\nend\n",
		HEAD "mail 0 0 0 0 0 " DIGEST_0 " 0 0 0 0\nend\n",
	};
	struct world *w = *state;

	end_source(w);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		give(w->fds.request, slice_text(bad[i]));
		if (seal_work(&w->fds, &w->f) != -1 || w->f.code != FAULT_FORMAT)
			fail_msg("taken: %s", bad[i]);
	}
}

static void a_line_without_end_is_refused(void **state)
{
	struct world *w = *state;
	static char line[100000];

	memset(line, 'x', sizeof line);
	end_source(w);
	give(w->fds.request, slice_of(line, sizeof line));
	fails(w, FAULT_FORMAT, "too long");
}

static void one_message_too_many_is_refused(void **state)
{
	struct world *w = *state;
	struct seal_reader r;
	struct seal_mail m = {0};
	int n;

	w->request.max = 100 * MIB;
	assert_int_equal(seal_request_begin(&w->options, 1, &w->request, &w->f), 0);
	for (size_t i = 0; i <= LIMIT_SEGMENT_MESSAGES; i++)
		assert_int_equal(seal_request_mail(&m, &w->request, &w->f), 0);
	give(w->fds.request, buffer_slice(&w->request));
	assert_int_equal(seal_request_read(w->fds.request, &r, &w->f), 0);
	for (size_t i = 0; i < LIMIT_SEGMENT_MESSAGES; i++)
		assert_int_equal(seal_request_next(&r, &m, &w->f), SEAL_MAIL);
	n = seal_request_next(&r, &m, &w->f);
	assert_int_equal(n, -1);
	assert_non_null(strstr(w->f.text, "too many"));
}

static void a_request_is_read_as_it_was_written(void **state)
{
	struct world *w = *state;
	struct seal_mail m = {
		3, INT64_MAX, LIMIT_SEALED_FRAME, LIMIT_MESSAGE, 1700000000000, {{7}}};
	struct seal_mail found = {0};
	struct seal_reader r;

	w->options = (struct seal_options){19, LIMIT_SEALED_FRAME, SEAL_SHARING_OFF};
	assert_int_equal(seal_request_begin(&w->options, 4, &w->request, &w->f), 0);
	assert_int_equal(seal_request_mail(&m, &w->request, &w->f), 0);
	assert_int_equal(seal_request_end(&w->request, &w->f), 0);
	give(w->fds.request, buffer_slice(&w->request));
	assert_int_equal(seal_request_read(w->fds.request, &r, &w->f), 0);
	assert_int_equal(r.options.level, 19);
	assert_int_equal(r.options.frame_bytes, LIMIT_SEALED_FRAME);
	assert_int_equal(r.options.sharing, SEAL_SHARING_OFF);
	assert_int_equal(r.sources, 4);
	assert_int_equal(seal_request_next(&r, &found, &w->f), SEAL_MAIL);
	assert_int_equal(found.source, m.source);
	assert_int_equal(found.frame_offset, m.frame_offset);
	assert_int_equal(found.entry_offset, m.entry_offset);
	assert_int_equal(found.size, m.size);
	assert_int_equal(found.archived, m.archived);
	assert_int_equal(digest_compare(&found.digest, &m.digest), 0);
	assert_int_equal(seal_request_next(&r, &found, &w->f), 0);
}

static void an_output_that_is_full_is_a_failed_write(void **state)
{
	struct world *w = *state;
	int out = w->fds.out;

	keep_text(w, "one");
	end_source(w);
	make_request(w);
	w->fds.out = open("/dev/full", O_WRONLY);
	fails(w, FAULT_WRITE, "No space");
	close(w->fds.out);
	w->fds.out = out;
}

#define WORK(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORK(every_message_is_in_it_with_ledger_and_readme_last),
		WORK(a_segment_without_mail_has_ledger_and_readme),
		WORK(an_attachment_to_several_is_there_once),
		WORK(an_attachment_to_one_is_decoded_too),
		WORK(a_small_attachment_stays_in_its_message),
		WORK(a_body_that_is_no_base64_is_shared_where_it_is_there_twice),
		WORK(without_sharing_every_message_is_plain),
		WORK(a_message_at_the_cap_is_split_and_one_beyond_it_is_not),
		WORK(the_same_request_gives_the_same_bytes),
		WORK(a_sealed_segment_sealed_again_is_the_same),
		WORK(progress_ends_at_all_the_bytes),
		WORK(a_flipped_byte_in_the_source_names_the_message),
		WORK(a_message_that_lies_elsewhere_is_damage),
		WORK(bytes_that_have_another_digest_are_damage),
		WORK(a_bad_request_is_refused),
		WORK(a_line_without_end_is_refused),
		WORK(one_message_too_many_is_refused),
		WORK(a_request_is_read_as_it_was_written),
		WORK(an_output_that_is_full_is_a_failed_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
