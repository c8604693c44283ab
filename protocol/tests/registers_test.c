// Registers: where each stands on the wire, against offsets typed from the wire facts, and the two
// ways between packings and values, against a packer of another shape.

#include "protocol/registers.h"

#include <string.h>

#include "cmocka_rows.h"
#include "random.h"

struct place {
    const char *name;
    unsigned bit;
    unsigned size;
    unsigned offset;
};

// Offsets in a packing of all context registers.
static const struct place context_places[] = {
    {"rip", 0, 8, 0},          {"cr3", 1, 8, 8},           {"rsp", 2, 8, 16},
    {"rax", 3, 8, 24},         {"rbx", 4, 8, 32},          {"rcx", 5, 8, 40},
    {"rdx", 6, 8, 48},         {"rsi", 7, 8, 56},          {"rdi", 8, 8, 64},
    {"rbp", 9, 8, 72},         {"rflags", 10, 8, 80},      {"r8", 11, 8, 88},
    {"r9", 12, 8, 96},         {"r10", 13, 8, 104},        {"r11", 14, 8, 112},
    {"r12", 15, 8, 120},       {"r13", 16, 8, 128},        {"r14", 17, 8, 136},
    {"r15", 18, 8, 144},       {"cs", 19, 2, 152},         {"cs_access", 20, 4, 154},
    {"cs_base", 21, 8, 158},   {"cs_limit", 22, 4, 166},   {"ds", 23, 2, 170},
    {"ds_access", 24, 4, 172}, {"ds_base", 25, 8, 176},    {"ds_limit", 26, 4, 184},
    {"ss", 27, 2, 188},        {"ss_access", 28, 4, 190},  {"ss_base", 29, 8, 194},
    {"ss_limit", 30, 4, 202},  {"es", 31, 2, 206},         {"es_access", 32, 4, 208},
    {"es_base", 33, 8, 212},   {"es_limit", 34, 4, 220},   {"fs", 35, 2, 224},
    {"fs_access", 36, 4, 226}, {"fs_base", 37, 8, 230},    {"fs_limit", 38, 4, 238},
    {"gs", 39, 2, 242},        {"gs_access", 40, 4, 244},  {"gs_base", 41, 8, 248},
    {"gs_limit", 42, 4, 256},  {"cr0", 43, 8, 260},        {"cr2", 44, 8, 268},
    {"cr4", 45, 8, 276},       {"cr8", 46, 8, 284},        {"gdt_base", 47, 8, 292},
    {"gdt_limit", 48, 2, 300}, {"idt_base", 49, 8, 302},   {"idt_limit", 50, 2, 310},
    {"ldt", 51, 2, 312},       {"ldt_access", 52, 4, 314}, {"ldt_base", 53, 8, 318},
    {"ldt_limit", 54, 4, 326}, {"tss", 55, 2, 330},        {"tss_access", 56, 4, 332},
    {"tss_base", 57, 8, 336},  {"tss_limit", 58, 4, 344},  {"dr0", 59, 8, 348},
    {"dr1", 60, 8, 356},       {"dr2", 61, 8, 364},        {"dr3", 62, 8, 372},
    {"dr6", 63, 8, 380},       {"dr7", 63, 8, 388},
};

// A run of extended registers of one size.
static const struct {
    const char *first;
    unsigned bit;
    unsigned count;
    unsigned size;
    unsigned offset;
} extended_runs[] = {
    {"xcr0", 0, 1, 8, 0},      {"fpu_ctrl", 1, 4, 2, 8},  {"fpu_ip", 5, 2, 8, 16},
    {"st0", 7, 8, 10, 32},     {"mm0", 15, 8, 8, 112},    {"mxcsr", 23, 2, 4, 176},
    {"xmm0", 25, 16, 16, 184}, {"ymm0", 41, 16, 32, 440},
};

static void every_context_register_stands_where_the_facts_say(void **state)
{
    (void)state;
    assert_int_equal(NUM_CONTEXT_REGISTERS, 65);
    assert_int_equal(NUM_OF(context_places), 65);
    for (size_t i = 0; i < NUM_OF(context_places); i++) {
        const struct register_info *info = &context_registers[i];
        assert_string_equal(info->name, context_places[i].name);
        assert_int_equal(info->bit, context_places[i].bit);
        assert_int_equal(info->size, context_places[i].size);
        assert_int_equal(info->offset, context_places[i].offset);
    }
}

static void every_extended_register_stands_where_the_facts_say(void **state)
{
    (void)state;
    assert_int_equal(NUM_EXTENDED_REGISTERS, 57);
    size_t next = 0;
    for (size_t run = 0; run < NUM_OF(extended_runs); run++) {
        assert_string_equal(extended_registers[next].name, extended_runs[run].first);
        for (unsigned i = 0; i < extended_runs[run].count; i++, next++) {
            const struct register_info *info = &extended_registers[next];
            assert_int_equal(info->bit, extended_runs[run].bit + i);
            assert_int_equal(info->size, extended_runs[run].size);
            assert_int_equal(info->offset,
                             (uint64_t)extended_runs[run].offset + (uint64_t)i * info->size);
        }
    }
    assert_int_equal(next, 57);
}

static void full_masks_take_396_and_952_bytes(void **state)
{
    (void)state;
    assert_int_equal(context_size(CONTEXT_FULL_MASK), 396);
    assert_int_equal(extended_context_size(EXTENDED_FULL_MASK), 952);
    assert_int_equal(extended_context_size(UINT64_MAX), 952);
    assert_int_equal(extended_context_size(UINT64_C(0xFE00000000000000)), 0);
    assert_int_equal(context_size(0), 0);
    assert_int_equal(context_size(UINT64_C(1) << 63), 16);
}

// A context whose registers all differ in every byte.
static struct context distinct_context(void)
{
    struct context context;
    for (size_t i = 0; i < NUM_CONTEXT_REGISTERS; i++) {
        context.value[i] = 0;
        for (size_t byte = 0; byte < context_places[i].size; byte++) {
            context.value[i] |= (uint64_t)((i * 3 + byte * 67 + 1) & 0xFF) << (8 * byte);
        }
    }
    return context;
}

// Packs by copying slices out of the packing of all registers.
static size_t pack_by_slices(uint64_t mask, const uint8_t *all, uint8_t *out)
{
    size_t len = 0;
    for (size_t i = 0; i < NUM_OF(context_places); i++) {
        if (mask & UINT64_C(1) << context_places[i].bit) {
            memcpy(out + len, all + context_places[i].offset, context_places[i].size);
            len += context_places[i].size;
        }
    }
    return len;
}

static void check_context_mask(uint64_t mask)
{
    struct context context = distinct_context();
    uint8_t all[CONTEXT_FULL_SIZE];
    for (size_t i = 0; i < NUM_OF(context_places); i++) {
        memcpy(all + context_places[i].offset, &context.value[i], context_places[i].size);
    }
    uint8_t want[CONTEXT_FULL_SIZE];
    uint8_t got[CONTEXT_FULL_SIZE + 1];
    memset(got, 0xEE, sizeof(got));
    size_t len = pack_by_slices(mask, all, want);
    assert_int_equal(context_size(mask), len);
    context_pack(mask, &context, got);
    assert_memory_equal(want, got, len);
    assert_int_equal(got[len], 0xEE);

    struct context unpacked;
    memset(&unpacked, 0x5A, sizeof(unpacked));
    context_unpack(mask, want, &unpacked);
    for (size_t i = 0; i < NUM_CONTEXT_REGISTERS; i++) {
        uint64_t kept = UINT64_C(0x5A5A5A5A5A5A5A5A);
        assert_int_equal(unpacked.value[i],
                         mask >> context_places[i].bit & 1 ? context.value[i] : kept);
    }
}

static void each_mask_bit_alone_carries_its_register(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        check_context_mask(UINT64_C(1) << bit);
    }
}

static void random_masks_carry_exactly_their_registers(void **state)
{
    (void)state;
    uint64_t seed = 6;
    check_context_mask(CONTEXT_FULL_MASK);
    for (unsigned i = 0; i < 1000; i++) {
        check_context_mask(random_next(&seed));
    }
}

static void bit_63_is_dr6_and_then_dr7(void **state)
{
    (void)state;
    struct context context = {0};
    context.value[CONTEXT_dr6] = UINT64_C(0x1111111111111111);
    context.value[CONTEXT_dr7] = UINT64_C(0x2222222222222222);
    uint8_t packed[16];
    context_pack(UINT64_C(1) << 63, &context, packed);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(packed[i], 0x11);
        assert_int_equal(packed[8 + i], 0x22);
    }
}

static void check_extended_mask(uint64_t mask, const struct extended_context *context)
{
    uint8_t want[EXTENDED_FULL_SIZE];
    size_t len = 0;
    for (size_t i = 0; i < NUM_EXTENDED_REGISTERS; i++) {
        const struct register_info *info = &extended_registers[i];
        if (mask & UINT64_C(1) << i) {
            memcpy(want + len, context->bytes + info->offset, info->size);
            len += info->size;
        }
    }
    uint8_t got[EXTENDED_FULL_SIZE + 1];
    memset(got, 0xEE, sizeof(got));
    assert_int_equal(extended_context_size(mask), len);
    extended_context_pack(mask, context, got);
    assert_memory_equal(want, got, len);
    assert_int_equal(got[len], 0xEE);

    struct extended_context unpacked;
    memset(&unpacked, 0x5A, sizeof(unpacked));
    extended_context_unpack(mask, got, &unpacked);
    for (size_t i = 0; i < NUM_EXTENDED_REGISTERS; i++) {
        const struct register_info *info = &extended_registers[i];
        uint8_t kept[32];
        memset(kept, 0x5A, sizeof(kept));
        const uint8_t *expected = mask >> i & 1 ? context->bytes + info->offset : kept;
        assert_memory_equal(unpacked.bytes + info->offset, expected, info->size);
    }
}

static void extended_masks_carry_exactly_their_registers(void **state)
{
    (void)state;
    uint64_t seed = 61;
    struct extended_context context;
    random_fill(&seed, context.bytes, sizeof(context.bytes));
    for (unsigned bit = 0; bit < 64; bit++) {
        check_extended_mask(UINT64_C(1) << bit, &context);
    }
    for (unsigned i = 0; i < 1000; i++) {
        check_extended_mask(random_next(&seed), &context);
    }
}

static void an_extended_register_is_found_in_its_context(void **state)
{
    (void)state;
    struct extended_context context = {{0}};
    assert_ptr_equal(extended_register(&context, EXTENDED_xcr0), context.bytes);
    assert_ptr_equal(extended_register(&context, EXTENDED_mxcsr), context.bytes + 176);
    assert_ptr_equal(extended_register(&context, EXTENDED_ymm15), context.bytes + 920);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_context_register_stands_where_the_facts_say),
        cmocka_unit_test(every_extended_register_stands_where_the_facts_say),
        cmocka_unit_test(full_masks_take_396_and_952_bytes),
        cmocka_unit_test(each_mask_bit_alone_carries_its_register),
        cmocka_unit_test(random_masks_carry_exactly_their_registers),
        cmocka_unit_test(bit_63_is_dr6_and_then_dr7),
        cmocka_unit_test(extended_masks_carry_exactly_their_registers),
        cmocka_unit_test(an_extended_register_is_found_in_its_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
