// Transfers across pages of every kind in random order: what moves is told by a plain list of the
// pages, not by a walk (clauses D-MEM-1 to D-MEM-3, D-MEM-26, D-MEM-27).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "boundary_world.h"

#define PAGE UINT64_C(0x1000)

enum {
    HALF = 6, // pages on each side of the middle, where another table begins
    NUM_PAGES = 2 * HALF,
    NUM_WORLDS = 40,    // per mode
    NUM_TRANSFERS = 30, // per world
    MAX_LEN = 0x5000,
    WORLD_ROM = 0x200000,
    WORLD_EMPTY = 0x300000,
    LARGE_END = 0x600000, // of the 2 MiB page at 4 MiB
};

#define MIDDLE  UINT64_C(0x00C00000)
#define LOWEST  (MIDDLE - HALF * PAGE)
#define HIGHEST (MIDDLE + HALF * PAGE)

enum kind { RAM, ROM, EMPTY, NOWHERE };

struct page {
    enum kind kind;
    uint64_t phys;
};

static struct page pages[NUM_PAGES];
static uint32_t seed;

static uint32_t next_random(uint32_t below)
{
    seed = seed * 1664525U + 1013904223U;
    return (seed >> 8) % below;
}

// Half of the pages are RAM, some of them the same frame.
static void build_page(unsigned i)
{
    // 32-bit paging has no reserved bit here: bit 51 is beyond its entries.
    static const uint64_t wrong_entries[] = {0, WORLD_PROTECTED | 1, WORLD_FRAMES | 6,
                                             UINT64_C(1) << 51 | WORLD_FRAMES | 1};
    bool has_reserved_bits = world_modes[group_world.mode].levels > 2;
    uint64_t linear = LOWEST + i * PAGE;
    uint32_t choice = next_random(10);
    pages[i] = (struct page){NOWHERE, 0};
    if (choice < 6) {
        pages[i] = (struct page){RAM, WORLD_FRAMES + next_random(40) * PAGE};
    } else if (choice == 6) {
        pages[i] = (struct page){ROM, WORLD_ROM};
    } else if (choice == 7) {
        pages[i] = (struct page){EMPTY, WORLD_EMPTY};
    }
    uint64_t wrong = wrong_entries[next_random(has_reserved_bits ? 4 : 3)];
    world_set_entry(&group_world, linear, 1, pages[i].kind != NOWHERE ? pages[i].phys | 1 : wrong);
}

// The lower half may be a large page, of which the last pages are RAM; either may lack its table.
static void build_directory(void)
{
    bool has_2mib_pages = world_modes[group_world.mode].levels > 2;
    uint32_t choice = next_random(6);
    if (choice == 0) {
        world_set_entry(&group_world, MIDDLE, 2, WORLD_ECHO | 6);
    } else if (choice == 1) {
        world_set_entry(&group_world, MIDDLE - 1, 2, WORLD_ECHO | 6);
    } else if (choice == 2 && has_2mib_pages) {
        world_set_entry(&group_world, MIDDLE - 1, 2, 0x400081);
    }
    for (unsigned i = 0; i < NUM_PAGES; i++) {
        bool lower = i < HALF;
        if (choice == (lower ? 1U : 0U)) {
            pages[i] = (struct page){NOWHERE, 0};
        } else if (lower && choice == 2 && has_2mib_pages) {
            pages[i] = (struct page){RAM, LARGE_END - (HALF - i) * PAGE};
        }
    }
}

static void build_world(enum world_mode mode)
{
    world_enter(&group_world, mode);
    world_set_segment(&group_world, "ds", WORLD_DS, (struct world_segment){0xC093, 0, UINT32_MAX});
    for (unsigned i = 0; i < NUM_PAGES; i++) {
        build_page(i);
    }
    build_directory();
    for (uint64_t frame = 0; frame < 40; frame++) {
        uint8_t bytes[PAGE];
        for (unsigned i = 0; i < PAGE; i++) {
            bytes[i] = (uint8_t)next_random(256);
        }
        world_poke(&group_world, WORLD_FRAMES + frame * PAGE, bytes, sizeof(bytes));
    }
}

struct transfer {
    uint64_t linear;
    uint32_t len;
    bool is_virtual;
    enum protocol_version version;
};

static const struct page *page_of(uint64_t linear)
{
    static const struct page nowhere = {NOWHERE, 0};
    bool is_listed = linear >= LOWEST && linear < HIGHEST;
    return is_listed ? &pages[(linear - LOWEST) / PAGE] : &nowhere;
}

static uint32_t reach(const struct transfer *transfer)
{
    uint32_t moved = 0;
    while (moved < transfer->len && page_of(transfer->linear + moved)->kind != NOWHERE) {
        moved++;
    }
    return moved;
}

static uint64_t place_of(uint64_t linear)
{
    return page_of(linear)->phys + linear % PAGE;
}

static void ask(const struct transfer *transfer, struct packet *request)
{
    group_world.rig.version = transfer->version;
    rig_ask(&group_world.rig, request);
    assert_true(group_world.rig.has_reply);
    if (reach(transfer) == 0) {
        assert_int_equal(group_world.rig.reply.kind, PACKET_STATUS);
        assert_int_equal(group_world.rig.reply.status.status,
                         transfer->version == PROTOCOL_V1 ? 0xC0000017 : 0xC0000021);
    }
}

static void read_and_compare(const struct transfer *transfer)
{
    struct packet request = {.kind = PACKET_READ_LINEAR,
                             .read_linear = {.root = group_world.root,
                                             .address = transfer->linear,
                                             .length = transfer->len}};
    if (transfer->is_virtual) {
        request = (struct packet){.kind = PACKET_READ_VIRTUAL,
                                  .read_virtual = {.root = group_world.root,
                                                   .selector = WORLD_DS,
                                                   .offset = transfer->linear,
                                                   .length = transfer->len}};
    }
    ask(transfer, &request);
    uint32_t moved = reach(transfer);
    if (moved == 0) {
        return;
    }
    const struct packet *reply = &group_world.rig.reply;
    bool is_virtual = reply->kind == PACKET_VIRTUAL_DATA;
    assert_int_equal(is_virtual, transfer->is_virtual);
    assert_int_equal(is_virtual ? reply->virtual_data.length : reply->linear_data.length, moved);
    const uint8_t *data = is_virtual ? reply->virtual_data.data : reply->linear_data.data;
    for (uint32_t i = 0; i < moved; i++) {
        uint8_t expected = 0xFF; // of empty space
        (void)pulsim_peek(group_world.twin.pulsim, place_of(transfer->linear + i), &expected, 1);
        assert_int_equal(data[i], expected);
    }
}

static void write_and_compare(const struct transfer *transfer)
{
    uint8_t ink[MAX_LEN];
    for (uint32_t i = 0; i < transfer->len; i++) {
        ink[i] = (uint8_t)next_random(256);
    }
    struct packet request = {.kind = PACKET_WRITE_LINEAR,
                             .write_linear = {.root = group_world.root,
                                              .address = transfer->linear,
                                              .length = transfer->len,
                                              .data = ink}};
    if (transfer->is_virtual) {
        request = (struct packet){.kind = PACKET_WRITE_VIRTUAL,
                                  .write_virtual = {.root = group_world.root,
                                                    .selector = WORLD_DS,
                                                    .offset = transfer->linear,
                                                    .length = transfer->len,
                                                    .data = ink}};
    }
    ask(transfer, &request);
    uint32_t moved = reach(transfer);
    if (moved != 0) {
        assert_int_equal(group_world.rig.reply.kind, PACKET_SUCCESS);
        assert_int_equal(group_world.rig.reply.success.value, moved);
    }
    for (uint32_t i = 0; i < moved; i++) {
        if (page_of(transfer->linear + i)->kind == RAM) {
            pulsim_poke(group_world.twin.pulsim, place_of(transfer->linear + i), &ink[i], 1);
        }
    }
    world_expect_equal(&group_world);
}

static void check_transfer(void)
{
    struct transfer transfer = {
        .linear = LOWEST + next_random((NUM_PAGES - 1) * (uint32_t)PAGE),
        .len = 1 + next_random(next_random(2) ? MAX_LEN : 32),
        .is_virtual = next_random(2),
        .version = next_random(2) ? PROTOCOL_V1 : PROTOCOL_V2,
    };
    if (next_random(3) != 0) { // near the end of a page
        transfer.linear = (transfer.linear & ~UINT64_C(0xFFF)) + 0xFF0 + next_random(16);
    }
    if (transfer.version == PROTOCOL_V1 && transfer.len > 0x3F00) {
        transfer.len = 0x3F00;
    }
    if (next_random(2)) {
        read_and_compare(&transfer);
    } else {
        write_and_compare(&transfer);
    }
}

static void transfers_across_random_pages(void **state)
{
    const enum world_mode *mode = *state;
    seed = 20 + (uint32_t)*mode;
    for (unsigned i = 0; i < NUM_WORLDS; i++) {
        build_world(*mode);
        for (unsigned k = 0; k < NUM_TRANSFERS; k++) {
            check_transfer();
        }
    }
}

int main(void)
{
    static enum world_mode modes[NUM_WORLD_MODES];
    struct CMUnitTest tests[NUM_WORLD_MODES];
    size_t num_tests = 0;
    for (int mode = 0; mode < NUM_WORLD_MODES; mode++) {
        if (world_modes[mode].levels != 0) {
            modes[num_tests] = (enum world_mode)mode;
            tests[num_tests] = (struct CMUnitTest){.name = world_modes[mode].name,
                                                   .test_func = transfers_across_random_pages,
                                                   .initial_state = &modes[num_tests]};
            num_tests++;
        }
    }
    return _cmocka_run_group_tests("random pages", tests, num_tests, group_world_open,
                                   group_world_close);
}
