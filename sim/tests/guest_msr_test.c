// The MSRs that act on the guest when a debugger reads and writes them: through the protocol, in
// the VMCS, and as guest code in the run loop sees them. SDM 3C, "VM-Exit Controls" and "Guest
// Register State".

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "long64.h"
#include "rig.h"

#define CODE_PHYS (LONG64_IMAGE + (LONG64_ENTRY - LONG64_VECTORS))

enum { NO_FIELD = 0, GP = 13, BREAK_IN = 2, RUNNING = 6 };

struct guest_msr {
    const char *name;
    uint32_t index;
    uint32_t field; // encoding of the guest's VMCS field
    uint64_t value; // a good one that is not the one at the start
    uint64_t start;
};

static struct guest_msr guest_msrs[] = {
    {"IA32_SYSENTER_CS", 0x174, 0x482A, 0x10, 0},
    {"IA32_SYSENTER_ESP", 0x175, 0x6824, UINT64_C(0xFFFF800000001238), 0},
    {"IA32_SYSENTER_EIP", 0x176, 0x6826, UINT64_C(0x00007FFFFFFFFFFF), 0},
    {"IA32_SMBASE", 0x9E, 0x4828, 0xA0000, 0x30000},
    {"IA32_DEBUGCTL", 0x1D9, 0x2802, 0x1, 0},
    {"IA32_PAT", 0x277, 0x2804, UINT64_C(0x0606060606060606), UINT64_C(0x0007040600070406)},
    {"IA32_EFER", 0xC0000080, 0x2806, 0xD00, 0xD01},
    {"IA32_PERF_GLOBAL_CTRL", 0x38F, 0x2808, UINT64_C(0x700000003), 0xFF},
    {"IA32_BNDCFGS", 0xD90, 0x2812, UINT64_C(0xFFFF800000003003), 0},
    {"IA32_RTIT_CTL", 0x570, 0x2814, 0xC, 0},
    {"IA32_PKRS", 0x6E1, 0x2818, 0x55555554, 0},
    {"IA32_S_CET", 0x6A2, 0x6828, 0x3, 0},
    {"IA32_INTERRUPT_SSP_TABLE_ADDR", 0x6A8, 0x682C, UINT64_C(0xFFFF800000005000), 0},
    {"IA32_FEATURE_CONTROL", 0x3A, NO_FIELD, 0x5, 0},
};

static struct rig rig;

static int tear_down(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static uint64_t reg(const char *name)
{
    uint64_t value = 0;
    assert_true(pulsim_register_read(rig.pulsim, 0, name, &value));
    return value;
}

static uint64_t field(uint32_t encoding)
{
    uint64_t value = 0;
    assert_true(pulsim_vmcs_read(rig.pulsim, 0, encoding, &value));
    return value;
}

static uint64_t read_msr(uint32_t index)
{
    struct packet request = {.kind = PACKET_READ_MSR, .read_msr = {.index = index}};
    rig_ask(&rig, &request);
    assert_true(rig.has_reply);
    assert_int_equal(rig.reply.kind, PACKET_MSR_DATA);
    return rig.reply.msr_data.value;
}

static void write_msr(uint32_t index, uint64_t value)
{
    struct packet request = {.kind = PACKET_WRITE_MSR,
                             .write_msr = {.index = index, .value = value}};
    rig_expect_value(&rig, &request, 0);
}

static void control(enum packet_kind kind)
{
    struct packet request = rig_plain(kind);
    rig_ask(&rig, &request);
    assert_true(rig.has_reply);
    assert_int_not_equal(rig.reply.kind, PACKET_STATUS);
}

// Handlers end in a loop of their own, so that RIP tells what was raised.
static void run_guest(const uint8_t *code, size_t len)
{
    for (uint64_t vector = 0; vector < 32; vector++) {
        pulsim_poke(rig.pulsim, LONG64_IMAGE + 16 * vector, "\xEB\xFE", 2);
    }
    pulsim_poke(rig.pulsim, CODE_PHYS, code, len);
    pulsim_poke(rig.pulsim, CODE_PHYS + len, "\xEB\xFE", 2);
    control(PACKET_GO);
    control(PACKET_GET_STATE);
    control(PACKET_BREAK_IN);
}

// mov ecx, index; rdmsr
static void guest_rdmsr(uint32_t index)
{
    uint8_t code[] = {0xB9, 0, 0, 0, 0, 0x0F, 0x32};
    memcpy(code + 1, &index, sizeof(index));
    run_guest(code, sizeof(code));
}

// mov ecx, index; mov eax, low; mov edx, high; wrmsr
static void guest_wrmsr(uint32_t index, uint64_t value)
{
    uint8_t code[] = {0xB9, 0, 0, 0, 0, 0xB8, 0, 0, 0, 0, 0xBA, 0, 0, 0, 0, 0x0F, 0x30};
    memcpy(code + 1, &index, 4);
    memcpy(code + 6, &value, 4);
    memcpy(code + 11, (const char *)&value + 4, 4);
    run_guest(code, sizeof(code));
}

static uint64_t edx_eax(void)
{
    return reg("rdx") << 32 | reg("rax");
}

static void expect_gp(uint64_t at)
{
    uint64_t frame[2] = {0};
    assert_int_equal(reg("rip"), LONG64_VECTORS + UINT64_C(16) * GP);
    uint64_t stack = reg("rsp") - LONG64_KERNEL;
    assert_int_equal(pulsim_peek(rig.pulsim, stack, frame, sizeof(frame)), sizeof(frame));
    assert_int_equal(frame[0], 0);  // error code
    assert_int_equal(frame[1], at); // of the instruction
}

static void debugger_writes_guest_reads(const struct guest_msr *row, enum protocol_version version)
{
    rig_open(&rig, version, false);
    assert_int_equal(read_msr(row->index), row->start);
    write_msr(row->index, row->value);
    assert_int_equal(read_msr(row->index), row->value);
    if (row->field != NO_FIELD) {
        assert_int_equal(field(row->field), row->value);
    }
    guest_rdmsr(row->index);
    if (strcmp(row->name, "IA32_SMBASE") == 0) {
        expect_gp(LONG64_ENTRY + 5);
    } else {
        assert_int_equal(reg("rip"), LONG64_ENTRY + 7);
        assert_int_equal(edx_eax(), row->value);
    }
    control(PACKET_REBOOT);
    assert_int_equal(read_msr(row->index), row->start);
    if (row->field != NO_FIELD) {
        assert_int_equal(field(row->field), row->start);
    }
}

static void in_version_1(void **state)
{
    debugger_writes_guest_reads(*state, PROTOCOL_V1);
}

static void in_version_2(void **state)
{
    debugger_writes_guest_reads(*state, PROTOCOL_V2);
}

// And back: what the guest writes, the debugger reads.
static void guest_writes_debugger_reads(void **state)
{
    const struct guest_msr *row = *state;
    rig_open(&rig, PROTOCOL_V2, false);
    guest_wrmsr(row->index, row->value);
    if (strcmp(row->name, "IA32_SMBASE") == 0) {
        expect_gp(LONG64_ENTRY + 15);
        assert_int_equal(read_msr(row->index), row->start);
        return;
    }
    assert_int_equal(reg("rip"), LONG64_ENTRY + 17);
    assert_int_equal(read_msr(row->index), row->value);
}

static void segment_bases_of_a_debugger_are_the_hosts(void **state)
{
    static const struct {
        uint32_t index;
        uint32_t host;
        const char *guest;
    } rows[] = {{0xC0000100, 0x6C06, "fs_base"}, {0xC0000101, 0x6C08, "gs_base"}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        rig_open(&rig, PROTOCOL_V2, false);
        uint64_t guest = reg(rows[i].guest);
        assert_int_equal(read_msr(rows[i].index), field(rows[i].host));
        write_msr(rows[i].index, UINT64_C(0xFFFF800012345000));
        assert_int_equal(field(rows[i].host), UINT64_C(0xFFFF800012345000));
        assert_int_equal(reg(rows[i].guest), guest);
        guest_rdmsr(rows[i].index);
        assert_int_equal(edx_eax(), guest);
        if (i == 0) {
            rig_close(&rig);
        }
    }
}

static void a_faulting_wrmsr_is_gp_through_the_guests_idt(void **state)
{
    (void)state;
    rig_open(&rig, PROTOCOL_V2, false);
    guest_wrmsr(0x277, 2); // no memory type
    expect_gp(LONG64_ENTRY + 15);
    assert_int_equal(read_msr(0x277), UINT64_C(0x0007040600070406));
}

static void a_locked_feature_control_is_gp_for_both(void **state)
{
    (void)state;
    rig_open(&rig, PROTOCOL_V2, false);
    write_msr(0x3A, 0x5);
    struct packet again = {.kind = PACKET_WRITE_MSR, .write_msr = {.index = 0x3A, .value = 0x5}};
    rig_expect_status(&rig, &again, 0xC001000D);
    guest_wrmsr(0x3A, 0x5);
    expect_gp(LONG64_ENTRY + 15);
}

// sim/targets/msrs.yaml: what the debugger gets there.
struct override_case {
    const char *name;
    uint32_t index;
    unsigned cpu;
    bool reads;
    uint64_t value; // read
    bool writes;    // any good value
    uint64_t good;
    uint64_t after; // read after the write
};

static struct override_case overrides[] = {
    {"a fixed MSR", 0xCE, 0, true, UINT64_C(0x80838F1012400), true, 7, UINT64_C(0x80838F1012400)},
    {"an MSR whose write faults", 0x1A0, 1, true, 0x1, false, 0x1, 0x1},
    {"a number of no processor", 0x40000000, 2, true, 1, false, 1, 1},
    {"an MSR that faults on one CPU", 0x277, 3, false, 0, false, 0, 0},
    {"the same on another CPU", 0x277, 0, true, UINT64_C(0x0007040600070406), true, 0, 0},
    {"an MSR with a value", 0x174, 0, true, 0x10, true, 8, 8},
    {"an MSR of the profile", 0x174, 3, true, 0x10, true, 0, 0},
    {"an MSR that the profile lacks", 0x6A2, 0, false, 0, false, 0, 0},
};

static void expect_msr(uint32_t index, bool reads, uint64_t value)
{
    struct packet read = {.kind = PACKET_READ_MSR, .read_msr = {.index = index}};
    rig_ask(&rig, &read);
    assert_int_equal(rig.reply.kind, reads ? PACKET_MSR_DATA : PACKET_STATUS);
    if (!reads) {
        assert_int_equal(rig.reply.status.status, 0xC001000D);
    } else if (index != 0x1A0) { // whose value is the profile's
        assert_int_equal(rig.reply.msr_data.value, value);
    }
}

static void an_override(void **state)
{
    const struct override_case *row = *state;
    rig_open_with(&rig, PROTOCOL_V2,
                  &(struct pulsim_options){.target = SIM_TARGETS_DIRECTORY "/msrs.yaml"});
    struct packet change = {.kind = PACKET_SWITCH_CPU, .switch_cpu = {.cpu = row->cpu}};
    rig_ask(&rig, &change);
    for (unsigned round = 0; round < 2; round++) { // a reset changes nothing
        expect_msr(row->index, row->reads, row->value);
        struct packet write = {.kind = PACKET_WRITE_MSR,
                               .write_msr = {.index = row->index, .value = row->good}};
        if (row->writes) {
            rig_expect_value(&rig, &write, 0);
        } else {
            rig_expect_status(&rig, &write, 0xC001000D);
        }
        expect_msr(row->index, row->reads, row->after);
        control(PACKET_REBOOT);
        rig_ask(&rig, &change);
    }
}

static void the_guest_meets_the_overrides_too(void **state)
{
    (void)state;
    rig_open_with(&rig, PROTOCOL_V2,
                  &(struct pulsim_options){.target = SIM_TARGETS_DIRECTORY "/msrs.yaml"});
    guest_rdmsr(0xCE);
    assert_int_equal(edx_eax(), UINT64_C(0x80838F1012400));
    control(PACKET_REBOOT);
    guest_wrmsr(0x1A0, 1);
    expect_gp(LONG64_ENTRY + 15);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, NULL, tear_down)

enum {
    NUM_MSRS = sizeof(guest_msrs) / sizeof(guest_msrs[0]),
    NUM_WAYS = 3,
    NUM_TESTS = NUM_MSRS * NUM_WAYS,
    NUM_OVERRIDES = sizeof(overrides) / sizeof(overrides[0]),
};

static char names[NUM_TESTS][80];

int main(void)
{
    static const struct {
        const char *text;
        CMUnitTestFunction test;
    } ways[NUM_WAYS] = {
        {"written in version 1, seen by the guest", in_version_1},
        {"written in version 2, seen by the guest", in_version_2},
        {"written by the guest, seen by the debugger", guest_writes_debugger_reads},
    };
    static const struct CMUnitTest others[] = {
        CASE(segment_bases_of_a_debugger_are_the_hosts),
        CASE(a_faulting_wrmsr_is_gp_through_the_guests_idt),
        CASE(a_locked_feature_control_is_gp_for_both),
        CASE(the_guest_meets_the_overrides_too),
    };
    struct CMUnitTest tests[NUM_TESTS];
    for (size_t i = 0; i < NUM_TESTS; i++) {
        struct guest_msr *row = &guest_msrs[i / NUM_WAYS];
        size_t way = i % NUM_WAYS;
        (void)snprintf(names[i], sizeof(names[i]), "%s, %s", row->name, ways[way].text);
        tests[i] = (struct CMUnitTest){names[i], ways[way].test, NULL, tear_down, row};
    }
    struct CMUnitTest rows[NUM_OVERRIDES];
    for (size_t i = 0; i < NUM_OVERRIDES; i++) {
        rows[i] =
            (struct CMUnitTest){overrides[i].name, an_override, NULL, tear_down, &overrides[i]};
    }
    int failed = cmocka_run_group_tests_name("guest MSRs", tests, NULL, NULL);
    failed += cmocka_run_group_tests_name("overrides", rows, NULL, NULL);
    return failed + cmocka_run_group_tests_name("others", others, NULL, NULL);
}
