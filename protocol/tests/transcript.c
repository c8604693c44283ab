#include "transcript.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/bytes.h"

enum { V1_MAX = 16384 };

// Bytes of one direction of a stream on their way through the framer.
struct stream {
    struct frame_reader reader;
    uint8_t buffer[V1_MAX + FRAME_OVERHEAD_MAX];
};

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        return NULL;
    }
    size_t size = 1 << 20;
    char *text = calloc(1, size);
    size_t len = text ? fread(text, 1, size - 1, file) : 0;
    (void)fclose(file);
    if (text && len == size - 1) {
        free(text);
        return NULL;
    }
    return text;
}

static struct item *add_item(struct transcript *transcript, enum item_type type, char direction,
                             const uint8_t *bytes, size_t len)
{
    struct item *items =
        realloc(transcript->items, (transcript->num_items + 1) * sizeof(*transcript->items));
    if (!items) {
        abort();
    }
    transcript->items = items;
    struct item *item = &items[transcript->num_items++];
    *item = (struct item){.type = type, .direction = direction, .len = len, .total = len};
    item->bytes = malloc(len ? len : 1);
    if (!item->bytes) {
        abort();
    }
    memcpy(item->bytes, bytes, len);
    return item;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Reads hex digits at *at into out; leaves *at behind them.
static size_t read_hex(const char **at, uint8_t *out, size_t size)
{
    size_t len = 0;
    while (len < size && digit((*at)[0]) >= 0 && digit((*at)[1]) >= 0) {
        out[len++] = (uint8_t)(digit((*at)[0]) * 16 + digit((*at)[1]));
        *at += 2;
    }
    return len;
}

// Takes what the framer says about the bytes so far. Text that follows text is one item.
static void drain(struct transcript *transcript, struct stream *stream, char direction)
{
    for (;;) {
        struct frame_view view;
        size_t before = stream->reader.begin;
        enum frame_event event = frame_reader_next(&stream->reader, &view);
        if (event == FRAME_MORE) {
            return;
        }
        enum item_type type = event == FRAME_PACKET ? ITEM_PACKET
                              : event == FRAME_TEXT ? ITEM_TEXT
                                                    : ITEM_DROPPED;
        struct item *item = add_item(transcript, type, direction, view.bytes, view.len);
        uint8_t frame[V1_MAX + FRAME_OVERHEAD_MAX];
        size_t len = frame_write(view.bytes, view.len, frame, sizeof(frame));
        item->error = view.error;
        item->is_canonical = type == ITEM_PACKET && len == stream->reader.begin - before &&
                             memcmp(frame, stream->buffer + before, len) == 0;
    }
}

static void add_stream_bytes(struct transcript *transcript, struct stream *stream, char direction,
                             const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        size_t room = 0;
        uint8_t *space = frame_reader_space(&stream->reader, &room);
        size_t now = len < room ? len : room;
        memcpy(space, bytes, now);
        frame_reader_commit(&stream->reader, now);
        drain(transcript, stream, direction);
        bytes += now;
        len -= now;
    }
}

// A frame whose middle is missing: the framer cannot take it, so its parts are taken off here.
static bool unwrap_shortened(struct item *item)
{
    size_t head_len = item->bytes[1] < 8 ? 7 : 8;
    size_t len = (size_t)load_le(item->bytes + 2, head_len - 6);
    if (item->bytes[0] != FRAME_START || item->tail[item->tail_len - 1] != FRAME_END ||
        item->total != head_len + len + 1 || len >> item->bytes[1] != 1) {
        return false;
    }
    item->has_checksum = true;
    item->checksum = (uint32_t)load_le(item->bytes + head_len - 4, 4);
    item->total = len;
    item->tail_len--;
    item->len -= head_len;
    memmove(item->bytes, item->bytes + head_len, item->len);
    return true;
}

// "...(16384 bytes total)..." and the tail, behind the head.
static bool add_shortened(struct transcript *transcript, char direction, const char *rest,
                          const uint8_t *head, size_t head_len)
{
    char *end = NULL;
    struct item *item = add_item(transcript, ITEM_SHORTENED, direction, head, head_len);
    item->total = strtoul(rest + strlen("...("), &end, 10);
    static const char behind[] = " bytes total)...";
    if (strncmp(end, behind, strlen(behind)) != 0) {
        return false;
    }
    const char *at = end + strlen(behind);
    item->tail_len = read_hex(&at, item->tail, sizeof(item->tail));
    return (*at == '\n' || *at == '\0') && (!transcript->is_stream || unwrap_shortened(item));
}

static bool is_text_datagram(char direction, const uint8_t *bytes, size_t len)
{
    return direction == 'D' && len > 0 && bytes[0] >= 0x20 && bytes[0] <= 0x7E;
}

// One "C> " or "D> " line.
static bool add_line(struct transcript *transcript, struct stream streams[2], const char *line)
{
    static uint8_t bytes[TRANSCRIPT_BYTES_MAX];
    char direction = line[0];
    const char *at = line + strlen("C> ");
    size_t len = read_hex(&at, bytes, sizeof(bytes));
    transcript->num_lines++;
    if (strncmp(at, "...(", 4) == 0) {
        return add_shortened(transcript, direction, at, bytes, len);
    }
    if (*at != '\n' && *at != '\0') {
        return false;
    }
    if (transcript->is_stream) {
        add_stream_bytes(transcript, &streams[direction == 'D'], direction, bytes, len);
        return true;
    }
    bool is_text = is_text_datagram(direction, bytes, len);
    add_item(transcript, is_text ? ITEM_TEXT : ITEM_PACKET, direction, bytes, len);
    return true;
}

static char *copy_range(const char *begin, const char *end)
{
    size_t len = (size_t)(end - begin);
    char *copy = calloc(1, len + 1);
    if (!copy) {
        abort();
    }
    memcpy(copy, begin, len);
    return copy;
}

// "# net/UDP: call: CALLS | OUTCOMES"
static bool read_comment(struct transcript *transcript, const char *line)
{
    static const char before[] = ": call: ";
    const char *end = strchr(line, '\n');
    const char *calls = strstr(line, before);
    const char *bar = calls ? strstr(calls, " | ") : NULL;
    if (!end || !bar || bar > end) {
        return false;
    }
    transcript->is_stream = strncmp(line, "# net/UDP", 9) != 0;
    transcript->calls = copy_range(calls + strlen(before), bar);
    transcript->outcomes = copy_range(bar + 3, end);
    return true;
}

static bool read_lines(struct transcript *transcript, const char *text)
{
    static struct stream streams[2];
    for (size_t i = 0; i < 2; i++) {
        frame_reader_init(&streams[i].reader, streams[i].buffer, sizeof(streams[i].buffer), V1_MAX,
                          FRAME_SKIP);
    }
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n' ? 1 : 0;
        bool is_packet = strncmp(line, "C> ", 3) == 0 || strncmp(line, "D> ", 3) == 0;
        if (is_packet && !add_line(transcript, streams, line)) {
            return false;
        }
        if (!is_packet && *line != '#' && *line != '\0') {
            return false;
        }
    }
    // Nothing may be left over in the middle of a frame.
    return streams[0].reader.begin == streams[0].reader.end &&
           streams[1].reader.begin == streams[1].reader.end;
}

bool transcript_load(const char *path, struct transcript *out)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char *text = read_file(path);
    *out = (struct transcript){0};
    if (!text) {
        return false;
    }
    (void)snprintf(out->name, sizeof(out->name), "%.*s", (int)strcspn(name, "."), name);
    bool ok = read_comment(out, text) && read_lines(out, text);
    free(text);
    if (!ok) {
        transcript_cleanup(out);
    }
    return ok;
}

void transcript_cleanup(struct transcript *transcript)
{
    for (size_t i = 0; i < transcript->num_items; i++) {
        free(transcript->items[i].bytes);
    }
    free(transcript->items);
    free(transcript->calls);
    free(transcript->outcomes);
    *transcript = (struct transcript){0};
}
