// Control and debug registers and XCR0 as the guest writes them: MOV to CR and DR, CLTS, LMSW and
// XSETBV. What it reads of CR0 and CR4, and which writes exit, vmx_exit.h says.
//
// CR0 and CR4 have bits that the hypervisor owns: those of the guest/host mask. The guest reads
// them from the read shadow, and a write that wants one of them otherwise is a VM exit. What the
// model's hypervisor makes of such an exit is what the guest asked for, as far as the guest can
// see: the shadow takes the bits that are owned, the field those that are not.
//
// The rules look at the guest's own view of its registers. A write that gives false is #GP(0) and
// changes nothing; who may execute it, CPL, is the caller's to check.
#ifndef VMX_MODEL_MOVES_H
#define VMX_MODEL_MOVES_H

#include <stdbool.h>
#include <stdint.h>

#include "vmx_model/cpu.h"

// LMSW of the low 16 bits of value, and CLTS, that the hypervisor must see first.
bool vmx_lmsw_exits(const struct vmx_cpu *cpu, uint64_t value);
bool vmx_clts_exits(const struct vmx_cpu *cpu);

// MOV to CR. Of CR0 and CR4 the bits that VMX operation fixes count too, where the guest owns them.
bool vmx_cr0_write(struct vmx_cpu *cpu, uint64_t value);
bool vmx_cr3_write(struct vmx_cpu *cpu, uint64_t value);
bool vmx_cr4_write(struct vmx_cpu *cpu, uint64_t value);
bool vmx_cr8_write(struct vmx_cpu *cpu, uint64_t value);

// LMSW sets MP, EM, TS and PE, and never clears PE. CLTS clears TS.
void vmx_lmsw(struct vmx_cpu *cpu, uint64_t value);
void vmx_clts(struct vmx_cpu *cpu);

// MOV to DR6 and DR7.
bool vmx_dr6_write(struct vmx_cpu *cpu, uint64_t value);
bool vmx_dr7_write(struct vmx_cpu *cpu, uint64_t value);

// XSETBV of register `index`, of which only 0 exists.
bool vmx_xcr_write(struct vmx_cpu *cpu, uint32_t index, uint64_t value);

#endif
