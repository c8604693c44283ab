// Code segments as the CPU loads them: far transfers, gates, returns, and the fast system calls.
#ifndef MMU_MODEL_SEGMENT_TRANSFER_H
#define MMU_MODEL_SEGMENT_TRANSFER_H

#include "mmu_model/segment_load.h"

enum segment_transfer_kind {
    SEGMENT_CALL,
    SEGMENT_JMP,
};

// Where a far CALL or JMP, an interrupt or an exception goes.
struct segment_transfer {
    struct segment_loaded code; // CS afterwards; the RPL of its selector is the new CPL
    uint64_t offset;            // RIP afterwards
    bool gated;                 // through a gate, whose width counts and not the operand size
    unsigned width;             // bytes of one push through the gate: 2, 4 or 8
    unsigned num_parameters;    // of width bytes, that a call gate copies from the old stack
    bool switches_stack;        // pushes begin at sp below, not at RSP
    uint64_t sp;
    bool changes_level;          // SS and the CPL change too
    struct segment_loaded stack; // SS afterwards
    bool masks_interrupts;       // an interrupt gate: IF is cleared
    uint16_t task;               // with SEGMENT_TASK_SWITCH: the selector of the TSS
};

// A far CALL or JMP. Through a gate the offset given does not count.
struct segment_answer segment_transfer(const struct segment_cpu *cpu,
                                       enum segment_transfer_kind kind, struct far_pointer to,
                                       struct segment_transfer *out);

struct segment_interrupt {
    uint8_t vector;
    bool software; // INT n, INT3, INTO: the gate's DPL counts
    uint64_t idt_base;
    uint32_t idt_limit;
};

// An interrupt or an exception, through the IDT or, in real mode, the vector table.
struct segment_answer segment_interrupt(const struct segment_cpu *cpu,
                                        const struct segment_interrupt *interrupt,
                                        struct segment_transfer *out);

// What a far RET or IRET finds on the stack.
struct segment_frame {
    uint64_t rip;
    uint16_t cs;
    uint16_t ss;
    bool has_stack; // SS counts: to an outer level, and IRET in 64-bit mode
};

struct segment_return {
    struct segment_loaded code;
    struct segment_loaded stack; // with has_stack
    uint64_t rip;
    unsigned cpl; // afterwards
};

struct segment_answer segment_return(const struct segment_cpu *cpu,
                                     const struct segment_frame *frame, struct segment_return *out);

// Whether a data segment register keeps its segment when a return raises the CPL to cpl; otherwise
// it becomes null.
bool segment_survives(const struct segment *segment, unsigned cpl);

enum segment_iret {
    SEGMENT_IRET_REFUSED, // #GP(0)
    SEGMENT_IRET_TASK,    // back to the task linked in the TSS
    SEGMENT_IRET_V86,     // to virtual-8086 mode: segment_in_v86_mode for every register
    SEGMENT_IRET_INNER,   // IP, CS and FLAGS are popped
    SEGMENT_IRET_STACK,   // SP and SS too
};

// What kind of return an IRET is, with these RFLAGS and a frame with this CS and these RFLAGS.
enum segment_iret segment_iret(const struct segment_cpu *cpu, uint64_t rflags, uint16_t cs,
                               uint64_t new_rflags);

// CS and SS as the fast system calls load them: flat, without a look at the tables.
struct segment_pair {
    struct segment cs, ss;
};

struct segment_pair segment_of_syscall(uint64_t star);
struct segment_pair segment_of_sysret(uint64_t star, bool to_code64);
struct segment_pair segment_of_sysenter(uint64_t sysenter_cs, bool ia32e);
struct segment_pair segment_of_sysexit(uint64_t sysenter_cs, bool to_code64);

#endif
