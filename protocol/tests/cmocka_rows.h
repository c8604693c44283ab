#ifndef PROTOCOL_TESTS_CMOCKA_ROWS_H
#define PROTOCOL_TESTS_CMOCKA_ROWS_H

// cmocka with the headers it wants before it.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#define NUM_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
