#include "cli/restore_report.h"

#include "archive/escape.h"
#include "cli/json.h"
#include "cli/message_list.h"
#include "cli/stop.h"

#include <stdio.h>

/* What a provider usually takes from one user, for the estimate of a dry run. */
enum { ASSUMED_MESSAGES_S = 20, ASSUMED_BYTES_S = 1000000 };

static void tell_failed(struct restore_report *r, const struct restore_event *e)
{
	struct json_line line;
	char id[SHORT_ID + 1], hex[DIGEST_HEX + 1], folder[256];

	message_short_id(e->message, id);
	if (r->run->json) {
		digest_hex(&e->message->digest, hex);
		json_line_begin(&line, "failed");
		json_add_text(&line, "id", id);
		json_add_text(&line, "digest", hex);
		json_add_bytes(&line, "folder", slice_text(e->path));
		json_add_text(&line, "error", e->text);
		json_line_print(&line, &r->run->out);
	}
	run_complain(r->run, "not restored: message %s (folder %s): %s", id,
		escape_text(slice_text(e->path), folder, sizeof folder), e->text);
}

static void tell_folder_json(struct restore_report *r, const struct restore_folder *f)
{
	struct json_line line;

	json_line_begin(&line, "folder");
	json_add_bytes(&line, "folder", slice_text(f->path));
	json_add_count(&line, "messages", f->messages);
	json_add_count(&line, "bytes", f->bytes);
	json_add_count(&line, "present", f->there);
	json_add_count(&line, "sent", f->sent);
	json_add_count(&line, "failed", f->failed);
	json_add_flag(&line, "made", f->created);
	json_line_print(&line, &r->run->out);
}

static void tell_folder(struct restore_report *r, const struct restore_folder *f)
{
	struct output *o = &r->run->out;
	char n[TEXT_NUMBER], size[TEXT_NUMBER];

	progress_clear(&r->run->progress);
	if (r->run->json) {
		tell_folder_json(r, f);
		return;
	}
	if (!r->dry && r->run->verbosity != VERBOSITY_VERBOSE)
		return;
	out_escaped(o, slice_text(f->path));
	out_format(o, "%s: %s %s (%s)",
		!f->created ? ""
		: r->dry    ? " (to be made)"
			    : " (made)",
		text_count(f->messages, n), plural(f->messages, "message", "messages"),
		text_size(f->bytes, size));
	if (f->there)
		out_format(o, ", %s there already", text_count(f->there, n));
	if (f->sent)
		out_format(o, ", %s sent", text_count(f->sent, n));
	if (f->failed && !r->dry)
		out_format(o, ", %s not there", text_count(f->failed, n));
	out_format(o, "\n");
}

static int tell(void *context, const struct restore_event *e)
{
	struct restore_report *r = (struct restore_report *)context;
	const struct progress_state state = {.label = e->label,
		.done = e->done,
		.all = e->all,
		.items = e->items,
		.items_all = e->items_all};

	switch (e->kind) {
	case RESTORE_NOTE:
		run_note(r->run, "%s", e->text);
		break;
	case RESTORE_FAILED:
		tell_failed(r, e);
		break;
	case RESTORE_FOLDER:
		tell_folder(r, e->folder);
		break;
	case RESTORE_PROGRESS:
		progress_update(&r->run->progress, &state);
		break;
	}
	return stop_requested() || out_is_over(&r->run->out);
}

struct restore_watch restore_report_watch(struct restore_report *r)
{
	return (struct restore_watch){tell, r};
}

/* ---- The end --------------------------------------------------------------------------------- */

static uint64_t estimate_ms(const struct restore_sums *s)
{
	uint64_t messages = s->wanted - s->there;
	uint64_t bytes = s->wanted ? s->bytes / s->wanted * messages : 0;
	uint64_t a = messages * 1000 / ASSUMED_MESSAGES_S, b = bytes / (ASSUMED_BYTES_S / 1000);

	return a > b ? a : b;
}

static void add_target_json(
	const struct restore_report *r, const struct restore_sums *s, struct json_line *line)
{
	json_add_count(line, "present", s->there);
	json_add_count(line, "found", s->found);
	json_add_count(line, "sent", s->sent);
	json_add_count(line, "sent_bytes", s->sent_bytes);
	json_add_count(line, "at_target", s->at_target);
	json_add_count(line, "changed", s->changed);
	json_add_count(line, "compared", s->compared);
	json_add_count(line, "crlf", s->crlf);
	json_add_count(line, "removed_there", s->gone);
	json_add_count(line, "damaged", s->damaged);
	json_add_count(line, "refused", s->refused);
	json_add_count(line, "missing", r->dry ? 0 : s->unsure);
	if (r->dry)
		json_add_count(line, "estimate_ms", estimate_ms(s));
}

static void print_json(
	struct restore_report *r, const struct restore_sums *s, const struct fault *how)
{
	struct json_line line;

	json_line_begin(&line, "summary");
	json_add_text(&line, "target", r->shown);
	json_add_flag(&line, "dry_run", r->dry);
	json_add_count(&line, "messages", s->messages);
	json_add_count(&line, "wanted", s->wanted);
	json_add_count(&line, "bytes", s->bytes);
	if (!s->unlooked)
		add_target_json(r, s, &line);
	if (how->code != FAULT_NONE) {
		json_add_text(&line, "error", how->text);
		json_add_count(&line, "status", (uint64_t)fault_exit_status(how));
	}
	json_line_print(&line, &r->run->out);
}

static void print_dry_run(struct restore_report *r, const struct restore_sums *s)
{
	struct output *o = &r->run->out;
	char n[TEXT_NUMBER], all[TEXT_NUMBER], size[TEXT_NUMBER], time[TEXT_NUMBER];

	out_format(o, "%s of %s %s (%s in all) would be sent to %s",
		text_count(s->wanted - s->there, n), text_count(s->wanted, all),
		plural(s->wanted, "message", "messages"), text_size(s->bytes, size), r->shown);
	if (s->there)
		out_format(o, "; %s %s there already", text_count(s->there, n),
			plural(s->there, "is", "are"));
	out_format(o,
		"\nthis takes about %s at %d messages and %s a second, which many providers "
		"take; a faster one is done sooner\n",
		text_duration((int64_t)estimate_ms(s), time), ASSUMED_MESSAGES_S,
		text_size(ASSUMED_BYTES_S, size));
}

static void print_details(struct restore_report *r, const struct restore_sums *s)
{
	struct output *o = &r->run->out;
	char n[TEXT_NUMBER];

	if (s->crlf)
		out_format(o,
			"%s %s sent with CRLF where lines ended with LF alone, as IMAP wants it\n",
			text_count(s->crlf, n), plural(s->crlf, "message was", "messages were"));
	if (s->changed)
		out_format(o,
			"%s of them %s other bytes there than were sent: that server changes "
			"mail\n",
			text_count(s->changed, n), plural(s->changed, "has", "have"));
	if (s->compared)
		out_format(o, "%s %s fetched back and compared\n", text_count(s->compared, n),
			plural(s->compared, "message was", "messages were"));
	if (s->gone)
		out_format(o,
			"%s that an earlier run brought %s taken away there since, and left "
			"alone\n",
			text_count(s->gone, n), plural(s->gone, "was", "were"));
}

static void print_not(struct output *o, uint64_t n, const char *what)
{
	char text[TEXT_NUMBER];

	if (n)
		out_format(o, ", %s %s", text_count(n, text), what);
}

static void print_end(
	struct restore_report *r, const struct restore_sums *s, const struct fault *how)
{
	struct output *o = &r->run->out;
	uint64_t wanted = s->wanted - s->gone;
	char n[TEXT_NUMBER], all[TEXT_NUMBER], size[TEXT_NUMBER];

	/* What ended early may not have looked: then the server's word is all there is. */
	if (s->at_target == wanted && how->code != FAULT_NONE)
		out_format(o, "%s %s taken by the target, which was not looked through in the end",
			text_count(wanted, all), plural(wanted, "message was", "messages were"));
	else if (s->at_target == wanted)
		out_format(o, "all %s %s at the target", text_count(wanted, all),
			plural(wanted, "message is", "messages are"));
	else
		out_format(o, "%s of %s %s at the target", text_count(s->at_target, n),
			text_count(wanted, all), plural(wanted, "message is", "messages are"));
	if (s->wanted != s->messages)
		out_format(o, " (%s, some of them in several folders)", text_count(s->messages, n));
	out_format(o, ": %s sent now (%s), %s there already", text_count(s->sent, n),
		text_size(s->sent_bytes, size), text_count(s->there, all));
	print_not(o, s->refused, "refused");
	print_not(o, s->damaged, "damaged in the archive");
	print_not(o, s->unsure, "not sent or not found there");
	out_format(o, "\n");
}

void restore_report_end(
	struct restore_report *r, const struct restore_sums *s, const struct fault *how)
{
	progress_clear(&r->run->progress);
	if (r->run->json) {
		print_json(r, s, how);
		return;
	}
	if (r->dry && how->code == FAULT_NONE)
		print_dry_run(r, s);
	if (r->dry || s->wanted == 0 || s->unlooked)
		return;
	print_details(r, s);
	print_end(r, s, how);
}

int restore_status(const struct restore_sums *s, const struct fault *how)
{
	if (how->code == FAULT_PROTOCOL || how->code == FAULT_LIMIT)
		return STATUS_PARTLY;
	if (how->code != FAULT_NONE)
		return fault_exit_status(how);
	if (s->refused || s->unsure)
		return STATUS_PARTLY;
	return s->damaged ? STATUS_DAMAGED : STATUS_DONE;
}
