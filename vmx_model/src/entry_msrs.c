// SDM Vol. 3C, "VM Entries": "Loading MSRs".

#include "entry_rules.h"
#include "vmx_model/msr.h"

#define IA32_BIOS_UPDT_TRIG  0x79u
#define IA32_BIOS_SIGN_ID    0x8Bu
#define IA32_SMM_MONITOR_CTL 0x9Bu
#define IA32_SMBASE          0x9Eu
#define IA32_FS_BASE         0xC0000100u
#define IA32_GS_BASE         0xC0000101u
#define X2APIC_FIRST         0x800u
#define X2APIC_LAST          0x8FFu

// More than this IA32_VMX_MISC does not recommend; what a processor does then is undefined.
#define MAX_ENTRIES 512u

// An entry of the area: bits 31:0 number of the MSR, 63:32 reserved, 127:64 value. Whether it can
// be loaded into `cpu`, which the entries before have changed.
static enum vmx_entry_rule load(struct vmx_cpu *cpu, uint64_t low, uint64_t value)
{
    uint32_t index = (uint32_t)low;
    if (index == IA32_FS_BASE || index == IA32_GS_BASE) {
        return VMX_ENTRY_RULE_MSR_LOAD_BASE;
    }
    if (index >= X2APIC_FIRST && index <= X2APIC_LAST) {
        return VMX_ENTRY_RULE_MSR_LOAD_X2APIC;
    }
    if (index == IA32_SMM_MONITOR_CTL || index == IA32_SMBASE) {
        return VMX_ENTRY_RULE_MSR_LOAD_SMM;
    }
    if (index == IA32_BIOS_UPDT_TRIG || index == IA32_BIOS_SIGN_ID) {
        return VMX_ENTRY_RULE_MSR_LOAD_UNLOADABLE;
    }
    if (low >> 32 != 0) {
        return VMX_ENTRY_RULE_MSR_LOAD_RESERVED;
    }
    return msr_write(cpu, MSR_GUEST, index, value) == MSR_OK ? VMX_ENTRY_RULE_NONE
                                                             : VMX_ENTRY_RULE_MSR_LOAD_VALUE;
}

void entry_scan_msrs(struct entry *entry)
{
    uint64_t address = entry->field[VMCS_ENTRY_MSR_LOAD_ADDRESS];
    uint64_t count = entry->field[VMCS_ENTRY_MSR_LOAD_COUNT];
    if (count == 0) {
        return;
    }
    struct vmx_cpu cpu = *entry->cpu;
    for (uint32_t i = 0; i < count && i < MAX_ENTRIES; i++) {
        uint64_t low, value;
        if (!entry_read_64(entry, address + UINT64_C(16) * i, &low) ||
            !entry_read_64(entry, address + UINT64_C(16) * i + 8, &value)) {
            return;
        }
        entry->bad_msr_rule = load(&cpu, low, value);
        if (entry->bad_msr_rule != VMX_ENTRY_RULE_NONE) {
            entry->bad_msr = i + 1;
            return;
        }
    }
}

bool entry_msr_load_base(const struct entry *entry)
{
    return entry->bad_msr_rule != VMX_ENTRY_RULE_MSR_LOAD_BASE;
}

bool entry_msr_load_x2apic(const struct entry *entry)
{
    return entry->bad_msr_rule != VMX_ENTRY_RULE_MSR_LOAD_X2APIC;
}

bool entry_msr_load_smm(const struct entry *entry)
{
    return entry->bad_msr_rule != VMX_ENTRY_RULE_MSR_LOAD_SMM;
}

bool entry_msr_load_unloadable(const struct entry *entry)
{
    return entry->bad_msr_rule != VMX_ENTRY_RULE_MSR_LOAD_UNLOADABLE;
}

bool entry_msr_load_reserved(const struct entry *entry)
{
    return entry->bad_msr_rule != VMX_ENTRY_RULE_MSR_LOAD_RESERVED;
}

bool entry_msr_load_value(const struct entry *entry)
{
    return entry->bad_msr_rule != VMX_ENTRY_RULE_MSR_LOAD_VALUE;
}
