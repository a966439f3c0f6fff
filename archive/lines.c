/* The ledger's committed lines, for people. */
#include "archive/check.h"
#include "archive/handle.h"

struct ledger_lines {
	struct ledger_reader *reader;
	uint64_t from;
	bool in_group;
};

int ledger_lines_open(struct store *s, uint64_t from, struct ledger_lines **ret, struct fault *f)
{
	struct ledger_lines *l CLEANUP(ledger_lines_closep) = calloc(1, sizeof *l);
	struct ledger_at start = {0};

	if (!l)
		return fault_memory(f);
	l->from = from;
	if (ledger_reader_open(s->ledger_fd, &start, &l->reader, f) < 0)
		return -1;
	*ret = TAKE(l);
	return 0;
}

int ledger_lines_next(
	struct ledger_lines *l, struct slice *ret_line, uint64_t *ret_number, struct fault *f)
{
	for (;;) {
		while (l->in_group && ledger_reader_line(l->reader, ret_line, ret_number)) {
			if (*ret_number >= l->from)
				return LEDGER_LINE;
		}
		int r = ledger_reader_next(l->reader, f);
		if (r <= 0 || r == LEDGER_TAIL)
			return r < 0 ? -1 : 0;
		/* Damage does not hide lines: verify is there to tell it. */
		l->in_group = true;
	}
}

struct ledger_lines *ledger_lines_close(struct ledger_lines *l)
{
	if (!l)
		return NULL;
	ledger_reader_close(l->reader);
	free(l);
	return NULL;
}

void ledger_lines_closep(struct ledger_lines **l)
{
	*l = ledger_lines_close(*l);
}
