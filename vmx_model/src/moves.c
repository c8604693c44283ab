#include "vmx_model/moves.h"

#include "mmu_model/control_bits.h"
#include "vmx_model/controls.h"
#include "vmx_model/vmx_exit.h"

#define CR0_MP UINT64_C(0x00000002)
#define CR0_EM UINT64_C(0x00000004)
#define CR0_TS UINT64_C(0x00000008)
#define CR0_ET UINT64_C(0x00000010)
#define CR0_NE UINT64_C(0x00000020)
#define CR0_AM UINT64_C(0x00040000)
#define CR0_NW UINT64_C(0x20000000)
#define CR0_CD UINT64_C(0x40000000)
#define CR0_DEFINED                                                                                \
    (MMU_CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | MMU_CR0_WP | CR0_AM | CR0_NW |      \
     CR0_CD | MMU_CR0_PG)
#define CR0_LMSW  (MMU_CR0_PE | CR0_MP | CR0_EM | CR0_TS)
#define CR0_FIXED CR0_NE // PE and PG too, but a guest that may run unrestricted can clear them

#define CR3_KEEP  UINT64_C(0x8000000000000000) // with PCIDs: keep what is cached of this one
#define CR3_PCID  UINT64_C(0xFFF)
#define CR4_VMXE  UINT64_C(0x00002000)
#define CR4_PCIDE UINT64_C(0x00020000)
#define CR4_CET   UINT64_C(0x00800000)

#define DR6_ONES     UINT64_C(0xFFFF0FF0) // where no other bit can be written
#define DR6_WRITABLE UINT64_C(0x0000E00F)
#define DR6_BUS_LOCK UINT64_C(0x00000800)
#define DR6_RTM      UINT64_C(0x00010000)
#define DR7_FIXED    UINT64_C(0x00000400)
#define DR7_WRITABLE UINT64_C(0xFFFF2BFF)
#define CS_L         UINT64_C(0x2000)

// SDM Vol. 3C, "Instructions That Cause VM Exits Conditionally": LMSW, whose PE counts only where
// it would be set.
bool vmx_lmsw_exits(const struct vmx_cpu *cpu, uint64_t value)
{
    const uint64_t *field = cpu->vmcs.field;
    uint64_t owned = field[VMCS_CR0_MASK] & CR0_LMSW;
    uint64_t differs = (value ^ field[VMCS_CR0_SHADOW]) & owned;
    return (differs & ~MMU_CR0_PE) != 0 || (differs & value & MMU_CR0_PE) != 0;
}

bool vmx_clts_exits(const struct vmx_cpu *cpu)
{
    const uint64_t *field = cpu->vmcs.field;
    return (field[VMCS_CR0_MASK] & field[VMCS_CR0_SHADOW] & CR0_TS) != 0;
}

static bool is_long(const struct vmx_cpu *cpu)
{
    return (cpu->vmcs.field[VMCS_GUEST_IA32_EFER] & MMU_EFER_LMA) != 0;
}

static bool is_64_bit(const struct vmx_cpu *cpu)
{
    return is_long(cpu) && (cpu->vmcs.field[VMCS_GUEST_CS_ACCESS] & CS_L) != 0;
}

// SDM Vol. 3A, "Paging-Mode Modification".
static bool paging_may_change(const struct vmx_cpu *cpu, uint64_t value)
{
    uint64_t cr4 = vmx_guest_cr4(&cpu->vmcs);
    bool pages = (vmx_guest_cr0(&cpu->vmcs) & MMU_CR0_PG) != 0;
    bool will_page = (value & MMU_CR0_PG) != 0;
    if (pages && !will_page) {
        return !is_64_bit(cpu) && (cr4 & CR4_PCIDE) == 0;
    }
    bool enters_long = (cpu->vmcs.field[VMCS_GUEST_IA32_EFER] & MMU_EFER_LME) != 0;
    bool code_64 = (cpu->vmcs.field[VMCS_GUEST_CS_ACCESS] & CS_L) != 0;
    return pages || !will_page || !enters_long || ((cr4 & MMU_CR4_PAE) != 0 && !code_64);
}

// LMA follows LME and CR0.PG.
static void update_lma(struct vmx_cpu *cpu)
{
    uint64_t *efer = &cpu->vmcs.field[VMCS_GUEST_IA32_EFER];
    bool active = (*efer & MMU_EFER_LME) != 0 && (vmx_guest_cr0(&cpu->vmcs) & MMU_CR0_PG) != 0;
    *efer = active ? *efer | MMU_EFER_LMA : *efer & ~MMU_EFER_LMA;
}

// SDM Vol. 2B, "MOV—Move to/from Control Registers". Undefined bits of the low half are ignored.
bool vmx_cr0_write(struct vmx_cpu *cpu, uint64_t value)
{
    bool cet = (vmx_guest_cr4(&cpu->vmcs) & CR4_CET) != 0;
    uint64_t guests = CR0_FIXED & ~cpu->vmcs.field[VMCS_CR0_MASK];
    if (value >> 32 != 0 || (value & (MMU_CR0_PG | MMU_CR0_PE)) == MMU_CR0_PG ||
        (value & (CR0_NW | CR0_CD)) == CR0_NW || (cet && (value & MMU_CR0_WP) == 0) ||
        (value & guests) != guests || !paging_may_change(cpu, value)) {
        return false;
    }
    vmx_guest_cr0_set(&cpu->vmcs, (value & CR0_DEFINED) | CR0_ET);
    update_lma(cpu);
    return true;
}

bool vmx_cr3_write(struct vmx_cpu *cpu, uint64_t value)
{
    bool pcid = (vmx_guest_cr4(&cpu->vmcs) & CR4_PCIDE) != 0;
    uint64_t address = pcid ? value & ~CR3_KEEP : value;
    if (address >> cpu->profile->max_phys_bits != 0) {
        return false;
    }
    cpu->vmcs.field[VMCS_GUEST_CR3] = address;
    return true;
}

bool vmx_cr4_write(struct vmx_cpu *cpu, uint64_t value)
{
    uint64_t old = vmx_guest_cr4(&cpu->vmcs);
    uint64_t guests = CR4_VMXE & ~cpu->vmcs.field[VMCS_CR4_MASK];
    bool pcid_begins = (value & ~old & CR4_PCIDE) != 0;
    bool pcid_bad =
        pcid_begins && (!is_long(cpu) || (cpu->vmcs.field[VMCS_GUEST_CR3] & CR3_PCID) != 0);
    bool long_bad =
        is_long(cpu) && ((value & MMU_CR4_PAE) == 0 || ((value ^ old) & MMU_CR4_LA57) != 0);
    bool cet_bad = (value & CR4_CET) != 0 && (vmx_guest_cr0(&cpu->vmcs) & MMU_CR0_WP) == 0;
    if ((value & ~vmx_cr4_supported(cpu->profile)) != 0 || (value & guests) != guests || pcid_bad ||
        long_bad || cet_bad) {
        return false;
    }
    vmx_guest_cr4_set(&cpu->vmcs, value);
    return true;
}

bool vmx_cr8_write(struct vmx_cpu *cpu, uint64_t value)
{
    if (value > 15) {
        return false;
    }
    cpu->cr8 = value;
    return true;
}

void vmx_lmsw(struct vmx_cpu *cpu, uint64_t value)
{
    uint64_t old = vmx_guest_cr0(&cpu->vmcs);
    vmx_guest_cr0_set(&cpu->vmcs, (old & ~CR0_LMSW) | (value & CR0_LMSW) | (old & MMU_CR0_PE));
}

void vmx_clts(struct vmx_cpu *cpu)
{
    uint64_t *field = cpu->vmcs.field;
    if ((field[VMCS_CR0_MASK] & CR0_TS) != 0 && !vmx_clts_exits(cpu)) {
        return; // the guest reads 0 already, and the bit is not its own
    }
    vmx_guest_cr0_set(&cpu->vmcs, vmx_guest_cr0(&cpu->vmcs) & ~CR0_TS);
}

// SDM Vol. 3B, "Debug Status Register (DR6)": bits 63:32 are reserved and #GP, others are fixed.
// The flags for bus locks and RTM regions, which are 1 where nothing happened, come with their
// features.
bool vmx_dr6_write(struct vmx_cpu *cpu, uint64_t value)
{
    if (value >> 32 != 0) {
        return false;
    }
    uint64_t writable = DR6_WRITABLE;
    if (vmx_profile_has(cpu->profile, VMX_FEATURE_BUS_LOCK_DETECT)) {
        writable |= DR6_BUS_LOCK;
    }
    if (vmx_profile_has(cpu->profile, VMX_FEATURE_RTM)) {
        writable |= DR6_RTM;
    }
    cpu->dr6 = (value & writable) | (DR6_ONES & ~writable);
    return true;
}

bool vmx_dr7_write(struct vmx_cpu *cpu, uint64_t value)
{
    if (value >> 32 != 0) {
        return false;
    }
    cpu->vmcs.field[VMCS_GUEST_DR7] = (value & DR7_WRITABLE) | DR7_FIXED;
    return true;
}

bool vmx_xcr_write(struct vmx_cpu *cpu, uint32_t index, uint64_t value)
{
    if (index != 0 || !vmx_profile_allows_xcr0(cpu->profile, value)) {
        return false;
    }
    cpu->xcr0 = value;
    return true;
}
