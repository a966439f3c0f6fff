/* What an import would come to, without writing anything. */
#pragma once

#include "archive/digest.h"
#include "archive/store.h"

struct import_dry;
/* s is borrowed, or NULL: no archive yet. */
int import_dry_open(
	struct store *s, const char *account, struct import_dry **ret, struct fault *f) MUST_CHECK;
struct import_dry *import_dry_close(struct import_dry *d);
void import_dry_closep(struct import_dry **d);

/* Whether these bytes would be new, or known ones in a new place (DRY_DUPLICATE), or both known,
 * in the archive or by an earlier call. Remembers the last LIMIT_IMPORT_REMEMBERED. */
enum { DRY_NEW = 0, DRY_DUPLICATE = 1, DRY_KNOWN = 2 };
int import_dry_classify(struct import_dry *d, struct slice folder, const struct digest *digest,
	struct fault *f) MUST_CHECK;
