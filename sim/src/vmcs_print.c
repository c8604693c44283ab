#include "vmcs_print.h"

#include <inttypes.h>

#include "exec.h"
#include "vmx_model/controls.h"
#include "vmx_model/entry.h"
#include "vmx_model/vmcs.h"
#include "vmx_model/vmx_exit.h"

struct view {
    FILE *out;
    const struct vmcs *vmcs;
};

#define PRINT(view, ...) ((void)fprintf((view)->out, __VA_ARGS__))

static void print_verdict(const struct view *view, struct machine *machine, unsigned index)
{
    struct mmu_memory memory = machine_mmu_memory(machine);
    struct vmx_entry_outcome outcome;
    vmx_entry_check(&machine->cpus[index].vmx, &memory, &outcome);
    switch (outcome.result) {
    case VMX_ENTERED:
        PRINT(view, "VM entry: enters the guest\n");
        return;
    case VMX_FAIL_INVALID:
        PRINT(view, "VM entry: VMfailInvalid\n");
        break;
    case VMX_FAIL_VALID:
        PRINT(view, "VM entry: VMfailValid, VM-instruction error %" PRIu32 " (%s)\n",
              outcome.instruction_error, vmx_instruction_error_text(outcome.instruction_error));
        break;
    case VMX_ENTRY_FAILED:
        PRINT(view,
              "VM entry: fails with exit reason %" PRIu32 " (%s), qualification %" PRIu64 "\n",
              outcome.exit_reason & 0xFFFF, vmx_exit_reason_text(outcome.exit_reason),
              outcome.qualification);
        break;
    }
    PRINT(view, "  first broken rule: %s (%s)\n  %s\n", vmx_entry_rule_name(outcome.rule),
          vmx_entry_rule_source(outcome.rule), vmx_entry_rule_text(outcome.rule));
}

// The digits of a field's width.
static int digits_of(uint32_t encoding)
{
    switch (vmcs_encoding_width(encoding)) {
    case VMCS_WIDTH_16:
        return 4;
    case VMCS_WIDTH_32:
        return 8;
    case VMCS_WIDTH_64:
    case VMCS_WIDTH_NATURAL:
        break;
    }
    return 16;
}

static void print_field(const struct view *view, enum vmcs_slot slot)
{
    uint32_t encoding = vmcs_slot_encoding(slot);
    PRINT(view, "  %04" PRIx32 "  %-32s %*s%0*" PRIx64 "\n", encoding, vmcs_field_name(encoding),
          16 - digits_of(encoding), "", digits_of(encoding), view->vmcs->field[slot]);
}

// How a control stands: 1 and 0, "must" where the processor leaves no choice.
static const char *standing(bool is_set, bool is_required, bool is_allowed)
{
    if (is_required) {
        return is_set ? "1 must" : "0 BUT MUST BE 1";
    }
    if (!is_allowed) {
        return is_set ? "1 BUT MUST BE 0" : "0 must";
    }
    return is_set ? "1" : "0";
}

static void print_group(const struct view *view, enum vmx_control_group group)
{
    enum vmcs_slot slot = vmx_group_slot(group);
    uint64_t value = view->vmcs->field[slot];
    uint64_t required = vmx_controls_required(view->vmcs->profile, group);
    uint64_t allowed = vmx_controls_allowed(view->vmcs->profile, group);
    if (!vmcs_slot_exists(view->vmcs->profile, slot)) {
        return;
    }
    bool inactive = vmx_controls_active(view->vmcs, group) == 0 && value != 0;
    PRINT(view, "\n%s%s\n", vmx_group_name(group), inactive ? " (not active)" : "");
    print_field(view, slot);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t mask = UINT64_C(1) << bit;
        const char *name = vmx_control_name(group, bit);
        const char *stands =
            standing((value & mask) != 0, (required & mask) != 0, (allowed & mask) != 0);
        if (name || (value & mask) != (required & mask)) {
            PRINT(view, "    bit %2u  %-32s %s\n", bit, name ? name : "(reserved)", stands);
        }
    }
}

static bool is_group_slot(enum vmcs_slot slot)
{
    for (int i = 0; i < VMX_NUM_CONTROL_GROUPS; i++) {
        if (vmx_group_slot((enum vmx_control_group)i) == slot) {
            return true;
        }
    }
    return false;
}

// The slots of the segments' table: four runs of eight.
static bool is_segment_slot(enum vmcs_slot slot)
{
    return slot - VMCS_GUEST_ES_SELECTOR <= SEG_TR || slot - VMCS_GUEST_ES_BASE <= SEG_TR ||
           slot - VMCS_GUEST_ES_LIMIT <= SEG_TR || slot - VMCS_GUEST_ES_ACCESS <= SEG_TR;
}

static void print_fields(const struct view *view, enum vmcs_group group, const char *title)
{
    PRINT(view, "\n%s\n", title);
    for (int i = 0; i < VMCS_NUM_FIELDS; i++) {
        enum vmcs_slot slot = (enum vmcs_slot)i;
        if (vmcs_encoding_group(vmcs_slot_encoding(slot)) == group && !is_group_slot(slot) &&
            !is_segment_slot(slot) && vmcs_slot_exists(view->vmcs->profile, slot)) {
            print_field(view, slot);
        }
    }
}

// SDM 3A, tables "Code- and Data-Segment Types" and "System-Segment and Gate-Descriptor Types".
static const char *type_text(uint64_t access)
{
    static const char *const memory[] = {
        "read",
        "read, accessed",
        "write",
        "write, acc.",
        "read, down",
        "read, down, acc.",
        "write, down",
        "write, down, acc.",
        "execute",
        "exec., acc.",
        "exec., read",
        "exec., read, acc.",
        "exec., conf.",
        "exec., conf., accessed",
        "exec., read, conf.",
        "exec., read, conf., acc.",
    };
    static const char *const system[16] = {
        [1] = "16-bit TSS",    [2] = "LDT",       [3] = "busy 16-bit TSS",
        [9] = "available TSS", [11] = "busy TSS",
    };
    const char *text = (access & SEGMENT_ACCESS_S) != 0 ? memory[access & 15] : system[access & 15];
    return text ? text : "reserved";
}

// Access rights in VMX format:
//
//   16 15 14 13 12 11  8 7 6 5 4 3    0
// | U | G|DB| L|AVL| 0  |P|DPL|S| type |
static void print_segment(const struct view *view, unsigned index, const char *name)
{
    const uint64_t *field = view->vmcs->field;
    uint64_t access = field[VMCS_GUEST_ES_ACCESS + index];
    PRINT(view, "  %-4s  %04" PRIx64 "  %016" PRIx64 "  %08" PRIx64 "  %05" PRIx64 "  ", name,
          field[VMCS_GUEST_ES_SELECTOR + index], field[VMCS_GUEST_ES_BASE + index],
          field[VMCS_GUEST_ES_LIMIT + index], access);
    if ((access & SEGMENT_ACCESS_UNUSABLE) != 0) {
        PRINT(view, "unusable\n");
        return;
    }
    PRINT(view, "%c %c %c %c  %c  %u  %c  %s\n", (access & SEGMENT_ACCESS_G) != 0 ? 'G' : '-',
          (access & SEGMENT_ACCESS_DB) != 0 ? 'D' : '-',
          (access & SEGMENT_ACCESS_L) != 0 ? 'L' : '-', (access & 0x1000) != 0 ? 'A' : '-',
          (access & SEGMENT_ACCESS_P) != 0 ? 'P' : '-', (unsigned)(access >> 5 & 3),
          (access & SEGMENT_ACCESS_S) != 0 ? 'S' : '-', type_text(access));
}

static void print_segments(const struct view *view)
{
    static const char *const names[] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};
    PRINT(view, "\nGuest segments\n"
                "  name  sel.  base              limit     rights G D L AVL P DPL S type\n");
    for (unsigned i = 0; i <= SEG_TR; i++) {
        print_segment(view, i, names[i]);
    }
}

static void print_guest(const struct view *view)
{
    print_fields(view, VMCS_GROUP_GUEST, "Guest state");
    print_segments(view);
    PRINT(view,
          "\nCR0 and CR4 as the guest reads them\n  CR0  %016" PRIx64 "\n  CR4  %016" PRIx64 "\n",
          vmx_guest_cr0(view->vmcs), vmx_guest_cr4(view->vmcs));
}

static void print_event(const struct view *view, const char *what, const struct vmx_event *event)
{
    if (!event->valid) {
        return;
    }
    PRINT(view, "  %s: %s, vector %u", what, vmx_event_type_text(event->type), event->vector);
    if (event->has_error_code) {
        PRINT(view, ", error code %" PRIx32, event->error_code);
    }
    PRINT(view, "\n");
}

static void print_exit(const struct view *view, bool launched)
{
    struct vmx_exit exit = vmx_exit_of(view->vmcs);
    uint64_t error = view->vmcs->field[VMCS_VM_INSTRUCTION_ERROR];
    print_fields(view, VMCS_GROUP_READ_ONLY, "Read-only data: the last VM exit");
    if (launched || exit.reason != 0) {
        const char *text = vmx_exit_reason_text(exit.reason);
        PRINT(view, "  exit reason %" PRIu32 ": %s\n", exit.reason & 0xFFFF,
              text ? text : "no such reason");
        PRINT(view, "  qualification: %s\n",
              vmx_qualification_text(vmx_exit_qualification_format(exit.reason)));
    }
    print_event(view, "caused by", &exit.event);
    print_event(view, "during delivery of", &exit.vectoring);
    if (error != 0) {
        const char *text = vmx_instruction_error_text((uint32_t)error);
        PRINT(view, "  VM-instruction error %" PRIu64 ": %s\n", error,
              text ? text : "no such error");
    }
}

void vmcs_print(FILE *out, struct machine *machine, unsigned index)
{
    const struct cpu *cpu = &machine->cpus[index];
    struct view view = {out, &cpu->vmx.vmcs};
    PRINT(&view, "CPU %u of %s, processor %s\n", index, machine->target->name,
          cpu->vmx.profile->name);
    PRINT(&view, "VMCS revision %08" PRIx32 ", launch state %s\n", cpu->vmx.profile->vmcs_revision,
          cpu->launched ? "launched" : "clear");
    print_verdict(&view, machine, index);
    for (int i = 0; i < VMX_NUM_CONTROL_GROUPS; i++) {
        print_group(&view, (enum vmx_control_group)i);
    }
    print_fields(&view, VMCS_GROUP_CONTROL, "Other control fields");
    print_guest(&view);
    print_fields(&view, VMCS_GROUP_HOST, "Host state");
    print_exit(&view, cpu->launched);
}
