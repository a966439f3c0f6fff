/* The answer to CAPA (RFC 2449, 5034, 3206, 8314) as a struct. Servers lie in it: it
 * chooses, it never forbids to try. Fixed size, nothing to free. */
#pragma once

#include "archive/bytes.h"

#include <stdbool.h>

enum { CAPABILITIES_SASL = 24, CAPABILITIES_SASL_NAME = 21, CAPABILITIES_TEXT = 512 };

struct capabilities {
	bool known; /* the server answered +OK; else all below is false or empty */
	bool top, user, uidl, stls, pipelining;
	bool resp_codes;     /* RFC 2449: texts in [ ] are response codes */
	bool auth_resp_code; /* RFC 3206: a wrong password gives [AUTH], so others are none */
	bool utf8;	     /* RFC 6856 */
	bool expire_known;
	uint64_t expire_days; /* UINT64_MAX: NEVER; the least where users differ */
	bool login_delay_known;
	uint64_t login_delay_s;	  /* the largest where users differ */
	char implementation[128]; /* escaped; "" when not told */
	unsigned n_sasl;
	char sasl[CAPABILITIES_SASL][CAPABILITIES_SASL_NAME]; /* upper case */
	char text[CAPABILITIES_TEXT]; /* all lines, escaped, joined by ", "; "..." for what has no
					 room */
	bool text_is_cut;
	uint32_t lines;
};

void capabilities_init(struct capabilities *c);
/* One line of the listing, without its end; neither the status line nor the last dot. <0
 * (FAULT_LIMIT): more than LIMIT_CAPA_LINES. Unknown ones are only kept in text. */
int capabilities_add(struct capabilities *c, struct slice line, struct fault *f) MUST_CHECK;
bool capabilities_have_sasl(const struct capabilities *c, const char *mechanism);
