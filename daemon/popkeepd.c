/* In which order the service comes up, and why:
 *
 *  1 the configuration is read; whatever is wrong with it ends it here
 *  2 root gives up root and becomes the archive's owner
 *  3 the runner is forked: no thread may exist then, and it stays outside of the sandbox
 *  4 the archive is made where there is none, and its service lock taken: one popkeepd for each
 *  5 the control socket is opened: nobody else can answer on it, the lock is ours
 *  6 the sandbox is entered: what is opened outside of it is open
 *  7 the service runs; its writer thread is inside of the sandbox too */
#include "daemon/popkeepd.h"

#include "archive/escape.h"
#include "daemon/control.h"
#include "daemon/control_path.h"
#include "daemon/harden.h"
#include "daemon/log.h"
#include "daemon/service.h"

#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

enum { STATUS_USAGE = 2, PATH = 4096 };

enum task { TASK_SERVE, TASK_CHECK, TASK_HELP, TASK_VERSION };

struct options {
	const char *config;
	enum task task;
	enum log_level level;
};

/* All that is open while it serves. */
struct popkeepd {
	char *config_path, *archive, *socket;
	struct config *config;
	struct runner *runner;
	struct store *guard; /* holds the service lock */
	struct control *control;
	struct sandbox_state sandbox;
};

static void popkeepd_deinit(struct popkeepd *d)
{
	control_closep(&d->control);
	store_closep(&d->guard);
	runner_stopp(&d->runner);
	config_freep(&d->config);
	free(d->config_path);
	free(d->archive);
	free(d->socket);
}

/* ---- The command line ------------------------------------------------------------------------ */

static const char usage[] =
	"usage: popkeepd [-c CONFIG] [-q | -v] [--check]\n"
	"Polls the configured accounts until it is told to end; stays in the foreground.\n"
	"  -c, --config CONFIG  the configuration file\n"
	"      --check          read the configuration, say what is wrong with it, and end\n"
	"  -q, --quiet          log warnings and errors only\n"
	"  -v, --verbose        log each poll\n"
	"  -h, --help\n"
	"      --version\n";

static int parse(int argc, char **argv, struct options *ret)
{
	static const struct option known[] = {{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'C'}, {"quiet", no_argument, NULL, 'q'},
		{"verbose", no_argument, NULL, 'v'}, {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0}};
	int c;

	*ret = (struct options){.level = LOG_LEVEL_INFO};
	while ((c = getopt_long(argc, argv, "c:qvh", known, NULL)) != -1) {
		switch (c) {
		case 'c':
			ret->config = optarg;
			break;
		case 'C':
			ret->task = TASK_CHECK;
			break;
		case 'q':
			ret->level = LOG_LEVEL_WARNING;
			break;
		case 'v':
			ret->level = LOG_LEVEL_DEBUG;
			break;
		case 'h':
			ret->task = TASK_HELP;
			break;
		case 'V':
			ret->task = TASK_VERSION;
			break;
		default:
			return -1;
		}
	}
	if (optind < argc) {
		char text[100];

		(void)fprintf(stderr, "popkeepd: no argument is expected: %s\n",
			escape_text(slice_text(argv[optind]), text, sizeof text));
		return -1;
	}
	return 0;
}

/* ---- Coming up ------------------------------------------------------------------------------- */

static int load(struct popkeepd *d, const struct options *o, struct fault *f)
{
	const char *path = o->config ? o->config : secure_getenv("POPKEEP_CONFIG");

	if (path && path[0]) {
		d->config_path = strdup(path);
		if (!d->config_path)
			return fault_memory(f);
	} else {
		int r = config_default_path(&d->config_path, f);

		if (r < 0)
			return -1;
		if (r == CONFIG_NONE)
			return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
				"no configuration: popkeep account add makes one, or give one "
				"with -c");
	}
	if (config_load(d->config_path, &d->config, f) < 0)
		return -1;
	if (d->config->archive) {
		d->archive = strdup(d->config->archive);
		return d->archive ? 0 : fault_memory(f);
	}
	return config_default_archive(&d->archive, f);
}

static int check(const struct popkeepd *d)
{
	size_t n = d->config->accounts_n;

	(void)printf("%s: right, with %zu %s; the archive is %s\n", d->config_path, n,
		n == 1 ? "account" : "accounts", d->archive);
	return 0;
}

static int open_archive(struct popkeepd *d, struct fault *f)
{
	int r = store_create(d->archive, d->config->cache_dir, f);

	if (r < 0)
		return -1;
	if (r != STORE_EXISTS)
		log_line(LOG_LEVEL_NOTICE, NULL, "made a new archive in %s", d->archive);
	if (store_open(d->archive, d->config->cache_dir, STORE_WRITE, &d->guard, f) < 0)
		return -1;
	for (char *text; (text = store_take_notice(d->guard));) {
		log_line(LOG_LEVEL_NOTICE, NULL, "%s", text);
		free(text);
	}
	return store_lock_service(d->guard, f);
}

static int open_control(struct popkeepd *d, struct fault *f)
{
	if (control_choose_path(d->config->runtime_dir, d->archive, &d->socket, f) < 0)
		return -1;
	return control_open(d->socket, &d->control, f);
}

static bool uses_kerberos(const struct config *c)
{
	for (size_t i = 0; i < c->accounts_n; i++) {
		if (c->accounts[i].auth && strcmp(c->accounts[i].auth, "GSSAPI") == 0)
			return true;
	}
	return false;
}

/* The folder of path, in to. */
static const char *folder_of(const char *path, char to[static PATH])
{
	(void)snprintf(to, PATH, "%s", path);
	return dirname(to);
}

struct path_list {
	char **path;
	size_t n, room;
};

/* Folders stand there once where they come one after the other. */
static int add_path(struct path_list *l, const char *path, struct fault *f)
{
	if (l->n > 0 && strcmp(l->path[l->n - 1], path) == 0)
		return 0;
	if (l->n == l->room) {
		char **more = reallocarray(l->path, l->room + 64, sizeof *more);

		if (!more)
			return fault_memory(f);
		l->path = more;
		l->room += 64;
	}
	l->path[l->n] = strdup(path);
	if (!l->path[l->n])
		return fault_memory(f);
	l->n++;
	return 0;
}

static void path_list_deinit(struct path_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->path[i]);
	free(l->path);
}

/* What is read while the service runs: the folders of the configuration, for the next reload, and
 * those of certificates. */
static int fill_read_paths(const struct config *c, struct path_list *to, struct fault *f)
{
	char folder[PATH];

	for (size_t i = 0; i < c->files_n; i++) {
		if (add_path(to, folder_of(c->files[i], folder), f) < 0)
			return -1;
	}
	for (size_t i = 0; i < c->folders_n; i++) {
		if (add_path(to, c->folders[i][0] ? c->folders[i] : ".", f) < 0)
			return -1;
	}
	for (size_t i = 0; i < c->accounts_n; i++) {
		const char *file = c->accounts[i].tls_ca_file;

		if (file && add_path(to, folder_of(file, folder), f) < 0)
			return -1;
	}
	return 0;
}

static bool is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* The folder, where links lead, that path lies in, if the sandbox leaves it to be written; or NULL.
 */
static const char *writable_above(const char *path, const char *const *write, size_t n)
{
	char *real CLEANUP(freep) = realpath(path, NULL);

	for (size_t i = 0; real && i < n; i++) {
		char *folder CLEANUP(freep) = realpath(write[i], NULL);

		if (folder && is_below(real, folder))
			return write[i];
	}
	return NULL;
}

/* Whoever takes the service over must not be able to write the commands that the runner runs. */
static int check_commands(
	const struct config *c, const char *const *write, size_t n, struct fault *f)
{
	const char *where = NULL, *path = NULL;
	char folder[PATH], text[2][256];

	for (size_t i = 0; i < c->files_n && !where; i++) {
		path = c->files[i];
		where = writable_above(path, write, n);
		where = where ? where : writable_above(folder_of(path, folder), write, n);
	}
	for (size_t i = 0; i < c->folders_n && !where; i++) {
		path = c->folders[i][0] ? c->folders[i] : ".";
		where = writable_above(path, write, n);
	}
	if (!where)
		return 0;
	fault_record(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
		"the sandbox does not protect the configuration: %s lies in %s, where the service "
		"has to write; move one of them elsewhere",
		escape_text(slice_text(path), text[0], sizeof text[0]),
		escape_text(slice_text(where), text[1], sizeof text[1]));
	if (c->sandbox == SANDBOX_REQUIRED)
		return -1;
	log_line(LOG_LEVEL_WARNING, NULL, "%s", f->text);
	return 0;
}

static int enter_sandbox(struct popkeepd *d, struct fault *f)
{
	struct path_list read CLEANUP(path_list_deinit) = {0};
	char socket_folder[PATH], metrics_folder[PATH];
	const char *write[4] = {d->archive, folder_of(d->socket, socket_folder)};
	size_t write_n = 2;

	if (d->config->cache_dir)
		write[write_n++] = d->config->cache_dir;
	if (d->config->metrics_file)
		write[write_n++] = folder_of(d->config->metrics_file, metrics_folder);
	if (fill_read_paths(d->config, &read, f) < 0 ||
		check_commands(d->config, write, write_n, f) < 0)
		return -1;
	struct sandbox_plan plan = {
		.write_folders = write,
		.write_folders_n = write_n,
		.read_paths = (const char *const *)read.path,
		.read_paths_n = read.n,
		.kerberos =
			uses_kerberos(d->config) ? SANDBOX_WITH_KERBEROS : SANDBOX_WITHOUT_KERBEROS,
		.mode = d->config->sandbox,
	};
	if (sandbox_enter(&plan, &d->sandbox, f) < 0)
		return -1;
	if (d->sandbox.incomplete)
		log_line(LOG_LEVEL_WARNING, NULL, "the sandbox is incomplete: %s", d->sandbox.text);
	return 0;
}

/* Before any thread: they inherit it, and the service takes them from a descriptor. */
static void block_signals(void)
{
	sigset_t taken;

	(void)sigemptyset(&taken);
	(void)sigaddset(&taken, SIGTERM);
	(void)sigaddset(&taken, SIGINT);
	(void)sigaddset(&taken, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &taken, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

static int serve(struct popkeepd *d, struct fault *f)
{
	block_signals();
	if (store_become_owner(d->archive, f) < 0 ||
		runner_start(d->config_path, d->archive, &d->runner, f) < 0 ||
		open_archive(d, f) < 0 || open_control(d, f) < 0 || enter_sandbox(d, f) < 0) {
		log_line(LOG_LEVEL_ERROR, NULL, "%s", f->text);
		return -1;
	}
	struct service_options options = {
		.config_path = d->config_path,
		.archive_folder = d->archive,
		.runner = d->runner,
		.control = d->control,
		.sandbox = &d->sandbox,
	};
	struct config *config = d->config;
	d->config = NULL;
	return service_run(&options, config, f);
}

int popkeepd_main(int argc, char **argv)
{
	struct popkeepd d CLEANUP(popkeepd_deinit) = {0};
	struct options o;
	struct fault f = {0};

	process_harden();
	(void)umask(077);
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	log_open("popkeepd");
	if (parse(argc, argv, &o) < 0) {
		(void)fputs(usage, stderr);
		return STATUS_USAGE;
	}
	log_set_level(o.level);
	if (o.task == TASK_HELP || o.task == TASK_VERSION) {
		(void)printf("%s", o.task == TASK_HELP ? usage : "popkeepd " POPKEEP_VERSION "\n");
		return 0;
	}
	if (load(&d, &o, &f) < 0) {
		log_line(LOG_LEVEL_ERROR, NULL, "%s", f.text);
		return fault_exit_status(&f);
	}
	if (o.task == TASK_CHECK)
		return check(&d);
	log_set_archive(d.archive);
	return serve(&d, &f) < 0 ? fault_exit_status(&f) : 0;
}
