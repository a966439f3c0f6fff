#include "daemon/harden.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define HAS_ASAN 1
#endif
#ifndef HAS_ASAN
#define HAS_ASAN 0
#endif

void process_harden(void)
{
	static const struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &none);
	/* AddressSanitizer's search for leaks traces the process, which then must allow it. */
	if (!HAS_ASAN)
		(void)prctl(PR_SET_DUMPABLE, 0);
}
