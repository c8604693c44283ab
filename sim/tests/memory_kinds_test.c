// What every kind of guest-physical memory makes of a transfer, a walk and a search
// (clauses D-MEM-26 to D-MEM-28, D-WALK-7).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bare.h"

// bare.h says what lies where: ROM, the device, empty space and protected memory are neighbours.

#define PAGE UINT64_C(0x1000)

static uint8_t buffer[4 * PAGE];

static struct target_address linear(uint64_t address)
{
    return (struct target_address){TARGET_LINEAR, 0, BARE_PML4, address};
}

static struct target_address physical(uint64_t address)
{
    return (struct target_address){TARGET_PHYSICAL, 0, 0, address};
}

static size_t read_at(struct target_address from, size_t len)
{
    size_t moved = 0;
    memset(buffer, 0xEE, sizeof(buffer));
    assert_int_equal(machine_ops.read(machine, &from, buffer, len, &moved), STATUS_SUCCESS);
    return moved;
}

static size_t write_at(struct target_address to, size_t len)
{
    size_t moved = 0;
    memset(buffer, 0x5A, sizeof(buffer));
    assert_int_equal(machine_ops.write(machine, &to, buffer, len, &moved), STATUS_SUCCESS);
    return moved;
}

static void expect_bytes(size_t from, size_t len, uint8_t byte)
{
    for (size_t i = from; i < from + len; i++) {
        assert_int_equal(buffer[i], byte);
    }
}

static void a_read_passes_rom_and_device_and_empty_space(void **state)
{
    (void)state;
    memset(buffer, 0x77, PAGE);
    assert_true(memory_load(&machine->memory, BARE_ROM_PHYS, buffer, PAGE));
    size_t moved = read_at(linear(BARE_ROM + PAGE - 8), 3 * PAGE);
    assert_int_equal(moved, 8 + 2 * PAGE); // up to the protected page
    expect_bytes(0, 8, 0x77);
    assert_int_equal(bare_device.num_reads, PAGE / 8);
    assert_int_equal(buffer[8 + 16], 16); // the device gives the offset
    expect_bytes(8 + PAGE, PAGE, 0xFF);
    expect_bytes(moved, 8, 0xEE);
}

static void a_write_that_is_dropped_counts(void **state)
{
    (void)state;
    assert_int_equal(write_at(linear(BARE_ROM + PAGE - 8), 3 * PAGE), 8 + 2 * PAGE);
    assert_int_equal(bare_peek(BARE_ROM_PHYS + PAGE - 8), 0);
    assert_int_equal(bare_device.num_writes, PAGE / 8);
    assert_int_equal(bare_device.value, UINT64_C(0x5A5A5A5A5A5A5A5A));
    assert_int_equal(read_at(linear(BARE_EMPTY), PAGE), PAGE);
    expect_bytes(0, PAGE, 0xFF);
}

struct pieces_row {
    const char *name;
    uint64_t offset;
    size_t len;
    unsigned pieces;
    uint64_t last_offset;
    unsigned last_size;
};

static struct pieces_row pieces_rows[] = {
    {"one byte", 5, 1, 1, 5, 1},
    {"an aligned 8", 8, 8, 1, 8, 8},
    {"8 from an odd place", 3, 8, 4, 10, 1},   // 1 at 3, 4 at 4, 2 at 8, 1 at 10
    {"16 from an odd place", 3, 16, 5, 18, 1}, // 1 at 3, 4 at 4, 8 at 8, 2 at 16, 1 at 18
    {"7 aligned", 0, 7, 3, 6, 1},              // 4 at 0, 2 at 4, 1 at 6
    {"6 from a place for 2", 2, 6, 2, 4, 4},   // 2 at 2, 4 at 4
    {"the end of the region", 0xFFF, 1, 1, 0xFFF, 1},
};

static void device_pieces(void **state)
{
    const struct pieces_row *row = *state;
    assert_int_equal(read_at(linear(BARE_DEVICE + row->offset), row->len), row->len);
    assert_int_equal(bare_device.num_reads, row->pieces);
    assert_int_equal(bare_device.offset, row->last_offset);
    assert_int_equal(bare_device.size, row->last_size);
    assert_int_equal(write_at(physical(BARE_DEVICE_PHYS + row->offset), row->len), row->len);
    assert_int_equal(bare_device.num_writes, row->pieces);
    assert_int_equal(bare_device.offset, row->last_offset);
    assert_int_equal(bare_device.size, row->last_size);
}

static void expect_untouched(void)
{
    assert_int_equal(bare_device.num_reads, 0);
    assert_int_equal(bare_device.num_writes, 0);
}

static void a_walk_never_touches_a_device(void **state)
{
    (void)state;
    struct target_walk walk;
    struct target_address address = linear(BARE_DEVICE + 8);
    assert_int_equal(machine_ops.walk(machine, &address, &walk), STATUS_SUCCESS);
    assert_true(walk.valid);
    assert_int_equal(walk.guest_phys, BARE_DEVICE_PHYS + 8);
    address.root = BARE_DEVICE_PHYS; // tables within the device
    assert_int_equal(machine_ops.walk(machine, &address, &walk), STATUS_SUCCESS);
    assert_false(walk.valid);
    assert_int_equal(walk.num_entries, 0);
    assert_int_equal(walk.last_valid, 0xFF);
    expect_untouched();
}

static enum pulse_status search_from(struct target_address where, uint64_t end, bool ignore_gaps,
                                     uint64_t *out_address)
{
    static struct target_search search;
    search = (struct target_search){.where = where,
                                    .start = where.address,
                                    .end = end,
                                    .step = 1,
                                    .ignore_gaps = ignore_gaps,
                                    .pattern_len = 2,
                                    .pattern = {0xA7, 0xA8}};
    enum pulse_status status = STATUS_PENDING;
    for (unsigned slices = 0; status == STATUS_PENDING && slices < 100; slices++) {
        status = machine_ops.search(machine, &search, out_address);
    }
    return status;
}

static void a_search_never_touches_a_device(void **state)
{
    (void)state;
    uint64_t hit = 0;
    bare_device.value = 0xA8A7;
    assert_int_equal(search_from(linear(BARE_DEVICE), BARE_DEVICE + 64, false, &hit),
                     STATUS_INVALID_TRANSLATION);
    assert_int_equal(search_from(physical(BARE_DEVICE_PHYS), BARE_DEVICE_PHYS + 64, true, &hit),
                     STATUS_NOT_FOUND);
    bare_poke(0x53010, 0xA8A7);
    assert_int_equal(search_from(linear(BARE_ROM), BARE_PLAIN + 64, true, &hit), STATUS_SUCCESS);
    assert_int_equal(hit, BARE_PLAIN + 0x10);
    expect_untouched();
}

static void rom_is_searched_and_empty_space_is_a_gap(void **state)
{
    (void)state;
    uint64_t hit = 0;
    const uint8_t bytes[] = {0xA7, 0xA8};
    assert_true(memory_load(&machine->memory, BARE_ROM_PHYS + 0x80, bytes, sizeof(bytes)));
    assert_int_equal(search_from(linear(BARE_ROM), BARE_ROM + 0x100, false, &hit), STATUS_SUCCESS);
    assert_int_equal(hit, BARE_ROM + 0x80);
    assert_int_equal(search_from(linear(BARE_EMPTY), BARE_EMPTY + 1, false, &hit),
                     STATUS_INVALID_TRANSLATION);
    assert_int_equal(search_from(linear(BARE_PROTECTED), BARE_PROTECTED + 1, false, &hit),
                     STATUS_INVALID_TRANSLATION);
}

// RAM ends at 0x400000, ROM begins at 0x500000.
static void a_physical_search_skips_what_lies_between_regions(void **state)
{
    (void)state;
    uint64_t hit = 0;
    const uint8_t bytes[] = {0xA7, 0xA8};
    assert_int_equal(search_from(physical(0x401000), BARE_ROM_PHYS + 64, true, &hit),
                     STATUS_NOT_FOUND);
    assert_true(memory_load(&machine->memory, BARE_ROM_PHYS + 0x20, bytes, sizeof(bytes)));
    assert_int_equal(search_from(physical(0x401000), BARE_ROM_PHYS + 64, true, &hit),
                     STATUS_SUCCESS);
    assert_int_equal(hit, BARE_ROM_PHYS + 0x20);
    bare_poke(0x3FFFF0, 0xA8A7);
    assert_int_equal(search_from(physical(0x401000), 0x3FFF00, true, &hit), STATUS_SUCCESS);
    assert_int_equal(hit, 0x3FFFF0);
    assert_int_equal(search_from(physical(0x401000), 0x3FFF00, false, &hit),
                     STATUS_INVALID_TRANSLATION);
    assert_int_equal(search_from(physical(BARE_DEVICE_PHYS + 8), 0x3FFF00, true, &hit),
                     STATUS_SUCCESS);
    assert_int_equal(hit, BARE_ROM_PHYS + 0x20);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, bare_set_up, bare_tear_down)

int main(void)
{
    enum { NUM_PIECES = sizeof(pieces_rows) / sizeof(pieces_rows[0]) };
    const struct CMUnitTest tests[] = {
        CASE(a_read_passes_rom_and_device_and_empty_space),
        CASE(a_write_that_is_dropped_counts),
        CASE(a_walk_never_touches_a_device),
        CASE(a_search_never_touches_a_device),
        CASE(a_physical_search_skips_what_lies_between_regions),
        CASE(rom_is_searched_and_empty_space_is_a_gap),
    };
    struct CMUnitTest pieces[NUM_PIECES];
    for (size_t i = 0; i < NUM_PIECES; i++) {
        pieces[i] = (struct CMUnitTest){.name = pieces_rows[i].name,
                                        .test_func = device_pieces,
                                        .setup_func = bare_set_up,
                                        .teardown_func = bare_tear_down,
                                        .initial_state = &pieces_rows[i]};
    }
    int failed = cmocka_run_group_tests_name("device pieces", pieces, NULL, NULL);
    return failed + cmocka_run_group_tests_name("kinds of memory", tests, NULL, NULL);
}
