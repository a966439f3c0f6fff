/* Keeps passwords that are in memory from those who may not read them. */
#pragma once

/* No core dumps, and no debugger or /proc/PID/mem of another process of the same user. First thing
 * in main(); what is executed from here may be dumped again, but has no core file either. */
void process_harden(void);
