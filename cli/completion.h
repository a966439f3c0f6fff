/* What can stand next on a command line, for the shells. The scripts in cli/completion/ know
 * nothing of popkeep but `popkeep help --completion -- WORD...`, so that they never fall behind the
 * tables that the command line is read with. */
#pragma once

#include "cli/run.h"

/* words: what was typed behind "popkeep", the last one being completed ("" where it has not begun).
 * Prints a line for each candidate that begins like it, "CANDIDATE TAB SUMMARY"; ":files" or
 * ":folders" where names of files, or of folders, can stand. Nothing that is wrong is told. */
void completion_print(struct run *run, const char *const *words, size_t n);

/* Whether it is known what to offer for what an option's or a command's help calls its argument,
 * be it nothing. */
bool completion_knows(struct slice argument);
