#include "protocol/packets.h"

#include "protocol/bytes.h"

struct packet_header packet_header_read(const uint8_t *bytes)
{
    return (struct packet_header){
        .version = bytes[0],
        .class = bytes[1],
        .type = (uint16_t)load_le(bytes + 2, 2),
        .id = (uint32_t)load_le(bytes + 4, 4),
    };
}

static void header_write(struct byte_writer *writer, const struct packet *packet)
{
    const struct packet_info *info = packet_info(packet->kind);
    write_number(writer, 1, packet->header.version);
    write_number(writer, 1, info->class);
    write_number(writer, 2, info->type);
    write_number(writer, 4, packet->header.id);
}

// One reader per row: the list of its fields.
static void read_reserved(struct byte_reader *reader, size_t size)
{
    if (read_number(reader, size) != 0) {
        reader->ok = false;
    }
}

#define PACKET(kind, name, class, type, versions, call)                                            \
    static void read_##name(struct byte_reader *reader, struct packet_##name *packet)              \
    {                                                                                              \
        (void)reader;                                                                              \
        packet->none = 0;
#define U8(offset, field)              packet->field = (uint8_t)read_number(reader, 1);
#define U16(offset, field)             packet->field = (uint16_t)read_number(reader, 2);
#define U32(offset, field)             packet->field = (uint32_t)read_number(reader, 4);
#define U64(offset, field)             packet->field = read_number(reader, 8);
#define RESERVED(offset, field, size)  read_reserved(reader, size);
#define TAIL(offset, field, tail_size) packet->field = read_bytes(reader, tail_size);
#define END(kind, size)                }
#include "protocol/packets.def"

// And one writer.
#define PACKET(kind, name, class, type, versions, call)                                            \
    static void write_##name(struct byte_writer *writer, const struct packet_##name *packet)       \
    {                                                                                              \
        (void)writer;                                                                              \
        (void)packet;
#define U8(offset, field)              write_number(writer, 1, packet->field);
#define U16(offset, field)             write_number(writer, 2, packet->field);
#define U32(offset, field)             write_number(writer, 4, packet->field);
#define U64(offset, field)             write_number(writer, 8, packet->field);
#define RESERVED(offset, field, size)  write_number(writer, size, 0);
#define TAIL(offset, field, tail_size) write_bytes(writer, packet->field, tail_size);
#define END(kind, size)                }
#include "protocol/packets.def"

static void body_read(struct byte_reader *reader, struct packet *packet)
{
    switch (packet->kind) {
#define PACKET(kind, name, class, type, versions, call)                                            \
    case PACKET_##kind:                                                                            \
        read_##name(reader, &packet->name);                                                        \
        break;
#include "protocol/packets.def"
    case NUM_PACKET_KINDS:
        reader->ok = false;
        break;
    }
}

static void body_write(struct byte_writer *writer, const struct packet *packet)
{
    switch (packet->kind) {
#define PACKET(kind, name, class, type, versions, call)                                            \
    case PACKET_##kind:                                                                            \
        write_##name(writer, &packet->name);                                                       \
        break;
#include "protocol/packets.def"
    case NUM_PACKET_KINDS:
        writer->ok = false;
        break;
    }
}

// A version 1 walk of 20 bytes that does not count one entry: the form of the published client.
static bool is_walk_2018(enum protocol_version version, const uint8_t *bytes, size_t len)
{
    enum { COUNT = 10, WALK_2018_SIZE = 20 };
    return version == PROTOCOL_V1 && len == WALK_2018_SIZE && bytes[COUNT] != 1;
}

enum packet_error packet_read(enum protocol_version version, const uint8_t *bytes, size_t len,
                              struct packet *out)
{
    if (len < PACKET_HEADER_SIZE) {
        return PACKET_TOO_SHORT;
    }
    out->header = packet_header_read(bytes);
    if (len > packet_max(version)) {
        return PACKET_TOO_LONG;
    }
    out->kind = packet_kind_of(version, out->header.class, out->header.type);
    if (out->kind == NUM_PACKET_KINDS) {
        return PACKET_UNKNOWN;
    }
    if (out->kind == PACKET_WALK && is_walk_2018(version, bytes, len)) {
        out->kind = PACKET_WALK_2018;
    }
    struct byte_reader reader = {bytes + PACKET_HEADER_SIZE, bytes + len, true};
    body_read(&reader, out);
    return reader.ok && reader.at == reader.end ? PACKET_OK : PACKET_MALFORMED;
}

size_t packet_write(const struct packet *packet, uint8_t *out, size_t size)
{
    if (packet->kind >= NUM_PACKET_KINDS) {
        return 0;
    }
    struct byte_writer writer = {out, out + size, true};
    header_write(&writer, packet);
    body_write(&writer, packet);
    return writer.ok ? (size_t)(writer.at - out) : 0;
}

size_t packet_size(enum packet_kind kind)
{
    return packet_info(kind)->size;
}

size_t packet_max(enum protocol_version version)
{
    return version == PROTOCOL_V2 ? PACKET_MAX_V2 : PACKET_MAX_V1;
}
