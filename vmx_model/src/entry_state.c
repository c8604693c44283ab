// SDM Vol. 3C, "VM Entries": the checks on the guest's non-register state and on PDPTEs.

#include "entry_rules.h"

#define ACTIVE        0u
#define HLT           1u
#define SHUTDOWN      2u
#define WAIT_FOR_SIPI 3u

#define BLOCKING_STI    UINT64_C(0x1)
#define BLOCKING_MOV_SS UINT64_C(0x2)
#define BLOCKING_SMI    UINT64_C(0x4)
#define BLOCKING_NMI    UINT64_C(0x8)
#define ENCLAVE         UINT64_C(0x10)

#define VECTOR_DB 1
#define VECTOR_MC 18

static bool blocks(const struct entry *entry, uint64_t bits)
{
    return (entry->field[VMCS_GUEST_INTERRUPTIBILITY] & bits) != 0;
}

bool entry_activity(const struct entry *entry)
{
    uint64_t misc = 0;
    uint64_t state = entry->field[VMCS_GUEST_ACTIVITY];
    vmx_capability_msr(entry->profile, VMX_MSR_MISC, &misc);
    return state == ACTIVE || (state <= WAIT_FOR_SIPI && (misc >> (5 + state) & 1) != 0);
}

bool entry_activity_hlt(const struct entry *entry)
{
    uint64_t dpl = entry->field[VMCS_GUEST_SS_ACCESS] >> 5 & 3;
    return implies(entry->field[VMCS_GUEST_ACTIVITY] == HLT, dpl == 0);
}

bool entry_activity_blocking(const struct entry *entry)
{
    return implies(blocks(entry, BLOCKING_STI | BLOCKING_MOV_SS),
                   entry->field[VMCS_GUEST_ACTIVITY] == ACTIVE);
}

static bool hlt_takes(const struct entry *entry)
{
    uint8_t vector = entry_vector(entry);
    switch (entry_event(entry)) {
    case EVENT_EXTERNAL:
    case EVENT_NMI:
    case EVENT_OTHER:
        return true;
    case EVENT_HARDWARE:
        return vector == VECTOR_DB || vector == VECTOR_MC;
    case EVENT_RESERVED:
    case EVENT_SOFTWARE_INTERRUPT:
    case EVENT_PRIVILEGED_SOFTWARE:
    case EVENT_SOFTWARE_EXCEPTION:
        break;
    }
    return false;
}

static bool shutdown_takes(const struct entry *entry)
{
    return entry_event(entry) == EVENT_NMI ||
           (entry_event(entry) == EVENT_HARDWARE && entry_vector(entry) == VECTOR_MC);
}

bool entry_activity_event(const struct entry *entry)
{
    if (!entry_has_event(entry)) {
        return true;
    }
    switch (entry->field[VMCS_GUEST_ACTIVITY]) {
    case ACTIVE:
        return true;
    case HLT:
        return hlt_takes(entry);
    case SHUTDOWN:
        return shutdown_takes(entry);
    default:
        return false; // wait-for-SIPI
    }
}

bool entry_interruptibility_reserved(const struct entry *entry)
{
    return entry->field[VMCS_GUEST_INTERRUPTIBILITY] <= 0x1F;
}

bool entry_interruptibility_both(const struct entry *entry)
{
    return !blocks(entry, BLOCKING_STI) || !blocks(entry, BLOCKING_MOV_SS);
}

#define RFLAGS_TF UINT64_C(0x100)
#define RFLAGS_IF UINT64_C(0x200)

bool entry_interruptibility_sti(const struct entry *entry)
{
    return implies(blocks(entry, BLOCKING_STI), (entry->field[VMCS_GUEST_RFLAGS] & RFLAGS_IF) != 0);
}

bool entry_interruptibility_external(const struct entry *entry)
{
    return implies(entry_injects(entry, EVENT_EXTERNAL),
                   !blocks(entry, BLOCKING_STI | BLOCKING_MOV_SS));
}

bool entry_interruptibility_nmi(const struct entry *entry)
{
    return implies(entry_injects(entry, EVENT_NMI), !blocks(entry, BLOCKING_MOV_SS));
}

bool entry_interruptibility_nmi_sti(const struct entry *entry)
{
    return implies(entry_injects(entry, EVENT_NMI), !blocks(entry, BLOCKING_STI));
}

bool entry_interruptibility_smi(const struct entry *entry)
{
    return !blocks(entry, BLOCKING_SMI);
}

bool entry_interruptibility_virtual_nmi(const struct entry *entry)
{
    return implies((entry->pin & VMX_PIN_VIRTUAL_NMIS) != 0 && entry_injects(entry, EVENT_NMI),
                   !blocks(entry, BLOCKING_NMI));
}

bool entry_interruptibility_enclave(const struct entry *entry)
{
    return implies(blocks(entry, ENCLAVE), !blocks(entry, BLOCKING_MOV_SS) &&
                                               vmx_profile_has(entry->profile, VMX_FEATURE_SGX));
}

// The pending debug exceptions:
//
//  63  17  16    15  14   13  12        11         10  4  3  0
// | 0    | RTM | 0 | BS | 0 | enabled | bus lock | 0    | B3-B0 |
#define PENDING_RESERVED UINT64_C(0xFFFFFFFFFFFEA7F0)
#define PENDING_BUS_LOCK UINT64_C(0x800)
#define PENDING_ENABLED  UINT64_C(0x1000)
#define PENDING_STEP     UINT64_C(0x4000)
#define PENDING_RTM      UINT64_C(0x10000)

bool entry_pending_debug_reserved(const struct entry *entry)
{
    uint64_t reserved = PENDING_RESERVED;
    if (!vmx_profile_has(entry->profile, VMX_FEATURE_BUS_LOCK_DETECT)) {
        reserved |= PENDING_BUS_LOCK;
    }
    return (entry->field[VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS] & reserved) == 0;
}

#define DEBUGCTL_BTF UINT64_C(0x2)

bool entry_pending_debug_step(const struct entry *entry)
{
    bool steps = (entry->field[VMCS_GUEST_RFLAGS] & RFLAGS_TF) != 0 &&
                 (entry->field[VMCS_GUEST_IA32_DEBUGCTL] & DEBUGCTL_BTF) == 0;
    bool pending = (entry->field[VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS] & PENDING_STEP) != 0;
    bool checked =
        blocks(entry, BLOCKING_STI | BLOCKING_MOV_SS) || entry->field[VMCS_GUEST_ACTIVITY] == HLT;
    return implies(checked, steps == pending);
}

bool entry_pending_debug_rtm(const struct entry *entry)
{
    uint64_t pending = entry->field[VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS];
    return (pending & PENDING_RTM) == 0 ||
           (pending == (PENDING_RTM | PENDING_ENABLED) &&
            vmx_profile_has(entry->profile, VMX_FEATURE_RTM) && !blocks(entry, BLOCKING_MOV_SS));
}

static bool has_link(const struct entry *entry)
{
    return entry->field[VMCS_VMCS_LINK_POINTER] != UINT64_MAX;
}

bool entry_link_address(const struct entry *entry)
{
    return implies(has_link(entry),
                   entry_is_physical(entry, entry->field[VMCS_VMCS_LINK_POINTER], 0xFFF));
}

// The first word of a VMCS region: bit 31 says that it is a shadow VMCS.
static bool link_word(const struct entry *entry, uint32_t *out)
{
    uint64_t low;
    if (!has_link(entry) || !entry_read_64(entry, entry->field[VMCS_VMCS_LINK_POINTER], &low)) {
        return false;
    }
    *out = (uint32_t)low;
    return true;
}

#define SHADOW_INDICATOR 0x80000000u

bool entry_link_revision(const struct entry *entry)
{
    uint32_t word;
    return !link_word(entry, &word) || (word & ~SHADOW_INDICATOR) == entry->profile->vmcs_revision;
}

bool entry_link_shadow(const struct entry *entry)
{
    uint32_t word;
    bool shadowing = (entry->secondary & VMX_SECONDARY_VMCS_SHADOWING) != 0;
    return !link_word(entry, &word) || ((word & SHADOW_INDICATOR) != 0) == shadowing;
}

bool entry_link_current(const struct entry *entry)
{
    return !has_link(entry) || entry->attempt == NULL ||
           entry->field[VMCS_VMCS_LINK_POINTER] != entry->attempt->current_vmcs;
}

static bool uses_pae_paging(const struct entry *entry)
{
    return (entry->field[VMCS_GUEST_CR0] & MMU_CR0_PG) != 0 &&
           (entry->field[VMCS_GUEST_CR4] & MMU_CR4_PAE) != 0 && !entry_guest_is_ia32e(entry);
}

static bool has_ept(const struct entry *entry)
{
    return (entry->secondary & VMX_SECONDARY_EPT) != 0;
}

static bool is_pdpte(const struct entry *entry, uint64_t pdpte)
{
    return mmu_is_pdpte(pdpte, entry->profile->max_phys_bits);
}

bool entry_pdpte_fields(const struct entry *entry)
{
    for (unsigned i = 0; i < 4 && has_ept(entry) && uses_pae_paging(entry); i++) {
        if (!is_pdpte(entry, entry->field[VMCS_GUEST_PDPTE0 + i])) {
            return false;
        }
    }
    return true;
}

bool entry_pdpte_memory(const struct entry *entry)
{
    uint64_t table = entry->field[VMCS_GUEST_CR3] & UINT64_C(0xFFFFFFE0);
    for (unsigned i = 0; i < 4 && !has_ept(entry) && uses_pae_paging(entry); i++) {
        uint64_t pdpte;
        if (entry_read_64(entry, table + UINT64_C(8) * i, &pdpte) && !is_pdpte(entry, pdpte)) {
            return false;
        }
    }
    return true;
}
