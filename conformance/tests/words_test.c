// Words of the command line: every form they may have, and what is said of those that are wrong.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"
#include "protocol/status.h"

// --- data -----------------------------------------------------------------------------------

struct data_row {
    const char *word;
    const char *hex; // NULL: refused
};

static struct data_row data_rows[] = {
    {"", ""},
    {"00", "00"},
    {"DEADbeef", "deadbeef"},
    {"ff*3", "ffffff"},
    {"9*2", "0909"},
    {"00*0x4", "00000000"},
    {"aa*0", ""},
    {"0", NULL},
    {"0x00", NULL},
    {"zz", NULL},
    {"00 11", NULL},
    {"100*2", NULL},
    {"*2", NULL},
    {"ff*", NULL},
    {"ff*x", NULL},
    {"ff*-1", NULL},
    {"ff*0xffffffffffffffff", NULL},
    {"@/nonexistent", NULL},
};

static void test_data(void **state)
{
    const struct data_row *row = *state;
    char word[64];
    (void)snprintf(word, sizeof(word), "%s", row->word);
    char *list[] = {word};
    struct words words = {.at = list, .left = 1};
    struct buffer data = {0};
    words_data(&words, "HEX", &data);
    if (row->hex == NULL) {
        assert_string_not_equal(words.error, "");
    } else {
        char *hex = hex_format(data.bytes, data.len);
        assert_string_equal(words.error, "");
        assert_string_equal(hex, row->hex);
        free(hex);
    }
    buffer_cleanup(&data);
}

static void test_data_of_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/pulsim-words-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "wb");
    for (int i = 0; i < 10000; i++) {
        (void)fputc(i & 0xFF, file);
    }
    (void)fclose(file);
    char word[64];
    (void)snprintf(word, sizeof(word), "@%s", path);
    char *list[] = {word};
    struct words words = {.at = list, .left = 1};
    struct buffer data = {0};
    words_data(&words, "HEX", &data);
    unlink(path);
    assert_string_equal(words.error, "");
    assert_int_equal(data.len, 10000);
    assert_int_equal(data.bytes[9999], 9999 & 0xFF);
    buffer_cleanup(&data);
}

// --- calls that are refused -----------------------------------------------------------------

struct refusal {
    uint32_t version;
    const char *words;
    const char *error;
};

static struct refusal refusals[] = {
    {2, "ping 1", "unexpected word '1'"},
    {2, "read-msr", "N is missing"},
    {2, "read-msr 1 2", "unexpected word '2'"},
    {2, "read-msr -1", "N is a number up to 0xffffffff, not '-1'"},
    {2, "read-msr +1", "N is a number up to 0xffffffff, not '+1'"},
    {2, "read-msr 0x", "N is a number up to 0xffffffff, not '0x'"},
    {2, "read-msr 0x0x1", "N is a number up to 0xffffffff, not '0x0x1'"},
    {2, "read-msr 1f", "N is a number up to 0xffffffff, not '1f'"},
    {2, "read-msr 0x100000000", "N is a number up to 0xffffffff, not '0x100000000'"},
    {2, "write-msr 1 18446744073709551616",
     "VALUE is a number up to 0xffffffffffffffff, not '18446744073709551616'"},
    {2, "step 256", "SUPPRESS is a number up to 0xff, not '256'"},
    {2, "read-linear CR3 0 1", "ROOT (or cr3) is a number up to 0xffffffffffffffff, not 'CR3'"},
    {2, "read-virtual 0 0x10000 0 1", "SELECTOR is a number up to 0xffff, not '0x10000'"},
    {2, "read-linear 0 0 0xffffffffffffffff", "there is no memory for 0xffffffffffffffff bytes"},
    {2, "write-linear 0 0 0", "HEX is pairs of hexadecimal digits, BYTE*COUNT or @FILE, not '0'"},
    {2, "write-linear 0 0 @/nonexistent", "cannot read '/nonexistent'"},
    {2, "set-context", "REG=VALUE is missing"},
    {2, "set-context rax", "expected NAME=VALUE, not 'rax'"},
    {2, "set-context RAX=1", "there is no register 'RAX'"},
    {2, "set-context cs=0x10000", "cs is a number up to 0xffff, not '0x10000'"},
    {2, "set-extended-context", "REG=HEX is missing"},
    {2, "set-extended-context rax=1", "there is no register 'rax'"},
    {2, "set-extended-context xcr0=x", "xcr0 is a hexadecimal number of up to 8 bytes, not 'x'"},
    {2, "set-extended-context st0=00", "st0 has 10 bytes, not 1"},
    {2, "add-filter 1 thread=1", "there is no comparison 'thread'"},
    {2, "add-filter 1 cr3", "expected NAME=VALUE, not 'cr3'"},
    {2, "add-filter 1 cr3=1 skip-cr3=2", "cr3 has two values, but a filter holds one"},
    {2, "add-filter 1 selector=0x10000", "selector is a number up to 0xffff, not '0x10000'"},
    {1, "add-filter 1 fs=1", "unexpected word 'fs=1'"},
    {1, "add-filter 1 selector=0x10000", "selector is a number up to 0xffff, not '0x10000'"},
    {1, "remove-filter 1 4", "unexpected word '4'"},
};

static void test_refusal(void **state)
{
    const struct refusal *row = *state;
    char text[128];
    char *list[16] = {0};
    (void)snprintf(text, sizeof(text), "%s", row->words);
    struct words words = {.at = list};
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        list[words.left++] = word;
    }
    const struct call_info *info = call_by_command(list[0], row->version);
    assert_non_null(info);
    words.at++;
    words.left--;
    struct call call;
    assert_true(call_from_words(info, &words, &call));
    call_cleanup(&call);
    assert_string_equal(words.error, row->error);
}

static void test_calls_of_one_version_are_unknown_in_the_other(void **state)
{
    (void)state;
    assert_null(call_by_command("no-such-call", PROTOCOL_V2));
    assert_null(call_by_name("PsNoSuchCall", PROTOCOL_V1));
    assert_ptr_not_equal(call_by_command("add-filter", PROTOCOL_V1),
                         call_by_command("add-filter", PROTOCOL_V2));
    assert_ptr_equal(call_by_command("ping", PROTOCOL_V1), call_by_name("PsPing", PROTOCOL_V2));
}

#define LENGTH(rows) (sizeof(rows) / sizeof((rows)[0]))

int main(void)
{
    struct CMUnitTest tests[LENGTH(data_rows) + LENGTH(refusals) + 2];
    static char names[LENGTH(data_rows)][64];
    size_t num_tests = 0;
    for (size_t i = 0; i < LENGTH(data_rows); i++) {
        (void)snprintf(names[i], sizeof(names[i]), "data '%s'", data_rows[i].word);
        tests[num_tests++] = (struct CMUnitTest){names[i], test_data, NULL, NULL, &data_rows[i]};
    }
    for (size_t i = 0; i < LENGTH(refusals); i++) {
        tests[num_tests++] =
            (struct CMUnitTest){refusals[i].words, test_refusal, NULL, NULL, &refusals[i]};
    }
    tests[num_tests++] = (struct CMUnitTest)cmocka_unit_test(test_data_of_a_file);
    tests[num_tests++] =
        (struct CMUnitTest)cmocka_unit_test(test_calls_of_one_version_are_unknown_in_the_other);
    return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
