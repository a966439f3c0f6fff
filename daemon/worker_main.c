#include "daemon/worker.h"

#include <unistd.h>

/* What a program does when it exits (streams, sanitizers) the sandbox denies. */
int main(int argc, char **argv)
{
	_exit(worker_main(argc, argv));
}
