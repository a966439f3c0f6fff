/* What goes over the runner's socket, one message a packet. Both ends are one program, so the
 * messages are structs. */
#pragma once

#include "daemon/runner.h"

enum request_kind { REQUEST_SECRET = 1, REQUEST_ALERT = 2, REQUEST_RELOAD = 3, REQUEST_UPKEEP = 4 };

/* To the runner: always whole. */
struct runner_request {
	uint32_t kind;
	uint32_t event; /* ALERT: enum alert_event; UPKEEP: enum upkeep_wish */
	uint64_t tag;
	uint64_t place; /* SECRET: account_place(); 0: not compared */
	moment_ms since;
	char account[LIMIT_ACCOUNT_NAME + 8]; /* "": about all of them */
	char text[FAULT_TEXT_MAX];
};

/* 0, or -1: no request that runner.c would make, whoever made it. */
int runner_request_check(const struct runner_request *q, size_t len) MUST_CHECK;

/* From the runner: without what is not used of bytes. */
struct runner_message {
	uint32_t kind; /* RUNNER_… */
	uint32_t code; /* enum fault_code */
	uint32_t scope;
	int32_t error;
	uint64_t tag;
	char bytes[LIMIT_SECRET]; /* the secret; the fault's text where there is a code */
};

#define RUNNER_MESSAGE_HEAD offsetof(struct runner_message, bytes)

/* secret or fault; neither where it went well and there is nothing to say. UPKEEP: fault is what is
 * told, with or without a code, and tag its enum upkeep_news. Returns the length. */
size_t runner_message_make(struct runner_message *m, int kind, uint64_t tag,
	const struct secret *secret, const struct fault *fault);
/* The kind; *ret is set. FAULT_SYSTEM: none that the runner would send. FAULT_MEMORY. */
int runner_message_read(const struct runner_message *m, size_t len, struct runner_answer *ret,
	struct fault *f) MUST_CHECK;
