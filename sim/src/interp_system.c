// Control and debug registers, MSRs, CPUID and the time stamp counter.
#include "interp_handlers.h"

#include "vmx_model/cpuid.h"
#include "vmx_model/msr.h"

#define CR0_PE MMU_CR0_PE
#define CR0_MP UINT64_C(0x00000002)
#define CR0_EM UINT64_C(0x00000004)
#define CR0_TS UINT64_C(0x00000008)
#define CR0_ET UINT64_C(0x00000010)
#define CR0_NE UINT64_C(0x00000020)
#define CR0_AM UINT64_C(0x00040000)
#define CR0_NW UINT64_C(0x20000000)
#define CR0_CD UINT64_C(0x40000000)
#define CR0_DEFINED                                                                                \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | MMU_CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
     MMU_CR0_PG)
#define CR3_KEEP       (UINT64_C(1) << 63)
#define CR4_TSD        UINT64_C(0x00000004)
#define CR4_DE         UINT64_C(0x00000008)
#define CR4_PCIDE      UINT64_C(0x00020000)
#define CR4_CET        UINT64_C(0x00800000)
#define DR6_FIXED      UINT64_C(0xFFFF0FF0)
#define DR6_WRITABLE   UINT64_C(0x0000E00F)
#define DR6_BD         UINT64_C(0x00002000)
#define DR7_FIXED      UINT64_C(0x00000400)
#define DR7_WRITABLE   UINT64_C(0xFFFF2BFF)
#define DR7_GD         UINT64_C(0x00002000)
#define USE_TSC_OFFSET UINT64_C(0x00000008)

// A bit of CR4 and the feature that brings it.
static uint64_t cr4_allowed(const struct exec *x)
{
    static const struct {
        uint64_t bits;
        enum vmx_feature feature;
    } rows[] = {
        {0x00000003, VMX_FEATURE_VME},      {0x00000004, VMX_FEATURE_TSC},
        {0x00000008, VMX_FEATURE_DE},       {0x00000010, VMX_FEATURE_PSE},
        {0x00000020, VMX_FEATURE_PAE},      {0x00000040, VMX_FEATURE_MCE},
        {0x00000080, VMX_FEATURE_PGE},      {0x00000100, VMX_FEATURE_ALWAYS},
        {0x00000200, VMX_FEATURE_FXSR},     {0x00000400, VMX_FEATURE_SSE},
        {0x00000800, VMX_FEATURE_UMIP},     {0x00001000, VMX_FEATURE_LA57},
        {0x00002000, VMX_FEATURE_VMX},      {0x00004000, VMX_FEATURE_SMX},
        {0x00010000, VMX_FEATURE_FSGSBASE}, {0x00020000, VMX_FEATURE_PCID},
        {0x00040000, VMX_FEATURE_XSAVE},    {0x00100000, VMX_FEATURE_SMEP},
        {0x00200000, VMX_FEATURE_SMAP},     {0x00400000, VMX_FEATURE_PKU},
        {0x00800000, VMX_FEATURE_CET_SS},   {0x01000000, VMX_FEATURE_PKS},
        {0x02000000, VMX_FEATURE_UINTR},
    };
    uint64_t allowed = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        allowed |= interp_has(x, rows[i].feature) ? rows[i].bits : 0;
    }
    return allowed;
}

// SDM 2B, "MOV—Move to/from Control Registers". Undefined bits of the low half are ignored.
static void write_cr0(struct exec *x, uint64_t value)
{
    bool page = (value & MMU_CR0_PG) != 0;
    bool no_wp = (value & MMU_CR0_WP) == 0;
    bool cet = (cpu_guest(x->cpu, CR4) & CR4_CET) != 0;
    bool nw_alone = (value & (CR0_NW | CR0_CD)) == CR0_NW;
    if (value >> 32 != 0 || !page || (value & CR0_PE) == 0 || nw_alone || (no_wp && cet)) {
        interp_gp(x); // 64-bit mode cannot leave paging
        return;
    }
    cpu_guest(x->cpu, CR0) = (value & CR0_DEFINED) | CR0_ET;
    x->flush = FLUSH_ALL;
}

static void write_cr3(struct exec *x, uint64_t value)
{
    bool pcid = (cpu_guest(x->cpu, CR4) & CR4_PCIDE) != 0;
    uint64_t address = pcid ? value & ~CR3_KEEP : value;
    if (address >> x->cpu->vmx.profile->max_phys_bits != 0) {
        interp_gp(x);
        return;
    }
    cpu_guest(x->cpu, CR3) = address;
    x->flush = FLUSH_ALL;
}

static void write_cr4(struct exec *x, uint64_t value)
{
    uint64_t old = cpu_guest(x->cpu, CR4);
    bool la57_changes = ((value ^ old) & MMU_CR4_LA57) != 0;
    bool pcid_begins = (value & ~old & CR4_PCIDE) != 0;
    bool pcid_bad = pcid_begins && (cpu_guest(x->cpu, CR3) & 0xFFF) != 0;
    bool cet_bad = (value & CR4_CET) != 0 && (cpu_guest(x->cpu, CR0) & MMU_CR0_WP) == 0;
    if ((value & ~cr4_allowed(x)) != 0 || (value & MMU_CR4_PAE) == 0 || la57_changes || pcid_bad ||
        cet_bad) {
        interp_gp(x);
        return;
    }
    cpu_guest(x->cpu, CR4) = value;
    x->flush = FLUSH_ALL;
}

static void write_cr8(struct exec *x, uint64_t value)
{
    if (value > 15) {
        interp_gp(x);
        return;
    }
    x->cpu->vmx.cr8 = value;
}

void interp_mov_to_cr(struct exec *x, const struct insn *insn)
{
    uint64_t value = cpu_gpr(x->cpu, insn->rm);
    interp_require_cpl0(x);
    if (x->faulted) {
        return;
    }
    switch (insn->reg) {
    case 0:
        write_cr0(x, value);
        return;
    case 2:
        x->cpu->vmx.cr2 = value;
        return;
    case 3:
        write_cr3(x, value);
        return;
    case 4:
        write_cr4(x, value);
        return;
    case 8:
        write_cr8(x, value);
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
        value = cpu_guest(x->cpu, CR0);
        break;
    case 2:
        value = x->cpu->vmx.cr2;
        break;
    case 3:
        value = cpu_guest(x->cpu, CR3);
        break;
    case 4:
        value = cpu_guest(x->cpu, CR4);
        break;
    case 8:
        value = x->cpu->vmx.cr8;
        break;
    default:
        exec_raise(x, VECTOR_UD);
    }
    interp_require_cpl0(x);
    cpu_set_gpr(x->cpu, insn->rm, 8, value);
}

void interp_clts(struct exec *x, const struct insn *insn)
{
    (void)insn;
    interp_require_cpl0(x);
    cpu_guest(x->cpu, CR0) &= ~CR0_TS;
}

// The number of a debug register: 4 and 5 are 6 and 7 unless CR4.DE makes them undefined. Also #UD
// for DR8 and up, #GP outside CPL 0, and #DB for any access while DR7.GD is set.
static unsigned debug_register(struct exec *x, const struct insn *insn)
{
    bool aliased = insn->reg == 4 || insn->reg == 5;
    if (insn->reg > 7 || (aliased && (cpu_guest(x->cpu, CR4) & CR4_DE) != 0)) {
        exec_raise(x, VECTOR_UD);
        return 0;
    }
    interp_require_cpl0(x);
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
    if (number >= 6 && value >> 32 != 0) {
        interp_gp(x);
    }
    if (x->faulted) {
        return;
    }
    if (number < 4) {
        x->cpu->vmx.dr[number] = value;
    } else if (number == 6) {
        x->cpu->vmx.dr6 = (value & DR6_WRITABLE) | DR6_FIXED;
    } else {
        cpu_guest(x->cpu, DR7) = (value & DR7_WRITABLE) | DR7_FIXED;
    }
}

static uint64_t tsc_offset(const struct exec *x)
{
    const uint64_t *field = x->cpu->vmx.vmcs.field;
    bool used = (field[VMCS_PROCESSOR_CONTROLS] & USE_TSC_OFFSET) != 0;
    return used ? field[VMCS_TSC_OFFSET] : 0;
}

uint64_t interp_guest_tsc(const struct exec *x)
{
    return x->cpu->vmx.tsc + tsc_offset(x);
}

void interp_set_guest_tsc(struct exec *x, uint64_t value)
{
    uint64_t old = x->cpu->vmx.tsc;
    x->cpu->vmx.tsc = value - tsc_offset(x);
    apic_shift(&x->cpu->apic, x->cpu->vmx.tsc - old);
}

static void require_tsc(struct exec *x)
{
    if ((cpu_guest(x->cpu, CR4) & CR4_TSD) != 0) {
        interp_require_cpl0(x);
    }
}

void interp_rdtsc(struct exec *x, const struct insn *insn)
{
    (void)insn;
    require_tsc(x);
    interp_set_edx_eax(x, interp_guest_tsc(x));
}

void interp_rdtscp(struct exec *x)
{
    if (!interp_has(x, VMX_FEATURE_RDTSCP)) {
        exec_raise(x, VECTOR_UD);
    }
    require_tsc(x);
    interp_set_edx_eax(x, interp_guest_tsc(x));
    x->cpu->vmx.gpr[VMX_RCX] = x->cpu->vmx.msr[MSR_SLOT_IA32_TSC_AUX];
}

// No counter is modelled, so no index is valid.
void interp_rdpmc(struct exec *x, const struct insn *insn)
{
    (void)insn;
    interp_gp(x);
}

void interp_cpuid(struct exec *x, const struct insn *insn)
{
    (void)insn;
    uint64_t *gpr = x->cpu->vmx.gpr;
    uint32_t out[4];
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
    (void)insn;
    interp_require_cpl0(x);
}

// SDM 2A, "INVPCID": the descriptor is read, types 0 to 3 exist.
void interp_invpcid(struct exec *x, const struct insn *insn)
{
    if (!insn->operand_16 || insn->mod == 3 || !interp_has(x, VMX_FEATURE_INVPCID)) {
        exec_raise(x, VECTOR_UD);
        return;
    }
    uint64_t type = cpu_gpr(x->cpu, insn->reg);
    uint64_t linear = interp_linear(x, insn);
    interp_require_cpl0(x);
    uint64_t pcid = exec_load(x, interp_access(insn), linear, 8);
    uint64_t target = exec_load(x, interp_access(insn), linear + 8, 8);
    bool bad_target = type == 0 && !cpu_is_canonical(x->cpu, target);
    if (type > 3 || pcid >> 12 != 0 || bad_target) {
        interp_gp(x);
    }
    x->flush = FLUSH_ALL;
}

// LMSW and SMSW reach the low half of CR0. LMSW cannot clear PE.
void interp_lmsw(struct exec *x, const struct insn *insn)
{
    uint64_t mask = CR0_MP | CR0_EM | CR0_TS;
    uint64_t value = interp_load_rm(x, insn, 2);
    interp_require_cpl0(x);
    cpu_guest(x->cpu, CR0) = (cpu_guest(x->cpu, CR0) & ~mask) | (value & mask);
}

void interp_smsw(struct exec *x, const struct insn *insn)
{
    size_t size = insn->mod == 3 ? insn_operand_size(insn) : 2;
    interp_store_rm(x, insn, size, cpu_guest(x->cpu, CR0));
}
