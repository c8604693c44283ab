#include "vmx_model/cpu.h"

#include <string.h>

#include "msr_reset.h"
#include "vmcs_reset.h"

// Access rights in VMX format: P, S and the type.
#define ACCESS_DATA 0x93 // read/write, accessed
#define ACCESS_LDT  0x82
#define ACCESS_TSS  0x8B // 32-bit, busy: the only kind VM entry takes outside IA-32e mode

#define ACTIVITY_ACTIVE 0

// SDM Vol. 3A, table "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT".
static void reset_control_registers(uint64_t field[])
{
    field[VMCS_GUEST_RIP] = 0xFFF0;
    field[VMCS_GUEST_RFLAGS] = 0x2;
    field[VMCS_GUEST_DR7] = 0x400;
    field[VMCS_GUEST_ACTIVITY] = ACTIVITY_ACTIVE;
}

// The same table, segment and descriptor-table registers. The eight selectors, limits, access
// rights and bases each stand in the order ES, CS, SS, DS, FS, GS, LDTR, TR.
static void reset_segments(uint64_t field[])
{
    for (unsigned i = 0; i < 8; i++) {
        field[VMCS_GUEST_ES_LIMIT + i] = 0xFFFF;
        field[VMCS_GUEST_ES_ACCESS + i] = ACCESS_DATA;
    }
    field[VMCS_GUEST_CS_SELECTOR] = 0xF000;
    field[VMCS_GUEST_CS_BASE] = 0xFFFF0000;
    field[VMCS_GUEST_LDTR_ACCESS] = ACCESS_LDT;
    field[VMCS_GUEST_TR_ACCESS] = ACCESS_TSS;
    field[VMCS_GUEST_GDTR_LIMIT] = 0xFFFF;
    field[VMCS_GUEST_IDTR_LIMIT] = 0xFFFF;
}

// A 64-bit hypervisor's own state. Nothing executes there: the values only have to be legal and
// recognisable.
static void fill_host_state(uint64_t field[])
{
    field[VMCS_HOST_ES_SELECTOR] = 0x10;
    field[VMCS_HOST_CS_SELECTOR] = 0x08;
    field[VMCS_HOST_SS_SELECTOR] = 0x10;
    field[VMCS_HOST_DS_SELECTOR] = 0x10;
    field[VMCS_HOST_TR_SELECTOR] = 0x18;
    field[VMCS_HOST_IA32_PAT] = UINT64_C(0x0007040600070406);
    field[VMCS_HOST_IA32_EFER] = 0xD01; // NXE, LMA, LME, SCE
    field[VMCS_HOST_SYSENTER_CS] = 0x08;
    field[VMCS_HOST_SYSENTER_ESP] = UINT64_C(0xFFFFFF8000011000);
    field[VMCS_HOST_SYSENTER_EIP] = UINT64_C(0xFFFFFF8000101000);
    field[VMCS_HOST_CR0] = 0x80010033; // PG, WP, NE, ET, MP, PE
    field[VMCS_HOST_CR3] = 0x7F000000;
    field[VMCS_HOST_CR4] = 0x426A0; // OSXSAVE, VMXE, OSXMMEXCPT, OSFXSR, PGE, PAE
    field[VMCS_HOST_FS_BASE] = UINT64_C(0xFFFFFF8000020000);
    field[VMCS_HOST_GS_BASE] = UINT64_C(0xFFFFFF8000030000);
    field[VMCS_HOST_TR_BASE] = UINT64_C(0xFFFFFF8000040000);
    field[VMCS_HOST_GDTR_BASE] = UINT64_C(0xFFFFFF8000050000);
    field[VMCS_HOST_IDTR_BASE] = UINT64_C(0xFFFFFF8000060000);
    field[VMCS_HOST_RSP] = UINT64_C(0xFFFFFF8000010000);
    field[VMCS_HOST_RIP] = UINT64_C(0xFFFFFF8000100000);
}

void vmx_cpu_reset(struct vmx_cpu *cpu, const struct vmx_profile *profile)
{
    memset(cpu, 0, sizeof(*cpu));
    cpu->profile = profile;
    cpu->num_cpus = 1;
    vmcs_init(&cpu->vmcs, profile);
    // SDM Vol. 3C, "Guest Non-Register State": all ones, no shadow VMCS.
    cpu->vmcs.field[VMCS_VMCS_LINK_POINTER] = UINT64_MAX;
    reset_control_registers(cpu->vmcs.field);
    reset_segments(cpu->vmcs.field);
    fill_host_state(cpu->vmcs.field);
    vmcs_reset_controls(&cpu->vmcs);
    msr_reset(cpu);
    cpu->gpr[VMX_RDX] = profile->signature;
    cpu->dr6 = 0xFFFF0FF0;
    cpu->xcr0 = 1;
}

#define APIC_BASE_BSP UINT64_C(0x100)

void vmx_cpu_place(struct vmx_cpu *cpu, uint32_t index, uint32_t num_cpus)
{
    cpu->apic_id = index;
    cpu->num_cpus = num_cpus;
    if (index == 0) {
        cpu->msr[MSR_SLOT_IA32_APIC_BASE] |= APIC_BASE_BSP;
    } else {
        cpu->msr[MSR_SLOT_IA32_APIC_BASE] &= ~APIC_BASE_BSP;
    }
}

void vmx_cpu_override(struct vmx_cpu *cpu, const struct msr_override *overrides,
                      uint32_t num_overrides)
{
    cpu->overrides = overrides;
    cpu->num_overrides = num_overrides;
}

bool vmx_cpu_equal(const struct vmx_cpu *a, const struct vmx_cpu *b)
{
    return memcmp(a->vmcs.field, b->vmcs.field, sizeof(a->vmcs.field)) == 0 &&
           memcmp(a->gpr, b->gpr, sizeof(a->gpr)) == 0 &&
           memcmp(a->dr, b->dr, sizeof(a->dr)) == 0 &&
           memcmp(a->msr, b->msr, sizeof(a->msr)) == 0 && a->cr2 == b->cr2 && a->cr8 == b->cr8 &&
           a->xcr0 == b->xcr0 && a->dr6 == b->dr6 && a->tsc == b->tsc &&
           a->feature_control == b->feature_control && a->pkru == b->pkru &&
           a->apic_id == b->apic_id && a->num_cpus == b->num_cpus;
}
