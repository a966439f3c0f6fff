#include "tests/crash/starving.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

static long countdown = -1; /* the allocation that fails; <0: none */
static long seen;

static bool fails(void)
{
	if (countdown < 0)
		return false;
	return seen++ == countdown;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
int __real_vasprintf(char **ret, const char *format, va_list args);
void *__real_reallocarray(void *old, size_t n, size_t size);
ZSTD_CCtx *__real_ZSTD_createCCtx(void);
ZSTD_DCtx *__real_ZSTD_createDCtx(void);
void *__wrap_reallocarray(void *old, size_t n, size_t size);
ZSTD_CCtx *__wrap_ZSTD_createCCtx(void);
ZSTD_DCtx *__wrap_ZSTD_createDCtx(void);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_vasprintf(char **ret, const char *format, va_list args);
int __wrap_asprintf(char **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));

void *__wrap_malloc(size_t size)
{
	return fails() ? (errno = ENOMEM, NULL) : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? (errno = ENOMEM, NULL) : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? (errno = ENOMEM, NULL) : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
	return fails() ? (errno = ENOMEM, NULL) : __real_reallocarray(old, n, size);
}

ZSTD_CCtx *__wrap_ZSTD_createCCtx(void)
{
	return fails() ? NULL : __real_ZSTD_createCCtx();
}

ZSTD_DCtx *__wrap_ZSTD_createDCtx(void)
{
	return fails() ? NULL : __real_ZSTD_createDCtx();
}

char *__wrap_strdup(const char *text)
{
	return fails() ? (errno = ENOMEM, NULL) : __real_strdup(text);
}

int __wrap_vasprintf(char **ret, const char *format, va_list args)
{
	return fails() ? -1 : __real_vasprintf(ret, format, args);
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = fails() ? -1 : __real_vasprintf(ret, format, args);
	va_end(args);
	return n;
}

static sqlite3_mem_methods plain;

static void *sqlite_malloc(int size)
{
	return fails() ? NULL : plain.xMalloc(size);
}

static void *sqlite_realloc(void *old, int size)
{
	return fails() ? NULL : plain.xRealloc(old, size);
}

int starve_begin(void)
{
	sqlite3_mem_methods ours;

	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &plain) != SQLITE_OK)
		return -1;
	ours = plain;
	ours.xMalloc = sqlite_malloc;
	ours.xRealloc = sqlite_realloc;
	return sqlite3_config(SQLITE_CONFIG_MALLOC, &ours) == SQLITE_OK ? 0 : -1;
}

void starve_at(long n)
{
	countdown = n;
	seen = 0;
}

bool starve_end(void)
{
	bool reached = countdown >= 0 && seen > countdown;

	countdown = -1;
	return reached;
}
