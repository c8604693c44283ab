// The rules of entry_checks.def, one function each: whether what its row demands holds.
#ifndef VMX_MODEL_SRC_ENTRY_RULES_H
#define VMX_MODEL_SRC_ENTRY_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "msr_rules.h"
#include "vmx_model/controls.h"
#include "vmx_model/entry.h"

#define ENTRY_NO_VMCS UINT64_MAX

// What an instruction that enters brings along, beyond the VMCS's data.
struct entry_attempt {
    uint64_t current_vmcs; // the pointer; ENTRY_NO_VMCS when there is none
    bool is_shadow;        // the current VMCS is a shadow VMCS
    bool is_launched;      // its launch state
    bool resumes;          // VMRESUME, not VMLAUNCH
    bool blocks_mov_ss;
};

// One VM entry being checked.
struct entry {
    const struct vmx_cpu *cpu;
    const struct mmu_memory *memory; // NULL: none
    const struct vmx_profile *profile;
    const struct entry_attempt *attempt; // NULL: unknown
    const uint64_t *field;
    // The controls in force.
    uint64_t pin, processor, secondary, tertiary, exit, secondary_exit, entry;
    // The entry of the MSR-load area that cannot be loaded, counted from 1 (0: none), and the
    // rule that forbids it.
    uint32_t bad_msr;
    enum vmx_entry_rule bad_msr_rule;
};

#define ENTRY_CHECK(name, function, group, qualification, source, text)                            \
    bool entry_##function(const struct entry *entry);
#include "vmx_model/entry_checks.def"

// All checks, or with a NULL attempt those that the VMCS's data decides.
void entry_check(const struct vmx_cpu *cpu, const struct mmu_memory *memory,
                 const struct entry_attempt *attempt, struct vmx_entry_outcome *out);

// Finds bad_msr and bad_msr_rule.
void entry_scan_msrs(struct entry *entry);

// Controls of which every bit that the capability MSRs fix is as they say.
bool entry_controls_allowed(const struct entry *entry, enum vmx_control_group group,
                            uint64_t value);

bool entry_is_canonical(const struct entry *entry, uint64_t linear);

// Whether the bits of `low` are 0, and those beyond the physical-address width.
bool entry_is_physical(const struct entry *entry, uint64_t address, uint64_t low);

// Whether a field's value is one that WRMSR accepts by this rule in place of 0.
bool entry_accepts(const struct entry *entry, enum msr_rule rule, uint64_t value);

bool entry_is_pat(uint64_t value);
bool entry_is_efer(const struct entry *entry, uint64_t value);
bool entry_is_perf_global_ctrl(const struct entry *entry, uint64_t value);
bool entry_is_s_cet(const struct entry *entry, uint64_t value);
bool entry_cr0_fixed(uint64_t value, uint64_t free);
bool entry_cr4_fixed(const struct entry *entry, uint64_t value);

// Reads `len` bytes, or 8 bytes as a number, of physical memory; false without memory there.
bool entry_read(const struct entry *entry, uint64_t address, void *out, size_t len);
bool entry_read_64(const struct entry *entry, uint64_t address, uint64_t *out);

static inline bool implies(bool condition, bool consequence)
{
    return !condition || consequence;
}

static inline bool entry_guest_is_v86(const struct entry *entry)
{
    return (entry->field[VMCS_GUEST_RFLAGS] & MMU_RFLAGS_VM) != 0;
}

static inline bool entry_is_unrestricted(const struct entry *entry)
{
    return (entry->secondary & VMX_SECONDARY_UNRESTRICTED_GUEST) != 0;
}

static inline bool entry_guest_is_ia32e(const struct entry *entry)
{
    return (entry->entry & VMX_ENTRY_GUEST_IA32E_MODE) != 0;
}

// VM-entry interruption information (SDM Vol. 3C, "VM-Entry Controls for Event Injection"):
//
//  31      30      12  11          10    8  7      0
// | valid | reserved | error code | type   | vector |
enum entry_event_type {
    EVENT_EXTERNAL = 0,
    EVENT_RESERVED = 1,
    EVENT_NMI = 2,
    EVENT_HARDWARE = 3,
    EVENT_SOFTWARE_INTERRUPT = 4,
    EVENT_PRIVILEGED_SOFTWARE = 5,
    EVENT_SOFTWARE_EXCEPTION = 6,
    EVENT_OTHER = 7,
};

static inline bool entry_has_event(const struct entry *entry)
{
    return (entry->field[VMCS_ENTRY_INTERRUPTION_INFORMATION] & 0x80000000) != 0;
}

static inline enum entry_event_type entry_event(const struct entry *entry)
{
    uint64_t information = entry->field[VMCS_ENTRY_INTERRUPTION_INFORMATION];
    return (enum entry_event_type)(information >> 8 & 7);
}

static inline uint8_t entry_vector(const struct entry *entry)
{
    return (uint8_t)entry->field[VMCS_ENTRY_INTERRUPTION_INFORMATION];
}

static inline bool entry_injects(const struct entry *entry, enum entry_event_type type)
{
    return entry_has_event(entry) && entry_event(entry) == type;
}

#endif
