// The contexts as views of the VMCS and of what lies beside it.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "context.h"
#include "long64.h"
#include "rig.h"

#define CODE_PHYS (LONG64_IMAGE + (LONG64_ENTRY - LONG64_VECTORS))

enum {
    CR0_MASK = 0x6000,
    CR4_MASK = 0x6002,
    CR0_SHADOW = 0x6004,
    CR4_SHADOW = 0x6006,
    GUEST_CR0 = 0x6800,
    GUEST_CR4 = 0x6804,
    MASK_CR0 = 43,
    MASK_CR4 = 45,
    MASK_CR8 = 46,
};

static struct rig rig;

static int set_up(void **state)
{
    (void)state;
    rig_open(&rig, PROTOCOL_V2, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static uint64_t field(uint32_t encoding)
{
    uint64_t value = 0;
    assert_true(pulsim_vmcs_read(rig.pulsim, 0, encoding, &value));
    return value;
}

static void set_field(uint32_t encoding, uint64_t value)
{
    assert_true(pulsim_vmcs_write(rig.pulsim, 0, encoding, value));
}

static uint64_t get_context(unsigned bit)
{
    struct packet request = {.kind = PACKET_GET_CONTEXT,
                             .get_context = {.mask = UINT64_C(1) << bit}};
    struct context context = {.value = {0}};
    rig_ask(&rig, &request);
    assert_int_equal(rig.reply.kind, PACKET_CONTEXT);
    context_unpack(UINT64_C(1) << bit, rig.reply.context.registers, &context);
    return context.value[bit];
}

static void set_context(unsigned bit, uint64_t value)
{
    struct packet request = {
        .kind = PACKET_SET_CONTEXT,
        .set_context = {.mask = UINT64_C(1) << bit, .registers = (const uint8_t *)&value}};
    rig_expect_value(&rig, &request, UINT64_C(1) << bit);
}

static void cr0_and_cr4_are_those_that_the_guest_reads(void **state)
{
    static const struct {
        unsigned bit;
        uint32_t mask, shadow, real;
    } rows[] = {{MASK_CR0, CR0_MASK, CR0_SHADOW, GUEST_CR0},
                {MASK_CR4, CR4_MASK, CR4_SHADOW, GUEST_CR4}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        set_field(rows[i].mask, UINT64_C(0xFF00FF00FF00FF00));
        set_field(rows[i].shadow, UINT64_C(0x1111111111111111));
        set_field(rows[i].real, UINT64_C(0x2222222222222222));
        assert_int_equal(get_context(rows[i].bit), UINT64_C(0x1122112211221122));
        set_context(rows[i].bit, UINT64_C(0x3333333333333333));
        assert_int_equal(get_context(rows[i].bit), UINT64_C(0x3333333333333333));
        assert_int_equal(field(rows[i].real), UINT64_C(0x2233223322332233));
        assert_int_equal(field(rows[i].mask), UINT64_C(0xFF00FF00FF00FF00));
    }
}

// mov rax, cr4; mov rbx, cr0: what the guest reads is what the context shows.
static void the_guest_reads_the_same(void **state)
{
    (void)state;
    set_field(CR0_MASK, field(CR0_MASK) | 0x40000);
    set_field(CR0_SHADOW, field(CR0_SHADOW) & ~UINT64_C(0x40000));
    set_field(CR4_MASK, field(CR4_MASK) | 0x100000);
    set_field(CR4_SHADOW, field(CR4_SHADOW) & ~UINT64_C(0x100000));
    pulsim_poke(rig.pulsim, CODE_PHYS, "\x0F\x20\xE0\x0F\x20\xC3", 6);
    struct packet step = rig_plain(PACKET_STEP);
    rig_expect_value(&rig, &step, 3);
    rig_expect_value(&rig, &step, 3);
    uint64_t value = 0;
    assert_true(pulsim_register_read(rig.pulsim, 0, "rax", &value));
    assert_int_equal(value, LONG64_CR4 & ~UINT64_C(0x100000));
    assert_int_equal(get_context(MASK_CR4), value);
    assert_true(pulsim_register_read(rig.pulsim, 0, "rbx", &value));
    assert_int_equal(value, LONG64_CR0 & ~UINT64_C(0x40000));
    assert_int_equal(get_context(MASK_CR0), value);
}

static void access_rights_come_back_as_they_were_set(void **state)
{
    static const unsigned bits[] = {20, 24, 28, 32, 36, 40, 52, 56};
    static const uint32_t values[] = {0x10000, 0xC093, 0, 0xFFFFFFFF, 0x1F0FF, 0x8B};
    (void)state;
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
            set_context(bits[i], values[k]);
            assert_int_equal(get_context(bits[i]), values[k]);
        }
    }
}

// One task priority: CR8, and bits 7:4 of the APIC's register.
static void cr8_is_the_task_priority(void **state)
{
    (void)state;
    struct packet read = {.kind = PACKET_READ_MSR, .read_msr = {.index = 0x808}};
    struct packet write = {.kind = PACKET_WRITE_MSR, .write_msr = {.index = 0x808, .value = 0x70}};
    set_context(MASK_CR8, 5);
    rig_ask(&rig, &read);
    assert_int_equal(rig.reply.msr_data.value, 0x50);
    rig_expect_value(&rig, &write, 0);
    assert_int_equal(get_context(MASK_CR8), 7);
}

// Which registers each feature brings; the full mask has them all.
static void the_extended_mask_is_that_of_the_processor(void **state)
{
    static const struct {
        enum vmx_feature feature;
        uint64_t mask;
    } rows[] = {
        {VMX_FEATURE_XSAVE, UINT64_C(0x1)},
        {VMX_FEATURE_FPU, UINT64_C(0x7FFE)},
        {VMX_FEATURE_MMX, UINT64_C(0x7F8000)},
        {VMX_FEATURE_SSE, UINT64_C(0x1FFFF800000)},
        {VMX_FEATURE_AVX, UINT64_C(0x1FFFE0000000000)},
    };
    (void)state;
    struct vmx_profile profile = vmx_profile_generic;
    struct cpu cpu = {.vmx = {.profile = &profile}};
    assert_int_equal(cpu_extended_mask(&cpu), EXTENDED_FULL_MASK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        profile.feature[rows[i].feature] = false;
        assert_int_equal(cpu_extended_mask(&cpu), EXTENDED_FULL_MASK & ~rows[i].mask);
        profile.feature[rows[i].feature] = true;
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(cr0_and_cr4_are_those_that_the_guest_reads), CASE(the_guest_reads_the_same),
        CASE(access_rights_come_back_as_they_were_set),   CASE(cr8_is_the_task_priority),
        CASE(the_extended_mask_is_that_of_the_processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
