// Which segment a request's selector means, in every mode, asked through the protocol
// (clauses D-MEM-7 to D-MEM-14, D-MEM-19).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "boundary_requests.h"

// Where the segments begin: those of the registers, and those described in the tables.
#define BASE(number) (UINT64_C(0x40000000) + UINT64_C(0x100000) * (number))
#define REFUSED      UINT64_MAX

enum {
    CS = 0x08,
    SS = 0x10,
    DS = 0x18,
    ES = 0x20,
    FS = 0x28,
    GS = 0x30,
    GDT_DATA = 0x43,
    GDT_ABSENT = 0x48,
    GDT_TSS = 0x50,
    GDT_CODE = 0x5B, // execute-only, DPL 0 against RPL 3
    GDT_GATE = 0x60,
    GDT_LAST = 0x78,
    GDT_BEYOND = 0x80,
    LDT_DATA = 0x44,
    LDT_LAST = 0x7C,
    LDT_BEYOND = 0x84,
    UNUSABLE = 0x10000,
};

struct change {
    const char *name; // of a register, NULL: none
    uint64_t value;
};

struct selector_row {
    const char *name;
    uint16_t selector;
    uint64_t offset;
    uint64_t linear; // REFUSED: INVALID_TRANSLATION
    struct change change;
};

static struct selector_row legacy_rows[] = {
    {"CS", CS, 0x123, BASE(1) + 0x123, {0}},
    {"SS", SS, 0x123, BASE(2) + 0x123, {0}},
    {"DS", DS, 0x123, BASE(3) + 0x123, {0}},
    {"ES", ES, 0x123, BASE(4) + 0x123, {0}},
    {"FS", FS, 0x123, BASE(5) + 0x123, {0}},
    {"GS", GS, 0x123, BASE(6) + 0x123, {0}},
    {"CS before an equal SS", CS, 0, BASE(1), {"ss", CS}},
    {"SS before an equal DS", SS, 0, BASE(2), {"ds", SS}},
    {"DS before an equal ES", DS, 0, BASE(3), {"es", DS}},
    {"ES before an equal FS", ES, 0, BASE(4), {"fs", ES}},
    {"FS before an equal GS", FS, 0, BASE(5), {"gs", FS}},
    {"a null selector", 0, 0, REFUSED, {0}},
    {"a null selector with an RPL", 3, 0, REFUSED, {0}},
    {"a null selector that ES holds", 0, 0x123, BASE(4) + 0x123, {"es", 0}},
    {"an unusable register", ES, 0, REFUSED, {"es_access", UNUSABLE}},
    {"another RPL means the table's", DS | 3, 0x123, BASE(8) + 0x123, {0}},
    {"the GDT", GDT_DATA, 0x123, BASE(9) + 0x123, {0}},
    {"the GDT, execute-only code of another privilege", GDT_CODE, 0x123, BASE(10) + 0x123, {0}},
    {"the last of the GDT", GDT_LAST, 0x123, BASE(11) + 0x123, {0}},
    {"the GDT's limit cuts the descriptor", GDT_LAST, 0, REFUSED, {"gdt_limit", 0x7E}},
    {"beyond the GDT", GDT_BEYOND, 0, REFUSED, {0}},
    {"not present", GDT_ABSENT, 0, REFUSED, {0}},
    {"a TSS", GDT_TSS, 0, REFUSED, {0}},
    {"a call gate", GDT_GATE, 0, REFUSED, {0}},
    {"the LDT", LDT_DATA, 0x123, BASE(12) + 0x123, {0}},
    {"the last of the LDT", LDT_LAST, 0x123, BASE(13) + 0x123, {0}},
    {"beyond the LDT", LDT_BEYOND, 0, REFUSED, {0}},
    {"the LDT's cached limit cuts the descriptor", LDT_LAST, 0, REFUSED, {"ldt_limit", 0x7E}},
    {"an unusable LDT", LDT_DATA, 0, REFUSED, {"ldt_access", UNUSABLE}},
    {"base and offset wrap at 4 GiB", DS, 0x60001234, 0x50000234, {"ds_base", 0xEFFFF000}},
    {"an offset beyond the limit", DS, 0x1000, REFUSED, {"ds_limit", 0xFFF}},
    {"a byte offset at the limit", DS, 0xFFF, BASE(3) + 0xFFF, {"ds_limit", 0xFFF}},
    {"an offset of 4 GiB", DS, 0x100000000, REFUSED, {0}},
};

static struct selector_row long_rows[] = {
    {"null is flat", 0, 0x50000123, 0x50000123, {0}},
    {"null with an RPL is flat", 3, 0x50000123, 0x50000123, {0}},
    {"CS is flat", CS, 0x50000123, 0x50000123, {0}},
    {"SS is flat", SS, 0x50000123, 0x50000123, {0}},
    {"DS is flat", DS, 0x50000123, 0x50000123, {"ds_limit", 0}},
    {"ES is flat, unusable or not", ES, 0x50000123, 0x50000123, {"es_access", UNUSABLE}},
    {"FS has its base", FS, 0x123, BASE(5) + 0x123, {0}},
    {"GS has its base", GS, 0x123, BASE(6) + 0x123, {0}},
    {"GS has no limit", GS, 0x1000, BASE(6) + 0x1000, {"gs_limit", 0xFFF}},
    {"FS counts although unusable", FS, 0x123, BASE(5) + 0x123, {"fs_access", UNUSABLE}},
    {"a base of 64 bits", FS, 0x123, 0xFFFF800000000123, {"fs_base", 0xFFFF800000000000}},
    {"an offset below the base", FS, UINT64_MAX - 0xFFF, BASE(5) - 0x1000, {0}},
    {"base and offset in the hole", FS, 0, REFUSED, {"fs_base", 0x0100000000000000}},
    {"DS before an equal FS", FS, 0x50000123, 0x50000123, {"ds", FS}},
    {"FS before an equal GS", FS, 0x123, BASE(5) + 0x123, {"gs", FS}},
    {"null before a null FS", 0, 0x50000123, 0x50000123, {"fs", 0}},
    {"a descriptor of the GDT is flat", GDT_DATA, 0x50000123, 0x50000123, {0}},
    {"a descriptor of code is flat", GDT_CODE, 0x50000123, 0x50000123, {0}},
    {"a descriptor of the LDT is flat", LDT_DATA, 0x50000123, 0x50000123, {0}},
    {"the last of the GDT", GDT_LAST, 0x50000123, 0x50000123, {0}},
    {"the GDT's limit cuts the descriptor", GDT_LAST, 0, REFUSED, {"gdt_limit", 0x7E}},
    {"beyond the GDT", GDT_BEYOND, 0x50000123, REFUSED, {0}},
    {"beyond the LDT", LDT_BEYOND, 0x50000123, REFUSED, {0}},
    {"not present", GDT_ABSENT, 0x50000123, REFUSED, {0}},
    {"a TSS", GDT_TSS, 0x50000123, REFUSED, {0}},
    {"a call gate", GDT_GATE, 0x50000123, REFUSED, {0}},
    {"an unusable LDT", LDT_DATA, 0x50000123, REFUSED, {"ldt_access", UNUSABLE}},
};

static struct selector_row real_rows[] = {
    {"a paragraph", 0x3000, 0x123, 0x30123, {0}},
    {"paragraph 0", 0, 0x8123, 0x8123, {0}},
    {"a paragraph that has a place in the GDT", GDT_DATA, 0x8123, 0x8553, {0}},
    {"a paragraph that has a place in the LDT", LDT_DATA, 0x8123, 0x8563, {0}},
    {"the last byte of a paragraph's 64 KiB", 0x3000, 0xFFFF, 0x3FFFF, {0}},
    {"beyond a paragraph's 64 KiB", 0x3000, 0x10000, REFUSED, {0}},
    {"the last paragraph goes on above 1 MiB", 0xFFFF, 0x123, 0x100113, {0}},
    {"a register's base", DS, 0x123, BASE(3) + 0x123, {0}},
    {"a register's limit", FS, 0x54321, BASE(5) + 0x54321, {0}},
    {"beyond a register's limit", FS, 0x1000, REFUSED, {"fs_limit", 0xFFF}},
    {"CS before an equal GS", CS, 0x123, BASE(1) + 0x123, {"gs", CS}},
};

static void describe_segments(void)
{
    enum { DATA = 0xC093, CODE = 0x4099, ABSENT = 0xC013, TSS = 0x008B, GATE = 0x008C };
    world_describe(&group_world, ES, (struct world_segment){DATA, BASE(7), UINT32_MAX});
    world_describe(&group_world, DS, (struct world_segment){DATA, BASE(8), UINT32_MAX});
    world_describe(&group_world, GDT_DATA, (struct world_segment){DATA, BASE(9), UINT32_MAX});
    world_describe(&group_world, GDT_CODE, (struct world_segment){CODE, BASE(10), 0xFFFF});
    world_describe(&group_world, GDT_LAST, (struct world_segment){DATA, BASE(11), UINT32_MAX});
    world_describe(&group_world, GDT_ABSENT, (struct world_segment){ABSENT, 0, UINT32_MAX});
    world_describe(&group_world, GDT_TSS, (struct world_segment){TSS, 0, 0xFFFF});
    world_describe(&group_world, GDT_GATE, (struct world_segment){GATE, 0, 0xFFFF});
    world_describe(&group_world, LDT_DATA, (struct world_segment){DATA, BASE(12), UINT32_MAX});
    world_describe(&group_world, LDT_LAST, (struct world_segment){DATA, BASE(13), UINT32_MAX});
    // They are there, but beyond the tables' limits.
    world_describe(&group_world, GDT_BEYOND, (struct world_segment){DATA, BASE(14), UINT32_MAX});
    world_describe(&group_world, LDT_BEYOND, (struct world_segment){DATA, BASE(14), UINT32_MAX});
}

static void enter(enum world_mode mode)
{
    static const char *const names[] = {"cs", "ss", "ds", "es", "fs", "gs"};
    world_enter(&group_world, mode);
    for (uint16_t i = 0; i < 6; i++) {
        struct world_segment segment = {0xC093, BASE(i + 1U), UINT32_MAX};
        segment.access = i == 0 ? world_modes[mode].cs_access : segment.access;
        world_set_segment(&group_world, names[i], (uint16_t)(CS + 8 * i), segment);
    }
    describe_segments();
}

static void expect_refused(struct packet *request, enum protocol_version version)
{
    static const uint64_t refused[] = {INVALID_TRANSLATION_V1, INVALID_TRANSLATION};
    group_world.rig.version = version;
    rig_expect_status(&group_world.rig, request,
                      refusal_of(&group_world, version, request->kind, refused));
}

// A walk does not mind an address that is not mapped, so a refusal is the selector's or offset's.
static void check_refusal(const struct selector_row *row)
{
    struct packet walk = {.kind = PACKET_WALK_VIRTUAL,
                          .walk_virtual = {.root = group_world.root,
                                           .selector = row->selector,
                                           .offset = row->offset}};
    struct packet write = {.kind = PACKET_WRITE_VIRTUAL,
                           .write_virtual = {.root = group_world.root,
                                             .selector = row->selector,
                                             .offset = row->offset,
                                             .length = 1,
                                             .data = (const uint8_t *)"x"}};
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2; version++) {
        expect_refused(&walk, (enum protocol_version)version);
        expect_refused(&write, (enum protocol_version)version);
    }
    world_expect_equal(&group_world);
}

static void check_place(const struct selector_row *row)
{
    struct packet request = {.kind = PACKET_VIRTUAL_TO_PHYSICAL,
                             .virtual_to_physical = {.root = group_world.root,
                                                     .selector = row->selector,
                                                     .offset = row->offset}};
    if (world_modes[group_world.mode].levels != 0) {
        world_map_next(&group_world, row->linear & ~UINT64_C(0xFFF));
    }
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2; version++) {
        group_world.rig.version = (enum protocol_version)version;
        rig_ask(&group_world.rig, &request);
        assert_int_equal(group_world.rig.reply.kind, PACKET_PHYSICAL_ADDRESS);
        assert_int_equal(group_world.rig.reply.physical_address.address,
                         world_phys(&group_world, row->linear));
    }
}

static void check_in(const struct selector_row *row, enum world_mode mode)
{
    enter(mode);
    if (row->change.name) {
        world_set(&group_world, row->change.name, row->change.value);
    }
    if (row->linear == REFUSED) {
        check_refusal(row);
    } else {
        check_place(row);
    }
}

static void in_protected_and_compatibility_mode(void **state)
{
    static const enum world_mode modes[] = {
        WORLD_prot16, WORLD_prot32,   WORLD_paged16,  WORLD_paged32,  WORLD_pae16,
        WORLD_pae32,  WORLD_compat16, WORLD_compat32, WORLD_compat57,
    };
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        check_in(*state, modes[i]);
    }
}

static void in_64bit_mode(void **state)
{
    check_in(*state, WORLD_long64);
    check_in(*state, WORLD_long57);
}

static void in_real_and_v86_mode(void **state)
{
    check_in(*state, WORLD_real16);
    check_in(*state, WORLD_v86);
}

static int run_rows(CMUnitTestFunction test, const char *group, struct selector_row *rows,
                    size_t num_rows)
{
    static struct CMUnitTest tests[64];
    assert_true(num_rows <= sizeof(tests) / sizeof(tests[0]));
    for (size_t i = 0; i < num_rows; i++) {
        tests[i] =
            (struct CMUnitTest){.name = rows[i].name, .test_func = test, .initial_state = &rows[i]};
    }
    return _cmocka_run_group_tests(group, tests, num_rows, group_world_open, group_world_close);
}

#define RUN(test, rows) run_rows(test, #test, rows, sizeof(rows) / sizeof((rows)[0]))

int main(void)
{
    int failed = RUN(in_protected_and_compatibility_mode, legacy_rows);
    failed += RUN(in_64bit_mode, long_rows);
    return failed + RUN(in_real_and_v86_mode, real_rows);
}
