// Bits and registers row by row: each feature's, those that everybody knows, and those of the real
// processors.
#include "cpuid_answers.h"

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

static void follows_the_profile(void **state)
{
    const struct feature_case *row = *state;
    struct vmx_cpu cpu = generic_cpu();
    cpu.vmcs.field[VMCS_GUEST_IA32_EFER] = 0x500;
    cpu.vmcs.field[VMCS_GUEST_CS_ACCESS] = 0xA09B; // 64-bit mode, so that SYSCALL shows
    struct vmx_profile lacking = generic_without(row->feature);

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

static void is_set_in_generic(void **state)
{
    const struct known_case *row = *state;
    struct vmx_cpu cpu = generic_cpu();
    assert_true(bit_of(ask(&cpu, row->leaf, row->subleaf), row->reg, row->bit));
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

static void is_the_models(void **state)
{
    const struct model_case *row = *state;
    struct vmx_cpu cpu;
    vmx_cpu_reset(&cpu, vmx_profile_find(row->profile));
    assert_int_equal(row->want, ask(&cpu, row->leaf, row->subleaf).reg[row->reg] & row->mask);
}

int main(void)
{
    int failures = 0;
    RUN_ROWS(failures, "models", model_cases, is_the_models);
    RUN_ROWS(failures, "features", feature_cases, follows_the_profile);
    RUN_ROWS(failures, "known bits", known_cases, is_set_in_generic);
    return failures;
}
