// CPU modes, and those in which no address translates (clauses D-MEM-23, D-MEM-24, D-WALK-6).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boundary_requests.h"

struct refusal_row {
    const char *name;
    enum world_mode mode; // but for
    uint64_t cr0, cr4, efer, interruptibility;
    uint8_t cpu_mode;
};

// Interruptibility 4 blocks SMIs: the CPU is in SMM.
static struct refusal_row refusal_rows[] = {
    {"LMA without PAE", WORLD_long64, 0x80000031, 0x2000, 0xD00, 0, 5},
    {"LMA without PAE, compatibility mode", WORLD_compat32, 0x80000031, 0x2000, 0xD00, 0, 6},
    {"LME and PG without PAE", WORLD_long64, 0x80000031, 0x2000, 0x900, 0, 5},
    {"LMA without PAE, paging off", WORLD_prot32, 0x00000031, 0x2000, 0x400, 0, 6},
    {"LMA without PAE, real mode", WORLD_real16, 0x00000010, 0x2000, 0x400, 0, 0},
    {"SMM, real mode's registers", WORLD_real16, 0x00000010, 0x2000, 0x000, 4, 1},
    {"SMM, protected mode's registers", WORLD_prot32, 0x00000031, 0x2000, 0x000, 4, 1},
    {"SMM, PAE paging", WORLD_pae32, 0x80000031, 0x2020, 0x000, 4, 1},
    {"SMM, 64-bit mode's registers", WORLD_long64, 0x80000031, 0x2020, 0xD00, 4, 1},
};

static void enter_refusal(const struct refusal_row *row)
{
    enum { VMCS_GUEST_EFER = 0x2806, VMCS_GUEST_INTERRUPTIBILITY = 0x4824 };
    world_enter_flat(&group_world, row->mode);
    world_set(&group_world, "cr0", row->cr0);
    world_set(&group_world, "cr4", row->cr4);
    world_set_vmcs(&group_world, VMCS_GUEST_EFER, row->efer);
    world_set_vmcs(&group_world, VMCS_GUEST_INTERRUPTIBILITY, row->interruptibility);
}

static void expect_cpu_mode(uint8_t mode)
{
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2; version++) {
        struct packet request = {.kind = PACKET_GET_CONTEXT};
        world_ask(&group_world, (enum protocol_version)version, &request);
        assert_int_equal(group_world.rig.reply.kind, PACKET_CONTEXT);
        assert_int_equal(group_world.rig.reply.context.cpu_mode, mode);
    }
}

static void no_address_translates(void **state)
{
    static const uint64_t refused[] = {INVALID_CPU_MODE_V1, INVALID_CPU_MODE};
    static const uint16_t selectors[] = {0, WORLD_DS, 0x43, 0x7777};
    const struct refusal_row *row = *state;
    enter_refusal(row);
    expect_cpu_mode(row->cpu_mode);
    for (size_t i = 0; i < sizeof(selectors) / sizeof(selectors[0]); i++) {
        expect_refusals(&group_world, group_world.root, selectors[i], refused);
    }
}

// Neither a gap to be skipped, nor a bit of the root, nor an address too high comes first.
static void the_mode_comes_first(void **state)
{
    enter_refusal(*state);
    struct packet request = linear_request(PACKET_SEARCH_LINEAR, group_world.root);
    request.search_linear.ignore_gaps = 1;
    world_ask(&group_world, PROTOCOL_V2, &request);
    expect_status(&group_world.rig.reply, INVALID_CPU_MODE);
    request = linear_request(PACKET_READ_LINEAR, UINT64_C(1) << 46);
    request.read_linear.address = UINT64_C(0x800000000000);
    world_ask(&group_world, PROTOCOL_V2, &request);
    expect_status(&group_world.rig.reply, INVALID_CPU_MODE);
}

static void what_needs_no_translation_is_served(void **state)
{
    enter_refusal(*state);
    world_poke(&group_world, WORLD_FRAMES, "text", 4);
    struct packet request = linear_request(PACKET_READ_LINEAR, group_world.root);
    request.read_linear.length = 0;
    world_ask(&group_world, PROTOCOL_V2, &request);
    assert_int_equal(group_world.rig.reply.kind, PACKET_LINEAR_DATA);
    assert_int_equal(group_world.rig.reply.linear_data.length, 0);
    request = (struct packet){.kind = PACKET_READ_PHYSICAL,
                              .read_physical = {.address = WORLD_FRAMES, .length = 4}};
    world_ask(&group_world, PROTOCOL_V2, &request);
    assert_int_equal(group_world.rig.reply.kind, PACKET_PHYSICAL_DATA);
    assert_memory_equal(group_world.rig.reply.physical_data.data, "text", 4);
    request = (struct packet){.kind = PACKET_SEARCH_PHYSICAL,
                              .search_physical = {.start = WORLD_FRAMES,
                                                  .end = WORLD_FRAMES,
                                                  .length = 4,
                                                  .pattern = (const uint8_t *)"text"}};
    world_ask(&group_world, PROTOCOL_V2, &request);
    assert_int_equal(group_world.rig.reply.kind, PACKET_SEARCH_HIT);
}

static void a_guest_in_smm_does_not_run(void **state)
{
    static const enum packet_kind kinds[] = {PACKET_GO, PACKET_STEP};
    (void)state;
    enter_refusal(&refusal_rows[sizeof(refusal_rows) / sizeof(refusal_rows[0]) - 1]);
    world_set(&group_world, "rip", 0x1234);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct packet request = rig_plain(kinds[i]);
        world_ask(&group_world, PROTOCOL_V2, &request);
        assert_int_equal(group_world.rig.reply.kind, PACKET_STATUS);
        assert_int_equal(group_world.rig.reply.status.status >> 30, 3); // an error
        request = rig_plain(PACKET_GET_STATE);
        world_ask(&group_world, PROTOCOL_V2, &request);
        assert_int_equal(group_world.rig.reply.state.running, 0);
    }
    uint64_t rip = 0;
    assert_true(pulsim_register_read(group_world.rig.pulsim, 0, "rip", &rip));
    assert_int_equal(rip, 0x1234);
}

// The other modes of the protocol; SMM is above.
static void the_context_names_the_mode(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (int mode = 0; mode < NUM_WORLD_MODES; mode++) {
        world_enter(&group_world, (enum world_mode)mode);
        expect_cpu_mode(world_modes[mode].cpu_mode);
        seen |= 1U << world_modes[mode].cpu_mode;
    }
    assert_int_equal(seen, 0xFD);
}

// IA-32e mode that is active without paging: not a state the CPU can be in, but no riddle either.
static void without_paging_linear_is_physical_whatever_efer_says(void **state)
{
    (void)state;
    world_enter(&group_world, WORLD_long64);
    world_set(&group_world, "cr0", 0x31);
    world_poke(&group_world, WORLD_FRAMES, "here", 4);
    struct packet request = linear_request(PACKET_READ_LINEAR, UINT64_MAX);
    request.read_linear.address = WORLD_FRAMES;
    world_ask(&group_world, PROTOCOL_V2, &request);
    assert_int_equal(group_world.rig.reply.kind, PACKET_LINEAR_DATA);
    assert_memory_equal(group_world.rig.reply.linear_data.data, "here", 4);
}

#define ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

static int run_refusals(const char *group, CMUnitTestFunction test)
{
    struct CMUnitTest tests[ROWS(refusal_rows)];
    for (size_t i = 0; i < ROWS(refusal_rows); i++) {
        tests[i] = (struct CMUnitTest){
            .name = refusal_rows[i].name, .test_func = test, .initial_state = &refusal_rows[i]};
    }
    return _cmocka_run_group_tests(group, tests, ROWS(tests), group_world_open, group_world_close);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_in_smm_does_not_run),
        cmocka_unit_test(the_context_names_the_mode),
        cmocka_unit_test(without_paging_linear_is_physical_whatever_efer_says),
    };
    int failed = run_refusals("no address translates", no_address_translates);
    failed += run_refusals("the mode comes first", the_mode_comes_first);
    failed += run_refusals("no translation needed", what_needs_no_translation_is_served);
    return failed +
           cmocka_run_group_tests_name("modes", tests, group_world_open, group_world_close);
}
