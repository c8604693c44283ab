#include "operations.h"

#include <assert.h>
#include <string.h>

#include "long64.h"

enum {
    SYSENTER_CS = 0x174,
    SMALL = 8,
    FILLER = 0x5A, // what is written
};

static_assert(LONG64_FREE_SIZE >= PACKET_MAX_V2,
              "the largest transfer stays in memory nobody uses");

const struct operation operations[NUM_OPERATIONS] = {
#define OPERATION(id, name, text, payload, least_ratio, least_rate)                                \
    {name, text, payload, least_ratio, least_rate},
#include "operations.def"
};

// Through four levels of tables, in the kernel's half.
static struct packet small_read(void)
{
    return (struct packet){
        .kind = PACKET_READ_VIRTUAL,
        .read_virtual = {.root = LONG64_CR3, .offset = LONG64_CONSTANTS, .length = SMALL},
    };
}

static struct packet large_read(void)
{
    return (struct packet){
        .kind = PACKET_READ_VIRTUAL,
        .read_virtual = {.root = LONG64_CR3,
                         .offset = LONG64_2M_PAGE,
                         .length = (uint32_t)operations[OPERATION_VIRTUAL_READ_MAX].payload},
    };
}

static struct packet large_write(const uint8_t *data)
{
    return (struct packet){
        .kind = PACKET_WRITE_VIRTUAL,
        .write_virtual = {.root = LONG64_CR3,
                          .offset = LONG64_2M_PAGE,
                          .length = (uint32_t)operations[OPERATION_VIRTUAL_WRITE_MAX].payload,
                          .data = data},
    };
}

void packet_prepare(const struct packet *request, enum packet_kind reply, struct prepared *out)
{
    struct packet packet = *request;
    packet.header.version = PROTOCOL_V2;
    out->request_len = packet_write(&packet, out->request, sizeof(out->request));
    out->reply_len = packet_size(reply);
    out->reply_type = packet_info(reply)->type;
}

void operation_prepare(enum operation_id id, struct prepared *out)
{
    struct packet request = {.kind = PACKET_READ_MSR, .read_msr = {.index = SYSENTER_CS}};
    switch (id) {
    case OPERATION_MSR_READ:
        packet_prepare(&request, PACKET_MSR_DATA, out);
        return;
    case OPERATION_VIRTUAL_READ_8:
        request = small_read();
        packet_prepare(&request, PACKET_VIRTUAL_DATA, out);
        out->reply_len += SMALL;
        return;
    case OPERATION_VIRTUAL_READ_MAX:
        request = large_read();
        packet_prepare(&request, PACKET_VIRTUAL_DATA, out);
        out->reply_len += operations[id].payload;
        return;
    case OPERATION_VIRTUAL_WRITE_MAX: {
        uint8_t *data = out->request + packet_size(PACKET_WRITE_VIRTUAL);
        memset(data, FILLER, operations[id].payload);
        request = large_write(data);
        packet_prepare(&request, PACKET_SUCCESS, out);
        return;
    }
    case NUM_OPERATIONS:
        return;
    }
}

bool reply_is_right(const struct prepared *prepared, uint32_t id, const uint8_t *reply, size_t len)
{
    if (len != prepared->reply_len) {
        return false;
    }
    struct packet_header header = packet_header_read(reply);
    return header.version == PROTOCOL_V2 && header.class == CLASS_REPLY &&
           header.type == prepared->reply_type && header.id == id;
}
