// The stream framer: however a stream is cut, the same packets and the same text come out of it.
//
//  0       1       2
// | flags | cut   | stream ...
//
// flags: bit 0 the recovery, bit 1 a small largest packet. cut seeds one way to cut the stream.

#include <stdbool.h>
#include <stdlib.h>

#include "harness.h"
#include "protocol/frame.h"

enum {
    INPUT_HEAD = 2,
    FLAG_RESCAN = 1,
    FLAG_SMALL = 2,
    SMALL_PACKET = 40,
};

// What a reader delivered, as a hash over it. Text counts byte by byte, because a cut inside a text
// may split it into two events.
struct transcript {
    uint64_t hash;
    size_t num_packets;
};

// How many bytes the stream delivers at a time: all it has, one, or a number that changes.
enum cut { CUT_NOWHERE, CUT_EVERYWHERE, CUT_ANYWHERE };

static void note_byte(struct transcript *transcript, uint8_t byte)
{
    // FNV-1a, 64 bits.
    transcript->hash = (transcript->hash ^ byte) * UINT64_C(0x100000001B3);
}

static void note_text(struct transcript *transcript, const struct frame_view *view)
{
    FUZZ_REQUIRE(view->len > 0);
    for (size_t i = 0; i < view->len; i++) {
        note_byte(transcript, FRAME_TEXT);
        note_byte(transcript, view->bytes[i]);
    }
}

static void note_packet(struct transcript *transcript, const struct frame_view *view)
{
    note_byte(transcript, FRAME_PACKET);
    for (size_t i = 0; i < view->len; i++) {
        note_byte(transcript, view->bytes[i]);
    }
    note_byte(transcript, (uint8_t)view->len);
    transcript->num_packets++;
}

static bool lies_in_buffer(const struct frame_reader *reader, const struct frame_view *view)
{
    return view->bytes >= reader->buffer && view->len <= reader->size &&
           (size_t)(view->bytes - reader->buffer) <= reader->size - view->len;
}

static bool note_next(struct frame_reader *reader, struct transcript *transcript)
{
    struct frame_view view = {0};
    enum frame_event event = frame_reader_next(reader, &view);
    switch (event) {
    case FRAME_MORE:
        return false;
    case FRAME_PACKET:
        FUZZ_REQUIRE(lies_in_buffer(reader, &view) && view.len <= reader->max);
        note_packet(transcript, &view);
        break;
    case FRAME_TEXT:
        FUZZ_REQUIRE(lies_in_buffer(reader, &view));
        note_text(transcript, &view);
        break;
    case FRAME_DROPPED:
        note_byte(transcript, FRAME_DROPPED);
        note_byte(transcript, (uint8_t)view.error);
        break;
    }
    return true;
}

static size_t piece_of(enum cut cut, uint32_t *random)
{
    switch (cut) {
    case CUT_NOWHERE:
        return SIZE_MAX;
    case CUT_EVERYWHERE:
        return 1;
    case CUT_ANYWHERE:
        *random = *random * UINT32_C(1664525) + UINT32_C(1013904223);
        return 1 + (*random >> 27);
    }
    return 1;
}

static struct transcript transcribe(struct frame_reader *reader, enum cut cut, const uint8_t *bytes,
                                    size_t len)
{
    struct transcript transcript = {.hash = UINT64_C(0xCBF29CE484222325)};
    uint32_t random = bytes[1];
    for (size_t at = INPUT_HEAD; at < len;) {
        size_t space = 0;
        uint8_t *to = frame_reader_space(reader, &space);
        FUZZ_REQUIRE(space > 0);
        size_t piece = piece_of(cut, &random);
        piece = piece < space ? piece : space;
        piece = piece < len - at ? piece : len - at;
        for (size_t i = 0; i < piece; i++) {
            to[i] = bytes[at++];
        }
        frame_reader_commit(reader, piece);
        while (note_next(reader, &transcript)) {
        }
    }
    return transcript;
}

// extra_size: bytes of buffer beyond the smallest allowed.
static struct transcript read_stream(enum cut cut, size_t extra_size, const uint8_t *bytes,
                                     size_t len)
{
    size_t max = bytes[0] & FLAG_SMALL ? SMALL_PACKET : PACKET_MAX;
    size_t size = max + FRAME_OVERHEAD_MAX + extra_size;
    uint8_t *buffer = malloc(size);
    FUZZ_REQUIRE(buffer);
    struct frame_reader reader;
    frame_reader_init(&reader, buffer, size, max,
                      bytes[0] & FLAG_RESCAN ? FRAME_RESCAN : FRAME_SKIP);
    struct transcript transcript = transcribe(&reader, cut, bytes, len);
    free(buffer);
    return transcript;
}

static bool same(struct transcript a, struct transcript b)
{
    return a.hash == b.hash && a.num_packets == b.num_packets;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < INPUT_HEAD) {
        return 0;
    }
    struct transcript whole = read_stream(CUT_NOWHERE, len, bytes, len);
    FUZZ_REQUIRE(same(whole, read_stream(CUT_EVERYWHERE, 0, bytes, len)));
    FUZZ_REQUIRE(same(whole, read_stream(CUT_ANYWHERE, 0, bytes, len)));
    return 0;
}
