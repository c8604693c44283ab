#include "vmx_model/vmx_exit.h"

#include "vmx_tests.h"

#include <string.h>

// The manual's numbers again: those that are reserved have no name.
static void reasons_have_names_where_the_manual_has_them(void **state)
{
    (void)state;
    static const unsigned reserved[] = {35, 38, 42, 71};
    for (unsigned reason = 0; reason < 80; reason++) {
        bool named = true;
        for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
            named = named && reason != reserved[i];
        }
        assert_int_equal(named, vmx_exit_reason_name(reason) != NULL);
        assert_int_equal(named, vmx_exit_reason_text(reason) != NULL);
        assert_non_null(vmx_qualification_text(vmx_exit_qualification_format(reason)));
    }
    assert_null(vmx_exit_reason_name(80));
    assert_null(vmx_exit_reason_text(0xFFFF));
    assert_int_equal(VMX_QUALIFICATION_NONE, vmx_exit_qualification_format(80));
    assert_null(vmx_qualification_text(VMX_NUM_QUALIFICATION_FORMATS));
}

static void a_reason_is_its_low_half(void **state)
{
    (void)state;
    assert_string_equal("INVALID_GUEST_STATE", vmx_exit_reason_name(0x80000021));
    assert_string_equal("VM-entry failure: invalid guest state", vmx_exit_reason_text(0x80000021));
    assert_int_equal(VMX_QUALIFICATION_ENTRY_FAILURE, vmx_exit_qualification_format(0x80000021));
    assert_string_equal("CPUID", vmx_exit_reason_name(10));
    assert_int_equal(VMX_QUALIFICATION_IO, vmx_exit_qualification_format(VMX_EXIT_IO));
    assert_string_equal("linear address",
                        vmx_qualification_text(vmx_exit_qualification_format(VMX_EXIT_INVLPG)));
}

static void instruction_errors_have_texts_where_the_manual_has_them(void **state)
{
    (void)state;
    for (unsigned error = 0; error <= 40; error++) {
        bool defined = error >= 1 && error <= 28 && error != 14 && error != 21 && error != 27;
        assert_int_equal(defined, vmx_instruction_error_text(error) != NULL);
    }
    assert_string_equal("VM entry with invalid control fields",
                        vmx_instruction_error_text(VMX_ERROR_ENTRY_CONTROLS));
}

static void event_types_have_texts(void **state)
{
    (void)state;
    assert_string_equal("external interrupt", vmx_event_type_text(0));
    assert_null(vmx_event_type_text(1));
    assert_string_equal("NMI", vmx_event_type_text(2));
    assert_string_equal("other event", vmx_event_type_text(7));
    assert_null(vmx_event_type_text(8));
}

static struct information_case {
    const char *name;
    struct vmx_event event;
    uint32_t information;
} information_cases[] = {
    {"no event", {.valid = false}, 0},
    {"external interrupt 0x20",
     {.valid = true, .type = VMX_EVENT_EXTERNAL_INTERRUPT, .vector = 0x20},
     0x80000020},
    {"NMI", {.valid = true, .type = VMX_EVENT_NMI, .vector = 2}, 0x80000202},
    {"#PF with its error code",
     {.valid = true,
      .type = VMX_EVENT_HARDWARE_EXCEPTION,
      .vector = 14,
      .has_error_code = true,
      .error_code = 7},
     0x80000B0E},
    {"#DB in an IRET that unblocks NMIs",
     {.valid = true, .type = VMX_EVENT_HARDWARE_EXCEPTION, .vector = 1, .nmi_unblocked = true},
     0x80001301},
    {"INT 0x80", {.valid = true, .type = VMX_EVENT_SOFTWARE_INTERRUPT, .vector = 0x80}, 0x80000480},
};

enum { NUM_INFORMATION_CASES = sizeof(information_cases) / sizeof(information_cases[0]) };

static void has_its_information(void **state)
{
    const struct information_case *row = *state;
    assert_int_equal(row->information, vmx_event_information(&row->event));
    struct vmx_event back = vmx_event_of(row->information, row->event.error_code);
    assert_int_equal(row->event.valid, back.valid);
    assert_int_equal(row->event.has_error_code, back.has_error_code);
    assert_int_equal(row->event.nmi_unblocked, back.nmi_unblocked);
    assert_int_equal(row->event.type, back.type);
    assert_int_equal(row->event.vector, back.vector);
    assert_int_equal(row->event.error_code, back.error_code);
}

static void an_error_code_counts_only_with_its_bit(void **state)
{
    (void)state;
    assert_int_equal(0, vmx_event_of(0x8000030D, 0x55).error_code);
    assert_int_equal(0x55, vmx_event_of(0x80000B0D, 0x55).error_code);
}

static const struct vmx_exit page_fault = {
    .reason = VMX_EXIT_EXCEPTION_OR_NMI,
    .qualification = 0x1234,
    .guest_linear = 0x5678,
    .guest_physical = 0x9ABC,
    .instruction_length = 3,
    .instruction_information = 0x42,
    .event = {.valid = true,
              .type = VMX_EVENT_HARDWARE_EXCEPTION,
              .vector = 14,
              .has_error_code = true,
              .error_code = 7},
    .vectoring = {.valid = true,
                  .type = VMX_EVENT_HARDWARE_EXCEPTION,
                  .vector = 13,
                  .has_error_code = true,
                  .error_code = 0x10},
    .io_rcx = 1,
    .io_rsi = 2,
    .io_rdi = 3,
    .io_rip = 4,
};

static void an_exit_is_in_its_fields(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    cpu.vmcs.field[VMCS_ENTRY_INTERRUPTION_INFORMATION] = 0x80000202;
    vmx_exit_record(&cpu.vmcs, &page_fault);
    static const struct {
        uint32_t encoding;
        uint64_t want;
    } rows[] = {
        {0x4402, 0},          {0x6400, 0x1234}, {0x640A, 0x5678},     {0x2400, 0x9ABC},
        {0x440C, 3},          {0x440E, 0x42},   {0x4404, 0x80000B0E}, {0x4406, 7},
        {0x4408, 0x80000B0D}, {0x440A, 0x10},   {0x6402, 1},          {0x6404, 2},
        {0x6406, 3},          {0x6408, 4},      {0x4016, 0x202},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(rows[i].want, read_field(&cpu, rows[i].encoding));
    }
    struct vmx_exit back = vmx_exit_of(&cpu.vmcs);
    struct vmx_cpu again = generic_cpu();
    again.vmcs.field[VMCS_ENTRY_INTERRUPTION_INFORMATION] = 0x202;
    vmx_exit_record(&again.vmcs, &back);
    assert_cpu_equal(&cpu, &again);
}

static void an_exit_without_events_clears_them(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    vmx_exit_record(&cpu.vmcs, &page_fault);
    vmx_exit_record(&cpu.vmcs, &(struct vmx_exit){.reason = VMX_EXIT_CPUID});
    assert_int_equal(VMX_EXIT_CPUID, read_field(&cpu, 0x4402));
    for (uint32_t encoding = 0x4404; encoding <= 0x440E; encoding += 2) {
        assert_int_equal(0, read_field(&cpu, encoding));
    }
}

static void a_failed_entry_stores_reason_and_qualification_alone(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    cpu.vmcs.field[VMCS_ENTRY_INTERRUPTION_INFORMATION] = 0x80000202;
    vmx_exit_record(&cpu.vmcs, &page_fault);
    cpu.vmcs.field[VMCS_ENTRY_INTERRUPTION_INFORMATION] = 0x80000202;
    struct vmx_cpu want = cpu;
    want.vmcs.field[VMCS_EXIT_REASON] = 0x80000021;
    want.vmcs.field[VMCS_EXIT_QUALIFICATION] = 4;
    vmx_exit_record(&cpu.vmcs, &(struct vmx_exit){.reason = 0x80000021, .qualification = 4});
    assert_cpu_equal(&want, &cpu);
}

static void without_ept_there_is_no_guest_physical_address(void **state)
{
    (void)state;
    struct vmx_profile profile = vmx_profile_generic;
    struct vmx_cpu cpu;
    profile.feature[VMX_FEATURE_EN_EPT] = false;
    vmx_cpu_reset(&cpu, &profile);
    vmx_exit_record(&cpu.vmcs, &page_fault);
    assert_int_equal(0, cpu.vmcs.field[VMCS_GUEST_PHYSICAL_ADDRESS]);
}

static void the_guest_reads_shadows_through_masks(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    uint64_t *field = cpu.vmcs.field;
    assert_int_equal(0x60000010, vmx_guest_cr0(&cpu.vmcs)); // as after RESET
    assert_int_equal(0, vmx_guest_cr4(&cpu.vmcs));
    field[VMCS_CR0_MASK] = 0x0F;
    field[VMCS_CR0_SHADOW] = 0xFA;
    field[VMCS_GUEST_CR0] = 0x35;
    assert_int_equal(0x3A, vmx_guest_cr0(&cpu.vmcs));
    field[VMCS_CR4_MASK] = 0xF0;
    field[VMCS_CR4_SHADOW] = 0xAF;
    field[VMCS_GUEST_CR4] = 0x53;
    assert_int_equal(0xA3, vmx_guest_cr4(&cpu.vmcs));
}

static void a_write_leaves_the_hosts_bits_alone(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_int_equal(0x80000031, vmx_guest_cr0_written(&cpu.vmcs, 0x80000011));
    assert_int_equal(0x2020, vmx_guest_cr4_written(&cpu.vmcs, 0x20));
    vmx_guest_cr0_set(&cpu.vmcs, 0x80000011);
    vmx_guest_cr4_set(&cpu.vmcs, 0x20);
    assert_int_equal(0x80000011, vmx_guest_cr0(&cpu.vmcs));
    assert_int_equal(0x20, vmx_guest_cr4(&cpu.vmcs));
    assert_int_equal(0x80000031, read_field(&cpu, 0x6800));
    assert_int_equal(0x2020, read_field(&cpu, 0x6804));
    vmx_guest_cr0_set(&cpu.vmcs, 0x80000031);
    assert_int_equal(0x80000031, vmx_guest_cr0(&cpu.vmcs));
}

static void a_write_exits_when_it_changes_what_the_host_owns(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_false(vmx_guest_cr0_write_exits(&cpu.vmcs, 0x80000011));
    assert_true(vmx_guest_cr0_write_exits(&cpu.vmcs, 0x80000031)); // NE
    assert_false(vmx_guest_cr4_write_exits(&cpu.vmcs, 0x20));
    assert_true(vmx_guest_cr4_write_exits(&cpu.vmcs, 0x2020)); // VMXE
}

int main(void)
{
    static struct CMUnitTest rows[NUM_INFORMATION_CASES];
    for (unsigned i = 0; i < NUM_INFORMATION_CASES; i++) {
        rows[i] = (struct CMUnitTest){
            .name = information_cases[i].name,
            .test_func = has_its_information,
            .initial_state = &information_cases[i],
        };
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons_have_names_where_the_manual_has_them),
        cmocka_unit_test(a_reason_is_its_low_half),
        cmocka_unit_test(instruction_errors_have_texts_where_the_manual_has_them),
        cmocka_unit_test(event_types_have_texts),
        cmocka_unit_test(an_error_code_counts_only_with_its_bit),
        cmocka_unit_test(an_exit_is_in_its_fields),
        cmocka_unit_test(an_exit_without_events_clears_them),
        cmocka_unit_test(a_failed_entry_stores_reason_and_qualification_alone),
        cmocka_unit_test(without_ept_there_is_no_guest_physical_address),
        cmocka_unit_test(the_guest_reads_shadows_through_masks),
        cmocka_unit_test(a_write_leaves_the_hosts_bits_alone),
        cmocka_unit_test(a_write_exits_when_it_changes_what_the_host_owns),
    };
    return _cmocka_run_group_tests("interruption information", rows, NUM_INFORMATION_CASES, NULL,
                                   NULL) +
           cmocka_run_group_tests_name("VM exits", tests, NULL, NULL);
}
