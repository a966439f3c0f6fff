/* Stands in for libFuzzer in the normal test run: gives a target each file of a corpus folder, and
 * what can be made of it without chance: its beginnings, and itself with one byte changed. So a
 * fault that was found once stays found, with any compiler. Results in TAP. */
#include "archive/bytes.h"
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>

enum { INPUT_MAX = 1024 * 1024, VARIANTS = 64 };

/* Each in a block of its own size, so that a sanitizer sees a read behind its end. */
static void give(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void give_variants(uint8_t *data, size_t size)
{
	static const uint8_t change[] = {0x01, 0x80, 0x20, 0xff};
	size_t step = size / VARIANTS + 1;

	give(data, size);
	for (size_t i = 0; i < size; i += step) {
		uint8_t was = data[i];

		give(data, i);
		data[i] ^= change[i / step % sizeof change];
		give(data, size);
		data[i] = was;
	}
}

static int replay_file(const char *folder, const char *name)
{
	char *path CLEANUP(freep) = NULL;
	uint8_t *data CLEANUP(freep) = malloc(INPUT_MAX);

	if (!data || asprintf(&path, "%s/%s", folder, name) < 0)
		return -1;
	FILE *in = fopen(path, "rbe");
	if (!in)
		return -1;
	size_t size = fread(data, 1, INPUT_MAX, in);
	(void)fclose(in);
	give_variants(data, size);
	return 0;
}

static int is_input(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	struct dirent **found = NULL;
	int n = argc == 2 ? scandir(argv[1], &found, is_input, alphasort) : -1, bad = 0;

	if (n <= 0) {
		(void)printf("Bail out! usage: replay FOLDER-WITH-INPUTS\n");
		return 1;
	}
	(void)printf("1..%d\n", n);
	for (int i = 0; i < n; i++) {
		bool good = replay_file(argv[1], found[i]->d_name) == 0;

		(void)printf("%s %d - %s holds\n", good ? "ok" : "not ok", i + 1, found[i]->d_name);
		(void)fflush(stdout);
		bad += !good;
		free(found[i]);
	}
	free(found);
	return bad > 0;
}
