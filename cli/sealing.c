#include "cli/sealing.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "cli/json.h"
#include "cli/stop.h"
#include "daemon/quantity.h"

#include <inttypes.h>
#include <pwd.h>

static int bad_option(struct run *run, const char *name, const char *value, const char *wanted)
{
	char text[64];

	return run_usage(run, "--%s is \"%s\"; it takes %s", name,
		escape_text(slice_text(value), text, sizeof text), wanted);
}

/* What the command line says wins over the configuration. */
static int read_options(struct run *run, struct seal_options *o)
{
	const char *level = option_value(&run->arguments, "level");
	const char *frame = option_value(&run->arguments, "frame-size");
	uint64_t n = 0;

	*o = run->config ? run->config->seal_options : SEAL_OPTIONS_DEFAULT;
	if (level) {
		if (quantity_count(level, &n) != 0 || n < 1 || n > LIMIT_SEAL_LEVEL)
			return bad_option(run, "level", level, "a number from 1 to 19");
		o->level = (int)n;
	}
	if (frame && (quantity_size(frame, &o->frame_bytes) != 0 ||
			     o->frame_bytes < LIMIT_SEALED_FRAME_LEAST ||
			     o->frame_bytes > LIMIT_SEALED_FRAME))
		return bad_option(
			run, "frame-size", frame, "a size from 64 KiB to 16 MiB, like 4M");
	if (option_given(&run->arguments, "no-part-sharing"))
		o->sharing = SEAL_SHARING_OFF;
	return 0;
}

/* Once, when the first worker runs. */
static void tell_sandbox(struct sealing *s)
{
	const struct sandbox_state *sandbox = &s->starter.sandbox;

	if (s->told || !sandbox->text[0])
		return;
	s->told = true;
	if (sandbox->incomplete)
		run_note(s->run, "the worker's sandbox is incomplete: %s", sandbox->text);
	else
		run_detail(s->run, "the worker's sandbox: %s", sandbox->text);
}

static int draw(void *context, uint64_t done_bytes, uint64_t all_bytes)
{
	struct sealing *s = (struct sealing *)context;
	struct progress_state state = {.label = s->label, .done = done_bytes, .all = all_bytes};

	tell_sandbox(s);
	progress_update(&s->run->progress, &state);
	return stop_requested();
}

/* Where root has become the archive's owner, seal-command has the home that it has under the
 * service: root's it could not even enter. */
static void take_home(uid_t before)
{
	const struct passwd *user = before == 0 && geteuid() != 0 ? getpwuid(geteuid()) : NULL;

	if (!user || setenv("HOME", user->pw_dir, 1) < 0)
		return;
	(void)setenv("USER", user->pw_name, 1);
	(void)setenv("LOGNAME", user->pw_name, 1);
}

static int open_archive(struct run *run, struct fault *f)
{
	const uid_t before = geteuid();

	if (store_become_owner(run->folder, f) < 0)
		return -1;
	take_home(before);
	if (store_open(run->folder, run->cache_dir, STORE_WRITE, &run->store, f) < 0)
		return -1;
	for (char *text; (text = store_take_notice(run->store)); free(text))
		run_note(run, "%s", text);
	return 0;
}

int sealing_begin(struct sealing *s, struct run *run, const char *label)
{
	struct seal_options options;
	struct fault f;

	*s = (struct sealing){.run = run, .label = label};
	worker_starter_init(&s->starter, run->config ? run->config->sandbox : SANDBOX_BEST);
	s->starter.stop = stop_requested;
	int status = read_options(run, &options);
	if (status)
		return status;
	s->job = (struct seal_job){
		.options = options,
		.starter = worker_starter(&s->starter),
		.progress = draw,
		.progress_context = s,
	};
	if (worker_patience(&s->starter, &s->job.silence_ms, &f) < 0 || open_archive(run, &f) < 0)
		return run_fail(run, &f);
	stop_catch_signals();
	progress_begin(&run->progress);
	return 0;
}

void sealing_deinit(struct sealing *s)
{
	worker_starter_deinit(&s->starter);
}

static void print_json(struct sealing *s, const struct seal_result *r)
{
	struct json_line line;

	json_line_begin(&line, "sealed");
	json_add_count(&line, "segment", r->segment);
	json_add_count(&line, "replaced", r->sources);
	json_add_count(&line, "messages", r->messages);
	json_add_count(&line, "bytes", r->bytes);
	json_add_count(&line, "size_before", r->from_size);
	json_add_count(&line, "size", r->size);
	json_line_print(&line, &s->run->out);
}

static void print_text(struct sealing *s, const struct seal_result *r)
{
	char messages[TEXT_NUMBER], bytes[TEXT_NUMBER], before[TEXT_NUMBER], now[TEXT_NUMBER];
	char sources[TEXT_NUMBER + 24] = "";

	if (r->sources > 1)
		(void)snprintf(sources, sizeof sources, " from %" PRIu64 " segments", r->sources);
	out_format(&s->run->out, "sealed %06" PRIu64 "%s: %s %s, %s of mail, %s before, %s now\n",
		r->segment, sources, text_count(r->messages, messages),
		plural(r->messages, "message", "messages"), text_size(r->bytes, bytes),
		text_size(r->from_size, before), text_size(r->size, now));
}

void sealing_tell(struct sealing *s, const struct seal_result *r)
{
	tell_sandbox(s);
	progress_clear(&s->run->progress);
	if (s->run->json)
		print_json(s, r);
	else
		print_text(s, r);
	(void)fflush(s->run->out.to);
	s->segments++;
	s->all.sources += r->sources;
	s->all.messages += r->messages;
	s->all.bytes += r->bytes;
	s->all.from_size += r->from_size;
	s->all.size += r->size;
	progress_begin(&s->run->progress);
}

void sealing_sum(struct sealing *s)
{
	struct json_line line;

	progress_clear(&s->run->progress);
	if (!s->run->json)
		return;
	json_line_begin(&line, "summary");
	json_add_count(&line, "segments", s->segments);
	json_add_count(&line, "replaced", s->all.sources);
	json_add_count(&line, "messages", s->all.messages);
	json_add_count(&line, "bytes", s->all.bytes);
	json_add_count(&line, "size_before", s->all.from_size);
	json_add_count(&line, "size", s->all.size);
	json_line_print(&line, &s->run->out);
}
