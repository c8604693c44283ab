#ifndef SIM_TESTS_BARE_H
#define SIM_TESTS_BARE_H

// A bare machine for the run loop: 64-bit mode, ring 0, and nothing but tables. Every interrupt and
// exception ends in a HLT of its own, so a test runs some code and looks where it stopped.
//
//   linear              guest-physical
//   000000-0FFFFF       the same; supervisor, writable
//   080000-08FFFF       the same; user, writable
//   100000              020000   alias of the code page
//   110000-111FFF       not present
//   112000              050000   read-only
//   113000              051000   execute-disable
//   114000              500000   ROM
//   115000              600000   device
//   116000              700000   empty space
//   117000              680000   the hypervisor's own
//   118000              052000   user, read-only
//   119000              053000
//   11A000              000000 with a reserved bit set
//   200000-3FFFFF       the same, one 2 MiB page
//   FFFF800000000000    020000

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine.h"
#include "runner.h"

#define BARE_PML4      UINT64_C(0x1000)
#define BARE_PT        UINT64_C(0x4000)
#define BARE_GDT       UINT64_C(0x5000)
#define BARE_IDT       UINT64_C(0x6000)
#define BARE_TSS       UINT64_C(0x7000)
#define BARE_HANDLERS  UINT64_C(0x10000) // 16 bytes each
#define BARE_CODE      UINT64_C(0x20000)
#define BARE_STACK     UINT64_C(0x30000) // its top
#define BARE_RSP0      UINT64_C(0x38000)
#define BARE_IST1      UINT64_C(0x3C000)
#define BARE_DATA      UINT64_C(0x40000)
#define BARE_USER_CODE UINT64_C(0x80000)
#define BARE_USER_TOP  UINT64_C(0x8F000)
#define BARE_ALIAS     UINT64_C(0x100000)
#define BARE_HOLE      UINT64_C(0x110000)
#define BARE_READ_ONLY UINT64_C(0x112000)
#define BARE_NX        UINT64_C(0x113000)
#define BARE_ROM       UINT64_C(0x114000)
#define BARE_DEVICE    UINT64_C(0x115000)
#define BARE_EMPTY     UINT64_C(0x116000)
#define BARE_PROTECTED UINT64_C(0x117000)
#define BARE_USER_RO   UINT64_C(0x118000)
#define BARE_PLAIN     UINT64_C(0x119000)
#define BARE_RESERVED  UINT64_C(0x11A000)
#define BARE_LARGE     UINT64_C(0x200000)
#define BARE_HIGH      UINT64_C(0xFFFF800000000000)

#define BARE_GATE(vector)    (BARE_IDT + UINT64_C(16) * (vector))
#define BARE_HANDLER(vector) (BARE_HANDLERS + UINT64_C(16) * (vector))

#define BARE_ROM_PHYS    UINT64_C(0x500000)
#define BARE_DEVICE_PHYS UINT64_C(0x600000)

enum {
    BARE_KERNEL_CS = 0x08,
    BARE_KERNEL_SS = 0x10,
    BARE_COMPAT_CS = 0x1B,
    BARE_USER_SS = 0x23,
    BARE_USER_CS = 0x2B,
    BARE_TR = 0x30,
    BARE_ABSENT_DS = 0x40,
    BARE_CONFORMING_CS = 0x48,
    BARE_LDT = 0x50,
    BARE_GDT_LIMIT = 0x5F,
    BARE_IDT_LIMIT = 0xFFF,
    BARE_USER_VECTOR = 0x81, // ring 3 may call it, its handler runs on the stack of RSP0
    BARE_IST_VECTOR = 0x82,  // its handler runs on IST1
    BARE_TRAP_VECTOR = 0x83, // a trap gate: IF stays
    BARE_ABSENT_VECTOR = 0x84,
    BARE_NO_VECTOR = -1,
};

// The device remembers the last access.
struct bare_device {
    uint64_t offset;
    unsigned size;
    uint64_t value; // written last; a read gives it plus the offset
    unsigned num_reads;
    unsigned num_writes;
};

extern struct bare_device bare_device;
extern char bare_log[1024];

// The machine of the test under way, and its CPU 0.
extern struct machine *machine;
extern struct cpu *cpu;

void bare_build(unsigned num_cpus);

// cmocka's fixture: a machine of two CPUs.
int bare_set_up(void **state);
int bare_tear_down(void **state);

struct code {
    const void *bytes;
    size_t len;
};

// A program: what it says, and its bytes.
#define ASM(text, literal)                                                                         \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

// Puts a program of the machine under way at a guest-physical address, or in place of a handler's
// HLT.
void bare_place(uint64_t guest_phys, struct code code);
void bare_handle(unsigned vector, struct code code);

// Runs a program on CPU 0, at its ring's place, until it halts.
void bare_run_program(struct code code);

uint64_t bare_rax(void);

// Puts a program, and a HLT behind it, at a guest-physical address.
void bare_program(uint64_t guest_phys, const void *code, size_t len);

// From now on CPU 0 is in ring 3, at BARE_USER_CODE.
void bare_enter_ring3(void);

// Runs CPU `index`: up to `budget` instructions, and one as a debugger steps.
struct run_result bare_run(unsigned index, uint64_t budget);
struct run_result bare_step(unsigned index);

// The vector in whose HLT the CPU stands, BARE_NO_VECTOR when it stands elsewhere.
int bare_vector(const struct cpu *halted);

// The i-th quadword of what the stack pointer points at: a handler finds its frame there.
uint64_t bare_frame(unsigned index, unsigned i);

uint64_t bare_peek(uint64_t guest_phys);
void bare_poke(uint64_t guest_phys, uint64_t value);

// The page-table entry of a linear address below 2 MiB.
uint64_t bare_pte(uint64_t linear);
void bare_set_pte(uint64_t linear, uint64_t entry);

#endif
