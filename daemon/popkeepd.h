/* The service as a program. */
#pragma once

/* Returns the exit status. */
int popkeepd_main(int argc, char **argv);
