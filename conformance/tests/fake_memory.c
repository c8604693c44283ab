#include "fake_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "protocol/bytes.h"

static uint8_t byte_at(uint64_t address)
{
    return (uint8_t)(address * 7 + (address >> 8));
}

void fake_memory_fill(uint8_t *bytes, uint64_t address, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bytes[i] = byte_at(address + i);
    }
}

// Where a request of each type says how much and where; and its type of data reply.
struct layout {
    uint16_t type;
    uint8_t address;
    uint8_t length;
    uint8_t size;
    bool is_write;
    uint16_t reply;
};

static const struct layout layouts[] = {
    {5, 16, 26, 30, false, 4},  {6, 16, 26, 30, true, 0},    {7, 16, 24, 28, false, 5},
    {8, 16, 24, 28, true, 0},   {9, 8, 16, 20, false, 6},    {10, 8, 16, 20, true, 0},
    {11, 8, 10, 16, false, 7},  {12, 8, 10, 16, true, 0},    {64, 16, 28, 32, false, 64},
    {65, 16, 28, 32, true, 65}, {66, 16, 26, 30, false, 66}, {67, 16, 26, 30, true, 65},
    {68, 8, 18, 22, false, 68}, {69, 8, 18, 22, true, 65},
};

static const struct layout *layout_of(uint16_t type)
{
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        if (layouts[i].type == type) {
            return &layouts[i];
        }
    }
    return NULL;
}

static void send_number(struct fake *fake, const uint8_t *request, uint16_t type, uint64_t number)
{
    uint8_t reply[17] = {request[0], CLASS_REPLY};
    store_le(reply + 2, 2, type);
    memcpy(reply + 4, request + 4, 4);
    store_le(reply + 8, 8, number);
    fake_send(fake, reply, type == 65 ? 17 : 16);
}

static void send_data(struct fake *fake, const uint8_t *request, const struct layout *layout,
                      uint32_t len)
{
    static _Thread_local uint8_t reply[PACKET_MAX];
    memcpy(reply, request, layout->size);
    reply[1] = CLASS_REPLY;
    store_le(reply + 2, 2, layout->reply);
    store_le(reply + layout->length, 4, len);
    fake_memory_fill(reply + layout->size, load_le(request + layout->address, 8), len);
    fake_send(fake, reply, layout->size + len);
}

static void take_written(struct fake_memory *memory, const uint8_t *data, uint64_t address,
                         uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        memory->matches = memory->matches && data[i] == byte_at(address + i);
    }
}

static void answer_chunk(struct fake *fake, const uint8_t *request, const struct layout *layout,
                         uint32_t len)
{
    struct fake_memory *memory = fake->user;
    if (layout->is_write) {
        take_written(memory, request + layout->size, load_le(request + layout->address, 8), len);
        send_number(fake, request, layout->reply, len);
    } else {
        send_data(fake, request, layout, len);
    }
}

void fake_memory_answer(struct fake *fake, const uint8_t *request, size_t len)
{
    struct fake_memory *memory = fake->user;
    if (packet_header_read(request).class == CLASS_RESEND) {
        return;
    }
    const struct layout *layout = layout_of(packet_header_read(request).type);
    uint32_t asked = (uint32_t)load_le(request + layout->length, 4);
    assert_int_equal(len, layout->size + (layout->is_write ? asked : 0));
    size_t chunk = memory->num_chunks;
    if (chunk < 8) {
        memory->lengths[chunk] = asked;
        memory->addresses[chunk] = load_le(request + layout->address, 8);
    }
    memory->num_chunks++;
    enum ending ending = chunk >= memory->ends_at ? memory->ending : END_NONE;
    switch (ending) {
    case END_NONE:
        answer_chunk(fake, request, layout, asked);
        break;
    case END_SHORT:
        answer_chunk(fake, request, layout, asked - 1);
        break;
    case END_STATUS:
        send_number(fake, request, 1, 0xC0000021);
        break;
    case END_INVALID:
        send_number(fake, request, 8, 0);
        break;
    case END_SILENCE:
        break;
    }
}
