// The linear address space of every target that is made of rows, asked for through the protocol row
// by row: where its ends lead, what a walk reports, and how far transfers over its ends go.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "targets_oracle.h"

enum { MAX_ROWS = 96 };

static enum mmu_mode mode;
static bool nx;

static int open_target(void **state)
{
    (void)state;
    struct mmu_registers registers;
    mode_target_mmu(group_oracle.target, &registers);
    assert_true(mmu_mode_of(&registers, &mode));
    nx = mode >= MMU_MODE_PAE && (registers.efer & MMU_EFER_NXE) != 0;
    oracle_open(&group_oracle, group_oracle.target);
    return 0;
}

// --- the rows themselves ----------------------------------------------------------------------

static void the_rows_cover_the_whole_space_and_do_not_overlap(void **state)
{
    (void)state;
    const struct mode_target *target = group_oracle.target;
    assert_int_equal(target->map[0].from, 0);
    for (size_t i = 0; i < target->num_map; i++) {
        assert_true(target->map[i].from <= target->map[i].to);
        if (i + 1 < target->num_map) {
            assert_int_equal(target->map[i].to + 1, target->map[i + 1].from);
        }
    }
    assert_true(target->map[target->num_map - 1].to == UINT64_MAX);
}

// --- walks and translations -------------------------------------------------------------------

static struct packet walk_linear(uint64_t linear)
{
    return (struct packet){.kind = PACKET_WALK_LINEAR,
                           .walk_linear = {.root = group_oracle.root, .address = linear}};
}

static uint64_t le(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)bytes[i] << 8 * i;
    }
    return value;
}

static unsigned num_levels(void)
{
    static const unsigned levels[] = {0, 2, 3, 4, 5};
    return levels[mode];
}

// The level whose entry is the row's page or makes it a hole.
static unsigned last_level(const struct map_row *row)
{
    switch (row->mapped ? row->page_size : 0) {
    case 0x1000:
        return 1;
    case 0x200000:
    case 0x400000:
        return 2;
    case 0x40000000:
        return 3;
    default:
        return row->level;
    }
}

// Every entry of a walk is the one that lies in memory where the entry before it leads to.
static void expect_entries_of_memory(uint64_t linear, const struct packet_walk *walk)
{
    unsigned index_bits = mode == MMU_MODE_32BIT ? 10 : 9;
    size_t size = mode == MMU_MODE_32BIT ? 4 : 8;
    uint64_t table = group_oracle.root;
    for (unsigned i = 0; i < walk->count; i++) {
        unsigned shift = 12 + index_bits * (num_levels() - 1 - i);
        uint64_t index = linear >> shift & ((UINT64_C(1) << index_bits) - 1);
        uint8_t bytes[8];
        memset(bytes, 0xFF, sizeof(bytes)); // a table in empty space
        pulsim_peek(group_oracle.rig.pulsim, table + index * size, bytes, size);
        uint64_t entry = le(walk->entries + 8 * (size_t)i, 8);
        assert_int_equal(entry, le(bytes, size));
        table = entry & UINT64_C(0x3FFFFFFFF000);
    }
}

// P, RW and US of the leaf, and NX where there is one.
static void expect_rights(const struct map_row *row, uint64_t leaf)
{
    assert_int_equal(leaf & 1, 1);
    assert_int_equal((leaf & 2) != 0, (row->rights & RIGHT_WRITE) != 0);
    assert_int_equal((leaf & 4) != 0, (row->rights & RIGHT_USER) != 0);
    assert_int_equal(leaf >> 63, nx && (row->rights & RIGHT_EXECUTE) == 0);
}

// How many entries a walk of the row reads, and how many of them are valid. An entry that cannot be
// read is none.
struct walk_counts {
    unsigned entries;
    unsigned valid;
};

static struct walk_counts counts_of(const struct map_row *row)
{
    unsigned level = last_level(row);
    unsigned entries = level != 0 ? num_levels() - level + 1 : 0;
    bool stops_there = !row->mapped && level != 0 && !row->below;
    unsigned more = row->below && row->fault != MMU_FAULT_UNREADABLE;
    return (struct walk_counts){entries + more, entries - stops_there};
}

// The entry of the row's level is the one that the row names.
static void expect_entry(const struct map_row *row, const struct packet_walk *walk)
{
    unsigned level = last_level(row);
    if (level == 0) {
        return;
    }
    uint64_t entry = le(walk->entries + 8 * (size_t)(num_levels() - level), 8);
    if (row->mapped) {
        expect_rights(row, entry);
    } else {
        assert_int_equal(entry, row->entry);
    }
}

static void expect_walk(const struct map_row *row, uint64_t linear)
{
    struct packet request = walk_linear(linear);
    if (row->fault == MMU_FAULT_BEYOND_4GIB) {
        rig_expect_status(&group_oracle.rig, &request, oracle_no_translation(&group_oracle));
        return;
    }
    if (group_oracle.rig.version == PROTOCOL_V1 && mode == MMU_MODE_5LEVEL) {
        rig_expect_status(&group_oracle.rig, &request, oracle_no_mode(&group_oracle));
        return;
    }
    rig_ask(&group_oracle.rig, &request);
    const struct packet_walk *walk = &group_oracle.rig.reply.walk;
    struct walk_counts want = counts_of(row);
    assert_int_equal(group_oracle.rig.reply.kind, PACKET_WALK);
    assert_int_equal(walk->mode, mode);
    assert_int_equal(walk->valid, row->mapped);
    assert_int_equal(walk->count, want.entries);
    assert_int_equal(walk->last_valid, want.valid != 0 ? want.valid - 1 : 0xFF);
    expect_entries_of_memory(linear, walk);
    expect_entry(row, walk);
}

static void expect_translation(const struct map_row *row, uint64_t linear)
{
    struct packet request = {.kind = PACKET_LINEAR_TO_PHYSICAL,
                             .linear_to_physical = {.root = group_oracle.root, .address = linear}};
    if (!row->mapped) {
        rig_expect_status(&group_oracle.rig, &request, oracle_no_translation(&group_oracle));
        return;
    }
    rig_ask(&group_oracle.rig, &request);
    assert_int_equal(group_oracle.rig.reply.kind, PACKET_PHYSICAL_ADDRESS);
    assert_int_equal(group_oracle.rig.reply.physical_address.address,
                     row->guest_phys + (linear - row->from));
}

// What one entry covers; without entries the whole row.
static uint64_t covered_by_entry(const struct map_row *row)
{
    unsigned level = last_level(row);
    unsigned index_bits = mode == MMU_MODE_32BIT ? 10 : 9;
    return level != 0 ? UINT64_C(1) << (12 + index_bits * (level - 1)) : 0;
}

// The first and last byte of the first entries of a row and of its last one.
static void walks_and_translations_are_those_of_the_row(void **state)
{
    enum { ENTRIES = 300 };
    const struct map_row *row = *state;
    uint64_t size = covered_by_entry(row);
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2; version++) {
        group_oracle.rig.version = (enum protocol_version)version;
        for (uint64_t i = 0; size != 0 && i < ENTRIES && row->to - row->from > i * size; i++) {
            expect_walk(row, row->from + i * size);
            expect_walk(row, row->from + i * size + (size - 1));
            expect_translation(row, row->from + i * size);
            expect_translation(row, row->from + i * size + (size - 1));
        }
        expect_walk(row, row->from);
        expect_walk(row, row->to);
        expect_translation(row, row->from);
        expect_translation(row, row->to);
    }
}

// --- transfers --------------------------------------------------------------------------------

static void expect_transfers(uint64_t linear)
{
    struct packet read = {
        .kind = PACKET_READ_LINEAR,
        .read_linear = {.root = group_oracle.root, .address = linear, .length = ORACLE_LENGTH}};
    struct packet write = {.kind = PACKET_WRITE_LINEAR,
                           .write_linear = {.root = group_oracle.root,
                                            .address = linear,
                                            .length = ORACLE_LENGTH,
                                            .data = oracle_ink}};
    // Outside 64-bit mode no transfer goes on behind 4 GiB, though one may begin there.
    bool is_long64 = oracle_cpu_mode(group_oracle.target) == CPU_MODE_LONG64;
    uint64_t last = !is_long64 && linear <= UINT32_MAX ? UINT32_MAX : UINT64_MAX;
    size_t want = oracle_reach(group_oracle.target, linear, last, ORACLE_LENGTH);
    oracle_expect_read(&group_oracle, &read, linear, want);
    oracle_expect_write(&group_oracle, &write, linear, want);
    oracle_expect_read(&group_oracle, &read, linear, want);
}

// From every distance up to a whole transfer before this address, and from it on.
static void expect_transfers_over(uint64_t linear)
{
    static const unsigned distances[] = {ORACLE_LENGTH + 1, ORACLE_LENGTH, 33, 16, 8, 3, 2, 1, 0};
    for (size_t i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
        uint64_t start = linear - distances[i];
        expect_transfers(start);
    }
    oracle_expect_equal(&group_oracle);
}

static void transfers_over_the_ends_of_the_row_stop_where_they_must(void **state)
{
    const struct map_row *row = *state;
    oracle_reset(&group_oracle);
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2; version++) {
        group_oracle.rig.version = (enum protocol_version)version;
        expect_transfers_over(row->to + 1);
    }
}

// Wherever a row shows this guest-physical address and the byte before it.
static void expect_transfers_over_physical(uint64_t guest_phys)
{
    const struct mode_target *target = group_oracle.target;
    for (size_t i = 0; i < target->num_map; i++) {
        const struct map_row *row = &target->map[i];
        uint64_t offset = guest_phys - row->guest_phys;
        if (row->mapped && offset != 0 && offset <= row->to - row->from) {
            expect_transfers_over(row->from + offset);
        }
    }
}

// Regions begin and end within pages that show several of them.
static void transfers_over_the_ends_of_regions_stop_where_they_must(void **state)
{
    (void)state;
    const struct mode_target *target = group_oracle.target;
    oracle_reset(&group_oracle);
    for (size_t i = 0; i < target->num_regions; i++) {
        expect_transfers_over_physical(target->regions[i].base);
        expect_transfers_over_physical(target->regions[i].base + target->regions[i].size);
    }
}

static void physical_transfers_end_with_the_physical_space(void **state)
{
    (void)state;
    const uint64_t end = UINT64_C(1) << 46;
    struct packet read = {.kind = PACKET_READ_PHYSICAL,
                          .read_physical = {.address = end - 5, .length = ORACLE_LENGTH}};
    rig_ask(&group_oracle.rig, &read);
    assert_int_equal(group_oracle.rig.reply.kind, PACKET_PHYSICAL_DATA);
    assert_int_equal(group_oracle.rig.reply.physical_data.length, 5);
    struct packet beyond = {.kind = PACKET_READ_PHYSICAL,
                            .read_physical = {.address = end, .length = 1}};
    rig_expect_status(&group_oracle.rig, &beyond, 0xC0000010);
}

// ----------------------------------------------------------------------------------------------

static struct map_row *row_of(size_t i)
{
    static struct map_row rows[MAX_ROWS]; // a test's state is not const
    rows[i] = group_oracle.target->map[i];
    return &rows[i];
}

static int run_target(const struct mode_target *target)
{
    static char names[2 * MAX_ROWS][ORACLE_NAME_SIZE];
    struct CMUnitTest tests[2 * MAX_ROWS + 3] = {
        cmocka_unit_test(the_rows_cover_the_whole_space_and_do_not_overlap),
        cmocka_unit_test(transfers_over_the_ends_of_regions_stop_where_they_must),
        cmocka_unit_test(physical_transfers_end_with_the_physical_space),
    };
    size_t num_tests = 3;
    if (target->num_map > MAX_ROWS) {
        print_error("%s: more than %d rows\n", target->name, MAX_ROWS);
        return 1;
    }
    for (size_t i = 0; i < target->num_map; i++) {
        const struct map_row *row = &target->map[i];
        for (size_t kind = 0; kind < 2; kind++) {
            char *name = names[2 * i + kind];
            (void)snprintf(name, ORACLE_NAME_SIZE, "%s 0x%lx: %s (%s)", target->name,
                           (unsigned long)row->from, row->text, kind == 0 ? "walks" : "transfers");
            tests[num_tests++] = (struct CMUnitTest){
                name,
                kind == 0 ? walks_and_translations_are_those_of_the_row
                          : transfers_over_the_ends_of_the_row_stop_where_they_must,
                NULL, NULL, row_of(i)};
        }
    }
    return _cmocka_run_group_tests(target->name, tests, num_tests, open_target, group_oracle_close);
}

int main(void)
{
    return oracle_run_groups(run_target) == 0 ? 0 : 1;
}
