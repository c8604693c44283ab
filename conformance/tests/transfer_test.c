// Transfers in chunks: how they are cut, and what each way of ending early returns and counts.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "client_fixture.h"
#include "fake_memory.h"
#include "protocol/status.h"

enum { BUFFER_SIZE = 4 * PACKET_MAX_V2 };

// --- the calls ------------------------------------------------------------------------------

// The address is low, so that ports and memory can share it.
#define AT UINT64_C(0x1000)

typedef PULSE_STATUS transfer_fn(PPS_ENGINE engine, uint8_t *bytes, uint64_t len, uint64_t *moved);

#define TRANSFER(name, ...)                                                                        \
    static PULSE_STATUS name(PPS_ENGINE engine, uint8_t *bytes, uint64_t len, uint64_t *moved)     \
    {                                                                                              \
        PS_CACHE_TYPE cache = pctUncacheable;                                                      \
        (void)cache;                                                                               \
        return __VA_ARGS__;                                                                        \
    }

TRANSFER(read_virtual, PsReadVirtualMemory(engine, 0, 0x10, AT, bytes, len, moved))
TRANSFER(write_virtual, PsWriteVirtualMemory(engine, 0, 0x10, AT, bytes, len, moved))
TRANSFER(read_linear, PsReadLinearMemory(engine, 0, AT, bytes, len, moved))
TRANSFER(write_linear, PsWriteLinearMemory(engine, 0, AT, bytes, len, moved))
TRANSFER(read_physical, PsReadPhysicalMemory(engine, AT, bytes, len, moved))
TRANSFER(write_physical, PsWritePhysicalMemory(engine, AT, bytes, len, moved))
TRANSFER(read_io, PsReadIo(engine, (uint16_t)AT, 4, bytes, len, moved))
TRANSFER(write_io, PsWriteIo(engine, (uint16_t)AT, 4, bytes, len, moved))
TRANSFER(read_mmio_virtual, PsReadMmioVirtual(engine, 0, 0x10, AT, 8, &cache, bytes, len, moved))
TRANSFER(write_mmio_virtual, PsWriteMmioVirtual(engine, 0, 0x10, AT, 8, &cache, bytes, len, moved))
TRANSFER(read_mmio_linear, PsReadMmioLinear(engine, 0, AT, 8, &cache, bytes, len, moved))
TRANSFER(write_mmio_linear, PsWriteMmioLinear(engine, 0, AT, 8, &cache, bytes, len, moved))
TRANSFER(read_mmio_physical, PsReadMmioPhysical(engine, AT, 8, &cache, bytes, len, moved))
TRANSFER(write_mmio_physical, PsWriteMmioPhysical(engine, AT, 8, &cache, bytes, len, moved))

static void open_memory(struct client *client, struct fake_memory *memory, uint32_t version,
                        PS_TRANSPORT_TYPE type)
{
    memory->matches = true;
    bool is_silent = memory->ending == END_SILENCE;
    client_open(client, &(struct client_options){
                            .type = type,
                            .version = version,
                            .timeout_ms = is_silent ? SHORT_TIMEOUT_MS : LONG_TIMEOUT_MS,
                            .on_packet = fake_memory_answer,
                            .user = memory,
                        });
}

// --- how they are cut -----------------------------------------------------------------------

struct cut {
    const char *name;
    uint32_t version;
    transfer_fn *transfer;
    uint32_t max;
    bool stays; // the port does not rise
    bool is_write;
};

static struct cut cuts[] = {
    {"version 2, virtual read: 61,410", 2, read_virtual, 61410, false, false},
    {"version 2, virtual write: 61,410", 2, write_virtual, 61410, false, true},
    {"version 2, linear read: 61,412", 2, read_linear, 61412, false, false},
    {"version 2, linear write: 61,412", 2, write_linear, 61412, false, true},
    {"version 2, physical read: 61,420", 2, read_physical, 61420, false, false},
    {"version 2, physical write: 61,420", 2, write_physical, 61420, false, true},
    {"version 2, port read: 61,424", 2, read_io, 61424, true, false},
    {"version 2, port write: 61,424", 2, write_io, 61424, true, true},
    {"version 2, virtual MMIO read: 61,408", 2, read_mmio_virtual, 61408, false, false},
    {"version 2, virtual MMIO write: 61,408", 2, write_mmio_virtual, 61408, false, true},
    {"version 2, linear MMIO read: 61,410 down to whole accesses", 2, read_mmio_linear, 61408,
     false, false},
    {"version 2, linear MMIO write: 61,410 down to whole accesses", 2, write_mmio_linear, 61408,
     false, true},
    {"version 2, physical MMIO read: 61,418 down to whole accesses", 2, read_mmio_physical, 61416,
     false, false},
    {"version 2, physical MMIO write: 61,418 down to whole accesses", 2, write_mmio_physical, 61416,
     false, true},
    {"version 1, virtual read: 16,354", 1, read_virtual, 16354, false, false},
    {"version 1, virtual write: 16,354", 1, write_virtual, 16354, false, true},
    {"version 1, linear read: 16,356", 1, read_linear, 16356, false, false},
    {"version 1, linear write: 16,356", 1, write_linear, 16356, false, true},
    {"version 1, physical read: 16,364", 1, read_physical, 16364, false, false},
    {"version 1, physical write: 16,364", 1, write_physical, 16364, false, true},
    {"version 1, port read: 16,368", 1, read_io, 16368, true, false},
    {"version 1, port write: 16,368", 1, write_io, 16368, true, true},
};

static void test_cut(void **state)
{
    const struct cut *cut = *state;
    static uint8_t bytes[BUFFER_SIZE];
    static uint8_t expected[BUFFER_SIZE];
    size_t len = 2 * cut->max + 8;
    struct fake_memory memory = {0};
    struct client client;
    open_memory(&client, &memory, cut->version, pttPipe);
    // What a read has to bring, and a write to take.
    for (size_t at = 0; at < len; at += cut->stays ? cut->max : len) {
        size_t part = len - at < cut->max ? len - at : cut->max;
        fake_memory_fill(expected + at, AT, cut->stays ? part : len);
    }
    memset(bytes, 0, len);
    memcpy(bytes, expected, cut->is_write ? len : 0);
    uint64_t moved = 0;
    PULSE_STATUS status = cut->transfer(client.engine, bytes, len, &moved);
    client_close(&client);

    assert_int_equal(status, PULSE_STATUS_SUCCESS);
    assert_int_equal(moved, len);
    assert_memory_equal(bytes, expected, len);
    assert_true(memory.matches);
    assert_int_equal(memory.num_chunks, 3);
    assert_int_equal(memory.lengths[0], cut->max);
    assert_int_equal(memory.lengths[1], cut->max);
    assert_int_equal(memory.lengths[2], 8);
}

static void test_every_byte_arrives(void **state)
{
    const PS_TRANSPORT_TYPE *type = *state;
    static uint8_t bytes[BUFFER_SIZE];
    static uint8_t expected[BUFFER_SIZE];
    struct fake_memory memory = {0};
    struct client client;
    open_memory(&client, &memory, PROTOCOL_V2, *type);
    fake_memory_fill(expected, AT, sizeof(expected));
    uint64_t moved = 0;
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(read_linear(client.engine, bytes, sizeof(bytes), &moved), 0);
    assert_int_equal(moved, sizeof(bytes));
    assert_memory_equal(bytes, expected, sizeof(bytes));
    assert_int_equal(write_linear(client.engine, bytes, sizeof(bytes), &moved), 0);
    assert_int_equal(moved, sizeof(bytes));
    client_close(&client);
    assert_true(memory.matches);
}

// --- how they end ---------------------------------------------------------------------------

struct end_row {
    const char *name;
    uint32_t version;
    transfer_fn *transfer;
    enum ending ending;
    size_t ends_at;
    uint32_t status;
    uint64_t moved;
};

static struct end_row ends[] = {
    {"read, first chunk short: PARTIAL and its count", 2, read_linear, END_SHORT, 0, 1, 61411},
    {"read, second chunk short: PARTIAL and the sum", 2, read_linear, END_SHORT, 1, 1,
     2 * 61412 - 1},
    {"read, first chunk refused: its status", 2, read_linear, END_STATUS, 0, 0xC0000021, 0},
    {"read, second chunk refused: PARTIAL and the first", 2, read_linear, END_STATUS, 1, 1, 61412},
    {"read, first chunk silent: TIMEOUT", 2, read_linear, END_SILENCE, 0, 0xC0000007, 0},
    {"read, second chunk silent: TIMEOUT and the first", 2, read_linear, END_SILENCE, 1, 0xC0000007,
     61412},
    {"read, second chunk invalid: INVALID_PACKET and the first", 2, read_linear, END_INVALID, 1,
     0xC0000031, 61412},
    {"write, first chunk short: PARTIAL and its count", 2, write_linear, END_SHORT, 0, 2, 61411},
    {"write, second chunk short: PARTIAL and the sum", 2, write_linear, END_SHORT, 1, 2,
     2 * 61412 - 1},
    {"write, first chunk refused: its status", 2, write_linear, END_STATUS, 0, 0xC0000021, 0},
    {"write, second chunk refused: PARTIAL and the first", 2, write_linear, END_STATUS, 1, 2,
     61412},
    {"write, second chunk silent: TIMEOUT and the first", 2, write_linear, END_SILENCE, 1,
     0xC0000007, 61412},
    {"write, second chunk invalid: INVALID_PACKET and the first", 2, write_linear, END_INVALID, 1,
     0xC0000031, 61412},
    {"MMIO write, second chunk refused: PARTIAL and the first", 2, write_mmio_linear, END_STATUS, 1,
     2, 61408},
    {"version 1 read, second chunk refused: 5 and the first", 1, read_linear, END_STATUS, 1, 5,
     16356},
    {"version 1 write, second chunk refused: 6 and the first", 1, write_linear, END_STATUS, 1, 6,
     16356},
    {"version 1 read, second chunk silent: NO_PACKET and the first", 1, read_linear, END_SILENCE, 1,
     0xC0000018, 16356},
};

static void test_end(void **state)
{
    const struct end_row *row = *state;
    static uint8_t bytes[BUFFER_SIZE];
    struct fake_memory memory = {.ending = row->ending, .ends_at = row->ends_at};
    struct client client;
    open_memory(&client, &memory, row->version, pttPipe);
    uint64_t moved = 99;
    PULSE_STATUS status = row->transfer(client.engine, bytes, UINT64_C(3) * 61408, &moved);
    client_close(&client);
    assert_int_equal(status, row->status);
    assert_int_equal(moved, row->moved);
    assert_int_equal(memory.num_chunks, row->ends_at + 1);
}

// --- edges ----------------------------------------------------------------------------------

static void test_a_transfer_does_not_wrap_around(void **state)
{
    (void)state;
    static uint8_t bytes[BUFFER_SIZE];
    struct fake_memory memory = {0};
    struct client client;
    open_memory(&client, &memory, PROTOCOL_V2, pttPipe);
    uint64_t moved = 0;
    PULSE_STATUS status =
        PsReadLinearMemory(client.engine, 0, UINT64_C(0) - 61412, bytes, 61412 + 1, &moved);
    assert_int_equal(status, PULSE_STATUS_PARTIAL_READ);
    assert_int_equal(moved, 61412);
    status = PsReadLinearMemory(client.engine, 0, UINT64_C(0) - 61412, bytes, 61412, &moved);
    assert_int_equal(status, PULSE_STATUS_SUCCESS);
    client_close(&client);
    assert_int_equal(memory.num_chunks, 2);
}

static void test_a_read_of_nothing_is_asked_in_version_2(void **state)
{
    (void)state;
    uint8_t byte = 0;
    uint64_t moved = 1;
    struct fake_memory memory = {0};
    struct client client;
    open_memory(&client, &memory, PROTOCOL_V2, pttPipe);
    assert_int_equal(read_linear(client.engine, &byte, 0, &moved), PULSE_STATUS_SUCCESS);
    client_close(&client);
    assert_int_equal(moved, 0);
    assert_int_equal(memory.num_chunks, 1);
}

// A debuggee would move the first chunk before it could refuse the last.
static void test_a_large_port_transfer_has_whole_accesses(void **state)
{
    (void)state;
    static uint8_t bytes[BUFFER_SIZE];
    PS_CACHE_TYPE cache = pctUncacheable;
    struct fake_memory memory = {0};
    struct client client;
    open_memory(&client, &memory, PROTOCOL_V2, pttPipe);
    assert_int_equal(PsReadIo(client.engine, 0x60, 4, bytes, 61426, NULL),
                     PULSE_STATUS_NOT_ALIGNED);
    assert_int_equal(PsWriteIo(client.engine, 0x60, 3, bytes, 61426, NULL),
                     PULSE_STATUS_INVALID_ACCESS_SIZE);
    assert_int_equal(PsReadMmioPhysical(client.engine, 0, 4, &cache, bytes, 61422, NULL),
                     PULSE_STATUS_INVALID_PARAMETER);
    client_close(&client);
    assert_int_equal(memory.num_chunks, 0);
}

#define LENGTH(rows) (sizeof(rows) / sizeof((rows)[0]))

int main(void)
{
    static PS_TRANSPORT_TYPE types[] = {pttNet, pttTcp, pttPipe, pttSerial};
    struct CMUnitTest tests[LENGTH(cuts) + LENGTH(ends) + 16];
    size_t num_tests = 0;
    for (size_t i = 0; i < LENGTH(cuts); i++) {
        tests[num_tests++] = (struct CMUnitTest){cuts[i].name, test_cut, NULL, NULL, &cuts[i]};
    }
    for (size_t i = 0; i < LENGTH(ends); i++) {
        tests[num_tests++] = (struct CMUnitTest){ends[i].name, test_end, NULL, NULL, &ends[i]};
    }
    static const char *names[] = {"every byte arrives over UDP", "every byte arrives over TCP",
                                  "every byte arrives over a Unix socket",
                                  "every byte arrives over a pty"};
    for (size_t i = 0; i < LENGTH(types); i++) {
        tests[num_tests++] =
            (struct CMUnitTest){names[i], test_every_byte_arrives, NULL, NULL, &types[i]};
    }
    const struct CMUnitTest edges[] = {
        cmocka_unit_test(test_a_transfer_does_not_wrap_around),
        cmocka_unit_test(test_a_read_of_nothing_is_asked_in_version_2),
        cmocka_unit_test(test_a_large_port_transfer_has_whole_accesses),
    };
    for (size_t i = 0; i < LENGTH(edges); i++) {
        tests[num_tests++] = edges[i];
    }
    return _cmocka_run_group_tests("transfers", tests, num_tests, NULL, NULL);
}
