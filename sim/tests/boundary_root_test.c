// Roots of page tables, and modes in which no address translates (clauses D-MEM-20 to D-MEM-24).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boundary_world.h"

#define INVALID_TRANSLATION_V1 UINT64_C(0xC0000017)
#define INVALID_TRANSLATION    UINT64_C(0xC0000021)
#define INVALID_CPU_MODE_V1    UINT64_C(0xC000001F)
#define INVALID_CPU_MODE       UINT64_C(0xC0000022)

static struct world world;

static int open_world(void **state)
{
    (void)state;
    world_open(&world);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

static void expect_status(const struct packet *reply, uint64_t number)
{
    assert_int_equal(reply->kind, PACKET_STATUS);
    assert_int_equal(reply->status.status, number);
}

#define LINEAR_PAGE UINT64_C(0x30000) // in every mode

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

static struct packet linear_request(enum packet_kind kind, uint64_t root)
{
    struct packet request = {.kind = kind};
    if (kind == PACKET_READ_LINEAR) {
        request.read_linear.root = root;
        request.read_linear.address = LINEAR_PAGE;
        request.read_linear.length = 4;
    } else if (kind == PACKET_WRITE_LINEAR) {
        request.write_linear.root = root;
        request.write_linear.address = LINEAR_PAGE;
        request.write_linear.length = 4;
        request.write_linear.data = (const uint8_t *)"text";
    } else if (kind == PACKET_WALK_LINEAR) {
        request.walk_linear.root = root;
        request.walk_linear.address = LINEAR_PAGE;
    } else if (kind == PACKET_LINEAR_TO_PHYSICAL) {
        request.linear_to_physical.root = root;
        request.linear_to_physical.address = LINEAR_PAGE;
    } else {
        request.search_linear.root = root;
        request.search_linear.start = LINEAR_PAGE;
        request.search_linear.end = LINEAR_PAGE;
        request.search_linear.length = 4;
        request.search_linear.pattern = (const uint8_t *)"text";
    }
    return request;
}

static struct packet virtual_request(enum packet_kind kind, uint64_t root, uint16_t selector)
{
    struct packet request = {.kind = kind};
    if (kind == PACKET_READ_VIRTUAL) {
        request.read_virtual.root = root;
        request.read_virtual.selector = selector;
        request.read_virtual.offset = LINEAR_PAGE;
        request.read_virtual.length = 4;
    } else if (kind == PACKET_WRITE_VIRTUAL) {
        request.write_virtual.root = root;
        request.write_virtual.selector = selector;
        request.write_virtual.offset = LINEAR_PAGE;
        request.write_virtual.length = 4;
        request.write_virtual.data = (const uint8_t *)"text";
    } else if (kind == PACKET_WALK_VIRTUAL) {
        request.walk_virtual.root = root;
        request.walk_virtual.selector = selector;
        request.walk_virtual.offset = LINEAR_PAGE;
    } else if (kind == PACKET_VIRTUAL_TO_PHYSICAL) {
        request.virtual_to_physical.root = root;
        request.virtual_to_physical.selector = selector;
        request.virtual_to_physical.offset = LINEAR_PAGE;
    } else {
        request.search_virtual.root = root;
        request.search_virtual.selector = selector;
        request.search_virtual.start = LINEAR_PAGE;
        request.search_virtual.end = LINEAR_PAGE;
        request.search_virtual.length = 4;
        request.search_virtual.pattern = (const uint8_t *)"text";
    }
    return request;
}

static const enum packet_kind linear_kinds[] = {
    PACKET_READ_LINEAR,        PACKET_WRITE_LINEAR,  PACKET_WALK_LINEAR,
    PACKET_LINEAR_TO_PHYSICAL, PACKET_SEARCH_LINEAR,
};

static const enum packet_kind virtual_kinds[] = {
    PACKET_READ_VIRTUAL,        PACKET_WRITE_VIRTUAL,  PACKET_WALK_VIRTUAL,
    PACKET_VIRTUAL_TO_PHYSICAL, PACKET_SEARCH_VIRTUAL,
};

enum { NUM_KINDS = sizeof(linear_kinds) / sizeof(linear_kinds[0]) };

static void ask(enum protocol_version version, struct packet *request)
{
    world.rig.version = version;
    rig_ask(&world.rig, request);
    assert_true(world.rig.has_reply);
}

// Every request that needs a translation, linear and by selector, gets a status.
static void expect_refusals(uint64_t root, uint16_t selector, uint64_t v1, uint64_t v2)
{
    for (size_t i = 0; i < NUM_KINDS; i++) {
        struct packet request = linear_request(linear_kinds[i], root);
        ask(PROTOCOL_V1, &request);
        expect_status(&world.rig.reply, v1);
        ask(PROTOCOL_V2, &request);
        expect_status(&world.rig.reply, v2);
        request = virtual_request(virtual_kinds[i], root, selector);
        ask(PROTOCOL_V1, &request);
        expect_status(&world.rig.reply, v1);
        ask(PROTOCOL_V2, &request);
        expect_status(&world.rig.reply, v2);
    }
    world_expect_equal(&world);
}

static void expect_text(uint64_t root, const char *text)
{
    struct packet request = linear_request(PACKET_READ_LINEAR, root);
    ask(PROTOCOL_V2, &request);
    assert_int_equal(world.rig.reply.kind, PACKET_LINEAR_DATA);
    assert_int_equal(world.rig.reply.linear_data.length, 4);
    assert_memory_equal(world.rig.reply.linear_data.data, text, 4);
    assert_int_equal(world.rig.reply.linear_data.root, root);
    request = virtual_request(PACKET_READ_VIRTUAL, root, WORLD_DS);
    ask(PROTOCOL_V1, &request);
    assert_int_equal(world.rig.reply.kind, PACKET_VIRTUAL_DATA);
    assert_memory_equal(world.rig.reply.virtual_data.data, text, 4);
}

static void enter_with_flat_segment(enum world_mode mode)
{
    struct world_segment flat = {0xC093, 0, UINT32_MAX};
    world_enter(&world, mode);
    world_set_segment(&world, "ds", WORLD_DS, flat);
}

static void a_root_is_taken_as_a_value_of_cr3(void **state)
{
    const struct root_row *row = *state;
    const uint64_t beyond = UINT64_C(0x1FFFC00000000000); // bits 46 to 60
    enter_with_flat_segment(row->mode);
    world_map(&world, LINEAR_PAGE, WORLD_FRAMES);
    world_poke(&world, WORLD_FRAMES, "here", 4);
    expect_text(world.root, "here");
    expect_text(world.root | row->ignored, "here");
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t mask = UINT64_C(1) << bit;
        if (row->ignored & mask) {
            expect_text(world.root ^ mask, "here");
        } else if (beyond & mask) {
            expect_refusals(world.root | mask, WORLD_DS, INVALID_TRANSLATION_V1,
                            INVALID_TRANSLATION);
        }
    }
}

static void every_root_has_tables_of_its_own(void **state)
{
    const struct root_row *row = *state;
    enter_with_flat_segment(row->mode);
    uint64_t first = world.root;
    world_map(&world, LINEAR_PAGE, WORLD_FRAMES);
    world_poke(&world, WORLD_FRAMES, "one ", 4);
    uint64_t second = world_new_root(&world);
    world_map(&world, LINEAR_PAGE, WORLD_FRAMES + 0x1000);
    world_poke(&world, WORLD_FRAMES + 0x1000, "two ", 4);
    expect_text(first, "one ");
    expect_text(second, "two ");
    struct packet request = linear_request(PACKET_READ_LINEAR, WORLD_NO_TABLE); // CR3's own
    ask(PROTOCOL_V2, &request);
    expect_status(&world.rig.reply, INVALID_TRANSLATION);
    world_set(&world, "cr3", second);
    expect_text(first, "one ");
}

// A segment is described in the tables of the request's root, whatever CR3 holds.
static void a_descriptor_is_read_through_the_requests_root(void **state)
{
    enum { IN_GDT = 0x43, DATA = 0xC093 };
    const struct root_row *row = *state;
    enter_with_flat_segment(row->mode);
    uint64_t first = world.root;
    world_map(&world, LINEAR_PAGE, WORLD_FRAMES);
    world_describe(&world, IN_GDT, (struct world_segment){DATA, 0, UINT32_MAX});
    uint64_t second = world_new_root(&world);
    world_map(&world, LINEAR_PAGE, WORLD_FRAMES + 0x1000);
    struct packet request = virtual_request(PACKET_VIRTUAL_TO_PHYSICAL, first, IN_GDT);
    ask(PROTOCOL_V2, &request);
    assert_int_equal(world.rig.reply.kind, PACKET_PHYSICAL_ADDRESS);
    assert_int_equal(world.rig.reply.physical_address.address, WORLD_FRAMES);
    request = virtual_request(PACKET_VIRTUAL_TO_PHYSICAL, second, IN_GDT);
    ask(PROTOCOL_V2, &request);
    expect_status(&world.rig.reply, INVALID_TRANSLATION); // it has no page with a GDT
    world_map(&world, WORLD_GDT, WORLD_FRAMES + 0x2000);
    ask(PROTOCOL_V2, &request);
    expect_status(&world.rig.reply, INVALID_TRANSLATION); // it has one of zeros
}

// SDM 3A, "PDPTE Registers": the CPU uses four it has loaded, but a request names its own.
static void pae_reads_its_four_entries_from_memory(void **state)
{
    enum { VMCS_GUEST_PDPTE0 = 0x280A };
    (void)state;
    enter_with_flat_segment(WORLD_pae32);
    world_map(&world, LINEAR_PAGE, WORLD_FRAMES);
    world_poke(&world, WORLD_FRAMES, "here", 4);
    world_set(&world, "cr3", world.root);
    for (uint32_t i = 0; i < 4; i++) {
        world_set_vmcs(&world, VMCS_GUEST_PDPTE0 + 2 * i, WORLD_ECHO | 1);
    }
    expect_text(world.root, "here");
}

static void expect_no_entries(uint64_t root, uint8_t count)
{
    struct packet request = linear_request(PACKET_WALK_LINEAR, root);
    ask(PROTOCOL_V2, &request);
    assert_int_equal(world.rig.reply.kind, PACKET_WALK);
    assert_int_equal(world.rig.reply.walk.valid, 0);
    assert_int_equal(world.rig.reply.walk.count, count);
    assert_int_equal(world.rig.reply.walk.last_valid, 0xFF);
    request = linear_request(PACKET_READ_LINEAR, root);
    ask(PROTOCOL_V2, &request);
    expect_status(&world.rig.reply, INVALID_TRANSLATION);
}

static void tables_may_lie_where_nothing_is(void **state)
{
    (void)state;
    enter_with_flat_segment(WORLD_long64);
    expect_no_entries(WORLD_PROTECTED, 0);
    expect_no_entries(UINT64_C(0x300000), 1);      // empty: reads as ones, which are reserved
    expect_no_entries(WORLD_PHYS_END - 0x1000, 1); // zeros
    world_expect_equal(&world);
}

// Modes without an answer.

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
    enter_with_flat_segment(row->mode);
    world_set(&world, "cr0", row->cr0);
    world_set(&world, "cr4", row->cr4);
    world_set_vmcs(&world, VMCS_GUEST_EFER, row->efer);
    world_set_vmcs(&world, VMCS_GUEST_INTERRUPTIBILITY, row->interruptibility);
}

static void expect_cpu_mode(uint8_t mode)
{
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2; version++) {
        struct packet request = {.kind = PACKET_GET_CONTEXT};
        ask((enum protocol_version)version, &request);
        assert_int_equal(world.rig.reply.kind, PACKET_CONTEXT);
        assert_int_equal(world.rig.reply.context.cpu_mode, mode);
    }
}

static void no_address_translates(void **state)
{
    static const uint16_t selectors[] = {0, WORLD_DS, 0x43, 0x7777};
    const struct refusal_row *row = *state;
    enter_refusal(row);
    expect_cpu_mode(row->cpu_mode);
    for (size_t i = 0; i < sizeof(selectors) / sizeof(selectors[0]); i++) {
        expect_refusals(world.root, selectors[i], INVALID_CPU_MODE_V1, INVALID_CPU_MODE);
    }
}

// Neither a gap to be skipped, nor a bit of the root, nor an address too high comes first.
static void the_mode_comes_first(void **state)
{
    enter_refusal(*state);
    struct packet request = linear_request(PACKET_SEARCH_LINEAR, world.root);
    request.search_linear.ignore_gaps = 1;
    ask(PROTOCOL_V2, &request);
    expect_status(&world.rig.reply, INVALID_CPU_MODE);
    request = linear_request(PACKET_READ_LINEAR, UINT64_C(1) << 46);
    request.read_linear.address = UINT64_C(0x800000000000);
    ask(PROTOCOL_V2, &request);
    expect_status(&world.rig.reply, INVALID_CPU_MODE);
}

static void what_needs_no_translation_is_served(void **state)
{
    enter_refusal(*state);
    world_poke(&world, WORLD_FRAMES, "text", 4);
    struct packet request = linear_request(PACKET_READ_LINEAR, world.root);
    request.read_linear.length = 0;
    ask(PROTOCOL_V2, &request);
    assert_int_equal(world.rig.reply.kind, PACKET_LINEAR_DATA);
    assert_int_equal(world.rig.reply.linear_data.length, 0);
    request = (struct packet){.kind = PACKET_READ_PHYSICAL,
                              .read_physical = {.address = WORLD_FRAMES, .length = 4}};
    ask(PROTOCOL_V2, &request);
    assert_int_equal(world.rig.reply.kind, PACKET_PHYSICAL_DATA);
    assert_memory_equal(world.rig.reply.physical_data.data, "text", 4);
    request = (struct packet){.kind = PACKET_SEARCH_PHYSICAL,
                              .search_physical = {.start = WORLD_FRAMES,
                                                  .end = WORLD_FRAMES,
                                                  .length = 4,
                                                  .pattern = (const uint8_t *)"text"}};
    ask(PROTOCOL_V2, &request);
    assert_int_equal(world.rig.reply.kind, PACKET_SEARCH_HIT);
}

static void a_guest_in_smm_does_not_run(void **state)
{
    (void)state;
    enter_refusal(&refusal_rows[sizeof(refusal_rows) / sizeof(refusal_rows[0]) - 1]);
    static const enum packet_kind kinds[] = {PACKET_GO, PACKET_STEP};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct packet request = rig_plain(kinds[i]);
        ask(PROTOCOL_V2, &request);
        expect_status(&world.rig.reply, 0xC0000000); // VM entry refuses it
    }
    // All that it leaves is the failed entry's exit reason: invalid guest state.
    uint64_t reason = 0;
    assert_true(pulsim_vmcs_read(world.rig.pulsim, 0, 0x4402, &reason));
    assert_int_equal(reason, 0x80000021);
    assert_true(pulsim_vmcs_write(world.rig.pulsim, 0, 0x4402, 0));
    world_expect_equal(&world);
}

// The other modes of the protocol; SMM is above.
static void the_context_names_the_mode(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (int mode = 0; mode < NUM_WORLD_MODES; mode++) {
        world_enter(&world, (enum world_mode)mode);
        expect_cpu_mode(world_modes[mode].cpu_mode);
        seen |= 1U << world_modes[mode].cpu_mode;
    }
    assert_int_equal(seen, 0xFD);
}

// IA-32e mode that is active without paging: not a state the CPU can be in, but no riddle either.
static void without_paging_linear_is_physical_whatever_efer_says(void **state)
{
    (void)state;
    world_enter(&world, WORLD_long64);
    world_set(&world, "cr0", 0x31);
    world_poke(&world, WORLD_FRAMES, "here", 4);
    struct packet request = linear_request(PACKET_READ_LINEAR, UINT64_MAX);
    request.read_linear.address = WORLD_FRAMES;
    ask(PROTOCOL_V2, &request);
    assert_int_equal(world.rig.reply.kind, PACKET_LINEAR_DATA);
    assert_memory_equal(world.rig.reply.linear_data.data, "here", 4);
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
    return _cmocka_run_group_tests(group, tests, ROWS(tests) - first, open_world, close_world);
}

static int run_refusals(const char *group, CMUnitTestFunction test)
{
    struct CMUnitTest tests[ROWS(refusal_rows)];
    for (size_t i = 0; i < ROWS(refusal_rows); i++) {
        tests[i] = (struct CMUnitTest){
            .name = refusal_rows[i].name, .test_func = test, .initial_state = &refusal_rows[i]};
    }
    return _cmocka_run_group_tests(group, tests, ROWS(tests), open_world, close_world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pae_reads_its_four_entries_from_memory),
        cmocka_unit_test(tables_may_lie_where_nothing_is),
        cmocka_unit_test(a_guest_in_smm_does_not_run),
        cmocka_unit_test(the_context_names_the_mode),
        cmocka_unit_test(without_paging_linear_is_physical_whatever_efer_says),
    };
    int failed = run_roots("as CR3", a_root_is_taken_as_a_value_of_cr3, 0);
    failed += run_roots("another root", every_root_has_tables_of_its_own, 0);
    failed += run_roots("descriptors", a_descriptor_is_read_through_the_requests_root, 1);
    failed += run_refusals("no address translates", no_address_translates);
    failed += run_refusals("the mode comes first", the_mode_comes_first);
    failed += run_refusals("no translation needed", what_needs_no_translation_is_served);
    return failed + cmocka_run_group_tests_name("modes", tests, open_world, close_world);
}
