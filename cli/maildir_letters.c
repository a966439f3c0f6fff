#include "cli/maildir_letters.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static bool has_word(const char *flags, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = flags; *at; at += strspn(at, " ")) {
		size_t n = strcspn(at, " ");

		if (n == len && strncasecmp(at, word, len) == 0)
			return true;
		at += n;
	}
	return false;
}

void maildir_letters(const char *flags, char ret[static MAILDIR_LETTERS])
{
	static const struct {
		const char *flag;
		char letter;
	} letters[] = {/* ascending, as the format wants them */
		{"\\Draft", 'D'}, {"\\Flagged", 'F'}, {"$Forwarded", 'P'}, {"\\Answered", 'R'},
		{"\\Seen", 'S'}, {"\\Deleted", 'T'}};
	size_t n = 0;

	for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
		if (has_word(flags, letters[i].flag))
			ret[n++] = letters[i].letter;
	}
	ret[n] = '\0';
}
