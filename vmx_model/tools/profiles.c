// Makes constant tables of processor profiles: profiles OUT.c FILE.yaml...
//
// Every file becomes one struct vmx_profile; vmx_profiles lists them in the order of the command
// line. Whatever a processor could not have ends the build with the file and the reason.
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cyaml/cyaml.h>

#include "vmx_model/profile.h"

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

// --- what a file says ------------------------------------------------------------------------

struct counters {
    uint8_t version, general, fixed, bits, events;
};

struct trace {
    uint8_t ranges;
    uint16_t mtc_periods, cyc_thresholds, psb_frequencies;
};

struct vmcs_area {
    uint32_t revision;
    uint8_t max_index;
};

struct tsc {
    uint32_t crystal_hz, numerator, denominator;
};

struct cache {
    uint8_t type, level;
    uint16_t ways;
    uint32_t sets;
    bool shared, inclusive, complex;
};

struct leaf {
    uint32_t leaf, subleaf, eax, ebx, ecx, edx;
};

struct msr {
    uint32_t index;
    uint64_t value;
};

struct spec {
    char *name, *vendor, *brand;
    uint32_t signature, last_leaf, apic_version;
    uint8_t max_phys_bits, linear_bits, mc_banks, mtrrs, lbr_entries;
    struct counters counters;
    struct trace pt;
    struct vmcs_area vmcs;
    struct tsc tsc;
    struct cache *caches;
    unsigned caches_count;
    struct leaf *leaves;
    unsigned leaves_count;
    struct msr *msrs;
    unsigned msrs_count;
    bool every_feature;
    int *features;
    unsigned features_count;
};

static const cyaml_strval_t feature_names[] = {
#define CPUID_FEATURE(name, leaf, subleaf, register, bit) {#name, VMX_FEATURE_##name},
#define MSR_FEATURE(name, msr, bit)                       {#name, VMX_FEATURE_##name},
#define MODEL_FEATURE(name)                               {#name, VMX_FEATURE_##name},
#define VMX_FEATURE(name)                                 {#name, VMX_FEATURE_##name},
#include "vmx_model/features.def"
};

static const cyaml_strval_t cache_types[] = {
    {"data", 1},
    {"instruction", 2},
    {"unified", 3},
};

#define NEEDED   CYAML_FLAG_DEFAULT
#define OPTIONAL CYAML_FLAG_OPTIONAL
#define TEXT     CYAML_FLAG_POINTER

static const cyaml_schema_field_t counter_fields[] = {
    CYAML_FIELD_UINT("version", NEEDED, struct counters, version),
    CYAML_FIELD_UINT("general", NEEDED, struct counters, general),
    CYAML_FIELD_UINT("fixed", NEEDED, struct counters, fixed),
    CYAML_FIELD_UINT("bits", NEEDED, struct counters, bits),
    CYAML_FIELD_UINT("events", NEEDED, struct counters, events),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t trace_fields[] = {
    CYAML_FIELD_UINT("ranges", NEEDED, struct trace, ranges),
    CYAML_FIELD_UINT("mtc_periods", NEEDED, struct trace, mtc_periods),
    CYAML_FIELD_UINT("cyc_thresholds", NEEDED, struct trace, cyc_thresholds),
    CYAML_FIELD_UINT("psb_frequencies", NEEDED, struct trace, psb_frequencies),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t vmcs_fields[] = {
    CYAML_FIELD_UINT("revision", NEEDED, struct vmcs_area, revision),
    CYAML_FIELD_UINT("max_index", NEEDED, struct vmcs_area, max_index),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t tsc_fields[] = {
    CYAML_FIELD_UINT("crystal_hz", NEEDED, struct tsc, crystal_hz),
    CYAML_FIELD_UINT("numerator", NEEDED, struct tsc, numerator),
    CYAML_FIELD_UINT("denominator", NEEDED, struct tsc, denominator),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t cache_fields[] = {
    CYAML_FIELD_ENUM("type", CYAML_FLAG_STRICT, struct cache, type, cache_types,
                     ARRAY_LEN(cache_types)),
    CYAML_FIELD_UINT("level", NEEDED, struct cache, level),
    CYAML_FIELD_UINT("ways", NEEDED, struct cache, ways),
    CYAML_FIELD_UINT("sets", NEEDED, struct cache, sets),
    CYAML_FIELD_BOOL("shared", OPTIONAL, struct cache, shared),
    CYAML_FIELD_BOOL("inclusive", OPTIONAL, struct cache, inclusive),
    CYAML_FIELD_BOOL("complex", OPTIONAL, struct cache, complex),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t leaf_fields[] = {
    CYAML_FIELD_UINT("leaf", NEEDED, struct leaf, leaf),
    CYAML_FIELD_UINT("subleaf", OPTIONAL, struct leaf, subleaf),
    CYAML_FIELD_UINT("eax", OPTIONAL, struct leaf, eax),
    CYAML_FIELD_UINT("ebx", OPTIONAL, struct leaf, ebx),
    CYAML_FIELD_UINT("ecx", OPTIONAL, struct leaf, ecx),
    CYAML_FIELD_UINT("edx", OPTIONAL, struct leaf, edx),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t msr_fields[] = {
    CYAML_FIELD_UINT("index", NEEDED, struct msr, index),
    CYAML_FIELD_UINT("value", NEEDED, struct msr, value),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t cache_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct cache, cache_fields),
};

static const cyaml_schema_value_t leaf_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct leaf, leaf_fields),
};

static const cyaml_schema_value_t msr_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct msr, msr_fields),
};

static const cyaml_schema_value_t feature_schema = {
    CYAML_VALUE_ENUM(CYAML_FLAG_STRICT, int, feature_names, ARRAY_LEN(feature_names)),
};

static const cyaml_schema_field_t spec_fields[] = {
    CYAML_FIELD_STRING_PTR("name", TEXT, struct spec, name, 1, 31),
    CYAML_FIELD_STRING_PTR("vendor", TEXT, struct spec, vendor, 12, 12),
    CYAML_FIELD_STRING_PTR("brand", TEXT, struct spec, brand, 1, 47),
    CYAML_FIELD_UINT("signature", NEEDED, struct spec, signature),
    CYAML_FIELD_UINT("last_leaf", NEEDED, struct spec, last_leaf),
    CYAML_FIELD_UINT("max_phys_bits", NEEDED, struct spec, max_phys_bits),
    CYAML_FIELD_UINT("linear_bits", NEEDED, struct spec, linear_bits),
    CYAML_FIELD_MAPPING("counters", NEEDED, struct spec, counters, counter_fields),
    CYAML_FIELD_MAPPING("pt", NEEDED, struct spec, pt, trace_fields),
    CYAML_FIELD_UINT("mc_banks", NEEDED, struct spec, mc_banks),
    CYAML_FIELD_UINT("mtrrs", NEEDED, struct spec, mtrrs),
    CYAML_FIELD_UINT("lbr_entries", NEEDED, struct spec, lbr_entries),
    CYAML_FIELD_UINT("apic_version", NEEDED, struct spec, apic_version),
    CYAML_FIELD_MAPPING("vmcs", NEEDED, struct spec, vmcs, vmcs_fields),
    CYAML_FIELD_MAPPING("tsc", NEEDED, struct spec, tsc, tsc_fields),
    CYAML_FIELD_SEQUENCE("caches", CYAML_FLAG_POINTER, struct spec, caches, &cache_schema, 0,
                         VMX_MAX_CACHES),
    CYAML_FIELD_SEQUENCE("leaves", CYAML_FLAG_POINTER | OPTIONAL, struct spec, leaves, &leaf_schema,
                         0, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("msrs", CYAML_FLAG_POINTER | OPTIONAL, struct spec, msrs, &msr_schema, 0,
                         CYAML_UNLIMITED),
    CYAML_FIELD_BOOL("every_feature", OPTIONAL, struct spec, every_feature),
    CYAML_FIELD_SEQUENCE("features", CYAML_FLAG_POINTER | OPTIONAL, struct spec, features,
                         &feature_schema, 0, CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t spec_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct spec, spec_fields),
};

// --- what it may say ---------------------------------------------------------------------------

// Every message, libcyaml's too, begins with the file.
static void complain(cyaml_log_t level, void *context, const char *format, va_list args)
{
    const char *path = context;
    (void)level;
    (void)fprintf(stderr, "%s: ", path);
    (void)vfprintf(stderr, format, args);
}

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if (!isprint((unsigned char)*text) || *text == '"' || *text == '\\') {
            return false;
        }
    }
    return true;
}

static bool spec_has(const struct spec *spec, int feature)
{
    bool has = spec->every_feature;
    for (unsigned i = 0; i < spec->features_count; i++) {
        has = has || spec->features[i] == feature;
    }
    return has;
}

static unsigned times_named(const struct spec *spec, int feature)
{
    unsigned times = 0;
    for (unsigned i = 0; i < spec->features_count; i++) {
        times += spec->features[i] == feature;
    }
    return times;
}

static bool names_twice(const struct spec *spec)
{
    for (unsigned i = 0; i < spec->features_count; i++) {
        if (times_named(spec, spec->features[i]) > 1) {
            return true;
        }
    }
    return false;
}

static bool has_empty_cache(const struct spec *spec)
{
    for (unsigned i = 0; i < spec->caches_count; i++) {
        const struct cache *cache = &spec->caches[i];
        if (cache->level < 1 || cache->level > 4 || cache->ways < 1 || cache->ways > 1024 ||
            cache->sets < 1) {
            return true;
        }
    }
    return false;
}

// NULL when a processor can be like this, else what is wrong.
static const char *fault_of(const struct spec *spec)
{
    const struct {
        bool wrong;
        const char *reason;
    } checks[] = {
        {!is_printable(spec->name) || !is_printable(spec->vendor) || !is_printable(spec->brand),
         "name, vendor and brand are printable, without quotes and backslashes"},
        {spec->max_phys_bits < VMX_MIN_PHYS_BITS || spec->max_phys_bits > VMX_MAX_PHYS_BITS,
         "max_phys_bits is 32 to 52"},
        {spec->linear_bits != 48 && spec->linear_bits != 57, "linear_bits is 48 or 57"},
        {(spec->linear_bits == 57) != spec_has(spec, VMX_FEATURE_LA57),
         "linear_bits is 57 with the feature LA57, and 48 without it"},
        {spec->counters.general > VMX_MAX_GP_COUNTERS, "counters: general is at most 8"},
        {spec->counters.fixed > VMX_MAX_FIXED, "counters: fixed is at most 4"},
        {spec->counters.bits < 33 || spec->counters.bits > 63, "counters: bits is 33 to 63"},
        {spec->counters.events > 32, "counters: events is at most 32"},
        {spec->pt.ranges > VMX_MAX_PT_RANGES, "pt: ranges is at most 4"},
        {spec->mc_banks > VMX_MAX_MC_BANKS, "mc_banks is at most 20"},
        {spec->mtrrs > VMX_MAX_MTRRS, "mtrrs is at most 10"},
        {spec->lbr_entries > VMX_MAX_LBR_ENTRIES, "lbr_entries is at most 32"},
        {spec->last_leaf < 0x15 || spec->last_leaf > 0xFFFF, "last_leaf is 0x15 to 0xFFFF"},
        {spec->vmcs.revision > INT32_MAX, "vmcs: revision has 31 bits"},
        {spec->tsc.denominator == 0, "tsc: denominator is not 0"},
        {has_empty_cache(spec), "caches: level is 1 to 4, ways 1 to 1024, sets at least 1"},
        {names_twice(spec), "features: one is named twice"},
    };
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if (checks[i].wrong) {
            return checks[i].reason;
        }
    }
    return NULL;
}

// --- what becomes of it --------------------------------------------------------------------------

// A name as part of a C identifier.
static void put_symbol(FILE *out, const char *name)
{
    for (; *name != '\0'; name++) {
        (void)fputc(isalnum((unsigned char)*name) ? *name : '_', out);
    }
}

static void put_leaves(FILE *out, const struct spec *spec)
{
    (void)fputs("static const struct vmx_leaf leaves_", out);
    put_symbol(out, spec->name);
    (void)fputs("[] = {\n", out);
    for (unsigned i = 0; i < spec->leaves_count; i++) {
        const struct leaf *leaf = &spec->leaves[i];
        (void)fprintf(out, "    {0x%x, %u, {0x%x, 0x%x, 0x%x, 0x%x}},\n", leaf->leaf, leaf->subleaf,
                      leaf->eax, leaf->ebx, leaf->ecx, leaf->edx);
    }
    (void)fputs("    {0, 0, {0, 0, 0, 0}},\n};\n\n", out); // no empty array in C
}

static void put_msrs(FILE *out, const struct spec *spec)
{
    (void)fputs("static const struct vmx_msr_value msrs_", out);
    put_symbol(out, spec->name);
    (void)fputs("[] = {\n", out);
    for (unsigned i = 0; i < spec->msrs_count; i++) {
        (void)fprintf(out, "    {0x%x, UINT64_C(0x%" PRIx64 ")},\n", spec->msrs[i].index,
                      spec->msrs[i].value);
    }
    (void)fputs("    {0, 0},\n};\n\n", out);
}

static void put_numbers(FILE *out, const struct spec *spec)
{
    const struct {
        const char *name;
        uint32_t value;
    } members[] = {
        {"signature", spec->signature},
        {"last_leaf", spec->last_leaf},
        {"max_phys_bits", spec->max_phys_bits},
        {"linear_bits", spec->linear_bits},
        {"perfmon_version", spec->counters.version},
        {"num_gp_counters", spec->counters.general},
        {"num_fixed_counters", spec->counters.fixed},
        {"counter_bits", spec->counters.bits},
        {"num_perf_events", spec->counters.events},
        {"num_pt_ranges", spec->pt.ranges},
        {"pt_mtc_periods", spec->pt.mtc_periods},
        {"pt_cyc_thresholds", spec->pt.cyc_thresholds},
        {"pt_psb_frequencies", spec->pt.psb_frequencies},
        {"num_mc_banks", spec->mc_banks},
        {"num_mtrrs", spec->mtrrs},
        {"num_lbr_entries", spec->lbr_entries},
        {"apic_version", spec->apic_version},
        {"vmcs_revision", spec->vmcs.revision},
        {"vmcs_max_index", spec->vmcs.max_index},
        {"crystal_hz", spec->tsc.crystal_hz},
        {"tsc_numerator", spec->tsc.numerator},
        {"tsc_denominator", spec->tsc.denominator},
        {"num_leaves", spec->leaves_count},
        {"num_msrs", spec->msrs_count},
    };
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        (void)fprintf(out, "    .%s = 0x%x,\n", members[i].name, members[i].value);
    }
}

static void put_features(FILE *out, const struct spec *spec)
{
    (void)fputs("    .feature =\n        {\n", out);
    for (size_t i = 0; i < ARRAY_LEN(feature_names); i++) {
        if (spec_has(spec, (int)feature_names[i].val)) {
            (void)fprintf(out, "            [VMX_FEATURE_%s] = true,\n", feature_names[i].str);
        }
    }
    (void)fputs("        },\n", out);
}

static const char *word(bool value)
{
    return value ? "true" : "false";
}

static void put_caches(FILE *out, const struct spec *spec)
{
    (void)fputs("    .cache =\n        {\n", out);
    for (unsigned i = 0; i < spec->caches_count; i++) {
        const struct cache *cache = &spec->caches[i];
        (void)fprintf(out, "            {%u, %u, %u, %u, %s, %s, %s},\n", cache->type, cache->level,
                      cache->ways, cache->sets, word(cache->shared), word(cache->inclusive),
                      word(cache->complex));
    }
    (void)fputs("        },\n", out);
}

static void put_profile(FILE *out, const struct spec *spec)
{
    bool generic = strcmp(spec->name, "generic") == 0; // the only one that has a public name
    put_leaves(out, spec);
    put_msrs(out, spec);
    (void)fputs(generic ? "const struct vmx_profile vmx_profile_"
                        : "static const struct vmx_profile profile_",
                out);
    put_symbol(out, spec->name);
    (void)fprintf(out, " = {\n    .name = \"%s\",\n    .vendor = \"%s\",\n    .brand = \"%s\",\n",
                  spec->name, spec->vendor, spec->brand);
    put_numbers(out, spec);
    (void)fputs("    .leaves = leaves_", out);
    put_symbol(out, spec->name);
    (void)fputs(",\n    .msrs = msrs_", out);
    put_symbol(out, spec->name);
    (void)fputs(",\n", out);
    if (spec->caches_count != 0) {
        put_caches(out, spec);
    }
    put_features(out, spec);
    (void)fputs("};\n\n", out);
}

static void put_list(FILE *out, struct spec *const specs[], int num_specs)
{
    (void)fputs("const struct vmx_profile *const vmx_profiles[] = {\n", out);
    for (int i = 0; i < num_specs; i++) {
        bool generic = strcmp(specs[i]->name, "generic") == 0;
        (void)fputs(generic ? "    &vmx_profile_" : "    &profile_", out);
        put_symbol(out, specs[i]->name);
        (void)fputs(",\n", out);
    }
    (void)fputs("};\n\nconst size_t vmx_num_profiles = sizeof(vmx_profiles) / "
                "sizeof(vmx_profiles[0]);\n",
                out);
}

static struct spec *load(char *path, const cyaml_config_t *config)
{
    struct spec *spec = NULL;
    cyaml_err_t error = cyaml_load_file(path, config, &spec_schema, (cyaml_data_t **)&spec, NULL);
    if (error != CYAML_OK) {
        (void)fprintf(stderr, "%s: %s\n", path, cyaml_strerror(error));
        return NULL;
    }
    const char *fault = fault_of(spec);
    if (fault != NULL) {
        (void)fprintf(stderr, "%s: %s\n", path, fault);
        (void)cyaml_free(config, &spec_schema, spec, 0);
        return NULL;
    }
    return spec;
}

static bool write_table(const char *path, struct spec *const specs[], int num_specs)
{
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        perror(path);
        return false;
    }
    (void)fputs("// Made from profiles/*.yaml by tools/profiles.c.\n#include \"profiles.h\"\n\n",
                out);
    for (int i = 0; i < num_specs; i++) {
        put_profile(out, specs[i]);
    }
    put_list(out, specs, num_specs);
    bool written = !ferror(out);
    if (fclose(out) != 0 || !written) {
        perror(path);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fputs("usage: vmx_profiles OUT.c FILE.yaml...\n", stderr);
        return 2;
    }
    int num_specs = argc - 2;
    bool good = true;
    cyaml_config_t config = {
        .log_fn = complain,
        .mem_fn = cyaml_mem,
        .log_level = CYAML_LOG_ERROR,
        .flags = CYAML_CFG_NO_ALIAS,
    };
    struct spec **specs = calloc((size_t)num_specs, sizeof(struct spec *));
    for (int i = 0; specs != NULL && i < num_specs; i++) {
        config.log_ctx = argv[i + 2];
        specs[i] = load(argv[i + 2], &config);
        good = good && specs[i] != NULL;
    }
    good = specs != NULL && good && write_table(argv[1], specs, num_specs);
    for (int i = 0; specs != NULL && i < num_specs; i++) {
        (void)cyaml_free(&config, &spec_schema, specs[i], 0);
    }
    free((void *)specs);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
