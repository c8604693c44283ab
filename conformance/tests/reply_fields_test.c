// What stands in a reply: echoes of the request, numbers of bytes and entries, and what each says.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "protocol/registers.h"
#include "protocol/status.h"
#include "rule.h"

// --- calls ----------------------------------------------------------------------------------

enum { ASKED = 16 };

static PULSE_STATUS call_read_linear(PPS_ENGINE engine)
{
    uint8_t bytes[ASKED];
    return PsReadLinearMemory(engine, 0x1000, 0x2000, bytes, sizeof(bytes), NULL);
}

static PULSE_STATUS call_write_linear(PPS_ENGINE engine)
{
    uint8_t bytes[ASKED] = {0};
    return PsWriteLinearMemory(engine, 0x1000, 0x2000, bytes, sizeof(bytes), NULL);
}

static PULSE_STATUS call_read_virtual(PPS_ENGINE engine)
{
    uint8_t bytes[ASKED];
    return PsReadVirtualMemory(engine, 0x1000, 0x10, 0x2000, bytes, sizeof(bytes), NULL);
}

static PULSE_STATUS call_read_physical(PPS_ENGINE engine)
{
    uint8_t bytes[ASKED];
    return PsReadPhysicalMemory(engine, 0x2000, bytes, sizeof(bytes), NULL);
}

static PULSE_STATUS call_read_io(PPS_ENGINE engine)
{
    uint8_t bytes[ASKED];
    return PsReadIo(engine, 0x60, 4, bytes, sizeof(bytes), NULL);
}

static PULSE_STATUS call_read_mmio(PPS_ENGINE engine)
{
    uint8_t bytes[ASKED];
    PS_CACHE_TYPE cache = pctWriteBack;
    PULSE_STATUS status =
        PsReadMmioLinear(engine, 0x1000, 0x2000, 4, &cache, bytes, sizeof(bytes), NULL);
    assert_int_equal(cache, status == PULSE_STATUS_SUCCESS ? pctUncacheable : pctWriteBack);
    return status;
}

static PULSE_STATUS call_get_context(PPS_ENGINE engine)
{
    PS_CTX context;
    return PsGetContext(engine, &context, DBG_CTX_PART_FLAG(cr3), NULL);
}

static PULSE_STATUS call_get_extended(PPS_ENGINE engine)
{
    PS_CTX_EXT context;
    uint64_t mask = DBG_CTX_EX_PART_FLAG(xcr0) | DBG_CTX_EX_PART_FLAG(mxcsr);
    return PsGetExtendedContext(engine, &context, 0, &mask);
}

static PULSE_STATUS call_walk(PPS_ENGINE engine)
{
    PS_PAGE_WALK_INFO info;
    return PsWalkPageLinear(engine, 0x1000, 0x2000, &info);
}

static PULSE_STATUS call_set_breakpoint(PPS_ENGINE engine)
{
    return PsSetBreakPoint(engine, 0x2000, NULL);
}

static PULSE_STATUS call_total_breakpoints(PPS_ENGINE engine)
{
    uint16_t total = 0;
    return PsGetBreakPointInfo(engine, NULL, 1, NULL, &total);
}

static PULSE_STATUS call_filters(PPS_ENGINE engine)
{
    static PS_BREAK_POINT_FILTER_INFO filters[PS_MAX_BREAK_POINT_FILTERS];
    uint16_t count = 0;
    return PsGetBreakPointFilterInfo(engine, filters, 1, 0, &count);
}

// --- answers --------------------------------------------------------------------------------

static void answer_linear(struct fake *fake, const uint8_t *request, uint32_t len, uint64_t address)
{
    static const uint8_t data[2 * ASKED];
    struct packet reply = {
        .kind = PACKET_LINEAR_DATA,
        .linear_data = {.root = 0x1000, .address = address, .length = len, .data = data}};
    fake_reply(fake, request, &reply);
}

ANSWER(all_bytes)
{
    answer_linear(fake, request, ASKED, 0x2000);
}

ANSWER(fewer_bytes)
{
    answer_linear(fake, request, ASKED - 1, 0x2000);
}

ANSWER(no_bytes)
{
    answer_linear(fake, request, 0, 0x2000);
}

ANSWER(more_bytes)
{
    answer_linear(fake, request, ASKED + 1, 0x2000);
}

ANSWER(other_address)
{
    answer_linear(fake, request, ASKED, 0x2001);
}

static void answer_value(struct fake *fake, const uint8_t *request, uint64_t value)
{
    struct packet reply = {.kind = PACKET_SUCCESS, .success = {.value = value}};
    fake_reply(fake, request, &reply);
}

ANSWER(all_written)
{
    answer_value(fake, request, ASKED);
}

ANSWER(fewer_written)
{
    answer_value(fake, request, 1);
}

ANSWER(more_written)
{
    answer_value(fake, request, ASKED + 1);
}

ANSWER(none_written)
{
    answer_value(fake, request, 0);
}

ANSWER(other_root)
{
    static const uint8_t data[ASKED];
    struct packet reply = {
        .kind = PACKET_VIRTUAL_DATA,
        .virtual_data = {
            .root = 0x3000, .offset = 0x2000, .selector = 0x10, .length = ASKED, .data = data}};
    fake_reply(fake, request, &reply);
}

ANSWER(other_selector)
{
    static const uint8_t data[ASKED];
    struct packet reply = {
        .kind = PACKET_VIRTUAL_DATA,
        .virtual_data = {
            .root = 0x1000, .offset = 0x2000, .selector = 0x18, .length = ASKED, .data = data}};
    fake_reply(fake, request, &reply);
}

ANSWER(other_physical)
{
    static const uint8_t data[ASKED];
    struct packet reply = {.kind = PACKET_PHYSICAL_DATA,
                           .physical_data = {.address = 0x2001, .length = ASKED, .data = data}};
    fake_reply(fake, request, &reply);
}

static void answer_with_port(struct fake *fake, const uint8_t *request, uint16_t port,
                             uint16_t size)
{
    static const uint8_t data[ASKED];
    struct packet reply = {
        .kind = PACKET_IO_DATA,
        .io_data = {.port = port, .length = ASKED, .access_size = size, .data = data}};
    fake_reply(fake, request, &reply);
}

ANSWER(io)
{
    answer_with_port(fake, request, 0x60, 4);
}

ANSWER(other_port)
{
    answer_with_port(fake, request, 0x61, 4);
}

ANSWER(other_access_size)
{
    answer_with_port(fake, request, 0x60, 2);
}

static void answer_with_mmio(struct fake *fake, const uint8_t *request, uint8_t size)
{
    static const uint8_t data[ASKED];
    struct packet reply = {.kind = PACKET_MMIO_LINEAR_DATA,
                           .mmio_linear_data = {.root = 0x1000,
                                                .address = 0x2000,
                                                .access_size = size,
                                                .cache_type = 0,
                                                .length = ASKED,
                                                .data = data}};
    fake_reply(fake, request, &reply);
}

ANSWER(mmio)
{
    answer_with_mmio(fake, request, 4);
}

ANSWER(mmio_other_size)
{
    answer_with_mmio(fake, request, 8);
}

ANSWER(other_mask)
{
    static const uint8_t registers[8];
    struct packet reply = {.kind = PACKET_CONTEXT,
                           .context = {.mask = DBG_CTX_PART_FLAG(rip), .registers = registers}};
    fake_reply(fake, request, &reply);
}

static void answer_extended(struct fake *fake, const uint8_t *request, uint8_t set, uint64_t mask)
{
    static const uint8_t registers[EXTENDED_FULL_SIZE];
    struct packet reply = {
        .kind = PACKET_EXTENDED_CONTEXT,
        .extended_context = {.set_index = set, .mask = mask, .registers = registers}};
    fake_reply(fake, request, &reply);
}

ANSWER(smaller_mask)
{
    answer_extended(fake, request, 0, DBG_CTX_EX_PART_FLAG(xcr0));
}

ANSWER(larger_mask)
{
    answer_extended(fake, request, 0, DBG_CTX_EX_PART_FLAG(xcr0) | DBG_CTX_EX_PART_FLAG(st0));
}

ANSWER(other_set)
{
    answer_extended(fake, request, 1, DBG_CTX_EX_PART_FLAG(xcr0));
}

static void answer_walk(struct fake *fake, const uint8_t *request, uint8_t mode, uint8_t count)
{
    static const uint8_t entries[8 * 16];
    struct packet reply = {.kind = PACKET_WALK,
                           .walk = {.mode = mode, .count = count, .entries = entries}};
    fake_reply(fake, request, &reply);
}

ANSWER(five_levels)
{
    answer_walk(fake, request, pwmLvl5, 5);
}

ANSWER(six_entries)
{
    answer_walk(fake, request, pwmLvl5, 6);
}

ANSWER(five_entries_of_four)
{
    answer_walk(fake, request, pwmLvl4, 5);
}

ANSWER(unknown_walk_mode)
{
    answer_walk(fake, request, 5, 1);
}

ANSWER(wide_id)
{
    answer_value(fake, request, 0x10001);
}

ANSWER(unasked_entry)
{
    static const uint8_t entry[16];
    struct packet reply = {.kind = PACKET_BREAKPOINTS,
                           .breakpoints = {.first = 1, .count = 1, .total = 1, .entries = entry}};
    fake_reply(fake, request, &reply);
}

ANSWER(filters_of_another)
{
    static const uint8_t entry[40];
    struct packet reply = {.kind = PACKET_FILTERS,
                           .filters = {.breakpoint = 2, .count = 1, .total = 1, .entries = entry}};
    fake_reply(fake, request, &reply);
}

ANSWER(status_0)
{
    struct packet reply = {.kind = PACKET_STATUS};
    fake_reply(fake, request, &reply);
}

// --- rows -----------------------------------------------------------------------------------

static struct rule rules[] = {
    {"a linear reply with another address is invalid", pttNet, call_read_linear,
     answer_other_address, INVALID, false},
    {"a virtual reply with another root is invalid", pttNet, call_read_virtual, answer_other_root,
     INVALID, false},
    {"a virtual reply with another selector is invalid", pttNet, call_read_virtual,
     answer_other_selector, INVALID, false},
    {"a physical reply with another address is invalid", pttNet, call_read_physical,
     answer_other_physical, INVALID, false},
    {"a port reply is taken", pttNet, call_read_io, answer_io, OK, false},
    {"a port reply with another port is invalid", pttNet, call_read_io, answer_other_port, INVALID,
     false},
    {"a port reply with another access size is invalid", pttNet, call_read_io,
     answer_other_access_size, INVALID, false},
    {"an MMIO reply may have another cache type", pttNet, call_read_mmio, answer_mmio, OK, false},
    {"an MMIO reply with another access size is invalid", pttNet, call_read_mmio,
     answer_mmio_other_size, INVALID, false},
    {"a context of another mask is invalid", pttNet, call_get_context, answer_other_mask, INVALID,
     false},
    {"an extended context may have fewer registers", pttNet, call_get_extended, answer_smaller_mask,
     OK, false},
    {"an extended context with more registers is invalid", pttNet, call_get_extended,
     answer_larger_mask, INVALID, false},
    {"an extended context of another set is invalid", pttNet, call_get_extended, answer_other_set,
     INVALID, false},
    {"a walk of five levels fits", pttNet, call_walk, answer_five_levels, OK, false},
    {"a walk of six entries is invalid", pttNet, call_walk, answer_six_entries, INVALID, false},
    {"a walk with more entries than levels is invalid", pttNet, call_walk,
     answer_five_entries_of_four, INVALID, false},
    {"a walk of an unknown mode is invalid", pttNet, call_walk, answer_unknown_walk_mode, INVALID,
     false},
    {"a breakpoint id beyond 16 bits is invalid", pttNet, call_set_breakpoint, answer_wide_id,
     INVALID, false},
    {"an entry nobody asked for is invalid", pttNet, call_total_breakpoints, answer_unasked_entry,
     INVALID, false},
    {"filters of another breakpoint are invalid", pttNet, call_filters, answer_filters_of_another,
     INVALID, false},
    {"a data reply of all bytes is success", pttNet, call_read_linear, answer_all_bytes, OK, false},
    {"a short data reply is a partial read", pttNet, call_read_linear, answer_fewer_bytes,
     PARTIAL_READ, false},
    {"a data reply of no bytes is invalid", pttNet, call_read_linear, answer_no_bytes, INVALID,
     false},
    {"a data reply of more bytes than asked is invalid", pttNet, call_read_linear,
     answer_more_bytes, INVALID, false},
    {"a value of all bytes is success", pttNet, call_write_linear, answer_all_written, OK, false},
    {"a smaller value is a partial write", pttNet, call_write_linear, answer_fewer_written,
     PARTIAL_WRITE, false},
    {"a value of no bytes is invalid", pttNet, call_write_linear, answer_none_written, INVALID,
     false},
    {"a value greater than asked is invalid", pttNet, call_write_linear, answer_more_written,
     INVALID, false},
    {"status 0 is invalid for a read", pttNet, call_read_linear, answer_status_0, INVALID, false},
    {"status 0 is invalid for a write, which counts", pttNet, call_write_linear, answer_status_0,
     INVALID, false},
};

int main(void)
{
    struct CMUnitTest tests[sizeof(rules) / sizeof(rules[0])];
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        tests[i] = (struct CMUnitTest){rules[i].name, test_rule, NULL, NULL, &rules[i]};
    }
    return cmocka_run_group_tests_name("fields of replies", tests, NULL, NULL);
}
