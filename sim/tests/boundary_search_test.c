// Searches up to, across and beyond what ends a transfer: a match never spans it, and whether
// candidates there are skipped is the request's to say (clauses D-SRCH).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "boundary_rows.h"

#define NEEDLE "needle"

#define NEAR UINT64_C(32) // bytes on each side of an edge that a search looks at

enum { NEEDLE_SIZE = 6 };

// From one address to another, both in the probe's terms.
struct query {
    uint64_t start;
    uint64_t end;
    bool ignore_gaps;
};

static struct packet search_request(const struct probe *probe, const struct query *query)
{
    static const uint8_t *const pattern = (const uint8_t *)NEEDLE;
    uint64_t root = probe->world->root;
    struct packet request = {.kind = PACKET_SEARCH_PHYSICAL,
                             .search_physical = {.start = query->start,
                                                 .end = query->end,
                                                 .step = 1,
                                                 .ignore_gaps = query->ignore_gaps,
                                                 .length = NEEDLE_SIZE,
                                                 .pattern = pattern}};
    if (probe->space == SPACE_LINEAR) {
        request = (struct packet){.kind = PACKET_SEARCH_LINEAR,
                                  .search_linear = {.root = root,
                                                    .start = query->start,
                                                    .end = query->end,
                                                    .step = 1,
                                                    .ignore_gaps = query->ignore_gaps,
                                                    .length = NEEDLE_SIZE,
                                                    .pattern = pattern}};
    } else if (probe->space == SPACE_VIRTUAL) {
        request = (struct packet){.kind = PACKET_SEARCH_VIRTUAL,
                                  .search_virtual = {.root = root,
                                                     .start = probe_offset(probe, query->start),
                                                     .end = probe_offset(probe, query->end),
                                                     .selector = probe_selector(probe),
                                                     .step = 1,
                                                     .ignore_gaps = query->ignore_gaps,
                                                     .length = NEEDLE_SIZE,
                                                     .pattern = pattern}};
    }
    return request;
}

static void search(const struct probe *probe, enum protocol_version version,
                   const struct query *query)
{
    struct rig *rig = &probe->world->rig;
    struct packet request = search_request(probe, query);
    rig->version = version;
    rig_ask(rig, &request);
    for (unsigned slices = 0; !rig->has_reply && slices < 1000; slices++) {
        rig_continue(rig);
    }
    assert_true(rig->has_reply);
}

static void expect_hit(const struct probe *probe, struct query query, uint64_t address)
{
    const struct packet *reply = &probe->world->rig.reply;
    uint64_t hit = probe->space == SPACE_VIRTUAL ? probe_offset(probe, address) : address;
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2; version++) {
        search(probe, (enum protocol_version)version, &query);
        assert_int_equal(reply->kind, PACKET_SEARCH_HIT);
        assert_int_equal(reply->search_hit.address, hit);
    }
}

// The status of version 1, then of version 2.
static void expect_status(const struct probe *probe, struct query query, uint64_t v1, uint64_t v2)
{
    const struct packet *reply = &probe->world->rig.reply;
    search(probe, PROTOCOL_V1, &query);
    assert_int_equal(reply->kind, PACKET_STATUS);
    assert_int_equal(reply->status.status, v1);
    search(probe, PROTOCOL_V2, &query);
    assert_int_equal(reply->kind, PACKET_STATUS);
    assert_int_equal(reply->status.status, v2);
}

static void expect_nothing(const struct probe *probe, struct query query)
{
    expect_status(probe, query, 0xC0000060, 0xC0000009);
}

static void expect_gap(const struct probe *probe, struct query query)
{
    expect_status(probe, query, 0xC0000017, 0xC0000021);
}

static void wipe_around(const struct probe *probe, uint64_t middle)
{
    static const uint8_t zero = 0;
    for (uint64_t at = 0; at < 2 * NEAR; at++) {
        if (probe_reach(probe, middle - NEAR + at, 1) == 1) {
            probe_poke(probe, middle - NEAR + at, &zero, 1);
        }
    }
}

// Zeros near the edge and near where memory goes on.
static void wipe(const struct probe *probe)
{
    wipe_around(probe, probe->row->edge);
    if (boundary_is_address(probe->row->resume)) {
        wipe_around(probe, probe->row->resume);
    }
}

static void place(const struct probe *probe, uint64_t address, const char *text)
{
    probe_poke(probe, address, (const uint8_t *)text, strlen(text));
}

static void matches_end_at_the_edge(const struct probe *probe)
{
    uint64_t edge = probe->row->edge;
    uint64_t last = edge - NEEDLE_SIZE;
    wipe(probe);
    place(probe, last, NEEDLE);
    expect_hit(probe, (struct query){edge - NEAR, last, false}, last);
    expect_hit(probe, (struct query){edge - NEAR, edge - 1, false}, last);
    expect_hit(probe, (struct query){edge - 1, edge - NEAR, false}, last);
    expect_hit(probe, (struct query){edge - 1, last, false}, last);
    expect_hit(probe, (struct query){last, edge - NEAR, true}, last);
    wipe(probe);
    expect_nothing(probe, (struct query){edge - 1, edge - NEAR, false});
    // Version 1 goes on to the end of the page, and there to the gap.
    bool in_page = (probe_offset(probe, edge) & 0xFFF) != 0;
    expect_status(probe, (struct query){edge - NEAR, edge - 1, false},
                  in_page ? 0xC0000017 : 0xC0000060, 0xC0000009);
}

static void a_match_may_lie_where_nothing_ends(const struct probe *probe)
{
    uint64_t edge = probe->row->edge;
    wipe(probe);
    place(probe, edge - 3, NEEDLE);
    expect_hit(probe, (struct query){edge - 9, edge, false}, edge - 3);
    expect_hit(probe, (struct query){edge, edge - 9, false}, edge - 3);
}

// The pattern's first half ends at the edge. Its second half stands where memory goes on, and
// behind the first half in guest-physical memory.
static void no_match_spans_the_edge(const struct probe *probe)
{
    uint64_t edge = probe->row->edge;
    uint64_t resume = probe->row->resume;
    wipe(probe);
    place(probe, edge - 3, "nee");
    if (boundary_is_address(resume)) {
        place(probe, resume, "dle");
    }
    if (probe->row->kind != KIND_PHYSICAL) {
        uint64_t last = (edge - 1 + probe->shift) & probe->linear_mask;
        uint64_t behind = world_phys(probe->world, last) + 1;
        size_t moved = pulsim_poke(probe->world->rig.pulsim, behind, "dle", 3); // if it is RAM
        assert_int_equal(pulsim_poke(probe->world->twin.pulsim, behind, "dle", 3), moved);
    }
    expect_nothing(probe, (struct query){edge - NEAR, edge - 1, true});
    expect_nothing(probe, (struct query){edge - 1, edge - NEAR, true});
}

static void what_lies_beyond_is_a_gap(const struct probe *probe)
{
    uint64_t edge = probe->row->edge;
    bool beyond = probe->row->beyond;
    wipe(probe);
    expect_gap(probe, (struct query){edge - 2, edge + 1, false});
    expect_status(probe, (struct query){edge, edge + 2, false}, 0xC0000017,
                  beyond ? 0xC0000010 : 0xC0000021);
    expect_status(probe, (struct query){edge, edge, true}, beyond ? 0xC0000017 : 0xC0000060,
                  beyond ? 0xC0000010 : 0xC0000009);
    if (!beyond) {
        expect_gap(probe, (struct query){edge + 2, edge - NEAR, false});
        expect_nothing(probe, (struct query){edge, edge + 2, true});
    }
}

static void a_gap_is_skipped_when_told(const struct probe *probe)
{
    uint64_t edge = probe->row->edge;
    uint64_t resume = probe->row->resume;
    wipe(probe);
    place(probe, resume + 4, NEEDLE);
    expect_hit(probe, (struct query){edge - 2, resume + 8, true}, resume + 4);
    expect_gap(probe, (struct query){edge - 2, resume + 8, false});
    wipe(probe);
    place(probe, resume, NEEDLE);
    expect_hit(probe, (struct query){edge - 2, resume, true}, resume);
    wipe(probe);
    place(probe, edge - 9, NEEDLE);
    expect_hit(probe, (struct query){resume + 8, edge - NEAR, true}, edge - 9);
    expect_gap(probe, (struct query){resume + 8, edge - NEAR, false});
}

// Of an expand-down segment: what lies below the edge is the gap.
static void matches_begin_at_the_lower_edge(const struct probe *probe)
{
    uint64_t edge = probe->row->edge;
    wipe(probe);
    place(probe, edge, NEEDLE);
    expect_hit(probe, (struct query){edge - 8, edge + 8, true}, edge);
    expect_gap(probe, (struct query){edge - 8, edge + 8, false});
    expect_hit(probe, (struct query){edge + 8, edge, false}, edge);
    place(probe, edge, "dle\0\0");
    expect_nothing(probe, (struct query){edge + 8, edge - 8, true});
    expect_gap(probe, (struct query){edge + 8, edge - 8, false});
}

static void search_space(const struct probe *probe)
{
    const struct boundary *row = probe->row;
    bool below = probe_reach(probe, row->edge - NEAR, NEAR) == NEAR;
    bool above = probe_reach(probe, row->edge, NEAR) == NEAR;
    bool joined = probe_reach(probe, row->edge - 1, 2) == 2;
    if (joined) {
        a_match_may_lie_where_nothing_ends(probe);
    } else if (below) {
        matches_end_at_the_edge(probe);
        no_match_spans_the_edge(probe);
    }
    if (below && !above && row->edge != 0) {
        what_lies_beyond_is_a_gap(probe);
    }
    if (below && row->resume > row->edge && boundary_is_address(row->resume)) {
        a_gap_is_skipped_when_told(probe);
    }
    if (above && probe_reach(probe, row->edge - 1, 1) == 0) {
        matches_begin_at_the_lower_edge(probe);
    }
    world_expect_equal(probe->world);
}

static void searches_keep_to_the_edge(void **state)
{
    const struct boundary *row = *state;
    struct probe probe;
    probe_build(&probe, &group_world, row);
    for (int space = 0; space < NUM_SPACES; space++) {
        if (row->spaces >> space & 1) {
            probe_use(&probe, (enum space)space);
            search_space(&probe);
        }
    }
}

int main(void)
{
    static struct CMUnitTest tests[256];
    assert_true(num_boundaries <= sizeof(tests) / sizeof(tests[0]));
    for (size_t i = 0; i < num_boundaries; i++) {
        tests[i] = (struct CMUnitTest){.name = boundaries[i].name,
                                       .test_func = searches_keep_to_the_edge,
                                       .initial_state = &boundaries[i]};
    }
    return _cmocka_run_group_tests("searches", tests, num_boundaries, group_world_open,
                                   group_world_close);
}
