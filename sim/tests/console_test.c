// Log text as peers get it.

#include "console.h"

#include <string.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

struct text_case {
    const char *sentence;
    const char *line;
    const char *text;
};

static struct text_case cases[] = {
    {"a plain line", "CPU 1 shut down", "CPU 1 shut down\r\n"},
    {"an empty line begins with a printable byte, too", "", " \r\n"},
    {"a tab stays inside", "a\tb", "a\tb\r\n"},
    {"a tab at the start would look like a packet", "\ta", " a\r\n"},
    {"line ends inside would split the line", "a\r\nb", "a??b\r\n"},
    {"control bytes and DEL", "\x01\x1F\x7F", "???\r\n"},
    {"bytes above ASCII", "\x80\xAB\xFF", "???\r\n"},
    {"the ends of the printable range", " ~", " ~\r\n"},
};

enum { NUM_CASES = sizeof(cases) / sizeof(cases[0]) };

static void becomes_text(void **state)
{
    const struct text_case *row = *state;
    char text[CONSOLE_LINE];
    size_t len = console_text(row->line, text);
    assert_int_equal(len, strlen(row->text));
    assert_memory_equal(text, row->text, len);
}

static void a_long_line_is_cut(void **state)
{
    (void)state;
    char line[2 * CONSOLE_LINE];
    char text[CONSOLE_LINE];
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\0';
    assert_int_equal(console_text(line, text), CONSOLE_LINE);
    assert_memory_equal(text + CONSOLE_LINE - 3, "x\r\n", 3);
}

int main(void)
{
    struct CMUnitTest tests[NUM_CASES + 1];
    for (size_t i = 0; i < NUM_CASES; i++) {
        tests[i] = (struct CMUnitTest){cases[i].sentence, becomes_text, NULL, NULL, &cases[i]};
    }
    tests[NUM_CASES] = (struct CMUnitTest)cmocka_unit_test(a_long_line_is_cut);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
