/* Puts files into a mailbox by daemon/imap_session.h and says what happened, for test_imap.py:
 *
 *	imap_put [-a AUTH] [-z AUTHZID] [-c CAFILE] [-n] [-t TIMEOUT_MS] [-f FLAGS] [-d DATE_MS]
 *		[-b] [-q] URL [FILE...]
 *
 * The password comes from $PASSWORD. -n: without TLS; -b: bodies are fetched and digested; -q: says
 * the end alone. A folder that is missing is made. Exit 0 done, 1 the session failed. */
#include "archive/escape.h"
#include "daemon/imap_name.h"
#include "daemon/imap_session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>

struct put {
	struct account account;
	struct secret secret;
	struct network *network;
	struct imap_session *session;
	struct imap *engine;
	char **files;
	size_t n_files, queued, answered, done;
	char *folder;
	struct buffer mailbox;
	const char *flags;
	bool has_date, bodies, quiet, created;
	moment_ms date;
	int fd;
	uint64_t fd_cookie;
	EVP_MD_CTX *digest;
};

enum { LOOKS = 1000000 }; /* cookies from here on are of other commands */

static void say(const struct put *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(const struct put *p, const char *format, ...)
{
	va_list args;

	if (p->quiet)
		return;
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
}

static const char *shown(struct slice bytes)
{
	static char text[4][600];
	static unsigned next;

	return escape_text(bytes, text[next++ % 4], sizeof text[0]);
}

static int order(struct put *p, enum imap_kind kind, const char *mailbox, struct fault *f)
{
	return imap_command(p->engine,
		&(struct imap_order){.kind = kind, .cookie = LOOKS, .mailbox = mailbox}, f);
}

/* One more message. */
static int queue_file(struct put *p, struct fault *f)
{
	struct stat st;

	if (stat(p->files[p->queued], &st) < 0)
		return fault_errno(f, FAULT_MISSING, SCOPE_MESSAGE, errno, "stat");
	if (imap_command(p->engine,
		    &(struct imap_order){.kind = IMAP_APPEND,
			    .cookie = p->queued,
			    .mailbox = buffer_text(&p->mailbox),
			    .flags = p->flags,
			    .has_received = p->has_date,
			    .received = p->date,
			    .size = (uint64_t)st.st_size},
		    f) < 0)
		return -1;
	p->queued++;
	return 0;
}

static int give(struct put *p, const struct imap_event *e, struct fault *f)
{
	static char bytes[64 * 1024];

	if (p->fd < 0 || p->fd_cookie != e->cookie) {
		fd_closep(&p->fd);
		p->fd = open(p->files[e->cookie], O_RDONLY | O_CLOEXEC);
		p->fd_cookie = e->cookie;
	}
	ssize_t n = pread(
		p->fd, bytes, e->room < sizeof bytes ? e->room : sizeof bytes, (off_t)e->offset);
	if (n <= 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno, "read");
	(void)imap_give(p->engine, slice_of(bytes, (size_t)n));
	return 0;
}

static int on_up(struct put *p, struct fault *f)
{
	char tls[CONNECTION_TLS_TEXT];

	p->engine = imap_session_engine(p->session);
	imap_session_tls(p->session, tls);
	say(p, "up %s | %s\n", imap_session_mechanism(p->session), tls);
	return order(p, IMAP_LIST, "", f);
}

static int on_listed(struct put *p, const struct imap_event *e, struct fault *f)
{
	say(p, "listed %s | %c\n", shown(e->listed.name),
		e->listed.delimiter ? e->listed.delimiter : '-');
	if (p->mailbox.len > 0)
		return 0;
	if (imap_name_of_path(&p->mailbox, p->folder ? p->folder : "INBOX", e->listed.delimiter,
		    NULL, f) != 0)
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0, "no such name");
	return order(p, IMAP_SELECT, buffer_text(&p->mailbox), f);
}

static int look(struct put *p, struct fault *f)
{
	struct imap_order o = {
		.kind = IMAP_FETCH_LIST, .cookie = LOOKS, .first = 1, .last = UINT32_MAX};

	return imap_command(p->engine, &o, f);
}

static int on_append(struct put *p, const struct imap_event *e)
{
	static const char *const verdicts[] = {
		[IMAP_DONE] = "done",
		[IMAP_NO_MAILBOX] = "no-mailbox",
		[IMAP_FULL] = "full",
		[IMAP_TOO_BIG] = "too-big",
		[IMAP_LATER] = "later",
		[IMAP_NOT_ALLOWED] = "not-allowed",
		[IMAP_EXISTS] = "exists",
		[IMAP_REFUSED] = "refused",
	};
	enum imap_verdict verdict = imap_verdict(&e->reply);

	p->answered++;
	p->done += verdict == IMAP_DONE;
	say(p, "append %" PRIu64 " %s %" PRIu32 " %" PRIu32 " | %s\n", e->cookie, verdicts[verdict],
		e->reply.uid_validity, e->reply.uid, shown(e->reply.text));
	return 0;
}

static int on_reply(struct put *p, const struct imap_event *e, struct fault *f)
{
	switch ((int)e->command) {
	case IMAP_SELECT:
		say(p, "select %d %" PRIu64 " | %s\n", e->reply.status,
			imap_selected(p->engine)->exists, shown(e->reply.text));
		if (e->reply.status == IMAP_OK)
			return p->n_files ? 0 : look(p, f);
		if (p->created)
			return order(p, IMAP_LOGOUT, NULL, f);
		p->created = true;
		return order(p, IMAP_CREATE, buffer_text(&p->mailbox), f) < 0
			       ? -1
			       : order(p, IMAP_SELECT, buffer_text(&p->mailbox), f);
	case IMAP_CREATE:
		say(p, "create %d | %s\n", e->reply.status, shown(e->reply.text));
		return 0;
	case IMAP_APPEND:
		(void)on_append(p, e);
		return p->answered == p->n_files ? look(p, f) : 0;
	case IMAP_FETCH_LIST:
		say(p, "exists %" PRIu64 "\n", imap_selected(p->engine)->exists);
		return order(p, IMAP_LOGOUT, NULL, f);
	case IMAP_LOGOUT:
		say(p, "logout %d\n", e->reply.status);
		return 0;
	default:
		return 0;
	}
}

static int on_message(struct put *p, const struct imap_event *e, struct fault *f)
{
	const struct imap_message *m = &e->message;
	struct imap_order o = {.kind = IMAP_FETCH_BODY, .cookie = m->uid, .first = m->uid};

	say(p, "message %" PRIu32 " %" PRIu64 " %" PRId64 " | %s | %s\n", m->uid, m->size,
		m->has_received ? m->received : -1, shown(m->flags), shown(m->message_id));
	return p->bodies ? imap_command(p->engine, &o, f) : 0;
}

static int on_body(struct put *p, const struct imap_event *e)
{
	unsigned char digest[32];

	if (e->kind == IMAP_BODY) {
		if (e->offset == 0)
			EVP_DigestInit_ex(p->digest, EVP_sha256(), NULL);
		EVP_DigestUpdate(p->digest, e->bytes.data, e->bytes.len);
		return 0;
	}
	EVP_DigestFinal_ex(p->digest, digest, NULL);
	say(p, "body %" PRIu32 " %" PRIu64 " ", e->message.uid, e->offset);
	for (size_t n = 0; n < sizeof digest; n++)
		say(p, "%02x", digest[n]);
	say(p, "\n");
	return 0;
}

static int on_event(struct put *p, const struct imap_event *e, struct fault *f)
{
	switch (e->kind) {
	case IMAP_UP:
		return on_up(p, f);
	case IMAP_WANT_BYTES:
		return give(p, e, f);
	case IMAP_LISTED:
		return on_listed(p, e, f);
	case IMAP_MESSAGE:
		return on_message(p, e, f);
	case IMAP_BODY:
	case IMAP_BODY_END:
		return on_body(p, e);
	case IMAP_NOTICE:
		say(p, "notice | %s\n", shown(e->reply.text));
		return 0;
	case IMAP_STATUS_DATA:
		return 0;
	case IMAP_REPLY:
		return on_reply(p, e, f);
	}
	return 0;
}

static int run(struct put *p, struct fault *f)
{
	struct imap_event e;
	int r;

	if (network_open(&p->network, f) < 0 ||
		imap_session_new(p->network, &p->account, &p->secret, &p->session, f) < 0)
		return -1;
	for (;;) {
		r = imap_session_next(p->session, &e, f);
		if (r < 0 || r == IMAP_SESSION_END)
			return r;
		if (r == IMAP_EVENT && on_event(p, &e, f) < 0)
			return -1;
		while (p->engine && imap_selected(p->engine)->uid_validity &&
			p->queued < p->n_files && imap_has_room(p->engine)) {
			if (queue_file(p, f) < 0)
				return -1;
			r = IMAP_EVENT;
		}
		if (r == 0 &&
			network_wait(p->network, NULL, 0, imap_session_timeout(p->session), f) < 0)
			return -1;
	}
}

static int option(struct put *p, int letter, char *value)
{
	struct account *a = &p->account;
	uint64_t number = 0;

	for (const char *c = value; *c >= '0' && *c <= '9'; c++)
		number = number * 10 + (uint64_t)(*c - '0');
	switch (letter) {
	case 'a':
		a->auth = strdup(value);
		break;
	case 'z':
		a->authzid = strdup(value);
		break;
	case 'c':
		a->tls_ca_file = strdup(value);
		break;
	case 'n':
		a->tls = TLS_NONE;
		break;
	case 't':
		a->timeout_ms = (uint32_t)number;
		break;
	case 'f':
		p->flags = value;
		break;
	case 'd':
		p->has_date = true;
		p->date = (moment_ms)number;
		break;
	case 'b':
		p->bodies = true;
		break;
	case 'q':
		p->quiet = true;
		break;
	default:
		return -1;
	}
	return 0;
}

static void put_deinit(struct put *p)
{
	imap_session_freep(&p->session);
	network_closep(&p->network);
	account_deinit(&p->account);
	secret_deinit(&p->secret);
	buffer_deinit(&p->mailbox);
	free(p->folder);
	fd_closep(&p->fd);
	EVP_MD_CTX_free(p->digest);
}

int main(int argc, char **argv)
{
	struct put p CLEANUP(put_deinit) = {.fd = -1, .mailbox = buffer_make(8192)};
	struct fault f = {0};
	bool clear = false;
	char none[] = "";
	int letter;

	account_init(&p.account);
	p.digest = EVP_MD_CTX_new();
	while ((letter = getopt(argc, argv, "a:z:c:nt:f:d:bq")) != -1) {
		clear |= letter == 'n';
		if (option(&p, letter, optarg ? optarg : none) < 0)
			return 2;
	}
	if (optind == argc || account_set_imap_url(&p.account, argv[optind], &p.folder, &f) < 0) {
		(void)fprintf(stderr, "imap_put: %s\n", f.text);
		return 2;
	}
	if (clear)
		p.account.tls = TLS_NONE;
	const char *password = getenv("PASSWORD");
	p.secret =
		(struct secret){strdup(password ? password : ""), password ? strlen(password) : 0};
	p.files = argv + optind + 1;
	p.n_files = (size_t)(argc - optind - 1);
	int r = run(&p, &f);
	if (r < 0)
		(void)printf("fault %d %d | %s\n", f.code,
			p.session ? imap_session_hindrance(p.session) : 0, f.text);
	(void)printf("end %zu of %zu\n", p.done, p.n_files);
	return r < 0;
}
