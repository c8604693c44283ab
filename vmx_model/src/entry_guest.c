// SDM Vol. 3C, "VM Entries": the checks on the guest's registers other than segments.

#include "entry_rules.h"

#define CR0_WP    UINT64_C(0x10000)
#define CR4_PCIDE UINT64_C(0x20000)
#define CR4_CET   UINT64_C(0x800000)
#define CS_L      UINT64_C(0x2000)
#define RFLAGS_IF UINT64_C(0x200)

static bool loads(const struct entry *entry, uint64_t control)
{
    return (entry->entry & control) != 0;
}

static bool is_canonical(const struct entry *entry, enum vmcs_slot slot)
{
    return entry_is_canonical(entry, entry->field[slot]);
}

static bool cr0_has(const struct entry *entry, uint64_t bit)
{
    return (entry->field[VMCS_GUEST_CR0] & bit) != 0;
}

static bool cr4_has(const struct entry *entry, uint64_t bit)
{
    return (entry->field[VMCS_GUEST_CR4] & bit) != 0;
}

bool entry_guest_cr0(const struct entry *entry)
{
    uint64_t free = entry_is_unrestricted(entry) ? MMU_CR0_PE | MMU_CR0_PG : 0;
    return entry_cr0_fixed(entry->field[VMCS_GUEST_CR0], free);
}

bool entry_guest_cr0_pg(const struct entry *entry)
{
    return implies(cr0_has(entry, MMU_CR0_PG), cr0_has(entry, MMU_CR0_PE));
}

bool entry_guest_cr4(const struct entry *entry)
{
    return entry_cr4_fixed(entry, entry->field[VMCS_GUEST_CR4]);
}

bool entry_guest_cr4_cet(const struct entry *entry)
{
    return implies(cr4_has(entry, CR4_CET), cr0_has(entry, CR0_WP));
}

bool entry_guest_debugctl(const struct entry *entry)
{
    return implies(loads(entry, VMX_ENTRY_LOAD_DEBUG_CONTROLS),
                   entry_accepts(entry, MSR_RULE_DEBUGCTL, entry->field[VMCS_GUEST_IA32_DEBUGCTL]));
}

bool entry_guest_ia32e_paging(const struct entry *entry)
{
    return implies(entry_guest_is_ia32e(entry),
                   cr0_has(entry, MMU_CR0_PG) && cr4_has(entry, MMU_CR4_PAE));
}

bool entry_guest_pcide(const struct entry *entry)
{
    return entry_guest_is_ia32e(entry) || !cr4_has(entry, CR4_PCIDE);
}

bool entry_guest_cr3(const struct entry *entry)
{
    return entry_is_physical(entry, entry->field[VMCS_GUEST_CR3], 0);
}

bool entry_guest_dr7(const struct entry *entry)
{
    return implies(loads(entry, VMX_ENTRY_LOAD_DEBUG_CONTROLS),
                   entry->field[VMCS_GUEST_DR7] >> 32 == 0);
}

bool entry_guest_sysenter_esp(const struct entry *entry)
{
    return is_canonical(entry, VMCS_GUEST_SYSENTER_ESP);
}

bool entry_guest_sysenter_eip(const struct entry *entry)
{
    return is_canonical(entry, VMCS_GUEST_SYSENTER_EIP);
}

bool entry_guest_s_cet(const struct entry *entry)
{
    return implies(loads(entry, VMX_ENTRY_LOAD_CET_STATE),
                   entry_is_s_cet(entry, entry->field[VMCS_GUEST_IA32_S_CET]));
}

bool entry_guest_ssp_table(const struct entry *entry)
{
    return implies(loads(entry, VMX_ENTRY_LOAD_CET_STATE),
                   is_canonical(entry, VMCS_GUEST_INTERRUPT_SSP_TABLE_ADDR));
}

bool entry_guest_perf_global_ctrl(const struct entry *entry)
{
    return implies(
        loads(entry, VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL),
        entry_is_perf_global_ctrl(entry, entry->field[VMCS_GUEST_IA32_PERF_GLOBAL_CTRL]));
}

bool entry_guest_pat(const struct entry *entry)
{
    return implies(loads(entry, VMX_ENTRY_LOAD_PAT),
                   entry_is_pat(entry->field[VMCS_GUEST_IA32_PAT]));
}

static bool efer_has(const struct entry *entry, uint64_t bit)
{
    return (entry->field[VMCS_GUEST_IA32_EFER] & bit) != 0;
}

bool entry_guest_efer(const struct entry *entry)
{
    return implies(loads(entry, VMX_ENTRY_LOAD_EFER),
                   entry_is_efer(entry, entry->field[VMCS_GUEST_IA32_EFER]));
}

bool entry_guest_efer_lma(const struct entry *entry)
{
    return implies(loads(entry, VMX_ENTRY_LOAD_EFER),
                   efer_has(entry, MMU_EFER_LMA) == entry_guest_is_ia32e(entry));
}

bool entry_guest_efer_lme(const struct entry *entry)
{
    return implies(loads(entry, VMX_ENTRY_LOAD_EFER) && cr0_has(entry, MMU_CR0_PG),
                   efer_has(entry, MMU_EFER_LMA) == efer_has(entry, MMU_EFER_LME));
}

bool entry_guest_bndcfgs(const struct entry *entry)
{
    return implies(loads(entry, VMX_ENTRY_LOAD_BNDCFGS),
                   (entry->field[VMCS_GUEST_IA32_BNDCFGS] & 0xFFC) == 0 &&
                       is_canonical(entry, VMCS_GUEST_IA32_BNDCFGS));
}

bool entry_guest_rtit_ctl(const struct entry *entry)
{
    return implies(loads(entry, VMX_ENTRY_LOAD_RTIT_CTL),
                   entry_accepts(entry, MSR_RULE_RTIT_CTL, entry->field[VMCS_GUEST_IA32_RTIT_CTL]));
}

// LBREn, OS, USR, CALL_STACK and the seven branch types.
#define LBR_CTL_BITS UINT64_C(0x7F000F)

bool entry_guest_lbr_ctl(const struct entry *entry)
{
    return implies(loads(entry, VMX_ENTRY_LOAD_LBR_CTL),
                   (entry->field[VMCS_GUEST_IA32_LBR_CTL] & ~LBR_CTL_BITS) == 0);
}

bool entry_guest_pkrs(const struct entry *entry)
{
    return implies(loads(entry, VMX_ENTRY_LOAD_PKRS),
                   entry->field[VMCS_GUEST_IA32_PKRS] >> 32 == 0);
}

bool entry_guest_uinv(const struct entry *entry)
{
    return implies(loads(entry, VMX_ENTRY_LOAD_UINV), entry->field[VMCS_GUEST_UINV] <= 0xFF);
}

bool entry_gdtr_base(const struct entry *entry)
{
    return is_canonical(entry, VMCS_GUEST_GDTR_BASE);
}

bool entry_idtr_base(const struct entry *entry)
{
    return is_canonical(entry, VMCS_GUEST_IDTR_BASE);
}

bool entry_gdtr_limit(const struct entry *entry)
{
    return entry->field[VMCS_GUEST_GDTR_LIMIT] <= 0xFFFF;
}

bool entry_idtr_limit(const struct entry *entry)
{
    return entry->field[VMCS_GUEST_IDTR_LIMIT] <= 0xFFFF;
}

static bool is_64_bit(const struct entry *entry)
{
    return entry_guest_is_ia32e(entry) && (entry->field[VMCS_GUEST_CS_ACCESS] & CS_L) != 0;
}

bool entry_rip_32(const struct entry *entry)
{
    return is_64_bit(entry) || entry->field[VMCS_GUEST_RIP] >> 32 == 0;
}

// Not the rule of canonical addresses: the highest implemented bit may differ from those above.
bool entry_rip_64(const struct entry *entry)
{
    uint64_t high = entry->field[VMCS_GUEST_RIP] >> entry->profile->linear_bits;
    return !is_64_bit(entry) || high == 0 || high == UINT64_MAX >> entry->profile->linear_bits;
}

#define RFLAGS_FIXED_1  UINT64_C(0x2)
#define RFLAGS_RESERVED UINT64_C(0xFFFFFFFFFFC08028)

bool entry_rflags_reserved(const struct entry *entry)
{
    uint64_t rflags = entry->field[VMCS_GUEST_RFLAGS];
    return (rflags & (RFLAGS_RESERVED | RFLAGS_FIXED_1)) == RFLAGS_FIXED_1;
}

bool entry_rflags_vm(const struct entry *entry)
{
    return implies(entry_guest_is_v86(entry),
                   !entry_guest_is_ia32e(entry) && cr0_has(entry, MMU_CR0_PE));
}

bool entry_rflags_if(const struct entry *entry)
{
    return implies(entry_injects(entry, EVENT_EXTERNAL),
                   (entry->field[VMCS_GUEST_RFLAGS] & RFLAGS_IF) != 0);
}

bool entry_ssp_aligned(const struct entry *entry)
{
    return implies(loads(entry, VMX_ENTRY_LOAD_CET_STATE), (entry->field[VMCS_GUEST_SSP] & 3) == 0);
}

bool entry_ssp_32(const struct entry *entry)
{
    return implies(loads(entry, VMX_ENTRY_LOAD_CET_STATE) && !is_64_bit(entry),
                   entry->field[VMCS_GUEST_SSP] >> 32 == 0);
}

bool entry_ssp_64(const struct entry *entry)
{
    return implies(loads(entry, VMX_ENTRY_LOAD_CET_STATE) && is_64_bit(entry),
                   is_canonical(entry, VMCS_GUEST_SSP));
}
