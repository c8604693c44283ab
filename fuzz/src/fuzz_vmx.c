// A virtual CPU: any sequence of accesses to MSRs and VMCS fields, VM entries and exits, CPUID, and
// VMX instructions, on any profile.
//
//  0         1                    3
// | profile | features to change | features, 2 each | overrides | ... | op | number | value | ...
//
// The count of features is modulo 4, as that of the overrides (an index or a row's number, effects
// and value: 2, 1 and 8 bytes). An operation is 1, 2 and 8 bytes: bits 3:0 of op which, bits 7:4 a
// modifier.

#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "protocol/bytes.h"
#include "vmx_model/controls.h"
#include "vmx_model/entry.h"
#include "vmx_world.h"

enum {
    MAX_OPERATIONS = 64, // in one case
    MODIFIER_OTHER = 1,  // the guest, CR4, a high access, ...
    MODIFIER_RAW = 2,    // number is an index or encoding, not that of a row
    MODIFIER_UPPER = 4,  // of an index: from 0xC0000000
    MODIFIER_TOGGLE = 8, // value is the number of a bit to be changed
    PAGE_SIZE = 4096,
};

enum operation {
    OP_MSR_WRITE,
    OP_MSR_READ,
    OP_VMCS_WRITE,
    OP_VMCS_READ,
    OP_ENTRY,
    OP_EXIT,
    OP_CPUID,
    OP_GUEST_CR,
    OP_XCR0,
    OP_PLACE,
    OP_MEMORY,
    OP_ROOT_STATE,
    OP_ROOT_READY,
    OP_ROOT_VMCS, // the current VMCS becomes that of the other processor
    OP_ROOT_POINTER,
    OP_ROOT_VALUE,
};

struct step {
    enum operation operation;
    unsigned modifier;
    uint16_t number;
    uint64_t value;
};

static bool read_memory(void *context, uint64_t physical, void *buffer, size_t len)
{
    const struct vmx_world *world = context;
    if (physical > VMX_WORLD_MEMORY - len) {
        return false;
    }
    memcpy(buffer, world->memory + physical, len);
    return true;
}

static bool write_memory(void *context, uint64_t physical, const void *buffer, size_t len)
{
    struct vmx_world *world = context;
    if (physical > VMX_WORLD_MEMORY - len) {
        return false;
    }
    memcpy(world->memory + physical, buffer, len);
    return true;
}

struct vmx_memory vmx_world_memory(struct vmx_world *world)
{
    return (struct vmx_memory){{.read = read_memory, .context = world}, write_memory};
}

static uint32_t msr_of(const struct step *step)
{
    if ((step->modifier & MODIFIER_RAW) != 0) {
        return step->number | ((step->modifier & MODIFIER_UPPER) != 0 ? 0xC0000000 : 0);
    }
    return msr_slot_index((enum msr_slot)(step->number % MSR_NUM_SLOTS));
}

static uint32_t encoding_of(const struct step *step)
{
    if ((step->modifier & MODIFIER_RAW) != 0) {
        return step->number | ((step->modifier & MODIFIER_UPPER) != 0 ? 0x80000000 : 0);
    }
    uint32_t high = (step->modifier & MODIFIER_OTHER) != 0 ? VMCS_ENCODING_HIGH : 0;
    return vmcs_slot_encoding((enum vmcs_slot)(step->number % VMCS_NUM_FIELDS)) | high;
}

static uint64_t value_of(const struct step *step, uint64_t old)
{
    bool toggles = (step->modifier & MODIFIER_TOGGLE) != 0;
    return toggles ? old ^ UINT64_C(1) << step->value % 64 : step->value;
}

static void write_msr(struct vmx_world *world, const struct step *step)
{
    enum msr_agent agent = (step->modifier & MODIFIER_OTHER) != 0 ? MSR_GUEST : MSR_DEBUGGER;
    uint32_t index = msr_of(step);
    uint64_t old = 0;
    (void)msr_read(&world->cpu, agent, index, &old);
    vmx_check_msr_write(&world->cpu, agent, index, value_of(step, old));
}

static void write_field(struct vmx_world *world, const struct step *step)
{
    uint32_t encoding = encoding_of(step);
    uint64_t old = 0;
    (void)vmcs_read(&world->cpu.vmcs, encoding, &old);
    vmx_check_vmcs_write(&world->cpu.vmcs, encoding, value_of(step, old));
}

static void record_exit(struct vmx_world *world, const struct step *step)
{
    uint64_t value = step->value;
    struct vmx_exit exit = {
        .reason = step->number,
        .qualification = value,
        .guest_linear = value >> 8,
        .guest_physical = value >> 16,
        .instruction_length = value & 0xF,
        .event = vmx_event_of((uint32_t)value, (uint32_t)(value >> 32)),
        .vectoring = vmx_event_of((uint32_t)(value >> 32), (uint32_t)value),
    };
    exit.reason |= (step->modifier & MODIFIER_OTHER) != 0 ? VMX_EXIT_ENTRY_FAILURE : 0;
    vmx_check_exit(&world->cpu.vmcs, &exit);
}

static void set_xcr0(struct vmx_world *world, const struct step *step)
{
    uint64_t xcr0 = value_of(step, world->cpu.xcr0);
    if (vmx_profile_allows_xcr0(&world->profile, xcr0)) {
        FUZZ_REQUIRE((xcr0 & ~vmx_profile_xcr0_mask(&world->profile)) == 0 && (xcr0 & 1) != 0);
        world->cpu.xcr0 = xcr0;
    }
}

static void set_memory(struct vmx_world *world, const struct step *step)
{
    size_t offset = (size_t)step->number * 8 % VMX_WORLD_MEMORY;
    uint64_t value = step->value;
    if ((step->modifier & MODIFIER_OTHER) != 0) { // a region that VMPTRLD takes
        offset = step->number % (VMX_WORLD_MEMORY / PAGE_SIZE) * (size_t)PAGE_SIZE;
        value = world->profile.vmcs_revision;
    }
    store_le(world->memory + offset, 8, value);
}

// Bits of value: the state that VMX instructions ask for.
static void set_root_state(struct vmx_world *world, const struct step *step)
{
    struct vmx_root *root = &world->root;
    root->cpl = step->value & 3;
    root->cs_l = (step->value & 4) == 0;
    root->a20_masked = (step->value & 8) != 0;
    root->blocks_mov_ss = (step->value & 0x10) != 0;
    root->rflags = (step->value & 0x20) != 0 ? MMU_RFLAGS_VM | 2 : 2;
    root->efer = (step->value & 0x40) != 0 ? 0 : MMU_EFER_LMA | MMU_EFER_LME;
    root->feature_control = step->value >> 8 & 7;
    root->rflags |= step->number & 0x8D5;
}

// VMXON done, and page 1 the current VMCS.
static void make_root_ready(struct vmx_world *world)
{
    struct vmx_root *root = &world->root;
    uint64_t cr4 = MMU_CR4_PAE | 0x2000;
    set_root_state(world, &(struct step){.value = 0x500});
    vmx_check_instruction(world, VMX_OPERATION_SET_CR0, 0x80000031, 0);
    vmx_check_instruction(world, VMX_OPERATION_SET_CR4, cr4, 0);
    store_le(world->memory, 4, world->profile.vmcs_revision);
    store_le(world->memory + PAGE_SIZE, 4, world->profile.vmcs_revision);
    vmx_check_instruction(world, VMX_OPERATION_VMXON, 0, 0);
    vmx_check_instruction(world, VMX_OPERATION_VMCLEAR, PAGE_SIZE, 0);
    vmx_check_instruction(world, VMX_OPERATION_VMPTRLD, PAGE_SIZE, 0);
    if (root->in_vmx && root->current_vmcs == PAGE_SIZE) {
        root->cpu = world->cpu;
    }
}

// An instruction with a page of memory, any pointer, or the number of a bit for CR0 and CR4.
static void execute(struct vmx_world *world, const struct step *step)
{
    enum vmx_operation operation = (enum vmx_operation)(step->number % VMX_NUM_OPERATIONS);
    uint64_t first = step->value;
    if (step->operation == OP_ROOT_POINTER) {
        first = step->value % (VMX_WORLD_MEMORY / PAGE_SIZE) * PAGE_SIZE;
    }
    if (operation == VMX_OPERATION_SET_CR0) {
        first = value_of(step, world->root.cr0);
    }
    if (operation == VMX_OPERATION_SET_CR4) {
        first = value_of(step, world->root.cr4);
    }
    if (operation == VMX_OPERATION_VMREAD || operation == VMX_OPERATION_VMWRITE) {
        struct step field = *step;
        field.number = (uint16_t)step->value;
        first = encoding_of(&field);
    }
    vmx_check_instruction(world, operation, first, step->value >> 16);
}

static void run_root(struct vmx_world *world, const struct step *step)
{
    if (world->root.cpu.profile == NULL) { // none was executed yet
        vmx_root_init(&world->root, &world->profile);
    }
    switch ((unsigned)step->operation) {
    case OP_ROOT_STATE:
        set_root_state(world, step);
        break;
    case OP_ROOT_READY:
        make_root_ready(world);
        break;
    case OP_ROOT_VMCS:
        world->root.cpu.vmcs = world->cpu.vmcs;
        break;
    default:
        execute(world, step);
        break;
    }
}

static void run(struct vmx_world *world, const struct step *step)
{
    bool other = (step->modifier & MODIFIER_OTHER) != 0;
    uint32_t extended = (step->modifier & MODIFIER_UPPER) != 0 ? 0x80000000 : 0;
    switch ((unsigned)step->operation) {
    case OP_MSR_WRITE:
        write_msr(world, step);
        break;
    case OP_MSR_READ:
        vmx_check_msr_read(&world->cpu, msr_of(step));
        break;
    case OP_VMCS_WRITE:
        write_field(world, step);
        break;
    case OP_VMCS_READ:
        vmx_check_vmcs_read(&world->cpu.vmcs, encoding_of(step));
        break;
    case OP_ENTRY:
        vmx_check_entry(world);
        break;
    case OP_EXIT:
        record_exit(world, step);
        break;
    case OP_CPUID:
        vmx_check_cpuid(&world->cpu, step->number | extended, (uint32_t)step->value);
        break;
    case OP_GUEST_CR:
        vmx_check_guest_cr(&world->cpu.vmcs, value_of(step, 0), other);
        break;
    case OP_XCR0:
        set_xcr0(world, step);
        break;
    case OP_PLACE:
        vmx_cpu_place(&world->cpu, step->number % 64, 64);
        break;
    case OP_MEMORY:
        set_memory(world, step);
        break;
    default:
        run_root(world, step);
        break;
    }
}

static size_t num_profiles(void)
{
    size_t num = 0;
    while (vmx_profile_at(num)) {
        num++;
    }
    FUZZ_REQUIRE(num != 0);
    return num;
}

static void read_profile(struct vmx_world *world, struct byte_reader *input)
{
    world->profile = *vmx_profile_at(read_number(input, 1) % num_profiles());
    for (uint64_t num = read_number(input, 1) % 4; num != 0; num--) {
        uint64_t feature = read_number(input, 2) % VMX_NUM_FEATURES;
        world->profile.feature[feature] = !world->profile.feature[feature];
    }
}

// In ascending order, as the contract has it; what is not is left out.
static void read_overrides(struct vmx_world *world, struct byte_reader *input)
{
    uint32_t num = 0;
    for (uint64_t left = read_number(input, 1) % 4; left != 0; left--) {
        uint32_t slot = (uint32_t)read_number(input, 2) % MSR_NUM_SLOTS;
        struct msr_override override = {
            .index = msr_slot_index((enum msr_slot)slot),
            .effects = (uint32_t)read_number(input, 1) % 8,
            .value = read_number(input, 8),
        };
        if (num == 0 || world->overrides[num - 1].index < override.index) {
            world->overrides[num++] = override;
        }
    }
    vmx_cpu_override(&world->cpu, world->overrides, num);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct byte_reader input = {.at = bytes, .end = bytes + len, .ok = true};
    struct vmx_world *world = calloc(1, sizeof(*world));
    FUZZ_REQUIRE(world);
    read_profile(world, &input);
    vmx_cpu_reset(&world->cpu, &world->profile);
    vmx_check_widths(&world->cpu.vmcs);
    read_overrides(world, &input);
    for (unsigned i = 0; i < MAX_OPERATIONS && input.at != input.end; i++) {
        uint64_t op = read_number(&input, 1);
        struct step step = {(enum operation)(op & 0xF), op >> 4 & 0xF, 0, 0};
        step.number = (uint16_t)read_number(&input, 2);
        step.value = read_number(&input, 8);
        if (!input.ok) {
            break;
        }
        run(world, &step);
    }
    free(world);
    return 0;
}
