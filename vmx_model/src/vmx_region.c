#include "vmx_region.h"

#include <string.h>

_Static_assert(VMX_REGION_DATA + 8 * VMCS_NUM_FIELDS <= 4096, "the data do not fit the region");

// Little-endian; `size` is 4 or 8.
static uint64_t get(const struct vmx_memory *memory, uint64_t physical, unsigned size)
{
    uint8_t byte[8];
    if (!memory->reader.read(memory->reader.context, physical, byte, size)) {
        memset(byte, 0xFF, sizeof(byte));
    }
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)byte[i] << (8 * i);
    }
    return value;
}

static void put(const struct vmx_memory *memory, uint64_t physical, unsigned size, uint64_t value)
{
    uint8_t byte[8];
    for (unsigned i = 0; i < size; i++) {
        byte[i] = (uint8_t)(value >> (8 * i));
    }
    (void)memory->write(memory->reader.context, physical, byte, size);
}

uint32_t vmx_region_word(const struct vmx_memory *memory, uint64_t region)
{
    return (uint32_t)get(memory, region, 4);
}

void vmx_region_clear(const struct vmx_memory *memory, uint64_t region)
{
    put(memory, region + VMX_REGION_LAUNCH_STATE, 4, 0);
}

// Where the region has a field.
static uint64_t place_of(uint64_t region, unsigned slot)
{
    return region + VMX_REGION_DATA + UINT64_C(8) * slot;
}

void vmx_region_store(const struct vmx_memory *memory, uint64_t region, const struct vmcs *vmcs,
                      bool is_launched)
{
    put(memory, region + VMX_REGION_LAUNCH_STATE, 4, is_launched);
    for (unsigned slot = 0; slot < VMCS_NUM_FIELDS; slot++) {
        put(memory, place_of(region, slot), 8, vmcs->field[slot]);
    }
}

// A field keeps the bits of its width, whatever software stored in the region.
void vmx_region_load(const struct vmx_memory *memory, uint64_t region, struct vmcs *out,
                     bool *out_launched)
{
    *out_launched = get(memory, region + VMX_REGION_LAUNCH_STATE, 4) == 1;
    for (unsigned slot = 0; slot < VMCS_NUM_FIELDS; slot++) {
        out->field[slot] =
            get(memory, place_of(region, slot), 8) & vmcs_slot_mask((enum vmcs_slot)slot);
    }
}
