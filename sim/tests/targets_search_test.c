// Searches find the pages of every target that is made of rows, wherever its rows map them.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "modes/programs.h"
#include "targets_oracle.h"

static bool runs(void)
{
    return oracle_cpu_mode(group_oracle.target) == CPU_MODE_LONG64;
}

static void expect_hit(struct packet *request, uint64_t address)
{
    rig_ask(&group_oracle.rig, request);
    while (!group_oracle.rig.has_reply) {
        rig_continue(&group_oracle.rig);
    }
    assert_int_equal(group_oracle.rig.reply.kind, PACKET_SEARCH_HIT);
    assert_int_equal(group_oracle.rig.reply.search_hit.address, address);
}

static void expect_physical_hit(const struct page_row *page)
{
    struct packet request = {.kind = PACKET_SEARCH_PHYSICAL,
                             .search_physical = {
                                 .start = page->guest_phys - 0x800,
                                 .end = page->guest_phys + 0x800,
                                 .step = 1,
                                 .ignore_gaps = 1,
                                 .length = (uint32_t)strlen(page->text),
                                 .pattern = (const uint8_t *)page->text,
                             }};
    expect_hit(&request, page->guest_phys);
}

static void expect_linear_hit(const struct page_row *page, uint64_t linear)
{
    struct packet request = {.kind = PACKET_SEARCH_LINEAR,
                             .search_linear = {
                                 .root = group_oracle.root,
                                 .start = linear + 0x800,
                                 .end = linear, // downwards
                                 .step = 1,
                                 .length = (uint32_t)strlen(page->text),
                                 .pattern = (const uint8_t *)page->text,
                             }};
    expect_hit(&request, linear);
}

// The offset at which a segment has a linear address, and whether it has it.
static bool find_offset(const struct segment *segment, uint64_t linear, uint64_t *out)
{
    bool expands_down = (segment->access & 0x1C) == 0x14;
    uint64_t last = (segment->access & SEGMENT_ACCESS_DB) != 0 ? UINT32_MAX : UINT16_MAX;
    if ((segment->access & SEGMENT_ACCESS_UNUSABLE) != 0 || linear > UINT32_MAX) {
        return false;
    }
    *out = (linear - segment->base) & UINT32_MAX;
    return expands_down ? *out > segment->limit && *out <= last : *out <= segment->limit;
}

// Through each segment register that reaches it; in 64-bit mode all do, and only FS and GS have a
// base. Returns how many those are.
static size_t expect_virtual_hits(const struct page_row *page, uint64_t linear)
{
    static const char *const names[] = {"fs", "gs", "cs", "ss", "ds", "es"};
    size_t num_hits = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct segment segment;
        assert_true(oracle_segment(group_oracle.target, names[i], &segment));
        uint64_t offset = linear - (i < 2 ? segment.base : 0);
        if (!runs() && !find_offset(&segment, linear, &offset)) {
            continue;
        }
        struct packet request = {.kind = PACKET_SEARCH_VIRTUAL,
                                 .search_virtual = {
                                     .root = group_oracle.root,
                                     .start = offset,
                                     .end = offset + 0x10,
                                     .selector = segment.selector,
                                     .step = 0x10,
                                     .length = (uint32_t)strlen(page->text),
                                     .pattern = (const uint8_t *)page->text,
                                 }};
        expect_hit(&request, offset);
        num_hits++;
    }
    return num_hits;
}

struct hits {
    size_t linear;
    size_t virtual;
};

// Through every row that maps the page.
static void expect_page(const struct page_row *page, struct hits *hits)
{
    expect_physical_hit(page);
    for (size_t i = 0; i < group_oracle.target->num_map; i++) {
        const struct map_row *row = &group_oracle.target->map[i];
        uint64_t offset = page->guest_phys - row->guest_phys;
        if (row->mapped && offset <= row->to - row->from) {
            expect_linear_hit(page, row->from + offset);
            hits->virtual += expect_virtual_hits(page, row->from + offset);
            hits->linear++;
        }
    }
}

static void searches_find_every_page_wherever_it_is_mapped(void **state)
{
    (void)state;
    struct hits hits = {.linear = 0};
    for (size_t i = 0; i < group_oracle.target->num_pages; i++) {
        expect_page(&group_oracle.target->pages[i], &hits);
    }
    assert_true(hits.linear >= 4);
    assert_true(hits.virtual >= 1);
}

// A search of the whole linear space goes past all of its holes, or ends at the first one.
static void a_search_of_everything_finds_the_program_and_a_gap_ends_it(void **state)
{
    (void)state;
    static const uint8_t nowhere[] = "no target holds this text";
    bool has_gap_at_0 = !group_oracle.target->map[0].mapped;
    size_t len = 0;
    const uint8_t *program = program_find(group_oracle.target->program.name, &len);
    struct packet request = {.kind = PACKET_SEARCH_LINEAR,
                             .search_linear = {
                                 .root = group_oracle.root,
                                 .start = 0,
                                 .end = UINT32_MAX,
                                 .step = 1,
                                 .ignore_gaps = 1,
                                 .length = (uint32_t)len,
                                 .pattern = program,
                             }};
    expect_hit(&request, ROWS_PROGRAM_PHYS);
    request.search_linear.end = 0x4FFF;
    request.search_linear.length = sizeof(nowhere);
    request.search_linear.pattern = nowhere;
    rig_expect_status(&group_oracle.rig, &request, 0xC0000009);
    request.search_linear.ignore_gaps = 0;
    rig_expect_status(&group_oracle.rig, &request, has_gap_at_0 ? 0xC0000021 : 0xC0000009);
}

// ----------------------------------------------------------------------------------------------

#define TEST(name) cmocka_unit_test_setup(name, group_oracle_reset)

static int run_target(const struct mode_target *target)
{
    const struct CMUnitTest tests[] = {
        TEST(searches_find_every_page_wherever_it_is_mapped),
        TEST(a_search_of_everything_finds_the_program_and_a_gap_ends_it),
    };
    return cmocka_run_group_tests_name(target->name, tests, group_oracle_open, group_oracle_close);
}

int main(void)
{
    return oracle_run_groups(run_target) == 0 ? 0 : 1;
}
