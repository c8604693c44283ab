#include "vmx_model/cpuid.h"

#include <stdbool.h>
#include <string.h>

#include "mmu_model/control_bits.h"
#include "xstate.h"

#define FIRST_EXTENDED     0x80000000u
#define LAST_EXTENDED_LEAF 0x80000008u

enum {
    EAX = CPUID_EAX,
    EBX = CPUID_EBX,
    ECX = CPUID_ECX,
    EDX = CPUID_EDX,
};

struct question {
    const struct vmx_profile *profile;
    const struct vmx_cpu *cpu;
    uint32_t leaf;
    uint32_t subleaf;
};

static const struct {
    uint32_t leaf;
    uint16_t feature;
    uint8_t subleaf;
    uint8_t reg;
    uint8_t bit;
} feature_bits[] = {
#define CPUID_FEATURE(name, leaf, subleaf, register, bit)                                          \
    {leaf, VMX_FEATURE_##name, subleaf, CPUID_##register, bit},
#include "vmx_model/features.def"
};

#define CPUID_FEATURE(name, leaf, subleaf, register, bit)                                          \
    _Static_assert((bit) < 32, #name ": a register has 32 bits");
#include "vmx_model/features.def"

// The bits that rows of features.def place in this leaf and subleaf.
static void add_features(const struct question *q, uint32_t out[4])
{
    for (size_t i = 0; i < sizeof(feature_bits) / sizeof(feature_bits[0]); i++) {
        if (feature_bits[i].leaf == q->leaf && feature_bits[i].subleaf == q->subleaf &&
            vmx_profile_has(q->profile, (enum vmx_feature)feature_bits[i].feature)) {
            out[feature_bits[i].reg] |= UINT32_C(1) << feature_bits[i].bit;
        }
    }
}

static void add_registers(const uint32_t reg[4], uint32_t out[4])
{
    for (unsigned i = 0; i < 4; i++) {
        out[i] |= reg[i];
    }
}

// What the profile says of a leaf that this file does not compute.
static void add_constants(const struct question *q, uint32_t out[4])
{
    for (uint32_t i = 0; i < q->profile->num_leaves; i++) {
        const struct vmx_leaf *row = &q->profile->leaves[i];
        if (row->leaf == q->leaf && row->subleaf == q->subleaf) {
            add_registers(row->reg, out);
        }
    }
}

static uint32_t load_u32(const char *text)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++) {
        value |= (uint32_t)(unsigned char)text[i] << 8 * i;
    }
    return value;
}

// Bits that number `count` things.
static uint32_t width_of(uint32_t count)
{
    uint32_t width = 0;
    while ((UINT64_C(1) << width) < count) {
        width++;
    }
    return width;
}

static bool has(const struct question *q, enum vmx_feature feature)
{
    return vmx_profile_has(q->profile, feature);
}

static bool misc_enable(const struct question *q, uint64_t bit)
{
    return (q->cpu->msr[MSR_SLOT_IA32_MISC_ENABLE] & bit) != 0;
}

static bool in_cr4(const struct question *q, uint64_t bit)
{
    return (q->cpu->vmcs.field[VMCS_GUEST_CR4] & bit) != 0;
}

static void set_if(bool condition, uint32_t bit, uint32_t *out)
{
    *out = condition ? *out | bit : *out & ~bit;
}

#define MISC_ENABLE_MONITOR     UINT64_C(0x00040000)
#define MISC_ENABLE_LIMIT_CPUID UINT64_C(0x00400000)
#define MISC_ENABLE_XD_DISABLE  UINT64_C(0x400000000)

#define CR4_OSXSAVE UINT64_C(0x40000)

// SDM Vol. 4, IA32_MISC_ENABLE[22]: an old operating system is shown no leaf above 2.
static uint32_t last_basic_leaf(const struct question *q)
{
    return misc_enable(q, MISC_ENABLE_LIMIT_CPUID) ? 2 : q->profile->last_leaf;
}

static void leaf_vendor(const struct question *q, uint32_t out[4])
{
    out[EAX] = last_basic_leaf(q);
    out[EBX] = load_u32(q->profile->vendor);
    out[EDX] = load_u32(q->profile->vendor + 4);
    out[ECX] = load_u32(q->profile->vendor + 8);
}

//  EBX  31      24 23        16 15        8 7      0
//      | APIC id  | logical    | CLFLUSH   | brand  |
//      |          | processors | 8-byte    | index  |
static void leaf_features(const struct question *q, uint32_t out[4])
{
    uint64_t apic_base = q->cpu->msr[MSR_SLOT_IA32_APIC_BASE];

    out[EAX] = q->profile->signature;
    out[EBX] = q->cpu->apic_id << 24 | (q->cpu->num_cpus & 0xFF) << 16 | 8 << 8;
    set_if(has(q, VMX_FEATURE_APIC) && (apic_base & 0x800) != 0, 1u << 9, &out[EDX]);
    set_if(has(q, VMX_FEATURE_MONITOR) && misc_enable(q, MISC_ENABLE_MONITOR), 1u << 3, &out[ECX]);
    set_if(has(q, VMX_FEATURE_XSAVE) && in_cr4(q, CR4_OSXSAVE), 1u << 27, &out[ECX]);
}

//  EAX  31      26 25           14 13  10  9   8  7    5 4    0
//      | core ids | sharing ids   | 0    | FA | SI| level| type |
static void leaf_cache(const struct question *q, uint32_t out[4])
{
    if (q->subleaf >= VMX_MAX_CACHES || q->profile->cache[q->subleaf].type == 0) {
        return;
    }
    const struct vmx_cache *cache = &q->profile->cache[q->subleaf];
    uint32_t cores = (UINT32_C(1) << width_of(q->cpu->num_cpus)) - 1;
    uint32_t sharing = cache->shared ? cores : 0;

    out[EAX] = (cores & 0x3F) << 26 | (sharing & 0xFFF) << 14 | 1u << 8 |
               (uint32_t)cache->level << 5 | cache->type;
    out[EBX] = (uint32_t)(cache->ways - 1) << 22 | 63; // one partition, lines of 64 bytes
    out[ECX] = cache->num_sets - 1;
    out[EDX] = (cache->inclusive ? 2 : 0) | (cache->complex ? 4 : 0);
}

// A leaf of constants that is empty without the feature it describes.
static void leaf_of(const struct question *q, enum vmx_feature feature, uint32_t out[4])
{
    if (!has(q, feature)) {
        memset(out, 0, 4 * sizeof(*out));
    }
}

// The last subleaf of leaf 7 that has a feature of this processor.
static uint32_t last_structured_subleaf(const struct question *q)
{
    uint32_t last = 0;
    for (size_t i = 0; i < sizeof(feature_bits) / sizeof(feature_bits[0]); i++) {
        if (feature_bits[i].leaf == 7 && feature_bits[i].subleaf > last &&
            has(q, (enum vmx_feature)feature_bits[i].feature)) {
            last = feature_bits[i].subleaf;
        }
    }
    return last;
}

static void leaf_structured(const struct question *q, uint32_t out[4])
{
    if (q->subleaf == 0) {
        out[EAX] = last_structured_subleaf(q);
        set_if(has(q, VMX_FEATURE_PKU) && in_cr4(q, MMU_CR4_PKE), 1u << 4, &out[ECX]);
    }
}

// SDM Vol. 2A, CPUID leaf 0AH: EBX has a bit per event that is missing, none here. From version 5
// on, ECX has the fixed counters, and EDX[15] says that AnyThread is gone.
static void leaf_perfmon(const struct question *q, uint32_t out[4])
{
    const struct vmx_profile *profile = q->profile;
    if (!has(q, VMX_FEATURE_EN_PERFMON)) {
        return;
    }
    uint32_t bits = profile->counter_bits;
    uint32_t version = profile->perfmon_version;
    out[EAX] = (uint32_t)profile->num_perf_events << 24 | bits << 16 |
               (uint32_t)profile->num_gp_counters << 8 | version;
    out[EDX] = bits << 5 | profile->num_fixed_counters;
    if (version >= 5) {
        out[ECX] = (UINT32_C(1) << profile->num_fixed_counters) - 1;
        out[EDX] |= 1u << 15;
    }
}

// Level 0: one thread per core. Level 1: the cores. Further levels are invalid.
static void leaf_topology(const struct question *q, uint32_t out[4])
{
    enum { LEVEL_SMT = 1, LEVEL_CORE = 2 };

    out[ECX] = q->subleaf & 0xFF;
    out[EDX] = q->cpu->apic_id;
    if (q->subleaf == 0) {
        out[EBX] = 1;
        out[ECX] |= LEVEL_SMT << 8;
    } else if (q->subleaf == 1) {
        out[EAX] = width_of(q->cpu->num_cpus);
        out[EBX] = q->cpu->num_cpus & 0xFFFF;
        out[ECX] |= LEVEL_CORE << 8;
    }
}

static void leaf_xsave_enabled(const struct question *q, uint32_t out[4])
{
    uint64_t mask = vmx_profile_xcr0_mask(q->profile);
    out[EAX] = (uint32_t)mask;
    out[EDX] = (uint32_t)(mask >> 32);
    out[EBX] = xstate_standard_size(q->profile, q->cpu->xcr0);
    out[ECX] = xstate_standard_size(q->profile, mask);
}

static void leaf_xsave_supervisor(const struct question *q, uint32_t out[4])
{
    uint64_t enabled = q->cpu->xcr0 | q->cpu->msr[MSR_SLOT_IA32_XSS];
    bool has_xss = has(q, VMX_FEATURE_XSAVES);
    if (has_xss || has(q, VMX_FEATURE_XSAVEC)) {
        out[EBX] = xstate_compacted_size(q->profile, enabled);
    }
    if (has_xss) {
        out[ECX] = (uint32_t)xstate_xss_mask(q->profile);
    }
}

static void leaf_xsave(const struct question *q, uint32_t out[4])
{
    if (!has(q, VMX_FEATURE_XSAVE)) {
        memset(out, 0, 4 * sizeof(*out));
    } else if (q->subleaf == 0) {
        leaf_xsave_enabled(q, out);
    } else if (q->subleaf == 1) {
        leaf_xsave_supervisor(q, out);
    } else if (q->subleaf < XSTATE_NUM_COMPONENTS) {
        struct xstate_component component = xstate_component_of(q->profile, q->subleaf);
        out[EAX] = component.size;
        out[EBX] = component.offset;
        out[ECX] = component.supervisor;
    }
}

static void leaf_processor_trace(const struct question *q, uint32_t out[4])
{
    if (!has(q, VMX_FEATURE_PT)) {
        memset(out, 0, 4 * sizeof(*out));
    } else if (q->subleaf == 0) {
        out[EAX] = 1; // the last subleaf
    } else if (q->subleaf == 1) {
        out[EAX] = (uint32_t)q->profile->pt_mtc_periods << 16 | q->profile->num_pt_ranges;
        out[EBX] = (uint32_t)q->profile->pt_psb_frequencies << 16 | q->profile->pt_cyc_thresholds;
    }
}

static void leaf_tsc(const struct question *q, uint32_t out[4])
{
    out[EAX] = q->profile->tsc_denominator;
    out[EBX] = q->profile->tsc_numerator;
    out[ECX] = q->profile->crystal_hz;
}

static bool in_64_bit_mode(const struct vmx_cpu *cpu)
{
    return (cpu->vmcs.field[VMCS_GUEST_IA32_EFER] & MMU_EFER_LMA) != 0 &&
           (cpu->vmcs.field[VMCS_GUEST_CS_ACCESS] & 0x2000) != 0;
}

// SDM Vol. 2A, CPUID leaf 80000001H: SYSCALL shows only in 64-bit mode.
static void leaf_extended_features(const struct question *q, uint32_t out[4])
{
    set_if(has(q, VMX_FEATURE_SYSCALL) && in_64_bit_mode(q->cpu), 1u << 11, &out[EDX]);
    set_if(has(q, VMX_FEATURE_NX) && !misc_enable(q, MISC_ENABLE_XD_DISABLE), 1u << 20, &out[EDX]);
}

static void leaf_brand(const struct question *q, uint32_t out[4])
{
    char brand[48] = {0};
    for (size_t i = 0; i < sizeof(brand) - 1 && q->profile->brand[i] != '\0'; i++) {
        brand[i] = q->profile->brand[i];
    }
    for (unsigned i = 0; i < 4; i++) {
        out[i] = load_u32(brand + (size_t)(q->leaf - 0x80000002u) * 16 + (size_t)i * 4);
    }
}

// SDM Vol. 2A, CPUID leaf 80000006H: the codes of the numbers of ways that a cache may have.
static uint32_t ways_code(uint32_t ways)
{
    static const uint8_t codes[][2] = {{1, 1}, {2, 2}, {4, 4}, {8, 6}, {16, 8}};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i][0] == ways) {
            return codes[i][1];
        }
    }
    return 7; // see leaf 4
}

// The second level: size in KiB, ways, lines of 64 bytes.
static void leaf_level_2(const struct question *q, uint32_t out[4])
{
    for (unsigned i = 0; i < VMX_MAX_CACHES; i++) {
        const struct vmx_cache *cache = &q->profile->cache[i];
        if (cache->level == 2) {
            uint32_t kib = cache->num_sets * cache->ways * 64 / 1024;
            out[ECX] = kib << 16 | ways_code(cache->ways) << 12 | 64;
        }
    }
}

static void leaf_addresses(const struct question *q, uint32_t out[4])
{
    out[EAX] = (uint32_t)q->profile->linear_bits << 8 | q->profile->max_phys_bits;
}

static void basic_leaf(const struct question *q, uint32_t out[4])
{
    switch (q->leaf) {
    case 0x00:
        leaf_vendor(q, out);
        break;
    case 0x01:
        leaf_features(q, out);
        break;
    case 0x04:
        leaf_cache(q, out);
        break;
    case 0x05:
        leaf_of(q, VMX_FEATURE_MONITOR, out);
        break;
    case 0x07:
        leaf_structured(q, out);
        break;
    case 0x0A:
        leaf_perfmon(q, out);
        break;
    case 0x0B:
        leaf_topology(q, out);
        break;
    case 0x0D:
        leaf_xsave(q, out);
        break;
    case 0x0F:
        leaf_of(q, VMX_FEATURE_RDT_M, out);
        break;
    case 0x10:
        leaf_of(q, VMX_FEATURE_RDT_A, out);
        break;
    case 0x14:
        leaf_processor_trace(q, out);
        break;
    case 0x15:
        leaf_tsc(q, out);
        break;
    case 0x1C:
        leaf_of(q, VMX_FEATURE_ARCH_LBR, out);
        break;
    default: // reserved, or nothing beyond the feature bits
        break;
    }
}

static void extended_leaf(const struct question *q, uint32_t out[4])
{
    switch (q->leaf) {
    case 0x80000000:
        out[EAX] = LAST_EXTENDED_LEAF;
        break;
    case 0x80000001:
        leaf_extended_features(q, out);
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        leaf_brand(q, out);
        break;
    case 0x80000006:
        leaf_level_2(q, out);
        break;
    case 0x80000008:
        leaf_addresses(q, out);
        break;
    default:
        break;
    }
}

// A leaf or subleaf with one meaning whatever ECX says keeps its feature bits at subleaf 0.
static bool has_subleaves(uint32_t leaf)
{
    switch (leaf) {
    case 0x04:
    case 0x07:
    case 0x0B:
    case 0x0D:
    case 0x0F:
    case 0x10:
    case 0x12:
    case 0x14:
    case 0x18:
        return true;
    default:
        return false;
    }
}

void vmx_cpuid(const struct vmx_profile *profile, const struct vmx_cpu *cpu, uint32_t leaf,
               uint32_t subleaf, uint32_t out[4])
{
    struct question q = {.profile = profile, .cpu = cpu, .leaf = leaf, .subleaf = subleaf};
    bool extended = leaf >= FIRST_EXTENDED && leaf <= LAST_EXTENDED_LEAF;

    if (!extended && leaf > last_basic_leaf(&q)) {
        q.leaf = last_basic_leaf(&q);
    }
    if (!has_subleaves(q.leaf)) {
        q.subleaf = 0;
    }
    memset(out, 0, 4 * sizeof(*out));
    add_constants(&q, out);
    add_features(&q, out);
    if (extended) {
        extended_leaf(&q, out);
    } else {
        basic_leaf(&q, out);
    }
}
