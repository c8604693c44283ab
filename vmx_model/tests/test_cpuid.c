// What each leaf answers, and what it makes of registers and MSRs.
#include "cpuid_answers.h"

static void leaf_0_names_the_vendor_and_the_last_leaf(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    struct answer answer = ask(&cpu, 0, 0);
    assert_int_equal(0x1C, answer.reg[EAX]);
    assert_memory_equal("Genu", &answer.reg[EBX], 4);
    assert_memory_equal("ineI", &answer.reg[EDX], 4);
    assert_memory_equal("ntel", &answer.reg[ECX], 4);
}

static void the_widths_are_the_profiles(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    struct answer answer = ask(&cpu, 0x80000008, 0);
    assert_int_equal(cpu.profile->max_phys_bits, answer.reg[EAX] & 0xFF);
    assert_int_equal(cpu.profile->linear_bits, answer.reg[EAX] >> 8 & 0xFF);
    assert_true(bit_of(ask(&cpu, 7, 0), ECX, 16)); // LA57
}

static void edx_after_reset_is_the_signature_of_leaf_1(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_int_equal(cpu.gpr[VMX_RDX], ask(&cpu, 1, 0).reg[EAX]);
    assert_int_equal(6, cpu.gpr[VMX_RDX] >> 8 & 0xF);
}

static void osxsave_and_ospke_follow_cr4(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_false(bit_of(ask(&cpu, 1, 0), ECX, 27));
    assert_false(bit_of(ask(&cpu, 7, 0), ECX, 4));
    cpu.vmcs.field[VMCS_GUEST_CR4] = 1u << 18;
    assert_true(bit_of(ask(&cpu, 1, 0), ECX, 27));
    assert_false(bit_of(ask(&cpu, 7, 0), ECX, 4));
    cpu.vmcs.field[VMCS_GUEST_CR4] = 1u << 22;
    assert_false(bit_of(ask(&cpu, 1, 0), ECX, 27));
    assert_true(bit_of(ask(&cpu, 7, 0), ECX, 4));
}

static void syscall_shows_in_64_bit_mode_only(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_false(bit_of(ask(&cpu, 0x80000001, 0), EDX, 11));
    cpu.vmcs.field[VMCS_GUEST_IA32_EFER] = 0x500;
    cpu.vmcs.field[VMCS_GUEST_CS_ACCESS] = 0xC09B; // compatibility mode
    assert_false(bit_of(ask(&cpu, 0x80000001, 0), EDX, 11));
    cpu.vmcs.field[VMCS_GUEST_CS_ACCESS] = 0xA09B;
    assert_true(bit_of(ask(&cpu, 0x80000001, 0), EDX, 11));
}

static void msrs_hide_apic_monitor_nx_and_leaves(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_int_equal(MSR_OK, msr_write(&cpu, MSR_GUEST, 0x1B, 0xFEE00100));
    assert_false(bit_of(ask(&cpu, 1, 0), EDX, 9));
    assert_int_equal(MSR_OK, msr_write(&cpu, MSR_GUEST, 0x1A0, BIT(34) | BIT(22)));
    assert_false(bit_of(ask(&cpu, 1, 0), ECX, 3));
    assert_false(bit_of(ask(&cpu, 0x80000001, 0), EDX, 20));
    assert_int_equal(2, ask(&cpu, 0, 0).reg[EAX]);
    assert_answer_equal(ask(&cpu, 2, 0), ask(&cpu, 7, 0));
}

static void each_cpu_has_its_apic_id_and_all_agree_on_the_topology(void **state)
{
    (void)state;
    for (uint32_t index = 0; index < 4; index++) {
        struct vmx_cpu cpu = generic_cpu();
        vmx_cpu_place(&cpu, index, 4);
        assert_int_equal(index, ask(&cpu, 1, 0).reg[EBX] >> 24);
        assert_int_equal(4, ask(&cpu, 1, 0).reg[EBX] >> 16 & 0xFF);
        struct answer threads = ask(&cpu, 0xB, 0);
        struct answer cores = ask(&cpu, 0xB, 1);
        struct answer beyond = ask(&cpu, 0xB, 2);
        assert_int_equal(0, threads.reg[EAX]);
        assert_int_equal(1, threads.reg[EBX]);
        assert_int_equal(0x100, threads.reg[ECX]);
        assert_int_equal(2, cores.reg[EAX]);
        assert_int_equal(4, cores.reg[EBX]);
        assert_int_equal(0x201, cores.reg[ECX]);
        assert_int_equal(index, cores.reg[EDX]);
        assert_int_equal(0, beyond.reg[EBX]);
        assert_int_equal(2, beyond.reg[ECX]);
    }
}

static uint64_t cache_bytes(struct answer answer)
{
    uint64_t line = (answer.reg[EBX] & 0xFFF) + 1;
    uint64_t ways = (answer.reg[EBX] >> 22) + 1;
    return line * ways * ((uint64_t)answer.reg[ECX] + 1);
}

static void leaf_4_lists_the_caches_and_ends(void **state)
{
    (void)state;
    static const uint64_t kib[] = {48, 32, 512, 12288};
    struct vmx_cpu cpu = generic_cpu();
    vmx_cpu_place(&cpu, 1, 4);
    for (uint32_t i = 0; i < 4; i++) {
        struct answer answer = ask(&cpu, 4, i);
        assert_int_equal(kib[i] * 1024, cache_bytes(answer));
        assert_int_equal(i == 3 ? 3 : 0, answer.reg[EAX] >> 14 & 0xFFF); // cores that share it, - 1
        assert_int_equal(3, answer.reg[EAX] >> 26);                      // cores, - 1
    }
    assert_int_equal(0, ask(&cpu, 4, 4).reg[EAX]);
    assert_int_equal(0, ask(&cpu, 4, UINT32_MAX).reg[EAX]);
    assert_int_equal(512, ask(&cpu, 0x80000006, 0).reg[ECX] >> 16);
}

static void leaf_0xd_follows_xcr0_and_xss(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    struct answer answer = ask(&cpu, 0xD, 0);
    assert_int_equal(0x2FF, answer.reg[EAX]);
    assert_int_equal(0, answer.reg[EDX]);
    assert_int_equal(576, answer.reg[EBX]);
    assert_int_equal(2696, answer.reg[ECX]);
    cpu.xcr0 = 0x7;
    assert_int_equal(832, ask(&cpu, 0xD, 0).reg[EBX]);
    assert_int_equal(MSR_OK, msr_write(&cpu, MSR_GUEST, 0xDA0, 0x800));
    assert_int_equal(848, ask(&cpu, 0xD, 1).reg[EBX]);
    assert_int_equal(0xDD00, ask(&cpu, 0xD, 1).reg[ECX]);
    assert_int_equal(256, ask(&cpu, 0xD, 2).reg[EAX]);
    assert_int_equal(576, ask(&cpu, 0xD, 2).reg[EBX]);
    assert_int_equal(1, ask(&cpu, 0xD, 11).reg[ECX]);
    assert_int_equal(8, ask(&cpu, 0xD, 10).reg[EAX]);
    assert_int_equal(0, ask(&cpu, 0xD, 13).reg[EAX]);
    assert_int_equal(0, ask(&cpu, 0xD, UINT32_MAX).reg[EAX]);
}

static void leaf_0xd_is_empty_without_xsave(void **state)
{
    (void)state;
    struct vmx_profile profile = generic_without(VMX_FEATURE_XSAVE);
    struct vmx_cpu cpu;
    vmx_cpu_reset(&cpu, &profile);
    static const struct answer zero;
    assert_answer_equal(zero, ask(&cpu, 0xD, 0));
    assert_answer_equal(zero, ask(&cpu, 0xD, 1));
    assert_answer_equal(zero, ask(&cpu, 0xD, 2));
}

static void leaf_0xa_counts_the_counters(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    struct answer answer = ask(&cpu, 0xA, 0);
    assert_int_equal(5, answer.reg[EAX] & 0xFF);
    assert_int_equal(8, answer.reg[EAX] >> 8 & 0xFF);
    assert_int_equal(48, answer.reg[EAX] >> 16 & 0xFF);
    assert_int_equal(4, answer.reg[EDX] & 0x1F);
    struct vmx_profile profile = generic_without(VMX_FEATURE_EN_PERFMON);
    cpu.profile = &profile;
    assert_int_equal(0, ask(&cpu, 0xA, 0).reg[EAX]);
}

static void leaf_0x14_describes_processor_trace(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_int_equal(1, ask(&cpu, 0x14, 0).reg[EAX]);
    assert_int_equal(0x02490002, ask(&cpu, 0x14, 1).reg[EAX]);
    assert_int_equal(0x003F3FFF, ask(&cpu, 0x14, 1).reg[EBX]);
    assert_int_equal(0, ask(&cpu, 0x14, 2).reg[EAX]);
    struct vmx_profile profile = generic_without(VMX_FEATURE_PT);
    cpu.profile = &profile;
    static const struct answer zero;
    assert_answer_equal(zero, ask(&cpu, 0x14, 0));
    assert_answer_equal(zero, ask(&cpu, 0x14, 1));
}

static void leaf_5_is_empty_without_monitor(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_int_equal(64, ask(&cpu, 5, 0).reg[EAX]);
    struct vmx_profile profile = generic_without(VMX_FEATURE_MONITOR);
    cpu.profile = &profile;
    assert_int_equal(0, ask(&cpu, 5, 0).reg[EAX]);
}

static void leaf_0x15_gives_the_tsc_frequency(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    struct answer answer = ask(&cpu, 0x15, 0);
    assert_int_equal(2000000000, (uint64_t)answer.reg[ECX] * answer.reg[EBX] / answer.reg[EAX]);
}

static void the_brand_string_ends_with_a_null(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    char brand[48];
    for (uint32_t i = 0; i < 3; i++) {
        struct answer answer = ask(&cpu, 0x80000002 + i, 0);
        memcpy(brand + (size_t)i * 16, answer.reg, 16);
    }
    assert_string_equal(vmx_profile_generic.brand, brand);
}

static void leaves_that_do_not_exist_answer_as_the_last_basic_one(void **state)
{
    (void)state;
    static const uint32_t leaves[] = {0x1D,       0x40000000, 0x40000001, 0x7FFFFFFF,
                                      0x80000009, 0xC0000000, UINT32_MAX};
    struct vmx_cpu cpu = generic_cpu();
    assert_int_equal(0x80000008, ask(&cpu, 0x80000000, 0).reg[EAX]);
    for (size_t i = 0; i < ARRAY_LEN(leaves); i++) {
        assert_answer_equal(ask(&cpu, 0x1C, 0), ask(&cpu, leaves[i], 0));
    }
    assert_false(bit_of(ask(&cpu, 1, 0), ECX, 31)); // no hypervisor is announced
}

static void reserved_leaves_in_range_answer_zero(void **state)
{
    (void)state;
    static const uint32_t leaves[] = {3,    8,    9,    0xC,  0xE,  0x11,      0x12,
                                      0x13, 0x17, 0x18, 0x1A, 0x1B, 0x80000005};
    static const struct answer zero;
    struct vmx_cpu cpu = generic_cpu();
    for (size_t i = 0; i < ARRAY_LEN(leaves); i++) {
        assert_answer_equal(zero, ask(&cpu, leaves[i], 0));
    }
}

static void leaves_without_subleaves_ignore_ecx(void **state)
{
    (void)state;
    static const uint32_t leaves[] = {0, 1, 2, 5, 6, 0xA, 0x15, 0x80000001, 0x80000008};
    struct vmx_cpu cpu = generic_cpu();
    for (size_t i = 0; i < ARRAY_LEN(leaves); i++) {
        assert_answer_equal(ask(&cpu, leaves[i], 0), ask(&cpu, leaves[i], 7));
    }
    static const struct answer zero;
    assert_int_equal(2, ask(&cpu, 7, 0).reg[EAX]); // the last subleaf
    assert_answer_equal(zero, ask(&cpu, 7, 3));
}

static void leaves_0xf_and_0x10_describe_the_shares_of_caches(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_int_equal(0xFF, ask(&cpu, 0xF, 0).reg[EBX]);
    assert_int_equal(7, ask(&cpu, 0xF, 1).reg[EDX]);
    assert_int_equal(6, ask(&cpu, 0x10, 0).reg[EBX]);
    assert_int_equal(10, ask(&cpu, 0x10, 1).reg[EAX]); // bits of IA32_L3_MASK_n, - 1
    assert_int_equal(15, ask(&cpu, 0x10, 1).reg[EDX]);
    assert_int_equal(7, ask(&cpu, 0x10, 2).reg[EAX]);
    assert_int_equal(0, ask(&cpu, 0x10, 3).reg[EAX]);
    struct vmx_profile profile = vmx_profile_generic;
    profile.feature[VMX_FEATURE_RDT_M] = false;
    profile.feature[VMX_FEATURE_RDT_A] = false;
    cpu.profile = &profile;
    assert_int_equal(0, ask(&cpu, 0xF, 0).reg[EBX]);
    assert_int_equal(0, ask(&cpu, 0x10, 0).reg[EBX]);
}

static void leaf_0x1c_is_empty_without_architectural_lbr(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_int_equal(0xF, ask(&cpu, 0x1C, 0).reg[EAX]);
    struct vmx_profile profile = generic_without(VMX_FEATURE_ARCH_LBR);
    cpu.profile = &profile;
    assert_int_equal(0, ask(&cpu, 0x1C, 0).reg[EAX]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaf_0_names_the_vendor_and_the_last_leaf),
        cmocka_unit_test(the_widths_are_the_profiles),
        cmocka_unit_test(edx_after_reset_is_the_signature_of_leaf_1),
        cmocka_unit_test(osxsave_and_ospke_follow_cr4),
        cmocka_unit_test(syscall_shows_in_64_bit_mode_only),
        cmocka_unit_test(msrs_hide_apic_monitor_nx_and_leaves),
        cmocka_unit_test(each_cpu_has_its_apic_id_and_all_agree_on_the_topology),
        cmocka_unit_test(leaf_4_lists_the_caches_and_ends),
        cmocka_unit_test(leaf_5_is_empty_without_monitor),
        cmocka_unit_test(leaf_0xa_counts_the_counters),
        cmocka_unit_test(leaf_0xd_follows_xcr0_and_xss),
        cmocka_unit_test(leaf_0xd_is_empty_without_xsave),
        cmocka_unit_test(leaf_0x14_describes_processor_trace),
        cmocka_unit_test(leaf_0x15_gives_the_tsc_frequency),
        cmocka_unit_test(leaves_0xf_and_0x10_describe_the_shares_of_caches),
        cmocka_unit_test(leaf_0x1c_is_empty_without_architectural_lbr),
        cmocka_unit_test(the_brand_string_ends_with_a_null),
        cmocka_unit_test(leaves_that_do_not_exist_answer_as_the_last_basic_one),
        cmocka_unit_test(reserved_leaves_in_range_answer_zero),
        cmocka_unit_test(leaves_without_subleaves_ignore_ecx),
    };
    return cmocka_run_group_tests_name("cpuid", tests, NULL, NULL);
}
