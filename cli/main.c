#include "cli/command.h"
#include "daemon/harden.h"

int main(int argc, char **argv)
{
	process_harden();
	return popkeep_main(argc, argv);
}
