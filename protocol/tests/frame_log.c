#include "frame_log.h"

#include <stdlib.h>
#include <string.h>

#include "cmocka_rows.h"

static void log_byte(struct log *log, uint8_t byte)
{
    assert_true(log->len < LOG_SIZE);
    log->bytes[log->len++] = byte;
}

void log_packet(struct log *log, const uint8_t *bytes, size_t len)
{
    log_byte(log, 'P');
    log_byte(log, (uint8_t)len);
    log_byte(log, (uint8_t)(len >> 8));
    assert_true(len <= MOST_PACKET);
    memcpy(log->last_packet, bytes, len);
    log->last_len = len;
    for (size_t i = 0; i < len; i++) {
        log_byte(log, bytes[i]);
    }
    log->num_packets++;
}

void log_drop(struct log *log, enum pulse_status error)
{
    log_byte(log, 'D');
    log_byte(log, (uint8_t)error);
    log->last_error = error;
    log->num_dropped++;
}

void log_text(struct log *log, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        log_byte(log, 'T');
        log_byte(log, bytes[i]);
        log->num_text++;
    }
}

static void drain(struct frame_reader *reader, struct log *log)
{
    for (;;) {
        struct frame_view view;
        switch (frame_reader_next(reader, &view)) {
        case FRAME_MORE:
            return;
        case FRAME_PACKET:
            log_packet(log, view.bytes, view.len);
            break;
        case FRAME_TEXT:
            assert_true(view.len > 0);
            log_text(log, view.bytes, view.len);
            break;
        case FRAME_DROPPED:
            log_drop(log, view.error);
            break;
        }
    }
}

void feed(struct frame_reader *reader, const uint8_t *bytes, size_t len, size_t piece,
          struct log *log)
{
    while (len > 0) {
        size_t room = 0;
        uint8_t *space = frame_reader_space(reader, &room);
        assert_true(room > 0);
        size_t now = piece < room ? piece : room;
        now = now < len ? now : len;
        memcpy(space, bytes, now);
        frame_reader_commit(reader, now);
        drain(reader, log);
        bytes += now;
        len -= now;
    }
}

struct log *new_log(void)
{
    struct log *log = calloc(1, sizeof(*log));
    assert_non_null(log);
    return log;
}

struct log *receive(const uint8_t *bytes, size_t len, size_t piece, enum frame_recovery recovery)
{
    static uint8_t buffer[MOST_PACKET + FRAME_OVERHEAD_MAX];
    struct frame_reader reader;
    struct log *log = new_log();
    frame_reader_init(&reader, buffer, sizeof(buffer), MOST_PACKET, recovery);
    feed(&reader, bytes, len, piece, log);
    return log;
}

void assert_same_log(const struct log *want, const struct log *got)
{
    assert_int_equal(want->len, got->len);
    assert_memory_equal(want->bytes, got->bytes, want->len);
}
