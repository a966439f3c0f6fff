#include "cli/command.h"

int main(int argc, char **argv)
{
	return popkeep_main(argc, argv);
}
