// The boundary matrix: whatever ends a transfer, in every mode and from every start around it,
// exactly the bytes before it move and no other byte or register changes (clauses D-MEM).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "boundary_rows.h"

enum {
    BEFORE = 9, // starts from there before the edge
    AFTER = 1,  // to there after it
    SHORT = 18, // every length up to this
    MAX_DATA = 61440,
};

static uint8_t ink[MAX_DATA];
static uint8_t expected[MAX_DATA];

// No two neighbouring bytes of a page are equal, and no two transfers bring the same.
static void refresh_ink(uint32_t len)
{
    static uint32_t count = 0;
    count++;
    for (uint32_t i = 0; i < len; i++) {
        ink[i] = (uint8_t)(1 + (i * 7 + (i >> 8) + count * 31) % 251);
    }
}

struct transfer {
    uint64_t address;
    uint32_t len;
    enum protocol_version version;
};

typedef void transfer_fn(const struct probe *probe, const struct transfer *transfer);

struct data {
    uint32_t len;
    const uint8_t *bytes;
};

// A reply's bytes. Its other fields are the request's.
static struct data data_of(const struct packet *reply, const struct packet *request)
{
    if (reply->kind == PACKET_VIRTUAL_DATA) {
        assert_int_equal(reply->virtual_data.root, request->read_virtual.root);
        assert_int_equal(reply->virtual_data.offset, request->read_virtual.offset);
        assert_int_equal(reply->virtual_data.selector, request->read_virtual.selector);
        return (struct data){reply->virtual_data.length, reply->virtual_data.data};
    }
    if (reply->kind == PACKET_LINEAR_DATA) {
        assert_int_equal(reply->linear_data.root, request->read_linear.root);
        assert_int_equal(reply->linear_data.address, request->read_linear.address);
        return (struct data){reply->linear_data.length, reply->linear_data.data};
    }
    assert_int_equal(reply->kind, PACKET_PHYSICAL_DATA);
    assert_int_equal(reply->physical_data.address, request->read_physical.address);
    return (struct data){reply->physical_data.length, reply->physical_data.data};
}

// True when a status was due, and came.
static bool expect_status(const struct probe *probe, const struct transfer *transfer)
{
    const struct packet *reply = &probe->world->rig.reply;
    if (transfer->len == 0 || probe_reach(probe, transfer->address, transfer->len) != 0) {
        return false;
    }
    assert_int_equal(reply->kind, PACKET_STATUS);
    assert_int_equal(reply->status.status,
                     probe_status(probe, transfer->version, transfer->address));
    return true;
}

static void check_read(const struct probe *probe, const struct transfer *transfer)
{
    struct packet request = probe_read_request(probe, transfer->address, transfer->len);
    probe_ask(probe, transfer->version, &request);
    if (expect_status(probe, transfer)) {
        return;
    }
    struct data data = data_of(&probe->world->rig.reply, &request);
    assert_int_equal(data.len, probe_reach(probe, transfer->address, transfer->len));
    assert_int_equal(probe->world->rig.reply_len,
                     packet_size(probe->world->rig.reply.kind) + data.len);
    probe_peek(probe, transfer->address, expected, data.len);
    assert_memory_equal(data.bytes, expected, data.len);
}

static void check_write(const struct probe *probe, const struct transfer *transfer)
{
    refresh_ink(transfer->len);
    struct packet request = probe_write_request(probe, transfer->address, ink, transfer->len);
    probe_ask(probe, transfer->version, &request);
    if (expect_status(probe, transfer)) {
        return;
    }
    uint64_t moved = probe_reach(probe, transfer->address, transfer->len);
    assert_int_equal(probe->world->rig.reply.kind, PACKET_SUCCESS);
    assert_int_equal(probe->world->rig.reply.success.value, moved);
    probe_poke_twin(probe, transfer->address, ink, moved);
}

// Long transfers before short ones and lower starts before higher: what one of them changes
// outside its bytes is overwritten by none that follows, so one comparison finds it.
static void check_start(const struct probe *probe, uint64_t address, transfer_fn *check)
{
    static const uint32_t lens[] = {0x1001, 0x1000};
    struct transfer transfer = {.address = address};
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2; version++) {
        transfer.version = (enum protocol_version)version;
        for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
            transfer.len = lens[i];
            check(probe, &transfer);
        }
        for (uint32_t len = 0; len <= SHORT; len++) {
            transfer.len = SHORT - len;
            check(probe, &transfer);
        }
        world_expect_equal(probe->world);
    }
}

// The largest transfers: one byte of which lies beyond, none, all but one.
static void check_largest(const struct probe *probe, transfer_fn *check)
{
    const struct boundary *row = probe->row;
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2; version++) {
        struct transfer transfer = {.version = (enum protocol_version)version};
        uint32_t most = probe_max(probe, transfer.version);
        uint64_t starts[] = {row->edge - most - 1, row->edge - most, row->edge - most + 1,
                             row->edge - 1};
        transfer.len = most;
        for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
            transfer.address = starts[i];
            check(probe, &transfer);
        }
        world_expect_equal(probe->world);
    }
}

// Is there room for the largest transfer below the edge, and is there an edge?
static bool has_span(const struct probe *probe)
{
    const struct boundary *row = probe->row;
    return probe->num_runs != 0 && probe->runs[0].last == row->edge - 1 &&
           row->edge - probe->runs[0].first > MAX_DATA;
}

static void check_space(const struct probe *probe, transfer_fn *check)
{
    const struct boundary *row = probe->row;
    if (has_span(probe)) {
        check_largest(probe, check);
    }
    for (uint64_t i = 0; i <= BEFORE + AFTER; i++) {
        uint64_t address = row->edge - BEFORE + i;
        bool is_below_zero = row->edge != 0 && row->edge < BEFORE && i < BEFORE - row->edge;
        if (!is_below_zero) {
            check_start(probe, address, check);
        }
    }
    if (boundary_is_address(row->resume)) {
        for (uint64_t i = 0; i < 4; i++) {
            check_start(probe, row->resume - 2 + i, check);
        }
    }
}

// Letters everywhere, so that no two bytes near each other are equal.
static void fill(const struct probe *probe)
{
    for (size_t i = 0; i < probe->num_runs; i++) {
        uint64_t first = probe->runs[i].first;
        uint64_t last = probe->runs[i].last;
        uint64_t edge = probe->row->edge;
        bool holds_edge = edge - first <= last - first + 1;
        uint64_t from = holds_edge && edge - first > 64 ? edge - 64 : first;
        uint64_t len = last - from < 127 ? last - from + 1 : 128;
        refresh_ink((uint32_t)len);
        probe_poke(probe, from, ink, len);
    }
}

static void expect_too_much(const struct probe *probe, enum protocol_version version)
{
    uint32_t len = probe_max(probe, version) + 1;
    struct packet request = probe_read_request(probe, probe->row->edge - 1, len);
    probe_ask(probe, version, &request);
    assert_int_equal(group_world.rig.reply.kind, PACKET_STATUS);
    assert_int_equal(group_world.rig.reply.status.status,
                     version == PROTOCOL_V1 ? 0xC0000020 : 0xC0000031);
}

// One byte more than fits into a reply, although all but one would be cut off.
static void check_too_much(const struct probe *probe)
{
    expect_too_much(probe, PROTOCOL_V1);
    expect_too_much(probe, PROTOCOL_V2);
}

static void check_row(const struct boundary *row, transfer_fn *check)
{
    struct probe probe;
    probe_build(&probe, &group_world, row);
    world_expect_equal(&group_world);
    for (int space = 0; space < NUM_SPACES; space++) {
        if (row->spaces >> space & 1) {
            probe_use(&probe, (enum space)space);
            fill(&probe);
            check_too_much(&probe);
            check_space(&probe, check);
        }
    }
}

static void reads_end_exactly_there(void **state)
{
    check_row(*state, check_read);
}

static void writes_end_exactly_there(void **state)
{
    check_row(*state, check_write);
}

static int run_rows(const char *group, CMUnitTestFunction test)
{
    static struct CMUnitTest tests[256];
    assert_true(num_boundaries <= sizeof(tests) / sizeof(tests[0]));
    for (size_t i = 0; i < num_boundaries; i++) {
        tests[i] = (struct CMUnitTest){
            .name = boundaries[i].name, .test_func = test, .initial_state = &boundaries[i]};
    }
    return _cmocka_run_group_tests(group, tests, num_boundaries, group_world_open,
                                   group_world_close);
}

int main(void)
{
    int failed = run_rows("reads", reads_end_exactly_there);
    return failed + run_rows("writes", writes_end_exactly_there);
}
