// Control and debug registers, MSRs, CPUID and the time stamp counter.
#include "interp_handlers.h"

#include "cpu_msr.h"
#include "exits.h"
#include "vmx_model/controls.h"
#include "vmx_model/cpuid.h"
#include "vmx_model/moves.h"

#define CR4_TSD UINT64_C(0x00000004)
#define CR4_DE  UINT64_C(0x00000008)
#define DR6_BD  UINT64_C(0x00002000)
#define DR7_GD  UINT64_C(0x00002000)

enum {
    INVD = 0x08,
    MOV_FROM_DR = 0x21,
};

static void require(struct exec *x, bool accepted)
{
    if (!accepted) {
        interp_gp(x);
    }
}

static bool mov_to_cr_exits(const struct cpu *cpu, unsigned number, uint64_t value)
{
    switch (number) {
    case 0:
        return vmx_guest_cr0_write_exits(&cpu->vmx.vmcs, value);
    case 3:
        return exit_on_cr3_load(cpu, value);
    case 4:
        return vmx_guest_cr4_write_exits(&cpu->vmx.vmcs, value);
    case 8:
        return exit_processor(cpu, VMX_PROCESSOR_CR8_LOAD_EXITING);
    default:
        return false;
    }
}

static bool mov_from_cr_exits(const struct cpu *cpu, unsigned number)
{
    return (number == 3 && exit_processor(cpu, VMX_PROCESSOR_CR3_STORE_EXITING)) ||
           (number == 8 && exit_processor(cpu, VMX_PROCESSOR_CR8_STORE_EXITING));
}

void interp_mov_to_cr(struct exec *x, const struct insn *insn)
{
    uint64_t value = cpu_gpr(x->cpu, insn->rm);
    interp_require_cpl0(x);
    if (x->faulted) {
        return;
    }
    struct vmx_cpu *vmx = &x->cpu->vmx;
    if (mov_to_cr_exits(x->cpu, insn->reg, value)) {
        exit_cr(x, insn, CR_MOV_TO, insn->reg);
    }
    x->flush = insn->reg == 8 || insn->reg == 2 ? FLUSH_NONE : FLUSH_ALL;
    switch (insn->reg) {
    case 0:
        require(x, vmx_cr0_write(vmx, value));
        return;
    case 2:
        vmx->cr2 = value;
        return;
    case 3:
        require(x, vmx_cr3_write(vmx, value));
        return;
    case 4:
        require(x, vmx_cr4_write(vmx, value));
        return;
    case 8:
        require(x, vmx_cr8_write(vmx, value));
        return;
    default:
        exec_raise(x, VECTOR_UD);
    }
}

void interp_mov_from_cr(struct exec *x, const struct insn *insn)
{
    uint64_t value = 0;
    switch (insn->reg) {
    case 0:
        value = vmx_guest_cr0(&x->cpu->vmx.vmcs);
        break;
    case 2:
        value = x->cpu->vmx.cr2;
        break;
    case 3:
        value = cpu_guest(x->cpu, CR3);
        break;
    case 4:
        value = vmx_guest_cr4(&x->cpu->vmx.vmcs);
        break;
    case 8:
        value = x->cpu->vmx.cr8;
        break;
    default:
        exec_raise(x, VECTOR_UD);
    }
    interp_require_cpl0(x);
    if (mov_from_cr_exits(x->cpu, insn->reg)) {
        exit_cr(x, insn, CR_MOV_FROM, insn->reg);
    }
    cpu_set_gpr(x->cpu, insn->rm, 8, value);
}

void interp_clts(struct exec *x, const struct insn *insn)
{
    interp_require_cpl0(x);
    if (vmx_clts_exits(&x->cpu->vmx)) {
        exit_cr(x, insn, CR_CLTS, 0);
    }
    vmx_clts(&x->cpu->vmx);
}

// SDM 3C, table "Exit Qualification for MOV DR".
static void exit_dr(struct exec *x, const struct insn *insn)
{
    uint64_t reads = insn->opcode == MOV_FROM_DR ? 0x10 : 0;
    if (exit_processor(x->cpu, VMX_PROCESSOR_MOV_DR_EXITING)) {
        exit_instruction(x, insn, VMX_EXIT_MOV_DR, insn->reg | reads | (uint64_t)insn->rm << 8);
    }
}

// The number of a debug register: 4 and 5 are 6 and 7 unless CR4.DE makes them undefined. Also #UD
// for DR8 and up, #GP outside CPL 0, then a VM exit, and #DB for any access while DR7.GD is set.
static unsigned debug_register(struct exec *x, const struct insn *insn)
{
    bool aliased = insn->reg == 4 || insn->reg == 5;
    if (insn->reg > 7 || (aliased && (cpu_guest(x->cpu, CR4) & CR4_DE) != 0)) {
        exec_raise(x, VECTOR_UD);
        return 0;
    }
    interp_require_cpl0(x);
    exit_dr(x, insn);
    if (!x->faulted && (cpu_guest(x->cpu, DR7) & DR7_GD) != 0) {
        exec_raise_debug(x, DR6_BD);
    }
    return aliased ? insn->reg + 2u : insn->reg;
}

void interp_mov_from_dr(struct exec *x, const struct insn *insn)
{
    unsigned number = debug_register(x, insn);
    if (x->faulted) {
        return;
    }
    uint64_t value = number < 4 ? x->cpu->vmx.dr[number] : x->cpu->vmx.dr6;
    cpu_set_gpr(x->cpu, insn->rm, 8, number == 7 ? cpu_guest(x->cpu, DR7) : value);
}

void interp_mov_to_dr(struct exec *x, const struct insn *insn)
{
    unsigned number = debug_register(x, insn);
    uint64_t value = cpu_gpr(x->cpu, insn->rm);
    if (x->faulted) {
        return;
    }
    if (number < 4) {
        x->cpu->vmx.dr[number] = value;
    } else if (number == 6) {
        require(x, vmx_dr6_write(&x->cpu->vmx, value));
    } else {
        require(x, vmx_dr7_write(&x->cpu->vmx, value));
    }
}

static void require_tsc(struct exec *x, const struct insn *insn, enum vmx_exit_reason reason)
{
    if ((cpu_guest(x->cpu, CR4) & CR4_TSD) != 0) {
        interp_require_cpl0(x);
    }
    if (exit_processor(x->cpu, VMX_PROCESSOR_RDTSC_EXITING)) {
        exit_instruction(x, insn, reason, 0);
    }
}

void interp_rdtsc(struct exec *x, const struct insn *insn)
{
    require_tsc(x, insn, VMX_EXIT_RDTSC);
    interp_set_edx_eax(x, cpu_guest_tsc(x->cpu));
}

// The feature, and the control without which the guest does not have it.
static bool has_by_control(const struct exec *x, enum vmx_feature feature, uint64_t control)
{
    return interp_has(x, feature) && exit_secondary(x->cpu, control);
}

void interp_rdtscp(struct exec *x, const struct insn *insn)
{
    if (!has_by_control(x, VMX_FEATURE_RDTSCP, VMX_SECONDARY_RDTSCP)) {
        exec_raise(x, VECTOR_UD);
    }
    require_tsc(x, insn, VMX_EXIT_RDTSCP);
    interp_set_edx_eax(x, cpu_guest_tsc(x->cpu));
    x->cpu->vmx.gpr[VMX_RCX] = x->cpu->vmx.msr[MSR_SLOT_IA32_TSC_AUX];
}

// No counter is modelled, so no index is valid.
void interp_rdpmc(struct exec *x, const struct insn *insn)
{
    if (exit_processor(x->cpu, VMX_PROCESSOR_RDPMC_EXITING)) {
        exit_instruction(x, insn, VMX_EXIT_RDPMC, 0);
    }
    interp_gp(x);
}

void interp_cpuid(struct exec *x, const struct insn *insn)
{
    uint64_t *gpr = x->cpu->vmx.gpr;
    uint32_t out[4];
    exit_instruction(x, insn, VMX_EXIT_CPUID, 0);
    vmx_cpuid(x->cpu->vmx.profile, &x->cpu->vmx, (uint32_t)gpr[VMX_RAX], (uint32_t)gpr[VMX_RCX],
              out);
    gpr[VMX_RAX] = out[CPUID_EAX];
    gpr[VMX_RBX] = out[CPUID_EBX];
    gpr[VMX_RCX] = out[CPUID_ECX];
    gpr[VMX_RDX] = out[CPUID_EDX];
}

// INVD and WBINVD: there is no cache to write back.
void interp_invd(struct exec *x, const struct insn *insn)
{
    interp_require_cpl0(x);
    if (insn->opcode == INVD) {
        exit_instruction(x, insn, VMX_EXIT_INVD, 0);
    } else if (exit_secondary(x->cpu, VMX_SECONDARY_WBINVD_EXITING)) {
        exit_instruction(x, insn, VMX_EXIT_WBINVD, 0);
    }
}

// SDM 2A, "INVPCID": the descriptor is read, types 0 to 3 exist.
void interp_invpcid(struct exec *x, const struct insn *insn)
{
    if (!insn->operand_16 || insn->mod == 3 ||
        !has_by_control(x, VMX_FEATURE_INVPCID, VMX_SECONDARY_INVPCID)) {
        exec_raise(x, VECTOR_UD);
        return;
    }
    uint64_t type = cpu_gpr(x->cpu, insn->reg);
    uint64_t linear = interp_linear(x, insn);
    interp_require_cpl0(x);
    if (exit_processor(x->cpu, VMX_PROCESSOR_INVLPG_EXITING)) {
        exit_operand(x, insn, VMX_EXIT_INVPCID);
    }
    uint64_t pcid = exec_load(x, interp_access(insn), linear, 8);
    uint64_t target = exec_load(x, interp_access(insn), linear + 8, 8);
    bool bad_target = type == 0 && !cpu_is_canonical(x->cpu, target);
    if (type > 3 || pcid >> 12 != 0 || bad_target) {
        interp_gp(x);
    }
    x->flush = FLUSH_ALL;
}

// LMSW and SMSW reach the low half of CR0.
void interp_lmsw(struct exec *x, const struct insn *insn)
{
    uint64_t value = interp_load_rm(x, insn, 2);
    interp_require_cpl0(x);
    if (vmx_lmsw_exits(&x->cpu->vmx, value)) {
        exit_lmsw(x, insn, value);
    }
    vmx_lmsw(&x->cpu->vmx, value);
}

void interp_smsw(struct exec *x, const struct insn *insn)
{
    size_t size = insn->mod == 3 ? insn_operand_size(insn) : 2;
    interp_store_rm(x, insn, size, vmx_guest_cr0(&x->cpu->vmx.vmcs));
}
