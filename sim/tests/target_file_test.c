#include "target_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "machine.h"
#include "target_check.h"

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#define HEAD "name: x\nbase: long64\n"

// A directory with one target file and one file of bytes in it.
static char directory[] = "/tmp/target_file_test.XXXXXX";
static char yaml_path[64];
static char bytes_path[64];

static void write_file(const char *path, const char *text, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(len, fwrite(text, 1, len, file));
    assert_int_equal(0, fclose(file));
}

static int make_directory(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    (void)snprintf(yaml_path, sizeof(yaml_path), "%s/target.yaml", directory);
    (void)snprintf(bytes_path, sizeof(bytes_path), "%s/bytes.bin", directory);
    write_file(bytes_path, "\x00\x01\x02", 3);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    (void)unlink(yaml_path);
    (void)unlink(bytes_path);
    (void)rmdir(directory);
    (void)snprintf(directory, sizeof(directory), "%s", "/tmp/target_file_test.XXXXXX");
    return 0;
}

static struct target *load_text(const char *text, char *error, size_t error_size)
{
    write_file(yaml_path, text, strlen(text));
    return target_file_load(yaml_path, error, error_size);
}

static struct target *load_good(const char *text)
{
    char error[256] = "";
    struct target *target = load_text(text, error, sizeof(error));
    assert_string_equal("", error);
    assert_non_null(target);
    return target;
}

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
     ":4: the region passes the 46 bits of a physical address"},
    {"a region past 64 bits",
     HEAD "regions:\n- {kind: ram, base: 0x1000000, size: 0xFFFFFFFFFFFFF000}\n",
     ":4: the region passes the 46 bits of a physical address"},
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
    (void)snprintf(want, sizeof(want), "%s%s", yaml_path, mistake->error);

    assert_null(load_text(mistake->text, error, sizeof(error)));

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
    FILE *file = fopen(yaml_path, "wb");
    assert_non_null(file);
    assert_int_equal(0, fseek(file, 1 << 20, SEEK_SET));
    assert_int_equal('\n', fputc('\n', file));
    (void)fclose(file);

    assert_null(target_file_load(yaml_path, error, sizeof(error)));

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

static void every_way_of_loading_bytes(void **state)
{
    (void)state;
    static const char text[] = HEAD "load:\n"
                                    "- {address: 0x200000, text: abc}\n"
                                    "- {address: 0x200010, hex: \"00 7f\\nFF 8\\x30\"}\n"
                                    "- {address: 0x200020, quads: [0x0102030405060708, 9]}\n"
                                    "- {address: 0x200030, fill: 0xCC, size: 3}\n"
                                    "- {address: 0x200040, file: bytes.bin}\n";
    static const struct {
        const char *bytes;
        size_t len;
    } want[] = {
        {"abc", 3},
        {"\x00\x7F\xFF\x80", 4},
        {"\x08\x07\x06\x05\x04\x03\x02\x01\x09\0\0\0\0\0\0\0", 16},
        {"\xCC\xCC\xCC", 3},
        {"\x00\x01\x02", 3},
    };
    size_t base_loads = target_find("long64")->num_loads;
    struct target *target = load_good(text);

    assert_int_equal(base_loads + ARRAY_LEN(want), target->num_loads);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        const struct target_load *load = &target->loads[base_loads + i];
        assert_int_equal(0x200000 + 0x10 * i, load->guest_phys);
        assert_int_equal(want[i].len, load->len);
        assert_memory_equal(want[i].bytes, load->bytes, load->len);
    }
    target_file_free(target);
}

static void a_negative_number_is_its_twos_complement(void **state)
{
    (void)state;
    struct target *target = load_good(HEAD "registers:\n- set: {rax: -5}\n");
    const struct target_register *last = &target->registers[target->num_registers - 1];

    assert_int_equal(last->reg, CONTEXT_rax);
    assert_true(last->value == UINT64_MAX - 4);
    target_file_free(target);
}

static void what_the_file_says_comes_behind_its_base(void **state)
{
    (void)state;
    const struct target *base = target_find("long64");
    struct target *target = load_good(
        HEAD "summary: y\n"
             "registers:\n- cpu: 3\n  set: {rax: 1, rip: 2}\n- set: {r8: 0xFFFFFFFFFFFFFFFF}\n"
             "msrs:\n- {index: 0x10, value: 5}\n- {cpu: 1, index: 0x174, value: 8}\n");
    const struct target_register *reg = target->registers + base->num_registers;
    const struct target_msr *msr = target->msrs + base->num_msrs;

    assert_string_equal("x", target->name);
    assert_string_equal("y", target->summary);
    assert_int_equal(4, target->num_cpus);
    assert_int_equal(base->num_registers + 3, target->num_registers);
    assert_memory_equal(base->registers, target->registers,
                        base->num_registers * sizeof(*base->registers));
    assert_true(reg[0].cpu == 3 && reg[0].reg == CONTEXT_rip && reg[0].value == 2);
    assert_true(reg[1].cpu == 3 && reg[1].reg == CONTEXT_rax && reg[1].value == 1);
    assert_true(reg[2].cpu == TARGET_ALL_CPUS && reg[2].reg == CONTEXT_r8);
    assert_int_equal(UINT64_MAX, reg[2].value);
    assert_int_equal(base->num_msrs + 2, target->num_msrs);
    assert_true(msr[0].cpu == TARGET_ALL_CPUS && msr[0].index == 0x10 && msr[0].value == 5);
    assert_true(msr[1].cpu == 1 && msr[1].index == 0x174 && msr[1].value == 8);
    target_file_free(target);
}

static void overrides_and_profile_are_those_of_the_file(void **state)
{
    static const struct target_override want[] = {
        {TARGET_ALL_CPUS, {0x20, MSR_OVERRIDE_READ_GP | MSR_OVERRIDE_WRITE_GP, 0}},
        {TARGET_ALL_CPUS, {0x10, MSR_OVERRIDE_FIXED | MSR_OVERRIDE_WRITE_GP, 5}},
        {1, {0x174, MSR_OVERRIDE_READ_GP, 0}},
    };
    (void)state;
    struct target *target =
        load_good(HEAD "profile: tigerlake\nmsrs:\n- {index: 0x20, faults: both}\n"
                       "- {index: 0x10, fixed: 5, faults: write}\n"
                       "- {cpu: 1, index: 0x174, value: 3, faults: read}\n");
    assert_ptr_equal(target_profile(target), vmx_profile_find("tigerlake"));
    assert_int_equal(target->num_overrides, ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(target->overrides[i].cpu, want[i].cpu);
        assert_int_equal(target->overrides[i].override.index, want[i].override.index);
        assert_int_equal(target->overrides[i].override.effects, want[i].override.effects);
        assert_int_equal(target->overrides[i].override.value, want[i].override.value);
    }
    assert_int_equal(target->msrs[target->num_msrs - 1].value, 3);
    target_file_free(target);
}

static void every_built_in_fits_every_profile(void **state)
{
    (void)state;
    for (size_t i = 0; vmx_profile_at(i) != NULL; i++) {
        struct target target = *target_find("long64");
        struct target_problem problem;
        target.profile = vmx_profile_at(i);
        assert_true(target_check(&target, &problem));
    }
}

static void fewer_cpus_leave_out_the_rows_of_the_others(void **state)
{
    (void)state;
    struct target *target = load_good(HEAD "cpus: 2\n");
    assert_int_equal(2, target->num_cpus);
    for (size_t i = 0; i < target->num_registers; i++) {
        assert_true(target->registers[i].cpu < 2);
    }
    target_file_free(target);
}

static void every_register_can_be_set(void **state)
{
    (void)state;
    char text[8192] = HEAD "registers:\n- set:\n";
    for (size_t i = 0; i < NUM_CONTEXT_REGISTERS; i++) {
        size_t len = strlen(text);
        (void)snprintf(text + len, sizeof(text) - len, "    %s: %zu\n", context_registers[i].name,
                       i);
    }
    struct target *target = load_good(text);
    const struct target_register *rows =
        target->registers + target->num_registers - NUM_CONTEXT_REGISTERS;
    for (size_t i = 0; i < NUM_CONTEXT_REGISTERS; i++) {
        assert_int_equal(i, rows[i].reg);
        assert_int_equal(i, rows[i].value);
    }
    target_file_free(target);
}

static void freeing_nothing_is_allowed(void **state)
{
    (void)state;
    target_file_free(NULL);
}

static void every_built_in_target_fits_itself(void **state)
{
    (void)state;
    struct target_problem problem = {.reason = ""};
    assert_non_null(target_at(0));
    for (size_t i = 0; target_at(i) != NULL; i++) {
        const struct target *target = target_at(i);
        assert_true(target_check(target, &problem));
        assert_ptr_equal(target, target_find(target->name));
    }
    assert_null(target_find("no such target"));
    assert_null(target_find(""));
}

struct example {
    struct target *target;
    struct machine *machine;
};

static struct example open_example(const char *name)
{
    char path[512];
    char error[256] = "";
    const char *reason = "";
    (void)snprintf(path, sizeof(path), "%s/%s", SIM_TARGETS_DIRECTORY, name);
    struct example example = {.target = target_file_load(path, error, sizeof(error))};
    assert_string_equal("", error);
    assert_non_null(example.target);
    example.machine = machine_new(example.target, &reason);
    assert_string_equal("", reason);
    assert_non_null(example.machine);
    return example;
}

static void close_example(struct example *example)
{
    machine_free(example->machine);
    target_file_free(example->target);
}

static const char *examples[] = {"one-cpu.yaml", "tiny.yaml", "regions.yaml", "msrs.yaml"};

static void makes_a_machine_that_runs(void **state)
{
    struct example example = open_example(*(const char **)*state);
    struct machine *machine = example.machine;

    assert_int_equal(STATUS_SUCCESS, machine_go(machine));
    machine_run(machine, 100000);

    assert_true(machine->running);
    for (unsigned i = 0; i < machine->num_cpus; i++) {
        assert_false(machine->cpus[i].shut_down);
    }
    close_example(&example);
}

static void the_tiny_target_counts(void **state)
{
    (void)state;
    uint64_t count = 0;
    struct example example = open_example("tiny.yaml");
    assert_int_equal(STATUS_SUCCESS, machine_go(example.machine));

    machine_run(example.machine, 2000);

    assert_true(memory_peek(&example.machine->memory, 0x5000, &count, sizeof(count)));
    assert_int_equal(1000, count);
    close_example(&example);
}

static void registers_and_msrs_reach_the_machine(void **state)
{
    (void)state;
    struct example example = open_example("one-cpu.yaml");
    const struct cpu *cpu = &example.machine->cpus[0];

    assert_int_equal(1, example.machine->num_cpus);
    assert_true(cpu->vmx.gpr[VMX_R14] == UINT64_C(0x1122334455667788));
    assert_true(cpu->vmx.gpr[VMX_R15] == UINT64_C(0x99AABBCCDDEEFF00));
    assert_int_equal(8, cpu_guest(cpu, SYSENTER_CS));
    assert_int_equal(0xD01, cpu_guest(cpu, IA32_EFER));
    close_example(&example);
}

int main(void)
{
    struct CMUnitTest rows[ARRAY_LEN(mistakes)];
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        rows[i] = (struct CMUnitTest){mistakes[i].name, says_what_is_wrong_and_where, NULL, NULL,
                                      &mistakes[i]};
    }
    struct CMUnitTest files[ARRAY_LEN(examples)];
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        files[i] =
            (struct CMUnitTest){examples[i], makes_a_machine_that_runs, NULL, NULL, &examples[i]};
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_is_not_there_is_named),
        cmocka_unit_test(a_file_of_more_than_a_mebibyte_is_refused),
        cmocka_unit_test(a_short_error_buffer_is_not_overrun),
        cmocka_unit_test(every_way_of_loading_bytes),
        cmocka_unit_test(a_negative_number_is_its_twos_complement),
        cmocka_unit_test(what_the_file_says_comes_behind_its_base),
        cmocka_unit_test(overrides_and_profile_are_those_of_the_file),
        cmocka_unit_test(every_built_in_fits_every_profile),
        cmocka_unit_test(fewer_cpus_leave_out_the_rows_of_the_others),
        cmocka_unit_test(every_register_can_be_set),
        cmocka_unit_test(freeing_nothing_is_allowed),
        cmocka_unit_test(every_built_in_target_fits_itself),
        cmocka_unit_test(the_tiny_target_counts),
        cmocka_unit_test(registers_and_msrs_reach_the_machine),
    };
    int failures = 0;
    failures += cmocka_run_group_tests_name("mistakes", rows, make_directory, remove_directory);
    failures += cmocka_run_group_tests_name("files", tests, make_directory, remove_directory);
    failures += cmocka_run_group_tests_name("examples", files, NULL, NULL);
    return failures == 0 ? 0 : 1;
}
