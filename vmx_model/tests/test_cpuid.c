#include "vmx_tests.h"

#include <string.h>

#include "vmx_model/cpuid.h"

enum { EAX = CPUID_EAX, EBX = CPUID_EBX, ECX = CPUID_ECX, EDX = CPUID_EDX };

struct answer {
    uint32_t reg[4];
};

static struct answer ask(const struct vmx_cpu *cpu, uint32_t leaf, uint32_t subleaf)
{
    struct answer answer;
    memset(&answer, 0xA5, sizeof(answer));
    vmx_cpuid(cpu->profile, cpu, leaf, subleaf, answer.reg);
    return answer;
}

static void assert_answer_equal(struct answer want, struct answer got)
{
    assert_memory_equal(want.reg, got.reg, sizeof(want.reg));
}

static bool bit_of(struct answer answer, unsigned reg, unsigned bit)
{
    return (answer.reg[reg] >> bit & 1) != 0;
}

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

// Each feature's bit is set with the feature and clear without it, everywhere the bit does not
// also depend on a register.
static struct feature_case {
    const char *name;
    enum vmx_feature feature;
    uint32_t leaf, subleaf;
    unsigned reg, bit;
} feature_cases[] = {
#define CPUID_FEATURE(name, leaf, subleaf, register, bit)                                          \
    {"bit of " #name, VMX_FEATURE_##name, leaf, subleaf, register, bit},
#include "vmx_model/features.def"
};

enum { NUM_FEATURE_CASES = sizeof(feature_cases) / sizeof(feature_cases[0]) };

static void follows_the_profile(void **state)
{
    const struct feature_case *row = *state;
    struct vmx_cpu cpu = generic_cpu();
    cpu.vmcs.field[VMCS_GUEST_IA32_EFER] = 0x500;
    cpu.vmcs.field[VMCS_GUEST_CS_ACCESS] = 0xA09B; // 64-bit mode, so that SYSCALL shows
    struct vmx_profile lacking = vmx_profile_generic;
    lacking.feature[row->feature] = false;

    struct answer with = ask(&cpu, row->leaf, row->subleaf);
    cpu.profile = &lacking;
    struct answer without = ask(&cpu, row->leaf, row->subleaf);
    assert_true(bit_of(with, row->reg, row->bit));
    assert_false(bit_of(without, row->reg, row->bit));
}

static struct known_case {
    const char *name;
    uint32_t leaf, subleaf;
    unsigned reg, bit;
} known_cases[] = {
    {"VMX is leaf 1 ECX bit 5", 1, 0, ECX, 5},
    {"x2APIC is leaf 1 ECX bit 21", 1, 0, ECX, 21},
    {"XSAVE is leaf 1 ECX bit 26", 1, 0, ECX, 26},
    {"MSR is leaf 1 EDX bit 5", 1, 0, EDX, 5},
    {"PAE is leaf 1 EDX bit 6", 1, 0, EDX, 6},
    {"APIC is leaf 1 EDX bit 9", 1, 0, EDX, 9},
    {"SEP is leaf 1 EDX bit 11", 1, 0, EDX, 11},
    {"MTRR is leaf 1 EDX bit 12", 1, 0, EDX, 12},
    {"PAT is leaf 1 EDX bit 16", 1, 0, EDX, 16},
    {"MPX is leaf 7 EBX bit 14", 7, 0, EBX, 14},
    {"SMEP is leaf 7 EBX bit 7", 7, 0, EBX, 7},
    {"SMAP is leaf 7 EBX bit 20", 7, 0, EBX, 20},
    {"PT is leaf 7 EBX bit 25", 7, 0, EBX, 25},
    {"PKU is leaf 7 ECX bit 3", 7, 0, ECX, 3},
    {"CET_SS is leaf 7 ECX bit 7", 7, 0, ECX, 7},
    {"PKS is leaf 7 ECX bit 31", 7, 0, ECX, 31},
    {"CET_IBT is leaf 7 EDX bit 20", 7, 0, EDX, 20},
    {"XSAVES is leaf 0xD subleaf 1 EAX bit 3", 0xD, 1, EAX, 3},
    {"NX is leaf 0x80000001 EDX bit 20", 0x80000001, 0, EDX, 20},
    {"1 GiB pages are leaf 0x80000001 EDX bit 26", 0x80000001, 0, EDX, 26},
    {"Intel 64 is leaf 0x80000001 EDX bit 29", 0x80000001, 0, EDX, 29},
    {"invariant TSC is leaf 0x80000007 EDX bit 8", 0x80000007, 0, EDX, 8},
};

enum { NUM_KNOWN_CASES = sizeof(known_cases) / sizeof(known_cases[0]) };

static void is_set_in_generic(void **state)
{
    const struct known_case *row = *state;
    struct vmx_cpu cpu = generic_cpu();
    assert_true(bit_of(ask(&cpu, row->leaf, row->subleaf), row->reg, row->bit));
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
    struct vmx_profile profile = vmx_profile_generic;
    profile.feature[VMX_FEATURE_XSAVE] = false;
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
    struct vmx_profile profile = vmx_profile_generic;
    profile.feature[VMX_FEATURE_EN_PERFMON] = false;
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
    struct vmx_profile profile = vmx_profile_generic;
    profile.feature[VMX_FEATURE_PT] = false;
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
    struct vmx_profile profile = vmx_profile_generic;
    profile.feature[VMX_FEATURE_MONITOR] = false;
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
    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
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
    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        assert_answer_equal(zero, ask(&cpu, leaves[i], 0));
    }
}

static void leaves_without_subleaves_ignore_ecx(void **state)
{
    (void)state;
    static const uint32_t leaves[] = {0, 1, 2, 5, 6, 0xA, 0x15, 0x80000001, 0x80000008};
    struct vmx_cpu cpu = generic_cpu();
    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
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
    struct vmx_profile profile = vmx_profile_generic;
    profile.feature[VMX_FEATURE_ARCH_LBR] = false;
    cpu.profile = &profile;
    assert_int_equal(0, ask(&cpu, 0x1C, 0).reg[EAX]);
}

// Registers of the real processors, as their dumps have them.
static struct model_case {
    const char *name;
    const char *profile;
    uint32_t leaf, subleaf;
    unsigned reg;
    uint32_t mask, want;
} model_cases[] = {
    {"skylake-x signature", "skylake-x", 1, 0, EAX, UINT32_MAX, 0x00050654},
    {"skylake-x features", "skylake-x", 1, 0, EDX, UINT32_MAX, 0xBFEBFBFF},
    {"skylake-x more features", "skylake-x", 1, 0, ECX, UINT32_MAX, 0x77FEFBBF & ~UINT32_C(0x40)},
    {"skylake-x last leaf", "skylake-x", 0, 0, EAX, UINT32_MAX, 0x16},
    {"skylake-x addresses", "skylake-x", 0x80000008, 0, EAX, UINT32_MAX, 0x302E},
    {"skylake-x counters", "skylake-x", 0xA, 0, EAX, UINT32_MAX, 0x07300404},
    {"skylake-x fixed counters", "skylake-x", 0xA, 0, EDX, UINT32_MAX, 0x00000603},
    {"skylake-x has no list of fixed counters", "skylake-x", 0xA, 0, ECX, UINT32_MAX, 0},
    {"skylake-x L1 sets", "skylake-x", 4, 0, ECX, UINT32_MAX, 63},
    {"skylake-x L2 geometry", "skylake-x", 4, 2, EBX, UINT32_MAX, 0x03C0003F},
    {"skylake-x L3 geometry", "skylake-x", 4, 3, EBX, UINT32_MAX, 0x0280003F},
    {"skylake-x L3 sets", "skylake-x", 4, 3, ECX, UINT32_MAX, 0x2FFF},
    {"skylake-x L3 is not inclusive", "skylake-x", 4, 3, EDX, UINT32_MAX, 4},
    {"skylake-x L2 as the extended leaf has it", "skylake-x", 0x80000006, 0, ECX, UINT32_MAX,
     0x04008040},
    {"skylake-x state", "skylake-x", 0xD, 0, EAX, UINT32_MAX, 0xE7},
    {"skylake-x largest area", "skylake-x", 0xD, 0, ECX, UINT32_MAX, 2688},
    {"skylake-x supervisor state", "skylake-x", 0xD, 1, ECX, UINT32_MAX, 0},
    {"skylake-x TSC", "skylake-x", 0x15, 0, EBX, UINT32_MAX, 292},
    {"skylake-x base frequency", "skylake-x", 0x16, 0, EAX, UINT32_MAX, 3500},
    {"icelake signature", "icelake", 1, 0, EAX, UINT32_MAX, 0x000706E5},
    {"icelake addresses", "icelake", 0x80000008, 0, EAX, UINT32_MAX, 0x3027},
    {"icelake counters", "icelake", 0xA, 0, EAX, UINT32_MAX, 0x08300805},
    {"icelake fixed counters", "icelake", 0xA, 0, EDX, UINT32_MAX, 0x00008604},
    {"icelake L1 geometry", "icelake", 4, 0, EBX, UINT32_MAX, 0x02C0003F},
    {"icelake L3 is inclusive", "icelake", 4, 3, EDX, UINT32_MAX, 6},
    {"icelake largest area", "icelake", 0xD, 0, ECX, UINT32_MAX, 2696},
    {"icelake crystal", "icelake", 0x15, 0, ECX, UINT32_MAX, 38400000},
    {"icelake speculation control", "icelake", 7, 0, EDX, 0xFC000000, 0xBC000000},
    {"tigerlake signature", "tigerlake", 1, 0, EAX, UINT32_MAX, 0x000806C1},
    {"tigerlake addresses", "tigerlake", 0x80000008, 0, EAX, UINT32_MAX, 0x3027},
    {"tigerlake L2 geometry", "tigerlake", 4, 2, EBX, UINT32_MAX, 0x04C0003F},
    {"tigerlake L2 as the extended leaf has it", "tigerlake", 0x80000006, 0, ECX, UINT32_MAX,
     0x05007040},
    {"tigerlake CET", "tigerlake", 7, 0, EDX, 0x00100000, 0x00100000},
    {"tigerlake supervisor state", "tigerlake", 0xD, 1, ECX, UINT32_MAX, 0x1800},
    {"tigerlake TSC", "tigerlake", 0x15, 0, EBX, UINT32_MAX, 126},
    {"tigerlake has no Processor Trace", "tigerlake", 0x14, 0, EAX, UINT32_MAX, 0},
};

enum { NUM_MODEL_CASES = sizeof(model_cases) / sizeof(model_cases[0]) };

static void is_the_models(void **state)
{
    const struct model_case *row = *state;
    struct vmx_cpu cpu;
    vmx_cpu_reset(&cpu, vmx_profile_find(row->profile));
    assert_int_equal(row->want, ask(&cpu, row->leaf, row->subleaf).reg[row->reg] & row->mask);
}

static int run_rows(void)
{
    static struct CMUnitTest features[NUM_FEATURE_CASES];
    static struct CMUnitTest known[NUM_KNOWN_CASES];
    static struct CMUnitTest models[NUM_MODEL_CASES];
    for (unsigned i = 0; i < NUM_MODEL_CASES; i++) {
        models[i] = (struct CMUnitTest){
            .name = model_cases[i].name,
            .test_func = is_the_models,
            .initial_state = &model_cases[i],
        };
    }
    for (unsigned i = 0; i < NUM_FEATURE_CASES; i++) {
        features[i] = (struct CMUnitTest){
            .name = feature_cases[i].name,
            .test_func = follows_the_profile,
            .initial_state = &feature_cases[i],
        };
    }
    for (unsigned i = 0; i < NUM_KNOWN_CASES; i++) {
        known[i] = (struct CMUnitTest){
            .name = known_cases[i].name,
            .test_func = is_set_in_generic,
            .initial_state = &known_cases[i],
        };
    }
    return _cmocka_run_group_tests("models", models, NUM_MODEL_CASES, NULL, NULL) +
           _cmocka_run_group_tests("features", features, NUM_FEATURE_CASES, NULL, NULL) +
           _cmocka_run_group_tests("known bits", known, NUM_KNOWN_CASES, NULL, NULL);
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
    return run_rows() + cmocka_run_group_tests_name("cpuid", tests, NULL, NULL);
}
