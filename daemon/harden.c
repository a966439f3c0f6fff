#include "daemon/harden.h"

#include "daemon/sanitizer.h"

#include <sys/prctl.h>
#include <sys/resource.h>

void process_harden(void)
{
	static const struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &none);
	/* AddressSanitizer's search for leaks traces the process, which then must allow it. */
	if (!WITH_ADDRESS_SANITIZER)
		(void)prctl(PR_SET_DUMPABLE, 0);
}
