/* What a line is during the login, where "+ …" asks for more (RFC 5034); after it, and for response
 * codes, daemon/reply.h. */
#pragma once

#include "archive/bytes.h"

enum status_indicator { STATUS_OK, STATUS_ERR, STATUS_CONTINUE, STATUS_OTHER };

/* How a line (without its end) begins: "+OK", "-ERR", "+ " or "+" alone, or none of them. */
enum status_indicator status_indicator(struct slice line);
/* What follows the indicator and its space, response code included. */
struct slice status_text(struct slice line);
