// The programs of the targets that are made of rows: long64-la57 at work, and the programs of the
// modes that the run loop does not execute, by Unicorn alone.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unicorn/unicorn.h>

#include "modes/programs.h"
#include "protocol/target_ops.h"
#include "targets_oracle.h"

#define FAR_PAGE UINT64_C(0x800000000000) // a page behind the edge of 48 bits

static uint64_t quad_at(uint64_t linear)
{
    uint64_t value = 0;
    oracle_read(&group_oracle, linear, &value, sizeof(value));
    return value;
}

static void expect_control(enum packet_kind kind, uint64_t event)
{
    struct packet request = rig_plain(kind);
    rig_expect_value(&group_oracle.rig, &request, event);
}

static uint64_t rip_of(unsigned cpu)
{
    uint64_t rip = 0;
    assert_true(pulsim_register_read(group_oracle.rig.pulsim, cpu, "rip", &rip));
    return rip;
}

static void it_runs_until_it_is_broken_into(void **state)
{
    enum { PINGS = 5 };
    (void)state;
    struct packet go = rig_plain(PACKET_GO);
    rig_ask(&group_oracle.rig, &go);
    assert_int_equal(group_oracle.rig.reply.kind, PACKET_SUCCESS);
    for (int i = 0; i < PINGS; i++) {
        struct packet ping = rig_plain(PACKET_PING);
        rig_expect_value(&group_oracle.rig, &ping, 0);
    }
    expect_control(PACKET_BREAK_IN, EVENT_BREAK_IN);
    // Five instructions a turn, 10,000 instructions a packet, two CPUs.
    for (uint64_t cpu = 0; cpu < 2; cpu++) {
        uint64_t turns = quad_at(0x3000 + 8 * cpu);
        assert_in_range(turns, (PINGS + 1) * 1000 - 1, (PINGS + 1) * 1000 + 1);
        assert_in_range(turns - quad_at(FAR_PAGE + 0x800 + 8 * cpu), 0, 1);
        assert_in_range(rip_of((unsigned)cpu), 0x2000, 0x2020);
    }
}

static void it_steps_through_its_call(void **state)
{
    static const uint64_t rips[] = {0x200A, 0x2015, 0x201D, 0x200F, 0x2013, 0x200A};
    (void)state;
    for (size_t i = 0; i < sizeof(rips) / sizeof(rips[0]); i++) {
        struct packet step = rig_plain(PACKET_STEP);
        rig_ask(&group_oracle.rig, &step);
        assert_int_equal(group_oracle.rig.reply.kind, PACKET_SUCCESS);
        assert_int_equal(rip_of(0), rips[i]);
    }
    assert_int_equal(quad_at(0x3000), 1);
    assert_int_equal(quad_at(FAR_PAGE + 0x800), 1);
}

static void it_stops_at_a_breakpoint(void **state)
{
    enum { FUNCTION = 0x2015 };
    (void)state;
    struct packet set = {.kind = PACKET_SET_BREAKPOINT, .set_breakpoint = {.address = FUNCTION}};
    rig_expect_value(&group_oracle.rig, &set, 1);
    struct packet go = rig_plain(PACKET_GO);
    rig_ask(&group_oracle.rig, &go);
    struct packet get_state = rig_plain(PACKET_GET_STATE);
    rig_ask(&group_oracle.rig, &get_state);
    assert_int_equal(group_oracle.rig.reply.state.running, 0);
    assert_int_equal(group_oracle.rig.reply.state.event, EVENT_BREAKPOINT);
    assert_int_equal(rip_of(0), FUNCTION);
}

// Code where only 57 bits lead to: NOP, JMP to the NOP.
static void it_executes_where_only_57_bits_lead_to(void **state)
{
    static const uint8_t code[] = {0x90, 0xEB, 0xFD};
    (void)state;
    struct packet write = {.kind = PACKET_WRITE_LINEAR,
                           .write_linear = {.root = group_oracle.root,
                                            .address = FAR_PAGE + 0xFFD,
                                            .length = sizeof(code),
                                            .data = code}};
    rig_expect_value(&group_oracle.rig, &write, sizeof(code));
    assert_true(pulsim_register_write(group_oracle.rig.pulsim, 0, "rip", FAR_PAGE + 0xFFD));
    for (int i = 1; i <= 4; i++) {
        struct packet step = rig_plain(PACKET_STEP);
        rig_ask(&group_oracle.rig, &step);
        assert_int_equal(group_oracle.rig.reply.kind, PACKET_SUCCESS);
        assert_int_equal(rip_of(0), FAR_PAGE + 0xFFD + (unsigned)i % 2);
    }
}

static void set_register(const char *name, uint64_t value)
{
    assert_true(pulsim_register_write(group_oracle.rig.pulsim, 0, name, value));
}

// JMP RBX into the far page, and then to an address that is not canonical with 57 bits either: #GP,
// and without an IDT the CPU shuts down.
static void it_branches_to_addresses_of_57_bits_and_no_further(void **state)
{
    enum { CODE = 0x2100 };
    static const uint8_t code[] = {0xFF, 0xE3};
    (void)state;
    struct packet write = {
        .kind = PACKET_WRITE_LINEAR,
        .write_linear = {
            .root = group_oracle.root, .address = CODE, .length = sizeof(code), .data = code}};
    struct packet step = rig_plain(PACKET_STEP);
    rig_expect_value(&group_oracle.rig, &write, sizeof(code));
    set_register("rip", CODE);
    set_register("rbx", FAR_PAGE + 0x100);
    rig_expect_value(&group_oracle.rig, &step, EVENT_STEP);
    assert_int_equal(rip_of(0), FAR_PAGE + 0x100);

    set_register("rip", CODE);
    set_register("rbx", UINT64_C(0x100000000000000));
    rig_ask(&group_oracle.rig, &step);
    rig_expect_status(&group_oracle.rig, &step, 0xC0000043);
}

// --- the other programs -----------------------------------------------------------------------

struct lone_program {
    const char *name;
    uc_mode mode;
    uint64_t counter; // where it counts, with segments that begin at 0 or, in real mode, at DS
    unsigned size;    // of the counter
};

static struct lone_program lone_programs[] = {
    {"count_16", UC_MODE_16, 0x3000, 2},
    {"count_32", UC_MODE_32, 0x0, 4},
    {"count_32_flat", UC_MODE_32, 0x3000, 4},
};

static void write_register(uc_engine *engine, int id, uint64_t value)
{
    assert_int_equal(uc_reg_write(engine, id, &value), UC_ERR_OK);
}

// Four instructions a turn.
static void it_counts(void **state)
{
    enum { TURNS = 300, MEMORY = 0x10000 };
    const struct lone_program *row = *state;
    bool is_real = row->mode == UC_MODE_16;
    uint64_t counted = 0;
    size_t len = 0;
    const uint8_t *program = program_find(row->name, &len);
    uc_engine *engine = NULL;
    assert_int_equal(uc_open(UC_ARCH_X86, row->mode, &engine), UC_ERR_OK);
    assert_int_equal(uc_mem_map(engine, 0, MEMORY, UC_PROT_ALL), UC_ERR_OK);
    assert_int_equal(uc_mem_write(engine, ROWS_PROGRAM_PHYS, program, len), UC_ERR_OK);
    if (is_real) {
        write_register(engine, UC_X86_REG_CS, 0x200);
        write_register(engine, UC_X86_REG_DS, 0x300);
        write_register(engine, UC_X86_REG_SS, 0x400);
    }
    write_register(engine, UC_X86_REG_ESP, is_real ? 0x1000 : 0x5000);
    assert_int_equal(uc_emu_start(engine, ROWS_PROGRAM_PHYS, MEMORY, 0, (size_t)4 * TURNS),
                     UC_ERR_OK);
    assert_int_equal(uc_mem_read(engine, row->counter, &counted, row->size), UC_ERR_OK);
    assert_int_equal(counted, TURNS);
    assert_int_equal(uc_close(engine), UC_ERR_OK);
}

// ----------------------------------------------------------------------------------------------

#define TEST(name) cmocka_unit_test_setup(name, group_oracle_reset)

int main(void)
{
    const struct CMUnitTest running[] = {
        TEST(it_runs_until_it_is_broken_into),
        TEST(it_steps_through_its_call),
        TEST(it_stops_at_a_breakpoint),
        TEST(it_executes_where_only_57_bits_lead_to),
        TEST(it_branches_to_addresses_of_57_bits_and_no_further),
    };
    enum { NUM_LONE = sizeof(lone_programs) / sizeof(lone_programs[0]) };
    struct CMUnitTest lone[NUM_LONE];
    for (size_t i = 0; i < NUM_LONE; i++) {
        lone[i] =
            (struct CMUnitTest){lone_programs[i].name, it_counts, NULL, NULL, &lone_programs[i]};
    }
    for (size_t i = 0; mode_target_at(i); i++) {
        bool found = strcmp(mode_target_at(i)->name, "long64-la57") == 0;
        group_oracle.target = found ? mode_target_at(i) : group_oracle.target;
    }
    int failures = cmocka_run_group_tests_name("long64-la57 at work", running, group_oracle_open,
                                               group_oracle_close);
    failures += cmocka_run_group_tests_name("programs alone", lone, NULL, NULL);
    return failures == 0 ? 0 : 1;
}
