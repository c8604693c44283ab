// Target files with mistakes: each is refused with what is wrong, and where.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "target_text.h"

struct mistake {
    const char *name;
    const char *text;
    const char *error; // behind the file's name
};

static struct mistake mistakes[] = {
    {"an empty file", "", ": the file is empty"},
    {"no mapping", "- a\n", ": Expecting MAPPING, got event: SEQUENCE_START"},
    {"no YAML", "name: [x\n", ":2: did not find expected ',' or ']'"},
    {"a tab for a space", "name: x\n\tbase: long64\n",
     ":2: found a tab character that violates indentation"},
    {"no UTF-8", "name: \"\xFF\"\n", ":1: invalid leading UTF-8 octet"},
    {"an alias, which could make a short file endless", "name: &a x\nsummary: *a\n",
     ":2: YAML alias unsupported"},
    {"no name", "cpus: 1\n", ":1: Missing required mapping field: name"},
    {"an empty name", "name:\n", ":1: STRING length < 1: "},
    {"an unknown key", "name: x\nsummary: y\ncolour: red\n", ":3: Unexpected key: colour"},
    {"an unknown base", "name: x\nbase: long65\n", ":2: there is no built-in target long65"},
    {"no memory", "name: x\n", ": the target has no memory"},
    {"no CPUs", HEAD "cpus: 0\n", ":3: a target has 1 to 64 CPUs"},
    {"too many CPUs", HEAD "cpus: 65\n", ":3: a target has 1 to 64 CPUs"},
    {"a kind of region that there is not", HEAD "regions:\n- kind: ramm\n  base: 0\n  size: 1\n",
     ":4: Invalid ENUM value: ramm"},
    {"a number that is none", HEAD "regions:\n- kind: ram\n  base: zero\n  size: 1\n",
     ":5: Invalid uint64_t value: 'zero'"},
    {"a region without a size", HEAD "regions:\n- kind: ram\n  base: 0\n",
     ":5: Missing required mapping field: size"},
    {"a region of no bytes", HEAD "regions:\n- {kind: ram, base: 0x1000000, size: 0}\n",
     ":4: base and size of a region are whole pages of 0x1000 bytes"},
    {"a region of half a page", HEAD "regions:\n- {kind: ram, base: 0x1000000, size: 0x800}\n",
     ":4: base and size of a region are whole pages of 0x1000 bytes"},
    {"overlapping regions",
     HEAD "regions:\n- {kind: rom, base: 0x1000000, size: 0x2000}\n\n"
          "- {kind: ram, base: 0x1001000, size: 0x1000}\n",
     ":6: the region overlaps the one at 0x1000000"},
    {"a region over the base's", HEAD "regions:\n- {kind: ram, base: 0xFFF000, size: 0x2000}\n",
     ":4: the region overlaps the one at 0x0"},
    {"a region around another",
     HEAD "regions:\n- {kind: rom, base: 0x1001000, size: 0x1000}\n"
          "- {kind: ram, base: 0x1000000, size: 0x10000}\n",
     ":5: the region overlaps the one at 0x1001000"},
    {"a region past MAXPHYADDR",
     HEAD "regions:\n- {kind: ram, base: 0x3FFFFFFFF000, size: 0x2000}\n",
     ":4: the region at 0x3ffffffff000 passes the 46 bits of a physical address"},
    {"a region past 64 bits",
     HEAD "regions:\n- {kind: ram, base: 0x1000000, size: 0xFFFFFFFFFFFFF000}\n",
     ":4: the region at 0x1000000 passes the 46 bits of a physical address"},
    {"bytes across the end of RAM",
     HEAD "load:\n- {address: 0, text: a}\n"
          "- {address: 0xFFFFFF, text: ab}\n",
     ":5: 0x2 bytes at 0xffffff do not lie in one region of RAM or ROM"},
    {"bytes in protected memory",
     HEAD "regions:\n- {kind: protected, base: 0x1000000, size: 0x1000}\n"
          "load:\n- {address: 0x1000000, text: a}\n",
     ":6: 0x1 bytes at 0x1000000 do not lie in one region of RAM or ROM"},
    {"nothing to load", HEAD "load:\n- address: 0\n",
     ":4: one of file, hex, text, quads and fill says what to load"},
    {"two things to load", HEAD "load:\n- {address: 0, hex: 00, text: a}\n",
     ":4: one of file, hex, text, quads and fill says what to load"},
    {"half a byte", HEAD "load:\n- address: 0\n  hex: 00 1\n",
     ":5: hex is pairs of hexadecimal digits"},
    {"hex without digits", HEAD "load:\n- address: 0\n  hex: \"  \"\n",
     ":4: there are no bytes to load"},
    {"no hex digit", HEAD "load:\n- address: 0\n  hex: 0g\n",
     ":5: hex is pairs of hexadecimal digits"},
    {"a file that is not there", HEAD "load:\n- address: 0\n  file: none.bin\n",
     ":5: none.bin: No such file or directory"},
    {"a fill without a size", HEAD "load:\n- address: 0\n  fill: 1\n", ":5: fill needs a size"},
    {"an enormous fill", HEAD "load:\n- address: 0\n  fill: 1\n  size: 0x10000001\n",
     ":6: more than 256 MiB"},
    {"a fill of more than a byte", HEAD "load:\n- {address: 0, fill: 256, size: 1}\n",
     ":4: Invalid UINT value: '256'"},
    {"a size without a fill", HEAD "load:\n- {address: 0, text: a, size: 1}\n",
     ":4: size goes with fill"},
    {"an unknown register", HEAD "registers:\n- set:\n    rip: 1\n    rixp: 2\n",
     ":6: Unexpected key: rixp"},
    {"a register of a CPU that is not there",
     HEAD "cpus: 2\nregisters:\n- set: {rip: 1}\n- cpu: 2\n  set:\n    rip: 1\n",
     ":8: there is no CPU 2"},
    {"a value that its register does not hold",
     HEAD "registers:\n- cpu: all\n  set:\n    rip: 1\n    cs: 0x10000\n",
     ":7: 0x10000 does not fit cs: 16 bits"},
    {"a limit of more than 32 bits", HEAD "registers:\n- set: {ds_limit: 0x100000000}\n",
     ":4: 0x100000000 does not fit ds_limit: 32 bits"},
    {"an MSR that does not exist",
     HEAD "msrs:\n- {index: 0x174, value: 1}\n"
          "- {cpu: 2, index: 0x999, value: 1}\n",
     ":5: MSR 0x999 of CPU 2 does not exist (value 0x1)"},
    {"an MSR that refuses its value",
     HEAD "msrs:\n- {index: 0xC0000082, value: 0x8000000000000000}\n",
     ":4: MSR 0xc0000082 of CPU 0 does not take 0x8000000000000000"},
    {"an unknown profile", HEAD "profile: pentium\n",
     ":3: there is no processor profile pentium, but generic, skylake-x, icelake, tigerlake"},
    {"a width that no processor has", HEAD "max_phys_bits: 35\n", ":3: max_phys_bits is 36 to 52"},
    {"a width that no entry has room for", HEAD "max_phys_bits: 53\n",
     ":3: max_phys_bits is 36 to 52"},
    {"a width that a region of the base passes",
     "name: x\nbase: pse32\nprofile: tigerlake\nmax_phys_bits: 36\n",
     ":4: the region at 0x3ffffffff000 passes the 36 bits of a physical address"},
    {"an MSR without anything", HEAD "msrs:\n- {index: 0x174}\n",
     ":4: MSR 0x174 has no value, is not fixed and never faults"},
    {"an MSR that is fixed with a value", HEAD "msrs:\n- {index: 0x174, value: 1, fixed: 2}\n",
     ":4: MSR 0x174 is fixed: nothing ever reads its value"},
    {"an MSR that is fixed and faults", HEAD "msrs:\n- {index: 0x174, fixed: 2, faults: both}\n",
     ":4: MSR 0x174 cannot be fixed and fault when it is read"},
    {"an MSR that faults in no way there is", HEAD "msrs:\n- {index: 0x174, faults: never}\n",
     ":4: Invalid ENUM value: never"},
    {"an MSR that faults twice",
     HEAD "msrs:\n- {index: 0x174, faults: read}\n\n- {cpu: 2, index: 0x174, fixed: 1}\n",
     ":6: MSR 0x174 is fixed or faults by another item already"},
    {"a fault on a CPU that is not there", HEAD "msrs:\n- {cpu: 4, index: 0x174, faults: read}\n",
     ":4: there is no CPU 4"},
    {"an MSR that the profile lacks",
     HEAD "profile: skylake-x\nmsrs:\n- {index: 0x6A2, value: 0}\n",
     ":5: MSR 0x6a2 of CPU 0 does not exist (value 0x0)"},
    {"an MSR of a CPU that is not there", HEAD "msrs:\n- {cpu: 4, index: 0x174, value: 1}\n",
     ":4: there is no CPU 4"},
};

static void says_what_is_wrong_and_where(void **state)
{
    const struct mistake *mistake = *state;
    char error[256] = "";
    char want[256];
    (void)snprintf(want, sizeof(want), "%s%s", target_text_path, mistake->error);

    assert_null(target_text_load(mistake->text, error, sizeof(error)));

    assert_string_equal(want, error);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    (void)state;
    char error[256] = "";
    assert_null(target_file_load("/nowhere/x.yaml", error, sizeof(error)));
    assert_string_equal("/nowhere/x.yaml: No such file or directory", error);
}

static void a_file_of_more_than_a_mebibyte_is_refused(void **state)
{
    (void)state;
    char error[256] = "";
    FILE *file = fopen(target_text_path, "wb");
    assert_non_null(file);
    assert_int_equal(0, fseek(file, 1 << 20, SEEK_SET));
    assert_int_equal('\n', fputc('\n', file));
    (void)fclose(file);

    assert_null(target_file_load(target_text_path, error, sizeof(error)));

    assert_non_null(strstr(error, "File too large"));
}

static void a_short_error_buffer_is_not_overrun(void **state)
{
    (void)state;
    char error[8];
    memset(error, '!', sizeof(error));
    assert_null(target_file_load("/nowhere/x.yaml", error, 5));
    assert_string_equal("/now", error);
    assert_int_equal('!', error[5]);
}

int main(void)
{
    struct CMUnitTest rows[ARRAY_LEN(mistakes)];
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        rows[i] = (struct CMUnitTest){mistakes[i].name, says_what_is_wrong_and_where, NULL, NULL,
                                      &mistakes[i]};
    }
    const struct CMUnitTest others[] = {
        cmocka_unit_test(a_file_that_is_not_there_is_named),
        cmocka_unit_test(a_file_of_more_than_a_mebibyte_is_refused),
        cmocka_unit_test(a_short_error_buffer_is_not_overrun),
    };
    int failures =
        cmocka_run_group_tests_name("mistakes", rows, target_text_open, target_text_close);
    failures +=
        cmocka_run_group_tests_name("failures", others, target_text_open, target_text_close);
    return failures == 0 ? 0 : 1;
}
