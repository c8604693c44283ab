#ifndef FUZZ_VMX_WORLD_H
#define FUZZ_VMX_WORLD_H

// Two processors of one profile, and a little memory: one whose state any operation changes, and
// one that executes VMX instructions.

#include "vmx_model/cpu.h"
#include "vmx_model/msr.h"
#include "vmx_model/vmx_exit.h"
#include "vmx_model/vmx_instruction.h"

enum {
    VMX_WORLD_MEMORY = 4 * 4096,
    VMX_WORLD_OVERRIDES = 3,
};

struct vmx_world {
    struct vmx_profile profile;
    struct msr_override overrides[VMX_WORLD_OVERRIDES];
    struct vmx_cpu cpu;
    struct vmx_root root; // all 0 until it executes something
    uint8_t memory[VMX_WORLD_MEMORY];
};

// Physical memory, as struct vmx_memory has it.
struct vmx_memory vmx_world_memory(struct vmx_world *world);

// --- what must hold of each operation, which they execute -------------------------------------

void vmx_check_msr_write(struct vmx_cpu *cpu, enum msr_agent agent, uint32_t index, uint64_t value);
void vmx_check_msr_read(const struct vmx_cpu *cpu, uint32_t index);
void vmx_check_vmcs_write(struct vmcs *vmcs, uint32_t encoding, uint64_t value);
void vmx_check_vmcs_read(const struct vmcs *vmcs, uint32_t encoding);
void vmx_check_entry(struct vmx_world *world);
void vmx_check_exit(struct vmcs *vmcs, const struct vmx_exit *exit);
void vmx_check_guest_cr(struct vmcs *vmcs, uint64_t value, bool is_cr4);
void vmx_check_cpuid(const struct vmx_cpu *cpu, uint32_t leaf, uint32_t subleaf);

// No field has a bit beyond its width.
void vmx_check_widths(const struct vmcs *vmcs);

// An outcome of VM entry: the result, the rule and the numbers belong together.
void vmx_check_outcome(const struct vmx_entry_outcome *outcome);

enum vmx_operation {
    VMX_OPERATION_VMXON,
    VMX_OPERATION_VMXOFF,
    VMX_OPERATION_VMCLEAR,
    VMX_OPERATION_VMPTRLD,
    VMX_OPERATION_VMPTRST,
    VMX_OPERATION_VMCALL,
    VMX_OPERATION_VMLAUNCH,
    VMX_OPERATION_VMRESUME,
    VMX_OPERATION_VMREAD,
    VMX_OPERATION_VMWRITE,
    VMX_OPERATION_INVEPT,
    VMX_OPERATION_INVVPID,
    VMX_OPERATION_SET_CR0,
    VMX_OPERATION_SET_CR4,
    VMX_NUM_OPERATIONS,
};

// first is the pointer, the encoding or the type; second the value or the descriptor.
void vmx_check_instruction(struct vmx_world *world, enum vmx_operation operation, uint64_t first,
                           uint64_t second);

#endif
