#include "archive/charset.h"

#include <strings.h>

/* What mail says, and what the C library calls it where that is more: senders say GB2312 and write
 * GBK, say Shift_JIS and write Microsoft's. */
static const struct {
	const char *name, *library;
} table[] = {
	{"ISO-8859-2", NULL},
	{"ISO-8859-3", NULL},
	{"ISO-8859-4", NULL},
	{"ISO-8859-5", NULL},
	{"ISO-8859-6", NULL},
	{"ISO-8859-7", NULL},
	{"ISO-8859-8", NULL},
	{"ISO-8859-8-I", "ISO-8859-8"},
	{"ISO-8859-9", "WINDOWS-1254"},
	{"ISO-8859-10", NULL},
	{"ISO-8859-11", "WINDOWS-874"},
	{"ISO-8859-13", NULL},
	{"ISO-8859-14", NULL},
	{"ISO-8859-15", NULL},
	{"ISO-8859-16", NULL},
	{"ISO8859-2", "ISO-8859-2"},
	{"ISO8859-15", "ISO-8859-15"},
	{"LATIN2", "ISO-8859-2"},
	{"WINDOWS-1250", NULL},
	{"WINDOWS-1251", NULL},
	{"WINDOWS-1253", NULL},
	{"WINDOWS-1254", NULL},
	{"WINDOWS-1255", NULL},
	{"WINDOWS-1256", NULL},
	{"WINDOWS-1257", NULL},
	{"WINDOWS-1258", NULL},
	{"WINDOWS-874", NULL},
	{"TIS-620", "WINDOWS-874"},
	{"CP1250", "WINDOWS-1250"},
	{"CP1251", "WINDOWS-1251"},
	{"CP1253", "WINDOWS-1253"},
	{"CP1254", "WINDOWS-1254"},
	{"CP1255", "WINDOWS-1255"},
	{"CP1256", "WINDOWS-1256"},
	{"CP1257", "WINDOWS-1257"},
	{"CP1258", "WINDOWS-1258"},
	{"CP437", NULL},
	{"IBM437", "CP437"},
	{"CP850", NULL},
	{"IBM850", "CP850"},
	{"CP852", NULL},
	{"IBM852", "CP852"},
	{"CP866", NULL},
	{"IBM866", "CP866"},
	{"KOI8-R", NULL},
	{"KOI8-U", NULL},
	{"KOI8-RU", NULL},
	{"MACINTOSH", NULL},
	{"X-MAC-ROMAN", "MACINTOSH"},
	{"GB2312", "GBK"},
	{"GB_2312-80", "GBK"},
	{"X-GBK", "GBK"},
	{"GBK", NULL},
	{"CP936", "GBK"},
	{"GB18030", NULL},
	{"BIG5", "CP950"},
	{"CP950", NULL},
	{"BIG5-HKSCS", NULL},
	{"EUC-TW", NULL},
	{"SHIFT_JIS", "CP932"},
	{"SHIFT-JIS", "CP932"},
	{"X-SJIS", "CP932"},
	{"SJIS", "CP932"},
	{"CP932", NULL},
	{"WINDOWS-31J", "CP932"},
	{"EUC-JP", NULL},
	{"ISO-2022-JP", NULL},
	{"ISO-2022-JP-2", NULL},
	{"EUC-KR", "UHC"},
	{"KS_C_5601-1987", "UHC"},
	{"KSC5601", "UHC"},
	{"CP949", "UHC"},
	{"ISO-2022-KR", NULL},
	{"VISCII", NULL},
	{"TCVN", NULL},
	{"ARMSCII-8", NULL},
	{"GEORGIAN-PS", NULL},
	{"UTF-7", NULL},
	{"UNICODE-1-1-UTF-7", "UTF-7"},
	{"UTF-16", NULL},
	{"UTF-16LE", NULL},
	{"UTF-16BE", NULL},
	{"UTF-32", NULL},
};

enum { KNOWN = sizeof table / sizeof *table };

struct charsets {
	iconv_t converter[KNOWN];
};

void iconv_closep(iconv_t *i)
{
	if (iconv_is_open(*i))
		(void)iconv_close(*i);
}

/* Two names of one charset have two converters: what they share is the module. */
int charsets_open(struct charsets **ret, struct fault *f)
{
	struct charsets *c = calloc(1, sizeof *c);

	if (!c)
		return fault_memory(f);
	for (size_t i = 0; i < KNOWN; i++)
		c->converter[i] =
			iconv_open("UTF-8", table[i].library ? table[i].library : table[i].name);
	*ret = c;
	return 0;
}

struct charsets *charsets_close(struct charsets *c)
{
	for (size_t i = 0; c && i < KNOWN; i++)
		iconv_closep(&c->converter[i]);
	free(c);
	return NULL;
}

void charsets_closep(struct charsets **c)
{
	*c = charsets_close(*c);
}

iconv_t charsets_find(struct charsets *c, const char *name)
{
	for (size_t i = 0; i < KNOWN; i++) {
		if (strcasecmp(table[i].name, name) != 0)
			continue;
		if (iconv_is_open(c->converter[i]))
			(void)iconv(c->converter[i], NULL, NULL, NULL, NULL);
		return c->converter[i];
	}
	return (iconv_t)(intptr_t)-1; /* NOLINT(performance-no-int-to-ptr): what iconv_open() gives
				       */
}
