#include "golden_files.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void golden_load(struct transcript out[NUM_GOLDEN_FILES])
{
    glob_t found = {0};
    if (glob(GOLDEN_DIR "/*.txt", 0, NULL, &found) != 0 || found.gl_pathc != NUM_GOLDEN_FILES) {
        (void)fprintf(stderr, "not %d transcripts in %s\n", NUM_GOLDEN_FILES, GOLDEN_DIR);
        exit(1);
    }
    for (size_t i = 0; i < NUM_GOLDEN_FILES; i++) {
        if (!transcript_load(found.gl_pathv[i], &out[i])) {
            (void)fprintf(stderr, "no transcript: %s\n", found.gl_pathv[i]);
            exit(1);
        }
    }
    globfree(&found);
}

void golden_cleanup(struct transcript transcripts[NUM_GOLDEN_FILES])
{
    for (size_t i = 0; i < NUM_GOLDEN_FILES; i++) {
        transcript_cleanup(&transcripts[i]);
    }
}

bool golden_next(const struct transcript transcripts[NUM_GOLDEN_FILES],
                 struct golden_cursor *cursor)
{
    while (cursor->file < NUM_GOLDEN_FILES && cursor->next == transcripts[cursor->file].num_items) {
        cursor->file++;
        cursor->next = 0;
    }
    if (cursor->file == NUM_GOLDEN_FILES) {
        return false;
    }
    cursor->transcript = &transcripts[cursor->file];
    cursor->item = &cursor->transcript->items[cursor->next++];
    return true;
}

bool golden_is_packet(const struct item *item)
{
    return item->type == ITEM_PACKET || item->type == ITEM_SHORTENED;
}

// The stand-in's memory: a byte is a function of its address; its ports count up from their number.
static uint8_t memory_at(uint64_t address)
{
    return (uint8_t)(address ^ address >> 8 ^ address >> 16);
}

// Puts the stand-in's memory where a reply's hidden bytes are.
static void complete(const struct item *item, uint8_t *bytes, const struct packet *packet)
{
    uint64_t address = 0;
    switch ((int)packet->kind) {
    case PACKET_VIRTUAL_DATA:
        address = packet->virtual_data.offset;
        break;
    case PACKET_LINEAR_DATA:
        address = packet->linear_data.address;
        break;
    case PACKET_PHYSICAL_DATA:
        address = packet->physical_data.address;
        break;
    case PACKET_IO_DATA:
        for (size_t i = item->len; i < item->total - item->tail_len; i++) {
            bytes[i] = (uint8_t)(packet->io_data.port + i - packet_size(packet->kind));
        }
        return;
    default:
        return;
    }
    for (size_t i = item->len; i < item->total - item->tail_len; i++) {
        bytes[i] = memory_at(address + i - packet_size(packet->kind));
    }
}

enum packet_error golden_read(const struct item *item, uint8_t *bytes, struct packet *out)
{
    memset(bytes, 0, item->total);
    memcpy(bytes, item->bytes, item->len);
    if (item->type == ITEM_SHORTENED) {
        memcpy(bytes + item->total - item->tail_len, item->tail, item->tail_len);
    }
    enum packet_error error = packet_read(PROTOCOL_V1, bytes, item->total, out);
    if (item->type == ITEM_SHORTENED && error == PACKET_OK) {
        complete(item, bytes, out);
    }
    return error;
}
