/* SCRAM's salted password (RFC 5802 section 3) by OpenSSL: libgsasl's own SHA takes several times
 * as long, and a service logs in all day. */
#pragma once

#include "archive/bytes.h"

enum scram_hash { SCRAM_SHA1, SCRAM_SHA256 };
enum { SCRAM_HEX_MAX = 2 * 32 + 1 };

/* password: UTF-8, not prepared yet (SASLprep, RFC 4013). salt: base64; iterations: decimal.
 * SCRAM_DECLINED: one of them is not what it should be; let libgsasl say so. */
enum { SCRAM_DECLINED = 1 };
int scram_salted_password(enum scram_hash hash, const char *password, const char *salt,
	const char *iterations, char ret_hex[static SCRAM_HEX_MAX]) MUST_CHECK;
