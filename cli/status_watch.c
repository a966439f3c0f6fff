/* status --watch: the same text again and again, on a screen that it fills from the top. */
#include "cli/status.h"
#include "cli/stop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

enum { REFRESH_MS = 1000 };

#define TO_THE_TOP   "\x1b[H"
#define CLEAR_LINE   "\x1b[K"
#define CLEAR_BELOW  "\x1b[J"
#define CLEAR_SCREEN "\x1b[2J"

/* The text of the moment; *ret is the caller's. The archive is opened anew: a rebuild may have put
 * other databases there. */
static int render(struct run *run, const struct report_terms *terms, enum status_which which,
	char **ret, struct fault *f)
{
	struct status s CLEANUP(status_deinit) = {0};
	struct report_terms now = *terms;
	size_t len = 0;
	int r;

	now.now = moment_now();
	store_closep(&run->store);
	if (run_open_archive(run, f) < 0 || status_read(&s, run, &now, f) < 0)
		return -1;
	run->out.to = open_memstream(ret, &len);
	if (!run->out.to) {
		run->out.to = stdout;
		return fault_memory(f);
	}
	r = status_print_text(run, &s, which, f);
	if (fclose(run->out.to) != 0 && r == 0)
		r = fault_memory(f);
	run->out.to = stdout;
	return r;
}

/* As many lines as there is room for; the last row stays free, so that nothing scrolls. */
static void paint(struct output *o, const char *text)
{
	unsigned rows = terminal_rows(STDOUT_FILENO);
	char when[TEXT_MOMENT];

	out_format(o, TO_THE_TOP "%s, Ctrl-C ends" CLEAR_LINE "\n" CLEAR_LINE "\n",
		text_second(o, moment_now(), when));
	for (unsigned row = 2; *text && row + 1 < rows; row++) {
		size_t len = strcspn(text, "\n");

		out_bytes(o, slice_of(text, len));
		out_format(o, CLEAR_LINE "\n");
		text += len + (text[len] == '\n');
	}
	out_format(o, "%s" CLEAR_LINE CLEAR_BELOW, *text ? "..." : "");
	if (fflush(stdout) != 0 && !o->error)
		o->error = errno ? errno : EIO;
}

int status_watch(
	struct run *run, const struct report_terms *terms, enum status_which which, struct fault *f)
{
	stop_catch_signals();
	out_format(&run->out, CLEAR_SCREEN);
	while (!stop_requested() && !out_is_over(&run->out)) {
		char *text CLEANUP(freep) = NULL;

		run->out.columns = terminal_columns(STDOUT_FILENO);
		if (render(run, terms, which, &text, f) < 0)
			return -1;
		paint(&run->out, text);
		(void)poll(NULL, 0, REFRESH_MS);
	}
	out_format(&run->out, "\n");
	return 0;
}
