#include <string.h>

#include "harness.h"
#include "vmx_world.h"

#define RFLAGS_STATUS UINT64_C(0x8D5)

static bool is_failure(enum vmx_status status)
{
    return status == VMX_STATUS_FAIL_INVALID || status == VMX_STATUS_FAIL_VALID;
}

static bool same_operation(const struct vmx_root *a, const struct vmx_root *b)
{
    return a->cr0 == b->cr0 && a->cr4 == b->cr4 && a->efer == b->efer && a->rflags == b->rflags &&
           a->feature_control == b->feature_control && a->cpl == b->cpl && a->cs_l == b->cs_l &&
           a->a20_masked == b->a20_masked && a->blocks_mov_ss == b->blocks_mov_ss &&
           a->in_vmx == b->in_vmx && a->vmxon_pointer == b->vmxon_pointer &&
           a->current_vmcs == b->current_vmcs && a->is_shadow == b->is_shadow &&
           a->is_launched == b->is_launched;
}

// A fault changes nothing, and neither does VMfailInvalid; VMfailValid stores an error number that
// exists, in the current VMCS, and nothing else.
static void check_refusal(struct vmx_root *before, const struct vmx_root *after,
                          enum vmx_status status)
{
    if (status == VMX_STATUS_FAIL_VALID) {
        uint64_t error = after->cpu.vmcs.field[VMCS_VM_INSTRUCTION_ERROR];
        FUZZ_REQUIRE(after->current_vmcs != VMX_NO_VMCS);
        FUZZ_REQUIRE(vmx_instruction_error_text((uint32_t)error));
        before->cpu.vmcs.field[VMCS_VM_INSTRUCTION_ERROR] = error;
    }
    FUZZ_REQUIRE(status != VMX_STATUS_FAIL_INVALID || after->current_vmcs == VMX_NO_VMCS ||
                 after->is_shadow);
    FUZZ_REQUIRE(vmx_cpu_equal(&before->cpu, &after->cpu));
    FUZZ_REQUIRE(same_operation(before, after));
}

static void check_flags(enum vmx_status status, uint64_t rflags)
{
    uint64_t flags = vmx_status_rflags(status, rflags);
    FUZZ_REQUIRE(((flags ^ rflags) & ~RFLAGS_STATUS) == 0);
    if (status == VMX_STATUS_SUCCEED || is_failure(status)) {
        uint64_t set = flags & RFLAGS_STATUS;
        FUZZ_REQUIRE((set == 0) == (status == VMX_STATUS_SUCCEED));
        FUZZ_REQUIRE((set & (set - 1)) == 0);
    } else {
        FUZZ_REQUIRE(flags == rflags);
    }
}

static enum vmx_status enter(struct vmx_root *root, const struct vmx_memory *memory, bool resumes)
{
    struct vmx_entry_outcome outcome;
    bool was_launched = root->is_launched;
    enum vmx_status status = resumes ? vmx_root_vmresume(root, memory, &outcome)
                                     : vmx_root_vmlaunch(root, memory, &outcome);
    if (status == VMX_STATUS_UD || status == VMX_STATUS_GP) {
        return status;
    }
    vmx_check_outcome(&outcome);
    FUZZ_REQUIRE((status == VMX_STATUS_ENTERED) == (outcome.result == VMX_ENTERED));
    FUZZ_REQUIRE((status == VMX_STATUS_ENTRY_FAILED) == (outcome.result == VMX_ENTRY_FAILED));
    if (status == VMX_STATUS_ENTERED || status == VMX_STATUS_ENTRY_FAILED) {
        FUZZ_REQUIRE(was_launched == resumes);
        FUZZ_REQUIRE(root->is_launched == (resumes || status == VMX_STATUS_ENTERED));
    }
    if (status == VMX_STATUS_ENTRY_FAILED) {
        FUZZ_REQUIRE(root->cpu.vmcs.field[VMCS_EXIT_REASON] == outcome.exit_reason);
        FUZZ_REQUIRE(root->cpu.vmcs.field[VMCS_EXIT_QUALIFICATION] == outcome.qualification);
    }
    return status;
}

// The VMCS that was current before is in its region, with its launch state.
static void check_left(const struct vmx_root *before, const struct vmx_root *after,
                       const struct vmx_memory *memory)
{
    uint64_t left = before->current_vmcs;
    struct vmx_root back = *after;
    if (left < VMX_WORLD_MEMORY && vmx_root_vmptrld(&back, memory, left) == VMX_STATUS_SUCCEED) {
        const struct vmcs *data = &before->cpu.vmcs;
        FUZZ_REQUIRE(back.is_launched == before->is_launched);
        FUZZ_REQUIRE(memcmp(back.cpu.vmcs.field, data->field, sizeof(data->field)) == 0);
    }
}

static enum vmx_status vmptrld(struct vmx_root *root, const struct vmx_memory *memory,
                               uint64_t pointer)
{
    uint64_t stored = 0;
    struct vmx_root before = *root;
    enum vmx_status status = vmx_root_vmptrld(root, memory, pointer);
    if (status == VMX_STATUS_SUCCEED) {
        FUZZ_REQUIRE(vmx_root_vmptrst(root, &stored) == VMX_STATUS_SUCCEED);
        FUZZ_REQUIRE(stored == pointer && pointer % 4096 == 0);
        FUZZ_REQUIRE(pointer != root->vmxon_pointer);
        vmx_check_widths(&root->cpu.vmcs);
        check_left(&before, root, memory);
    }
    return status;
}

// The data of a region survive a VMCLEAR; its launch state does not, and it is not current.
static enum vmx_status vmclear(struct vmx_root *root, const struct vmx_memory *memory,
                               uint64_t pointer)
{
    struct vmcs data = root->cpu.vmcs;
    bool was_current = root->current_vmcs == pointer;
    enum vmx_status status = vmx_root_vmclear(root, memory, pointer);
    if (status != VMX_STATUS_SUCCEED) {
        return status;
    }
    FUZZ_REQUIRE(root->current_vmcs != pointer);
    struct vmx_root loaded = *root;
    if (vmx_root_vmptrld(&loaded, memory, pointer) == VMX_STATUS_SUCCEED &&
        pointer < VMX_WORLD_MEMORY) {
        FUZZ_REQUIRE(!loaded.is_launched);
        FUZZ_REQUIRE(!was_current ||
                     memcmp(loaded.cpu.vmcs.field, data.field, sizeof(data.field)) == 0);
    }
    return status;
}

static enum vmx_status vmwrite(struct vmx_root *root, uint64_t encoding, uint64_t value)
{
    uint64_t got = 0;
    enum vmx_status status = vmx_root_vmwrite(root, encoding, value);
    if (status == VMX_STATUS_SUCCEED) {
        FUZZ_REQUIRE(vmx_root_vmread(root, encoding, &got) == VMX_STATUS_SUCCEED);
        FUZZ_REQUIRE((got & ~value) == 0 && (value & UINT16_MAX & ~got) == 0);
        vmx_check_widths(&root->cpu.vmcs);
    }
    return status;
}

static enum vmx_status switch_vmx(struct vmx_root *root, const struct vmx_memory *memory,
                                  enum vmx_operation operation, uint64_t pointer)
{
    bool was_in = root->in_vmx;
    if (operation == VMX_OPERATION_VMXON) {
        enum vmx_status status = vmx_root_vmxon(root, memory, pointer);
        FUZZ_REQUIRE(status != VMX_STATUS_SUCCEED || (!was_in && root->in_vmx));
        FUZZ_REQUIRE(status != VMX_STATUS_SUCCEED || root->vmxon_pointer == pointer);
        return status;
    }
    enum vmx_status status = vmx_root_vmxoff(root, memory);
    FUZZ_REQUIRE(status != VMX_STATUS_SUCCEED || (was_in && !root->in_vmx));
    return status;
}

static enum vmx_status execute_other(struct vmx_world *world, enum vmx_operation operation,
                                     uint64_t first, uint64_t second)
{
    struct vmx_root *root = &world->root;
    uint64_t descriptor[2] = {second, first};
    uint64_t out = 0;
    switch ((unsigned)operation) {
    case VMX_OPERATION_VMPTRST:
        return vmx_root_vmptrst(root, &out);
    case VMX_OPERATION_VMCALL:
        return vmx_root_vmcall(root);
    case VMX_OPERATION_VMREAD:
        return vmx_root_vmread(root, first, &out);
    case VMX_OPERATION_VMWRITE:
        return vmwrite(root, first, second);
    case VMX_OPERATION_INVEPT:
        return vmx_root_invept(root, first % 4, descriptor);
    case VMX_OPERATION_INVVPID:
        return vmx_root_invvpid(root, first % 5, descriptor);
    case VMX_OPERATION_SET_CR0:
        return vmx_root_set_cr0(root, first);
    default:
        return vmx_root_set_cr4(root, first);
    }
}

static enum vmx_status execute(struct vmx_world *world, enum vmx_operation operation,
                               uint64_t first, uint64_t second)
{
    struct vmx_memory memory = vmx_world_memory(world);
    struct vmx_root *root = &world->root;
    switch ((unsigned)operation) {
    case VMX_OPERATION_VMXON:
    case VMX_OPERATION_VMXOFF:
        return switch_vmx(root, &memory, operation, first);
    case VMX_OPERATION_VMCLEAR:
        return vmclear(root, &memory, first);
    case VMX_OPERATION_VMPTRLD:
        return vmptrld(root, &memory, first);
    case VMX_OPERATION_VMLAUNCH:
    case VMX_OPERATION_VMRESUME:
        return enter(root, &memory, operation == VMX_OPERATION_VMRESUME);
    default:
        return execute_other(world, operation, first, second);
    }
}

void vmx_check_instruction(struct vmx_world *world, enum vmx_operation operation, uint64_t first,
                           uint64_t second)
{
    struct vmx_root before = world->root;
    enum vmx_status status = execute(world, operation, first, second);
    check_flags(status, world->root.rflags);
    if (status == VMX_STATUS_UD || status == VMX_STATUS_GP || is_failure(status)) {
        check_refusal(&before, &world->root, status);
    }
    // But for VMXON and the moves to CR0 and CR4, all of them need VMX operation.
    bool is_free = operation == VMX_OPERATION_VMXON || operation >= VMX_OPERATION_SET_CR0;
    FUZZ_REQUIRE(is_free || before.in_vmx || status == VMX_STATUS_UD);
    FUZZ_REQUIRE(world->root.in_vmx || world->root.current_vmcs == VMX_NO_VMCS);
}
