// WinDbg's promises over a debuggee that reaches so many bytes and no more.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "client_fixture.h"
#include "conformance/windbg.h"
#include "protocol/bytes.h"
#include "protocol/status.h"

enum { ROOT = 0x7000, AT = 0x2000, ASKED = 16 };

// What the debuggee can reach from AT on.
struct reach {
    uint32_t bytes;
    bool silent;
};

static void answer_context(struct fake *fake, const uint8_t *request)
{
    uint8_t registers[8];
    store_le(registers, 8, ROOT);
    struct packet reply = {
        .kind = PACKET_CONTEXT,
        .context = {.cpu_mode = 5, .mask = DBG_CTX_PART_FLAG(cr3), .registers = registers}};
    fake_reply(fake, request, &reply);
}

static void answer_moved(struct fake *fake, const struct packet *asked, const uint8_t *request)
{
    static const uint8_t data[] = "0123456789abcdef";
    const struct reach *reach = fake->user;
    bool is_read = asked->kind == PACKET_READ_LINEAR;
    uint64_t root = is_read ? asked->read_linear.root : asked->write_linear.root;
    uint64_t address = is_read ? asked->read_linear.address : asked->write_linear.address;
    assert_int_equal(root, ROOT);
    assert_int_equal(address, AT);
    struct packet refusal = {.kind = PACKET_STATUS, .status = {.status = 0xC0000021}};
    struct packet written = {.kind = PACKET_SUCCESS, .success = {.value = reach->bytes}};
    struct packet read = {
        .kind = PACKET_LINEAR_DATA,
        .linear_data = {.root = ROOT, .address = AT, .length = reach->bytes, .data = data}};
    if (reach->bytes == 0) {
        fake_reply(fake, request, &refusal);
    } else {
        fake_reply(fake, request, is_read ? &read : &written);
    }
}

static void answer_reach(struct fake *fake, const uint8_t *request, size_t len)
{
    const struct reach *reach = fake->user;
    struct packet asked;
    assert_int_equal(packet_read(PROTOCOL_V2, request, len, &asked), PACKET_OK);
    if (asked.kind == PACKET_GET_CONTEXT) {
        answer_context(fake, request);
    } else if (!reach->silent) {
        answer_moved(fake, &asked, request);
    }
}

// --- rows -----------------------------------------------------------------------------------

typedef uint32_t move_fn(PPS_ENGINE engine, uint64_t offset, void *buffer, uint32_t len,
                         uint32_t *moved);

struct row {
    const char *name;
    move_fn *move;
    struct reach reach;
    uint32_t result;
    uint32_t moved;
};

static struct row rows[] = {
    {"dbgeng read of everything: S_OK", DbgEngReadVirtual, {16, false}, WINDBG_S_OK, 16},
    {"dbgeng read of a part: S_OK and the count", DbgEngReadVirtual, {5, false}, WINDBG_S_OK, 5},
    {"dbgeng read of nothing: E_FAIL", DbgEngReadVirtual, {0, false}, WINDBG_E_FAIL, 0},
    {"dbgeng read without an answer: E_FAIL", DbgEngReadVirtual, {0, true}, WINDBG_E_FAIL, 0},
    {"dbgeng write of everything: S_OK", DbgEngWriteVirtual, {16, false}, WINDBG_S_OK, 16},
    {"dbgeng write of a part: S_OK and the count", DbgEngWriteVirtual, {1, false}, WINDBG_S_OK, 1},
    {"dbgeng write of nothing: E_FAIL", DbgEngWriteVirtual, {0, false}, WINDBG_E_FAIL, 0},
    {"wdbgexts read of everything: TRUE", WdbgExtsReadMemory, {16, false}, WINDBG_TRUE, 16},
    {"wdbgexts read of a part: FALSE and the count",
     WdbgExtsReadMemory,
     {5, false},
     WINDBG_FALSE,
     5},
    {"wdbgexts read of nothing: FALSE", WdbgExtsReadMemory, {0, false}, WINDBG_FALSE, 0},
    {"wdbgexts write of everything: TRUE", WdbgExtsWriteMemory, {16, false}, WINDBG_TRUE, 16},
    {"wdbgexts write of a part: FALSE and the count",
     WdbgExtsWriteMemory,
     {15, false},
     WINDBG_FALSE,
     15},
    {"wdbgexts write of nothing: FALSE", WdbgExtsWriteMemory, {0, false}, WINDBG_FALSE, 0},
};

static void test_row(void **state)
{
    struct row *row = *state;
    uint8_t bytes[ASKED] = {0};
    uint32_t moved = 99;
    struct client client;
    client_open(&client, &(struct client_options){.type = pttPipe,
                                                  .version = PROTOCOL_V2,
                                                  .timeout_ms = row->reach.silent ? SHORT_TIMEOUT_MS
                                                                                  : LONG_TIMEOUT_MS,
                                                  .on_packet = answer_reach,
                                                  .user = &row->reach});
    uint32_t result = row->move(client.engine, AT, bytes, sizeof(bytes), &moved);
    uint32_t uncounted = row->move(client.engine, AT, bytes, sizeof(bytes), NULL);
    client_close(&client);
    assert_int_equal(result, row->result);
    assert_int_equal(uncounted, row->result);
    assert_int_equal(moved, row->moved);
}

static void test_null_pointers(void **state)
{
    (void)state;
    uint8_t byte = 0;
    uint32_t moved = 99;
    assert_int_equal(DbgEngReadVirtual(NULL, 0, &byte, 1, NULL), WINDBG_E_INVALIDARG);
    assert_int_equal(DbgEngWriteVirtual(NULL, 0, NULL, 1, NULL), WINDBG_E_INVALIDARG);
    assert_int_equal(WdbgExtsReadMemory(NULL, 0, &byte, 1, &moved), WINDBG_FALSE);
    assert_int_equal(moved, 0);
    assert_int_equal(WdbgExtsWriteMemory(NULL, 0, NULL, 1, NULL), WINDBG_FALSE);
}

int main(void)
{
    enum { NUM_ROWS = sizeof(rows) / sizeof(rows[0]) };
    struct CMUnitTest tests[NUM_ROWS + 1];
    for (size_t i = 0; i < NUM_ROWS; i++) {
        tests[i] = (struct CMUnitTest){rows[i].name, test_row, NULL, NULL, &rows[i]};
    }
    tests[NUM_ROWS] = (struct CMUnitTest)cmocka_unit_test(test_null_pointers);
    return cmocka_run_group_tests_name("windbg", tests, NULL, NULL);
}
