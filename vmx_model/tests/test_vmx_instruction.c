#include "vmx_model/vmx_instruction.h"

#include "recorded.h"
#include "vmx_model/controls.h"
#include "vmx_model/vmx_exit.h"

enum {
    MEMORY_BASE = 0x1020000,
    MEMORY_SIZE = 0x71000,
    VMXON_REGION = 0x1020000,
    REGION = 0x1021000,
    OTHER_REGION = 0x1022000,
    WRONG_REGION = 0x1061000,
    SHADOW_REGION = 0x1062000,
    REVISION = 0x4, // tigerlake's
};

struct memory {
    uint8_t byte[MEMORY_SIZE];
};

static bool read_memory(void *context, uint64_t physical, void *buffer, size_t len)
{
    const struct memory *memory = context;
    if (physical < MEMORY_BASE || physical - MEMORY_BASE > MEMORY_SIZE - len) {
        return false;
    }
    memcpy(buffer, memory->byte + (physical - MEMORY_BASE), len);
    return true;
}

static bool write_memory(void *context, uint64_t physical, const void *buffer, size_t len)
{
    struct memory *memory = context;
    if (physical < MEMORY_BASE || physical - MEMORY_BASE > MEMORY_SIZE - len) {
        return false;
    }
    memcpy(memory->byte + (physical - MEMORY_BASE), buffer, len);
    return true;
}

static void poke(struct memory *memory, uint64_t physical, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        memory->byte[physical - MEMORY_BASE + i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t peek(const struct memory *memory, uint64_t physical, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)memory->byte[physical - MEMORY_BASE + i] << (8 * i);
    }
    return value;
}

// A processor and its memory, with regions of the right and of wrong revisions.
struct bench {
    struct vmx_profile profile;
    struct vmx_root root;
    struct memory memory;
    struct vmx_memory bus;
    const char *sequence;
    unsigned num_steps;
};

static void bench_init(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    bench->profile = *vmx_profile_find("tigerlake");
    bench->profile.max_phys_bits = 40; // of the emulator
    vmx_root_init(&bench->root, &bench->profile);
    bench->bus = (struct vmx_memory){
        .reader = {.read = read_memory, .context = &bench->memory},
        .write = write_memory,
    };
    poke(&bench->memory, VMXON_REGION, REVISION, 4);
    poke(&bench->memory, REGION, REVISION, 4);
    poke(&bench->memory, OTHER_REGION, REVISION, 4);
    poke(&bench->memory, WRONG_REGION, REVISION + 1, 4);
    poke(&bench->memory, SHADOW_REGION, REVISION | 0x80000000, 4);
}

static enum vmx_status set_control_register(struct vmx_root *root, uint64_t number, uint64_t value)
{
    return number == 0 ? vmx_root_set_cr0(root, value) : vmx_root_set_cr4(root, value);
}

static enum vmx_status invalidate(struct bench *bench, const char *op, uint64_t type,
                                  uint64_t address)
{
    uint64_t descriptor[2] = {
        peek(&bench->memory, address, 8),
        peek(&bench->memory, address + 8, 8),
    };
    return strcmp(op, "invept") == 0 ? vmx_root_invept(&bench->root, type, descriptor)
                                     : vmx_root_invvpid(&bench->root, type, descriptor);
}

static enum vmx_status enter(struct bench *bench, const char *op)
{
    struct vmx_entry_outcome outcome;
    bench->root.blocks_mov_ss = strstr(op, "ss") == op + strlen(op) - 2;
    enum vmx_status status = strncmp(op, "launch", 6) == 0
                                 ? vmx_root_vmlaunch(&bench->root, &bench->bus, &outcome)
                                 : vmx_root_vmresume(&bench->root, &bench->bus, &outcome);
    bench->root.blocks_mov_ss = false;
    return status;
}

static enum vmx_status execute_region(struct bench *bench, const char *op, uint64_t pointer)
{
    struct vmx_root *root = &bench->root;
    if (strcmp(op, "vmxon") == 0) {
        return vmx_root_vmxon(root, &bench->bus, pointer);
    }
    if (strcmp(op, "vmclear") == 0) {
        return vmx_root_vmclear(root, &bench->bus, pointer);
    }
    if (strcmp(op, "vmptrld") == 0) {
        return vmx_root_vmptrld(root, &bench->bus, pointer);
    }
    assert_string_equal("vmxoff", op);
    return vmx_root_vmxoff(root, &bench->bus);
}

static enum vmx_status execute(struct bench *bench, const char *op, const uint64_t arg[2],
                               uint64_t *out)
{
    struct vmx_root *root = &bench->root;
    if (strcmp(op, "wrmsr") == 0) {
        root->feature_control = arg[1];
        return VMX_STATUS_SUCCEED;
    }
    if (strcmp(op, "poke") == 0) {
        poke(&bench->memory, arg[0], arg[1], 8);
        return VMX_STATUS_SUCCEED;
    }
    if (strcmp(op, "setcr") == 0) {
        return set_control_register(root, arg[0], arg[1]);
    }
    if (strncmp(op, "inv", 3) == 0) {
        return invalidate(bench, op, arg[0], arg[1]);
    }
    if (strncmp(op, "launch", 6) == 0 || strncmp(op, "resume", 6) == 0) {
        return enter(bench, op);
    }
    if (strcmp(op, "vmread") == 0) {
        return vmx_root_vmread(root, arg[0], out);
    }
    if (strcmp(op, "vmwrite") == 0) {
        return vmx_root_vmwrite(root, arg[0], arg[1]);
    }
    if (strcmp(op, "vmptrst") == 0) {
        return vmx_root_vmptrst(root, out);
    }
    if (strcmp(op, "vmcall") == 0) {
        return vmx_root_vmcall(root);
    }
    return execute_region(bench, op, arg[0]);
}

static void write_status(const struct bench *bench, enum vmx_status status, uint64_t value,
                         char out[32])
{
    static const char *const text[] = {
        [VMX_STATUS_SUCCEED] = "ok",
        [VMX_STATUS_FAIL_INVALID] = "invalid",
        [VMX_STATUS_FAIL_VALID] = "valid",
        [VMX_STATUS_UD] = "ud",
        [VMX_STATUS_GP] = "gp",
        [VMX_STATUS_ENTERED] = "entered",
        [VMX_STATUS_ENTRY_FAILED] = "failed",
    };
    if (status == VMX_STATUS_FAIL_VALID) {
        uint64_t error = bench->root.cpu.vmcs.field[VMCS_VM_INSTRUCTION_ERROR];
        (void)snprintf(out, 32, "valid:%u", (unsigned)error);
    } else if (value != 0x5A5A5A5A) {
        (void)snprintf(out, 32, "ok:%llX", (unsigned long long)value);
    } else {
        (void)snprintf(out, 32, "%s", text[status]);
    }
}

static void replay_line(void *context, char *line)
{
    struct bench *bench = context;
    static char name[64];
    char got[32];
    uint64_t value = 0x5A5A5A5A;
    if (line[0] == 'S') {
        unsigned num_steps = bench->num_steps;
        bench_init(bench);
        (void)snprintf(name, sizeof(name), "%.60s", line + 2);
        bench->sequence = name;
        bench->num_steps = num_steps;
        return;
    }
    char *cursor = line + 2;
    const char *op = next_item(&cursor, " \n");
    uint64_t arg[2];
    arg[0] = next_hex(&cursor);
    arg[1] = next_hex(&cursor);
    const char *want = next_expected(&cursor);
    enum vmx_status status = execute(bench, op, arg, &value);
    write_status(bench, status, value, got);
    if (strcmp(want, got) != 0) {
        print_error("%s%s %llX: want %s, got %s\n", bench->sequence, op, (unsigned long long)arg[0],
                    want, got);
    }
    assert_string_equal(want, got);
    bench->num_steps++;
}

static void recorded_sequences_go_as_recorded(void **state)
{
    (void)state;
    static struct bench bench;
    read_recorded(VMX_MODEL_TEST_DATA "/vmxinst.txt", replay_line, &bench);
    assert_int_equal(469, bench.num_steps);
}

// In VMX operation with a current VMCS.
static struct bench *root_bench(void)
{
    static struct bench bench;
    bench_init(&bench);
    bench.root.feature_control = 5;
    assert_int_equal(VMX_STATUS_SUCCEED, vmx_root_set_cr4(&bench.root, 0x2020));
    assert_int_equal(VMX_STATUS_SUCCEED, vmx_root_vmxon(&bench.root, &bench.bus, VMXON_REGION));
    assert_int_equal(VMX_STATUS_SUCCEED, vmx_root_vmclear(&bench.root, &bench.bus, REGION));
    assert_int_equal(VMX_STATUS_SUCCEED, vmx_root_vmptrld(&bench.root, &bench.bus, REGION));
    return &bench;
}

static void assert_error(const struct bench *bench, uint32_t error, enum vmx_status status)
{
    assert_int_equal(VMX_STATUS_FAIL_VALID, status);
    assert_int_equal(error, bench->root.cpu.vmcs.field[VMCS_VM_INSTRUCTION_ERROR]);
}

// What software that has read the manual puts into a VMCS: the data after RESET.
static void fill(struct bench *bench)
{
    struct vmx_cpu cpu;
    vmx_cpu_reset(&cpu, &bench->profile);
    for (unsigned slot = 0; slot < VMCS_NUM_FIELDS; slot++) {
        uint32_t encoding = vmcs_slot_encoding((enum vmcs_slot)slot);
        if (vmcs_encoding_group(encoding) != VMCS_GROUP_READ_ONLY &&
            vmcs_slot_exists(&bench->profile, (enum vmcs_slot)slot)) {
            assert_int_equal(VMX_STATUS_SUCCEED,
                             vmx_root_vmwrite(&bench->root, encoding, cpu.vmcs.field[slot]));
        }
    }
}

static void data_survive_in_their_region(void **state)
{
    (void)state;
    struct bench *bench = root_bench();
    uint64_t value = 0;
    vmx_root_vmwrite(&bench->root, VMCS_ENCODING_GUEST_RIP, 0x1234);
    assert_int_equal(VMX_STATUS_SUCCEED, vmx_root_vmptrld(&bench->root, &bench->bus, OTHER_REGION));
    vmx_root_vmread(&bench->root, VMCS_ENCODING_GUEST_RIP, &value);
    assert_int_equal(0, value);
    vmx_root_vmptrld(&bench->root, &bench->bus, REGION);
    vmx_root_vmread(&bench->root, VMCS_ENCODING_GUEST_RIP, &value);
    assert_int_equal(0x1234, value);
    assert_int_equal(VMX_STATUS_SUCCEED, vmx_root_vmxoff(&bench->root, &bench->bus));
    assert_int_equal(0x1234, peek(&bench->memory, REGION + 16 + 8 * VMCS_GUEST_RIP, 8));
}

static void data_have_the_width_of_their_field(void **state)
{
    (void)state;
    struct bench *bench = root_bench();
    uint64_t value = 0;
    poke(&bench->memory, OTHER_REGION + 16 + 8 * VMCS_GUEST_CS_SELECTOR, UINT64_MAX, 8);
    vmx_root_vmptrld(&bench->root, &bench->bus, OTHER_REGION);
    vmx_root_vmread(&bench->root, VMCS_ENCODING_GUEST_CS_SELECTOR, &value);
    assert_int_equal(0xFFFF, value);
}

static void launch_state_follows_vmlaunch_and_vmclear(void **state)
{
    (void)state;
    struct bench *bench = root_bench();
    struct vmx_entry_outcome outcome;
    fill(bench);
    assert_error(bench, 5, vmx_root_vmresume(&bench->root, &bench->bus, &outcome));
    assert_int_equal(VMX_ENTRY_RULE_LAUNCH_STATE_LAUNCHED, outcome.rule);
    assert_int_equal(VMX_STATUS_ENTERED, vmx_root_vmlaunch(&bench->root, &bench->bus, &outcome));
    assert_error(bench, 4, vmx_root_vmlaunch(&bench->root, &bench->bus, &outcome));
    assert_int_equal(VMX_ENTRY_RULE_LAUNCH_STATE_CLEAR, outcome.rule);
    assert_int_equal(VMX_STATUS_ENTERED, vmx_root_vmresume(&bench->root, &bench->bus, &outcome));

    // The state is the region's: it comes back with VMPTRLD.
    vmx_root_vmptrld(&bench->root, &bench->bus, OTHER_REGION);
    vmx_root_vmptrld(&bench->root, &bench->bus, REGION);
    assert_int_equal(VMX_STATUS_ENTERED, vmx_root_vmresume(&bench->root, &bench->bus, &outcome));

    // VMCLEAR of a region that is not current makes that one clear.
    vmx_root_vmptrld(&bench->root, &bench->bus, OTHER_REGION);
    vmx_root_vmclear(&bench->root, &bench->bus, REGION);
    vmx_root_vmptrld(&bench->root, &bench->bus, REGION);
    assert_int_equal(VMX_STATUS_ENTERED, vmx_root_vmlaunch(&bench->root, &bench->bus, &outcome));
}

static void blocking_by_mov_ss_comes_before_the_launch_state(void **state)
{
    (void)state;
    struct bench *bench = root_bench();
    struct vmx_entry_outcome outcome;
    fill(bench);
    bench->root.blocks_mov_ss = true;
    assert_error(bench, 26, vmx_root_vmresume(&bench->root, &bench->bus, &outcome));
    assert_int_equal(VMX_ENTRY_RULE_NO_MOV_SS, outcome.rule);
}

static void a_failed_entry_stores_its_reason_and_stays_clear(void **state)
{
    (void)state;
    struct bench *bench = root_bench();
    struct vmx_entry_outcome outcome;
    uint64_t value = 0;
    fill(bench);
    vmx_root_vmwrite(&bench->root, VMCS_ENCODING_VMCS_LINK_POINTER, WRONG_REGION);
    assert_int_equal(VMX_STATUS_ENTRY_FAILED,
                     vmx_root_vmlaunch(&bench->root, &bench->bus, &outcome));
    assert_int_equal(VMX_ENTRY_RULE_LINK_REVISION, outcome.rule);
    vmx_root_vmread(&bench->root, VMCS_ENCODING_EXIT_REASON, &value);
    assert_int_equal(0x80000021, value);
    vmx_root_vmread(&bench->root, VMCS_ENCODING_EXIT_QUALIFICATION, &value);
    assert_int_equal(4, value);
    assert_false(bench->root.is_launched);
}

static void the_link_pointer_must_not_be_the_current_vmcs(void **state)
{
    (void)state;
    struct bench *bench = root_bench();
    struct vmx_entry_outcome outcome;
    fill(bench);
    vmx_root_vmwrite(&bench->root, VMCS_ENCODING_VMCS_LINK_POINTER, REGION);
    vmx_root_vmlaunch(&bench->root, &bench->bus, &outcome);
    assert_int_equal(VMX_ENTRY_RULE_LINK_CURRENT, outcome.rule);
}

static void a_shadow_vmcs_is_read_but_not_entered(void **state)
{
    (void)state;
    struct bench *bench = root_bench();
    struct vmx_entry_outcome outcome;
    uint64_t value = 1;
    assert_int_equal(VMX_STATUS_SUCCEED,
                     vmx_root_vmptrld(&bench->root, &bench->bus, SHADOW_REGION));
    assert_int_equal(VMX_STATUS_SUCCEED,
                     vmx_root_vmread(&bench->root, VMCS_ENCODING_GUEST_RIP, &value));
    assert_int_equal(VMX_STATUS_FAIL_INVALID,
                     vmx_root_vmlaunch(&bench->root, &bench->bus, &outcome));
    assert_int_equal(VMX_ENTRY_RULE_CURRENT_VMCS, outcome.rule);
    bench->profile.feature[VMX_FEATURE_EN_VMCS_SHADOWING] = false;
    assert_error(bench, 11, vmx_root_vmptrld(&bench->root, &bench->bus, SHADOW_REGION));
}

static void without_a_current_vmcs_entry_fails_invalid(void **state)
{
    (void)state;
    struct bench *bench = root_bench();
    struct vmx_entry_outcome outcome;
    vmx_root_vmclear(&bench->root, &bench->bus, REGION);
    assert_int_equal(VMX_STATUS_FAIL_INVALID,
                     vmx_root_vmlaunch(&bench->root, &bench->bus, &outcome));
    assert_int_equal(VMX_FAIL_INVALID, outcome.result);
    assert_int_equal(VMX_ENTRY_RULE_CURRENT_VMCS, outcome.rule);
}

static void a_read_only_field_is_error_13(void **state)
{
    (void)state;
    struct bench *bench = root_bench();
    bench->profile.feature[VMX_FEATURE_VMWRITE_READ_ONLY_FIELDS] = false;
    assert_error(bench, 13, vmx_root_vmwrite(&bench->root, VMCS_ENCODING_EXIT_REASON, 1));
    assert_error(bench, 12, vmx_root_vmwrite(&bench->root, 0x7FFE, 1));
}

static void vmread_and_vmwrite_of_all_65536_encodings(void **state)
{
    (void)state;
    struct bench *bench = root_bench();
    for (uint32_t encoding = 0; encoding < 0x10000; encoding++) {
        enum vmcs_slot slot;
        bool exists = vmcs_slot_of(encoding, &slot) && vmcs_slot_exists(&bench->profile, slot);
        enum vmx_status want = exists ? VMX_STATUS_SUCCEED : VMX_STATUS_FAIL_VALID;
        uint64_t value = 0;
        assert_int_equal(want, vmx_root_vmwrite(&bench->root, encoding, 0x12345678));
        assert_int_equal(want, vmx_root_vmread(&bench->root, encoding, &value));
        assert_int_equal(want, vmx_root_vmwrite(&bench->root, encoding, 0));
    }
}

// Every instruction in a state that faults.
static void assert_all_fault(struct bench *bench, enum vmx_status want)
{
    static const char *const ops[] = {"vmclear", "vmptrld", "vmptrst", "vmread", "vmwrite",
                                      "launch",  "resume",  "vmcall",  "vmxoff"};
    uint64_t arg[2] = {REGION, 0};
    uint64_t descriptor[2] = {1, 0};
    uint64_t value;
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        assert_int_equal(want, execute(bench, ops[i], arg, &value));
    }
    assert_int_equal(want, vmx_root_invept(&bench->root, 2, descriptor));
    assert_int_equal(want, vmx_root_invvpid(&bench->root, 2, descriptor));
}

static void outside_vmx_operation_everything_is_undefined(void **state)
{
    (void)state;
    static struct bench bench;
    bench_init(&bench);
    assert_all_fault(&bench, VMX_STATUS_UD);
}

static void real_v86_and_compatibility_mode_are_undefined(void **state)
{
    (void)state;
    struct bench *bench = root_bench();
    bench->root.cr0 &= ~UINT64_C(1);
    assert_all_fault(bench, VMX_STATUS_UD);
    assert_int_equal(VMX_STATUS_UD, vmx_root_vmxon(&bench->root, &bench->bus, VMXON_REGION));
    bench = root_bench();
    bench->root.rflags |= 0x20000;
    assert_all_fault(bench, VMX_STATUS_UD);
    bench = root_bench();
    bench->root.cs_l = false;
    assert_all_fault(bench, VMX_STATUS_UD);
    bench->root.efer = 0; // 32-bit protected mode
    assert_int_equal(VMX_STATUS_FAIL_VALID, vmx_root_vmcall(&bench->root));
}

static void cpl_3_is_a_protection_fault(void **state)
{
    (void)state;
    struct bench *bench = root_bench();
    bench->root.cpl = 3;
    assert_all_fault(bench, VMX_STATUS_GP);
    assert_int_equal(VMX_STATUS_GP, vmx_root_vmxon(&bench->root, &bench->bus, VMXON_REGION));
    bench->root.in_vmx = false;
    assert_int_equal(VMX_STATUS_GP, vmx_root_vmxon(&bench->root, &bench->bus, VMXON_REGION));
}

static void vmxon_wants_fixed_bits_and_a20(void **state)
{
    (void)state;
    static struct bench bench;
    bench_init(&bench);
    bench.root.feature_control = 5;
    vmx_root_set_cr4(&bench.root, 0x2020);
    vmx_root_set_cr0(&bench.root, 0x80000011); // no NE
    assert_int_equal(VMX_STATUS_GP, vmx_root_vmxon(&bench.root, &bench.bus, VMXON_REGION));
    vmx_root_set_cr0(&bench.root, 0x80000031);
    bench.root.a20_masked = true;
    assert_int_equal(VMX_STATUS_GP, vmx_root_vmxon(&bench.root, &bench.bus, VMXON_REGION));
    bench.root.a20_masked = false;
    bench.profile.feature[VMX_FEATURE_VMX] = false;
    assert_int_equal(VMX_STATUS_UD, vmx_root_vmxon(&bench.root, &bench.bus, VMXON_REGION));
}

static void invalidations_need_their_feature(void **state)
{
    (void)state;
    struct bench *bench = root_bench();
    uint64_t descriptor[2] = {1, 0};
    bench->profile.feature[VMX_FEATURE_EN_EPT] = false;
    bench->profile.feature[VMX_FEATURE_EN_VPID] = false;
    assert_int_equal(VMX_STATUS_UD, vmx_root_invept(&bench->root, 2, descriptor));
    assert_int_equal(VMX_STATUS_UD, vmx_root_invvpid(&bench->root, 2, descriptor));
}

static void flags_tell_how_it_ended(void **state)
{
    (void)state;
    assert_int_equal(0x202, vmx_status_rflags(VMX_STATUS_SUCCEED, 0xAD7));
    assert_int_equal(0x203, vmx_status_rflags(VMX_STATUS_FAIL_INVALID, 0xAD7));
    assert_int_equal(0x242, vmx_status_rflags(VMX_STATUS_FAIL_VALID, 0xAD7));
    assert_int_equal(0xAD7, vmx_status_rflags(VMX_STATUS_UD, 0xAD7));
    assert_int_equal(0xAD7, vmx_status_rflags(VMX_STATUS_GP, 0xAD7));
    assert_int_equal(0xAD7, vmx_status_rflags(VMX_STATUS_ENTERED, 0xAD7));
    assert_int_equal(0xAD7, vmx_status_rflags(VMX_STATUS_ENTRY_FAILED, 0xAD7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_sequences_go_as_recorded),
        cmocka_unit_test(data_survive_in_their_region),
        cmocka_unit_test(data_have_the_width_of_their_field),
        cmocka_unit_test(launch_state_follows_vmlaunch_and_vmclear),
        cmocka_unit_test(blocking_by_mov_ss_comes_before_the_launch_state),
        cmocka_unit_test(a_failed_entry_stores_its_reason_and_stays_clear),
        cmocka_unit_test(the_link_pointer_must_not_be_the_current_vmcs),
        cmocka_unit_test(a_shadow_vmcs_is_read_but_not_entered),
        cmocka_unit_test(without_a_current_vmcs_entry_fails_invalid),
        cmocka_unit_test(a_read_only_field_is_error_13),
        cmocka_unit_test(vmread_and_vmwrite_of_all_65536_encodings),
        cmocka_unit_test(outside_vmx_operation_everything_is_undefined),
        cmocka_unit_test(real_v86_and_compatibility_mode_are_undefined),
        cmocka_unit_test(cpl_3_is_a_protection_fault),
        cmocka_unit_test(vmxon_wants_fixed_bits_and_a20),
        cmocka_unit_test(invalidations_need_their_feature),
        cmocka_unit_test(flags_tell_how_it_ended),
    };
    return cmocka_run_group_tests_name("VMX instructions", tests, NULL, NULL);
}
