#include "cli/mbox_dialect.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

/* "\nX-UID:" and the like; in the first line of a header nobody writes one. */
static bool has_field(struct slice header, const char *name)
{
	return header.len > 0 && memmem(header.data, header.len, name, strlen(name)) != NULL;
}

void mbox_look_message(struct mbox_look *l, const struct mbox_event *begin)
{
	l->imap += has_field(begin->header, "\nX-UID:") ||
		   has_field(begin->header, "\nX-IMAPbase:") ||
		   has_field(begin->header, "\nX-IMAP:");
}

void mbox_look_add(struct mbox_look *l, const struct mbox_counts *counts)
{
	l->sum.messages += counts->messages;
	l->sum.from_counted += counts->from_counted;
	l->sum.quoted += counts->quoted;
	l->sum.quoted_more += counts->quoted_more;
	l->sum.length_right += counts->length_right;
	l->sum.length_wrong += counts->length_wrong;
	l->sum.length_unknown += counts->length_unknown;
}

static bool lengths_hold(const struct mbox_counts *c)
{
	uint64_t all = c->length_right + c->length_wrong + c->length_unknown;

	return c->length_right > 0 && c->length_right >= 4 * c->length_wrong &&
	       2 * all >= c->messages;
}

enum mbox_dialect mbox_look_decide(const struct mbox_look *l, char ret_why[static MBOX_WHY])
{
	const struct mbox_counts *c = &l->sum;
	uint64_t brackets = c->quoted + c->quoted_more;
	enum mbox_dialect dialect = MBOX_RD;

	if (lengths_hold(c) && c->from_counted > 0) {
		dialect = MBOX_CL2;
		(void)snprintf(ret_why, MBOX_WHY,
			"Content-Length is right, and lines within begin with \"From \"");
	} else if (lengths_hold(c) && brackets > 0 && l->imap == 0) {
		dialect = MBOX_CL;
		(void)snprintf(ret_why, MBOX_WHY,
			"Content-Length is right, and lines within begin with \">From \"");
	} else if (lengths_hold(c)) {
		dialect = MBOX_CL2;
		(void)snprintf(ret_why, MBOX_WHY, "Content-Length is right");
	} else if (c->length_wrong > 0) {
		(void)snprintf(ret_why, MBOX_WHY,
			"Content-Length is wrong in %" PRIu64 " of %" PRIu64
			" messages looked at, and not followed",
			c->length_wrong, c->length_right + c->length_wrong);
	} else if (c->quoted_more > 0) {
		(void)snprintf(ret_why, MBOX_WHY, "lines begin with \">>From \"");
	} else {
		(void)snprintf(ret_why, MBOX_WHY, "nothing says another");
	}
	return dialect;
}

/* ---- Names ----------------------------------------------------------------------------------- */

static const char *const names[] = {
	[MBOX_ANY] = "mbox",
	[MBOX_O] = "mboxo",
	[MBOX_RD] = "mboxrd",
	[MBOX_CL] = "mboxcl",
	[MBOX_CL2] = "mboxcl2",
};

const char *mbox_dialect_name(enum mbox_dialect dialect)
{
	return names[dialect];
}

int mbox_dialect_parse(const char *name, enum mbox_dialect *ret)
{
	for (enum mbox_dialect i = MBOX_O; i <= MBOX_CL2; i++) {
		if (strcmp(name, names[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	return 1;
}
