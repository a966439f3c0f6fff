/* What is alike must be near: a frame finds only what is in it. Messages are alike when they are of
 * one thread (the quoted text), hold the same part (what is around it is mostly the same too), or
 * come by one list or from one domain (headers, signatures, forms). So
 *
 *   - messages that share a part, an id (Message-ID, In-Reply-To, References) or a subject become
 *     one cluster, by union and find;
 *   - clusters stand in the order of their first message, but those of one list, or else of one
 *     sender's domain, stand together where its first one stands;
 *   - in a cluster those that hold the same part stand together where the first of them does: they
 *     are to lie in one frame with it. Else messages stay as they came, which is by time.
 *
 * Tried and found worse on lists and on mixed mail: by sender first, by sender within the list,
 * lists in any other order than that of time.
 *
 * All keys are hashes. Two that are equal by chance, or on purpose, cost order and nothing else. */
#include "archive/cluster.h"

#include "archive/limits.h"

#include <ctype.h>
#include <strings.h>

/* Of one message's header; those behind are not looked at. */
enum { MARKS_MOST = 6, SUBJECT_LEAST = 8 };

/* Says: this message has this key. Packed, since there are several for each message. */
struct __attribute__((packed)) mark {
	uint64_t key;
	uint32_t mail;
};

struct mail {
	uint64_t group;	 /* of its list or its sender's domain; then: where the group stands */
	uint32_t parent; /* in its cluster: a message before it, or itself */
	uint32_t twin;	 /* likewise among those that hold the same part */
};

struct position {
	uint64_t cluster;
	uint32_t twin, mail;
};

struct cluster {
	struct mail *mail;
	size_t mails, mails_size;
	struct mark *mark;
	size_t marks, marks_size;
	size_t header_marks; /* of the last message */
};

int cluster_new(struct cluster **ret, struct fault *f)
{
	struct cluster *c = calloc(1, sizeof *c);

	if (!c)
		return fault_memory(f);
	*ret = c;
	return 0;
}

struct cluster *cluster_free(struct cluster *c)
{
	if (!c)
		return NULL;
	free(c->mail);
	free(c->mark);
	free(c);
	return NULL;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

#define KEY_IS_PART UINT64_C(1) /* of a digest, and of no header field */

enum key_kind { KEY_ID = 1, KEY_SUBJECT, KEY_LIST, KEY_DOMAIN };

/* FNV-1a over letters made small, begun with the kind, so that no subject is anybody's id. */
static uint64_t hash(enum key_kind kind, struct slice text)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)kind;

	for (size_t i = 0; i < text.len; i++)
		h = (h ^ (uint8_t)tolower(text.data[i])) * UINT64_C(0x100000001b3);
	return (h ^ h >> 29) & ~KEY_IS_PART;
}

static int add_mark(struct cluster *c, uint64_t key, struct fault *f)
{
	if (c->marks == c->marks_size) {
		size_t size = c->marks_size + c->marks_size / 2 + 1024;
		struct mark *grown = reallocarray(c->mark, size, sizeof *grown);

		if (!grown)
			return fault_memory(f);
		c->mark = grown;
		c->marks_size = size;
	}
	c->mark[c->marks++] = (struct mark){key, (uint32_t)(c->mails - 1)};
	return 0;
}

static int add_header_mark(
	struct cluster *c, enum key_kind kind, struct slice text, struct fault *f)
{
	if (c->header_marks == MARKS_MOST)
		return 0;
	c->header_marks++;
	return add_mark(c, hash(kind, text), f);
}

/* ---- Header fields --------------------------------------------------------------------------- */

/* The next field of a header block, folded lines and all; false at its end. */
static bool next_field(struct slice *head, struct slice *ret_name, struct slice *ret_value)
{
	size_t end = 0, name = 0;

	if (head->len == 0 || head->data[0] == '\n' || head->data[0] == '\r')
		return false;
	do {
		const uint8_t *lf = memchr(head->data + end, '\n', head->len - end);

		end = lf ? (size_t)(lf - head->data) + 1 : head->len;
	} while (end < head->len && (head->data[end] == ' ' || head->data[end] == '\t'));
	while (name < end && head->data[name] != ':' && head->data[name] != '\n')
		name++;
	*ret_name = slice_of(head->data, name);
	if (name < end)
		name++;
	*ret_value = slice_of(head->data + name, end - name);
	*head = slice_of(head->data + end, head->len - end);
	if (ret_value->len > LIMIT_HEADER_FIELD)
		ret_value->len = LIMIT_HEADER_FIELD;
	return true;
}

static bool is_name(struct slice name, const char *text)
{
	return name.len == strlen(text) &&
	       strncasecmp((const char *)name.data, text, name.len) == 0;
}

/* What stands in the next <...> of *value; false: in none. */
static bool next_angle(struct slice *value, struct slice *ret)
{
	const uint8_t *from = value->len ? memchr(value->data, '<', value->len) : NULL;
	const uint8_t *to;

	if (!from)
		return false;
	from++;
	size_t left = value->len - (size_t)(from - value->data);
	to = left ? memchr(from, '>', left) : NULL;
	if (!to)
		return false;
	*ret = slice_of(from, (size_t)(to - from));
	*value = slice_of(to + 1, left - ret->len - 1);
	return true;
}

/* The first and the last: a thread's root and the message that is answered. */
static int mark_ids(struct cluster *c, struct slice value, struct fault *f)
{
	struct slice id, last = {0};

	if (!next_angle(&value, &id))
		return 0;
	if (add_header_mark(c, KEY_ID, id, f) < 0)
		return -1;
	while (next_angle(&value, &id))
		last = id;
	return last.len ? add_header_mark(c, KEY_ID, last, f) : 0;
}

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice trim(struct slice s)
{
	while (s.len > 0 && is_space(s.data[0]))
		s = slice_of(s.data + 1, s.len - 1);
	while (s.len > 0 && is_space(s.data[s.len - 1]))
		s.len--;
	return s;
}

/* Without "Re:", "Fwd:", "AW:" and the like, and without a list's "[tag]". */
static struct slice bare_subject(struct slice s)
{
	for (;;) {
		size_t n = 0;

		s = trim(s);
		if (s.len > 0 && s.data[0] == '[') {
			const uint8_t *end = memchr(s.data, ']', s.len);

			if (!end)
				return s;
			n = (size_t)(end - s.data) + 1;
		} else {
			while (n < s.len && n < 4 && isalpha(s.data[n]))
				n++;
			if (n < 2 || n > 3 || n == s.len || s.data[n] != ':')
				return s;
			n++;
		}
		s = slice_of(s.data + n, s.len - n);
	}
}

static int mark_subject(struct cluster *c, struct slice value, struct fault *f)
{
	struct slice s = bare_subject(value);

	return s.len < SUBJECT_LEAST ? 0 : add_header_mark(c, KEY_SUBJECT, s, f);
}

static void note_domain(struct mail *m, struct slice value)
{
	struct slice address, whole = value;

	address = next_angle(&value, &address) ? address : trim(whole);
	const uint8_t *at = address.len ? memrchr(address.data, '@', address.len) : NULL;
	if (at)
		m->group =
			hash(KEY_DOMAIN, slice_of(at, address.len - (size_t)(at - address.data)));
}

static bool has_id(struct slice name)
{
	return is_name(name, "Message-ID") || is_name(name, "In-Reply-To") ||
	       is_name(name, "References");
}

static int read_head(struct cluster *c, struct slice head, struct fault *f)
{
	struct mail *m = &c->mail[c->mails - 1];
	struct slice name, value, id;
	bool listed = false;

	while (next_field(&head, &name, &value)) {
		int r = 0;

		if (has_id(name)) {
			r = mark_ids(c, value, f);
		} else if (is_name(name, "Subject")) {
			r = mark_subject(c, value, f);
		} else if (is_name(name, "From") && !listed) {
			note_domain(m, value);
		} else if (is_name(name, "List-Id") && next_angle(&value, &id)) {
			m->group = hash(KEY_LIST, id);
			listed = true;
		}
		if (r < 0)
			return -1;
	}
	return 0;
}

int cluster_add(struct cluster *c, struct slice head, struct fault *f)
{
	if (c->mails == c->mails_size) {
		size_t size = c->mails_size + c->mails_size / 2 + 256;
		struct mail *grown = reallocarray(c->mail, size, sizeof *grown);

		if (!grown)
			return fault_memory(f);
		c->mail = grown;
		c->mails_size = size;
	}
	c->mail[c->mails] = (struct mail){.parent = (uint32_t)c->mails, .twin = (uint32_t)c->mails};
	c->mails++;
	c->header_marks = 0;
	if (head.len > LIMIT_HEADER_BYTES)
		head.len = LIMIT_HEADER_BYTES;
	return read_head(c, head, f);
}

int cluster_add_part(struct cluster *c, const struct digest *part, struct fault *f)
{
	uint64_t key;

	memcpy(&key, part->byte, sizeof key);
	return add_mark(c, key | KEY_IS_PART, f);
}

/* ---- The order ------------------------------------------------------------------------------- */

static uint32_t root(struct cluster *c, uint32_t i)
{
	while (c->mail[i].parent != i) {
		c->mail[i].parent = c->mail[c->mail[i].parent].parent;
		i = c->mail[i].parent;
	}
	return i;
}

static uint32_t first_twin(struct cluster *c, uint32_t i)
{
	while (c->mail[i].twin != i) {
		c->mail[i].twin = c->mail[c->mail[i].twin].twin;
		i = c->mail[i].twin;
	}
	return i;
}

/* The root is always the first message. */
static void join(struct cluster *c, uint32_t a, uint32_t b)
{
	a = root(c, a);
	b = root(c, b);
	if (a < b)
		c->mail[b].parent = a;
	else
		c->mail[a].parent = b;
}

static void join_twins(struct cluster *c, uint32_t a, uint32_t b)
{
	a = first_twin(c, a);
	b = first_twin(c, b);
	if (a < b)
		c->mail[b].twin = a;
	else
		c->mail[a].twin = b;
}

static int by_key(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->mail > y->mail) - (x->mail < y->mail);
}

static void sort_marks(struct mark *mark, size_t n)
{
	if (n > 1)
		qsort(mark, n, sizeof *mark, by_key);
}

static void make_clusters(struct cluster *c)
{
	sort_marks(c->mark, c->marks);
	for (size_t i = 1; i < c->marks; i++) {
		const struct mark *m = &c->mark[i];

		if (m->key != m[-1].key)
			continue;
		join(c, m->mail, m[-1].mail);
		if (m->key & KEY_IS_PART)
			join_twins(c, m->mail, m[-1].mail);
	}
}

/* A group stands where the first of its clusters does, which is the first message of that one. */
static void place_groups(struct cluster *c, struct mark *at)
{
	size_t first = 0;

	for (size_t i = 0; i < c->mails; i++) {
		uint32_t r = root(c, (uint32_t)i);

		at[i] = (struct mark){c->mail[r].group, r};
	}
	sort_marks(at, c->mails);
	for (size_t i = 0; i < c->mails; i++) {
		if (at[i].key != at[first].key)
			first = i;
		c->mail[at[i].mail].group = at[first].mail;
	}
}

static int by_position(const void *a, const void *b)
{
	const struct position *x = a, *y = b;

	if (x->cluster != y->cluster)
		return x->cluster < y->cluster ? -1 : 1;
	if (x->twin != y->twin)
		return x->twin < y->twin ? -1 : 1;
	return (x->mail > y->mail) - (x->mail < y->mail);
}

static void place_mails(struct cluster *c, struct position *at)
{
	for (size_t i = 0; i < c->mails; i++) {
		uint32_t r = root(c, (uint32_t)i);

		at[i] = (struct position){.cluster = c->mail[r].group << 32 | r,
			.twin = first_twin(c, (uint32_t)i),
			.mail = (uint32_t)i};
	}
	if (c->mails > 1)
		qsort(at, c->mails, sizeof *at, by_position);
}

int cluster_order(struct cluster *c, uint32_t **ret, struct fault *f)
{
	size_t n = c->mails ? c->mails : 1;
	struct mark *groups CLEANUP(freep) = calloc(n, sizeof *groups);
	struct position *at CLEANUP(freep) = calloc(n, sizeof *at);
	uint32_t *order = calloc(n, sizeof *order);

	if (!groups || !at || !order) {
		free(order);
		return fault_memory(f);
	}
	make_clusters(c);
	place_groups(c, groups);
	place_mails(c, at);
	for (size_t i = 0; i < c->mails; i++)
		order[i] = at[i].mail;
	*ret = order;
	return 0;
}
