// Roots of page tables (clauses D-MEM-12, D-MEM-20 to D-MEM-22).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "boundary_requests.h"

struct root_row {
    const char *name;
    enum world_mode mode;
    uint64_t ignored; // bits of a root that do not count
};

static struct root_row root_rows[] = {
    {"v86", WORLD_v86, UINT64_C(0xE0003FFF00000FFF)},
    {"paged16", WORLD_paged16, UINT64_C(0xE0003FFF00000FFF)},
    {"paged32", WORLD_paged32, UINT64_C(0xE0003FFF00000FFF)},
    {"pae16", WORLD_pae16, UINT64_C(0xE0003FFF0000001F)},
    {"pae32", WORLD_pae32, UINT64_C(0xE0003FFF0000001F)},
    {"compat16", WORLD_compat16, UINT64_C(0xE000000000000FFF)},
    {"compat32", WORLD_compat32, UINT64_C(0xE000000000000FFF)},
    {"compat57", WORLD_compat57, UINT64_C(0xE000000000000FFF)},
    {"long64", WORLD_long64, UINT64_C(0xE000000000000FFF)},
    {"long57", WORLD_long57, UINT64_C(0xE000000000000FFF)},
};

static void expect_text(uint64_t root, const char *text)
{
    struct packet request = linear_request(PACKET_READ_LINEAR, root);
    world_ask(&group_world, PROTOCOL_V2, &request);
    assert_int_equal(group_world.rig.reply.kind, PACKET_LINEAR_DATA);
    assert_int_equal(group_world.rig.reply.linear_data.length, 4);
    assert_memory_equal(group_world.rig.reply.linear_data.data, text, 4);
    assert_int_equal(group_world.rig.reply.linear_data.root, root);
    request = virtual_request(PACKET_READ_VIRTUAL, root, WORLD_DS);
    world_ask(&group_world, PROTOCOL_V1, &request);
    assert_int_equal(group_world.rig.reply.kind, PACKET_VIRTUAL_DATA);
    assert_memory_equal(group_world.rig.reply.virtual_data.data, text, 4);
}

static void a_root_is_taken_as_a_value_of_cr3(void **state)
{
    const struct root_row *row = *state;
    static const uint64_t refused[] = {INVALID_TRANSLATION_V1, INVALID_TRANSLATION};
    const uint64_t beyond = UINT64_C(0x1FFFC00000000000); // bits 46 to 60
    world_enter_flat(&group_world, row->mode);
    world_map(&group_world, LINEAR_PAGE, WORLD_FRAMES);
    world_poke(&group_world, WORLD_FRAMES, "here", 4);
    expect_text(group_world.root, "here");
    expect_text(group_world.root | row->ignored, "here");
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t mask = UINT64_C(1) << bit;
        if (row->ignored & mask) {
            expect_text(group_world.root ^ mask, "here");
        } else if (beyond & mask) {
            expect_refusals(&group_world, group_world.root | mask, WORLD_DS, refused);
        }
    }
}

// Also for one that no root would lead anywhere.
static void a_refused_root_is_refused_for_every_address(void **state)
{
    const struct root_row *row = *state;
    static const uint64_t refused[] = {INVALID_TRANSLATION_V1, INVALID_TRANSLATION};
    const uint64_t addresses[] = {0,
                                  LINEAR_PAGE,
                                  UINT32_MAX,
                                  UINT64_C(1) << 32,
                                  UINT64_C(0x800000000000),
                                  UINT64_C(0x100000000000000),
                                  UINT64_MAX};
    world_enter_flat(&group_world, row->mode);
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        struct packet request =
            linear_request(PACKET_WALK_LINEAR, group_world.root | UINT64_C(0x1000000000000000));
        request.walk_linear.address = addresses[i];
        world_ask(&group_world, PROTOCOL_V2, &request);
        expect_status(&group_world.rig.reply, INVALID_TRANSLATION);
        world_ask(&group_world, PROTOCOL_V1, &request);
        expect_status(&group_world.rig.reply,
                      refusal_of(&group_world, PROTOCOL_V1, PACKET_WALK_LINEAR, refused));
    }
}

static void every_root_has_tables_of_its_own(void **state)
{
    const struct root_row *row = *state;
    world_enter_flat(&group_world, row->mode);
    uint64_t first = group_world.root;
    world_map(&group_world, LINEAR_PAGE, WORLD_FRAMES);
    world_poke(&group_world, WORLD_FRAMES, "one ", 4);
    uint64_t second = world_new_root(&group_world);
    world_map(&group_world, LINEAR_PAGE, WORLD_FRAMES + 0x1000);
    world_poke(&group_world, WORLD_FRAMES + 0x1000, "two ", 4);
    expect_text(first, "one ");
    expect_text(second, "two ");
    struct packet request = linear_request(PACKET_READ_LINEAR, WORLD_NO_TABLE); // CR3's own
    world_ask(&group_world, PROTOCOL_V2, &request);
    expect_status(&group_world.rig.reply, INVALID_TRANSLATION);
    world_set(&group_world, "cr3", second);
    expect_text(first, "one ");
}

// A segment is described in the tables of the request's root, whatever CR3 holds.
static void a_descriptor_is_read_through_the_requests_root(void **state)
{
    enum { IN_GDT = 0x43, DATA = 0xC093 };
    const struct root_row *row = *state;
    world_enter_flat(&group_world, row->mode);
    uint64_t first = group_world.root;
    world_map(&group_world, LINEAR_PAGE, WORLD_FRAMES);
    world_describe(&group_world, IN_GDT, (struct world_segment){DATA, 0, UINT32_MAX});
    uint64_t second = world_new_root(&group_world);
    world_map(&group_world, LINEAR_PAGE, WORLD_FRAMES + 0x1000);
    struct packet request = virtual_request(PACKET_VIRTUAL_TO_PHYSICAL, first, IN_GDT);
    world_ask(&group_world, PROTOCOL_V2, &request);
    assert_int_equal(group_world.rig.reply.kind, PACKET_PHYSICAL_ADDRESS);
    assert_int_equal(group_world.rig.reply.physical_address.address, WORLD_FRAMES);
    request = virtual_request(PACKET_VIRTUAL_TO_PHYSICAL, second, IN_GDT);
    world_ask(&group_world, PROTOCOL_V2, &request);
    expect_status(&group_world.rig.reply, INVALID_TRANSLATION); // it has no page with a GDT
    world_map(&group_world, WORLD_GDT, WORLD_FRAMES + 0x2000);
    world_ask(&group_world, PROTOCOL_V2, &request);
    expect_status(&group_world.rig.reply, INVALID_TRANSLATION); // it has one of zeros
}

// SDM 3A, "PDPTE Registers": the CPU uses four it has loaded, but a request names its own.
static void pae_reads_its_four_entries_from_memory(void **state)
{
    enum { VMCS_GUEST_PDPTE0 = 0x280A };
    (void)state;
    world_enter_flat(&group_world, WORLD_pae32);
    world_map(&group_world, LINEAR_PAGE, WORLD_FRAMES);
    world_poke(&group_world, WORLD_FRAMES, "here", 4);
    world_set(&group_world, "cr3", group_world.root);
    for (uint32_t i = 0; i < 4; i++) {
        world_set_vmcs(&group_world, VMCS_GUEST_PDPTE0 + 2 * i, WORLD_ECHO | 1);
    }
    expect_text(group_world.root, "here");
}

static void expect_no_entries(uint64_t root, uint8_t count)
{
    struct packet request = linear_request(PACKET_WALK_LINEAR, root);
    world_ask(&group_world, PROTOCOL_V2, &request);
    assert_int_equal(group_world.rig.reply.kind, PACKET_WALK);
    assert_int_equal(group_world.rig.reply.walk.valid, 0);
    assert_int_equal(group_world.rig.reply.walk.count, count);
    assert_int_equal(group_world.rig.reply.walk.last_valid, 0xFF);
    request = linear_request(PACKET_READ_LINEAR, root);
    world_ask(&group_world, PROTOCOL_V2, &request);
    expect_status(&group_world.rig.reply, INVALID_TRANSLATION);
}

static void tables_may_lie_where_nothing_is(void **state)
{
    (void)state;
    world_enter_flat(&group_world, WORLD_long64);
    expect_no_entries(WORLD_PROTECTED, 0);
    expect_no_entries(UINT64_C(0x300000), 1);      // empty: reads as ones, which are reserved
    expect_no_entries(WORLD_PHYS_END - 0x1000, 1); // zeros
    world_expect_equal(&group_world);
}

// The table of LINEAR is mapped at its own last page but one, so the bytes before LAST change the
// entry of LAST: what follows goes where that entry leads now, or nowhere.
static void a_write_may_change_the_tables_it_goes_through(void **state)
{
    static const uint64_t first = 0x1FE000; // pages 510 and 511 of their table
    static const uint64_t last = 0x1FF000;
    uint8_t bytes[16] = {0x01, 0x20, 0x08}; // WORLD_FRAMES + 0x2000, present
    (void)state;
    world_enter_flat(&group_world, WORLD_long64);
    world_map(&group_world, last, WORLD_FRAMES);
    world_map(&group_world, first, world_entry(&group_world, first, 2) & ~UINT64_C(0xFFF));
    memcpy(bytes + 8, "new page", 8);
    struct packet request = {
        .kind = PACKET_WRITE_LINEAR,
        .write_linear = {
            .root = group_world.root, .address = last - 8, .length = sizeof(bytes), .data = bytes}};
    rig_expect_value(&group_world.rig, &request, sizeof(bytes));
    world_set_entry(&group_world, last, 1, WORLD_FRAMES + 0x2001);
    pulsim_poke(group_world.twin.pulsim, WORLD_FRAMES + 0x2000, "new page", 8);
    world_expect_equal(&group_world);
    bytes[0] = 0; // not present
    rig_expect_value(&group_world.rig, &request, 8);
    world_set_entry(&group_world, last, 1, WORLD_FRAMES + 0x2000);
    world_expect_equal(&group_world);
}

#define ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

// The rows from `first` on: row 0 is virtual-8086 mode, which has no descriptors.
static int run_roots(const char *group, CMUnitTestFunction test, size_t first)
{
    struct CMUnitTest tests[ROWS(root_rows)];
    for (size_t i = first; i < ROWS(root_rows); i++) {
        tests[i - first] = (struct CMUnitTest){
            .name = root_rows[i].name, .test_func = test, .initial_state = &root_rows[i]};
    }
    return _cmocka_run_group_tests(group, tests, ROWS(tests) - first, group_world_open,
                                   group_world_close);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pae_reads_its_four_entries_from_memory),
        cmocka_unit_test(tables_may_lie_where_nothing_is),
        cmocka_unit_test(a_write_may_change_the_tables_it_goes_through),
    };
    int failed = run_roots("as CR3", a_root_is_taken_as_a_value_of_cr3, 0);
    failed += run_roots("any address", a_refused_root_is_refused_for_every_address, 0);
    failed += run_roots("another root", every_root_has_tables_of_its_own, 0);
    failed += run_roots("descriptors", a_descriptor_is_read_through_the_requests_root, 1);
    return failed +
           cmocka_run_group_tests_name("tables", tests, group_world_open, group_world_close);
}
