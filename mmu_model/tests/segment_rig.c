#include "segment_rig.h"

#include <stdlib.h>
#include <string.h>

// The byte at a linear address; NULL where no table is.
static uint8_t *byte_at(struct segment_rig *rig, uint64_t linear)
{
    uint64_t table = (linear >> 12) - 1;
    uint64_t offset = linear & 0xFFF;
    bool exists = table < RIG_NUM_TABLES && offset < RIG_TABLE_SIZE;
    return exists ? &rig->bytes[table][offset] : NULL;
}

static bool read_rig(void *context, uint64_t linear, void *buffer, size_t len)
{
    struct segment_rig *rig = context;
    uint8_t *bytes = buffer;
    for (size_t i = 0; i < len; i++) {
        const uint8_t *byte = byte_at(rig, linear + i);
        bytes[i] = byte != NULL ? *byte : 0;
    }
    return rig->unreadable == 0 || linear != rig->unreadable;
}

void rig_init(struct segment_rig *rig, enum cpu_mode mode, unsigned cpl)
{
    *rig = (struct segment_rig){.unreadable = 0};
    rig->cpu = (struct segment_cpu){
        .mode = mode,
        .cpl = cpl,
        .linear_bits = 48,
        .cs = {0xF000, 0x9B, 0xFFFF, 0xF0000},
        .ldtr = {0x28, 0x82, RIG_TABLE_SIZE - 1, RIG_LDT},
        .tr = {RIG_TR, 0x8B, 0x67, RIG_TSS},
        .gdt_base = RIG_GDT,
        .gdt_limit = RIG_TABLE_SIZE - 1,
        .read = read_rig,
        .context = rig,
    };
}

void rig_put(struct segment_rig *rig, uint64_t linear, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t *byte = byte_at(rig, linear + i);
        if (byte == NULL) {
            abort();
        }
        *byte = (uint8_t)(value >> (8 * i));
    }
}

void rig_put_gdt(struct segment_rig *rig, uint16_t selector, uint64_t descriptor)
{
    rig_put(rig, RIG_GDT + (selector & UINT64_C(0xFFF8)), descriptor, 8);
}
