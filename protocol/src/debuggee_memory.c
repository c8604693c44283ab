// Memory, ports, page walks and translations.

#include "exchange.h"
#include "protocol/bytes.h"

static struct target_address virtual_address(uint64_t root, uint16_t selector, uint64_t offset)
{
    return (struct target_address){TARGET_VIRTUAL, selector, root, offset};
}

static struct target_address linear_address(uint64_t root, uint64_t address)
{
    return (struct target_address){TARGET_LINEAR, 0, root, address};
}

static struct target_address physical_address(uint64_t address)
{
    return (struct target_address){TARGET_PHYSICAL, 0, 0, address};
}

// Reads up to *length bytes into the tail of a reply of this kind; false when that has been
// answered with a status.
static bool read_memory(struct exchange *x, const struct target_address *from,
                        enum packet_kind kind, uint32_t *length)
{
    if (*length > exchange_tail_max(x, kind)) {
        exchange_status(x, STATUS_PACKET_TOO_LARGE);
        return false;
    }
    if (*length == 0) {
        return true;
    }
    size_t moved = 0;
    enum pulse_status status =
        x->debuggee->ops->read(x->debuggee->target, from, exchange_tail(x, kind), *length, &moved);
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return false;
    }
    *length = (uint32_t)moved;
    return true;
}

void answer_read_virtual(struct exchange *x, const struct packet *packet)
{
    const struct packet_read_virtual *request = &packet->read_virtual;
    struct target_address from = virtual_address(request->root, request->selector, request->offset);
    uint32_t length = request->length;
    if (!read_memory(x, &from, PACKET_VIRTUAL_DATA, &length)) {
        return;
    }
    struct packet reply = {.kind = PACKET_VIRTUAL_DATA};
    reply.virtual_data.root = request->root;
    reply.virtual_data.offset = request->offset;
    reply.virtual_data.selector = request->selector;
    reply.virtual_data.length = length;
    reply.virtual_data.data = exchange_tail(x, PACKET_VIRTUAL_DATA);
    exchange_reply(x, &reply);
}

void answer_read_linear(struct exchange *x, const struct packet *packet)
{
    const struct packet_read_linear *request = &packet->read_linear;
    struct target_address from = linear_address(request->root, request->address);
    uint32_t length = request->length;
    if (!read_memory(x, &from, PACKET_LINEAR_DATA, &length)) {
        return;
    }
    struct packet reply = {.kind = PACKET_LINEAR_DATA};
    reply.linear_data.root = request->root;
    reply.linear_data.address = request->address;
    reply.linear_data.length = length;
    reply.linear_data.data = exchange_tail(x, PACKET_LINEAR_DATA);
    exchange_reply(x, &reply);
}

void answer_read_physical(struct exchange *x, const struct packet *packet)
{
    const struct packet_read_physical *request = &packet->read_physical;
    struct target_address from = physical_address(request->address);
    uint32_t length = request->length;
    if (!read_memory(x, &from, PACKET_PHYSICAL_DATA, &length)) {
        return;
    }
    struct packet reply = {.kind = PACKET_PHYSICAL_DATA};
    reply.physical_data.address = request->address;
    reply.physical_data.length = length;
    reply.physical_data.data = exchange_tail(x, PACKET_PHYSICAL_DATA);
    exchange_reply(x, &reply);
}

// The 2018 client ends a write only on an error status or a wrong count, and a wrong count costs it
// a receive buffer.
static void answer_written(struct exchange *x, size_t moved)
{
    if (exchange_is_compat(x) && moved != 0) {
        exchange_status(x, STATUS_PARTIAL_WRITE);
    } else {
        exchange_value(x, moved);
    }
}

static void write_memory(struct exchange *x, const struct target_address *to, const uint8_t *data,
                         uint32_t length)
{
    size_t moved = 0;
    enum pulse_status status = STATUS_SUCCESS;
    if (length != 0) {
        status = x->debuggee->ops->write(x->debuggee->target, to, data, length, &moved);
    }
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return;
    }
    answer_written(x, moved);
}

void answer_write_virtual(struct exchange *x, const struct packet *packet)
{
    const struct packet_write_virtual *request = &packet->write_virtual;
    struct target_address to = virtual_address(request->root, request->selector, request->offset);
    write_memory(x, &to, request->data, request->length);
}

void answer_write_linear(struct exchange *x, const struct packet *packet)
{
    const struct packet_write_linear *request = &packet->write_linear;
    struct target_address to = linear_address(request->root, request->address);
    write_memory(x, &to, request->data, request->length);
}

void answer_write_physical(struct exchange *x, const struct packet *packet)
{
    const struct packet_write_physical *request = &packet->write_physical;
    struct target_address to = physical_address(request->address);
    write_memory(x, &to, request->data, request->length);
}

static enum pulse_status check_io(uint16_t access_size, uint32_t length)
{
    if (length == 0) {
        return STATUS_SUCCESS;
    }
    if (access_size != 1 && access_size != 2 && access_size != 4) {
        return STATUS_INVALID_ACCESS_SIZE;
    }
    return length % access_size == 0 ? STATUS_SUCCESS : STATUS_NOT_ALIGNED;
}

void answer_read_io(struct exchange *x, const struct packet *packet)
{
    const struct packet_read_io *request = &packet->read_io;
    uint8_t *data = exchange_tail(x, PACKET_IO_DATA);
    enum pulse_status status = check_io(request->access_size, request->length);
    if (request->length > exchange_tail_max(x, PACKET_IO_DATA)) {
        status = STATUS_PACKET_TOO_LARGE;
    }
    if (status == STATUS_SUCCESS && request->length != 0) {
        struct target_io io = {request->port, (uint8_t)request->access_size};
        status = x->debuggee->ops->read_io(x->debuggee->target, io, data, request->length);
    }
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return;
    }
    struct packet reply = {.kind = PACKET_IO_DATA};
    reply.io_data.port = request->port;
    reply.io_data.length = request->length;
    reply.io_data.access_size = request->access_size;
    reply.io_data.data = data;
    exchange_reply(x, &reply);
}

void answer_write_io(struct exchange *x, const struct packet *packet)
{
    const struct packet_write_io *request = &packet->write_io;
    enum pulse_status status = check_io(request->access_size, request->length);
    if (status == STATUS_SUCCESS && request->length != 0) {
        struct target_io io = {request->port, (uint8_t)request->access_size};
        status =
            x->debuggee->ops->write_io(x->debuggee->target, io, request->data, request->length);
    }
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return;
    }
    answer_written(x, request->length);
}

// The 2018 client takes walk replies of exactly 20 bytes: the root entry alone.
static void bend_walk(struct target_walk *walk)
{
    walk->entries[0] = walk->num_entries != 0 ? walk->entries[0] : 0;
    walk->num_entries = 1;
    walk->last_valid = 0;
}

static void answer_walk(struct exchange *x, const struct target_address *address)
{
    enum { MODE_5LEVEL = 4 };
    struct target_walk walk = {0};
    enum pulse_status status = x->debuggee->ops->walk(x->debuggee->target, address, &walk);
    if (x->version == PROTOCOL_V1 && walk.mode == MODE_5LEVEL) {
        status = STATUS_INVALID_CPU_MODE;
    }
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return;
    }
    if (exchange_is_compat(x)) {
        bend_walk(&walk);
    }
    uint8_t entries[sizeof(walk.entries)];
    for (size_t i = 0; i < walk.num_entries; i++) {
        store_le(entries + 8 * i, 8, walk.entries[i]);
    }
    struct packet reply = {.kind = PACKET_WALK};
    reply.walk.mode = walk.mode;
    reply.walk.valid = walk.valid;
    reply.walk.count = walk.num_entries;
    reply.walk.last_valid = walk.last_valid;
    reply.walk.entries = entries;
    exchange_reply(x, &reply);
}

void answer_walk_virtual(struct exchange *x, const struct packet *packet)
{
    const struct packet_walk_virtual *request = &packet->walk_virtual;
    struct target_address address =
        virtual_address(request->root, request->selector, request->offset);
    answer_walk(x, &address);
}

void answer_walk_linear(struct exchange *x, const struct packet *packet)
{
    struct target_address address =
        linear_address(packet->walk_linear.root, packet->walk_linear.address);
    answer_walk(x, &address);
}

static void answer_translation(struct exchange *x, const struct target_address *address)
{
    struct target_walk walk = {0};
    enum pulse_status status = x->debuggee->ops->walk(x->debuggee->target, address, &walk);
    if (status == STATUS_SUCCESS && !walk.valid) {
        status = STATUS_INVALID_TRANSLATION;
    }
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return;
    }
    struct packet reply = {.kind = PACKET_PHYSICAL_ADDRESS};
    reply.physical_address.address = walk.guest_phys;
    exchange_reply(x, &reply);
}

void answer_virtual_to_physical(struct exchange *x, const struct packet *packet)
{
    const struct packet_virtual_to_physical *request = &packet->virtual_to_physical;
    struct target_address address =
        virtual_address(request->root, request->selector, request->offset);
    answer_translation(x, &address);
}

void answer_linear_to_physical(struct exchange *x, const struct packet *packet)
{
    const struct packet_linear_to_physical *request = &packet->linear_to_physical;
    struct target_address address = linear_address(request->root, request->address);
    answer_translation(x, &address);
}
