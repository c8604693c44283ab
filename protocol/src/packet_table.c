// The rows of packets.def as a table, and the way from class and type to a row.

#include "protocol/packets.h"

#define KEY(class, type) ((uint32_t)(class) << 16 | (type))

// A case of the look-up of one version, or none, by the row's versions.
#define CASE_1_1(key, kind)                                                                        \
    case key:                                                                                      \
        return kind;
#define CASE_1_2(key, kind)
#define CASE_1_BOTH(key, kind)                                                                     \
    case key:                                                                                      \
        return kind;
#define CASE_1_BENT(key, kind)
#define CASE_2_1(key, kind)
#define CASE_2_2(key, kind)                                                                        \
    case key:                                                                                      \
        return kind;
#define CASE_2_BOTH(key, kind)                                                                     \
    case key:                                                                                      \
        return kind;
#define CASE_2_BENT(key, kind)

static enum packet_kind kind_in_v1(uint32_t key)
{
    switch (key) {
#define PACKET(kind, name, class, type, versions, call)                                            \
    CASE_1_##versions(KEY(CLASS_##class, type), PACKET_##kind)
#include "protocol/packets.def"
    default:
        return NUM_PACKET_KINDS;
    }
}

static enum packet_kind kind_in_v2(uint32_t key)
{
    switch (key) {
#define PACKET(kind, name, class, type, versions, call)                                            \
    CASE_2_##versions(KEY(CLASS_##class, type), PACKET_##kind)
#include "protocol/packets.def"
    default:
        return NUM_PACKET_KINDS;
    }
}

enum packet_kind packet_kind_of(enum protocol_version version, uint8_t class, uint16_t type)
{
    uint32_t key = KEY(class, type);
    return version == PROTOCOL_V2 ? kind_in_v2(key) : kind_in_v1(key);
}

#define IN_V1_1    true
#define IN_V1_2    false
#define IN_V1_BOTH true
#define IN_V1_BENT true
#define IN_V2_1    false
#define IN_V2_2    true
#define IN_V2_BOTH true
#define IN_V2_BENT false

// The fields of each row, closed by an entry without a name.
#define PACKET(kind, name, class, type, versions, call)                                            \
    static const struct packet_field fields_##name[] = {
#define U8(offset, field)             {#field, FIELD_NUMBER, offset, 1, NULL},
#define U16(offset, field)            {#field, FIELD_NUMBER, offset, 2, NULL},
#define U32(offset, field)            {#field, FIELD_NUMBER, offset, 4, NULL},
#define U64(offset, field)            {#field, FIELD_NUMBER, offset, 8, NULL},
#define RESERVED(offset, field, size) {#field, FIELD_RESERVED, offset, size, NULL},
#define TAIL(offset, field, size)     {#field, FIELD_TAIL, offset, 0, #size},
#define END(kind, size)                                                                            \
    {                                                                                              \
        NULL, FIELD_RESERVED, size, 0, NULL                                                        \
    }                                                                                              \
    }                                                                                              \
    ;
#include "protocol/packets.def"

enum {
#define END(kind, size) SIZE_##kind = (size),
#include "protocol/packets.def"
};

static const struct packet_info infos[] = {
#define PACKET(kind, name, class, type, versions, call)                                            \
    {#kind,                                                                                        \
     call,                                                                                         \
     CLASS_##class,                                                                                \
     type,                                                                                         \
     IN_V1_##versions,                                                                             \
     IN_V2_##versions,                                                                             \
     SIZE_##kind,                                                                                  \
     sizeof(fields_##name) / sizeof(fields_##name[0]) - 1,                                         \
     fields_##name},
#include "protocol/packets.def"
};

const struct packet_info *packet_info(enum packet_kind kind)
{
    return &infos[kind];
}
