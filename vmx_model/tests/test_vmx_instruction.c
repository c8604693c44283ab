#include "vmx_model/vmx_instruction.h"

#include "root_bench.h"
#include "vmx_tests.h"

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
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        assert_int_equal(want, bench_execute(bench, ops[i], arg, &value));
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
