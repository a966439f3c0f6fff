#include "cli/migrate.h"

#include "cli/output.h"

#include <stdio.h>

/* Of the source: what could not be fetched cannot be moved. */
static bool is_fetched(const struct migrate_mailbox *m, char *ret, size_t size)
{
	char n[TEXT_NUMBER], all[TEXT_NUMBER];

	if (!m->fetched)
		(void)snprintf(ret, size, "not fetched: %s", m->fetch.text);
	else if (m->pending + m->refused > 0)
		(void)snprintf(ret, size,
			"%s of %s %s at the source could not be fetched; popkeep status tells why",
			text_count(m->pending + m->refused, n), text_count(m->listed, all),
			plural(m->listed, "message", "messages"));
	else
		return true;
	return false;
}

bool migrate_is_complete(const struct migrate_mailbox *m, char *ret, size_t size)
{
	const struct restore_sums *s = &m->sums;
	char n[TEXT_NUMBER], a[TEXT_NUMBER], b[TEXT_NUMBER], c[TEXT_NUMBER];

	if (!m->ended) {
		(void)snprintf(ret, size, "not begun");
		return false;
	}
	/* An empty mailbox has nothing that matches. */
	if (m->how.code != FAULT_NONE && m->how.code != FAULT_MISSING) {
		(void)snprintf(ret, size, "%s", m->how.text);
		return false;
	}
	if (!is_fetched(m, ret, size))
		return false;
	if (s->at_target + s->gone == s->wanted && s->uncompared == 0)
		return true;
	if (s->at_target + s->gone == s->wanted) {
		(void)snprintf(ret, size,
			"%s of %s could not be fetched back to be compared; run it again",
			text_count(s->uncompared, n), text_count(s->wanted, a));
		return false;
	}
	(void)snprintf(ret, size, "%s of %s not there: %s refused, %s damaged in the archive",
		text_count(s->wanted - s->gone - s->at_target, n), text_count(s->wanted, a),
		text_count(s->refused, b), text_count(s->damaged, c));
	return false;
}
