// The VMCS: one 64-bit slot per field of the manual, reached by slot or by encoding.
//
// An encoding (SDM Vol. 3, appendix "Field Encoding in VMCS"):
//
//  31       15 14   13  12  11   10  9         1   0
// | 0         | width  | 0 | group  | index     | high |
//
//   width  0 16-bit, 1 64-bit, 2 32-bit, 3 natural (64 here)
//   group  0 control, 1 read-only data, 2 guest state, 3 host state
//   high   1: bits 63:32 of a 64-bit field
#ifndef VMX_MODEL_VMCS_H
#define VMX_MODEL_VMCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmx_model/profile.h"

// VMCS_GUEST_RIP and the like: the slot of each field.
enum vmcs_slot {
#define VMCS_FIELD(name, encoding, feature) VMCS_##name,
#include "vmx_model/vmcs_fields.def"
    VMCS_NUM_FIELDS
};

// VMCS_ENCODING_GUEST_RIP and the like.
enum vmcs_encoding {
#define VMCS_FIELD(name, encoding, feature) VMCS_ENCODING_##name = (encoding),
#include "vmx_model/vmcs_fields.def"
};

enum vmcs_width {
    VMCS_WIDTH_16,
    VMCS_WIDTH_64,
    VMCS_WIDTH_32,
    VMCS_WIDTH_NATURAL,
};

enum vmcs_group {
    VMCS_GROUP_CONTROL,
    VMCS_GROUP_READ_ONLY,
    VMCS_GROUP_GUEST,
    VMCS_GROUP_HOST,
};

// A plain value, copied by assignment. A field holds no bit beyond its width: who stores into
// field[] directly keeps it so.
struct vmcs {
    const struct vmx_profile *profile; // says which fields exist
    uint64_t field[VMCS_NUM_FIELDS];
};

#define VMCS_ENCODING_HIGH 0x1u

static inline enum vmcs_width vmcs_encoding_width(uint32_t encoding)
{
    return (enum vmcs_width)(encoding >> 13 & 3);
}

static inline enum vmcs_group vmcs_encoding_group(uint32_t encoding)
{
    return (enum vmcs_group)(encoding >> 10 & 3);
}

// The bits that a field of this encoding has, by its width: of the whole field, also for a high
// access.
static inline uint64_t vmcs_encoding_mask(uint32_t encoding)
{
    static const uint64_t mask[] = {
        [VMCS_WIDTH_16] = 0xFFFF,
        [VMCS_WIDTH_64] = UINT64_MAX,
        [VMCS_WIDTH_32] = 0xFFFFFFFF,
        [VMCS_WIDTH_NATURAL] = UINT64_MAX,
    };
    return mask[vmcs_encoding_width(encoding)];
}

// All fields 0, on a processor of this profile, which must outlive the VMCS.
void vmcs_init(struct vmcs *vmcs, const struct vmx_profile *profile);

// The slot of an encoding (of its full or its high access); false when no field has it, whatever
// the profile.
bool vmcs_slot_of(uint32_t encoding, enum vmcs_slot *out);

// The full encoding of a slot, and the bits its field has.
uint32_t vmcs_slot_encoding(enum vmcs_slot slot);
uint64_t vmcs_slot_mask(enum vmcs_slot slot);

// Whether a processor of this profile has the field.
bool vmcs_slot_exists(const struct vmx_profile *profile, enum vmcs_slot slot);

// VMREAD by encoding. False, and *out untouched, when the field does not exist.
bool vmcs_read(const struct vmcs *vmcs, uint32_t encoding, uint64_t *out);

// VMWRITE by encoding: keeps the bits that fit the width; a high access takes bits 31:0 of the
// value. False, and nothing changed, when the field does not exist, or is read-only data and the
// profile lacks VMWRITE_READ_ONLY_FIELDS.
bool vmcs_write(struct vmcs *vmcs, uint32_t encoding, uint64_t value);

// The field's name ("GUEST_RIP"), for either access; NULL when no field has this encoding.
const char *vmcs_field_name(uint32_t encoding);

#endif
