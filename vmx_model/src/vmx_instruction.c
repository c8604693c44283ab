#include "vmx_model/vmx_instruction.h"

#include <string.h>

#include "entry_rules.h"
#include "vmx_model/vmx_exit.h"
#include "vmx_region.h"

#define RFLAGS_CF UINT64_C(0x01)
#define RFLAGS_ZF UINT64_C(0x40)

// CF, PF, AF, ZF, SF and OF.
#define RFLAGS_STATUS UINT64_C(0x8D5)

#define FEATURE_CONTROL_LOCK UINT64_C(0x1)
#define FEATURE_CONTROL_VMX  UINT64_C(0x4) // outside SMX operation

#define CR4_VMXE UINT64_C(0x2000)

void vmx_root_init(struct vmx_root *root, const struct vmx_profile *profile)
{
    memset(root, 0, sizeof(*root));
    vmx_cpu_reset(&root->cpu, profile);
    vmcs_init(&root->cpu.vmcs, profile);
    root->cr0 = 0x80000031;
    root->cr4 = MMU_CR4_PAE;
    root->efer = MMU_EFER_LME | MMU_EFER_LMA;
    root->rflags = 0x2;
    root->cs_l = true;
    root->current_vmcs = VMX_NO_VMCS;
}

uint64_t vmx_status_rflags(enum vmx_status status, uint64_t rflags)
{
    uint64_t cleared = rflags & ~RFLAGS_STATUS;
    switch (status) {
    case VMX_STATUS_SUCCEED:
        return cleared;
    case VMX_STATUS_FAIL_INVALID:
        return cleared | RFLAGS_CF;
    case VMX_STATUS_FAIL_VALID:
        return cleared | RFLAGS_ZF;
    case VMX_STATUS_UD:
    case VMX_STATUS_GP:
    case VMX_STATUS_ENTERED:
    case VMX_STATUS_ENTRY_FAILED: // RFLAGS is the guest's, or what a VM exit loads for the host
        break;
    }
    return rflags;
}

static bool has_current(const struct vmx_root *root)
{
    return root->current_vmcs != VMX_NO_VMCS;
}

static enum vmx_status fail(struct vmx_root *root, enum vmx_instruction_error error)
{
    if (!has_current(root)) {
        return VMX_STATUS_FAIL_INVALID;
    }
    root->cpu.vmcs.field[VMCS_VM_INSTRUCTION_ERROR] = error;
    return VMX_STATUS_FAIL_VALID;
}

// A struct entry for what asks a profile alone.
static struct entry entry_of(const struct vmx_root *root)
{
    return (struct entry){.cpu = &root->cpu, .profile = root->cpu.profile};
}

static bool is_fixed(const struct vmx_root *root, uint64_t cr0, uint64_t cr4)
{
    struct entry entry = entry_of(root);
    return entry_cr0_fixed(cr0, 0) && entry_cr4_fixed(&entry, cr4);
}

enum vmx_status vmx_root_set_cr0(struct vmx_root *root, uint64_t value)
{
    if (root->in_vmx && !is_fixed(root, value, root->cr4)) {
        return VMX_STATUS_GP;
    }
    root->cr0 = value;
    return VMX_STATUS_SUCCEED;
}

enum vmx_status vmx_root_set_cr4(struct vmx_root *root, uint64_t value)
{
    if (root->in_vmx && !is_fixed(root, root->cr0, value)) {
        return VMX_STATUS_GP;
    }
    root->cr4 = value;
    return VMX_STATUS_SUCCEED;
}

// #UD in real-address, virtual-8086 and compatibility mode.
static bool is_mode_undefined(const struct vmx_root *root)
{
    bool compatibility = (root->efer & MMU_EFER_LMA) != 0 && !root->cs_l;
    return (root->cr0 & MMU_CR0_PE) == 0 || (root->rflags & MMU_RFLAGS_VM) != 0 || compatibility;
}

// What every instruction but VMXON asks first.
static enum vmx_status precondition(const struct vmx_root *root)
{
    if (!root->in_vmx || is_mode_undefined(root)) {
        return VMX_STATUS_UD;
    }
    return root->cpl == 0 ? VMX_STATUS_SUCCEED : VMX_STATUS_GP;
}

static bool is_region(const struct vmx_root *root, uint64_t pointer)
{
    struct entry entry = entry_of(root);
    return entry_is_physical(&entry, pointer, 0xFFF);
}

static bool may_enter_vmx(const struct vmx_root *root)
{
    uint64_t needed = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX;
    return root->cpl == 0 && is_fixed(root, root->cr0, root->cr4) && !root->a20_masked &&
           (root->feature_control & needed) == needed;
}

enum vmx_status vmx_root_vmxon(struct vmx_root *root, const struct vmx_memory *memory,
                               uint64_t pointer)
{
    if (!vmx_profile_has(root->cpu.profile, VMX_FEATURE_VMX) || is_mode_undefined(root) ||
        (root->cr4 & CR4_VMXE) == 0) {
        return VMX_STATUS_UD;
    }
    if (root->in_vmx) {
        return root->cpl == 0 ? fail(root, VMX_ERROR_VMXON_IN_ROOT) : VMX_STATUS_GP;
    }
    if (!may_enter_vmx(root)) {
        return VMX_STATUS_GP;
    }
    if (!is_region(root, pointer) ||
        vmx_region_word(memory, pointer) != root->cpu.profile->vmcs_revision) {
        return VMX_STATUS_FAIL_INVALID;
    }
    root->in_vmx = true;
    root->vmxon_pointer = pointer;
    root->current_vmcs = VMX_NO_VMCS;
    return VMX_STATUS_SUCCEED;
}

static void leave_current(struct vmx_root *root, const struct vmx_memory *memory)
{
    if (has_current(root)) {
        vmx_region_store(memory, root->current_vmcs, &root->cpu.vmcs, root->is_launched);
    }
    root->current_vmcs = VMX_NO_VMCS;
}

enum vmx_status vmx_root_vmxoff(struct vmx_root *root, const struct vmx_memory *memory)
{
    enum vmx_status status = precondition(root);
    if (status == VMX_STATUS_SUCCEED) {
        leave_current(root, memory);
        root->in_vmx = false;
    }
    return status;
}

enum vmx_status vmx_root_vmclear(struct vmx_root *root, const struct vmx_memory *memory,
                                 uint64_t pointer)
{
    enum vmx_status status = precondition(root);
    if (status != VMX_STATUS_SUCCEED) {
        return status;
    }
    if (!is_region(root, pointer)) {
        return fail(root, VMX_ERROR_VMCLEAR_ADDRESS);
    }
    if (pointer == root->vmxon_pointer) {
        return fail(root, VMX_ERROR_VMCLEAR_VMXON);
    }
    if (pointer == root->current_vmcs) {
        leave_current(root, memory);
    }
    vmx_region_clear(memory, pointer);
    return VMX_STATUS_SUCCEED;
}

enum vmx_status vmx_root_vmptrld(struct vmx_root *root, const struct vmx_memory *memory,
                                 uint64_t pointer)
{
    enum vmx_status status = precondition(root);
    if (status != VMX_STATUS_SUCCEED) {
        return status;
    }
    if (!is_region(root, pointer)) {
        return fail(root, VMX_ERROR_VMPTRLD_ADDRESS);
    }
    if (pointer == root->vmxon_pointer) {
        return fail(root, VMX_ERROR_VMPTRLD_VMXON);
    }
    const struct vmx_profile *profile = root->cpu.profile;
    uint32_t word = vmx_region_word(memory, pointer);
    bool is_shadow = (word & VMX_REGION_SHADOW) != 0;
    if ((word & ~VMX_REGION_SHADOW) != profile->vmcs_revision ||
        (is_shadow && !vmx_profile_has(profile, VMX_FEATURE_EN_VMCS_SHADOWING))) {
        return fail(root, VMX_ERROR_VMPTRLD_REVISION);
    }
    leave_current(root, memory);
    vmx_region_load(memory, pointer, &root->cpu.vmcs, &root->is_launched);
    root->current_vmcs = pointer;
    root->is_shadow = is_shadow;
    return VMX_STATUS_SUCCEED;
}

enum vmx_status vmx_root_vmptrst(const struct vmx_root *root, uint64_t *out)
{
    enum vmx_status status = precondition(root);
    if (status == VMX_STATUS_SUCCEED) {
        *out = root->current_vmcs;
    }
    return status;
}

// Encodings have 32 bits; in 64-bit mode the operand has 64.
static bool is_supported(const struct vmx_root *root, uint64_t encoding)
{
    enum vmcs_slot slot;
    return encoding >> 32 == 0 && vmcs_slot_of((uint32_t)encoding, &slot) &&
           vmcs_slot_exists(root->cpu.profile, slot);
}

enum vmx_status vmx_root_vmread(struct vmx_root *root, uint64_t encoding, uint64_t *out)
{
    enum vmx_status status = precondition(root);
    if (status != VMX_STATUS_SUCCEED) {
        return status;
    }
    if (!has_current(root) || !is_supported(root, encoding)) {
        return fail(root, VMX_ERROR_UNSUPPORTED_FIELD);
    }
    vmcs_read(&root->cpu.vmcs, (uint32_t)encoding, out);
    return VMX_STATUS_SUCCEED;
}

enum vmx_status vmx_root_vmwrite(struct vmx_root *root, uint64_t encoding, uint64_t value)
{
    enum vmx_status status = precondition(root);
    if (status != VMX_STATUS_SUCCEED) {
        return status;
    }
    if (!has_current(root) || !is_supported(root, encoding)) {
        return fail(root, VMX_ERROR_UNSUPPORTED_FIELD);
    }
    if (!vmcs_write(&root->cpu.vmcs, (uint32_t)encoding, value)) {
        return fail(root, VMX_ERROR_READ_ONLY_FIELD);
    }
    return VMX_STATUS_SUCCEED;
}

enum vmx_status vmx_root_vmcall(struct vmx_root *root)
{
    enum vmx_status status = precondition(root);
    return status == VMX_STATUS_SUCCEED ? fail(root, VMX_ERROR_VMCALL_IN_ROOT) : status;
}

static enum vmx_status enter(struct vmx_root *root, const struct vmx_memory *memory, bool resumes,
                             struct vmx_entry_outcome *out)
{
    enum vmx_status status = precondition(root);
    if (status != VMX_STATUS_SUCCEED) {
        return status;
    }
    struct entry_attempt attempt = {
        .current_vmcs = root->current_vmcs,
        .is_shadow = root->is_shadow,
        .is_launched = root->is_launched,
        .resumes = resumes,
        .blocks_mov_ss = root->blocks_mov_ss,
    };
    entry_check(&root->cpu, &memory->reader, &attempt, out);
    switch (out->result) {
    case VMX_ENTERED:
        root->is_launched = true;
        break;
    case VMX_FAIL_INVALID:
        return VMX_STATUS_FAIL_INVALID;
    case VMX_FAIL_VALID:
        return fail(root, (enum vmx_instruction_error)out->instruction_error);
    case VMX_ENTRY_FAILED:
        vmx_exit_record(&root->cpu.vmcs, &(struct vmx_exit){.reason = out->exit_reason,
                                                            .qualification = out->qualification});
        return VMX_STATUS_ENTRY_FAILED;
    }
    return VMX_STATUS_ENTERED;
}

enum vmx_status vmx_root_vmlaunch(struct vmx_root *root, const struct vmx_memory *memory,
                                  struct vmx_entry_outcome *out)
{
    return enter(root, memory, false, out);
}

enum vmx_status vmx_root_vmresume(struct vmx_root *root, const struct vmx_memory *memory,
                                  struct vmx_entry_outcome *out)
{
    return enter(root, memory, true, out);
}

enum {
    INVEPT_CONTEXT = 1,
    INVEPT_ALL = 2,
};

// SDM Vol. 3C, "INVEPT": the pointer is checked as VM entry checks it.
static bool is_eptp(const struct vmx_root *root, uint64_t eptp)
{
    struct vmx_cpu cpu = root->cpu;
    struct entry entry = {.cpu = &cpu, .profile = cpu.profile, .field = cpu.vmcs.field};
    cpu.vmcs.field[VMCS_EPT_POINTER] = eptp;
    entry.secondary = VMX_SECONDARY_EPT;
    return entry_eptp_memory_type(&entry) && entry_eptp_walk_length(&entry) &&
           entry_eptp_accessed_dirty(&entry) && entry_eptp_reserved(&entry);
}

static enum vmx_status invalidates(const struct vmx_root *root, enum vmx_feature feature)
{
    return vmx_profile_has(root->cpu.profile, feature) ? precondition(root) : VMX_STATUS_UD;
}

enum vmx_status vmx_root_invept(struct vmx_root *root, uint64_t type, const uint64_t descriptor[2])
{
    enum vmx_status status = invalidates(root, VMX_FEATURE_EN_EPT);
    if (status != VMX_STATUS_SUCCEED) {
        return status;
    }
    bool valid = type == INVEPT_ALL || (type == INVEPT_CONTEXT && is_eptp(root, descriptor[0]));
    return valid ? VMX_STATUS_SUCCEED : fail(root, VMX_ERROR_INVALIDATION_OPERAND);
}

enum {
    INVVPID_ADDRESS = 0,
    INVVPID_CONTEXT = 1,
    INVVPID_ALL = 2,
    INVVPID_CONTEXT_BUT_GLOBALS = 3,
};

enum vmx_status vmx_root_invvpid(struct vmx_root *root, uint64_t type, const uint64_t descriptor[2])
{
    enum vmx_status status = invalidates(root, VMX_FEATURE_EN_VPID);
    if (status != VMX_STATUS_SUCCEED) {
        return status;
    }
    struct entry entry = entry_of(root);
    bool has_vpid = descriptor[0] != 0;
    bool valid = false;
    switch (type) {
    case INVVPID_ADDRESS:
        valid = has_vpid && entry_is_canonical(&entry, descriptor[1]);
        break;
    case INVVPID_CONTEXT:
    case INVVPID_CONTEXT_BUT_GLOBALS:
        valid = has_vpid;
        break;
    case INVVPID_ALL:
        valid = true;
        break;
    default:
        break;
    }
    if (!valid || descriptor[0] > 0xFFFF) {
        return fail(root, VMX_ERROR_INVALIDATION_OPERAND);
    }
    return VMX_STATUS_SUCCEED;
}
