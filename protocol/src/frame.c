#include "protocol/frame.h"

#include <assert.h>
#include <string.h>

#include "protocol/bytes.h"

// What can be said of the bytes that begin with a start byte.
enum verdict {
    VERDICT_MORE,
    VERDICT_GOOD,
    VERDICT_BAD,
};

struct frame {
    size_t head;  // bytes before the packet
    size_t len;   // of the packet
    size_t total; // bytes this frame takes; of a bad one, those a skipping receiver drops
    enum pulse_status error;
};

void frame_reader_init(struct frame_reader *reader, uint8_t *buffer, size_t size, size_t max_packet,
                       enum frame_recovery recovery)
{
    assert(size >= max_packet + FRAME_OVERHEAD_MAX);
    *reader = (struct frame_reader){buffer, size, 0, 0, max_packet, recovery};
}

uint8_t *frame_reader_space(struct frame_reader *reader, size_t *out_len)
{
    if (reader->begin == reader->end) {
        reader->begin = reader->end = 0;
    } else if (reader->begin != 0 &&
               reader->size - reader->begin < reader->max + FRAME_OVERHEAD_MAX) {
        memmove(reader->buffer, reader->buffer + reader->begin, reader->end - reader->begin);
        reader->end -= reader->begin;
        reader->begin = 0;
    }
    *out_len = reader->size - reader->end;
    return reader->buffer + reader->end;
}

void frame_reader_commit(struct frame_reader *reader, size_t len)
{
    assert(len <= reader->size - reader->end);
    reader->end += len;
}

// 64 bytes at a time, in sixteen-bit lanes that are folded before one can overflow.
typedef uint16_t lanes __attribute__((vector_size(64)));

enum {
    LANES = sizeof(lanes) / sizeof(uint16_t),
    BLOCK_MAX = 128, // 2 * 0xFF more per lane and step
};

static uint32_t checksum_blocks(const uint8_t *bytes, size_t num_blocks)
{
    lanes sums = {0};
    for (size_t i = 0; i < num_blocks; i++) {
        lanes block;
        memcpy(&block, bytes + sizeof(block) * i, sizeof(block));
        sums += (block & 0xFF) + (block >> 8);
    }
    uint32_t sum = 0;
    for (size_t i = 0; i < LANES; i++) {
        sum += sums[i];
    }
    return sum;
}

uint32_t frame_checksum(const uint8_t *bytes, size_t len)
{
    uint32_t sum = 0;
    while (len >= sizeof(lanes)) {
        size_t num_blocks = len / sizeof(lanes) < BLOCK_MAX ? len / sizeof(lanes) : BLOCK_MAX;
        sum += checksum_blocks(bytes, num_blocks);
        bytes += num_blocks * sizeof(lanes);
        len -= num_blocks * sizeof(lanes);
    }
    for (size_t i = 0; i < len; i++) {
        sum += bytes[i];
    }
    return sum;
}

static enum verdict bad(struct frame *frame, size_t total, enum pulse_status error)
{
    frame->total = total;
    frame->error = error;
    return VERDICT_BAD;
}

// A k above the highest set bit of the length is accepted, one below it is not.
static enum verdict read_head(const struct frame_reader *reader, const uint8_t *bytes, size_t len,
                              struct frame *out)
{
    if (len < 2) {
        return VERDICT_MORE;
    }
    unsigned k = bytes[1];
    if (k == 0 || k > 15) {
        return bad(out, 2, STATUS_INVALID_LENGTH_FIELD);
    }
    size_t length_size = k < 8 ? 1 : 2;
    if (len < 2 + length_size) {
        return VERDICT_MORE;
    }
    out->head = 2 + length_size + 4;
    out->len = (size_t)load_le(bytes + 2, length_size);
    if (out->len == 0 || out->len >> (k + 1) != 0) {
        return bad(out, 2 + length_size, STATUS_INVALID_LENGTH_FIELD);
    }
    if (out->len > reader->max) {
        return bad(out, 2 + length_size, STATUS_BUFFER_OVERFLOW);
    }
    out->total = out->head + out->len + 1;
    return len < out->total ? VERDICT_MORE : VERDICT_GOOD;
}

static enum verdict read_frame(const struct frame_reader *reader, const uint8_t *bytes, size_t len,
                               struct frame *out)
{
    enum verdict verdict = read_head(reader, bytes, len, out);
    if (verdict != VERDICT_GOOD) {
        return verdict;
    }
    if (bytes[out->total - 1] != FRAME_END) {
        return bad(out, out->total, STATUS_INVALID_END_OF_PACKET);
    }
    if (load_le(bytes + out->head - 4, 4) != frame_checksum(bytes + out->head, out->len)) {
        return bad(out, out->total, STATUS_INVALID_CHECKSUM);
    }
    return VERDICT_GOOD;
}

static enum frame_event take(struct frame_reader *reader, size_t len, struct frame_view *out)
{
    out->bytes = reader->buffer + reader->begin;
    out->len = len;
    reader->begin += len;
    return FRAME_TEXT;
}

// How many of the total bytes of a bad frame are gone. A frame that lost bytes on the way swallows
// the beginning of the next one, so a rescanning receiver stops at any start byte inside.
static size_t dropped_len(const struct frame_reader *reader, const uint8_t *bytes, size_t total)
{
    const uint8_t *start =
        reader->recovery == FRAME_RESCAN ? memchr(bytes + 1, FRAME_START, total - 1) : NULL;
    return start ? (size_t)(start - bytes) : total;
}

enum frame_event frame_reader_next(struct frame_reader *reader, struct frame_view *out)
{
    const uint8_t *bytes = reader->buffer + reader->begin;
    size_t len = reader->end - reader->begin;
    *out = (struct frame_view){.error = STATUS_SUCCESS};
    if (len == 0) {
        return FRAME_MORE;
    }
    if (bytes[0] != FRAME_START) {
        const uint8_t *start = memchr(bytes, FRAME_START, len);
        return take(reader, start ? (size_t)(start - bytes) : len, out);
    }
    struct frame frame = {0};
    switch (read_frame(reader, bytes, len, &frame)) {
    case VERDICT_MORE:
        return FRAME_MORE;
    case VERDICT_BAD:
        take(reader, dropped_len(reader, bytes, frame.total), out);
        out->error = frame.error;
        return FRAME_DROPPED;
    case VERDICT_GOOD:
        break;
    }
    take(reader, frame.total, out);
    out->bytes += frame.head;
    out->len = frame.len;
    return FRAME_PACKET;
}

size_t frame_head(const uint8_t *packet, size_t len, uint8_t *out)
{
    if (len < 2 || len > 0xFFFF) {
        return 0;
    }
    uint8_t k = 0;
    while (len >> (k + 1) != 0) {
        k++;
    }
    size_t length_size = k < 8 ? 1 : 2;
    out[0] = FRAME_START;
    out[1] = k;
    store_le(out + 2, length_size, len);
    store_le(out + 2 + length_size, 4, frame_checksum(packet, len));
    return 2 + length_size + 4;
}

size_t frame_write(const uint8_t *packet, size_t len, uint8_t *out, size_t size)
{
    uint8_t head[FRAME_OVERHEAD_MAX];
    size_t head_len = frame_head(packet, len, head);
    if (head_len == 0 || size < head_len + len + 1) {
        return 0;
    }
    memcpy(out, head, head_len);
    memcpy(out + head_len, packet, len);
    out[head_len + len] = FRAME_END;
    return head_len + len + 1;
}
