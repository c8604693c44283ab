// SDM Vol. 3C, "VM Entries": "Checks on VMX Controls and Host-State Area".

#include "entry_rules.h"

#define CR0_WP    UINT64_C(0x10000)
#define CR4_PCIDE UINT64_C(0x20000)
#define CR4_CET   UINT64_C(0x800000)

static bool host_is_64_bit(const struct entry *entry)
{
    return (entry->exit & VMX_EXIT_HOST_64_BIT) != 0;
}

static bool loads(const struct entry *entry, uint64_t control)
{
    return (entry->exit & control) != 0;
}

static bool is_canonical(const struct entry *entry, enum vmcs_slot slot)
{
    return entry_is_canonical(entry, entry->field[slot]);
}

bool entry_host_cr0(const struct entry *entry)
{
    return entry_cr0_fixed(entry->field[VMCS_HOST_CR0], 0);
}

bool entry_host_cr4(const struct entry *entry)
{
    return entry_cr4_fixed(entry, entry->field[VMCS_HOST_CR4]);
}

bool entry_host_cr4_cet(const struct entry *entry)
{
    return implies((entry->field[VMCS_HOST_CR4] & CR4_CET) != 0,
                   (entry->field[VMCS_HOST_CR0] & CR0_WP) != 0);
}

bool entry_host_cr3(const struct entry *entry)
{
    return entry_is_physical(entry, entry->field[VMCS_HOST_CR3], 0);
}

bool entry_host_sysenter_esp(const struct entry *entry)
{
    return is_canonical(entry, VMCS_HOST_SYSENTER_ESP);
}

bool entry_host_sysenter_eip(const struct entry *entry)
{
    return is_canonical(entry, VMCS_HOST_SYSENTER_EIP);
}

bool entry_host_perf_global_ctrl(const struct entry *entry)
{
    return implies(loads(entry, VMX_EXIT_LOAD_PERF_GLOBAL_CTRL),
                   entry_is_perf_global_ctrl(entry, entry->field[VMCS_HOST_IA32_PERF_GLOBAL_CTRL]));
}

bool entry_host_pat(const struct entry *entry)
{
    return implies(loads(entry, VMX_EXIT_LOAD_PAT), entry_is_pat(entry->field[VMCS_HOST_IA32_PAT]));
}

bool entry_host_efer(const struct entry *entry)
{
    return implies(loads(entry, VMX_EXIT_LOAD_EFER),
                   entry_is_efer(entry, entry->field[VMCS_HOST_IA32_EFER]));
}

bool entry_host_efer_mode(const struct entry *entry)
{
    uint64_t mode = MMU_EFER_LMA | MMU_EFER_LME;
    return implies(loads(entry, VMX_EXIT_LOAD_EFER), (entry->field[VMCS_HOST_IA32_EFER] & mode) ==
                                                         (host_is_64_bit(entry) ? mode : 0));
}

bool entry_host_s_cet(const struct entry *entry)
{
    return implies(loads(entry, VMX_EXIT_LOAD_CET_STATE),
                   entry_is_s_cet(entry, entry->field[VMCS_HOST_IA32_S_CET]));
}

bool entry_host_ssp_table(const struct entry *entry)
{
    return implies(loads(entry, VMX_EXIT_LOAD_CET_STATE),
                   is_canonical(entry, VMCS_HOST_INTERRUPT_SSP_TABLE_ADDR));
}

bool entry_host_ssp(const struct entry *entry)
{
    return implies(loads(entry, VMX_EXIT_LOAD_CET_STATE),
                   is_canonical(entry, VMCS_HOST_SSP) && (entry->field[VMCS_HOST_SSP] & 3) == 0);
}

bool entry_host_pkrs(const struct entry *entry)
{
    return implies(loads(entry, VMX_EXIT_LOAD_PKRS), entry->field[VMCS_HOST_IA32_PKRS] >> 32 == 0);
}

bool entry_host_selectors(const struct entry *entry)
{
    uint64_t all = 0;
    for (unsigned slot = VMCS_HOST_ES_SELECTOR; slot <= VMCS_HOST_TR_SELECTOR; slot++) {
        all |= entry->field[slot];
    }
    return (all & 7) == 0;
}

bool entry_host_cs(const struct entry *entry)
{
    return entry->field[VMCS_HOST_CS_SELECTOR] != 0;
}

bool entry_host_tr(const struct entry *entry)
{
    return entry->field[VMCS_HOST_TR_SELECTOR] != 0;
}

bool entry_host_ss(const struct entry *entry)
{
    return host_is_64_bit(entry) || entry->field[VMCS_HOST_SS_SELECTOR] != 0;
}

bool entry_host_fs_base(const struct entry *entry)
{
    return is_canonical(entry, VMCS_HOST_FS_BASE);
}

bool entry_host_gs_base(const struct entry *entry)
{
    return is_canonical(entry, VMCS_HOST_GS_BASE);
}

bool entry_host_gdtr_base(const struct entry *entry)
{
    return is_canonical(entry, VMCS_HOST_GDTR_BASE);
}

bool entry_host_idtr_base(const struct entry *entry)
{
    return is_canonical(entry, VMCS_HOST_IDTR_BASE);
}

bool entry_host_tr_base(const struct entry *entry)
{
    return is_canonical(entry, VMCS_HOST_TR_BASE);
}

// The modelled hypervisor runs in IA-32e mode wherever the processor has it; elsewhere the
// reserved bits of the controls forbid a 64-bit host and guest.
bool entry_host_64_bit(const struct entry *entry)
{
    return implies(vmx_profile_has(entry->profile, VMX_FEATURE_LM), host_is_64_bit(entry));
}

bool entry_host_32_pcide(const struct entry *entry)
{
    return host_is_64_bit(entry) || (entry->field[VMCS_HOST_CR4] & CR4_PCIDE) == 0;
}

bool entry_host_32_rip(const struct entry *entry)
{
    return host_is_64_bit(entry) || entry->field[VMCS_HOST_RIP] >> 32 == 0;
}

bool entry_host_64_pae(const struct entry *entry)
{
    return implies(host_is_64_bit(entry), (entry->field[VMCS_HOST_CR4] & MMU_CR4_PAE) != 0);
}

bool entry_host_64_rip(const struct entry *entry)
{
    return implies(host_is_64_bit(entry), is_canonical(entry, VMCS_HOST_RIP));
}
