#include "cli/restore_placement.h"

#include "archive/limits.h"
#include "cli/restore_date.h"
#include "cli/restore_folder.h"

uint32_t message_id_hash(struct slice message_id)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < message_id.len; i++) {
		uint8_t c = message_id.data[i];

		/* Folding, and what two programs may have decoded differently. */
		if (c <= 0x20 || c >= 0x7f || c == '<' || c == '>')
			continue;
		hash = (hash ^ c) * 16777619u;
	}
	return hash ? hash : 1;
}

void placements_deinit(struct placements *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->all[i].folder);
		free(p->all[i].flags);
	}
	free(p->all);
	*p = (struct placements){0};
}

struct sources {
	const struct message *message;
	const struct placement_rules *rules;
	const struct indexed *indexed; /* NULL: it is not */
};

static bool is_known(const struct placements *p, struct slice folder)
{
	for (size_t i = 0; i < p->n; i++) {
		if (slice_compare(slice_text(p->all[i].folder), folder) == 0)
			return true;
	}
	return false;
}

static const char *flags_of(const struct placement_rules *rules, const struct filing *filing)
{
	if (rules->flags == FLAGS_NONE)
		return "";
	if (rules->flags == FLAGS_SEEN || !filing)
		return "\\Seen";
	/* A file on its own: the import knew nothing. */
	bool nothing = !filing->folder[0] && !filing->flags[0] && !filing->received;
	return nothing ? "\\Seen" : filing->flags;
}

static int fill_folder(const struct sources *x, const struct filing *filing, moment_ms date,
	struct buffer *to, struct fault *f)
{
	const struct placement_rules *r = x->rules;
	const struct folder_fields fields = {
		.account = slice_text(r->account ? r->account : x->message->account),
		.folder = filing ? slice_text(filing->folder) : slice_of("", 0),
		.date = date};

	return folder_template_fill(r->template ? r->template : "", r->root, &fields, to, f);
}

static int add(
	struct placements *p, const struct sources *x, const struct filing *filing, struct fault *f)
{
	struct buffer folder CLEANUP(buffer_deinit) = buffer_make(4 * KIB);
	moment_ms date = restore_date(filing, x->indexed, x->message->archived);

	if (fill_folder(x, filing, date, &folder, f) < 0)
		return -1;
	if (is_known(p, buffer_slice(&folder)))
		return 0;
	struct placement *more = reallocarray(p->all, p->n + 1, sizeof *more);
	if (!more)
		return fault_memory(f);
	p->all = more;
	struct placement *new = &p->all[p->n];
	*new = (struct placement){
		.folder = strndup((const char *)folder.data, folder.len),
		.flags = strdup(flags_of(x->rules, filing)),
		.received = date,
	};
	p->n++;
	return new->folder &&new->flags ? 0 : fault_memory(f);
}

static bool counts(const struct placement_rules *rules, uint64_t maildrop)
{
	for (size_t i = 0; rules->maildrops && i < rules->maildrops_n; i++) {
		if (rules->maildrops[i] == maildrop)
			return true;
	}
	return !rules->maildrops;
}

static int add_all(struct placements *p, struct store *s, const struct sources *x, struct fault *f)
{
	struct filing *all = NULL;
	size_t n = 0;
	int r = find_filings(s, x->message, &all, &n, f);

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (counts(x->rules, all[i].maildrop))
			r = add(p, x, &all[i], f);
	}
	if (r == 0 && p->n == 0)
		r = add(p, x, NULL, f);
	filings_free(all, n);
	return r;
}

int placements_read(struct store *s, const struct message *m, const struct placement_rules *rules,
	struct placements *ret, struct fault *f)
{
	struct indexed indexed CLEANUP(indexed_deinit) = {0};
	struct placements p CLEANUP(placements_deinit) = {0};
	int r = store_indexed(s, m, &indexed, f);

	if (r < 0)
		return -1;
	const struct sources x = {m, rules, r == INDEX_NONE ? NULL : &indexed};
	p.indexed = r != INDEX_NONE;
	if (p.indexed)
		p.message_id =
			message_id_hash(slice_text(indexed.message_id ? indexed.message_id : ""));
	if (add_all(&p, s, &x, f) < 0)
		return -1;
	*ret = p;
	p = (struct placements){0};
	return 0;
}
