#include "daemon/popkeepd.h"

int main(int argc, char **argv)
{
	return popkeepd_main(argc, argv);
}
