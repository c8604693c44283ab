// Descriptor-table registers, LAR, LSL, VERR and VERW, and the rest of groups 6 and 7.
#include "interp_handlers.h"

#include "exits.h"
#include "mmu_model/segment_check.h"
#include "segment_load.h"
#include "vmx_model/controls.h"

#define CR4_UMIP UINT64_C(0x00000800)
#define CR4_SMAP MMU_CR4_SMAP
#define CR4_PKE  MMU_CR4_PKE

// SDM 2A, "SGDT": with UMIP the tables' places are the supervisor's alone.
static void require_umip(struct exec *x)
{
    if ((cpu_guest(x->cpu, CR4) & CR4_UMIP) != 0) {
        interp_require_cpl0(x);
    }
}

// SLDT and STR: 16 bits into memory, zero-extended into a register.
static void store_selector(struct exec *x, const struct insn *insn, uint64_t selector)
{
    require_umip(x);
    exit_table(x, insn, VMX_EXIT_LDTR_OR_TR);
    interp_store_rm(x, insn, insn->mod == 3 ? insn_operand_size(insn) : 2, selector);
}

// LLDT and LTR, which exit only where they are allowed.
static uint16_t selector_to_load(struct exec *x, const struct insn *insn)
{
    uint16_t selector = (uint16_t)interp_load_rm(x, insn, 2);
    if (cpu_cpl(x->cpu) == 0) {
        exit_table(x, insn, VMX_EXIT_LDTR_OR_TR);
    }
    return selector;
}

// LAR, LSL, VERR and VERW. False: no such segment may be seen from here, and ZF says so.
static bool query(struct exec *x, const struct insn *insn, enum segment_query what, uint32_t *out)
{
    struct segment_cpu cpu = exec_segment_cpu(x);
    uint16_t selector = (uint16_t)interp_load_rm(x, insn, 2);
    bool zf = false;
    if (x->faulted || !exec_settle(x, segment_query(&cpu, what, selector, &zf, out))) {
        return false;
    }
    interp_set_flags(x, RFLAGS_ZF, zf ? RFLAGS_ZF : 0);
    return zf;
}

void interp_group6(struct exec *x, const struct insn *insn)
{
    uint32_t ignored = 0;
    switch (insn->reg & 7) {
    case 0:
        store_selector(x, insn, cpu_guest(x->cpu, LDTR_SELECTOR));
        return;
    case 1:
        store_selector(x, insn, cpu_guest(x->cpu, TR_SELECTOR));
        return;
    case 2:
        exec_load_ldtr(x, selector_to_load(x, insn));
        return;
    case 3:
        exec_load_tr(x, selector_to_load(x, insn));
        return;
    case 4:
        query(x, insn, SEGMENT_VERR, &ignored);
        return;
    case 5:
        query(x, insn, SEGMENT_VERW, &ignored);
        return;
    default:
        exec_raise(x, VECTOR_UD);
    }
}

void interp_lar(struct exec *x, const struct insn *insn)
{
    uint32_t rights = 0;
    if (query(x, insn, SEGMENT_LAR, &rights)) {
        cpu_set_gpr(x->cpu, insn->reg, insn_operand_size(insn), rights);
    }
}

void interp_lsl(struct exec *x, const struct insn *insn)
{
    uint32_t limit = 0;
    if (query(x, insn, SEGMENT_LSL, &limit)) {
        cpu_set_gpr(x->cpu, insn->reg, insn_operand_size(insn), limit);
    }
}

static void store_table(struct exec *x, const struct insn *insn, uint64_t limit, uint64_t base)
{
    uint8_t image[10] = {(uint8_t)limit, (uint8_t)(limit >> 8)};
    for (size_t i = 0; i < 8; i++) {
        image[2 + i] = (uint8_t)(base >> 8 * i);
    }
    require_umip(x);
    exit_table(x, insn, VMX_EXIT_GDTR_OR_IDTR);
    exec_write(x, interp_access(insn), interp_linear(x, insn), image, sizeof(image));
}

static bool load_table(struct exec *x, const struct insn *insn, uint64_t *out_limit,
                       uint64_t *out_base)
{
    uint64_t linear = interp_linear(x, insn);
    interp_require_cpl0(x);
    exit_table(x, insn, VMX_EXIT_GDTR_OR_IDTR);
    *out_limit = exec_load(x, interp_access(insn), linear, 2);
    *out_base = exec_load(x, interp_access(insn), linear + 2, 8);
    if (!cpu_is_canonical(x->cpu, *out_base)) {
        interp_gp(x);
    }
    return !x->faulted;
}

static void invlpg(struct exec *x, const struct insn *insn)
{
    interp_require_cpl0(x);
    x->flush = FLUSH_PAGE;
    x->flush_linear = interp_linear(x, insn);
    if (exit_processor(x->cpu, VMX_PROCESSOR_INVLPG_EXITING)) {
        exit_instruction(x, insn, VMX_EXIT_INVLPG, x->flush_linear);
    }
}

static void group7_memory(struct exec *x, const struct insn *insn)
{
    uint64_t limit = 0;
    uint64_t base = 0;
    switch (insn->reg & 7) {
    case 0:
        store_table(x, insn, cpu_guest(x->cpu, GDTR_LIMIT), cpu_guest(x->cpu, GDTR_BASE));
        return;
    case 1:
        store_table(x, insn, cpu_guest(x->cpu, IDTR_LIMIT), cpu_guest(x->cpu, IDTR_BASE));
        return;
    case 2:
        if (load_table(x, insn, &limit, &base)) {
            cpu_guest(x->cpu, GDTR_LIMIT) = limit;
            cpu_guest(x->cpu, GDTR_BASE) = base;
        }
        return;
    case 3:
        if (load_table(x, insn, &limit, &base)) {
            cpu_guest(x->cpu, IDTR_LIMIT) = limit;
            cpu_guest(x->cpu, IDTR_BASE) = base;
        }
        return;
    case 7:
        invlpg(x, insn);
        return;
    default:
        exec_raise(x, VECTOR_UD);
    }
}

static void swapgs(struct exec *x)
{
    uint64_t *kernel = &x->cpu->vmx.msr[MSR_SLOT_IA32_KERNEL_GS_BASE];
    uint64_t base = cpu_guest(x->cpu, GS_BASE);
    interp_require_cpl0(x);
    if (x->faulted) {
        return;
    }
    cpu_guest(x->cpu, GS_BASE) = *kernel;
    *kernel = base;
}

// CLAC and STAC.
static void set_ac(struct exec *x, uint64_t value)
{
    if (!interp_has(x, VMX_FEATURE_SMAP) || cpu_cpl(x->cpu) != 0) {
        exec_raise(x, VECTOR_UD);
        return;
    }
    interp_set_flags(x, RFLAGS_AC, value);
}

// Waiting for a store to a monitored line may end at any time, so MWAIT ends at once.
static void monitor_or_mwait(struct exec *x, const struct insn *insn)
{
    bool mwait = (insn->rm & 7) == 1;
    if (cpu_cpl(x->cpu) != 0 || !interp_has(x, VMX_FEATURE_MONITOR)) {
        exec_raise(x, VECTOR_UD);
    }
    if (exit_processor(x->cpu,
                       mwait ? VMX_PROCESSOR_MWAIT_EXITING : VMX_PROCESSOR_MONITOR_EXITING)) {
        exit_instruction(x, insn, mwait ? VMX_EXIT_MWAIT : VMX_EXIT_MONITOR, 0);
    }
    if ((x->cpu->vmx.gpr[VMX_RCX] & 0xFFFFFFFE) != 0) {
        interp_gp(x);
    }
}

static void pkru(struct exec *x, bool writes)
{
    uint64_t *gpr = x->cpu->vmx.gpr;
    uint64_t used = gpr[VMX_RCX] | (writes ? gpr[VMX_RDX] : 0);
    if ((cpu_guest(x->cpu, CR4) & CR4_PKE) == 0) {
        exec_raise(x, VECTOR_UD);
    } else if ((used & 0xFFFFFFFF) != 0) {
        interp_gp(x);
    } else if (writes) {
        x->cpu->vmx.pkru = (uint32_t)gpr[VMX_RAX];
        x->flush = FLUSH_ALL;
    } else {
        interp_set_edx_eax(x, x->cpu->vmx.pkru);
    }
}

// 0F 01 with a register: the second byte as a whole is the opcode.
static void group7_register(struct exec *x, const struct insn *insn)
{
    switch ((insn->reg & 7) << 3 | (insn->rm & 7) | 0xC0) {
    case 0xC1:
    case 0xC2:
    case 0xC3:
    case 0xC4:
    case 0xD4:
        interp_vmx_plain(x, insn);
        return;
    case 0xC8:
    case 0xC9:
        monitor_or_mwait(x, insn);
        return;
    case 0xCA:
        set_ac(x, 0);
        return;
    case 0xCB:
        set_ac(x, RFLAGS_AC);
        return;
    case 0xD0:
        interp_xgetbv(x);
        return;
    case 0xD1:
        interp_xsetbv(x, insn);
        return;
    case 0xE8: // SERIALIZE
        return;
    case 0xEE:
        pkru(x, false);
        return;
    case 0xEF:
        pkru(x, true);
        return;
    case 0xF8:
        swapgs(x);
        return;
    case 0xF9:
        interp_rdtscp(x, insn);
        return;
    default:
        exec_raise(x, VECTOR_UD);
    }
}

void interp_group7(struct exec *x, const struct insn *insn)
{
    if ((insn->reg & 7) == 4) {
        require_umip(x);
        interp_smsw(x, insn);
    } else if ((insn->reg & 7) == 6) {
        interp_lmsw(x, insn);
    } else if (insn->mod == 3) {
        group7_register(x, insn);
    } else {
        group7_memory(x, insn);
    }
}
