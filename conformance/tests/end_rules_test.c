// When a call ends, and with which status: one row for each rule, played by a debuggee that breaks
// it.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "client_fixture.h"
#include "protocol/bytes.h"
#include "protocol/frame.h"
#include "protocol/status.h"

// --- calls ----------------------------------------------------------------------------------

enum { MSR = 0x174, MSR_VALUE = 8, ASKED = 16 };

static PULSE_STATUS call_read_msr(PPS_ENGINE engine)
{
    uint64_t value = 0;
    PULSE_STATUS status = PsReadMsr(engine, MSR, &value);
    assert_int_equal(value, status == PULSE_STATUS_SUCCESS ? MSR_VALUE : 0);
    return status;
}

static PULSE_STATUS call_write_msr(PPS_ENGINE engine)
{
    return PsWriteMsr(engine, MSR, MSR_VALUE);
}

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

static PULSE_STATUS call_switch_cpu(PPS_ENGINE engine)
{
    return PsSwitchCpu(engine, 1);
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

enum { MSR_REPLY_SIZE = 20 };

// The right reply to call_read_msr, for answers that then spoil it.
static void msr_reply(const uint8_t *request, uint8_t *out)
{
    struct packet reply = {.kind = PACKET_MSR_DATA, .msr_data = {.index = MSR, .value = MSR_VALUE}};
    size_t len = reply_bytes(request, &reply, out, MSR_REPLY_SIZE);
    assert_int_equal(len, MSR_REPLY_SIZE);
}

static void answer_right(struct fake *fake, const uint8_t *request, size_t len)
{
    (void)len;
    uint8_t reply[MSR_REPLY_SIZE];
    msr_reply(request, reply);
    fake_send(fake, reply, sizeof(reply));
}

static void answer_with_byte(struct fake *fake, const uint8_t *request, size_t offset, uint8_t byte)
{
    uint8_t reply[MSR_REPLY_SIZE];
    msr_reply(request, reply);
    reply[offset] = byte;
    fake_send(fake, reply, sizeof(reply));
}

// An answer need not look at what it answers.
#define ANSWER(name)                                                                               \
    static void answer_##name(struct fake *fake, __attribute__((unused)) const uint8_t *request,   \
                              __attribute__((unused)) size_t len)

ANSWER(version_1)
{
    answer_with_byte(fake, request, 0, 1);
}

ANSWER(version_0)
{
    answer_with_byte(fake, request, 0, 0);
}

ANSWER(class_request)
{
    answer_with_byte(fake, request, 1, CLASS_REQUEST);
}

ANSWER(class_notification)
{
    answer_with_byte(fake, request, 1, CLASS_NOTIFICATION);
}

ANSWER(unknown_type)
{
    answer_with_byte(fake, request, 2, 99);
}

ANSWER(wrong_echo)
{
    answer_with_byte(fake, request, 8, 0x75);
}

ANSWER(short_by_one)
{
    uint8_t reply[MSR_REPLY_SIZE];
    msr_reply(request, reply);
    fake_send(fake, reply, sizeof(reply) - 1);
}

ANSWER(long_by_one)
{
    uint8_t reply[MSR_REPLY_SIZE + 1] = {0};
    msr_reply(request, reply);
    fake_send(fake, reply, sizeof(reply));
}

ANSWER(header_only)
{
    uint8_t reply[MSR_REPLY_SIZE];
    msr_reply(request, reply);
    fake_send(fake, reply, PACKET_HEADER_SIZE);
}

ANSWER(other_type)
{
    struct packet reply = {.kind = PACKET_STATE};
    fake_reply(fake, request, &reply);
}

ANSWER(success)
{
    struct packet reply = {.kind = PACKET_SUCCESS};
    fake_reply(fake, request, &reply);
}

static void answer_number(struct fake *fake, const uint8_t *request, uint64_t number)
{
    struct packet reply = {.kind = PACKET_STATUS, .status = {.status = number}};
    fake_reply(fake, request, &reply);
}

ANSWER(status_0)
{
    answer_number(fake, request, 0);
}

ANSWER(status_21)
{
    answer_number(fake, request, 0x21);
}

ANSWER(status_gp)
{
    answer_number(fake, request, 0xC001000D);
}

ANSWER(unheard_status)
{
    answer_number(fake, request, 0xC0ABCDEF);
}

ANSWER(status_upper_half)
{
    answer_number(fake, request, UINT64_C(0x1C0000010));
}

// Something useless, then the right reply.

ANSWER(other_id_first)
{
    uint8_t reply[MSR_REPLY_SIZE];
    msr_reply(request, reply);
    reply[4] ^= 1;
    fake_send(fake, reply, sizeof(reply));
    answer_right(fake, request, len);
}

ANSWER(no_id_first)
{
    uint8_t reply[MSR_REPLY_SIZE];
    msr_reply(request, reply);
    store_le(reply + 4, 4, PACKET_NO_ID);
    fake_send(fake, reply, sizeof(reply));
    answer_right(fake, request, len);
}

ANSWER(seven_bytes_first)
{
    fake_send(fake, request, 7);
    answer_right(fake, request, len);
}

ANSWER(empty_first)
{
    fake_send_raw(fake, request, 0);
    answer_right(fake, request, len);
}

ANSWER(too_long_first)
{
    static _Thread_local uint8_t reply[PACKET_MAX_V2 + 1];
    msr_reply(request, reply);
    fake_send_raw(fake, reply, sizeof(reply));
    answer_right(fake, request, len);
}

ANSWER(text_first)
{
    fake_send_raw(fake, (const uint8_t *)"hello\r\n", 7);
    answer_right(fake, request, len);
}

ANSWER(twice)
{
    answer_right(fake, request, len);
    answer_right(fake, request, len);
}

static void answer_with_frame_byte(struct fake *fake, const uint8_t *request, size_t offset,
                                   uint8_t flip)
{
    uint8_t reply[MSR_REPLY_SIZE];
    uint8_t frame[MSR_REPLY_SIZE + FRAME_OVERHEAD_MAX];
    msr_reply(request, reply);
    size_t len = frame_write(reply, sizeof(reply), frame, sizeof(frame));
    frame[offset < len ? offset : len - 1] ^= flip;
    fake_send_raw(fake, frame, len);
    fake_send_raw(fake, frame, 0);
    answer_right(fake, request, 0);
}

ANSWER(bad_checksum_first)
{
    answer_with_frame_byte(fake, request, 3, 1);
}

ANSWER(bad_end_first)
{
    answer_with_frame_byte(fake, request, SIZE_MAX, 1);
}

ANSWER(bad_k_first)
{
    answer_with_frame_byte(fake, request, 1, 4);
}

ANSWER(bad_length_first)
{
    answer_with_frame_byte(fake, request, 2, 2);
}

// The good frame begins inside the bad one.
ANSWER(frame_within_a_frame)
{
    uint8_t bad[] = {FRAME_START, 4, 30, 0, 0, 0, 0};
    fake_send_raw(fake, bad, sizeof(bad));
    answer_right(fake, request, len);
    uint8_t rest[20] = {0};
    fake_send_raw(fake, rest, sizeof(rest));
}

ANSWER(byte_by_byte)
{
    uint8_t reply[MSR_REPLY_SIZE];
    uint8_t frame[MSR_REPLY_SIZE + FRAME_OVERHEAD_MAX];
    msr_reply(request, reply);
    size_t frame_len = frame_write(reply, sizeof(reply), frame, sizeof(frame));
    for (size_t i = 0; i < frame_len; i++) {
        fake_send_raw(fake, frame + i, 1);
    }
}

ANSWER(hang_up)
{
    fake_hang_up(fake);
}

ANSWER(hang_up_within_a_frame)
{
    uint8_t reply[MSR_REPLY_SIZE];
    uint8_t frame[MSR_REPLY_SIZE + FRAME_OVERHEAD_MAX];
    msr_reply(request, reply);
    fake_send_raw(fake, frame, frame_write(reply, sizeof(reply), frame, sizeof(frame)) - 5);
    fake_hang_up(fake);
}

// To the fourth packet, which is the request's last repeat.
ANSWER(late)
{
    if (fake->num_packets == 4) {
        uint8_t first[FAKE_LOG_BYTES];
        memcpy(first, fake->log[0].bytes, sizeof(first));
        answer_right(fake, first, len);
    }
}

ANSWER(junk_without_end)
{
    uint8_t reply[MSR_REPLY_SIZE];
    msr_reply(request, reply);
    reply[4] ^= 1;
    for (int i = 0; i < 200; i++) {
        fake_send(fake, reply, sizeof(reply));
    }
}

// Data replies: to call_read_linear and its kin, with a number of bytes and a spoilt byte.

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

// --- rows -----------------------------------------------------------------------------------

struct rule {
    const char *name;
    PS_TRANSPORT_TYPE type;
    PULSE_STATUS (*call)(PPS_ENGINE engine);
    fake_packet_fn *answer;
    uint32_t status;
};

#define OK       0
#define INVALID  0xC0000031
#define TIMEOUT  0xC0000007
#define LOST     0xC0000308
#define PARTIAL1 0x00000001
#define PARTIAL2 0x00000002

static struct rule rules[] = {
    {"the right reply ends a call", pttNet, call_read_msr, answer_right, OK},
    {"a reply with byte 0 = 1 is invalid", pttNet, call_read_msr, answer_version_1, INVALID},
    {"a reply with byte 0 = 0 is invalid", pttNet, call_read_msr, answer_version_0, INVALID},
    {"a reply of class 0 is invalid", pttNet, call_read_msr, answer_class_request, INVALID},
    {"a reply of class 3 is invalid", pttNet, call_read_msr, answer_class_notification, INVALID},
    {"a notification is no answer to a control request", pttNet, call_switch_cpu,
     answer_class_notification, INVALID},
    {"a reply of an unknown type is invalid", pttNet, call_read_msr, answer_unknown_type, INVALID},
    {"a reply of another call's type is invalid", pttNet, call_read_msr, answer_other_type,
     INVALID},
    {"a plain success is invalid where data is due", pttNet, call_read_msr, answer_success,
     INVALID},
    {"a reply short by a byte is invalid", pttNet, call_read_msr, answer_short_by_one, INVALID},
    {"a reply long by a byte is invalid", pttNet, call_read_msr, answer_long_by_one, INVALID},
    {"a reply of a header is invalid", pttNet, call_read_msr, answer_header_only, INVALID},
    {"an MSR reply with another index is invalid", pttNet, call_read_msr, answer_wrong_echo,
     INVALID},
    {"a linear reply with another address is invalid", pttNet, call_read_linear,
     answer_other_address, INVALID},
    {"a virtual reply with another root is invalid", pttNet, call_read_virtual, answer_other_root,
     INVALID},
    {"a virtual reply with another selector is invalid", pttNet, call_read_virtual,
     answer_other_selector, INVALID},
    {"a physical reply with another address is invalid", pttNet, call_read_physical,
     answer_other_physical, INVALID},
    {"a port reply is taken", pttNet, call_read_io, answer_io, OK},
    {"a port reply with another port is invalid", pttNet, call_read_io, answer_other_port, INVALID},
    {"a port reply with another access size is invalid", pttNet, call_read_io,
     answer_other_access_size, INVALID},
    {"an MMIO reply may have another cache type", pttNet, call_read_mmio, answer_mmio, OK},
    {"an MMIO reply with another access size is invalid", pttNet, call_read_mmio,
     answer_mmio_other_size, INVALID},
    {"a context of another mask is invalid", pttNet, call_get_context, answer_other_mask, INVALID},
    {"an extended context may have fewer registers", pttNet, call_get_extended, answer_smaller_mask,
     OK},
    {"an extended context with more registers is invalid", pttNet, call_get_extended,
     answer_larger_mask, INVALID},
    {"an extended context of another set is invalid", pttNet, call_get_extended, answer_other_set,
     INVALID},
    {"a walk of five levels fits", pttNet, call_walk, answer_five_levels, OK},
    {"a walk of six entries is invalid", pttNet, call_walk, answer_six_entries, INVALID},
    {"a walk with more entries than levels is invalid", pttNet, call_walk,
     answer_five_entries_of_four, INVALID},
    {"a walk of an unknown mode is invalid", pttNet, call_walk, answer_unknown_walk_mode, INVALID},
    {"a breakpoint id beyond 16 bits is invalid", pttNet, call_set_breakpoint, answer_wide_id,
     INVALID},
    {"an entry nobody asked for is invalid", pttNet, call_total_breakpoints, answer_unasked_entry,
     INVALID},
    {"filters of another breakpoint are invalid", pttNet, call_filters, answer_filters_of_another,
     INVALID},

    {"a data reply of all bytes is success", pttNet, call_read_linear, answer_all_bytes, OK},
    {"a short data reply is a partial read", pttNet, call_read_linear, answer_fewer_bytes,
     PARTIAL1},
    {"a data reply of no bytes is invalid", pttNet, call_read_linear, answer_no_bytes, INVALID},
    {"a data reply of more bytes than asked is invalid", pttNet, call_read_linear,
     answer_more_bytes, INVALID},
    {"a value of all bytes is success", pttNet, call_write_linear, answer_all_written, OK},
    {"a smaller value is a partial write", pttNet, call_write_linear, answer_fewer_written,
     PARTIAL2},
    {"a value of no bytes is invalid", pttNet, call_write_linear, answer_none_written, INVALID},
    {"a value greater than asked is invalid", pttNet, call_write_linear, answer_more_written,
     INVALID},

    {"an error status is the call's status", pttNet, call_read_msr, answer_status_gp, 0xC001000D},
    {"a status nobody has heard of is the call's status", pttNet, call_read_msr,
     answer_unheard_status, 0xC0ABCDEF},
    {"a status with an upper half is invalid", pttNet, call_write_msr, answer_status_upper_half,
     INVALID},
    {"status 0 is success for a call without outputs", pttNet, call_write_msr, answer_status_0, OK},
    {"status 0 is invalid for a call with outputs", pttNet, call_read_msr, answer_status_0,
     INVALID},
    {"status 0 is invalid for a read", pttNet, call_read_linear, answer_status_0, INVALID},
    {"status 0 is invalid for a write, which counts", pttNet, call_write_linear, answer_status_0,
     INVALID},
    {"status 0x21 tells of a CPU that is current already", pttNet, call_switch_cpu,
     answer_status_21, 0x21},
    {"status 0x21 is invalid for an MSR", pttNet, call_read_msr, answer_status_21, INVALID},

    {"a packet with another id costs nothing", pttNet, call_read_msr, answer_other_id_first, OK},
    {"a packet with no id costs nothing", pttNet, call_read_msr, answer_no_id_first, OK},
    {"a packet of 7 bytes costs nothing", pttNet, call_read_msr, answer_seven_bytes_first, OK},
    {"an empty datagram costs nothing", pttNet, call_read_msr, answer_empty_first, OK},
    {"a packet over 61,440 bytes costs nothing", pttNet, call_read_msr, answer_too_long_first, OK},
    {"text costs nothing", pttNet, call_read_msr, answer_text_first, OK},
    {"a second reply costs nothing", pttNet, call_read_msr, answer_twice, OK},
    {"the last repeat is answered in time", pttNet, call_read_msr, answer_late, OK},
    {"silence is a timeout", pttNet, call_read_msr, answer_nothing, TIMEOUT},
    {"junk does not prolong the time", pttNet, call_read_msr, answer_junk_without_end, TIMEOUT},

    {"the right reply ends a call over TCP", pttTcp, call_read_msr, answer_right, OK},
    {"the right reply ends a call over a Unix socket", pttPipe, call_read_msr, answer_right, OK},
    {"the right reply ends a call over a pty", pttSerial, call_read_msr, answer_right, OK},
    {"a wrong echo over TCP is invalid", pttTcp, call_read_msr, answer_wrong_echo, INVALID},
    {"text between frames costs nothing", pttTcp, call_read_msr, answer_text_first, OK},
    {"a frame with a bad checksum is dropped", pttTcp, call_read_msr, answer_bad_checksum_first,
     OK},
    {"a frame with a bad end is dropped", pttTcp, call_read_msr, answer_bad_end_first, OK},
    {"a frame with a bad k is dropped", pttTcp, call_read_msr, answer_bad_k_first, OK},
    {"a frame with a bad length is dropped", pttPipe, call_read_msr, answer_bad_length_first, OK},
    {"a good frame inside a bad one is found", pttTcp, call_read_msr, answer_frame_within_a_frame,
     OK},
    {"a frame that comes byte by byte is taken", pttTcp, call_read_msr, answer_byte_by_byte, OK},
    {"a second reply over TCP costs nothing", pttTcp, call_read_msr, answer_twice, OK},
    {"silence over TCP is a timeout", pttTcp, call_read_msr, answer_nothing, TIMEOUT},
    {"silence over a pty is a timeout", pttSerial, call_read_msr, answer_nothing, TIMEOUT},
    {"the last repeat over a pty is answered in time", pttSerial, call_read_msr, answer_late, OK},
    {"a TCP stream that closes is a lost connection", pttTcp, call_read_msr, answer_hang_up, LOST},
    {"a Unix stream that closes is a lost connection", pttPipe, call_read_msr, answer_hang_up,
     LOST},
    {"a stream that closes within a frame is a lost connection", pttTcp, call_read_msr,
     answer_hang_up_within_a_frame, LOST},
};

static void test_rule(void **state)
{
    const struct rule *rule = *state;
    bool is_silent = rule->status == TIMEOUT || rule->answer == answer_late;
    struct client client;
    client_open(&client, &(struct client_options){
                             .type = rule->type,
                             .version = PROTOCOL_V2,
                             .timeout_ms = is_silent ? SHORT_TIMEOUT_MS : LONG_TIMEOUT_MS,
                             .on_packet = rule->answer,
                         });
    int64_t started = now_ms();
    PULSE_STATUS status = rule->call(client.engine);
    int64_t took = now_ms() - started;
    PULSE_STATUS later = rule->status == LOST ? rule->call(client.engine) : LOST;
    client_close(&client);

    assert_int_equal(status, rule->status);
    assert_int_equal(later, LOST);
    assert_true(took < LONG_TIMEOUT_MS / 2);
    if (rule->status == TIMEOUT) {
        assert_true(took >= SHORT_TIMEOUT_MS);
    }
}

int main(void)
{
    struct CMUnitTest tests[sizeof(rules) / sizeof(rules[0])];
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        tests[i] = (struct CMUnitTest){rules[i].name, test_rule, NULL, NULL, &rules[i]};
    }
    return cmocka_run_group_tests_name("end of a call", tests, NULL, NULL);
}
