#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boundary_requests.h"

void expect_status(const struct packet *reply, uint64_t number)
{
    assert_int_equal(reply->kind, PACKET_STATUS);
    assert_int_equal(reply->status.status, number);
}

struct packet linear_request(enum packet_kind kind, uint64_t root)
{
    struct packet request = {.kind = kind};
    if (kind == PACKET_READ_LINEAR) {
        request.read_linear.root = root;
        request.read_linear.address = LINEAR_PAGE;
        request.read_linear.length = 4;
    } else if (kind == PACKET_WRITE_LINEAR) {
        request.write_linear.root = root;
        request.write_linear.address = LINEAR_PAGE;
        request.write_linear.length = 4;
        request.write_linear.data = (const uint8_t *)"text";
    } else if (kind == PACKET_WALK_LINEAR) {
        request.walk_linear.root = root;
        request.walk_linear.address = LINEAR_PAGE;
    } else if (kind == PACKET_LINEAR_TO_PHYSICAL) {
        request.linear_to_physical.root = root;
        request.linear_to_physical.address = LINEAR_PAGE;
    } else {
        request.search_linear.root = root;
        request.search_linear.start = LINEAR_PAGE;
        request.search_linear.end = LINEAR_PAGE;
        request.search_linear.length = 4;
        request.search_linear.pattern = (const uint8_t *)"text";
    }
    return request;
}

struct packet virtual_request(enum packet_kind kind, uint64_t root, uint16_t selector)
{
    struct packet request = {.kind = kind};
    if (kind == PACKET_READ_VIRTUAL) {
        request.read_virtual.root = root;
        request.read_virtual.selector = selector;
        request.read_virtual.offset = LINEAR_PAGE;
        request.read_virtual.length = 4;
    } else if (kind == PACKET_WRITE_VIRTUAL) {
        request.write_virtual.root = root;
        request.write_virtual.selector = selector;
        request.write_virtual.offset = LINEAR_PAGE;
        request.write_virtual.length = 4;
        request.write_virtual.data = (const uint8_t *)"text";
    } else if (kind == PACKET_WALK_VIRTUAL) {
        request.walk_virtual.root = root;
        request.walk_virtual.selector = selector;
        request.walk_virtual.offset = LINEAR_PAGE;
    } else if (kind == PACKET_VIRTUAL_TO_PHYSICAL) {
        request.virtual_to_physical.root = root;
        request.virtual_to_physical.selector = selector;
        request.virtual_to_physical.offset = LINEAR_PAGE;
    } else {
        request.search_virtual.root = root;
        request.search_virtual.selector = selector;
        request.search_virtual.start = LINEAR_PAGE;
        request.search_virtual.end = LINEAR_PAGE;
        request.search_virtual.length = 4;
        request.search_virtual.pattern = (const uint8_t *)"text";
    }
    return request;
}

static const enum packet_kind linear_kinds[] = {
    PACKET_READ_LINEAR,        PACKET_WRITE_LINEAR,  PACKET_WALK_LINEAR,
    PACKET_LINEAR_TO_PHYSICAL, PACKET_SEARCH_LINEAR,
};

static const enum packet_kind virtual_kinds[] = {
    PACKET_READ_VIRTUAL,        PACKET_WRITE_VIRTUAL,  PACKET_WALK_VIRTUAL,
    PACKET_VIRTUAL_TO_PHYSICAL, PACKET_SEARCH_VIRTUAL,
};

enum { NUM_KINDS = sizeof(linear_kinds) / sizeof(linear_kinds[0]) };

void world_enter_flat(struct world *world, enum world_mode mode)
{
    struct world_segment flat = {0xC093, 0, UINT32_MAX};
    world_enter(world, mode);
    world_set_segment(world, "ds", WORLD_DS, flat);
}

void world_ask(struct world *world, enum protocol_version version, struct packet *request)
{
    world->rig.version = version;
    rig_ask(&world->rig, request);
    assert_true(world->rig.has_reply);
}

uint64_t refusal_of(const struct world *world, enum protocol_version version, enum packet_kind kind,
                    const uint64_t status[2])
{
    bool is_walk = kind == PACKET_WALK_LINEAR || kind == PACKET_WALK_VIRTUAL;
    if (version == PROTOCOL_V1 && is_walk && world_modes[world->mode].levels == 5) {
        return INVALID_CPU_MODE_V1;
    }
    return status[version == PROTOCOL_V1 ? 0 : 1];
}

static void expect_refusal(struct world *world, struct packet *request, const uint64_t status[2])
{
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2; version++) {
        world_ask(world, (enum protocol_version)version, request);
        expect_status(&world->rig.reply,
                      refusal_of(world, (enum protocol_version)version, request->kind, status));
    }
}

void expect_refusals(struct world *world, uint64_t root, uint16_t selector,
                     const uint64_t status[2])
{
    for (size_t i = 0; i < NUM_KINDS; i++) {
        struct packet request = linear_request(linear_kinds[i], root);
        expect_refusal(world, &request, status);
        request = virtual_request(virtual_kinds[i], root, selector);
        expect_refusal(world, &request, status);
    }
    world_expect_equal(world);
}
