// Rows as tests: every row of a table becomes a cmocka test of its own, named by the row.
#ifndef MMU_MODEL_TESTS_ROWS_H
#define MMU_MODEL_TESTS_ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

// Runs check once per row of cases, whose member .name names the test; adds to failures.
#define RUN_ROWS(failures, group, cases, check)                                                    \
    do {                                                                                           \
        struct CMUnitTest row_tests[ARRAY_LEN(cases)];                                             \
        for (size_t row = 0; row < ARRAY_LEN(cases); row++) {                                      \
            row_tests[row] =                                                                       \
                (struct CMUnitTest){(cases)[row].name, (check), NULL, NULL, &(cases)[row]};        \
        }                                                                                          \
        (failures) += cmocka_run_group_tests_name(group, row_tests, NULL, NULL);                   \
    } while (0)

#endif
