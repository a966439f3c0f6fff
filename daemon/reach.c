#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/connection_private.h"

#include <openssl/x509_vfy.h>
#include <stdio.h>

const char *reach_name(const struct account *a, char *ret, size_t size)
{
	char host[256];

	(void)escape_text(slice_text(a->host), host, sizeof host);
	(void)snprintf(ret, size, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, a->port);
	return ret;
}

/* Trap 3 wants a file. libcurl's own answer first: that is what the distribution keeps up. */
const char *reach_ca_file(const struct account *a)
{
	const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

	if (a && a->tls_ca_file)
		return a->tls_ca_file;
	if (info->age >= CURLVERSION_SEVENTH && info->cainfo && access(info->cainfo, R_OK) == 0)
		return info->cainfo;
	return "/etc/ssl/certs/ca-certificates.crt";
}

/* How messages name what the account's protocol has. */
static const struct dialect {
	const char *clear, *secure, *upgrade; /* schemes, and the command between them */
	unsigned secure_port;
	const char *advice; /* where TLS does not come up */
} dialects[] = {
	[PROTOCOL_POP3] = {"pop3://", "pop3s://", "STLS", 995,
		"; the port must be one for TLS: pop3s:// means TLS from the start, pop3:// STLS"},
	[PROTOCOL_IMAP] = {"imap://", "imaps://", "STARTTLS", 993,
		"; the port must be one for TLS: imaps:// means TLS from the start, imap:// "
		"STARTTLS"},
};

static const struct dialect *dialect_of(const struct connection *c)
{
	return &dialects[c->account->protocol];
}

static uint32_t lines_heard(const struct connection *c)
{
	return c->account->protocol == PROTOCOL_IMAP ? c->imap_preamble.lines : c->preamble.lines;
}

/* Raw; "" where the server did not turn us away. */
static const char *refusal_of(const struct connection *c)
{
	return c->account->protocol == PROTOCOL_IMAP ? c->imap_preamble.refusal
						     : c->preamble.refusal;
}

static bool has_begun_tls(const struct connection *c)
{
	return c->account->protocol == PROTOCOL_IMAP
		       ? c->imap_preamble.state == IMAP_PREAMBLE_SECURE_CAPABILITY
		       : c->preamble.state == PREAMBLE_IN_SECURE_CAPA;
}

/* What a person can do about a certificate that was refused. */
static const char *certificate_advice(long verdict)
{
	switch (verdict) {
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return "no authority known here signed it; if that is as it should be, name the "
		       "file with its certificate or that of its authority in tls-ca-file";
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return "its operator must renew it; check this machine's clock too";
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return "check this machine's clock";
	default:
		return "check the name in `server`: it must be one of those in the certificate";
	}
}

static void certificate(struct connection *c, const char *where, const char *why, struct fault *ret)
{
	long verdict = 0;

	(void)curl_easy_getinfo(c->easy, CURLINFO_SSL_VERIFYRESULT, &verdict);
	fault_record(ret, FAULT_REACH, SCOPE_SESSION, (int)verdict,
		"%s: the certificate is refused: %s; %s%s%s%s", where, why,
		certificate_advice(verdict),
		c->pin[0] ? " (the key it shows, in the form of tls-pin: " : "", c->pin,
		c->pin[0] ? ")" : "");
}

/* Nothing came in time: at which step says most about why. */
static void late(struct connection *c, const char *where, struct fault *ret)
{
	const struct dialect *d = dialect_of(c);
	char what[100] = "no answer; check server, port and firewall";
	curl_off_t secured = 0;
	long connected = 0; /* our port: libcurl's CONNECT_TIME waits for TLS too */

	(void)curl_easy_getinfo(c->easy, CURLINFO_LOCAL_PORT, &connected);
	(void)curl_easy_getinfo(c->easy, CURLINFO_APPCONNECT_TIME_T, &secured);
	if (lines_heard(c) > 0)
		(void)snprintf(what, sizeof what, "the server greets, but then says nothing");
	else if (connected > 0 && c->account->tls == TLS_IMPLICIT && secured == 0)
		(void)snprintf(what, sizeof what, "TLS does not come up; a port for %s needs %s",
			d->upgrade, d->clear);
	else if (connected > 0)
		(void)snprintf(what, sizeof what,
			"no greeting; a port that speaks TLS from the start needs %s", d->secure);
	fault_record(ret, FAULT_REACH, SCOPE_SESSION, 0, "%s: %s (waited %d s)", where, what,
		LIMIT_CONNECT_MS / 1000);
}

/* libcurl's CURLE_WEIRD_SERVER_REPLY: it understood the line, but cannot go on. */
static void strange(struct connection *c, const char *where, const char *why, struct fault *ret)
{
	const char *refusal = refusal_of(c);
	char text[300];

	if (refusal[0])
		fault_record(ret, FAULT_REACH, SCOPE_SESSION, 0,
			"%s: the server turns us away: \"%s\"; try again later", where,
			escape_text(slice_text(refusal), text, sizeof text));
	else if (has_begun_tls(c))
		fault_record(ret, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"%s: something was said in clear behind the answer to %s; somebody may "
			"be meddling with the connection, and nothing of it was used",
			where, dialect_of(c)->upgrade);
	else
		fault_record(ret, FAULT_PROTOCOL, SCOPE_SESSION, 0, "%s: %s", where, why);
}

static void no_upgrade(struct connection *c, const char *where, struct fault *ret)
{
	const struct dialect *d = dialect_of(c);
	const char *refusal = refusal_of(c);
	bool is_preauth = c->account->protocol == PROTOCOL_IMAP && c->imap_preamble.preauth;
	char text[200];

	fault_record(ret, FAULT_REACH, SCOPE_SESSION, 0,
		"%s: the server %s%s%s%s%s; use %s only where it does, else %s (port %u); "
		"tls = \"none\" exists, but sends password and mail in clear",
		where,
		is_preauth   ? "lets us in without a login (PREAUTH), which rules out "
		: refusal[0] ? "refuses "
			     : "offers no ",
		d->upgrade, refusal[0] ? ": \"" : "",
		escape_text(slice_text(refusal), text, sizeof text), refusal[0] ? "\"" : "",
		d->clear, d->secure, d->secure_port);
}

static void closed(struct connection *c, const char *where, const char *why, struct fault *ret)
{
	if (c->state == CONNECTION_UP || lines_heard(c) > 0)
		fault_record(ret, FAULT_REACH, SCOPE_SESSION, 0, "%s: the connection was cut: %s",
			where, why);
	else
		fault_record(ret, FAULT_REACH, SCOPE_SESSION, 0,
			"%s: the server closes without a greeting: %s; a port that speaks TLS from "
			"the start needs %s",
			where, why, dialect_of(c)->secure);
}

static void wrong_pin(struct connection *c, const char *where, struct fault *ret)
{
	fault_record(ret, FAULT_REACH, SCOPE_SESSION, 0,
		"%s: the server shows another public key than tls-pin names: %s; if its operator "
		"changed the key, put this one into tls-pin",
		where, c->pin[0] ? c->pin : "unknown");
}

static const char *advice(const struct connection *c, CURLcode result)
{
	switch ((int)result) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return "; check the name in `server`, and this machine's DNS";
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_PROXY:
		return "; check `proxy`";
	case CURLE_COULDNT_CONNECT:
		return "; check server, port and firewall";
	case CURLE_SSL_CONNECT_ERROR:
		return dialect_of(c)->advice;
	case CURLE_SSL_CACERT_BADFILE:
		return "; check tls-ca-file";
	default:
		return "";
	}
}

void reach_fault(struct connection *c, CURLcode result, struct fault *ret)
{
	const char *reason = c->error[0] ? c->error : curl_easy_strerror(result);
	char where[300], why[300];

	(void)reach_name(c->account, where, sizeof where);
	(void)escape_text(slice_text(reason), why, sizeof why);
	if (c->heard.code != FAULT_NONE) {
		*ret = c->heard;
		fault_add_prefix(ret, "%s", where);
		return;
	}
	switch ((int)result) {
	case CURLE_OUT_OF_MEMORY:
		fault_record(ret, FAULT_MEMORY, SCOPE_SESSION, 0, "out of memory");
		return;
	case CURLE_PEER_FAILED_VERIFICATION:
		certificate(c, where, why, ret);
		return;
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
		wrong_pin(c, where, ret);
		return;
	case CURLE_OPERATION_TIMEDOUT:
		late(c, where, ret);
		return;
	case CURLE_WEIRD_SERVER_REPLY:
		strange(c, where, why, ret);
		return;
	case CURLE_USE_SSL_FAILED:
		no_upgrade(c, where, ret);
		return;
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
		closed(c, where, why, ret);
		return;
	default:
		fault_record(ret, FAULT_REACH, SCOPE_SESSION, (int)result, "%s: %s%s", where, why,
			advice(c, result));
	}
}
