#ifndef SIM_CONTEXT_H
#define SIM_CONTEXT_H

// The registers of the protocol's contexts as places in struct cpu.

#include <stdbool.h>
#include <stdint.h>

#include "cpu.h"
#include "protocol/registers.h"

// One register; a write keeps the bits that the register has on the wire. CR0 and CR4 are as the
// guest reads them: a write leaves the bits that the hypervisor owns and sets what the guest will
// read in their place.
uint64_t cpu_register_read(const struct cpu *cpu, enum context_register reg);
void cpu_register_write(struct cpu *cpu, enum context_register reg, uint64_t value);

// The registers of mask.
void cpu_context_read(const struct cpu *cpu, uint64_t mask, struct context *out);
void cpu_context_write(struct cpu *cpu, uint64_t mask, const struct context *context);

// The mask of the extended registers that the processor has.
uint64_t cpu_extended_mask(const struct cpu *cpu);

// XCR0, x87, MMX, SSE and AVX registers; writes are applied in mask order, so MM over ST and YMM
// over XMM (clause D-REG).
void cpu_extended_read(const struct cpu *cpu, struct extended_context *out);
void cpu_extended_write(struct cpu *cpu, uint64_t mask, const struct extended_context *context);

// The value of XCR0 inside an extended context.
uint64_t extended_xcr0(const struct extended_context *context);

// The x87 and SSE state after RESET.
void fpu_reset(struct fpu *fpu);

#endif
