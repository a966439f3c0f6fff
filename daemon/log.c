#include "daemon/log.h"

#include "archive/decimal.h"
#include "archive/escape.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#if POPKEEP_SYSTEMD
#define SD_JOURNAL_SUPPRESS_LOCATION /* it would always be a place in this file */
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#endif

enum { TEXT_SIZE = 2048, ACCOUNT_SIZE = 256, ARCHIVE_SIZE = 4096 };

/* Set before any thread, and read by all. */
static struct {
	const char *ident;
	enum log_level most;
	bool is_journal;
	char archive[ARCHIVE_SIZE];
} log_state = {.ident = "popkeepd", .most = LOG_LEVEL_INFO};

/* systemd.exec(5): JOURNAL_STREAM is "DEVICE:INODE" of what stderr was when we were started; it may
 * have been redirected since. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uint64_t device, inode;
	struct stat st;

	if (!POPKEEP_SYSTEMD || !stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	struct slice rest = slice_text(stream);
	if (decimal_take(&rest, &device) != 0 || rest.len == 0 || rest.data[0] != ':')
		return false;
	rest = slice_of(rest.data + 1, rest.len - 1);
	return decimal_take(&rest, &inode) == 0 && rest.len == 0 && device == st.st_dev &&
	       inode == st.st_ino;
}

void log_open(const char *ident)
{
	log_state.ident = ident;
	log_state.is_journal = stderr_is_journal();
}

void log_set_archive(const char *archive)
{
	(void)snprintf(log_state.archive, sizeof log_state.archive, "%s", archive);
}

void log_set_level(enum log_level most)
{
	log_state.most = most;
}

static void write_plain(const char *account, const char *text)
{
	char line[TEXT_SIZE + 2 * ACCOUNT_SIZE];
	int n = snprintf(line, sizeof line, "%.64s: %s%s%s%s\n", log_state.ident,
		account ? "account " : "", account ? account : "", account ? ": " : "", text);

	if (n > 0 && (size_t)n < sizeof line) {
		ssize_t ignored = write(STDERR_FILENO, line, (size_t)n);
		(void)ignored;
	}
}

#if POPKEEP_SYSTEMD
enum { FIELDS = 5 };

struct fields {
	struct iovec v[FIELDS];
	char *text[FIELDS];
	int n;
};

static void fields_deinit(struct fields *f)
{
	for (int i = 0; i < f->n; i++)
		free(f->text[i]);
}

/* A field that there is no memory for is left out. */
static void add_field(struct fields *f, const char *name, const char *value)
{
	char *text = NULL;
	int n = asprintf(&text, "%s=%s", name, value);

	if (n < 0)
		return;
	f->text[f->n] = text;
	f->v[f->n++] = (struct iovec){.iov_base = text, .iov_len = (size_t)n};
}

/* -1: the journal did not take it. */
static int write_journal(enum log_level level, const char *account, const char *text)
{
	/* syslog(3): err, warning, notice, info, debug */
	static const char *const priorities[] = {"3", "4", "5", "6", "7"};
	struct fields f CLEANUP(fields_deinit) = {0};
	char message[TEXT_SIZE + 2 * ACCOUNT_SIZE];

	(void)snprintf(message, sizeof message, "%s%s%s%s", account ? "account " : "",
		account ? account : "", account ? ": " : "", text);
	add_field(&f, "MESSAGE", message);
	add_field(&f, "PRIORITY", priorities[level]);
	add_field(&f, "SYSLOG_IDENTIFIER", log_state.ident);
	if (account)
		add_field(&f, "POPKEEP_ACCOUNT", account);
	if (log_state.archive[0])
		add_field(&f, "POPKEEP_ARCHIVE", log_state.archive);
	return sd_journal_sendv(f.v, f.n) < 0 ? -1 : 0;
}
#else
static int write_journal(enum log_level level, const char *account, const char *text)
{
	(void)level;
	(void)account;
	(void)text;
	return -1;
}
#endif

void log_line(enum log_level level, const char *account, const char *format, ...)
{
	char text[TEXT_SIZE], shown[TEXT_SIZE], name[ACCOUNT_SIZE];
	va_list args;

	if (level > log_state.most)
		return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	(void)escape_again(slice_text(text), shown, sizeof shown);
	if (account)
		account = escape_again(slice_text(account), name, sizeof name);
	if (!log_state.is_journal || write_journal(level, account, shown) < 0)
		write_plain(account, shown);
}
