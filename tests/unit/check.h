/* What every cmocka program includes: cmocka's own header and those it needs before it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#define TEST(name) cmocka_unit_test(name)
