// One logical processor of the modelled machine, without its FPU, SSE and AVX registers.
#ifndef VMX_MODEL_CPU_H
#define VMX_MODEL_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "vmx_model/profile.h"
#include "vmx_model/vmcs.h"

// Numbers of general registers in instruction encodings. 4 is RSP, which lives in the VMCS.
enum vmx_gpr {
    VMX_RAX = 0,
    VMX_RCX = 1,
    VMX_RDX = 2,
    VMX_RBX = 3,
    VMX_RBP = 5,
    VMX_RSI = 6,
    VMX_RDI = 7,
    VMX_R8 = 8,
    VMX_R9 = 9,
    VMX_R10 = 10,
    VMX_R11 = 11,
    VMX_R12 = 12,
    VMX_R13 = 13,
    VMX_R14 = 14,
    VMX_R15 = 15,
    VMX_NUM_GPRS = 16,
};

// MSR_SLOT_IA32_LSTAR and the like: places in vmx_cpu.msr.
enum msr_slot {
#define MSR(name, index, reset, writable, rule, debugger, guest, feature, bank, number, cite)      \
    MSR_SLOT_##name,
#include "vmx_model/msrs.def"
    MSR_NUM_SLOTS
};

// What a machine makes of one MSR number, whatever the table and the profile say of it.
enum {
    MSR_OVERRIDE_READ_GP = 1,  // RDMSR is #GP
    MSR_OVERRIDE_WRITE_GP = 2, // WRMSR is #GP
    MSR_OVERRIDE_FIXED = 4,    // RDMSR gives `value`; WRMSR is accepted and dropped
};

struct msr_override {
    uint32_t index;
    uint32_t effects; // of MSR_OVERRIDE_X; what none of them decides is as without the override
    uint64_t value;
};

// A plain value: a snapshot is an assignment, equality is member by member (or memcmp between
// copies of one original).
//
// RIP, RSP, RFLAGS, CR0, CR3, CR4, DR7, segments, GDTR, IDTR and the guest's own MSRs are in the
// guest-state area of the VMCS; the rest is beside it.
struct vmx_cpu {
    const struct vmx_profile *profile;
    const struct msr_override *overrides; // in ascending order of their numbers
    uint32_t num_overrides;
    struct vmcs vmcs;
    uint64_t gpr[VMX_NUM_GPRS]; // [4] stays 0
    uint64_t cr2;
    uint64_t cr8;
    uint64_t xcr0;
    uint64_t dr[4];
    uint64_t dr6;
    uint64_t tsc;                // the host's; the guest's adds TSC_OFFSET
    uint64_t feature_control;    // the guest's shadow of IA32_FEATURE_CONTROL
    uint64_t msr[MSR_NUM_SLOTS]; // those whose home is beside the VMCS
    uint32_t pkru;
    uint32_t apic_id;
    uint32_t num_cpus; // of the machine, for CPUID's topology
};

// The state after RESET (SDM Vol. 3A, table "IA-32 and Intel 64 Processor States Following
// Power-up, Reset, or INIT") of the only processor of a machine, with a host-state area of
// constants. The profile must outlive the CPU.
void vmx_cpu_reset(struct vmx_cpu *cpu, const struct vmx_profile *profile);

// Makes a CPU that was reset number `index` of `num_cpus`: its APIC id, and the BSP flag of
// IA32_APIC_BASE, which only number 0 has. index < num_cpus.
void vmx_cpu_place(struct vmx_cpu *cpu, uint32_t index, uint32_t num_cpus);

// Makes the MSRs of `overrides` act as it says, for the debugger and the guest. The table is in
// strictly ascending order of the numbers and outlives the CPU; RESET forgets it.
void vmx_cpu_override(struct vmx_cpu *cpu, const struct msr_override *overrides,
                      uint32_t num_overrides);

// Whether everything but the addresses of profile and overrides is equal.
bool vmx_cpu_equal(const struct vmx_cpu *a, const struct vmx_cpu *b);

#endif
