#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guest_memory.h"

enum { PAGE = MEMORY_PAGE_SIZE };

//  0        0x4000  0x6000   0x8000     0x9000       2^36
// | RAM     | ROM   | empty  | device  | protected  | empty ...
static int setup(void **state)
{
    static struct memory memory;
    memory_init(&memory, 36);
    assert_true(memory_add(&memory, REGION_ROM, 0x4000, 0x2000));
    assert_true(memory_add(&memory, REGION_RAM, 0, 0x4000));
    assert_true(memory_add(&memory, REGION_PROTECTED, 0x9000, 0x1000));
    assert_true(memory_add(&memory, REGION_DEVICE, 0x8000, 0x1000));
    *state = &memory;
    return 0;
}

static int teardown(void **state)
{
    memory_cleanup(*state);
    return 0;
}

// Records the accesses a device sees.
struct probe {
    size_t num;
    uint64_t offset[16];
    unsigned size[16];
    uint64_t value[16];
    unsigned resets;
};

static void probe_note(struct probe *probe, uint64_t offset, unsigned size, uint64_t value)
{
    if (probe->num < 16) {
        probe->offset[probe->num] = offset;
        probe->size[probe->num] = size;
        probe->value[probe->num++] = value;
    }
}

static uint64_t probe_read(void *device, uint64_t offset, unsigned size)
{
    probe_note(device, offset, size, 0);
    return UINT64_C(0x8877665544332211);
}

static void probe_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
    probe_note(device, offset, size, value & UINT64_MAX >> (64 - 8 * size));
}

static void probe_reset(void *device)
{
    struct probe *probe = device;
    probe->resets++;
}

static const struct device_ops probe_ops = {probe_read, probe_write, probe_reset};

static void attach(struct memory *memory, struct probe *probe)
{
    struct region *region = memory_region(memory, 0x8000);
    region->ops = &probe_ops;
    region->device = probe;
}

static void a_region_must_fit(void **state)
{
    struct memory *memory = *state;
    assert_false(memory_add(memory, REGION_RAM, 0x3000, 0x1000));
    assert_false(memory_add(memory, REGION_RAM, 0x7000, 0x2000));
    assert_false(memory_add(memory, REGION_RAM, 0x6800, 0x1000));
    assert_false(memory_add(memory, REGION_RAM, 0x7000, 0x800));
    assert_false(memory_add(memory, REGION_RAM, 0x7000, 0));
    assert_false(memory_add(memory, REGION_RAM, (UINT64_C(1) << 36) - PAGE, UINT64_C(2) * PAGE));
    assert_false(memory_add(memory, REGION_RAM, UINT64_C(1) << 36, PAGE));
    assert_false(memory_add(memory, REGION_RAM, 0x7000, UINT64_MAX - 0xFFF));
    assert_true(memory_add(memory, REGION_RAM, (UINT64_C(1) << 36) - PAGE, PAGE));
    assert_int_equal(memory->num_regions, 5);
}

static void bytes_written_are_read_back_across_pages(void **state)
{
    uint8_t bytes[2 * PAGE];
    uint8_t seen[2 * PAGE];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7 + 1);
    }
    assert_int_equal(memory_write(*state, 0x0FF0, bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(memory_read(*state, 0x0FF0, seen, sizeof(seen)), sizeof(seen));
    assert_memory_equal(bytes, seen, sizeof(bytes));
}

static void empty_space_reads_ones_and_swallows_writes(void **state)
{
    uint8_t seen[16];
    assert_int_equal(memory_write(*state, 0x6000, "0123456789abcdef", 16), 16);
    assert_int_equal(memory_read(*state, 0x6000, seen, 16), 16);
    for (size_t i = 0; i < 16; i++) {
        assert_int_equal(seen[i], 0xFF);
    }
}

static void rom_keeps_what_was_loaded(void **state)
{
    uint8_t seen[4];
    assert_true(memory_load(*state, 0x4000, "rom!", 4));
    assert_int_equal(memory_write(*state, 0x4000, "RAM?", 4), 4);
    assert_int_equal(memory_read(*state, 0x4000, seen, 4), 4);
    assert_memory_equal(seen, "rom!", 4);
}

static void a_transfer_stops_at_protected_memory(void **state)
{
    uint8_t bytes[32] = {0};
    struct probe probe = {0};
    attach(*state, &probe);
    assert_int_equal(memory_write(*state, 0x8FF0, bytes, 32), 16);
    assert_int_equal(memory_read(*state, 0x8FF0, bytes, 32), 16);
    assert_int_equal(memory_read(*state, 0x9000, bytes, 1), 0);
}

static void a_transfer_stops_at_maxphyaddr(void **state)
{
    uint8_t bytes[32];
    uint64_t edge = UINT64_C(1) << 36;
    assert_int_equal(memory_read(*state, edge - 5, bytes, 32), 5);
    assert_int_equal(memory_write(*state, edge - 5, bytes, 32), 5);
    assert_int_equal(memory_read(*state, edge, bytes, 1), 0);
}

static void a_device_is_accessed_in_the_largest_aligned_pieces(void **state)
{
    static const unsigned sizes[] = {1, 2, 4, 8, 4, 2, 1};
    uint8_t bytes[22] = {0};
    struct probe probe = {0};
    attach(*state, &probe);
    assert_int_equal(memory_read(*state, 0x8001, bytes, 22), 22);
    assert_int_equal(probe.num, 7);
    uint64_t offset = 1;
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(probe.size[i], sizes[i]);
        assert_int_equal(probe.offset[i], offset);
        offset += sizes[i];
    }
    assert_int_equal(bytes[0], 0x11);
}

static void a_device_gets_the_bytes_written_and_the_buffer_stays(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3, 4};
    struct probe probe = {0};
    attach(*state, &probe);
    assert_int_equal(memory_write(*state, 0x8004, bytes, 4), 4);
    assert_int_equal(probe.num, 1);
    assert_int_equal(probe.value[0], 0x04030201);
    assert_int_equal(bytes[0], 1);
}

static void a_peek_never_touches_a_device(void **state)
{
    uint8_t byte;
    struct probe probe = {0};
    attach(*state, &probe);
    assert_false(memory_peek(*state, 0x8000, &byte, 1));
    assert_false(memory_peek(*state, 0x9000, &byte, 1));
    assert_int_equal(probe.num, 0);
    assert_true(memory_peek(*state, 0x7000, &byte, 1));
    assert_int_equal(byte, 0xFF);
}

static void reset_restores_exactly_what_was_marked(void **state)
{
    struct memory *memory = *state;
    uint8_t before[0x4000];
    uint8_t after[0x4000];
    assert_true(memory_load(memory, 0x1234, "kernel", 6));
    memory_mark(memory);
    memory_read(memory, 0, before, sizeof(before));
    for (uint64_t at = 1; at < 0x4000; at += 1111) {
        memory_write(memory, at, "garbage", 7);
    }
    memory_reset(memory);
    memory_read(memory, 0, after, sizeof(after));
    assert_memory_equal(before, after, sizeof(before));
    assert_int_equal(memory_region(memory, 0)->num_dirty, 0);
}

static void only_pages_written_are_dirty(void **state)
{
    struct memory *memory = *state;
    memory_write(memory, 0x1FFF, "ab", 2);
    memory_write(memory, 0x1000, "c", 1);
    assert_int_equal(memory_region(memory, 0)->num_dirty, 2);
    assert_true(*memory_flags(memory, 0x1800) & PAGE_DIRTY);
    assert_true(*memory_flags(memory, 0x2000) & PAGE_DIRTY);
    assert_false(*memory_flags(memory, 0x3000) & PAGE_DIRTY);
}

static void reset_reaches_devices(void **state)
{
    struct probe probe = {0};
    attach(*state, &probe);
    memory_reset(*state);
    assert_int_equal(probe.resets, 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_region_must_fit),
        CASE(bytes_written_are_read_back_across_pages),
        CASE(empty_space_reads_ones_and_swallows_writes),
        CASE(rom_keeps_what_was_loaded),
        CASE(a_transfer_stops_at_protected_memory),
        CASE(a_transfer_stops_at_maxphyaddr),
        CASE(a_device_is_accessed_in_the_largest_aligned_pieces),
        CASE(a_device_gets_the_bytes_written_and_the_buffer_stays),
        CASE(a_peek_never_touches_a_device),
        CASE(reset_restores_exactly_what_was_marked),
        CASE(only_pages_written_are_dirty),
        CASE(reset_reaches_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
