/* What IMAP servers answer: status, response code (RFC 3501 section 7.1, 4315, 5530, 7889) and
 * text; and their capabilities. */
#pragma once

#include "archive/bytes.h"
#include "daemon/capability.h"
#include "daemon/hindrance.h"

enum imap_status_word { IMAP_OK, IMAP_NO, IMAP_BAD };

enum imap_code {
	IMAP_CODE_NONE,
	IMAP_CODE_ALERT,
	IMAP_CODE_ALREADYEXISTS,
	IMAP_CODE_APPENDUID,
	IMAP_CODE_AUTHENTICATIONFAILED,
	IMAP_CODE_AUTHORIZATIONFAILED,
	IMAP_CODE_CANNOT,
	IMAP_CODE_CAPABILITY,
	IMAP_CODE_CLIENTBUG,
	IMAP_CODE_CONTACTADMIN,
	IMAP_CODE_CORRUPTION,
	IMAP_CODE_EXPIRED,
	IMAP_CODE_INUSE,
	IMAP_CODE_LIMIT,
	IMAP_CODE_NONEXISTENT,
	IMAP_CODE_NOPERM,
	IMAP_CODE_OVERQUOTA,
	IMAP_CODE_PERMANENTFLAGS,
	IMAP_CODE_PRIVACYREQUIRED,
	IMAP_CODE_READ_ONLY,
	IMAP_CODE_READ_WRITE,
	IMAP_CODE_SERVERBUG,
	IMAP_CODE_THROTTLED, /* not registered; Yahoo, Gmail */
	IMAP_CODE_TOOBIG,
	IMAP_CODE_TRYCREATE,
	IMAP_CODE_UIDNEXT,
	IMAP_CODE_UIDVALIDITY,
	IMAP_CODE_UNAVAILABLE,
	IMAP_CODE_OTHER
};

struct imap_reply {
	enum imap_status_word status;
	enum imap_code code;
	struct slice argument; /* of the code, raw; borrowed */
	struct slice text;     /* unescaped, borrowed */
	/* [APPENDUID]: both 0 where there is none, or it is not understood. */
	uint32_t uid_validity, uid;
	uint32_t wait_ms; /* "Suggested Backoff Time: N milliseconds" (Exchange); 0 none */
};

/* What a reply to APPEND (or CREATE, SELECT) means for what comes next. */
enum imap_verdict {
	IMAP_DONE,
	IMAP_NO_MAILBOX, /* [TRYCREATE], [NONEXISTENT]: create it and send it again */
	IMAP_FULL,	 /* [OVERQUOTA]: a person has to make room; no further message */
	IMAP_TOO_BIG,	 /* [TOOBIG], [LIMIT] with words about size: this message never */
	IMAP_LATER, /* throttled, unavailable, in use, the server's own trouble: wait and again */
	IMAP_NOT_ALLOWED, /* [NOPERM], a read-only mailbox: no message into this mailbox */
	IMAP_EXISTS,	  /* [ALREADYEXISTS], to CREATE */
	IMAP_REFUSED	  /* this message or command; the next may go well */
};
enum imap_verdict imap_verdict(const struct imap_reply *r);

/* Parses what follows the tag: "OK [CODE …] text". IMAP_REPLY_OTHER: neither OK, NO nor BAD. */
enum { IMAP_REPLY_OTHER = 1 };
int imap_reply_parse(struct slice line, struct imap_reply *ret) MUST_CHECK;

/* Of a reply to n messages at once (RFC 3502, 4315): uid_validity and uid of the one with this
 * index, 0 where the reply does not tell of all of them. */
void imap_reply_append_uid(
	const struct imap_reply *r, uint32_t index, uint32_t n, struct imap_reply *ret);

/* How a session ended by the server's word. */
struct imap_end {
	bool bye;
	enum imap_code code;
	uint32_t wait_ms;
};

struct imap_capabilities {
	bool known;
	bool imap4rev1, imap4rev2;
	bool starttls, login_disabled, sasl_ir;
	bool literal_plus, literal_minus; /* RFC 7888 */
	bool uidplus, multiappend, id;
	bool has_namespace; /* RFC 2342 */
	bool append_limit_known;
	uint64_t append_limit;	   /* RFC 7889; UINT64_MAX where it differs between mailboxes */
	struct capabilities login; /* SASL mechanisms; user: the LOGIN command may be used; text */
};
void imap_capabilities_init(struct imap_capabilities *c);
/* The words behind "CAPABILITY", of an untagged response or a response code; replaces what was
 * there. FAULT_LIMIT: more than LIMIT_CAPA_LINES. */
int imap_capabilities_parse(
	struct imap_capabilities *c, struct slice words, struct fault *f) MUST_CHECK;
/* Whether a literal of this size needs no "+" of the server before it (RFC 7888). */
bool imap_literal_goes_at_once(const struct imap_capabilities *c, uint64_t size);
