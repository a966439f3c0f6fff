/* What is wrong with a configuration, collected: a person wants to hear of everything at once. */
#pragma once

#include "archive/fault.h"
#include "archive/own.h"

struct complaints {
	struct fault fault; /* code FAULT_NONE while there is none */
	unsigned n;	    /* all of them, those that did not fit into the text too */
	unsigned untold;
};

/* Adds "FILE:LINE: …", or "FILE: …" where line is 0. file is escaped here; what else came from
 * outside is the caller's to escape. Returns -1. */
int complain(struct complaints *c, const char *file, unsigned line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The same for being out of memory, which drops what was complained of before and after. */
int complain_memory(struct complaints *c);

/* 0, or -1 with *f set when there was any. */
int complaints_result(const struct complaints *c, struct fault *f) MUST_CHECK;
