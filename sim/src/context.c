#include "context.h"

#include <stddef.h>
#include <string.h>

#include "vmx_model/vmx_exit.h"

static const size_t places[NUM_CONTEXT_REGISTERS] = {
#define CPU_REGISTER(name, member) [CONTEXT_##name] = offsetof(struct cpu, member),
#include "cpu_registers.def"
};

// What of struct fpu stands behind each extended register but XCR0.
static const size_t fpu_places[NUM_EXTENDED_REGISTERS] = {
    [EXTENDED_fpu_ctrl] = offsetof(struct fpu, control),
    [EXTENDED_fpu_sts] = offsetof(struct fpu, status),
    [EXTENDED_fpu_tag] = offsetof(struct fpu, tag),
    [EXTENDED_fpu_opcode] = offsetof(struct fpu, opcode),
    [EXTENDED_fpu_ip] = offsetof(struct fpu, ip),
    [EXTENDED_fpu_op_offs] = offsetof(struct fpu, operand),
    [EXTENDED_mxcsr] = offsetof(struct fpu, mxcsr),
    [EXTENDED_mxcsr_mask] = offsetof(struct fpu, mxcsr_mask),
};

static size_t fpu_place(enum extended_register reg)
{
    if (reg >= EXTENDED_ymm0) {
        return offsetof(struct fpu, ymm) +
               sizeof(((struct fpu *)0)->ymm[0]) * (reg - EXTENDED_ymm0);
    }
    if (reg >= EXTENDED_xmm0) {
        return offsetof(struct fpu, ymm) +
               sizeof(((struct fpu *)0)->ymm[0]) * (reg - EXTENDED_xmm0);
    }
    if (reg >= EXTENDED_mm0 && reg <= EXTENDED_mm7) {
        return offsetof(struct fpu, st) + sizeof(((struct fpu *)0)->st[0]) * (reg - EXTENDED_mm0);
    }
    if (reg >= EXTENDED_st0 && reg <= EXTENDED_st7) {
        return offsetof(struct fpu, st) + sizeof(((struct fpu *)0)->st[0]) * (reg - EXTENDED_st0);
    }
    return fpu_places[reg];
}

// SDM 3C, "Guest/Host Masks and Read Shadows for CR0 and CR4".
uint64_t cpu_register_read(const struct cpu *cpu, enum context_register reg)
{
    uint64_t value = 0;
    if (reg == CONTEXT_cr0) {
        return vmx_guest_cr0(&cpu->vmx.vmcs);
    }
    if (reg == CONTEXT_cr4) {
        return vmx_guest_cr4(&cpu->vmx.vmcs);
    }
    memcpy(&value, (const char *)cpu + places[reg], sizeof(value));
    return value;
}

void cpu_register_write(struct cpu *cpu, enum context_register reg, uint64_t value)
{
    unsigned bits = 8U * context_registers[reg].size;
    value &= UINT64_MAX >> (64 - bits);
    if (reg == CONTEXT_cr0) {
        vmx_guest_cr0_set(&cpu->vmx.vmcs, value);
    } else if (reg == CONTEXT_cr4) {
        vmx_guest_cr4_set(&cpu->vmx.vmcs, value);
    } else {
        memcpy((char *)cpu + places[reg], &value, sizeof(value));
    }
}

void cpu_context_read(const struct cpu *cpu, uint64_t mask, struct context *out)
{
    for (int i = 0; i < NUM_CONTEXT_REGISTERS; i++) {
        if (mask >> context_registers[i].bit & 1) {
            out->value[i] = cpu_register_read(cpu, (enum context_register)i);
        }
    }
}

void cpu_context_write(struct cpu *cpu, uint64_t mask, const struct context *context)
{
    for (int i = 0; i < NUM_CONTEXT_REGISTERS; i++) {
        if (mask >> context_registers[i].bit & 1) {
            cpu_register_write(cpu, (enum context_register)i, context->value[i]);
        }
    }
}

uint64_t extended_xcr0(const struct extended_context *context)
{
    uint64_t xcr0 = 0;
    memcpy(&xcr0, context->bytes + extended_registers[EXTENDED_xcr0].offset, sizeof(xcr0));
    return xcr0;
}

// The feature that brings a register.
static enum vmx_feature feature_of(enum extended_register reg)
{
    if (reg == EXTENDED_xcr0) {
        return VMX_FEATURE_XSAVE;
    }
    if (reg >= EXTENDED_ymm0) {
        return VMX_FEATURE_AVX;
    }
    if (reg >= EXTENDED_mxcsr) {
        return VMX_FEATURE_SSE;
    }
    return reg >= EXTENDED_mm0 ? VMX_FEATURE_MMX : VMX_FEATURE_FPU;
}

uint64_t cpu_extended_mask(const struct cpu *cpu)
{
    uint64_t mask = 0;
    for (int i = 0; i < NUM_EXTENDED_REGISTERS; i++) {
        bool exists = vmx_profile_has(cpu->vmx.profile, feature_of((enum extended_register)i));
        mask |= exists ? UINT64_C(1) << extended_registers[i].bit : 0;
    }
    return mask;
}

void cpu_extended_read(const struct cpu *cpu, struct extended_context *out)
{
    memcpy(extended_register(out, EXTENDED_xcr0), &cpu->vmx.xcr0, sizeof(cpu->vmx.xcr0));
    for (int i = EXTENDED_xcr0 + 1; i < NUM_EXTENDED_REGISTERS; i++) {
        enum extended_register reg = (enum extended_register)i;
        memcpy(extended_register(out, reg), (const char *)&cpu->fpu + fpu_place(reg),
               extended_registers[i].size);
    }
}

void cpu_extended_write(struct cpu *cpu, uint64_t mask, const struct extended_context *context)
{
    if (mask >> EXTENDED_xcr0 & 1) {
        cpu->vmx.xcr0 = extended_xcr0(context);
    }
    for (int i = EXTENDED_xcr0 + 1; i < NUM_EXTENDED_REGISTERS; i++) {
        if (mask >> extended_registers[i].bit & 1) {
            memcpy((char *)&cpu->fpu + fpu_place((enum extended_register)i),
                   context->bytes + extended_registers[i].offset, extended_registers[i].size);
        }
    }
}

void fpu_reset(struct fpu *fpu)
{
    // SDM 3A, "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT", after the
    // FNINIT that every system begins with.
    *fpu = (struct fpu){
        .control = 0x037F,
        .tag = 0xFFFF,
        .mxcsr = 0x1F80,
        .mxcsr_mask = 0xFFFF,
    };
}
