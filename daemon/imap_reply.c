#include "daemon/imap_reply.h"

#include "archive/decimal.h"
#include "archive/escape.h"
#include "archive/limits.h"

#include <stdio.h>
#include <strings.h>

static const struct {
	const char *name;
	enum imap_code code;
} codes[] = {
	{"ALERT", IMAP_CODE_ALERT},
	{"ALREADYEXISTS", IMAP_CODE_ALREADYEXISTS},
	{"APPENDUID", IMAP_CODE_APPENDUID},
	{"AUTHENTICATIONFAILED", IMAP_CODE_AUTHENTICATIONFAILED},
	{"AUTHORIZATIONFAILED", IMAP_CODE_AUTHORIZATIONFAILED},
	{"CANNOT", IMAP_CODE_CANNOT},
	{"CAPABILITY", IMAP_CODE_CAPABILITY},
	{"CLIENTBUG", IMAP_CODE_CLIENTBUG},
	{"CONTACTADMIN", IMAP_CODE_CONTACTADMIN},
	{"CORRUPTION", IMAP_CODE_CORRUPTION},
	{"EXPIRED", IMAP_CODE_EXPIRED},
	{"INUSE", IMAP_CODE_INUSE},
	{"LIMIT", IMAP_CODE_LIMIT},
	{"NONEXISTENT", IMAP_CODE_NONEXISTENT},
	{"NOPERM", IMAP_CODE_NOPERM},
	{"OVERQUOTA", IMAP_CODE_OVERQUOTA},
	{"PERMANENTFLAGS", IMAP_CODE_PERMANENTFLAGS},
	{"PRIVACYREQUIRED", IMAP_CODE_PRIVACYREQUIRED},
	{"READ-ONLY", IMAP_CODE_READ_ONLY},
	{"READ-WRITE", IMAP_CODE_READ_WRITE},
	{"SERVERBUG", IMAP_CODE_SERVERBUG},
	{"THROTTLED", IMAP_CODE_THROTTLED},
	{"TOOBIG", IMAP_CODE_TOOBIG},
	{"TRYCREATE", IMAP_CODE_TRYCREATE},
	{"UIDNEXT", IMAP_CODE_UIDNEXT},
	{"UIDVALIDITY", IMAP_CODE_UIDVALIDITY},
	{"UNAVAILABLE", IMAP_CODE_UNAVAILABLE},
};

/* What servers write where they have no code for it; seen in the wild. */
static const char *const size_words[] = {
	"too large", "too big", "message size", "maximum size", "size limit", NULL};
static const char *const quota_words[] = {
	"quota", "mailbox full", "mailbox is full", "not enough space", "no space", NULL};
static const char *const later_words[] = {"throttl", "too many", "too fast", "rate limit",
	"try again", "try later", "temporar", "unavailable", "server busy", "timeout", "timed out",
	"backoff", NULL};
static const char *const exists_words[] = {"already exists", "mailbox exists", NULL};

static bool equals(struct slice word, const char *name)
{
	return word.len == strlen(name) &&
	       strncasecmp((const char *)word.data, name, word.len) == 0;
}

/* Where text holds words, in any case; NULL: nowhere. */
static const uint8_t *find_words(struct slice text, const char *words)
{
	size_t n = strlen(words);

	for (size_t i = 0; i + n <= text.len; i++) {
		if (strncasecmp((const char *)text.data + i, words, n) == 0)
			return text.data + i;
	}
	return NULL;
}

static bool says(const struct imap_reply *r, const char *const *words)
{
	for (; *words; words++) {
		if (find_words(r->text, *words))
			return true;
	}
	return false;
}

static struct slice rest_of(struct slice from, size_t n)
{
	return slice_of(from.data + n, from.len - n);
}

static struct slice take_word(struct slice *from)
{
	(void)decimal_skip_spaces(from);
	const uint8_t *space = from->len ? memchr(from->data, ' ', from->len) : NULL;
	size_t n = space ? (size_t)(space - from->data) : from->len;
	struct slice word = slice_of(from->data, n);

	*from = rest_of(*from, n);
	return word;
}

static bool take_number(struct slice *from, uint32_t *ret)
{
	uint64_t value;

	(void)decimal_skip_spaces(from);
	if (decimal_take(from, &value) != 0 || value > UINT32_MAX)
		return false;
	*ret = (uint32_t)value;
	return true;
}

/* RFC 4315 section 3; of several messages (a set) the UIDs are not looked at. */
static void read_append_uid(struct imap_reply *r)
{
	struct slice rest = r->argument;
	uint32_t validity, uid;

	if (!take_number(&rest, &validity) || !take_number(&rest, &uid) || rest.len > 0)
		return;
	r->uid_validity = validity;
	r->uid = uid;
}

/* One "uid" or "uid:uid" of a set, and the comma behind it. */
static bool take_range(struct slice *from, uint32_t *ret_low, uint32_t *ret_high)
{
	if (!take_number(from, ret_low))
		return false;
	*ret_high = *ret_low;
	if (from->len > 0 && from->data[0] == ':') {
		*from = rest_of(*from, 1);
		if (!take_number(from, ret_high) || *ret_high < *ret_low)
			return false;
	}
	if (from->len == 0)
		return true;
	bool comma = from->data[0] == ',';
	*from = rest_of(*from, 1);
	return comma && from->len > 0;
}

void imap_reply_append_uid(
	const struct imap_reply *r, uint32_t index, uint32_t n, struct imap_reply *ret)
{
	struct slice rest = r->argument;
	uint32_t validity, low, high, uid = 0;
	uint64_t count = 0;

	ret->uid_validity = ret->uid = 0;
	if (r->code != IMAP_CODE_APPENDUID || !take_number(&rest, &validity))
		return;
	(void)decimal_skip_spaces(&rest);
	while (rest.len > 0) {
		if (!take_range(&rest, &low, &high))
			return;
		if (index >= count && index - count <= high - low)
			uid = low + (uint32_t)(index - count);
		count += (uint64_t)high - low + 1;
	}
	if (count != n)
		return;
	ret->uid_validity = validity;
	ret->uid = uid;
}

static void read_backoff(struct imap_reply *r)
{
	static const char words[] = "Suggested Backoff Time:";
	const uint8_t *at = find_words(r->text, words);
	uint32_t value;

	if (!at)
		return;
	struct slice rest = rest_of(r->text, (size_t)(at - r->text.data) + sizeof words - 1);
	if (take_number(&rest, &value))
		r->wait_ms = value < LIMIT_IMAP_WAIT_MS ? value : LIMIT_IMAP_WAIT_MS;
}

/* "[CODE argument] text"; what is not closed is text. */
static void read_code(struct imap_reply *r)
{
	const uint8_t *end = r->text.len ? memchr(r->text.data, ']', r->text.len) : NULL;

	if (!end || r->text.data[0] != '[')
		return;
	struct slice inside = slice_of(r->text.data + 1, (size_t)(end - r->text.data) - 1);
	struct slice name = take_word(&inside);
	(void)decimal_skip_spaces(&inside);
	r->code = IMAP_CODE_OTHER;
	r->argument = inside;
	r->text = rest_of(r->text, (size_t)(end - r->text.data) + 1);
	(void)decimal_skip_spaces(&r->text);
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		if (equals(name, codes[i].name))
			r->code = codes[i].code;
	}
}

int imap_reply_parse(struct slice line, struct imap_reply *ret)
{
	struct slice word = take_word(&line);
	struct imap_reply r = {0};

	if (equals(word, "OK"))
		r.status = IMAP_OK;
	else if (equals(word, "NO"))
		r.status = IMAP_NO;
	else if (equals(word, "BAD"))
		r.status = IMAP_BAD;
	else
		return IMAP_REPLY_OTHER;
	(void)decimal_skip_spaces(&line);
	r.text = line;
	read_code(&r);
	if (r.code == IMAP_CODE_APPENDUID)
		read_append_uid(&r);
	read_backoff(&r);
	*ret = r;
	return 0;
}

static enum imap_verdict of_words(const struct imap_reply *r)
{
	if (r->wait_ms > 0 || says(r, later_words))
		return IMAP_LATER;
	if (says(r, exists_words))
		return IMAP_EXISTS;
	if (says(r, size_words))
		return IMAP_TOO_BIG;
	if (says(r, quota_words))
		return IMAP_FULL;
	return IMAP_REFUSED;
}

enum imap_verdict imap_verdict(const struct imap_reply *r)
{
	if (r->status == IMAP_OK)
		return IMAP_DONE;
	switch ((int)r->code) {
	case IMAP_CODE_TRYCREATE:
	case IMAP_CODE_NONEXISTENT:
		return IMAP_NO_MAILBOX;
	case IMAP_CODE_OVERQUOTA:
		return IMAP_FULL;
	case IMAP_CODE_TOOBIG:
		return IMAP_TOO_BIG;
	case IMAP_CODE_ALREADYEXISTS:
		return IMAP_EXISTS;
	case IMAP_CODE_INUSE:
	case IMAP_CODE_SERVERBUG:
	case IMAP_CODE_THROTTLED:
	case IMAP_CODE_UNAVAILABLE:
		return IMAP_LATER;
	case IMAP_CODE_AUTHORIZATIONFAILED:
	case IMAP_CODE_CONTACTADMIN:
	case IMAP_CODE_CORRUPTION:
	case IMAP_CODE_NOPERM:
	case IMAP_CODE_READ_ONLY:
		return IMAP_NOT_ALLOWED;
	default:
		return of_words(r);
	}
}

/* ---- Capabilities ---------------------------------------------------------------------------- */

void imap_capabilities_init(struct imap_capabilities *c)
{
	*c = (struct imap_capabilities){0};
}

static void add_flag(struct imap_capabilities *c, struct slice word)
{
	const struct {
		const char *name;
		bool *flag;
	} flags[] = {
		{"IMAP4rev1", &c->imap4rev1},
		{"IMAP4rev2", &c->imap4rev2},
		{"STARTTLS", &c->starttls},
		{"LOGINDISABLED", &c->login_disabled},
		{"SASL-IR", &c->sasl_ir},
		{"LITERAL+", &c->literal_plus},
		{"LITERAL-", &c->literal_minus},
		{"UIDPLUS", &c->uidplus},
		{"MULTIAPPEND", &c->multiappend},
		{"NAMESPACE", &c->has_namespace},
		{"ID", &c->id},
	};

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		if (equals(word, flags[i].name))
			*flags[i].flag = true;
	}
}

static bool begins(struct slice word, const char *with)
{
	size_t n = strlen(with);

	return word.len >= n && strncasecmp((const char *)word.data, with, n) == 0;
}

static int add_sasl(struct imap_capabilities *c, struct slice name, struct fault *f)
{
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(LIMIT_REPLY_LINE + 8);

	if (buffer_append_text(&line, "SASL ", f) < 0 ||
		buffer_append(&line, name.data, name.len, f) < 0)
		return -1;
	return capabilities_add(&c->login, buffer_slice(&line), f);
}

/* RFC 7889 section 3: with a number for all mailboxes, without where they differ. */
static void add_append_limit(struct imap_capabilities *c, struct slice word)
{
	uint64_t value = UINT64_MAX;

	if (word.len > 1 && word.data[0] == '=' && !decimal_parse(rest_of(word, 1), &value))
		return;
	c->append_limit_known = true;
	c->append_limit = value;
}

int imap_capabilities_parse(struct imap_capabilities *c, struct slice words, struct fault *f)
{
	struct imap_capabilities new = {.known = true};
	struct slice word, rest = words;
	unsigned n = 0;

	while ((word = take_word(&rest)).len > 0) {
		if (++n > LIMIT_CAPA_LINES)
			return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
				"the server has more than %d capabilities", LIMIT_CAPA_LINES);
		if (begins(word, "AUTH=")) {
			if (add_sasl(&new, rest_of(word, 5), f) < 0)
				return -1;
		} else if (begins(word, "APPENDLIMIT")) {
			add_append_limit(&new, rest_of(word, 11));
		} else {
			add_flag(&new, word);
		}
	}
	/* IMAP4rev2 has in it what rev1 needs a word for (RFC 9051 appendix E). */
	if (new.imap4rev2)
		new.sasl_ir = new.uidplus = new.has_namespace = true;
	if (new.imap4rev2 && !new.literal_plus)
		new.literal_minus = true;
	new.login.known = true;
	new.login.user = !new.login_disabled;
	(void)escape_text(words, new.login.text, sizeof new.login.text);
	*c = new;
	return 0;
}

/* LITERAL- is for up to 4096 bytes. */
bool imap_literal_goes_at_once(const struct imap_capabilities *c, uint64_t size)
{
	enum { LITERAL_MINUS = 4096 };

	return c->literal_plus || (c->literal_minus && size <= LITERAL_MINUS);
}
