#ifndef SIM_EXEC_H
#define SIM_EXEC_H

// What our own model of execution works in: one CPU, one instruction or one delivery of an
// exception, and the first exception it raised. After an exception reads give zeros and writes do
// nothing, so a handler is the list of its steps; whoever began the execution puts the CPU back as
// it was.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine.h"
#include "mmu_model/paging.h"
#include "vmx_model/vmx_exit.h"

enum vector {
    VECTOR_DE = 0,
    VECTOR_DB = 1,
    VECTOR_BP = 3,
    VECTOR_UD = 6,
    VECTOR_NM = 7,
    VECTOR_DF = 8,
    VECTOR_TS = 10,
    VECTOR_NP = 11,
    VECTOR_SS = 12,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
    VECTOR_MF = 16,
};

struct exception {
    uint8_t vector;
    bool has_code;
    uint32_t code;
    uint64_t payload; // CR2 of a #PF, the bits that a #DB sets in DR6
};

// Which translations an instruction made stale.
enum flush {
    FLUSH_NONE,
    FLUSH_PAGE, // of the linear address in flush_linear
    FLUSH_ALL,
};

struct exec {
    struct machine *machine;
    struct cpu *cpu;
    struct mmu_registers mmu;
    bool user;     // CPL is 3
    bool external; // error codes get their EXT bit
    bool faulted;
    struct exception exception;
    const char *unsupported; // what of this instruction is not modelled; NULL: nothing
    bool delivered;          // the instruction entered a handler: no single-step trap follows
    enum flush flush;
    uint64_t flush_linear;
    bool exited; // the instruction was a VM exit, which exits.h records when it is over
    struct vmx_exit exit;
};

// How an access is checked and what it raises when its address is not canonical.
enum exec_access {
    ACCESS_DATA,   // at CPL; #GP
    ACCESS_STACK,  // at CPL; #SS
    ACCESS_SYSTEM, // to a descriptor table or a TSS: supervisor at any CPL; #GP
};

enum segment_index {
    SEG_ES,
    SEG_CS,
    SEG_SS,
    SEG_DS,
    SEG_FS,
    SEG_GS,
    SEG_LDTR,
    SEG_TR,
};

#define RFLAGS_CF    UINT64_C(0x00000001)
#define RFLAGS_FIXED UINT64_C(0x00000002)
#define RFLAGS_PF    UINT64_C(0x00000004)
#define RFLAGS_AF    UINT64_C(0x00000010)
#define RFLAGS_ZF    UINT64_C(0x00000040)
#define RFLAGS_SF    UINT64_C(0x00000080)
#define RFLAGS_TF    UINT64_C(0x00000100)
#define RFLAGS_IF    UINT64_C(0x00000200)
#define RFLAGS_DF    UINT64_C(0x00000400)
#define RFLAGS_OF    UINT64_C(0x00000800)
#define RFLAGS_IOPL  UINT64_C(0x00003000)
#define RFLAGS_NT    UINT64_C(0x00004000)
#define RFLAGS_RF    UINT64_C(0x00010000)
#define RFLAGS_VM    UINT64_C(0x00020000)
#define RFLAGS_AC    UINT64_C(0x00040000)
#define RFLAGS_ID    UINT64_C(0x00200000)
#define RFLAGS_ARITH (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

// Blocking by STI and by MOV SS. SDM 3C, "Guest Non-Register State".
#define BLOCKING_STI    UINT64_C(0x1)
#define BLOCKING_MOV_SS UINT64_C(0x2)
#define BLOCKING        (BLOCKING_STI | BLOCKING_MOV_SS)

enum {
    ACTIVITY_RUNS = 0,
    ACTIVITY_HALTED = 1,
};

struct exec exec_begin(struct machine *machine, struct cpu *cpu);

// After a change of CR0, CR3, CR4, EFER, RFLAGS, PKRU or CPL: the checks of later accesses follow.
void exec_refresh(struct exec *x);

// The first exception counts, others are dropped.
void exec_raise(struct exec *x, enum vector vector);
void exec_raise_code(struct exec *x, enum vector vector, uint32_t code);
void exec_raise_debug(struct exec *x, uint64_t dr6);

// Translates with the checks of an access of this kind and sets the accessed and dirty flags.
bool exec_translate(struct exec *x, enum exec_access as, uint64_t linear, enum mmu_access_kind kind,
                    struct mmu_walk *out);

// Moves len bytes (at most a page) at a linear address. A write happens entirely or not at all.
bool exec_read(struct exec *x, enum exec_access as, uint64_t linear, void *buffer, size_t len);
bool exec_write(struct exec *x, enum exec_access as, uint64_t linear, const void *buffer,
                size_t len);

// Whether such a write would succeed; raises what it would raise.
bool exec_check_write(struct exec *x, enum exec_access as, uint64_t linear, size_t len);

// The same for a little-endian number of size 1 to 8; a read that fails gives 0.
uint64_t exec_load(struct exec *x, enum exec_access as, uint64_t linear, size_t size);
void exec_store(struct exec *x, enum exec_access as, uint64_t linear, size_t size, uint64_t value);

// Writes guest-physical memory as a CPU does: into RAM, to a device, or nowhere.
void exec_write_phys(struct machine *machine, uint64_t guest_phys, const void *bytes, size_t len);

// Reads len bytes of code at a linear address.
bool exec_fetch(struct exec *x, uint64_t linear, uint8_t *buffer, size_t len);

unsigned cpu_cpl(const struct cpu *cpu);
unsigned cpu_iopl(const struct cpu *cpu);

// How wide linear addresses are, 48 or 57 bits, and whether this one is canonical.
unsigned cpu_linear_bits(const struct cpu *cpu);
bool cpu_is_canonical(const struct cpu *cpu, uint64_t linear);

// General registers by their number in encodings, RSP included. size is 1 (low byte), 2, 4 or 8; a
// write of 4 clears the upper half.
uint64_t cpu_gpr(const struct cpu *cpu, unsigned number);
void cpu_set_gpr(struct cpu *cpu, unsigned number, size_t size, uint64_t value);

void cpu_segment(const struct cpu *cpu, enum segment_index index, struct segment *out);
void cpu_set_segment(struct cpu *cpu, enum segment_index index, const struct segment *segment);

#endif
