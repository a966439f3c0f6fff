/* What an answer lacks because messages are not indexed yet. */
#include "cli/indexing.h"
#include "cli/query.h"
#include "cli/stop.h"

static const char *messages_are(uint64_t n)
{
	return plural(n, "message is", "messages are");
}

int query_ready(struct run *run, const struct query *q, enum query_need need)
{
	char number[TEXT_NUMBER];
	uint64_t unindexed;
	struct fault f;

	if (!condition_uses_index(q->wanted))
		return STATUS_DONE;
	stop_catch_signals();
	if (indexing_catch_up(run, &f) < 0)
		return run_fail(run, &f);
	if (need == QUERY_SOME)
		return STATUS_DONE;
	if (find_unindexed(run->store, q->wanted, &unindexed, &f) < 0)
		return run_fail(run, &f);
	if (unindexed == 0)
		return STATUS_DONE;
	(void)text_count(unindexed, number);
	if (option_given(&run->arguments, "accept-unindexed")) {
		run_complain(run,
			"%s %s not indexed yet and left out, as --accept-unindexed has it", number,
			messages_are(unindexed));
		return STATUS_DONE;
	}
	run_complain(run,
		"%s %s not indexed yet, so that nobody knows whether the query means %s; "
		"popkeep index indexes %s or says why not, --accept-unindexed leaves %s out",
		number, messages_are(unindexed), plural(unindexed, "it", "them"),
		plural(unindexed, "it", "them"), plural(unindexed, "it", "them"));
	return STATUS_PARTLY;
}

uint64_t query_say_unindexed(struct run *run, const struct query *q)
{
	char number[TEXT_NUMBER];
	uint64_t unindexed = 0;
	struct fault f;

	if (find_unindexed(run->store, q->wanted, &unindexed, &f) < 0 || unindexed == 0)
		return 0;
	run_note(run, "%s %s not indexed yet and may be missing here; popkeep index indexes %s",
		text_count(unindexed, number), messages_are(unindexed),
		plural(unindexed, "it", "them"));
	return unindexed;
}
