/* How a query was understood, for people. */
#include "archive/escape.h"
#include "archive/limits.h"
#include "cli/json.h"
#include "cli/query.h"

#include <inttypes.h>

static void indent(struct output *o, unsigned depth)
{
	out_format(o, "%*s", (int)(2 * depth), "");
}

/* ---- Conditions ------------------------------------------------------------------------------ */

static void explain_words(struct output *o, const struct condition *c)
{
	static const char any[] = "From, To, Cc, Subject or the name of an attachment has";
	static const char *const field[] = {[FIELD_ANY] = any,
		[FIELD_FROM] = "From has",
		[FIELD_TO] = "To has",
		[FIELD_CC] = "Cc has",
		[FIELD_SUBJECT] = "Subject has"};

	out_format(o, "%s \"", field[c->field]);
	out_escaped(o, slice_text(c->text));
	out_format(o, "\"%s\n",
		c->prefix ? strchr(c->text, ' ') ? ", the last word being a beginning"
						 : " as the beginning of a word"
			  : "");
}

static void explain_text(struct output *o, const char *what, const char *text)
{
	out_format(o, "%s \"", what);
	out_escaped(o, slice_text(text));
	out_format(o, "\"\n");
}

static void explain_moments(struct output *o, const char *what, const struct condition *c)
{
	char text[TEXT_MOMENT];

	out_format(o, "%s", what);
	if (c->low > INT64_MIN)
		out_format(o, " on or after %s", text_second(o, c->low, text));
	if (c->low > INT64_MIN && c->high < INT64_MAX)
		out_format(o, " and");
	if (c->high < INT64_MAX)
		out_format(o, " before %s", text_second(o, c->high, text));
	out_format(o, "\n");
}

static void explain_size(struct output *o, const struct condition *c)
{
	out_format(o, "it has");
	if (c->low > INT64_MIN)
		out_format(o, " at least %" PRId64 " bytes", c->low);
	if (c->low > INT64_MIN && c->high < INT64_MAX)
		out_format(o, " and");
	if (c->high < INT64_MAX)
		out_format(o, " less than %" PRId64 " bytes", c->high);
	out_format(o, "\n");
}

/* ---- Trees ----------------------------------------------------------------------------------- */

static void explain_tree(struct output *o, const struct condition *c, unsigned depth);

/* What the same operator joins is one list. */
static void explain_list(
	struct output *o, const struct condition *c, enum condition_kind kind, unsigned depth)
{
	if (c->kind != kind) {
		explain_tree(o, c, depth);
		return;
	}
	explain_list(o, c->left, kind, depth);
	explain_list(o, c->right, kind, depth);
}

static void explain_tree(struct output *o, const struct condition *c, unsigned depth)
{
	indent(o, depth);
	switch (c->kind) {
	case CONDITION_AND:
	case CONDITION_OR:
		out_format(o, c->kind == CONDITION_AND ? "all of\n" : "at least one of\n");
		explain_list(o, c, c->kind, depth + 1);
		break;
	case CONDITION_NOT:
		out_format(o, "not\n");
		explain_tree(o, c->left, depth + 1);
		break;
	case CONDITION_ACCOUNT:
		explain_text(o, "it came under the account", c->text);
		break;
	case CONDITION_ID:
		explain_text(o, "its id begins with", c->text);
		break;
	case CONDITION_ARCHIVED:
		explain_moments(o, "it was archived", c);
		break;
	case CONDITION_SIZE:
		explain_size(o, c);
		break;
	case CONDITION_DATE:
		explain_moments(o, "its Date is", c);
		break;
	case CONDITION_WORDS:
		explain_words(o, c);
		break;
	case CONDITION_MESSAGE_ID:
		explain_text(o, "its Message-ID is", c->text);
		break;
	case CONDITION_ATTACHMENT:
		out_format(o, "it has an attachment\n");
		break;
	}
}

void query_explain(struct run *run, const struct query *q)
{
	struct output *o = &run->out;
	struct json_line line;
	char safe[4 * LIMIT_QUERY + 1];

	if (run->json) {
		json_line_begin(&line, "query");
		json_add_text(&line, "query", q->canonical);
		json_add_flag(&line, "uses_index", condition_uses_index(q->wanted));
		json_line_print(&line, o);
		return;
	}
	if (q->wanted)
		explain_tree(o, q->wanted, 0);
	else
		out_format(o, "all messages\n");
	if (q->wanted) {
		out_format(o, "\nin full: %s\n",
			escape_again(slice_text(q->canonical), safe, sizeof safe));
	}
	out_format(o, "answered from the %s\n",
		condition_uses_index(q->wanted) ? "index of headers" : "catalog");
}
