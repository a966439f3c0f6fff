/* Runs a command and writes what it took, as one line of JSON, to a file:
 *
 *   measure FILE COMMAND [ARGUMENT…]
 *
 * A small program of its own, because a child's peak memory includes that of the process it was
 * forked from: a Python would measure itself. Exit status: the command's. */
#include "archive/own.h"

#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double of(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	struct rusage used;
	int status;
	pid_t pid;

	if (argc < 3)
		return 2;
	double start = seconds();
	if (posix_spawn(&pid, argv[2], NULL, NULL, argv + 2, environ) != 0)
		return 127;
	if (wait4(pid, &status, 0, &used) != pid)
		return 127;
	double end = seconds();
	FILE *out = fopen(argv[1], "we");
	if (!out)
		return 127;
	(void)fprintf(out,
		"{\"wall_s\": %.4f, \"user_s\": %.4f, \"system_s\": %.4f, \"rss_kb\": %ld}\n",
		end - start, of(used.ru_utime), of(used.ru_stime), used.ru_maxrss);
	if (fclose(out) != 0)
		return 127;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
