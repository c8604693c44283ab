// Random streams of frames, text and damage: the split does not matter, and a receiver that skips
// does what a state machine of another shape does, one byte at a time.

#include <stdlib.h>
#include <string.h>

#include "cmocka_rows.h"
#include "frame_log.h"
#include "random.h"

// The published client's receiver, one byte at a time.
struct machine {
    enum { AT_START, AT_K, AT_LENGTH, AT_SUM, AT_PACKET, AT_END } at;
    unsigned k;
    unsigned have; // bytes of the part that is being read
    size_t len;
    uint32_t wanted;
    uint32_t sum;
    uint8_t packet[MOST_PACKET];
};

static void machine_after_length(struct machine *machine, struct log *log)
{
    machine->at = AT_START;
    if (machine->len == 0 || machine->len >= (size_t)2 << machine->k) {
        log_drop(log, STATUS_INVALID_LENGTH_FIELD);
    } else if (machine->len > MOST_PACKET) {
        log_drop(log, STATUS_BUFFER_OVERFLOW);
    } else {
        machine->at = AT_SUM;
    }
    machine->have = 0;
}

static void machine_after_end(struct machine *machine, uint8_t byte, struct log *log)
{
    machine->at = AT_START;
    if (byte != 0xAA) {
        log_drop(log, STATUS_INVALID_END_OF_PACKET);
    } else if (machine->sum != machine->wanted) {
        log_drop(log, STATUS_INVALID_CHECKSUM);
    } else {
        log_packet(log, machine->packet, machine->len);
    }
}

static void machine_in_frame(struct machine *machine, uint8_t byte, struct log *log)
{
    if (machine->at == AT_LENGTH) {
        machine->len |= (size_t)byte << (8 * machine->have++);
        if (machine->have == (machine->k < 8 ? 1 : 2)) {
            machine_after_length(machine, log);
        }
    } else if (machine->at == AT_SUM) {
        machine->wanted |= (uint32_t)byte << (8 * machine->have++);
        machine->at = machine->have == 4 ? AT_PACKET : AT_SUM;
        machine->have = machine->have == 4 ? 0 : machine->have;
    } else if (machine->at == AT_PACKET) {
        machine->packet[machine->have++] = byte;
        machine->sum += byte;
        machine->at = machine->have == machine->len ? AT_END : AT_PACKET;
    } else {
        machine_after_end(machine, byte, log);
    }
}

static void machine_byte(struct machine *machine, uint8_t byte, struct log *log)
{
    if (machine->at == AT_START && byte != 0xAB) {
        log_text(log, &byte, 1);
    } else if (machine->at == AT_START) {
        *machine = (struct machine){.at = AT_K};
    } else if (machine->at == AT_K && (byte == 0 || byte >= 16)) {
        log_drop(log, STATUS_INVALID_LENGTH_FIELD);
        machine->at = AT_START;
    } else if (machine->at == AT_K) {
        machine->k = byte;
        machine->at = AT_LENGTH;
    } else {
        machine_in_frame(machine, byte, log);
    }
}

static size_t add_text(uint64_t *seed, uint8_t *out)
{
    size_t len = random_below(seed, 20);
    random_fill(seed, out, len);
    for (size_t i = 0; i < len; i++) {
        // A start byte in one text of many.
        out[i] = out[i] == 0xAB || random_below(seed, 200) != 0 ? out[i] & 0x7F : 0xAB;
    }
    return len;
}

// Frames, text, and damage of every kind.
static size_t random_stream(uint64_t *seed, uint8_t *out)
{
    uint8_t packet[MOST_PACKET];
    size_t len = 0;
    for (size_t parts = 1 + random_below(seed, 30); parts > 0; parts--) {
        size_t packet_len = 2 + random_below(seed, random_below(seed, 4) ? 60 : MOST_PACKET - 2);
        random_fill(seed, packet, packet_len);
        size_t frame_len = frame_write(packet, packet_len, out + len, 1000);
        switch (random_below(seed, 12)) {
        case 0:
            out[len + random_below(seed, frame_len)] ^= (uint8_t)(1 + random_below(seed, 255));
            break;
        case 1:
            frame_len = random_below(seed, frame_len);
            break;
        case 2:
            frame_len = add_text(seed, out + len);
            break;
        case 3:
            out[len + 1 + random_below(seed, 3)] = (uint8_t)random_below(seed, 20);
            break;
        default:
            break;
        }
        len += frame_len;
    }
    return len;
}

static const enum frame_recovery recoveries[] = {FRAME_SKIP, FRAME_RESCAN};

static void random_streams_do_not_depend_on_the_split(void **state)
{
    (void)state;
    static uint8_t stream[STREAM_SIZE];
    uint64_t seed = 2018;
    size_t num_packets = 0;
    size_t num_dropped = 0;
    for (unsigned i = 0; i < 1000; i++) {
        enum frame_recovery recovery = recoveries[i % NUM_OF(recoveries)];
        size_t len = random_stream(&seed, stream);
        struct log *whole = receive(stream, len, SIZE_MAX, recovery);
        num_packets += whole->num_packets;
        num_dropped += whole->num_dropped;
        static uint8_t buffer[3 * MOST_PACKET];
        struct frame_reader reader;
        struct log *log = new_log();
        frame_reader_init(&reader, buffer, MOST_PACKET + 9 + random_below(&seed, 1000), MOST_PACKET,
                          recovery);
        for (size_t at = 0; at < len;) {
            size_t piece = 1 + random_below(&seed, 1 + random_below(&seed, 900));
            piece = piece < len - at ? piece : len - at;
            feed(&reader, stream + at, piece, SIZE_MAX, log);
            at += piece;
        }
        assert_same_log(whole, log);
        free(log);
        free(whole);
    }
    print_message("%zu packets, %zu bad frames\n", num_packets, num_dropped);
    assert_true(num_packets > 5000 && num_dropped > 2000);
}

static void random_streams_are_read_as_by_the_published_client(void **state)
{
    (void)state;
    static uint8_t stream[STREAM_SIZE];
    static struct machine machine;
    uint64_t seed = 404;
    for (unsigned i = 0; i < 1000; i++) {
        size_t len = random_stream(&seed, stream);
        struct log *want = new_log();
        machine = (struct machine){.at = AT_START};
        for (size_t at = 0; at < len; at++) {
            machine_byte(&machine, stream[at], want);
        }
        struct log *got = receive(stream, len, SIZE_MAX, FRAME_SKIP);
        assert_same_log(want, got);
        free(got);
        free(want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_streams_do_not_depend_on_the_split),
        cmocka_unit_test(random_streams_are_read_as_by_the_published_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
