#ifndef PROTOCOL_PACKETS_H
#define PROTOCOL_PACKETS_H

// Packets: one struct per row of packets.def, a reader and a writer between them and bytes.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/registers.h"
#include "protocol/status.h"

enum {
    PACKET_HEADER_SIZE = 8,
    PACKET_MAX_V1 = 16384,
    PACKET_MAX_V2 = 61440,
    PACKET_MAX = PACKET_MAX_V2,
    PATTERN_MAX = 4096,     // bytes of a search pattern
    BREAKPOINTS_MAX = 1024, // per machine
    FILTERS_MAX = 1024,     // per machine
};

#define PACKET_NO_ID UINT32_C(0xFFFFFFFF) // id of a packet that belongs to no request

enum packet_class {
    CLASS_REQUEST = 0,
    CLASS_REPLY = 1,
    CLASS_CONTROL = 2,
    CLASS_NOTIFICATION = 3,
    CLASS_RESEND = 5,
};

//  0         1       2      4    8
// | version | class | type | id | body ...
struct packet_header {
    uint8_t version; // byte 0 as it stands there; version 1 never checks it
    uint8_t class;
    uint16_t type;
    uint32_t id;
};

enum packet_kind {
#define PACKET(kind, name, class, type, versions, call) PACKET_##kind,
#include "protocol/packets.def"
    NUM_PACKET_KINDS,
};

// struct packet_ping, struct packet_get_context, ... A field `length` or `count` says how long the
// tail is; a tail points into the bytes the packet was read from. The member `none` keeps structs
// of packets without a body legal.
#define PACKET(kind, name, class, type, versions, call)                                            \
    struct packet_##name {                                                                         \
        uint8_t none;
#define U8(offset, field)         uint8_t field;
#define U16(offset, field)        uint16_t field;
#define U32(offset, field)        uint32_t field;
#define U64(offset, field)        uint64_t field;
#define TAIL(offset, field, size) const uint8_t *field;
#define END(kind, size)                                                                            \
    }                                                                                              \
    ;
#include "protocol/packets.def"

struct packet {
    struct packet_header header; // class and type are implied by kind when writing
    enum packet_kind kind;
    union {
#define PACKET(kind, name, class, type, versions, call) struct packet_##name name;
#include "protocol/packets.def"
    };
};

enum packet_error {
    PACKET_OK,
    PACKET_TOO_SHORT, // under 8 bytes: there is not even a header
    PACKET_TOO_LONG,  // over the version's largest packet
    PACKET_UNKNOWN,   // no row has this class and type
    PACKET_MALFORMED, // the length is not the row's, or a reserved field is not zero
};

// The header of a packet of at least PACKET_HEADER_SIZE bytes.
struct packet_header packet_header_read(const uint8_t *bytes);

// Reads the len bytes of one packet by the rows of version. out's header is filled from 8 bytes on,
// whatever the result; its body only with PACKET_OK. Tails point into bytes. Byte 0 is not checked.
enum packet_error packet_read(enum protocol_version version, const uint8_t *bytes, size_t len,
                              struct packet *out);

// Writes packet into out, which has size bytes. Returns its length, 0 when it does not fit. A tail
// that already stands where it belongs, packet_size(kind) bytes from out, is not copied.
size_t packet_write(const struct packet *packet, uint8_t *out, size_t size);

// The kind with this class and type in version; NUM_PACKET_KINDS when there is none.
enum packet_kind packet_kind_of(enum protocol_version version, uint8_t class, uint16_t type);

// Size of a packet without its tail, header included.
size_t packet_size(enum packet_kind kind);

// The largest packet of version.
size_t packet_max(enum protocol_version version);

enum packet_field_type { FIELD_NUMBER, FIELD_RESERVED, FIELD_TAIL };

// What a table of a packet's fields shows.
struct packet_field {
    const char *name;
    enum packet_field_type type;
    uint16_t offset;     // in the packet
    uint16_t size;       // bytes of a number or reserved field
    const char *tail_of; // a tail's size as an expression over the packet's fields
};

struct packet_info {
    const char *kind; // "READ_VIRTUAL"
    const char *call; // "PsReadVirtualMemory"
    enum packet_class class;
    uint16_t type;
    bool in_v1;
    bool in_v2;
    uint16_t size; // without the tail, header included
    uint16_t num_fields;
    const struct packet_field *fields;
};

// The row of kind, for whoever prints, draws or enumerates packets.
const struct packet_info *packet_info(enum packet_kind kind);

#endif
