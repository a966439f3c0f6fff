#include "cli/command.h"
#include "cli/json.h"
#include "cli/sealing.h"
#include "cli/stop.h"

#include "archive/salvage.h"
#include "daemon/quantity.h"

#include <inttypes.h>

struct salvaging {
	struct sealing sealing;
	unsigned how;
	uint64_t segment; /* which is looked at; 0: messages in no segment */
	uint64_t looked, damaged, absent, lost, lost_bytes;
};

/* ---- What is told ---------------------------------------------------------------------------- */

static void print_lost(struct run *run, const struct message *m, char **accounts, uint64_t segment,
	const char *why)
{
	struct json_line line;
	char hex[DIGEST_HEX + 1], size[TEXT_NUMBER], when[TEXT_MOMENT];

	digest_hex(&m->digest, hex);
	progress_clear(&run->progress);
	if (!run->json) {
		out_format(&run->out, "lost %.*s  %s  %s ", SHORT_ID, hex,
			text_minute(&run->out, m->archived, when), text_size(m->size_bytes, size));
		for (char **a = accounts; a && *a; a++) {
			out_format(&run->out, " ");
			out_escaped(&run->out, slice_text(*a));
		}
		out_format(&run->out, ": %s\n", why);
		return;
	}
	json_line_begin(&line, "lost");
	json_add_bytes(&line, "id", slice_of(hex, SHORT_ID));
	json_add_text(&line, "digest", hex);
	json_add_count(&line, "size", m->size_bytes);
	json_add_texts(&line, "accounts", accounts);
	json_add_moment(&line, "archived", m->archived);
	json_add_count(&line, "segment", segment);
	json_add_text(&line, "why", why);
	json_line_print(&line, &run->out);
}

static void tell_lost(void *context, const struct message *m, const char *why)
{
	struct salvaging *s = (struct salvaging *)context;
	char **accounts = NULL, *none[] = {NULL};
	struct message whole CLEANUP(message_deinit) = {0};
	char hex[DIGEST_HEX + 1];
	struct fault ignored;

	digest_hex(&m->digest, hex);
	if (find_one(s->sealing.run->store, hex, &whole, &ignored) != 0 ||
		find_accounts(s->sealing.run->store, &whole, &accounts, &ignored) < 0)
		accounts = NULL;
	print_lost(s->sealing.run, m, accounts ? accounts : none, s->segment, why);
	if (accounts)
		names_free(accounts);
}

static void print_segment(struct salvaging *s, const struct salvage_sums *sums)
{
	struct run *run = s->sealing.run;
	struct json_line line;
	char a[TEXT_NUMBER], b[TEXT_NUMBER];
	const bool dry = s->how & SALVAGE_LOOK;

	progress_clear(&run->progress);
	if (run->json) {
		json_line_begin(&line, "salvaged");
		json_add_count(&line, "segment", s->segment);
		json_add_count(&line, "sealed", sums->sealed.segment);
		json_add_count(&line, "messages", sums->sealed.messages);
		json_add_count(&line, "bytes", sums->sealed.bytes);
		json_add_count(&line, "moved", sums->moved);
		json_add_count(&line, "lost", sums->lost);
		json_add_count(&line, "lost_bytes", sums->lost_bytes);
		json_line_print(&line, &run->out);
		return;
	}
	if (s->segment == 0)
		out_format(&run->out, "in no segment: %s %s %s", text_count(sums->lost, a),
			plural(sums->lost, "message", "messages"),
			dry ? "would be given up\n" : "given up\n");
	else if (dry)
		out_format(&run->out, "segment %06" PRIu64 " is damaged: %s would be lost\n",
			s->segment, text_count(sums->lost, a));
	else
		out_format(&run->out,
			"segment %06" PRIu64 ": %s whole, now in %06" PRIu64
			"; %s lost; the damaged file is kept as segments/%06" PRIu64 ".damaged\n",
			s->segment, text_count(sums->sealed.messages + sums->moved, a),
			sums->sealed.segment, text_count(sums->lost, b), s->segment);
}

static void print_sum(struct salvaging *s)
{
	struct run *run = s->sealing.run;
	struct json_line line;
	char a[TEXT_NUMBER];

	progress_clear(&run->progress);
	if (run->json) {
		json_line_begin(&line, "summary");
		json_add_count(&line, "segments", s->looked);
		json_add_count(&line, "damaged", s->damaged);
		json_add_count(&line, "absent", s->absent);
		json_add_count(&line, "lost", s->lost);
		json_add_count(&line, "lost_bytes", s->lost_bytes);
		json_line_print(&line, &run->out);
		return;
	}
	if (s->damaged == 0)
		out_format(&run->out, "%s %s looked at: nothing in %s is damaged\n",
			text_count(s->looked, a), plural(s->looked, "segment", "segments"),
			plural(s->looked, "it", "them"));
	if (s->lost > 0 && !(s->how & SALVAGE_LOOK))
		run_note(run, "what is lost is pending again: the next fetch gets it where the "
			      "server still has it, and popkeep status names the others");
}

/* ---- One segment ----------------------------------------------------------------------------- */

static void tell_absent(struct salvaging *s, const struct salvage_sums *sums)
{
	char a[TEXT_NUMBER];

	s->absent += sums->lost;
	if (s->segment)
		run_complain(s->sealing.run,
			"segment %06" PRIu64 " is not there, with %s messages; put it back, from a "
			"copy perhaps, or give it up with popkeep salvage %" PRIu64,
			s->segment, text_count(sums->lost, a), s->segment);
	else
		run_complain(s->sealing.run,
			"%s %s in no segment; put the file back that held them and run popkeep "
			"rebuild, or give them up with popkeep salvage --missing",
			text_count(sums->lost, a),
			plural(sums->lost, "message is", "messages are"));
}

static int salvage_one(struct salvaging *s, uint64_t segment, unsigned how, struct fault *f)
{
	struct salvage_sums sums = {0};

	s->segment = segment;
	int r = store_salvage(s->sealing.run->store, segment, s->how | how, &s->sealing.job,
		tell_lost, s, &sums, f);
	if (r < 0)
		return -1;
	s->looked += segment > 0;
	if (r == SALVAGE_ABSENT)
		tell_absent(s, &sums);
	if (r != 0)
		return 0;
	s->damaged++;
	s->lost += sums.lost;
	s->lost_bytes += sums.lost_bytes;
	print_segment(s, &sums);
	return 0;
}

/* Numbers are taken as they are now: what is made meanwhile need not be looked at. */
static int salvage_all(struct salvaging *s, struct fault *f)
{
	uint64_t *numbers CLEANUP(freep) = NULL;
	uint64_t number = 0;
	size_t n = 0;
	int r;

	while ((r = store_next_segment(s->sealing.run->store, number, &number, f)) == 0) {
		uint64_t *grown = reallocarray(numbers, n + 1, sizeof *numbers);

		if (!grown)
			return fault_memory(f);
		numbers = grown;
		numbers[n++] = number;
	}
	if (r < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (salvage_one(s, numbers[i], 0, f) < 0)
			return -1;
	}
	return salvage_one(s, 0, 0, f);
}

static int salvage_named(struct salvaging *s, struct fault *f)
{
	struct run *run = s->sealing.run;

	for (size_t i = 0; i < operands_n(&run->arguments); i++) {
		uint64_t number = 0;

		(void)quantity_count(operands(&run->arguments)[i], &number);
		if (salvage_one(s, number, SALVAGE_GIVE_UP, f) < 0)
			return -1;
	}
	return 0;
}

static int check_operands(struct run *run)
{
	for (size_t i = 0; i < operands_n(&run->arguments); i++) {
		uint64_t number = 0;

		if (quantity_count(operands(&run->arguments)[i], &number) != 0 || number == 0)
			return run_usage(run, "a segment is named by its number, as 12");
	}
	if (operands_n(&run->arguments) > 0 && option_given(&run->arguments, "missing"))
		return run_usage(run, "--missing is for all of the archive");
	return 0;
}

static int salvage_run(struct run *run)
{
	struct salvaging s = {.sealing = SEALING_NONE};
	struct fault f;
	int status = check_operands(run);

	if (status == 0)
		status = sealing_begin(&s.sealing, run, "salvaging");
	if (status == 0) {
		if (option_given(&run->arguments, "dry-run"))
			s.how |= SALVAGE_LOOK;
		if (option_given(&run->arguments, "missing"))
			s.how |= SALVAGE_GIVE_UP;
		int r = operands_n(&run->arguments) > 0 ? salvage_named(&s, &f)
							: salvage_all(&s, &f);
		if (r < 0)
			status = run_fail(run, &f);
		else
			print_sum(&s);
		if (r == 0)
			status = s.absent ? STATUS_DAMAGED : s.lost ? STATUS_PARTLY : STATUS_DONE;
	}
	sealing_deinit(&s.sealing);
	return status;
}

static const struct option_spec options[] = {
	{"dry-run", 'n', NULL, "only say what would happen"},
	{"missing", 0, NULL, "give up what no segment holds, and segments whose file is missing"},
	SEALING_OPTIONS,
	{NULL, 0, NULL, NULL},
};

const struct command command_salvage = {
	.name = "salvage",
	.arguments = "[SEGMENT...]",
	.summary = "take what is whole out of damaged segments",
	.details = "Names each message that is lost; the next fetch gets it again where the\n"
		   "server still has it. Without a number all segments are looked at. One whose\n"
		   "file is missing is given up only when it is named, or with --missing. The\n"
		   "damaged file is kept as segments/N.damaged.",
	.options = options,
	.everyday = false,
	.needs = NEEDS_FOLDER,
	.function = salvage_run,
};
