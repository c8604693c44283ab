#include "exits.h"

#include "interp_handlers.h"
#include "vmx_model/controls.h"

enum { VECTOR_NMI = 2 };

bool exit_pin(const struct cpu *cpu, uint64_t control)
{
    return (cpu->vmx.vmcs.field[VMCS_PIN_CONTROLS] & control) != 0;
}

bool exit_processor(const struct cpu *cpu, uint64_t control)
{
    return (cpu->vmx.vmcs.field[VMCS_PROCESSOR_CONTROLS] & control) != 0;
}

bool exit_secondary(const struct cpu *cpu, uint64_t control)
{
    return exit_processor(cpu, VMX_PROCESSOR_SECONDARY_CONTROLS) &&
           (cpu->vmx.vmcs.field[VMCS_SECONDARY_PROCESSOR_CONTROLS] & control) != 0;
}

static void note(struct exec *x, const struct insn *insn, const struct vmx_exit *exit)
{
    if (x->faulted || x->exited) {
        return;
    }
    x->exited = true;
    x->exit = *exit;
    x->exit.instruction_length = insn->length;
}

void exit_instruction(struct exec *x, const struct insn *insn, enum vmx_exit_reason reason,
                      uint64_t qualification)
{
    note(x, insn, &(struct vmx_exit){.reason = reason, .qualification = qualification});
}

void exit_commit(const struct exec *x)
{
    if (x->exited) {
        vmx_exit_record(&x->cpu->vmx.vmcs, &x->exit);
    }
}

// The segment that an address of 64-bit mode is in, numbered as in encodings.
static unsigned segment_of(const struct insn *insn)
{
    if (insn->segment != 0) {
        return insn->segment == 0x64 ? SEG_FS : SEG_GS;
    }
    return insn_uses_stack(insn) ? SEG_SS : SEG_DS;
}

// SDM 3C, "Format of the VM-Exit Instruction-Information Field" for these instructions:
//
//  31  28 27 26  23 22 21   18 17 15 14  11 10  9 7 6   3 2 1  0
// | reg2 |nb| base |ni| index | seg | 0    |rm|asz |reg1 |0|scale|
//
//   rm  the operand is the register reg1; nb, ni  there is no base, no index; asz  address size
static uint32_t information(const struct insn *insn)
{
    uint32_t reg2 = (uint32_t)insn->reg << 28;
    if (insn->mod == 3) {
        return reg2 | UINT32_C(1) << 10 | (uint32_t)insn->rm << 3;
    }
    uint32_t base = insn->has_base ? (uint32_t)insn->base << 23 : UINT32_C(1) << 27;
    uint32_t index =
        insn->has_index ? (uint32_t)insn->index << 18 | insn->scale : UINT32_C(1) << 22;
    uint32_t address_size = insn->address_32 ? 1 : 2;
    return reg2 | base | index | segment_of(insn) << 15 | address_size << 7;
}

// SDM 3C, "Exit Qualification": with RIP-relative addressing it is the displacement plus the RIP of
// the next instruction, which RIP is already.
void exit_operand(struct exec *x, const struct insn *insn, enum vmx_exit_reason reason)
{
    uint64_t displacement = (uint64_t)(int64_t)insn->displacement;
    displacement += insn->rip_relative ? cpu_guest(x->cpu, RIP) : 0;
    note(x, insn,
         &(struct vmx_exit){.reason = reason,
                            .qualification = displacement,
                            .instruction_information = information(insn)});
}

// Operand size 0, 1 or 2: 16, 32 or 64 bits.
void exit_random(struct exec *x, const struct insn *insn, enum vmx_exit_reason reason)
{
    uint32_t size = (uint32_t)insn_operand_size(insn) / 4;
    uint32_t destination = (uint32_t)insn->rm << 3 | size << 11;
    note(x, insn, &(struct vmx_exit){.reason = reason, .instruction_information = destination});
}

// Where others have reg2 stands which of the four it was.
void exit_table(struct exec *x, const struct insn *insn, enum vmx_exit_reason reason)
{
    struct insn numbered = *insn;
    numbered.reg &= 3;
    if (exit_secondary(x->cpu, VMX_SECONDARY_DESCRIPTOR_TABLE_EXITING)) {
        exit_operand(x, &numbered, reason);
    }
}

// SDM 3C, table "Exit Qualification for Control-Register Accesses":
//
//  31      16 15 12 11  8 7  6  5  4 3    0
// | LMSW src | 0   | GPR |0|mem|type |number|
void exit_cr(struct exec *x, const struct insn *insn, enum cr_access access, unsigned number)
{
    bool moves = access == CR_MOV_TO || access == CR_MOV_FROM;
    uint64_t gpr = moves ? (uint64_t)insn->rm << 8 : 0;
    exit_instruction(x, insn, VMX_EXIT_CONTROL_REGISTER, number | (uint64_t)access << 4 | gpr);
}

void exit_lmsw(struct exec *x, const struct insn *insn, uint64_t value)
{
    bool memory = insn->mod != 3;
    struct vmx_exit exit = {
        .reason = VMX_EXIT_CONTROL_REGISTER,
        .qualification = (value & 0xFFFF) << 16 | (uint64_t)CR_LMSW << 4 | (memory ? 0x40 : 0),
        .guest_linear = memory ? interp_linear(x, insn) : 0,
    };
    note(x, insn, &exit);
}

bool exit_on_cr3_load(const struct cpu *cpu, uint64_t value)
{
    const uint64_t *field = cpu->vmx.vmcs.field;
    for (uint64_t i = 0; i < field[VMCS_CR3_TARGET_COUNT] && i < 4; i++) {
        if (field[VMCS_CR3_TARGET_0 + i] == value) {
            return false;
        }
    }
    return exit_processor(cpu, VMX_PROCESSOR_CR3_LOAD_EXITING);
}

// A bit of a bitmap in physical memory. Where there is no RAM lies the hypervisor's own, whose
// bitmaps are zero.
static bool bitmap_bit(const struct exec *x, uint64_t bitmap, uint64_t bit)
{
    uint64_t at = bitmap + bit / 8;
    const struct region *region = memory_region(&x->machine->memory, at);
    bool is_ram = region && region->host;
    return is_ram && (region->host[at - region->base] >> bit % 8 & 1) != 0;
}

// SDM 3C, "I/O-Bitmap Addresses": an access that wraps around the space of ports exits too.
static bool port_exits(const struct exec *x, uint16_t port, unsigned size)
{
    const uint64_t *field = x->cpu->vmx.vmcs.field;
    if (!exit_processor(x->cpu, VMX_PROCESSOR_IO_BITMAPS)) {
        return exit_processor(x->cpu, VMX_PROCESSOR_UNCONDITIONAL_IO_EXITING);
    }
    bool exits = port + size > 0x10000;
    for (unsigned i = 0; i < size && !exits; i++) {
        unsigned one = port + i;
        uint64_t bitmap = field[one < 0x8000 ? VMCS_IO_BITMAP_A : VMCS_IO_BITMAP_B];
        exits = bitmap_bit(x, bitmap, one & 0x7FFF);
    }
    return exits;
}

// SDM 3C, table "Exit Qualification for I/O Instructions":
//
//  31   16 15 7   6     5    4     3   2    0
// | port  | 0  | imm | REP | str | in | size-1 |
void exit_io(struct exec *x, const struct insn *insn, const struct io_operands *io)
{
    bool string = insn->opcode < 0x70;
    bool in = string ? insn->opcode < 0x6E : (insn->opcode & 2) == 0;
    bool immediate = !string && insn->opcode < 0xEC;
    uint64_t qualification = (uint64_t)io->port << 16 | (io->size - 1) | (in ? 0x8 : 0) |
                             (string ? 0x10 : 0) | (insn->repeat != 0 && string ? 0x20 : 0) |
                             (immediate ? 0x40 : 0);
    if (!port_exits(x, io->port, io->size)) {
        return;
    }
    struct vmx_exit exit = {.reason = VMX_EXIT_IO, .qualification = qualification};
    if (string) {
        uint32_t segment = in ? SEG_ES : segment_of(insn);
        exit.guest_linear = io->linear;
        exit.instruction_information = (insn->address_32 ? 1u : 2u) << 7 | segment << 15;
    }
    note(x, insn, &exit);
}

// SDM 3C, "MSR-Bitmap Address": a KiB each for reads of the low and of the high range, then for
// writes.
static bool msr_exits(const struct exec *x, uint32_t index, bool writes)
{
    uint64_t bitmap = x->cpu->vmx.vmcs.field[VMCS_MSR_BITMAPS];
    bool high = index >= 0xC0000000;
    uint32_t number = high ? index - 0xC0000000 : index;
    if (!exit_processor(x->cpu, VMX_PROCESSOR_MSR_BITMAPS) || number > 0x1FFF) {
        return true;
    }
    bitmap += (high ? 1024u : 0) + (writes ? 2048u : 0);
    return bitmap_bit(x, bitmap, number);
}

void exit_msr(struct exec *x, const struct insn *insn, uint32_t index, bool writes)
{
    if (!x->faulted && msr_exits(x, index, writes)) {
        exit_instruction(x, insn, writes ? VMX_EXIT_WRMSR : VMX_EXIT_RDMSR, 0);
    }
}

// SDM 3C, "Exceptions": a #PF exits when its error code and the two fields say what its bit says.
static bool exception_exits(const struct cpu *cpu, const struct exception *exception)
{
    const uint64_t *field = cpu->vmx.vmcs.field;
    bool bit = (field[VMCS_EXCEPTION_BITMAP] >> exception->vector & 1) != 0;
    bool matches = (exception->code & field[VMCS_PAGE_FAULT_ERROR_CODE_MASK]) ==
                   field[VMCS_PAGE_FAULT_ERROR_CODE_MATCH];
    return exception->vector == VECTOR_PF ? bit == matches : bit;
}

static enum vmx_event_type type_of(const struct exception *exception, unsigned instruction_length)
{
    if (instruction_length == 0) {
        return VMX_EVENT_HARDWARE_EXCEPTION;
    }
    return exception->vector == VECTOR_DB ? VMX_EVENT_PRIVILEGED_SOFTWARE_EXCEPTION
                                          : VMX_EVENT_SOFTWARE_EXCEPTION;
}

static struct vmx_exit exit_of(const struct exception *exception, unsigned instruction_length)
{
    bool payload = exception->vector == VECTOR_PF || exception->vector == VECTOR_DB;
    return (struct vmx_exit){
        .reason = VMX_EXIT_EXCEPTION_OR_NMI,
        .qualification = payload ? exception->payload : 0,
        .instruction_length = instruction_length,
        .event =
            {
                .valid = true,
                .has_error_code = exception->has_code,
                .type = type_of(exception, instruction_length),
                .vector = exception->vector,
                .error_code = exception->code,
            },
    };
}

void exit_exception(struct cpu *cpu, const struct exception *exception, unsigned instruction_length)
{
    if (exception_exits(cpu, exception)) {
        struct vmx_exit exit = exit_of(exception, instruction_length);
        vmx_exit_record(&cpu->vmx.vmcs, &exit);
    }
}

void exit_software_exception(struct exec *x, const struct insn *insn, uint8_t vector)
{
    struct exception exception = {.vector = vector};
    if (exception_exits(x->cpu, &exception)) {
        struct vmx_exit exit = exit_of(&exception, insn->length);
        note(x, insn, &exit);
    }
}

void exit_interrupt(struct cpu *cpu, uint8_t vector)
{
    bool acknowledges =
        (cpu->vmx.vmcs.field[VMCS_EXIT_CONTROLS] & VMX_EXIT_ACKNOWLEDGE_INTERRUPT) != 0;
    if (exit_pin(cpu, VMX_PIN_EXTERNAL_INTERRUPT_EXITING)) {
        struct vmx_event event = {acknowledges, .type = VMX_EVENT_EXTERNAL_INTERRUPT,
                                  .vector = vector};
        struct vmx_exit exit = {.reason = VMX_EXIT_EXTERNAL_INTERRUPT, .event = event};
        vmx_exit_record(&cpu->vmx.vmcs, &exit);
    }
}

void exit_triple_fault(struct cpu *cpu)
{
    vmx_exit_record(&cpu->vmx.vmcs, &(struct vmx_exit){.reason = VMX_EXIT_TRIPLE_FAULT});
}

void exit_break_in(struct cpu *cpu)
{
    struct vmx_event event = {.valid = true, .type = VMX_EVENT_NMI, .vector = VECTOR_NMI};
    struct vmx_exit exit = {.reason = VMX_EXIT_EXCEPTION_OR_NMI, .event = event};
    if (exit_pin(cpu, VMX_PIN_NMI_EXITING)) {
        vmx_exit_record(&cpu->vmx.vmcs, &exit);
    }
}

void exit_breakpoint(struct cpu *cpu)
{
    exit_exception(cpu, &(struct exception){.vector = VECTOR_BP}, 1);
}

void exit_step(struct cpu *cpu)
{
    vmx_exit_record(&cpu->vmx.vmcs, &(struct vmx_exit){.reason = VMX_EXIT_MONITOR_TRAP_FLAG});
}
