// A VMCS region in physical memory: vmx_instruction.h draws it.
#ifndef VMX_MODEL_SRC_VMX_REGION_H
#define VMX_MODEL_SRC_VMX_REGION_H

#include <stdbool.h>
#include <stdint.h>

#include "vmx_model/vmx_instruction.h"

#define VMX_REGION_SHADOW 0x80000000u

// The first word: revision identifier and shadow-VMCS indicator.
uint32_t vmx_region_word(const struct vmx_memory *memory, uint64_t region);

// Makes the launch state clear.
void vmx_region_clear(const struct vmx_memory *memory, uint64_t region);

// The data and the launch state.
void vmx_region_store(const struct vmx_memory *memory, uint64_t region, const struct vmcs *vmcs,
                      bool is_launched);
void vmx_region_load(const struct vmx_memory *memory, uint64_t region, struct vmcs *out,
                     bool *out_launched);

#endif
