#ifndef SIM_CPU_H
#define SIM_CPU_H

// One CPU of the machine: the modelled state, its FPU, its local APIC, and what runs it.

#include <stdbool.h>
#include <stdint.h>

#include "apic.h"
#include "vmx_model/cpu.h"
#include "vmx_model/vmcs.h"

// x87, SSE and AVX registers as FXSAVE and XSAVE see them: st[i] is the i-th slot, MMi its low 64
// bits, XMMi the low half of ymm[i]. tag is the full 16-bit tag word.
struct fpu {
    uint16_t control;
    uint16_t status;
    uint16_t tag;
    uint16_t opcode;
    uint64_t ip;
    uint64_t operand;
    uint8_t st[8][10];
    uint32_t mxcsr;
    uint32_t mxcsr_mask;
    uint8_t ymm[16][32];
};

struct runner;

struct cpu {
    struct vmx_cpu vmx;
    struct fpu fpu;
    struct apic apic;
    bool shut_down;        // a triple fault: runs no more until reboot
    bool launched;         // the launch state of its VMCS
    bool changed;          // by a debugger while it ran: VM entry checks it anew
    struct runner *runner; // the Unicorn side; NULL until the CPU first runs
};

// A field of the guest-state area, to read or to assign: cpu_guest(cpu, RIP).
// NOLINTNEXTLINE(readability-identifier-naming): it stands where a member would
#define cpu_guest(cpu, name) ((cpu)->vmx.vmcs.field[VMCS_GUEST_##name])

#endif
