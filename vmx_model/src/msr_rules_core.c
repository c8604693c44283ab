#include "msr_accepts.h"

#include "mmu_model/control_bits.h"
#include "mmu_model/paging.h"
#include "xstate.h"

// SDM Vol. 1, "Canonical Addressing": WRMSR asks for the width that the processor supports,
// whatever CR4.LA57 says at the moment.
bool accepts_canonical(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    return mmu_is_canonical(a->value, a->cpu->profile->linear_bits);
}

bool accepts_physical(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    return a->value >> a->cpu->profile->max_phys_bits == 0;
}

// SDM Vol. 3A, "Memory Types That Can Be Encoded With PAT": 2 and 3 are reserved, and 7 (UC-) is
// for the PAT alone; the MTRRs have UC, WC, WT, WP and WB.
static bool is_mtrr_type(uint64_t type)
{
    return type <= 1 || (type >= 4 && type <= 6);
}

// Whether each of the eight bytes is one: bits 7:3 clear, bit 1 only with bit 2, 7 only in the PAT.
static bool are_types(uint64_t value, bool pat)
{
    const uint64_t low = UINT64_C(0x0101010101010101);
    uint64_t reserved = value & low * 0xF8;
    uint64_t two_or_three = value >> 1 & ~(value >> 2) & low;
    uint64_t seven = value & value >> 1 & value >> 2 & low;
    return (reserved | two_or_three | (pat ? 0 : seven)) == 0;
}

bool accepts_mtrr_base(const struct msr_attempt *a, uint64_t *out)
{
    return accepts_physical(a, out) && is_mtrr_type(a->value & 0xFF);
}

bool accepts_mtrr_types(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    return are_types(a->value, false);
}

bool accepts_mtrr_def_type(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    return is_mtrr_type(a->value & 0xFF);
}

bool accepts_pat_types(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    return are_types(a->value, true);
}

// SDM Vol. 3B, "Cache Allocation Technology": the bits of a mask are adjacent, and there is one.
bool accepts_cache_mask(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    uint64_t lowest = a->value & (~a->value + 1);
    return a->value != 0 && (a->value & (a->value + lowest)) == 0;
}

#define TME_LOCK UINT64_C(0x1)

// SDM Vol. 4, "Architectural MSRs": both registers are locked with IA32_TME_ACTIVATE.
bool accepts_tme_exclude(const struct msr_attempt *a, uint64_t *out)
{
    return accepts_physical(a, out) && (a->cpu->msr[MSR_SLOT_IA32_TME_ACTIVATE] & TME_LOCK) == 0;
}

#define APIC_BASE_EXTD UINT64_C(0x400)
#define APIC_BASE_EN   UINT64_C(0x800)

// SDM Vol. 3A, "x2APIC State Transitions": x2APIC mode is entered only from xAPIC mode and left
// only by disabling the APIC; EXTD without EN is invalid.
bool accepts_apic_base(const struct msr_attempt *a, uint64_t *out)
{
    bool was_enabled = (a->old & APIC_BASE_EN) != 0;
    bool was_x2apic = (a->old & APIC_BASE_EXTD) != 0;
    bool enable = (a->value & APIC_BASE_EN) != 0;
    bool x2apic = (a->value & APIC_BASE_EXTD) != 0;

    if (!accepts_physical(a, out)) {
        return false;
    }
    if (x2apic) {
        return enable && was_enabled && vmx_profile_has(a->cpu->profile, VMX_FEATURE_X2APIC);
    }
    return !(was_x2apic && enable);
}

#define FEATURE_CONTROL_LOCK UINT64_C(0x1)

// SDM Vol. 3C, "Enabling and Entering VMX Operation": setting an enable bit of what the processor
// lacks is #GP. Vol. 4, "Architectural MSRs": bits 3 to 7, 16 and 19 are reserved.
bool accepts_feature_control(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    uint64_t allowed = FEATURE_CONTROL_LOCK;
    allowed |= bits_if(a->cpu, VMX_FEATURE_VMX, 0x4);                   // VMX outside SMX
    allowed |= bits_if(a->cpu, VMX_FEATURE_SMX, 0x2 | 0x7F00 | 0x8000); // VMX in SMX, SENTER
    allowed |= bits_if(a->cpu, VMX_FEATURE_SGX_LC, 0x20000);
    allowed |= bits_if(a->cpu, VMX_FEATURE_SGX, 0x40000);
    allowed |= bits_if(a->cpu, VMX_FEATURE_LMCE, 0x100000);
    return (a->old & FEATURE_CONTROL_LOCK) == 0 && only(a->value, allowed);
}

// Performance monitoring available, BTS unavailable, PEBS unavailable: WRMSR leaves them alone.
#define MISC_ENABLE_READ_ONLY UINT64_C(0x1880)

bool accepts_misc_enable(const struct msr_attempt *a, uint64_t *out)
{
    uint64_t allowed = MISC_ENABLE_READ_ONLY | 0x400009; // fast strings, TCC, limit CPUID
    allowed |= bits_if(a->cpu, VMX_FEATURE_EIST, 0x10000);
    allowed |= bits_if(a->cpu, VMX_FEATURE_MONITOR, 0x40000);
    allowed |= bits_if(a->cpu, VMX_FEATURE_XTPR, 0x800000);
    allowed |= bits_if(a->cpu, VMX_FEATURE_NX, UINT64_C(0x400000000)); // XD bit disable
    *out = (a->value & ~MISC_ENABLE_READ_ONLY) | (a->old & MISC_ENABLE_READ_ONLY);
    return only(a->value, allowed);
}

bool accepts_debugctl(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    uint64_t allowed = 0x43; // LBR, BTF, TR
    allowed |= bits_if(a->cpu, VMX_FEATURE_BUS_LOCK_DETECT, 0x4);
    allowed |= bits_if(a->cpu, VMX_FEATURE_DS, 0x180);          // BTS, BTINT
    allowed |= bits_if(a->cpu, VMX_FEATURE_DS_CPL, 0x600);      // BTS_OFF_OS, BTS_OFF_USR
    allowed |= bits_if(a->cpu, VMX_FEATURE_EN_PERFMON, 0x3800); // freeze on PMI, uncore PMI
    allowed |= bits_if(a->cpu, VMX_FEATURE_PDCM, 0x4000);       // FREEZE_WHILE_SMM
    allowed |= bits_if(a->cpu, VMX_FEATURE_RTM, 0x8000);        // RTM_DEBUG
    return only(a->value, allowed);
}

#define CET_SHADOW_STACK    UINT64_C(0x003)
#define CET_SUPPRESS        UINT64_C(0x400)
#define CET_WAIT_ENDBRANCH  UINT64_C(0x800)
#define CET_INDIRECT_BRANCH UINT64_C(0xFFFFFFFFFFFFFC3C)

// SDM Vol. 3C, "Checks on Guest Control Registers, Debug Registers, and MSRs" states the same of
// the VMCS field: reserved bits, SUPPRESS with TRACKER, a canonical bitmap base.
bool accepts_cet(const struct msr_attempt *a, uint64_t *out)
{
    uint64_t allowed = bits_if(a->cpu, VMX_FEATURE_CET_SS, CET_SHADOW_STACK) |
                       bits_if(a->cpu, VMX_FEATURE_CET_IBT, CET_INDIRECT_BRANCH);
    uint64_t both = CET_SUPPRESS | CET_WAIT_ENDBRANCH;
    return only(a->value, allowed) && (a->value & both) != both && accepts_canonical(a, out);
}

bool accepts_xss(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    return only(a->value, xstate_xss_mask(a->cpu->profile));
}

#define EFER_SCE UINT64_C(0x001)

#define MISC_ENABLE_XD_DISABLE UINT64_C(0x400000000)

// SDM Vol. 3A, "Paging-Mode Modification": LME cannot change while CR0.PG is set. LMA follows
// LME and CR0.PG by itself; what WRMSR says of it is dropped.
bool accepts_efer(const struct msr_attempt *a, uint64_t *out)
{
    const struct vmx_cpu *cpu = a->cpu;
    uint64_t allowed = EFER_SCE | MMU_EFER_LME | MMU_EFER_LMA;
    bool no_execute = (cpu->msr[MSR_SLOT_IA32_MISC_ENABLE] & MISC_ENABLE_XD_DISABLE) == 0;
    if (no_execute) {
        allowed |= bits_if(cpu, VMX_FEATURE_NX, MMU_EFER_NXE);
    }
    *out = (a->value & ~MMU_EFER_LMA) | (a->old & MMU_EFER_LMA);
    bool paging = (cpu->vmcs.field[VMCS_GUEST_CR0] & MMU_CR0_PG) != 0;
    bool changes_lme = ((a->old ^ a->value) & MMU_EFER_LME) != 0;
    return only(a->value, allowed) && !(paging && changes_lme);
}

// SDM Vol. 4, "Architectural MSRs", IA32_SPEC_CTRL: each bit has its enumeration.
bool accepts_spec_ctrl(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    uint64_t allowed = 0x1; // IBRS
    allowed |= bits_if(a->cpu, VMX_FEATURE_STIBP, 0x2);
    allowed |= bits_if(a->cpu, VMX_FEATURE_SSBD, 0x4);
    allowed |= bits_if(a->cpu, VMX_FEATURE_IPRED_CTRL, 0x18);
    allowed |= bits_if(a->cpu, VMX_FEATURE_RRSBA_CTRL, 0x60);
    allowed |= bits_if(a->cpu, VMX_FEATURE_PSFD, 0x80);
    allowed |= bits_if(a->cpu, VMX_FEATURE_DDPD_U, 0x100);
    allowed |= bits_if(a->cpu, VMX_FEATURE_BHI_CTRL, 0x400);
    return only(a->value, allowed);
}

#define FEATURE_CONTROL_SGX_LC UINT64_C(0x20000)

// SDM Vol. 4, "Architectural MSRs", IA32_SGXLEPUBKEYHASHn: writable once IA32_FEATURE_CONTROL is
// locked with launch control enabled.
bool accepts_sgx_key_hash(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    uint64_t needed = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_SGX_LC;
    return (a->cpu->feature_control & needed) == needed;
}

#define MCU_OPT_GDS_LOCK UINT64_C(0x20)
#define MCU_OPT_GDS      UINT64_C(0x30)

// SDM Vol. 4, "Architectural MSRs", IA32_MCU_OPT_CTRL: GDS_MITG_LOCK holds itself and GDS_MITG_DIS.
bool accepts_mcu_opt_ctrl(const struct msr_attempt *a, uint64_t *out)
{
    uint64_t allowed = 0x1; // RNGDS_MITG_DIS
    allowed |= bits_if(a->cpu, VMX_FEATURE_RTM, 0x6);
    allowed |= bits_if(a->cpu, VMX_FEATURE_FB_CLEAR_CTRL, 0x8);
    allowed |= bits_if(a->cpu, VMX_FEATURE_GDS_CTRL, MCU_OPT_GDS);
    if ((a->old & MCU_OPT_GDS_LOCK) != 0) {
        *out = (a->value & ~MCU_OPT_GDS) | (a->old & MCU_OPT_GDS);
    }
    return only(a->value, allowed);
}

bool accepts_test_ctrl(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    return only(a->value, bits_if(a->cpu, VMX_FEATURE_UC_LOCK_DISABLE, 0x10000000) |
                              bits_if(a->cpu, VMX_FEATURE_SPLIT_LOCK_DISABLE, 0x20000000));
}

// RIPV, EIPV, MCIP, and LMCE_S.
bool accepts_mcg_status(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    return only(a->value, 0x7 | bits_if(a->cpu, VMX_FEATURE_LMCE, 0x8));
}
