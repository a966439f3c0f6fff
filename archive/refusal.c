#include "archive/refusal.h"

static const char *const refusal_words[] = {
	[0] = "",
	[REFUSAL_TOO_LARGE] = "too-large",
	[REFUSAL_RETR_FAILED] = "retr-failed",
	[REFUSAL_TRUNCATED] = "truncated",
	[REFUSAL_FRAMING] = "framing",
	[REFUSAL_UNKNOWN] = "unknown",
};

const char *refusal_word(enum refusal r)
{
	return refusal_words[r];
}

int refusal_parse(struct slice word, enum refusal *ret)
{
	for (size_t i = 1; i < sizeof refusal_words / sizeof *refusal_words; i++) {
		if (slice_compare(word, slice_text(refusal_words[i])) == 0) {
			*ret = (enum refusal)i;
			return 0;
		}
	}
	return REFUSAL_OTHER;
}

static const moment_ms FIRST_PAUSE = 15 * 60 * 1000, LONGEST_PAUSE = 7 * 24 * 3600 * 1000LL;

moment_ms refusal_next_try(moment_ms refused, uint32_t tries)
{
	moment_ms pause = FIRST_PAUSE;

	for (uint32_t i = 1; i < tries && pause < LONGEST_PAUSE; i++)
		pause *= 2;
	return refused + (pause < LONGEST_PAUSE ? pause : LONGEST_PAUSE);
}
