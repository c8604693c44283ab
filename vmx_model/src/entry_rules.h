// The rules of entry_checks.def, one function each: whether what it demands holds.
#ifndef VMX_MODEL_SRC_ENTRY_RULES_H
#define VMX_MODEL_SRC_ENTRY_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "vmx_model/controls.h"
#include "vmx_model/entry.h"

// One VM entry being checked.
struct entry {
    const struct vmx_cpu *cpu;
    const struct mmu_memory *memory; // NULL: none
    const struct vmx_profile *profile;
    const uint64_t *field;
    uint64_t control[VMX_NUM_CONTROL_GROUPS]; // those in force
};

#define ENTRY_CHECK(name, function, group, qualification, source, text)                            \
    bool entry_##function(const struct entry *entry);
#include "vmx_model/entry_checks.def"

#endif
