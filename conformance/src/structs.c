#include "structs.h"

#include <string.h>

#include "protocol/registers.h"

// One table per structure, from its rows.
#define STRUCT(tag, name)            static const struct struct_field tag##_fields[] = {
#define FIELD(structure, type, name) {#name, offsetof(structure, name), sizeof(type), 1, 0},
#define NUMBERS(structure, type, name, count)                                                      \
    {#name, offsetof(structure, name), sizeof(type), count, 0},
#define END_STRUCT(tag, name)                                                                      \
    }                                                                                              \
    ;
#include "conformance/pulse_structs.def"

static const struct struct_field ps_ctx_fields[] = {
#define CONTEXT_REGISTER(bit, name, size) {#name, offsetof(PS_CTX, name), size, 1, bit},
#include "protocol/registers.def"
};

static const struct struct_field ps_ctx_ext_fields[] = {
#define EXTENDED_REGISTER(bit, name, size) {#name, offsetof(PS_CTX_EXT, name), size, 1, bit},
#include "protocol/registers.def"
};

#define INFO(fields, type)                                                                         \
    {                                                                                              \
        fields, sizeof(fields) / sizeof((fields)[0]), sizeof(type)                                 \
    }

static const struct struct_info infos[NUM_STRUCT_KINDS] = {
#define STRUCT(tag, name) INFO(tag##_fields, name),
#include "conformance/pulse_structs.def"
    INFO(ps_ctx_fields, PS_CTX),
    INFO(ps_ctx_ext_fields, PS_CTX_EXT),
};

const struct struct_info *struct_info(enum struct_kind kind)
{
    return &infos[kind];
}

const struct struct_field *struct_field(enum struct_kind kind, const char *name)
{
    const struct struct_info *info = struct_info(kind);
    for (size_t i = 0; i < info->num_fields; i++) {
        if (strcmp(info->fields[i].name, name) == 0) {
            return &info->fields[i];
        }
    }
    return NULL;
}

uint64_t field_load(const void *structure, size_t offset, size_t size)
{
    const uint8_t *at = (const uint8_t *)structure + offset;
    uint8_t byte = 0;
    uint16_t word = 0;
    uint32_t half = 0;
    uint64_t whole = 0;
    switch (size) {
    case sizeof(byte):
        return *at;
    case sizeof(word):
        memcpy(&word, at, sizeof(word));
        return word;
    case sizeof(half):
        memcpy(&half, at, sizeof(half));
        return half;
    default:
        memcpy(&whole, at, sizeof(whole));
        return whole;
    }
}

void field_store(void *structure, size_t offset, size_t size, uint64_t value)
{
    uint8_t *at = (uint8_t *)structure + offset;
    uint16_t word = (uint16_t)value;
    uint32_t half = (uint32_t)value;
    switch (size) {
    case sizeof(*at):
        *at = (uint8_t)value;
        break;
    case sizeof(word):
        memcpy(at, &word, sizeof(word));
        break;
    case sizeof(half):
        memcpy(at, &half, sizeof(half));
        break;
    default:
        memcpy(at, &value, sizeof(value));
        break;
    }
}
