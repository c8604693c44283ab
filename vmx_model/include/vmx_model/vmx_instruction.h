// The VMX instructions as a hypervisor executes them: VMX operation, the regions of VMCSs in
// memory, the current-VMCS pointer, launch states and VM-instruction errors. SDM Vol. 3C, "VMX
// Instruction Reference".
//
// What is not here: VMX non-root operation, where these instructions exit, and SMM with its
// dual-monitor treatment, which no processor of this model has active.
#ifndef VMX_MODEL_VMX_INSTRUCTION_H
#define VMX_MODEL_VMX_INSTRUCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmx_model/entry.h"

// Physical memory. What cannot be read is taken for ones, what cannot be written is dropped.
struct vmx_memory {
    struct mmu_memory reader;
    bool (*write)(void *context, uint64_t physical, const void *buffer, size_t len);
};

// A VMCS region of this processor, within its 4 KiB:
//
//  0                                4                 8               16 ...
// | 30:0 revision, 31 shadow VMCS  | abort indicator | launched: 1   | the fields, 8 bytes each |
//
// The data of the current VMCS are in the processor until VMCLEAR, VMPTRLD or VMXOFF puts them
// back.
enum {
    VMX_REGION_LAUNCH_STATE = 8,
    VMX_REGION_DATA = 16,
};

#define VMX_NO_VMCS UINT64_MAX

// One logical processor in VMX root operation, or outside VMX operation. A plain value.
struct vmx_root {
    struct vmx_cpu cpu; // cpu.vmcs: the current VMCS; the rest: what its guest would have
    uint64_t cr0, cr4, efer, rflags;
    uint64_t feature_control;
    uint8_t cpl;
    bool cs_l; // CS.L: 64-bit mode, when EFER.LMA is 1
    bool a20_masked;
    bool blocks_mov_ss;
    bool in_vmx;
    uint64_t vmxon_pointer;
    uint64_t current_vmcs; // VMX_NO_VMCS: none
    bool is_shadow;        // the current one is a shadow VMCS
    bool is_launched;      // the current one's launch state
};

enum vmx_status {
    VMX_STATUS_SUCCEED,
    VMX_STATUS_FAIL_INVALID,
    VMX_STATUS_FAIL_VALID,   // the error is in the VM-instruction error field
    VMX_STATUS_UD,           // #UD
    VMX_STATUS_GP,           // #GP(0)
    VMX_STATUS_ENTERED,      // the guest runs
    VMX_STATUS_ENTRY_FAILED, // the host runs on at its RIP; reason and qualification are stored
};

// A processor of this profile outside VMX operation, in 64-bit mode at CPL 0, with CR4.VMXE 0 and
// IA32_FEATURE_CONTROL unlocked.
void vmx_root_init(struct vmx_root *root, const struct vmx_profile *profile);

// RFLAGS after an instruction: SDM Vol. 3C, "Conventions".
uint64_t vmx_status_rflags(enum vmx_status status, uint64_t rflags);

// Whether MOV to CR0 or CR4 keeps what VMX operation fixes; #GP otherwise, with nothing changed.
enum vmx_status vmx_root_set_cr0(struct vmx_root *root, uint64_t value);
enum vmx_status vmx_root_set_cr4(struct vmx_root *root, uint64_t value);

// The instructions. `pointer` is the value in the memory operand.
enum vmx_status vmx_root_vmxon(struct vmx_root *root, const struct vmx_memory *memory,
                               uint64_t pointer);
enum vmx_status vmx_root_vmxoff(struct vmx_root *root, const struct vmx_memory *memory);
enum vmx_status vmx_root_vmclear(struct vmx_root *root, const struct vmx_memory *memory,
                                 uint64_t pointer);
enum vmx_status vmx_root_vmptrld(struct vmx_root *root, const struct vmx_memory *memory,
                                 uint64_t pointer);
enum vmx_status vmx_root_vmptrst(const struct vmx_root *root, uint64_t *out);
enum vmx_status vmx_root_vmread(struct vmx_root *root, uint64_t encoding, uint64_t *out);
enum vmx_status vmx_root_vmwrite(struct vmx_root *root, uint64_t encoding, uint64_t value);
enum vmx_status vmx_root_vmcall(struct vmx_root *root);

// VMLAUNCH and VMRESUME. *out tells the rule that was broken; it is not touched by a fault.
enum vmx_status vmx_root_vmlaunch(struct vmx_root *root, const struct vmx_memory *memory,
                                  struct vmx_entry_outcome *out);
enum vmx_status vmx_root_vmresume(struct vmx_root *root, const struct vmx_memory *memory,
                                  struct vmx_entry_outcome *out);

// INVEPT and INVVPID check their operands; there is nothing cached to invalidate.
enum vmx_status vmx_root_invept(struct vmx_root *root, uint64_t type, const uint64_t descriptor[2]);
enum vmx_status vmx_root_invvpid(struct vmx_root *root, uint64_t type,
                                 const uint64_t descriptor[2]);

#endif
