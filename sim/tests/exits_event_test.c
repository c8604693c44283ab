// VM exits by events: exceptions that the bitmap asks for, and what stops the guest; and what is
// executed for a guest that has exited.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exits.h"
#include "exits_guest.h"

// An instruction's exception that the bitmap asks for, and one that the #PF fields sort out. After
// the step the last exit is the step's, so these run free until they loop.
struct exception_case {
    const char *name;
    const char *code;
    uint8_t length;
    struct change changes[NUM_CHANGES];
    uint64_t event, event_code, qualification, exit_length; // event 0: no exit
};

static struct exception_case exceptions[] = {
    {"#UD by its bit", ASM("\x0F\x0B"), WITH(CONTROL_BIT(EXCEPTIONS, 6)), 0x80000306},
    {"#UD without its bit", ASM("\x0F\x0B"), WITH({0})},
    {"#GP by its bit", ASM("\xB8\x50\x00\x00\x00\x8E\xD8"), WITH(CONTROL_BIT(EXCEPTIONS, 13)),
     0x80000B0D, 0x50},
    {"#PF by its bit", ASM("\xA1\0\x10\0\0\0\x30\0\0"), WITH(CONTROL_BIT(EXCEPTIONS, 14)),
     0x80000B0E, 0, UINT64_C(0x0000300000001000)},
    {"#PF whose error code does not match", ASM("\xA1\0\x10\0\0\0\x30\0\0"),
     WITH(CONTROL_BIT(EXCEPTIONS, 14), {PF_MASK, 2}, {PF_MATCH, 2})},
    {"#PF by a match that fails, its bit clear", ASM("\xA1\0\x10\0\0\0\x30\0\0"),
     WITH({PF_MASK, 2}, {PF_MATCH, 2}), 0x80000B0E, 0, UINT64_C(0x0000300000001000)},
    {"#DB by its bit", ASM("\xF1"), WITH(CONTROL_BIT(EXCEPTIONS, 1)), 0x80000501, .exit_length = 1},
    {"INT3 by its bit, as the debugger needs it", ASM("\xCC"), WITH({0}), 0x80000603,
     .exit_length = 1},
    {"the hypervisor's #UD is no exit", ASM("\x0F\x01\xC1"), WITH(CONTROL_BIT(EXCEPTIONS, 6))},
};

// Handlers become loops, so that the exit that is looked for stays the last.
static void loop_in_handlers(void)
{
    for (uint64_t vector = 0; vector < 256; vector++) {
        pulsim_poke(guest_rig.pulsim, LONG64_IMAGE + 16 * vector, "\xEB\xFE", 2);
    }
    for (unsigned cpu = 1; cpu < LONG64_NUM_CPUS; cpu++) {
        pulsim_register_write(guest_rig.pulsim, cpu, "rip", LONG64_VECTORS);
    }
}

static void run(void)
{
    struct packet request = rig_plain(PACKET_GO);
    rig_expect_value(&guest_rig, &request, 6);
    request = rig_plain(PACKET_GET_STATE);
    rig_ask(&guest_rig, &request);
    assert_true(guest_rig.reply.state.running);
}

static void an_exception(void **state)
{
    const struct exception_case *row = *state;
    loop_in_handlers();
    guest_place(row->code, row->length);
    guest_change(row->changes);
    pulsim_vmcs_write(guest_rig.pulsim, 0, REASON, NONE);
    run();
    assert_int_equal(guest_field(INTERRUPTION), row->event);
    if (row->event == 0) {
        assert_int_not_equal(guest_field(REASON), VMX_EXIT_EXCEPTION_OR_NMI);
        return;
    }
    assert_int_equal(guest_field(REASON), VMX_EXIT_EXCEPTION_OR_NMI);
    assert_int_equal(guest_field(INTERRUPTION_CODE), row->event_code);
    assert_int_equal(guest_field(QUALIFICATION), row->qualification);
    assert_int_equal(guest_field(LENGTH), row->exit_length);
}

static void break_in(void)
{
    struct packet request = rig_plain(PACKET_BREAK_IN);
    rig_expect_value(&guest_rig, &request, 2);
}

static void a_break_in_is_a_non_maskable_interrupt(void **state)
{
    (void)state;
    guest_place("\xEB\xFE", 2);
    run();
    break_in();
    for (unsigned cpu = 0; cpu < LONG64_NUM_CPUS; cpu++) {
        uint64_t value = 0;
        assert_true(pulsim_vmcs_read(guest_rig.pulsim, cpu, REASON, &value));
        assert_int_equal(value, VMX_EXIT_EXCEPTION_OR_NMI);
        assert_true(pulsim_vmcs_read(guest_rig.pulsim, cpu, INTERRUPTION, &value));
        assert_int_equal(value, 0x80000202);
    }
}

static void a_break_in_without_nmi_exiting_leaves_no_exit(void **state)
{
    (void)state;
    guest_place("\x0F\xA2\xEB\xFE", 4);
    assert_true(pulsim_vmcs_write(guest_rig.pulsim, 0, PIN, guest_field(PIN) & ~UINT64_C(0x28)));
    run();
    break_in();
    assert_int_equal(guest_field(REASON), VMX_EXIT_CPUID);
}

static void a_breakpoint_is_an_int3(void **state)
{
    (void)state;
    guest_place("\x90\x90\xEB\xFE", 4);
    struct packet request = {.kind = PACKET_SET_BREAKPOINT,
                             .set_breakpoint = {.address = GUEST_CODE_PHYS + 1}};
    rig_expect_value(&guest_rig, &request, 1);
    request = rig_plain(PACKET_GO);
    rig_expect_value(&guest_rig, &request, 6);
    request = rig_plain(PACKET_GET_STATE);
    rig_ask(&guest_rig, &request);
    assert_int_equal(guest_rig.reply.state.event, 4);
    assert_int_equal(guest_register("rip"), LONG64_ENTRY + 1);
    assert_int_equal(guest_field(REASON), VMX_EXIT_EXCEPTION_OR_NMI);
    assert_int_equal(guest_field(INTERRUPTION), 0x80000603);
    assert_int_equal(guest_field(LENGTH), 1);
    uint64_t other = 0;
    assert_true(pulsim_vmcs_read(guest_rig.pulsim, 1, INTERRUPTION, &other));
    assert_int_equal(other, 0x80000202);
}

static void a_triple_fault_keeps_its_reason(void **state)
{
    (void)state;
    guest_place("\x0F\x0B", 2);
    guest_set_register("idt_limit", 0);
    run();
    assert_int_equal(guest_field(REASON), VMX_EXIT_TRIPLE_FAULT);
    break_in();
    assert_int_equal(guest_field(REASON), VMX_EXIT_TRIPLE_FAULT);
}

// Vector 0x40, by the CPU's own APIC; a VM exit by external-interrupt exiting.
static void request_interrupt(void)
{
    struct packet svr = {.kind = PACKET_WRITE_MSR, .write_msr = {.index = 0x80F, .value = 0x1FF}};
    struct packet ipi = {.kind = PACKET_WRITE_MSR, .write_msr = {.index = 0x83F, .value = 0x40}};
    guest_place("\xFB\xEB\xFE", 3); // sti; loop
    loop_in_handlers();
    assert_true(pulsim_vmcs_write(guest_rig.pulsim, 0, PIN, guest_field(PIN) | 1));
    rig_expect_value(&guest_rig, &svr, 0);
    rig_expect_value(&guest_rig, &ipi, 0);
}

static void an_external_interrupt_by_its_control(void **state)
{
    (void)state;
    request_interrupt();
    run();
    assert_int_equal(guest_field(REASON), VMX_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(guest_field(INTERRUPTION), 0);
    assert_int_equal(guest_register("rip"), LONG64_VECTORS + UINT64_C(0x400));
}

static void an_acknowledged_interrupt_has_its_vector(void **state)
{
    (void)state;
    assert_true(
        pulsim_vmcs_write(guest_rig.pulsim, 0, EXIT_CONTROLS, guest_field(EXIT_CONTROLS) | 0x8000));
    request_interrupt();
    run();
    assert_int_equal(guest_field(INTERRUPTION), 0x80000040);
}

static void what_is_executed_for_the_guest_is_done(void **state)
{
    (void)state;
    // mov rax, cr4; and eax, ~VMXE; mov cr4, rax; mov rbx, cr4
    guest_place("\x0F\x20\xE0\x25\xFF\xDF\xFF\xFF\x0F\x22\xE0\x0F\x20\xE3", 14);
    for (unsigned i = 0; i < 3; i++) {
        guest_step();
    }
    assert_int_equal(guest_field(REASON), VMX_EXIT_CONTROL_REGISTER);
    guest_step();
    assert_int_equal(guest_register("rbx"), LONG64_CR4 & ~UINT64_C(0x2000));
    assert_int_equal(guest_register("cr4"), LONG64_CR4 & ~UINT64_C(0x2000));
    assert_int_equal(guest_field(GUEST_CR4), LONG64_CR4);
    assert_int_equal(guest_field(CR4_SHADOW), LONG64_CR4 & ~UINT64_C(0x2000));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, guest_open, guest_close)

int main(void)
{
    static const struct CMUnitTest others[] = {
        CASE(a_break_in_is_a_non_maskable_interrupt),
        CASE(a_break_in_without_nmi_exiting_leaves_no_exit),
        CASE(a_breakpoint_is_an_int3),
        CASE(a_triple_fault_keeps_its_reason),
        CASE(an_external_interrupt_by_its_control),
        CASE(an_acknowledged_interrupt_has_its_vector),
        CASE(what_is_executed_for_the_guest_is_done),
    };
    enum { NUM_EXCEPTIONS = sizeof(exceptions) / sizeof(exceptions[0]) };
    struct CMUnitTest rows[NUM_EXCEPTIONS];
    for (size_t i = 0; i < NUM_EXCEPTIONS; i++) {
        rows[i] = (struct CMUnitTest){exceptions[i].name, an_exception, guest_open, guest_close,
                                      &exceptions[i]};
    }
    int failed = cmocka_run_group_tests_name("exceptions", rows, NULL, NULL);
    return failed + cmocka_run_group_tests_name("stops", others, NULL, NULL);
}
