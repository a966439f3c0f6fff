#include "daemon/config.h"

#include "archive/limits.h"
#include "tests/unit/folder.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static struct config *load(const char *text)
{
	struct config *c = NULL;
	struct fault f = {0};

	folder_put("a.conf", text);
	if (config_load("a.conf", &c, &f) != 0)
		fail_msg("%s", f.text);
	return c;
}

static void refused(const char *text, const char *expected)
{
	struct config *c = NULL;
	struct fault f = {0};

	folder_put("a.conf", text);
	if (config_load("a.conf", &c, &f) != -1)
		fail_msg("taken, where expected: %s", expected);
	assert_null(c);
	assert_string_equal(f.text, expected);
	assert_int_equal(f.code, FAULT_USAGE);
	assert_int_equal(fault_exit_status(&f), 2);
}

#define ANNA                                                                                       \
	"account \"anna\" {\n server = \"pop3s://pop.example.com\"\n user = "                      \
	"\"anna@example.com\"\n"

static void an_empty_file_gives_the_defaults(void **state)
{
	struct config *c CLEANUP(config_freep) = load("");

	(void)state;
	assert_string_equal(c->path, "a.conf");
	assert_null(c->archive);
	assert_null(c->cache_dir);
	assert_int_equal(c->min_free, 1 * GIB);
	assert_int_equal(c->interval_ms, 900000);
	assert_int_equal(c->max_sessions, 64);
	assert_int_equal(c->max_sessions_per_server, 4);
	assert_int_equal(c->sandbox, SANDBOX_BEST);
	assert_int_equal(c->seal, SEAL_AUTO);
	assert_int_equal(c->seal_due.bytes, 1 * GIB);
	assert_int_equal(c->seal_due.age_ms, INT64_C(2592000000));
	assert_int_equal(c->seal_options.level, 9);
	assert_int_equal(c->seal_options.frame_bytes, 4 * MIB);
	assert_int_equal(c->seal_options.sharing, SEAL_SHARING_ON);
	assert_null(c->seal_command);
	assert_int_equal(c->accounts_n, 0);
	assert_null(config_account(c, "anna"));
}

static void all_global_keys_are_read(void **state)
{
	struct config *c CLEANUP(config_freep) =
		load("archive = \"/var/lib/popkeep\"\ncache-dir = '/var/cache/popkeep'\n"
		     "interval = 5m\nmin-free = \"500 MiB\"\nmax-sessions = 8\n"
		     "max-sessions-per-server = 2\nsandbox = required\ndelete-after = never\n");

	(void)state;
	assert_string_equal(c->archive, "/var/lib/popkeep");
	assert_string_equal(c->cache_dir, "/var/cache/popkeep");
	assert_int_equal(c->interval_ms, 300000);
	assert_int_equal(c->min_free, 500 * MIB);
	assert_int_equal(c->max_sessions, 8);
	assert_int_equal(c->max_sessions_per_server, 2);
	assert_int_equal(c->sandbox, SANDBOX_REQUIRED);
}

#define PIN "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static void all_keys_of_an_account_are_read(void **state)
{
	struct config *c CLEANUP(config_freep) = load(
		"account \"anna\" {\n server = \"pop3://Pop.Example.com:1110\"\n user = \"anna\"\n"
		" password-command = \"pass show mail/anna\"\n interval = \"30s\"\n"
		" delete-after = \"never\"\n tls = \"none\"\n tls-ca-file = \"/ca.pem\"\n"
		" tls-pin = \"" PIN ";" PIN "\"\n auth = \"scram-sha-256\"\n"
		" proxy = \"socks5h://127.0.0.1:9050\"\n pipelining = no\n timeout = \"2 m\"\n"
		" class = \"legal\"\n max-message-size = \"64K\"\n}\n");
	const struct account *a = config_account(c, "anna");

	(void)state;
	assert_ptr_equal(a, &c->accounts[0]);
	assert_string_equal(a->name, "anna");
	assert_string_equal(a->host, "pop.example.com");
	assert_int_equal(a->port, 1110);
	assert_int_equal(a->tls, TLS_NONE);
	assert_string_equal(a->user, "anna");
	assert_int_equal(a->secret_source, SECRET_COMMAND);
	assert_string_equal(a->secret_value, "pass show mail/anna");
	assert_int_equal(a->interval_ms, 30000);
	assert_string_equal(a->tls_ca_file, "/ca.pem");
	assert_string_equal(a->tls_pin, PIN ";" PIN);
	assert_string_equal(a->auth, "SCRAM-SHA-256");
	assert_string_equal(a->proxy, "socks5h://127.0.0.1:9050");
	assert_false(a->pipelining);
	assert_int_equal(a->timeout_ms, 120000);
	assert_string_equal(a->class_, "legal");
	assert_int_equal(a->max_message_size, 65536);
}

static void accounts_take_over_global_keys_wherever_these_stand(void **state)
{
	struct config *c CLEANUP(config_freep) =
		load(ANNA " interval = \"1m\"\n class = \"own\"\n}\n"
			  "account bert { server = pop3://h user = bert }\n"
			  "interval = \"2h\"\ntls-ca-file = \"/ca.pem\"\ntls-pin = \"" PIN
			  "\"\nauth = CRAM-MD5\n"
			  "proxy = \"http://p:8080\"\npipelining = off\ntimeout = 5s\nclass = all\n"
			  "max-message-size = 1M\n");
	const struct account *anna = config_account(c, "anna"), *bert = config_account(c, "bert");

	(void)state;
	assert_int_equal(anna->interval_ms, 60000);
	assert_string_equal(anna->class_, "own");
	assert_int_equal(bert->interval_ms, 7200000);
	assert_string_equal(bert->class_, "all");
	assert_string_equal(bert->tls_ca_file, "/ca.pem");
	assert_string_equal(bert->tls_pin, PIN);
	assert_string_equal(bert->auth, "CRAM-MD5");
	assert_string_equal(bert->proxy, "http://p:8080");
	assert_false(bert->pipelining);
	assert_int_equal(bert->timeout_ms, 5000);
	assert_int_equal(bert->max_message_size, 1 * MIB);
}

static void the_other_sources_of_a_secret_are_read(void **state)
{
	struct config *c CLEANUP(config_freep) =
		load("account a { server = pop3s://h user = a password-file = \"secrets/a\" }\n"
		     "account b { server = pop3s://h user = b credential = mail-b }\n"
		     "account c { server = pop3s://h user = c token-command = \"token $USER\" auth "
		     "= XOAUTH2 }\n"
		     "account d { server = pop3s://h user = d }\n");

	(void)state;
	assert_int_equal(c->accounts[0].secret_source, SECRET_FILE);
	assert_string_equal(c->accounts[0].secret_value, "secrets/a");
	assert_int_equal(c->accounts[1].secret_source, SECRET_CREDENTIAL);
	assert_string_equal(c->accounts[1].secret_value, "mail-b");
	assert_int_equal(c->accounts[2].secret_source, SECRET_TOKEN_COMMAND);
	assert_string_equal(c->accounts[2].secret_value, "token $USER");
	assert_int_equal(c->accounts[3].secret_source, SECRET_NONE);
}

static void an_unknown_key_is_named_with_the_nearest(void **state)
{
	(void)state;
	refused(ANNA " pasword-command = \"x\"\n}\n",
		"a.conf:4: unknown key \"pasword-command\"; did you mean \"password-command\"?");
	refused("\n\narchvie = \"x\"\n",
		"a.conf:3: unknown key \"archvie\"; did you mean \"archive\"?");
	refused("acount \"a\" {}\n", "a.conf:1: unknown key \"acount\"; did you mean \"account\"?");
	refused("colour = \"x\"\n", "a.conf:1: unknown key \"colour\"");
	refused("\"a\\x1b[2J\" = \"x\"\n", "a.conf:1: unknown key \"a\\x1b[2J\"");
}

static void a_key_in_the_wrong_place_is_not_called_unknown(void **state)
{
	(void)state;
	refused("user = \"anna\"\n", "a.conf:1: \"user\" belongs into an account section");
	refused(ANNA " archive = \"x\"\n}\n",
		"a.conf:4: \"archive\" does not belong into an account section");
	refused(ANNA " include(\"x\")\n}\n",
		"a.conf:4: \"include\" does not belong into an account section");
}

static void a_secret_in_the_configuration_is_refused_and_not_repeated(void **state)
{
	(void)state;
	refused(ANNA " password = \"hunter2\"\n}\n",
		"a.conf:4: unknown key \"password\": no secret stands in the configuration; use "
		"password-command, password-file, credential or token-command");
	refused("proxy = \"http://me:hunter2@proxy:8080\"\n",
		"a.conf:1: proxy: a user or password in the proxy's URL cannot stand here");
	refused("account a { server = \"pop3s://a:hunter2@h\" }\n",
		"a.conf:1: server: a password in the URL: give it by password-command or "
		"password-file (a colon in the user is written %3A)");
}

static void comments_of_all_kinds_leave_the_line_numbers_right(void **state)
{
	struct config *c CLEANUP(config_freep) =
		load("\xef\xbb\xbf# one\r\narchive = \"#no // comment /* here */\" // two\n"
		     "/* three\n four */ account \"a\" # five\n{ /* six */ server = /* seven */\n"
		     " pop3s://h/\n user = 'it\\'s' }\n");

	(void)state;
	assert_string_equal(c->archive, "#no // comment /* here */");
	assert_string_equal(c->accounts[0].user, "it's");
	refused("# one\n// two\n//two and a half\n/* three\n * four\n */\nnix = 1\n",
		"a.conf:7: unknown key \"nix\"");
}

static void broken_syntax_is_named_with_its_line(void **state)
{
	(void)state;
	refused("\narchive \"x\"\n", "a.conf:2: missing equal sign after option 'archive'");
	refused("\n" ANNA, "a.conf:2: the section that begins here has no end (})");
	refused("archive = \"x\n\n", "a.conf:1: the string that begins here has no end (\")");
	refused("\narchive = 'x\n\n", "a.conf:2: the string that begins here has no end (')");
	refused("\n/* x\n\n", "a.conf:2: the comment that begins here has no end");
	refused("account {\n}\n", "a.conf:1: missing title for section 'account'");
	refused("archive = \"x\" }\n", "a.conf:1: unexpected closing brace");
	refused("archive = x*\n", "a.conf:1: unexpected * (a value with it stands in quotes)");
	refused("\n'' = x\n", "a.conf:2: an empty key, here or below");
	refused("archive = { a, b }\n", "a.conf:1: unexpected token '{'");
}

static void what_would_end_a_value_silently_is_refused(void **state)
{
	struct config *c CLEANUP(config_freep) = NULL;
	struct fault f = {0};

	(void)state;
	refused("\nclass = \"a\\x00b\"\n", "a.conf:2: a NUL (\\0) cannot stand in a value");
	refused("class = \"a\\0\"\n", "a.conf:1: a NUL (\\0) cannot stand in a value");
	refused("class = \"a\\777\"\n", "a.conf:1: an octal escape is not between \\1 and \\377");
	FILE *file = fopen("a.conf", "w");
	assert_int_equal(fwrite("\n\0x = 1\n", 1, 8, file), 8);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(config_load("a.conf", &c, &f), -1);
	assert_string_equal(f.text, "a.conf:2: a NUL byte: this is no text file");
}

static void environment_variables_must_exist(void **state)
{
	(void)state;
	assert_int_equal(setenv("POPKEEP_TEST", "/here", 1), 0);
	assert_int_equal(unsetenv("POPKEEP_NOT"), 0);
	struct config *c CLEANUP(config_freep) =
		load("archive = \"${POPKEEP_TEST}/x\"\ncache-dir = \"${POPKEEP_NOT:-/there}\"\n"
		     "account a { server = pop3s://h user = '${POPKEEP_NOT}' }\n"
		     "account b { server = pop3s://h user = \"\\${POPKEEP_NOT}$\" }\n");
	assert_string_equal(c->archive, "/here/x");
	assert_string_equal(c->cache_dir, "/there");
	assert_string_equal(c->accounts[0].user, "${POPKEEP_NOT}");
	assert_string_equal(c->accounts[1].user, "${POPKEEP_NOT}$");
	refused("archive = \"${POPKEEP_NOT}/x\"\n", "a.conf:1: the environment has no POPKEEP_NOT "
						    "(in single quotes ${NAME} stays as it "
						    "is)");
	refused("archive = \"${POPKEEP_TEST\"\n}",
		"a.conf:1: ${ without } on the same line (write \\$ for a dollar sign)");
}

static void a_wrong_value_is_named_with_what_was_expected(void **state)
{
	static const struct {
		const char *line, *text;
	} some[] = {
		{"interval = 5",
			"interval = \"5\": expected a duration from 10s to 30d, like \"15m\""},
		{"interval = 9s",
			"interval = \"9s\": expected a duration from 10s to 30d, like \"15m\""},
		{"interval = 31d",
			"interval = \"31d\": expected a duration from 10s to 30d, like \"15m\""},
		{"timeout = 2h",
			"timeout = \"2h\": expected a duration from 1s to 1h, like \"60s\""},
		{"min-free = 1GB", "min-free = \"1GB\": expected a size, like \"1 GiB\""},
		{"max-message-size = 1023",
			"max-message-size = \"1023\": expected a size from 1 KiB to "
			"just under 8 GiB, like \"500 MiB\""},
		{"max-message-size = 8G",
			"max-message-size = \"8G\": expected a size from 1 KiB to "
			"just under 8 GiB, like \"500 MiB\""},
		{"max-sessions = 0", "max-sessions = \"0\": expected a number from 1 to 256"},
		{"max-sessions = 257", "max-sessions = \"257\": expected a number from 1 to 256"},
		{"max-sessions = 1K", "max-sessions = \"1K\": expected a number from 1 to 256"},
		{"max-sessions-per-server = 65",
			"max-sessions-per-server = \"65\": expected a number from 1 to 64"},
		{"sandbox = off", "sandbox = \"off\": expected \"best\" or \"required\""},
		{"seal = no", "seal = \"no\": expected \"auto\" or \"never\""},
		{"seal-size = 1023K",
			"seal-size = \"1023K\": expected a size from 1 MiB to 4 GiB, like "
			"\"1 GiB\""},
		{"seal-size = 5G",
			"seal-size = \"5G\": expected a size from 1 MiB to 4 GiB, like \"1 GiB\""},
		{"seal-age = 59m", "seal-age = \"59m\": expected a duration from 1h to 3650d, "
				   "like \"30d\""},
		{"seal-age = 3651d", "seal-age = \"3651d\": expected a duration from 1h to 3650d, "
				     "like \"30d\""},
		{"seal-level = 0", "seal-level = \"0\": expected a number from 1 to 19"},
		{"seal-level = 20", "seal-level = \"20\": expected a number from 1 to 19"},
		{"seal-frame = 63K", "seal-frame = \"63K\": expected a size from 64 KiB to 16 MiB, "
				     "like \"4 MiB\""},
		{"seal-frame = 17M", "seal-frame = \"17M\": expected a size from 64 KiB to 16 MiB, "
				     "like \"4 MiB\""},
		{"part-sharing = maybe", "part-sharing = \"maybe\": expected \"on\" or \"off\""},
		{"tls = ssl", "tls = \"ssl\": expected \"implicit\", \"starttls\" or \"none\""},
		{"tls-pin = \"sha1//x\"", "tls-pin = \"sha1//x\": expected \"sha256//\" and 44 "
					  "characters of base64, several joined by \";\""},
		{"auth = NTLM",
			"auth = \"NTLM\": expected SCRAM-SHA-256, SCRAM-SHA-1, CRAM-MD5, APOP, "
			"PLAIN, LOGIN, USER, XOAUTH2, OAUTHBEARER, EXTERNAL or GSSAPI"},
		{"proxy = \"ftp://h\"",
			"proxy = \"ftp://h\": expected a URL of http, https, socks4, "
			"socks4a, socks5 or socks5h"},
		{"proxy = h",
			"proxy = \"h\": expected a URL of http, https, socks4, socks4a, socks5 or "
			"socks5h"},
		{"pipelining = maybe", "pipelining = \"maybe\": expected \"yes\" or \"no\""},
		{"class = \"a b\"",
			"class = \"a b\": expected 1 to 64 letters, digits, dots, hyphens or "
			"underscores"},
		{"class = \"\\x1b\"",
			"class = \"\\x1b\": expected 1 to 64 letters, digits, dots, hyphens "
			"or underscores"},
		{"archive = \"\"", "archive: the path is empty"},
		{"archive = \"a\\nb\"", "archive: the path holds a control character"},
		{"delete-after = 30d",
			"delete-after: this version never deletes: only \"never\" is possible"},
	};
	char line[256], text[512];

	(void)state;
	for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
		(void)snprintf(line, sizeof line, "\n%s\n", some[i].line);
		(void)snprintf(text, sizeof text, "a.conf:2: %s", some[i].text);
		refused(line, text);
	}
}

static void a_wrong_value_of_an_account_is_named_too(void **state)
{
	(void)state;
	refused("account a {\n server = \"imap://h\"\n user = a }\n",
		"a.conf:2: server: expected pop3s://HOST[:PORT] (TLS from the start) or "
		"pop3://HOST[:PORT] (STLS)");
	refused("account a {\n server = pop3s://h\n user = \"a\\r\\nDELE 1\" }\n",
		"a.conf:3: user: the user holds a NUL, CR or LF");
	refused("account a {\n server = pop3s://h\n user = \"\" }\n",
		"a.conf:3: user: the user is empty");
	refused(ANNA " password-command = \" \"\n}\n",
		"a.conf:4: password-command: the value is empty");
	refused(ANNA " credential = \"../x\"\n}\n",
		"a.conf:4: credential = \"../x\": expected the name of a credential, no path");
	refused(ANNA " delete-after = \"30d\"\n}\n",
		"a.conf:4: delete-after: this version never deletes: only \"never\" is possible");
	refused("account \"a/b\" { server = pop3s://h user = a }\n",
		"a.conf:1: account \"a/b\": a name is 1 to 64 of A-Z a-z 0-9 . _ - @ +, and does "
		"not "
		"begin with . or -");
}

static void several_errors_are_all_told(void **state)
{
	(void)state;
	refused("interval = 1\n\ntimeout = 1\nsandbox = x\nnix = 1\n",
		"a.conf:1: interval = \"1\": expected a duration from 10s to 30d, like \"15m\"; "
		"a.conf:3: timeout = \"1\": expected a duration from 1s to 1h, like \"60s\"; "
		"a.conf:4: sandbox = \"x\": expected \"best\" or \"required\"; "
		"a.conf:5: unknown key \"nix\"");
}

static void errors_that_do_not_fit_are_counted(void **state)
{
	char text[4096] = "";
	struct config *c = NULL;
	struct fault f = {0};

	(void)state;
	for (int i = 0; i < 30; i++)
		(void)snprintf(text + strlen(text), sizeof text - strlen(text),
			"account a%d { server = pop3s://h%d }\n", i, i);
	folder_put("a.conf", text);
	assert_int_equal(config_load("a.conf", &c, &f), -1);
	assert_non_null(strstr(f.text, "a.conf:1: account \"a0\": user is missing; a.conf:2: "));
	unsigned told = 0;
	for (const char *at = f.text; (at = strstr(at, "user is missing")); at++)
		told++;
	(void)snprintf(text, sizeof text, "user is missing; and %u more", 30 - told);
	assert_string_equal(strstr(f.text, "user is missing; and"), text);
}

static void missing_server_and_user_are_named(void **state)
{
	(void)state;
	refused("\naccount \"anna\" {\n}\n", "a.conf:3: account \"anna\": server is missing; "
					     "a.conf:3: account \"anna\": user is missing");
	refused("\naccount \"anna\" {\n\n user = anna\n}\n",
		"a.conf:2: account \"anna\": server is missing");
	refused("account \"anna\" { server = pop3s://h }\n",
		"a.conf:1: account \"anna\": user is missing");
}

static void the_user_may_stand_in_the_url_but_not_twice(void **state)
{
	struct config *c CLEANUP(config_freep) =
		load("account a { server = \"pop3s://anna@example.com@h\" }\n");

	(void)state;
	assert_string_equal(c->accounts[0].user, "anna@example.com");
	refused("account a {\n user = x\n server = \"pop3s://anna@h\"\n}\n",
		"a.conf:2: account \"a\" has user and, in line 3, another in server");
}

static void a_key_stands_only_once(void **state)
{
	(void)state;
	refused("archive = a\n\narchive = b\n",
		"a.conf:3: archive stands twice (first at a.conf:1)");
	refused(ANNA " user = \"x\"\n}\n", "a.conf:4: user stands twice (first at a.conf:3)");
	folder_put("b.conf", "archive = b\n");
	refused("archive = a\ninclude(\"b.conf\")\n",
		"b.conf:1: archive stands twice (first at a.conf:1)");
}

static void there_is_one_source_of_the_secret(void **state)
{
	(void)state;
	refused(ANNA " password-file = \"x\"\n\n password-command = \"y\"\n}\n",
		"a.conf:4: account \"anna\" has password-file and, in line 6, password-command: "
		"only "
		"one of them");
	refused(ANNA " token-command = \"y\"\n auth = PLAIN\n}\n",
		"a.conf:1: account \"anna\": token-command needs auth = \"XOAUTH2\" or "
		"\"OAUTHBEARER\", or none");
	refused("auth = xoauth2\n" ANNA " password-command = \"y\"\n}\n",
		"a.conf:2: account \"anna\": auth = \"XOAUTH2\" needs token-command");
}

static void an_account_twice_names_both_lines(void **state)
{
	(void)state;
	refused(ANNA "}\n\naccount anna { server = pop3s://other user = x }\n",
		"a.conf:6: account \"anna\" stands already at a.conf:1");
	folder_put("b.conf", "\naccount anna { server = pop3s://other user = x }\n");
	refused("include(\"b.conf\")\n" ANNA "}\n",
		"a.conf:2: account \"anna\" stands already at b.conf:2");
}

static void a_maildrop_under_two_names_names_both(void **state)
{
	(void)state;
	refused(ANNA
		"}\naccount bert { server = pop3://POP.example.com user = \"anna@example.com\" }\n",
		"a.conf:5: account \"bert\" is the maildrop of account \"anna\" at a.conf:1 again: "
		"anna@example.com at pop.example.com");
	struct config *c CLEANUP(config_freep) =
		load(ANNA "}\naccount bert { server = pop3s://pop.example.com:1995 user = "
			  "\"anna@example.com\" }\n");
	assert_int_equal(c->accounts_n, 2);
}

static void tls_is_the_schemes_unless_a_key_allows_none(void **state)
{
	struct config *c CLEANUP(config_freep) =
		load("tls = none\naccount a { server = pop3://h user = a }\n"
		     "account b { server = pop3s://h user = b }\n"
		     "account c { server = pop3://h user = c tls = starttls }\n"
		     "account d { server = pop3s://h user = d tls = implicit }\n");

	(void)state;
	assert_int_equal(c->accounts[0].tls, TLS_NONE);
	assert_int_equal(c->accounts[1].tls, TLS_IMPLICIT);
	assert_int_equal(c->accounts[2].tls, TLS_STARTTLS);
	assert_int_equal(c->accounts[3].tls, TLS_IMPLICIT);
}

static void tls_that_contradicts_the_scheme_is_refused(void **state)
{
	(void)state;
	refused(ANNA " tls = none\n}\n",
		"a.conf:4: tls contradicts the pop3s:// of server in line 2");
	refused(ANNA " tls = starttls\n}\n",
		"a.conf:4: tls contradicts the pop3s:// of server in line 2");
	refused("account a {\n tls = implicit\n server = pop3://h\n user = a\n}\n",
		"a.conf:2: tls contradicts the pop3:// of server in line 3");
	refused("tls = implicit\naccount a { server = pop3://h user = a }\n",
		"a.conf:2: account \"a\": the pop3:// of server contradicts the global tls");
}

static void paths_are_relative_to_the_file_they_stand_in(void **state)
{
	char path[256];
	struct config *c CLEANUP(config_freep) = NULL;
	struct fault f = {0};

	assert_int_equal(mkdir("accounts.d", 0700), 0);
	folder_put("a.conf",
		"archive = \"mail\"\ntls-ca-file = \"/etc/ca.pem\"\ncache-dir = \"~/c\"\n"
		"include(\"accounts.d/anna.conf\")\n");
	folder_put("accounts.d/anna.conf", ANNA " password-file = \"anna.secret\"\n}\n");
	assert_int_equal(setenv("HOME", "/home/anna", 1), 0);
	(void)snprintf(path, sizeof path, "%s/a.conf", (const char *)*state);
	assert_int_equal(config_load(path, &c, &f), 0);
	assert_string_equal(c->cache_dir, "/home/anna/c");
	assert_string_equal(c->accounts[0].tls_ca_file, "/etc/ca.pem");
	(void)snprintf(path, sizeof path, "%s/mail", (const char *)*state);
	assert_string_equal(c->archive, path);
	(void)snprintf(path, sizeof path, "%s/accounts.d/anna.secret", (const char *)*state);
	assert_string_equal(c->accounts[0].secret_value, path);
	assert_int_equal(unsetenv("HOME"), 0);
	refused("archive = \"~\"\n", "a.conf:1: archive: ~ stands for $HOME, which is not set");
}

static void an_include_may_be_a_pattern_and_errors_name_its_file(void **state)
{
	(void)state;
	assert_int_equal(mkdir("d", 0700), 0);
	folder_put("a.conf", "include(\"d/*.conf\")\n");
	struct config *c CLEANUP(config_freep) = load("include(\"d/*.conf\")\narchive = \"x\"\n");
	assert_int_equal(c->accounts_n, 0);
	folder_put("d/2.conf", "account two { server = pop3s://h user = 2 }");
	folder_put("d/1.conf", "account one { server = pop3s://h user = 1 }");
	folder_put("d/3.no", "nonsense");
	struct config *two CLEANUP(config_freep) = load("include(\"d/*.conf\")\narchive = \"x\"\n");
	assert_int_equal(two->accounts_n, 2);
	assert_string_equal(two->accounts[0].name, "one");
	assert_string_equal(two->archive, "x");
	folder_put("d/2.conf", "\naccount two {\n nix = 1 }");
	refused("\ninclude(\"d/*.conf\")\n", "d/2.conf:3: unknown key \"nix\"");
	folder_put("d/2.conf", "account two {\n");
	refused("include(\"d/2.conf\")\n }\n",
		"d/2.conf:1: the section that begins here has no end (})");
	refused("\ninclude(\"d/4.conf\")\nnix = 1\n",
		"a.conf:2: include: d/4.conf: No such file or directory");
	assert_int_equal(mkfifo("d/5.conf", 0600), 0);
	refused("include(\"d/5.conf\")\n", "a.conf:1: include: d/5.conf is no regular file");
	refused("include()\n", "a.conf:1: include takes one file or pattern");
}

static void the_services_global_keys_are_read(void **state)
{
	struct config *c CLEANUP(config_freep) = load("alert-command = \"mail root\"\n"
						      "metrics-file = \"m/popkeep.prom\"\n"
						      "runtime-dir = /run/popkeep\n");

	(void)state;
	assert_string_equal(c->alert_command, "mail root");
	assert_string_equal(c->metrics_file, "m/popkeep.prom");
	assert_string_equal(c->runtime_dir, "/run/popkeep");
	refused("alert-command = \" \"\n", "a.conf:1: alert-command: the value is empty");
	refused("metrics-file = \"\"\n", "a.conf:1: metrics-file: the path is empty");
	refused(ANNA "alert-command = x\n}\n",
		"a.conf:4: \"alert-command\" does not belong into an account section");
}

static void the_keys_of_sealing_are_read(void **state)
{
	struct config *c CLEANUP(config_freep) = load(
		"seal = never\nseal-size = 1M\nseal-age = 1h\nseal-level = 19\n"
		"seal-frame = 64K\npart-sharing = off\nseal-command = \"cp $POPKEEP_FILE /x\"\n");
	struct config *most CLEANUP(config_freep) =
		load("seal = auto\nseal-size = 4G\nseal-age = 3650d\nseal-level = 1\n"
		     "seal-frame = 16M\npart-sharing = yes\n");

	(void)state;
	assert_int_equal(c->seal, SEAL_NEVER);
	assert_int_equal(c->seal_due.bytes, MIB);
	assert_int_equal(c->seal_due.age_ms, 3600000);
	assert_int_equal(c->seal_options.level, 19);
	assert_int_equal(c->seal_options.frame_bytes, 64 * KIB);
	assert_int_equal(c->seal_options.sharing, SEAL_SHARING_OFF);
	assert_string_equal(c->seal_command, "cp $POPKEEP_FILE /x");
	assert_int_equal(most->seal, SEAL_AUTO);
	assert_int_equal(most->seal_due.bytes, LIMIT_SEGMENT_BYTES);
	assert_int_equal(most->seal_due.age_ms, INT64_C(315360000000));
	assert_int_equal(most->seal_options.level, 1);
	assert_int_equal(most->seal_options.frame_bytes, LIMIT_SEALED_FRAME);
	assert_int_equal(most->seal_options.sharing, SEAL_SHARING_ON);
	refused("seal-command = \"\"\n", "a.conf:1: seal-command: the value is empty");
	refused(ANNA "seal-size = 1G\n}\n",
		"a.conf:4: \"seal-size\" does not belong into an account section");
	refused("seal-sise = 1G\n",
		"a.conf:1: unknown key \"seal-sise\"; did you mean \"seal-size\"?");
}

static void the_files_and_folders_that_were_read_are_listed(void **state)
{
	(void)state;
	assert_int_equal(mkdir("d", 0700), 0);
	assert_int_equal(mkdir("e", 0700), 0);
	folder_put("d/1.conf", "");
	struct config *c CLEANUP(config_freep) =
		load("include(\"d/*.conf\")\ninclude(\"e/?.conf\")\ninclude(\"*.none\")\n");
	assert_int_equal(c->files_n, 2);
	assert_string_equal(c->files[0], "a.conf");
	assert_string_equal(c->files[1], "d/1.conf");
	assert_int_equal(c->folders_n, 3);
	assert_string_equal(c->folders[0], "d");
	assert_string_equal(c->folders[1], "e");
	assert_string_equal(c->folders[2], "");
}

static void lines_after_an_include_are_counted_in_the_including_file(void **state)
{
	(void)state;
	folder_put("b.conf", "# b\n\n\n\n");
	refused("\ninclude(\"b.conf\")\nnix = 1\n", "a.conf:3: unknown key \"nix\"");
}

static void an_include_of_itself_ends(void **state)
{
	(void)state;
	refused("\ninclude(\"a.conf\")\n", "a.conf:2: includes are nested deeper than 8");
}

static void includes_may_be_eight_deep(void **state)
{
	char name[32], text[64];
	struct config *c CLEANUP(config_freep) = NULL, *none = NULL;
	struct fault f = {0};

	(void)state;
	for (int i = 1; i <= 9; i++) {
		(void)snprintf(name, sizeof name, "%d.conf", i);
		(void)snprintf(text, sizeof text, "include(\"%d.conf\")\n", i + 1);
		folder_put(name, i < 9 ? text : "archive = \"deep\"\n");
	}
	assert_int_equal(config_load("2.conf", &c, &f), 0);
	assert_string_equal(c->archive, "deep");
	assert_int_equal(config_load("1.conf", &none, &f), -1);
	assert_string_equal(f.text, "8.conf:1: includes are nested deeper than 8");
}

static void a_load_after_a_failed_one_is_like_the_first(void **state)
{
	(void)state;
	folder_put("b.conf", "archive = \"b\"\nnix = '1");
	refused("include(\"b.conf\")\n", "b.conf:2: the string that begins here has no end (')");
	folder_put("b.conf", "account x { user = \n}");
	refused("include(\"b.conf\")\n", "b.conf:2: unexpected token '}'");
	struct config *c CLEANUP(config_freep) = load(ANNA "}\n");
	assert_int_equal(c->accounts_n, 1);
	assert_null(c->archive);
}

static void a_missing_file_and_a_folder_are_named(void **state)
{
	struct config *c = NULL;
	struct fault f = {0};

	(void)state;
	assert_int_equal(config_load("no\n.conf", &c, &f), -1);
	assert_string_equal(
		f.text, "no\\x0a.conf: cannot open the configuration: No such file or directory");
	assert_int_equal(f.code, FAULT_USAGE);
	assert_int_equal(config_load(".", &c, &f), -1);
	assert_string_equal(f.text, ".: Is a directory");
	assert_null(c);
}

static void a_file_too_large_is_refused(void **state)
{
	FILE *file = fopen("a.conf", "w");
	struct config *c = NULL;
	struct fault f = {0};

	(void)state;
	for (uint64_t i = 0; i < LIMIT_CONFIG_FILE / 64 + 1; i++)
		(void)fprintf(file, "# %062d\n", 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(config_load("a.conf", &c, &f), -1);
	assert_string_equal(f.text, "a.conf: the configuration is larger than 16 MiB");
}

static void write_accounts(const char *path, int n)
{
	FILE *file = fopen(path, "w");

	for (int i = 0; i < n; i++)
		(void)fprintf(file,
			"account \"user%05d\" {\n\tserver = \"pop3s://pop%d.example.com\"\n\tuser "
			"= "
			"\"user%05d@example.com\"\n\tpassword-command = \"pass show "
			"mail/%05d\"\n}\n",
			i, i % 100, i, i);
	assert_int_equal(fclose(file), 0);
}

static void ten_thousand_accounts_are_taken_and_one_more_is_not(void **state)
{
	struct config *c CLEANUP(config_freep) = NULL;
	struct config *none = NULL;
	struct fault f = {0};
	char name[32];

	(void)state;
	write_accounts("a.conf", LIMIT_ACCOUNTS);
	assert_int_equal(config_load("a.conf", &c, &f), 0);
	assert_int_equal(c->accounts_n, LIMIT_ACCOUNTS);
	for (int i = 0; i < LIMIT_ACCOUNTS; i += 99) {
		(void)snprintf(name, sizeof name, "user%05d", i);
		assert_ptr_equal(config_account(c, name), &c->accounts[i]);
	}
	write_accounts("a.conf", LIMIT_ACCOUNTS + 1);
	assert_int_equal(config_load("a.conf", &none, &f), -1);
	assert_string_equal(f.text, "a.conf:50001: more than 10000 accounts");
}

static void an_account_is_found_by_name_or_nearly(void **state)
{
	struct config *c CLEANUP(config_freep) = load(
		"account zoe { server = pop3s://h user = z }\naccount anna { server = pop3s://h "
		"user = a }\naccount bert { server = pop3s://h user = b }\n");

	(void)state;
	assert_string_equal(config_account(c, "zoe")->user, "z");
	assert_string_equal(config_account(c, "anna")->user, "a");
	assert_string_equal(config_account(c, "bert")->user, "b");
	assert_null(config_account(c, "ana"));
	assert_null(config_account(c, ""));
	assert_string_equal(config_nearest_account(c, "ana"), "anna");
	assert_null(config_nearest_account(c, "xavier"));
}

static void the_default_path_is_the_first_that_exists(void **state)
{
	char *path CLEANUP(freep) = NULL;
	struct fault f = {0};
	char expected[256];

	if (access("/etc/popkeep/popkeep.conf", F_OK) == 0)
		skip();
	assert_int_equal(setenv("HOME", *state, 1), 0);
	assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
	assert_int_equal(config_default_path(&path, &f), CONFIG_NONE);
	assert_null(path);
	assert_int_equal(mkdir(".config", 0700), 0);
	assert_int_equal(mkdir(".config/popkeep", 0700), 0);
	folder_put(".config/popkeep/popkeep.conf", "");
	assert_int_equal(config_default_path(&path, &f), 0);
	(void)snprintf(
		expected, sizeof expected, "%s/.config/popkeep/popkeep.conf", (char *)*state);
	assert_string_equal(path, expected);
	freep(&path);
	assert_int_equal(setenv("XDG_CONFIG_HOME", "/nonexistent", 1), 0);
	assert_int_equal(config_default_path(&path, &f), CONFIG_NONE);
	assert_int_equal(setenv("XDG_CONFIG_HOME", "relative", 1), 0);
	assert_int_equal(config_default_path(&path, &f), 0);
	freep(&path);
	(void)snprintf(expected, sizeof expected, "%s/.config", (char *)*state);
	assert_int_equal(setenv("XDG_CONFIG_HOME", expected, 1), 0);
	assert_int_equal(setenv("HOME", "/nonexistent", 1), 0);
	assert_int_equal(config_default_path(&path, &f), 0);
	assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, folder_enter, folder_leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(an_empty_file_gives_the_defaults),
		IN_FOLDER(all_global_keys_are_read),
		IN_FOLDER(all_keys_of_an_account_are_read),
		IN_FOLDER(accounts_take_over_global_keys_wherever_these_stand),
		IN_FOLDER(the_other_sources_of_a_secret_are_read),
		IN_FOLDER(an_unknown_key_is_named_with_the_nearest),
		IN_FOLDER(a_key_in_the_wrong_place_is_not_called_unknown),
		IN_FOLDER(a_secret_in_the_configuration_is_refused_and_not_repeated),
		IN_FOLDER(comments_of_all_kinds_leave_the_line_numbers_right),
		IN_FOLDER(broken_syntax_is_named_with_its_line),
		IN_FOLDER(what_would_end_a_value_silently_is_refused),
		IN_FOLDER(environment_variables_must_exist),
		IN_FOLDER(a_wrong_value_is_named_with_what_was_expected),
		IN_FOLDER(a_wrong_value_of_an_account_is_named_too),
		IN_FOLDER(several_errors_are_all_told),
		IN_FOLDER(errors_that_do_not_fit_are_counted),
		IN_FOLDER(missing_server_and_user_are_named),
		IN_FOLDER(the_user_may_stand_in_the_url_but_not_twice),
		IN_FOLDER(a_key_stands_only_once),
		IN_FOLDER(there_is_one_source_of_the_secret),
		IN_FOLDER(an_account_twice_names_both_lines),
		IN_FOLDER(a_maildrop_under_two_names_names_both),
		IN_FOLDER(tls_is_the_schemes_unless_a_key_allows_none),
		IN_FOLDER(tls_that_contradicts_the_scheme_is_refused),
		IN_FOLDER(paths_are_relative_to_the_file_they_stand_in),
		IN_FOLDER(an_include_may_be_a_pattern_and_errors_name_its_file),
		IN_FOLDER(the_services_global_keys_are_read),
		IN_FOLDER(the_keys_of_sealing_are_read),
		IN_FOLDER(the_files_and_folders_that_were_read_are_listed),
		IN_FOLDER(lines_after_an_include_are_counted_in_the_including_file),
		IN_FOLDER(an_include_of_itself_ends),
		IN_FOLDER(includes_may_be_eight_deep),
		IN_FOLDER(a_load_after_a_failed_one_is_like_the_first),
		IN_FOLDER(a_missing_file_and_a_folder_are_named),
		IN_FOLDER(a_file_too_large_is_refused),
		IN_FOLDER(ten_thousand_accounts_are_taken_and_one_more_is_not),
		IN_FOLDER(an_account_is_found_by_name_or_nearly),
		IN_FOLDER(the_default_path_is_the_first_that_exists),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
