#include "vmx_tests.h"

#include "mmu_model/paging.h"

// SDM Vol. 3A, table "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT",
// column RESET, by encoding.
static struct reset_case {
    const char *name;
    uint32_t encoding;
    uint64_t want;
} cases[] = {
    {"EFLAGS after RESET", 0x6820, 0x00000002},
    {"EIP after RESET", 0x681E, 0x0000FFF0},
    {"ESP after RESET", 0x681C, 0},
    {"CR0 after RESET, with NE, which the guest reads as 0", 0x6800, 0x60000030},
    {"CR0 mask", 0x6000, 0x20},
    {"CR0 shadow", 0x6004, 0x60000010},
    {"CR3 after RESET", 0x6802, 0},
    {"CR4 after RESET, with VMXE, which the guest reads as 0", 0x6804, 0x2000},
    {"CR4 mask", 0x6002, 0x2000},
    {"CR4 shadow", 0x6006, 0},
    {"DR7 after RESET", 0x681A, 0x00000400},
    {"CS selector after RESET", 0x0802, 0xF000},
    {"CS base after RESET", 0x6808, 0xFFFF0000},
    {"CS limit after RESET", 0x4802, 0xFFFF},
    {"CS rights after RESET", 0x4816, 0x93},
    {"ES selector after RESET", 0x0800, 0},
    {"SS selector after RESET", 0x0804, 0},
    {"DS selector after RESET", 0x0806, 0},
    {"FS selector after RESET", 0x0808, 0},
    {"GS selector after RESET", 0x080A, 0},
    {"ES base after RESET", 0x6806, 0},
    {"SS base after RESET", 0x680A, 0},
    {"DS base after RESET", 0x680C, 0},
    {"FS base after RESET", 0x680E, 0},
    {"GS base after RESET", 0x6810, 0},
    {"ES limit after RESET", 0x4800, 0xFFFF},
    {"SS limit after RESET", 0x4804, 0xFFFF},
    {"DS limit after RESET", 0x4806, 0xFFFF},
    {"FS limit after RESET", 0x4808, 0xFFFF},
    {"GS limit after RESET", 0x480A, 0xFFFF},
    {"ES rights after RESET", 0x4814, 0x93},
    {"SS rights after RESET", 0x4818, 0x93},
    {"DS rights after RESET", 0x481A, 0x93},
    {"FS rights after RESET", 0x481C, 0x93},
    {"GS rights after RESET", 0x481E, 0x93},
    {"GDTR base after RESET", 0x6816, 0},
    {"GDTR limit after RESET", 0x4810, 0xFFFF},
    {"IDTR base after RESET", 0x6818, 0},
    {"IDTR limit after RESET", 0x4812, 0xFFFF},
    {"LDTR selector after RESET", 0x080C, 0},
    {"LDTR base after RESET", 0x6812, 0},
    {"LDTR limit after RESET", 0x480C, 0xFFFF},
    {"LDTR rights after RESET", 0x4820, 0x82},
    {"TR selector after RESET", 0x080E, 0},
    {"TR base after RESET", 0x6814, 0},
    {"TR limit after RESET", 0x480E, 0xFFFF},
    {"TR rights after RESET, as VM entry wants them", 0x4822, 0x8B},
    {"IA32_PAT after RESET", 0x2804, 0x0007040600070406},
    {"IA32_EFER after RESET", 0x2806, 0},
    {"IA32_DEBUGCTL after RESET", 0x2802, 0},
    {"IA32_PERF_GLOBAL_CTRL after RESET", 0x2808, 0xFF},
    {"SMBASE after RESET", 0x4828, 0x30000},
    {"activity state after RESET", 0x4826, 0},
    {"interruptibility after RESET", 0x4824, 0},
    {"pending debug exceptions after RESET", 0x6822, 0},
    {"VMCS link pointer", 0x2800, 0xFFFFFFFFFFFFFFFF},
};

enum { NUM_CASES = sizeof(cases) / sizeof(cases[0]) };

static void is_as_the_manual_says(void **state)
{
    const struct reset_case *row = *state;
    struct vmx_cpu cpu = generic_cpu();
    assert_int_equal(row->want, read_field(&cpu, row->encoding));
}

static void registers_outside_the_vmcs_are_as_after_reset(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    for (unsigned i = 0; i < VMX_NUM_GPRS; i++) {
        assert_int_equal(i == VMX_RDX ? vmx_profile_generic.signature : 0, cpu.gpr[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(0, cpu.dr[i]);
    }
    assert_int_equal(0xFFFF0FF0, cpu.dr6);
    assert_int_equal(1, cpu.xcr0);
    assert_int_equal(0, cpu.cr2);
    assert_int_equal(0, cpu.cr8);
    assert_int_equal(0, cpu.tsc);
    assert_int_equal(0, cpu.feature_control);
    assert_int_equal(0, cpu.pkru);
    assert_ptr_equal(&vmx_profile_generic, cpu.profile);
    assert_ptr_equal(&vmx_profile_generic, cpu.vmcs.profile);
}

static void every_field_holds_only_bits_of_its_width(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    for (unsigned i = 0; i < VMCS_NUM_FIELDS; i++) {
        assert_int_equal(0, cpu.vmcs.field[i] & ~vmcs_slot_mask((enum vmcs_slot)i));
    }
}

static void host_addresses_are_canonical_and_distinct(void **state)
{
    (void)state;
    static const uint32_t encodings[] = {0x6C06, 0x6C08, 0x6C0A, 0x6C0C, 0x6C0E,
                                         0x6C10, 0x6C12, 0x6C14, 0x6C16};
    enum { COUNT = sizeof(encodings) / sizeof(encodings[0]) };
    struct vmx_cpu cpu = generic_cpu();
    for (unsigned i = 0; i < COUNT; i++) {
        uint64_t value = read_field(&cpu, encodings[i]);
        assert_true(value != 0 && mmu_is_canonical(value, 48));
        for (unsigned j = 0; j < i; j++) {
            assert_true(value != read_field(&cpu, encodings[j]));
        }
    }
}

// SDM Vol. 3C, "Checks on Host Segment and Descriptor-Table Registers".
static void host_selectors_are_what_vm_entry_demands(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    for (uint32_t encoding = 0x0C00; encoding <= 0x0C0C; encoding += 2) {
        assert_int_equal(0, read_field(&cpu, encoding) & 7);
    }
    assert_true(read_field(&cpu, 0x0C02) != 0);
    assert_true(read_field(&cpu, 0x0C0C) != 0);
}

static void a_profile_without_a_feature_resets_its_fields_to_0(void **state)
{
    (void)state;
    struct vmx_profile profile = vmx_profile_generic;
    profile.feature[VMX_FEATURE_EN_PERFMON] = false;
    struct vmx_cpu cpu;
    vmx_cpu_reset(&cpu, &profile);
    assert_int_equal(0, cpu.vmcs.field[VMCS_GUEST_IA32_PERF_GLOBAL_CTRL]);
}

static void fewer_counters_reset_enabled(void **state)
{
    (void)state;
    struct vmx_profile profile = vmx_profile_generic;
    profile.num_gp_counters = 4;
    struct vmx_cpu cpu;
    vmx_cpu_reset(&cpu, &profile);
    assert_int_equal(0xF, cpu.vmcs.field[VMCS_GUEST_IA32_PERF_GLOBAL_CTRL]);
}

static void only_cpu_0_is_the_bootstrap_processor(void **state)
{
    (void)state;
    for (uint32_t index = 0; index < 4; index++) {
        struct vmx_cpu cpu = generic_cpu();
        uint64_t apic_base = 0;
        vmx_cpu_place(&cpu, index, 4);
        assert_int_equal(index, cpu.apic_id);
        assert_int_equal(4, cpu.num_cpus);
        assert_int_equal(MSR_OK, msr_read(&cpu, MSR_GUEST, 0x1B, &apic_base));
        assert_int_equal(index == 0 ? 0xFEE00900 : 0xFEE00800, apic_base);
    }
}

static void a_snapshot_is_an_assignment(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    struct vmx_cpu snapshot = cpu;
    assert_int_equal(MSR_OK, msr_write(&cpu, MSR_GUEST, 0xC0000082, 0x1234));
    assert_int_equal(MSR_OK, msr_write(&cpu, MSR_GUEST, 0x3A, 0x5));
    cpu.gpr[VMX_RAX] = 7;
    cpu = snapshot;
    struct vmx_cpu fresh = generic_cpu();
    assert_cpu_equal(&fresh, &cpu);
}

// Changes one byte of every member in turn.
static void processors_are_equal_member_by_member(void **state)
{
    (void)state;
    static const struct {
        size_t offset, size;
    } members[] = {
#define MEMBER(name) {offsetof(struct vmx_cpu, name), sizeof(((struct vmx_cpu *)0)->name)}
        MEMBER(vmcs.field), MEMBER(gpr),     MEMBER(cr2),      MEMBER(cr8), MEMBER(xcr0),
        MEMBER(dr),         MEMBER(dr6),     MEMBER(tsc),      MEMBER(msr), MEMBER(feature_control),
        MEMBER(pkru),       MEMBER(apic_id), MEMBER(num_cpus),
    };
    struct vmx_cpu cpu = generic_cpu();
    struct vmx_cpu other = cpu;
    struct vmx_profile profile = vmx_profile_generic;
    other.profile = &profile;
    assert_true(vmx_cpu_equal(&cpu, &other));
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        other = cpu;
        ((unsigned char *)&other)[members[i].offset + members[i].size - 1] ^= 1;
        assert_false(vmx_cpu_equal(&cpu, &other));
    }
}

int main(void)
{
    static struct CMUnitTest rows[NUM_CASES];
    for (unsigned i = 0; i < NUM_CASES; i++) {
        rows[i] = (struct CMUnitTest){
            .name = cases[i].name,
            .test_func = is_as_the_manual_says,
            .initial_state = &cases[i],
        };
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_outside_the_vmcs_are_as_after_reset),
        cmocka_unit_test(every_field_holds_only_bits_of_its_width),
        cmocka_unit_test(host_addresses_are_canonical_and_distinct),
        cmocka_unit_test(host_selectors_are_what_vm_entry_demands),
        cmocka_unit_test(a_profile_without_a_feature_resets_its_fields_to_0),
        cmocka_unit_test(fewer_counters_reset_enabled),
        cmocka_unit_test(only_cpu_0_is_the_bootstrap_processor),
        cmocka_unit_test(a_snapshot_is_an_assignment),
        cmocka_unit_test(processors_are_equal_member_by_member),
    };
    return _cmocka_run_group_tests("reset state", rows, NUM_CASES, NULL, NULL) +
           cmocka_run_group_tests_name("cpu", tests, NULL, NULL);
}
