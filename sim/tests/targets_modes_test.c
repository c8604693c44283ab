// What every target that is made of rows says of itself: its CPU mode, its registers, its program;
// and what it refuses.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "modes/programs.h"
#include "protocol/registers.h"
#include "protocol/target_ops.h"
#include "targets_oracle.h"

static bool runs(void)
{
    return oracle_cpu_mode(group_oracle.target) == CPU_MODE_LONG64;
}

// --- state ------------------------------------------------------------------------------------

static void a_context_names_the_cpu_mode(void **state)
{
    (void)state;
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2; version++) {
        struct packet request = {.kind = PACKET_GET_CONTEXT, .get_context = {.mask = 1}};
        group_oracle.rig.version = (enum protocol_version)version;
        rig_ask(&group_oracle.rig, &request);
        assert_int_equal(group_oracle.rig.reply.kind, PACKET_CONTEXT);
        assert_int_equal(group_oracle.rig.reply.context.cpu_mode,
                         oracle_cpu_mode(group_oracle.target));
    }
}

// The value that the rows give a register of a CPU: later rows win.
static uint64_t register_by_rows(unsigned cpu, const char *name)
{
    uint64_t value = 0;
    for (size_t i = 0; i < group_oracle.target->num_registers; i++) {
        const struct register_row *row = &group_oracle.target->registers[i];
        if ((row->cpu == ROWS_ALL_CPUS || row->cpu == (int)cpu) && strcmp(row->name, name) == 0) {
            value = row->value;
        }
    }
    return value;
}

static void registers_hold_what_their_rows_say(void **state)
{
    (void)state;
    const struct mode_target *target = group_oracle.target;
    assert_int_equal(pulsim_num_cpus(group_oracle.rig.pulsim), target->num_cpus);
    for (unsigned cpu = 0; cpu < target->num_cpus; cpu++) {
        for (size_t i = 0; i < target->num_registers; i++) {
            const char *name = target->registers[i].name;
            uint64_t got = 0;
            assert_true(pulsim_register_read(group_oracle.rig.pulsim, cpu, name, &got));
            assert_int_equal(register_by_rows(cpu, name), got);
        }
    }
}

// EFER.LMA follows from LME and CR0.PG.
static void msrs_hold_what_their_rows_say(void **state)
{
    (void)state;
    const struct mode_target *target = group_oracle.target;
    for (size_t i = 0; i < target->num_msrs; i++) {
        const struct msr_row *row = &target->msrs[i];
        struct packet request = {.kind = PACKET_READ_MSR, .read_msr = {.index = row->index}};
        uint64_t lma = (row->value & MMU_EFER_LME) != 0 ? MMU_EFER_LMA : 0;
        rig_ask(&group_oracle.rig, &request);
        assert_int_equal(group_oracle.rig.reply.kind, PACKET_MSR_DATA);
        assert_int_equal(group_oracle.rig.reply.msr_data.value, row->value | lma);
    }
}

// The program lies at CS:RIP, and the page of its data is where the rows say.
static void the_program_lies_where_execution_begins(void **state)
{
    (void)state;
    size_t len = 0;
    const uint8_t *program = program_find(group_oracle.target->program.name, &len);
    assert_non_null(program);
    struct packet request = {.kind = PACKET_READ_VIRTUAL,
                             .read_virtual = {
                                 .root = group_oracle.root,
                                 .selector = oracle_selector(group_oracle.target, "cs"),
                                 .offset = mode_target_register(group_oracle.target, "rip"),
                                 .length = (uint32_t)len,
                             }};
    rig_ask(&group_oracle.rig, &request);
    assert_int_equal(group_oracle.rig.reply.kind, PACKET_VIRTUAL_DATA);
    assert_int_equal(group_oracle.rig.reply.virtual_data.length, len);
    assert_memory_equal(group_oracle.rig.reply.virtual_data.data, program, len);
}

// Six bytes can be pushed: what a call in any of these modes needs.
static void the_stack_can_be_used(void **state)
{
    (void)state;
    struct packet request = {.kind = PACKET_WRITE_VIRTUAL,
                             .write_virtual = {
                                 .root = group_oracle.root,
                                 .selector = oracle_selector(group_oracle.target, "ss"),
                                 .offset = mode_target_register(group_oracle.target, "rsp") - 6,
                                 .length = 6,
                                 .data = oracle_ink,
                             }};
    rig_expect_value(&group_oracle.rig, &request, 6);
}

static void only_64_bit_mode_runs(void **state)
{
    (void)state;
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2 && !runs(); version++) {
        struct packet go = rig_plain(PACKET_GO);
        struct packet step = rig_plain(PACKET_STEP);
        group_oracle.rig.version = (enum protocol_version)version;
        rig_expect_status(&group_oracle.rig, &go, oracle_not_supported(&group_oracle));
        rig_expect_status(&group_oracle.rig, &step, oracle_not_supported(&group_oracle));
        oracle_expect_equal(&group_oracle);
    }
}

// --- control registers that name no paging mode -----------------------------------------------

static void set_cr4(uint64_t value)
{
    uint8_t bytes[8];
    struct packet request = {.kind = PACKET_SET_CONTEXT,
                             .set_context = {
                                 .mask = UINT64_C(1) << context_registers[CONTEXT_cr4].bit,
                                 .registers = bytes,
                             }};
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
    rig_ask(&group_oracle.rig, &request);
    assert_int_equal(group_oracle.rig.reply.kind, PACKET_SUCCESS);
}

static void expect_no_mode(struct packet request)
{
    rig_expect_status(&group_oracle.rig, &request, oracle_no_mode(&group_oracle));
}

static void expect_no_mode_anywhere(uint16_t selector)
{
    const uint64_t root = group_oracle.root;
    expect_no_mode((struct packet){.kind = PACKET_WALK_LINEAR,
                                   .walk_linear = {.root = root, .address = 0x3000}});
    expect_no_mode((struct packet){.kind = PACKET_LINEAR_TO_PHYSICAL,
                                   .linear_to_physical = {.root = root, .address = 0x3000}});
    expect_no_mode((struct packet){.kind = PACKET_READ_LINEAR,
                                   .read_linear = {.root = root, .address = 0x3000, .length = 1}});
    expect_no_mode((struct packet){
        .kind = PACKET_WRITE_LINEAR,
        .write_linear = {.root = root, .address = 0x3000, .length = 1, .data = oracle_ink}});
    expect_no_mode((struct packet){.kind = PACKET_WALK_VIRTUAL,
                                   .walk_virtual = {.root = root, .selector = selector}});
    expect_no_mode((struct packet){.kind = PACKET_VIRTUAL_TO_PHYSICAL,
                                   .virtual_to_physical = {.root = root, .selector = selector}});
    expect_no_mode(
        (struct packet){.kind = PACKET_READ_VIRTUAL,
                        .read_virtual = {.root = root, .selector = selector, .length = 1}});
}

// EFER.LMA without CR4.PAE. In targets outside IA-32e mode EFER is changed behind the back: WRMSR
// refuses.
static void ia32e_mode_without_pae_is_an_invalid_cpu_mode(void **state)
{
    enum { GUEST_IA32_EFER = 0x2806 };
    (void)state;
    uint64_t cr4 = mode_target_register(group_oracle.target, "cr4");
    uint64_t efer = 0;
    assert_true(pulsim_vmcs_read(group_oracle.rig.pulsim, 0, GUEST_IA32_EFER, &efer));
    assert_true(pulsim_vmcs_write(group_oracle.rig.pulsim, 0, GUEST_IA32_EFER,
                                  efer | MMU_EFER_LME | MMU_EFER_LMA));
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2; version++) {
        group_oracle.rig.version = (enum protocol_version)version;
        set_cr4(cr4 & ~MMU_CR4_PAE);
        expect_no_mode_anywhere(oracle_selector(group_oracle.target, "cs"));
        set_cr4(cr4);
    }
    pulsim_vmcs_write(group_oracle.rig.pulsim, 0, GUEST_IA32_EFER, efer);
    oracle_expect_equal(&group_oracle);
}

// --- roots ------------------------------------------------------------------------------------

static struct packet read_data_with(uint64_t root)
{
    return (struct packet){
        .kind = PACKET_READ_LINEAR,
        .read_linear = {.root = root, .address = 0x3000, .length = ORACLE_LENGTH}};
}

// As a value of CR3: bits 11:0 (PAE: 4:0) and 63:61 are ignored, one from MAXPHYADDR to 60 must not
// be set. Without paging nobody looks at the root.
static void a_root_is_taken_as_a_value_of_cr3(void **state)
{
    (void)state;
    struct mmu_registers registers;
    enum mmu_mode mode;
    mode_target_mmu(group_oracle.target, &registers);
    assert_true(mmu_mode_of(&registers, &mode));
    uint64_t low = mode == MMU_MODE_PAE ? 0x1F : 0xFFF;
    struct packet ignored = read_data_with(group_oracle.root | low | UINT64_C(7) << 61);
    oracle_expect_read(&group_oracle, &ignored, 0x3000, ORACLE_LENGTH);
    for (unsigned bit = 46; bit <= 60; bit++) {
        struct packet beyond = read_data_with(group_oracle.root | UINT64_C(1) << bit);
        oracle_expect_read(&group_oracle, &beyond, 0x3000,
                           mode == MMU_MODE_NONE ? ORACLE_LENGTH : 0);
    }
}

// --- target files -----------------------------------------------------------------------------

static void a_target_file_can_be_based_on_it(void **state)
{
    (void)state;
    char path[] = "/tmp/pulsim-base-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    FILE *file = fdopen(descriptor, "w");
    assert_non_null(file);
    (void)fprintf(file, "name: derived\nbase: %s\n", group_oracle.target->name);
    assert_int_equal(fclose(file), 0);
    struct rig derived;
    rig_open_with(&derived, PROTOCOL_V2, &(struct pulsim_options){.target = path});
    assert_int_equal(unlink(path), 0);
    assert_true(pulsim_equal(derived.pulsim, group_oracle.rig.pulsim));
    rig_close(&derived);
}

// ----------------------------------------------------------------------------------------------

#define TEST(name) cmocka_unit_test_setup(name, group_oracle_reset)

static int run_target(const struct mode_target *target)
{
    const struct CMUnitTest tests[] = {
        TEST(a_context_names_the_cpu_mode),
        TEST(registers_hold_what_their_rows_say),
        TEST(msrs_hold_what_their_rows_say),
        TEST(the_program_lies_where_execution_begins),
        TEST(the_stack_can_be_used),
        TEST(only_64_bit_mode_runs),
        TEST(ia32e_mode_without_pae_is_an_invalid_cpu_mode),
        TEST(a_root_is_taken_as_a_value_of_cr3),
        TEST(a_target_file_can_be_based_on_it),
    };
    return cmocka_run_group_tests_name(target->name, tests, group_oracle_open, group_oracle_close);
}

int main(void)
{
    return oracle_run_groups(run_target) == 0 ? 0 : 1;
}
