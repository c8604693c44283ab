#include "packet_member.h"

#include <string.h>

// NOLINTBEGIN(bugprone-branch-clone): rows of one shape make functions of one shape.

#define PACKET(kind, name, class, type, versions, call)                                            \
    static uint64_t member_of_##name(const struct packet_##name *body, const char *wanted,         \
                                     bool *out_found)                                              \
    {                                                                                              \
        (void)body;                                                                                \
        (void)wanted;                                                                              \
        *out_found = true;
#define U8(offset, field)                                                                          \
    if (strcmp(wanted, #field) == 0) {                                                             \
        return body->field;                                                                        \
    }
#define U16(offset, field) U8(offset, field)
#define U32(offset, field) U8(offset, field)
#define U64(offset, field) U8(offset, field)
#define END(kind, size)                                                                            \
    *out_found = false;                                                                            \
    return 0;                                                                                      \
    }
#include "protocol/packets.def"

uint64_t packet_member(const struct packet *packet, const char *name, bool *out_found)
{
    switch (packet->kind) {
#define PACKET(kind, row, class, type, versions, call)                                             \
    case PACKET_##kind:                                                                            \
        return member_of_##row(&packet->row, name, out_found);
#include "protocol/packets.def"
    case NUM_PACKET_KINDS:
        break;
    }
    *out_found = false;
    return 0;
}

#define PACKET(kind, name, class, type, versions, call)                                            \
    static const uint8_t *tail_of_##name(const struct packet_##name *body)                         \
    {                                                                                              \
        const uint8_t *tail = NULL;                                                                \
        (void)body;
#define TAIL(offset, field, size) tail = body->field;
#define END(kind, size)                                                                            \
    return tail;                                                                                   \
    }
#include "protocol/packets.def"

const uint8_t *packet_tail(const struct packet *packet)
{
    switch (packet->kind) {
#define PACKET(kind, name, class, type, versions, call)                                            \
    case PACKET_##kind:                                                                            \
        return tail_of_##name(&packet->name);
#include "protocol/packets.def"
    case NUM_PACKET_KINDS:
        break;
    }
    return NULL;
}

// NOLINTEND(bugprone-branch-clone)
