/* The service's log: fields for the journal where stderr is the journal, otherwise plain lines
 * "popkeepd: account anna: text" on stderr.
 *
 * Who escapes: whoever puts bytes from outside into a text, with archive/escape.h, as for each
 * struct fault. The log makes sure once more that a line is one line of printable text, but leaves
 * a backslash as it is; so what is escaped already is not escaped twice. */
#pragma once

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/* Once, before the first line and before any thread. ident is borrowed for good. Where stderr is
 * the journal, the first line opens its socket, which stays open. */
void log_open(const char *ident);
/* What stands in POPKEEP_ARCHIVE from now on; before any thread. Copied, cut at 4095 bytes. */
void log_set_archive(const char *archive);
/* Lines beyond this level are dropped; LOG_LEVEL_INFO where it is not set. Before any thread. */
void log_set_level(enum log_level most);

/* account: a name, or NULL. From any thread; a line is one write(2). Failures are ignored. */
void log_line(enum log_level level, const char *account, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
