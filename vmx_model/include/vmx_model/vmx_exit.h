// VM exits: their reasons, and how one is recorded in the VMCS; CR0 and CR4 as the guest sees
// them.
#ifndef VMX_MODEL_VMX_EXIT_H
#define VMX_MODEL_VMX_EXIT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmx_model/vmcs.h"

// VMX_EXIT_CPUID and the like: basic exit reasons.
enum vmx_exit_reason {
#define EXIT_REASON(name, number, format, text) VMX_EXIT_##name = (number),
#include "vmx_model/exit_reasons.def"
};

// VMX_QUALIFICATION_IO and the like: formats of the exit qualification.
enum vmx_qualification_format { // NONE is 0
#define QUALIFICATION_FORMAT(name, text) VMX_QUALIFICATION_##name,
#include "vmx_model/exit_reasons.def"
    VMX_NUM_QUALIFICATION_FORMATS
};

// VMX_ERROR_ENTRY_CONTROLS and the like: VM-instruction errors.
enum vmx_instruction_error {
    VMX_ERROR_NONE = 0,
#define INSTRUCTION_ERROR(name, number, text) VMX_ERROR_##name = (number),
#include "vmx_model/instruction_errors.def"
};

// Bit of an exit reason: the exit is a VM-entry failure.
#define VMX_EXIT_ENTRY_FAILURE 0x80000000u

// Of a basic exit reason (bits 15:0 count): "CPUID", "VM-entry failure: invalid guest state", the
// format of its qualification. NULL and VMX_QUALIFICATION_NONE when no row has the number.
const char *vmx_exit_reason_name(uint32_t reason);
const char *vmx_exit_reason_text(uint32_t reason);
enum vmx_qualification_format vmx_exit_qualification_format(uint32_t reason);
const char *vmx_qualification_text(enum vmx_qualification_format format);

// Of a VM-instruction error: what went wrong; NULL when no error has the number.
const char *vmx_instruction_error_text(uint32_t error);

// Interruption type of the three interruption-information fields, bits 10:8.
enum vmx_event_type {
    VMX_EVENT_EXTERNAL_INTERRUPT = 0,
    VMX_EVENT_NMI = 2,
    VMX_EVENT_HARDWARE_EXCEPTION = 3,
    VMX_EVENT_SOFTWARE_INTERRUPT = 4,
    VMX_EVENT_PRIVILEGED_SOFTWARE_EXCEPTION = 5,
    VMX_EVENT_SOFTWARE_EXCEPTION = 6,
    VMX_EVENT_OTHER = 7,
};

// An event that caused an exit, or during whose delivery one happened.
struct vmx_event {
    bool valid;
    bool has_error_code;
    bool nmi_unblocked; // by IRET; only of the event that caused the exit
    enum vmx_event_type type;
    uint8_t vector;
    uint32_t error_code;
};

// SDM Vol. 3C, "VM-Exit Information Fields". What an exit does not define stays 0.
struct vmx_exit {
    uint32_t reason; // with bit 31 for a VM-entry failure
    uint64_t qualification;
    uint64_t guest_linear;
    uint64_t guest_physical;
    uint32_t instruction_length;
    uint32_t instruction_information;
    struct vmx_event event;     // that caused the exit
    struct vmx_event vectoring; // that was being delivered
    uint64_t io_rcx, io_rsi, io_rdi, io_rip;
};

// "external interrupt"; NULL for 1, which is reserved, and beyond 7.
const char *vmx_event_type_text(unsigned type);

// An event as an interruption-information field has it; 0 when it is not valid. And back.
uint32_t vmx_event_information(const struct vmx_event *event);
struct vmx_event vmx_event_of(uint32_t information, uint32_t error_code);

// Stores an exit in the read-only fields of the VMCS (those that the processor has) and clears the
// valid bit of the event to inject. A VM-entry failure changes only the reason and the
// qualification.
void vmx_exit_record(struct vmcs *vmcs, const struct vmx_exit *exit);

// The exit that the read-only fields tell of.
struct vmx_exit vmx_exit_of(const struct vmcs *vmcs);

// SDM Vol. 3C, "Guest/Host Masks and Read Shadows for CR0 and CR4": what the guest reads, and what
// the register becomes when the guest's write of `value` is let through.
uint64_t vmx_guest_cr0(const struct vmcs *vmcs);
uint64_t vmx_guest_cr4(const struct vmcs *vmcs);
uint64_t vmx_guest_cr0_written(const struct vmcs *vmcs, uint64_t value);
uint64_t vmx_guest_cr4_written(const struct vmcs *vmcs, uint64_t value);

// Makes the guest read `value`: bits that the host owns go to the read shadow, the others to the
// register. What a hypervisor does when it lets a write happen, and a debugger's write.
void vmx_guest_cr0_set(struct vmcs *vmcs, uint64_t value);
void vmx_guest_cr4_set(struct vmcs *vmcs, uint64_t value);

// Whether the guest's write of `value` exits: it changes a bit that the host owns from what the
// guest reads.
bool vmx_guest_cr0_write_exits(const struct vmcs *vmcs, uint64_t value);
bool vmx_guest_cr4_write_exits(const struct vmcs *vmcs, uint64_t value);

#endif
