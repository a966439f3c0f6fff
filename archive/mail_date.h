/* Dates as mail writes them. */
#pragma once

#include "archive/bytes.h"
#include "archive/moment.h"

/* A Date field (RFC 5322 section 3.3 and 4.3, leniently): 0, or 1 when it is no date. */
int mail_date_parse(struct slice text, moment_ms *ret);
