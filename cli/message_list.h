/* Messages as lines for people, or as JSON objects. On a terminal the columns fit its width, and a
 * narrow one shows fewer of them; elsewhere each line has all of them, uncut. */
#pragma once

#include "archive/find.h"
#include "archive/header.h"
#include "archive/index.h"
#include "cli/json.h"
#include "cli/run.h"

struct message_list {
	struct run *run;
	struct header header; /* of the message being printed */
	struct buffer bytes;
	bool damaged;	   /* a message could not be read */
	bool index_broken; /* what it says is not asked for any more */
};

void message_list_begin(struct message_list *l);
int message_list_print(struct message_list *l, const struct message *m, struct fault *f) MUST_CHECK;
void message_list_deinit(struct message_list *l);

/* The id as it is shown. */
void message_short_id(const struct message *m, char ret[static SHORT_ID + 1]);
