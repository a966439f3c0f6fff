#include "cli/chosen.h"
#include "cli/command.h"
#include "cli/config_home.h"
#include "cli/config_write.h"
#include "cli/probe_facts.h"
#include "cli/stop.h"

#include "archive/escape.h"
#include "archive/limits.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char SYSTEM_CONFIG[] = "/etc/popkeep/popkeep.conf",
		  SYSTEM_ARCHIVE[] = "/var/lib/popkeep";

struct addition {
	struct run *run;
	const char *name;
	struct config_home *home;
	struct buffer section;	/* what is written */
	struct config *trial;	/* the configuration as it will be */
	struct secret password; /* asked for, or read to try it */
	bool asks;
	bool tried;
	struct probe_report report;
	struct caveats caveats;
};

static void addition_deinit(struct addition *x)
{
	config_home_closep(&x->home);
	buffer_deinit(&x->section);
	config_freep(&x->trial);
	secret_deinit(&x->password);
}

/* ---- Which configuration --------------------------------------------------------------------- */

static char *absolute(const char *path)
{
	char *folder CLEANUP(freep) = path[0] == '/' ? NULL : get_current_dir_name();
	char *whole = NULL;

	if (path[0] == '/' || (path[0] == '~' && path[1] == '/'))
		return strdup(path);
	return folder && asprintf(&whole, "%s/%s", folder, path) >= 0 ? whole : NULL;
}

/* Where a new one goes when none is named: the system's for root, otherwise the user's own. */
static int new_config_path(char **ret, struct fault *f)
{
	const char *xdg = secure_getenv("XDG_CONFIG_HOME"), *home = secure_getenv("HOME");
	int r;

	if (geteuid() == 0)
		r = (*ret = strdup(SYSTEM_CONFIG)) ? 0 : -1;
	else if (xdg && xdg[0] == '/')
		r = asprintf(ret, "%s/popkeep/popkeep.conf", xdg);
	else if (home && home[0] == '/')
		r = asprintf(ret, "%s/.config/popkeep/popkeep.conf", home);
	else
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"no configuration named and no HOME to find the default one: give -c "
			"CONFIG");
	return r < 0 ? fault_memory(f) : 0;
}

static int config_path_of(const struct run *run, char **ret, struct fault *f)
{
	const char *named = run_named_config(run);

	if (named)
		return (*ret = strdup(named)) ? 0 : fault_memory(f);
	int r = config_default_path(ret, f);
	return r == CONFIG_NONE ? new_config_path(ret, f) : r;
}

/* What a new configuration begins with: where the archive is. */
static int begin_config(struct addition *x, struct fault *f)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(LIMIT_CONFIG_VALUE * 8);
	char *folder CLEANUP(freep) = absolute(x->run->folder);

	if (!folder)
		return fault_memory(f);
	if (buffer_append_text(&text, "archive = ", f) < 0 ||
		config_write_value(&text, folder, f) < 0 || buffer_append_text(&text, "\n", f) < 0)
		return -1;
	return config_home_begin(x->home, buffer_slice(&text), f);
}

/* Where the archive is, by the configuration as it is or will be. */
static int choose_folder(struct addition *x, const char *path, struct fault *f)
{
	const struct config *current = config_home_current(x->home);
	struct run *run = x->run;
	const char *other = current ? current->archive : NULL;
	char *copy;

	if (run_choose_folder(run, f) < 0)
		return -1;
	if (!current && strcmp(path, SYSTEM_CONFIG) == 0)
		other = SYSTEM_ARCHIVE;
	if (!other || run->folder_is_named)
		return 0;
	copy = strdup(other);
	if (!copy)
		return fault_memory(f);
	free(run->folder);
	run->folder = copy;
	return 0;
}

static int open_home(struct addition *x, struct fault *f)
{
	char *path CLEANUP(freep) = NULL;
	struct stat st;

	if (config_path_of(x->run, &path, f) < 0 || config_home_open(path, &x->home, f) < 0)
		return -1;
	const struct config *current = config_home_current(x->home);
	if (current && config_account(current, x->name))
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"account %s is configured already; nothing was changed", x->name);
	if (choose_folder(x, path, f) < 0)
		return -1;
	if (stat(x->run->folder, &st) == 0)
		config_home_set_reader(x->home, st.st_uid, st.st_gid);
	return current ? 0 : begin_config(x, f);
}

/* ---- The account ----------------------------------------------------------------------------- */

/* A path that the configuration will be read with from anywhere. */
static int whole_path(const char *option, char **ret, struct fault *f)
{
	if (!option)
		return 0;
	*ret = absolute(option);
	return *ret ? 0 : fault_memory(f);
}

static int write_section(struct addition *x, struct fault *f)
{
	const struct arguments *a = &x->run->arguments;
	char *file CLEANUP(freep) = NULL, *ca CLEANUP(freep) = NULL;
	char asked[LIMIT_ACCOUNT_NAME + 16];

	if (whole_path(option_value(a, "password-file"), &file, f) < 0 ||
		whole_path(option_value(a, "tls-ca-file"), &ca, f) < 0)
		return -1;
	(void)snprintf(asked, sizeof asked, "%s.password", x->name);
	const struct config_pair pairs[] = {
		{"server", option_value(a, "server")},
		{"user", option_value(a, "user")},
		{"password-command", option_value(a, "password-command")},
		{"password-file", x->asks ? asked : file},
		{"token-command", option_value(a, "token-command")},
		{"tls", option_value(a, "tls")},
		{"tls-ca-file", ca},
		{"tls-pin", option_value(a, "tls-pin")},
		{"auth", option_value(a, "auth")},
	};
	return config_write_account(&x->section, x->name, pairs, sizeof pairs / sizeof *pairs, f);
}

/* Not by EXTERNAL and GSSAPI. */
static bool logs_in_by_password(const char *auth)
{
	char upper[32];
	struct account forced = {.auth = upper};
	size_t n = 0;

	for (; auth && auth[n] && n + 1 < sizeof upper; n++)
		upper[n] = (char)toupper((unsigned char)auth[n]);
	upper[n] = '\0';
	return !auth || secret_is_needed(&forced);
}

static int read_arguments(struct addition *x, struct fault *f)
{
	static const char *const sources[] = {"password-command", "password-file", "token-command"};
	const struct arguments *a = &x->run->arguments;
	size_t given = 0;

	for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
		given += option_given(a, sources[i]);
	if (operands_n(a) != 1 || !option_given(a, "server"))
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"account add needs a NAME and --server URL");
	if (given > 1)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"--password-command, --password-file and --token-command exclude each "
			"other");
	x->name = operands(a)[0];
	if (!account_name_is_valid(x->name))
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"NAME: 1 to %d of A-Z a-z 0-9 . _ - @ +, not beginning with . or -",
			LIMIT_ACCOUNT_NAME);
	x->asks = given == 0 && logs_in_by_password(option_value(a, "auth"));
	return write_section(x, f);
}

/* ---- Trying it ------------------------------------------------------------------------------- */

static int read_secret(struct addition *x, const struct account *a, struct fault *f)
{
	struct account asked = *a; /* borrows all of it */

	if (x->asks)
		asked.secret_source = SECRET_ASK;
	return secret_read(&asked, &x->password, f);
}

struct probe_result {
	int r;
	struct probe_report report;
	struct fault fault;
};

/* A file's worth of it, or less where the child died. */
static bool read_result(int fd, struct probe_result *to)
{
	size_t len = 0;
	ssize_t n;

	while (len < sizeof *to && (n = read(fd, (char *)to + len, sizeof *to - len)) != 0) {
		if (n < 0 && errno != EINTR)
			return false;
		len += n > 0 ? (size_t)n : 0;
	}
	return len == sizeof *to;
}

static _Noreturn void probe_in_child(
	const struct addition *x, const struct account *a, int fd, struct probe_result *result)
{
	result->r = store_become_owner(x->run->folder, &result->fault);
	if (result->r == 0)
		result->r = account_probe(a, &x->password, &result->report, &result->fault);
	ssize_t n = write(fd, result, sizeof *result);
	_exit(n == (ssize_t)sizeof *result ? 0 : 1);
}

/* Nothing that a server says should be read by root, who has to write the files afterwards. */
static int probe_as_owner(struct addition *x, const struct account *a, struct fault *f)
{
	struct probe_result result = {0};
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno, "pipe");
	(void)fflush(NULL);
	pid_t child = fork();
	if (child == 0)
		probe_in_child(x, a, fds[1], &result);
	int error = errno;
	(void)close(fds[1]);
	bool whole = child > 0 && read_result(fds[0], &result);
	(void)close(fds[0]);
	if (child > 0)
		(void)waitpid(child, NULL, 0);
	if (!whole)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, child < 0 ? error : ECHILD,
			"cannot try the login in a process of its own");
	result.fault.text[sizeof result.fault.text - 1] = '\0';
	if (result.r < 0) {
		*f = result.fault;
		return -1;
	}
	x->report = result.report;
	return 0;
}

/* Logs in as the configuration will say. */
static int try_login(struct addition *x, const struct account *a, struct fault *f)
{
	int r = geteuid() == 0 ? probe_as_owner(x, a, f)
			       : account_probe(a, &x->password, &x->report, f);

	if (r < 0)
		return -1;
	x->tried = true;
	probe_find_caveats(a, &x->report, &x->caveats);
	if (x->caveats.fatal)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0,
			"%s; --no-check adds it all the same", x->caveats.text[0]);
	return 0;
}

/* ---- Telling --------------------------------------------------------------------------------- */

static void print_json(struct addition *x, const char *path, enum config_home_change change)
{
	struct json_line line;

	json_line_begin(&line, "account");
	json_add_text(&line, "account", x->name);
	json_add_flag(&line, "ok", true);
	json_add_bytes(&line, "file", slice_text(path));
	json_add_flag(&line, "made_config", change == CONFIG_HOME_MADE);
	json_add_flag(&line, "checked", x->tried);
	if (x->tried)
		probe_add_json(&line, &x->report, &x->caveats);
	json_line_print(&line, &x->run->out);
}

static void print_text(struct addition *x, const char *path)
{
	struct output *o = &x->run->out;
	char number[TEXT_NUMBER], size[TEXT_NUMBER];

	out_escaped(o, slice_text(x->name));
	if (x->tried) {
		out_format(o, ": logged in with ");
		out_escaped(o, slice_text(x->report.mechanism));
		out_format(o, ", TLS: ");
		out_escaped(o, slice_text(x->report.tls));
		out_format(o, "; %s %s, %s", text_count(x->report.messages, number),
			plural(x->report.messages, "message", "messages"),
			text_size(x->report.bytes, size));
	} else {
		out_format(o, ": not tried");
	}
	out_format(o, "\nwritten to ");
	out_escaped(o, slice_text(path));
	out_format(o, "; popkeep fetch %s gets its mail\n", x->name);
}

static void tell(struct addition *x, const char *path, enum config_home_change change)
{
	if (x->run->json)
		print_json(x, path, change);
	else
		print_text(x, path);
	for (size_t i = 0; !x->run->json && i < x->caveats.n; i++)
		run_note(x->run, "%s", x->caveats.text[i]);
	if (change == CONFIG_HOME_MADE)
		run_note(x->run, "the configuration is new");
	if (change == CONFIG_HOME_NOW_INCLUDES)
		run_note(x->run, "the configuration includes accounts.d from now on");
}

static int add_failed(struct addition *x, const struct fault *f)
{
	struct json_line line;

	if (x->run->json) {
		json_line_begin(&line, "account");
		json_add_bytes(&line, "account", slice_text(x->name));
		json_add_flag(&line, "ok", false);
		json_add_text(&line, "error", f->text);
		json_line_print(&line, &x->run->out);
	}
	run_complain(x->run, "%s%s", f->text, fault_advice(f));
	return fault_exit_status(f);
}

/* ---- The command ----------------------------------------------------------------------------- */

static int add_account(struct addition *x, struct fault *f)
{
	enum config_home_change change;

	if (open_home(x, f) < 0 ||
		config_home_try(x->home, buffer_slice(&x->section), &x->trial, f) < 0)
		return -1;
	const struct account *a = config_account(x->trial, x->name);
	bool checks = !option_given(&x->run->arguments, "no-check");
	char *path CLEANUP(freep) = config_home_account_path(x->home, x->name);
	if (!a || !path)
		return fault_memory(f);
	if ((checks || x->asks) && read_secret(x, a, f) < 0)
		return -1;
	if (checks && try_login(x, a, f) < 0)
		return -1;
	stop_catch_signals(); /* what follows is short, and begun it should be ended */
	if (config_home_add(x->home, x->name, buffer_slice(&x->section),
		    x->asks ? &x->password : NULL, &change, f) < 0)
		return -1;
	tell(x, path, change);
	return 0;
}

static int account_add_run(struct run *run)
{
	struct addition x CLEANUP(addition_deinit) = {
		.run = run, .section = buffer_make(256 * KIB)};
	struct fault f;

	if (read_arguments(&x, &f) < 0)
		return run_usage(run, "%s", f.text);
	return add_account(&x, &f) < 0 ? add_failed(&x, &f) : STATUS_DONE;
}

static const struct option_spec options[] = {
	{"server", 0, "URL", "pop3s://host[:port], or pop3://host[:port] for STLS"},
	{"user", 0, "USER", "its user"},
	{"password-command", 0, "COMMAND", "what prints its password"},
	{"password-file", 0, "FILE", "where its password stands"},
	{"token-command", 0, "COMMAND", "what prints an OAuth 2 token"},
	{"tls", 0, "MODE", "none, starttls or implicit"},
	{"tls-ca-file", 0, "FILE", "the certificates to trust instead of the system's"},
	{"tls-pin", 0, "PIN", "the server's public key, sha256//..."},
	{"auth", 0, "MECHANISM", "log in with this and nothing else"},
	{"no-check", 0, NULL, "write it without having logged in"},
	{NULL, 0, NULL, NULL},
};

const struct command command_account_add = {
	.name = "account add",
	.arguments = "NAME --server URL --user USER",
	.summary = "configure an account, after a trial login",
	.details =
		"Logs in, and then writes accounts.d/NAME.conf beside the configuration, which is\n"
		"made when there is none. Without --password-command, --password-file and\n"
		"--token-command the password is asked for and kept in accounts.d/NAME.password,\n"
		"which only its owner can read. When anything fails, nothing is written.",
	.options = options,
	.everyday = true,
	.needs = NEEDS_NOTHING,
	.function = account_add_run,
};
