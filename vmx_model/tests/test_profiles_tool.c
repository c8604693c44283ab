// tools/profiles.c refuses what no processor is like, with the file and the reason.
#include "vmx_tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// One change to the generic profile, and what the tool has to say of it.
static struct fault_case {
    const char *name;
    const char *from, *to;
    const char *reason; // NULL: it is accepted
} cases[] = {
    {"nothing changed", "generic", "generic", NULL},
    {"another name", "name: generic", "name: other-1", NULL},
    {"an unknown feature", "every_feature: true", "features: [LA57, WARP]", "WARP"},
    {"a feature twice", "every_feature: true", "features: [LA57, FPU, FPU]", "named twice"},
    {"57 bits without LA57", "every_feature: true", "features: [FPU]", "LA57"},
    {"48 bits with LA57", "linear_bits: 57", "linear_bits: 48", "LA57"},
    {"linear bits in between", "linear_bits: 57", "linear_bits: 52", "48 or 57"},
    {"MAXPHYADDR 53", "max_phys_bits: 46", "max_phys_bits: 53", "32 to 52"},
    {"MAXPHYADDR 31", "max_phys_bits: 46", "max_phys_bits: 31", "32 to 52"},
    {"MAXPHYADDR of nine bits", "max_phys_bits: 46", "max_phys_bits: 302", "max_phys_bits"},
    {"MAXPHYADDR in words", "max_phys_bits: 46", "max_phys_bits: many", "many"},
    {"MAXPHYADDR missing", "max_phys_bits: 46\n", "", "max_phys_bits"},
    {"a key of its own", "mtrrs: 10", "mtrrs: 10\nwheels: 4", "wheels"},
    {"nine general counters", "general: 8", "general: 9", "general"},
    {"five fixed counters", "fixed: 4", "fixed: 5", "fixed"},
    {"counters of 32 bits", "bits: 48,", "bits: 32,", "33 to 63"},
    {"33 events", "events: 7", "events: 33", "events"},
    {"five trace ranges", "ranges: 2", "ranges: 5", "ranges"},
    {"21 machine-check banks", "mc_banks: 10", "mc_banks: 21", "mc_banks"},
    {"eleven MTRRs", "mtrrs: 10", "mtrrs: 11", "mtrrs"},
    {"33 branch records", "lbr_entries: 32", "lbr_entries: 33", "lbr_entries"},
    {"a last leaf before 0x15", "last_leaf: 0x1C", "last_leaf: 0x14", "last_leaf"},
    {"a VMCS revision of 32 bits", "revision: 0x5", "revision: 0xA", "31 bits"},
    {"a TSC without end", "denominator: 1", "denominator: 0", "denominator"},
    {"a cache without ways", "ways: 12, sets: 64", "ways: 0, sets: 64", "caches"},
    {"a cache without sets", "sets: 16384", "sets: 0", "caches"},
    {"a fifth level of cache", "level: 3", "level: 5", "caches"},
    {"a kind of cache", "type: data", "type: paper", "paper"},
    {"a short vendor", "GenuineIntel", "Genuine", "Genuine"},
    {"a quote in the brand", "Pulsim generic", "Pulsim \"generic", "printable"},
    {"a long brand", "Pulsim generic processor",
     "A brand string of forty-eight characters, no less", "> 47"},
    {"no YAML", "caches:", "caches: [", "line"},
};

enum { NUM_CASES = sizeof(cases) / sizeof(cases[0]), MAX_TEXT = 1 << 14 };

static void read_all(FILE *file, char text[MAX_TEXT])
{
    assert_non_null(file);
    text[fread(text, 1, MAX_TEXT - 1, file)] = '\0';
}

static void write_changed(const char *path, const struct fault_case *row)
{
    static char text[MAX_TEXT];
    FILE *in = fopen(VMX_GENERIC_YAML, "r");
    read_all(in, text);
    assert_int_equal(0, fclose(in));
    char *at = strstr(text, row->from);
    assert_non_null(at);

    FILE *out = fopen(path, "w");
    assert_non_null(out);
    (void)fwrite(text, 1, (size_t)(at - text), out);
    (void)fputs(row->to, out);
    (void)fputs(at + strlen(row->from), out);
    assert_int_equal(0, fclose(out));
}

static void says_what_is_wrong(void **state)
{
    const struct fault_case *row = *state;
    static char said[MAX_TEXT];
    char path[] = "profile-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    (void)close(descriptor);
    write_changed(path, row);

    char command[512];
    (void)snprintf(command, sizeof(command), "'%s' /dev/null %s 2>&1", VMX_PROFILES_TOOL, path);
    FILE *tool = popen(command, "r"); // NOLINT(cert-env33-c): our own program, our own names
    read_all(tool, said);
    int status = pclose(tool);
    (void)unlink(path);
    assert_true(WIFEXITED(status));
    if (row->reason == NULL) {
        assert_int_equal(0, WEXITSTATUS(status));
        assert_string_equal("", said);
        return;
    }
    assert_int_equal(EXIT_FAILURE, WEXITSTATUS(status));
    assert_int_equal(0, strncmp(said, path, strlen(path)));
    if (strstr(said, row->reason) == NULL) {
        fail_msg("no \"%s\" in: %s", row->reason, said);
    }
}

int main(void)
{
    static struct CMUnitTest tests[NUM_CASES];
    for (unsigned i = 0; i < NUM_CASES; i++) {
        tests[i] = (struct CMUnitTest){
            .name = cases[i].name,
            .test_func = says_what_is_wrong,
            .initial_state = &cases[i],
        };
    }
    return _cmocka_run_group_tests("profiles tool", tests, NUM_CASES, NULL, NULL);
}
