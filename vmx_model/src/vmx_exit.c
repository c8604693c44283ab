#include "vmx_model/vmx_exit.h"

#include <stddef.h>

static const char *const formats[] = {
#define QUALIFICATION_FORMAT(name, text) text,
#include "vmx_model/exit_reasons.def"
};

const char *vmx_exit_reason_name(uint32_t reason)
{
    switch (reason & 0xFFFF) {
#define EXIT_REASON(name, number, format, text)                                                    \
    case number:                                                                                   \
        return #name;
#include "vmx_model/exit_reasons.def"
    default:
        return NULL;
    }
}

const char *vmx_exit_reason_text(uint32_t reason)
{
    switch (reason & 0xFFFF) {
#define EXIT_REASON(name, number, format, text)                                                    \
    case number:                                                                                   \
        return text;
#include "vmx_model/exit_reasons.def"
    default:
        return NULL;
    }
}

enum vmx_qualification_format vmx_exit_qualification_format(uint32_t reason)
{
    // By number; what has no row is VMX_QUALIFICATION_NONE.
    static const uint8_t format_of[] = {
#define EXIT_REASON(name, number, format, text) [number] = VMX_QUALIFICATION_##format,
#include "vmx_model/exit_reasons.def"
    };
    uint32_t basic = reason & 0xFFFF;
    return basic < sizeof(format_of) ? (enum vmx_qualification_format)format_of[basic]
                                     : VMX_QUALIFICATION_NONE;
}

const char *vmx_qualification_text(enum vmx_qualification_format format)
{
    return (unsigned)format < VMX_NUM_QUALIFICATION_FORMATS ? formats[format] : NULL;
}

const char *vmx_instruction_error_text(uint32_t error)
{
    switch (error) {
#define INSTRUCTION_ERROR(name, number, text)                                                      \
    case number:                                                                                   \
        return text;
#include "vmx_model/instruction_errors.def"
    default:
        return NULL;
    }
}

const char *vmx_event_type_text(unsigned type)
{
    static const char *const texts[] = {
        [VMX_EVENT_EXTERNAL_INTERRUPT] = "external interrupt",
        [VMX_EVENT_NMI] = "NMI",
        [VMX_EVENT_HARDWARE_EXCEPTION] = "hardware exception",
        [VMX_EVENT_SOFTWARE_INTERRUPT] = "software interrupt",
        [VMX_EVENT_PRIVILEGED_SOFTWARE_EXCEPTION] = "privileged software exception",
        [VMX_EVENT_SOFTWARE_EXCEPTION] = "software exception",
        [VMX_EVENT_OTHER] = "other event",
    };
    return type < sizeof(texts) / sizeof(texts[0]) ? texts[type] : NULL;
}

//  31      30  13  12              11           10  8  7     0
// | valid | 0    | NMI unblocked | error code | type | vector |
#define INFORMATION_VALID         0x80000000u
#define INFORMATION_NMI_UNBLOCKED 0x1000u
#define INFORMATION_ERROR_CODE    0x800u

uint32_t vmx_event_information(const struct vmx_event *event)
{
    if (!event->valid) {
        return 0;
    }
    return INFORMATION_VALID | (event->nmi_unblocked ? INFORMATION_NMI_UNBLOCKED : 0) |
           (event->has_error_code ? INFORMATION_ERROR_CODE : 0) | (uint32_t)event->type << 8 |
           event->vector;
}

struct vmx_event vmx_event_of(uint32_t information, uint32_t error_code)
{
    if ((information & INFORMATION_VALID) == 0) {
        return (struct vmx_event){.valid = false};
    }
    bool has_error_code = (information & INFORMATION_ERROR_CODE) != 0;
    return (struct vmx_event){
        .valid = true,
        .has_error_code = has_error_code,
        .nmi_unblocked = (information & INFORMATION_NMI_UNBLOCKED) != 0,
        .type = (enum vmx_event_type)(information >> 8 & 7),
        .vector = (uint8_t)information,
        .error_code = has_error_code ? error_code : 0,
    };
}

static void record_events(uint64_t field[], const struct vmx_exit *exit)
{
    const struct vmx_event *event = &exit->event;
    const struct vmx_event *vectoring = &exit->vectoring;
    field[VMCS_EXIT_INTERRUPTION_INFORMATION] = vmx_event_information(event);
    field[VMCS_EXIT_INTERRUPTION_ERROR_CODE] = event->has_error_code ? event->error_code : 0;
    field[VMCS_IDT_VECTORING_INFORMATION] = vmx_event_information(vectoring);
    field[VMCS_IDT_VECTORING_ERROR_CODE] = vectoring->has_error_code ? vectoring->error_code : 0;
}

void vmx_exit_record(struct vmcs *vmcs, const struct vmx_exit *exit)
{
    uint64_t *field = vmcs->field;
    field[VMCS_EXIT_REASON] = exit->reason;
    field[VMCS_EXIT_QUALIFICATION] = exit->qualification;
    // SDM Vol. 3C, "VM-Entry Failures During or After Loading Guest State".
    if ((exit->reason & VMX_EXIT_ENTRY_FAILURE) != 0) {
        return;
    }
    field[VMCS_GUEST_LINEAR_ADDRESS] = exit->guest_linear;
    if (vmcs_slot_exists(vmcs->profile, VMCS_GUEST_PHYSICAL_ADDRESS)) {
        field[VMCS_GUEST_PHYSICAL_ADDRESS] = exit->guest_physical;
    }
    field[VMCS_EXIT_INSTRUCTION_LENGTH] = exit->instruction_length;
    field[VMCS_EXIT_INSTRUCTION_INFORMATION] = exit->instruction_information;
    record_events(field, exit);
    field[VMCS_IO_RCX] = exit->io_rcx;
    field[VMCS_IO_RSI] = exit->io_rsi;
    field[VMCS_IO_RDI] = exit->io_rdi;
    field[VMCS_IO_RIP] = exit->io_rip;
    field[VMCS_ENTRY_INTERRUPTION_INFORMATION] &= ~(uint64_t)INFORMATION_VALID;
}

struct vmx_exit vmx_exit_of(const struct vmcs *vmcs)
{
    const uint64_t *field = vmcs->field;
    return (struct vmx_exit){
        .reason = (uint32_t)field[VMCS_EXIT_REASON],
        .qualification = field[VMCS_EXIT_QUALIFICATION],
        .guest_linear = field[VMCS_GUEST_LINEAR_ADDRESS],
        .guest_physical = field[VMCS_GUEST_PHYSICAL_ADDRESS],
        .instruction_length = (uint32_t)field[VMCS_EXIT_INSTRUCTION_LENGTH],
        .instruction_information = (uint32_t)field[VMCS_EXIT_INSTRUCTION_INFORMATION],
        .event = vmx_event_of((uint32_t)field[VMCS_EXIT_INTERRUPTION_INFORMATION],
                              (uint32_t)field[VMCS_EXIT_INTERRUPTION_ERROR_CODE]),
        .vectoring = vmx_event_of((uint32_t)field[VMCS_IDT_VECTORING_INFORMATION],
                                  (uint32_t)field[VMCS_IDT_VECTORING_ERROR_CODE]),
        .io_rcx = field[VMCS_IO_RCX],
        .io_rsi = field[VMCS_IO_RSI],
        .io_rdi = field[VMCS_IO_RDI],
        .io_rip = field[VMCS_IO_RIP],
    };
}

// Bits of `mask` from `masked`, the others from `value`.
static uint64_t merge(uint64_t mask, uint64_t masked, uint64_t value)
{
    return (masked & mask) | (value & ~mask);
}

uint64_t vmx_guest_cr0(const struct vmcs *vmcs)
{
    const uint64_t *field = vmcs->field;
    return merge(field[VMCS_CR0_MASK], field[VMCS_CR0_SHADOW], field[VMCS_GUEST_CR0]);
}

uint64_t vmx_guest_cr4(const struct vmcs *vmcs)
{
    const uint64_t *field = vmcs->field;
    return merge(field[VMCS_CR4_MASK], field[VMCS_CR4_SHADOW], field[VMCS_GUEST_CR4]);
}

uint64_t vmx_guest_cr0_written(const struct vmcs *vmcs, uint64_t value)
{
    return merge(vmcs->field[VMCS_CR0_MASK], vmcs->field[VMCS_GUEST_CR0], value);
}

uint64_t vmx_guest_cr4_written(const struct vmcs *vmcs, uint64_t value)
{
    return merge(vmcs->field[VMCS_CR4_MASK], vmcs->field[VMCS_GUEST_CR4], value);
}

void vmx_guest_cr0_set(struct vmcs *vmcs, uint64_t value)
{
    vmcs->field[VMCS_GUEST_CR0] = vmx_guest_cr0_written(vmcs, value);
    vmcs->field[VMCS_CR0_SHADOW] = value;
}

void vmx_guest_cr4_set(struct vmcs *vmcs, uint64_t value)
{
    vmcs->field[VMCS_GUEST_CR4] = vmx_guest_cr4_written(vmcs, value);
    vmcs->field[VMCS_CR4_SHADOW] = value;
}

bool vmx_guest_cr0_write_exits(const struct vmcs *vmcs, uint64_t value)
{
    return ((value ^ vmcs->field[VMCS_CR0_SHADOW]) & vmcs->field[VMCS_CR0_MASK]) != 0;
}

bool vmx_guest_cr4_write_exits(const struct vmcs *vmcs, uint64_t value)
{
    return ((value ^ vmcs->field[VMCS_CR4_SHADOW]) & vmcs->field[VMCS_CR4_MASK]) != 0;
}
