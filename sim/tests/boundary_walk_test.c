// Walks and translations on both sides of every boundary (clauses D-WALK).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "boundary_requests.h"
#include "boundary_rows.h"

enum {
    NO_ENTRY = 0xFF,
    MODE_5LEVEL = 4,
};

static int open_compat_world(void **state)
{
    (void)state;
    world_open(&group_world, true);
    return 0;
}

// What a walk and a translation answer: a status, or the fields of a reply.
struct answer {
    bool refused; // INVALID_TRANSLATION of the walk, too
    bool valid;
    uint8_t count;
    uint8_t last;
    uint64_t phys;
};

static struct packet walk_request(const struct probe *probe, uint64_t address)
{
    uint64_t root = probe->world->root;
    if (probe->space == SPACE_LINEAR) {
        return (struct packet){.kind = PACKET_WALK_LINEAR,
                               .walk_linear = {.root = root, .address = address}};
    }
    return (struct packet){.kind = PACKET_WALK_VIRTUAL,
                           .walk_virtual = {.root = root,
                                            .selector = probe_selector(probe),
                                            .offset = probe_offset(probe, address)}};
}

static struct packet translate_request(const struct probe *probe, uint64_t address)
{
    uint64_t root = probe->world->root;
    if (probe->space == SPACE_LINEAR) {
        return (struct packet){.kind = PACKET_LINEAR_TO_PHYSICAL,
                               .linear_to_physical = {.root = root, .address = address}};
    }
    return (struct packet){.kind = PACKET_VIRTUAL_TO_PHYSICAL,
                           .virtual_to_physical = {.root = root,
                                                   .selector = probe_selector(probe),
                                                   .offset = probe_offset(probe, address)}};
}

static void check_entries(const struct probe *probe, uint64_t address, const struct answer *answer)
{
    const uint8_t *bytes = probe->world->rig.reply.walk.entries;
    unsigned levels = world_modes[probe->world->mode].levels;
    uint64_t linear = (address + probe->shift) & probe->linear_mask;
    for (unsigned i = 0; i < answer->count; i++) {
        uint64_t entry = 0;
        memcpy(&entry, bytes + (size_t)8 * i, sizeof(entry));
        assert_int_equal(entry, world_entry(probe->world, linear, levels - i));
    }
}

static void check_walk(const struct probe *probe, enum protocol_version version, uint64_t address,
                       const struct answer *answer)
{
    const struct packet *reply = &probe->world->rig.reply;
    uint8_t mode = world_modes[probe->world->mode].walk_mode;
    struct packet request = walk_request(probe, address);
    probe_ask(probe, version, &request);
    if (version == PROTOCOL_V1 && mode == MODE_5LEVEL) {
        expect_status(reply, INVALID_CPU_MODE_V1);
        return;
    }
    if (answer->refused) {
        expect_status(reply, version == PROTOCOL_V1 ? INVALID_TRANSLATION_V1 : INVALID_TRANSLATION);
        return;
    }
    assert_int_equal(reply->kind, PACKET_WALK);
    assert_int_equal(reply->walk.mode, mode);
    assert_int_equal(reply->walk.valid, answer->valid);
    assert_int_equal(reply->walk.count, answer->count);
    assert_int_equal(reply->walk.last_valid, answer->last);
    assert_int_equal(probe->world->rig.reply_len, 12 + 8 * answer->count);
    check_entries(probe, address, answer);
}

static void check_translation(const struct probe *probe, enum protocol_version version,
                              uint64_t address, const struct answer *answer)
{
    const struct packet *reply = &probe->world->rig.reply;
    struct packet request = translate_request(probe, address);
    probe_ask(probe, version, &request);
    if (!answer->valid) {
        expect_status(reply, version == PROTOCOL_V1 ? INVALID_TRANSLATION_V1 : INVALID_TRANSLATION);
        return;
    }
    assert_int_equal(reply->kind, PACKET_PHYSICAL_ADDRESS);
    assert_int_equal(reply->physical_address.address, answer->phys);
}

static bool is_canonical_hole(const struct probe *probe, uint64_t address)
{
    unsigned levels = world_modes[probe->world->mode].levels;
    uint64_t half = levels == 5 ? UINT64_C(1) << 56 : UINT64_C(1) << 47;
    return levels >= 4 && address >= half && address < -half;
}

// Without a page: what stands in the row, no table at all, or a refusal.
static struct answer answer_beyond(const struct probe *probe, uint64_t address)
{
    const struct boundary *row = probe->row;
    if (row->kind == KIND_PAGE) {
        uint64_t phys = WORLD_PROTECTED + (address - row->edge);
        return (struct answer){false, row->valid, row->count, row->last, phys};
    }
    // Without paging every address of 32 bits is a physical one, whatever lies there.
    if (world_modes[row->mode].levels == 0 && row->kind == KIND_EDGE && address <= UINT32_MAX) {
        return (struct answer){.valid = true, .last = NO_ENTRY, .phys = address};
    }
    // A walk may ask for any linear address of its width, but an offset leads to a canonical one.
    if (probe->space == SPACE_LINEAR && is_canonical_hole(probe, address)) {
        return (struct answer){.last = NO_ENTRY};
    }
    return (struct answer){.refused = true};
}

static struct answer answer_at(const struct probe *probe, uint64_t address)
{
    const struct boundary *row = probe->row;
    unsigned levels = world_modes[row->mode].levels;
    if (probe_reach(probe, address, 1) == 0) {
        return answer_beyond(probe, address);
    }
    bool below = row->kind == KIND_PAGE && address < row->edge;
    struct answer answer = {.valid = true, .count = below ? row->before : (uint8_t)levels};
    answer.last = answer.count != 0 ? (uint8_t)(answer.count - 1) : NO_ENTRY;
    answer.phys = world_phys(probe->world, (address + probe->shift) & probe->linear_mask);
    return answer;
}

static void check_address(const struct probe *probe, uint64_t address)
{
    struct answer answer = answer_at(probe, address);
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2; version++) {
        check_walk(probe, (enum protocol_version)version, address, &answer);
        check_translation(probe, (enum protocol_version)version, address, &answer);
    }
}

// The published client takes 20 bytes: one entry, 0 when none was read (clause D-V1-18).
static void check_compat_address(const struct probe *probe, uint64_t address)
{
    struct answer answer = answer_at(probe, address);
    const struct rig *rig = &probe->world->rig;
    unsigned levels = world_modes[probe->world->mode].levels;
    uint64_t linear = (address + probe->shift) & probe->linear_mask;
    struct packet request = walk_request(probe, address);
    probe_ask(probe, PROTOCOL_V1, &request);
    if (answer.refused || levels == 5) {
        expect_status(&rig->reply, levels == 5 ? INVALID_CPU_MODE_V1 : INVALID_TRANSLATION_V1);
        return;
    }
    uint64_t entry = 0;
    assert_int_equal(rig->reply_len, 20);
    assert_int_equal(rig->reply.kind, PACKET_WALK);
    assert_int_equal(rig->reply.walk.valid, answer.valid);
    assert_int_equal(rig->reply.walk.count, 1);
    assert_int_equal(rig->reply.walk.last_valid, 0);
    memcpy(&entry, rig->reply.walk.entries, sizeof(entry));
    assert_int_equal(entry, answer.count != 0 ? world_entry(probe->world, linear, levels) : 0);
}

typedef void check_fn(const struct probe *probe, uint64_t address);

static void check_row(const struct boundary *row, check_fn *check)
{
    struct probe probe;
    probe_build(&probe, &group_world, row);
    for (int space = SPACE_VIRTUAL; space <= SPACE_LINEAR; space++) {
        if ((row->spaces >> space & 1) == 0) {
            continue;
        }
        probe_use(&probe, (enum space)space);
        for (uint64_t i = 0; i < 3; i++) {
            check(&probe, row->edge - 1 + i);
        }
        if (boundary_is_address(row->resume)) {
            check(&probe, row->resume - 1);
            check(&probe, row->resume);
        }
    }
    world_expect_equal(&group_world);
}

static void walks_tell_the_sides_apart(void **state)
{
    check_row(*state, check_address);
}

static void walks_are_bent_for_the_2018_client(void **state)
{
    check_row(*state, check_compat_address);
}

static int run_rows(const char *group, CMUnitTestFunction test, CMFixtureFunction open)
{
    static struct CMUnitTest tests[256];
    assert_true(num_boundaries <= sizeof(tests) / sizeof(tests[0]));
    for (size_t i = 0; i < num_boundaries; i++) {
        tests[i] = (struct CMUnitTest){
            .name = boundaries[i].name, .test_func = test, .initial_state = &boundaries[i]};
    }
    return _cmocka_run_group_tests(group, tests, num_boundaries, open, group_world_close);
}

int main(void)
{
    int failed = run_rows("walks", walks_tell_the_sides_apart, group_world_open);
    return failed + run_rows("bent", walks_are_bent_for_the_2018_client, open_compat_world);
}
