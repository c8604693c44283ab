// Prints libFuzzer's dictionary of the debuggee: the head of every packet a client can send, each
// with the length that stands before it in an input.

#include <stdio.h>
#include <stdlib.h>

#include "protocol/bytes.h"
#include "protocol/packets.h"

static void print_entry(const char *name, unsigned version, const uint8_t *bytes, size_t len)
{
    (void)printf("%s_v%u=\"", name, version);
    for (size_t i = 0; i < len; i++) {
        (void)printf("\\x%02x", bytes[i]);
    }
    (void)printf("\"\n");
}

static void print_head(const struct packet_info *info, enum protocol_version version)
{
    uint8_t bytes[2 + 4];
    struct byte_writer writer = {.at = bytes, .end = bytes + sizeof(bytes), .ok = true};
    write_number(&writer, 2, info->size);
    write_number(&writer, 1, version);
    write_number(&writer, 1, info->class);
    write_number(&writer, 2, info->type);
    print_entry(info->kind, version, bytes, sizeof(bytes));
}

int main(void)
{
    for (unsigned kind = 0; kind < NUM_PACKET_KINDS; kind++) {
        const struct packet_info *info = packet_info(kind);
        if (info->class == CLASS_REPLY || info->class == CLASS_NOTIFICATION) {
            continue;
        }
        if (info->in_v1) {
            print_head(info, PROTOCOL_V1);
        }
        if (info->in_v2) {
            print_head(info, PROTOCOL_V2);
        }
    }
    return EXIT_SUCCESS;
}
