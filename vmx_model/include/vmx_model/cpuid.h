// CPUID as the guest, and the debugger's CpuId call, see it.
#ifndef VMX_MODEL_CPUID_H
#define VMX_MODEL_CPUID_H

#include <stdint.h>

#include "vmx_model/cpu.h"

enum cpuid_register {
    CPUID_EAX,
    CPUID_EBX,
    CPUID_ECX,
    CPUID_EDX,
};

// Fills out[CPUID_EAX..CPUID_EDX]. A basic leaf beyond the last one, and every leaf in a range
// that does not exist (0x40000000 included: nothing tells the guest of a hypervisor), answers
// what the last basic leaf answers. `cpu` supplies what moves: APIC id, OSXSAVE, OSPKE, the XSAVE
// area's size, what IA32_APIC_BASE and IA32_MISC_ENABLE hide.
void vmx_cpuid(const struct vmx_profile *profile, const struct vmx_cpu *cpu, uint32_t leaf,
               uint32_t subleaf, uint32_t out[4]);

#endif
