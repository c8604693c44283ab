#include "vmx_model/vmcs.h"

#include <string.h>

// Bits 31:15, 12 and 0 of every row's encoding are 0.
#define ENCODING_RESERVED 0xFFFF9001u

#define VMCS_FIELD(name, encoding, feature)                                                        \
    _Static_assert(((encoding)&ENCODING_RESERVED) == 0, #name ": not an encoding");
#include "vmx_model/vmcs_fields.def"

static const struct {
    const char *name;
    uint16_t encoding;
    uint16_t feature;
} fields[] = {
#define VMCS_FIELD(name, encoding, feature) {#name, encoding, VMX_FEATURE_##feature},
#include "vmx_model/vmcs_fields.def"
};

void vmcs_init(struct vmcs *vmcs, const struct vmx_profile *profile)
{
    memset(vmcs, 0, sizeof(*vmcs));
    vmcs->profile = profile;
}

static bool is_high(uint32_t encoding)
{
    return (encoding & VMCS_ENCODING_HIGH) != 0;
}

bool vmcs_slot_of(uint32_t encoding, enum vmcs_slot *out)
{
    if (is_high(encoding) && vmcs_encoding_width(encoding) != VMCS_WIDTH_64) {
        return false;
    }
    switch (encoding & ~VMCS_ENCODING_HIGH) {
#define VMCS_FIELD(name, encoding, feature)                                                        \
    case encoding:                                                                                 \
        *out = VMCS_##name;                                                                        \
        return true;
#include "vmx_model/vmcs_fields.def"
    default:
        return false;
    }
}

uint32_t vmcs_slot_encoding(enum vmcs_slot slot)
{
    return fields[slot].encoding;
}

uint64_t vmcs_slot_mask(enum vmcs_slot slot)
{
    return vmcs_encoding_mask(fields[slot].encoding);
}

bool vmcs_slot_exists(const struct vmx_profile *profile, enum vmcs_slot slot)
{
    return vmx_profile_has(profile, (enum vmx_feature)fields[slot].feature);
}

bool vmcs_read(const struct vmcs *vmcs, uint32_t encoding, uint64_t *out)
{
    enum vmcs_slot slot;
    if (!vmcs_slot_of(encoding, &slot) || !vmcs_slot_exists(vmcs->profile, slot)) {
        return false;
    }
    *out = is_high(encoding) ? vmcs->field[slot] >> 32 : vmcs->field[slot];
    return true;
}

// SDM Vol. 3C, "VMX Basic Information" and "Miscellaneous Data": IA32_VMX_MISC[29] lets VMWRITE
// change the read-only data fields too.
static bool is_writable(const struct vmx_profile *profile, uint32_t encoding)
{
    return vmcs_encoding_group(encoding) != VMCS_GROUP_READ_ONLY ||
           vmx_profile_has(profile, VMX_FEATURE_VMWRITE_READ_ONLY_FIELDS);
}

bool vmcs_write(struct vmcs *vmcs, uint32_t encoding, uint64_t value)
{
    enum vmcs_slot slot;
    if (!vmcs_slot_of(encoding, &slot) || !vmcs_slot_exists(vmcs->profile, slot) ||
        !is_writable(vmcs->profile, encoding)) {
        return false;
    }
    uint64_t *field = &vmcs->field[slot];
    if (is_high(encoding)) {
        *field = value << 32 | (*field & 0xFFFFFFFF);
    } else {
        *field = value & vmcs_encoding_mask(encoding);
    }
    return true;
}

const char *vmcs_field_name(uint32_t encoding)
{
    enum vmcs_slot slot;
    return vmcs_slot_of(encoding, &slot) ? fields[slot].name : NULL;
}
