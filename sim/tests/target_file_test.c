// What target files say reaches the target, and the machine that is made of it.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "machine.h"
#include "target_check.h"
#include "target_text.h"

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
    struct target *target = target_text_load_good(text);

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
    struct target *target = target_text_load_good(HEAD "registers:\n- set: {rax: -5}\n");
    const struct target_register *last = &target->registers[target->num_registers - 1];

    assert_int_equal(last->reg, CONTEXT_rax);
    assert_true(last->value == UINT64_MAX - 4);
    target_file_free(target);
}

static void what_the_file_says_comes_behind_its_base(void **state)
{
    (void)state;
    const struct target *base = target_find("long64");
    struct target *target = target_text_load_good(
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
        target_text_load_good(HEAD "profile: tigerlake\nmsrs:\n- {index: 0x20, faults: both}\n"
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
    struct target *target = target_text_load_good(HEAD "cpus: 2\n");
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
    struct target *target = target_text_load_good(text);
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
    struct CMUnitTest files[ARRAY_LEN(examples)];
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        files[i] =
            (struct CMUnitTest){examples[i], makes_a_machine_that_runs, NULL, NULL, &examples[i]};
    }
    const struct CMUnitTest tests[] = {
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
    failures += cmocka_run_group_tests_name("files", tests, target_text_open, target_text_close);
    failures += cmocka_run_group_tests_name("examples", files, NULL, NULL);
    return failures == 0 ? 0 : 1;
}
