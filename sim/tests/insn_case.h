#ifndef SIM_TESTS_INSN_CASE_H
#define SIM_TESTS_INSN_CASE_H

// One instruction of the interpreter on a bare machine: a row says how it begins, and what it gives
// or raises.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bare.h"
#include "exec.h"

struct insn_case {
    const char *name;
    struct code code;
    uint64_t rax, rbx, rcx, rdx, rsi, rdi;
    bool ring3;
    void (*prepare)(void);
    bool raises;       // an exception ends it
    int vector;        // which
    uint64_t error;    // its code
    uint64_t fault_at; // offset of the instruction that raises it
    bool has_result;
    uint64_t result; // RAX afterwards
    void (*check)(void);
};

#define RAISES(number, code)            .raises = true, .vector = (number), .error = (code)
#define RAISES_AT(offset, number, code) RAISES(number, code), .fault_at = (offset)
#define GIVES(value)                    .has_result = true, .result = (value)
#define UD                              RAISES(VECTOR_UD, 0)
#define GP                              RAISES(VECTOR_GP, 0)

// In ring 3 a program ends with a system call.
#define FROM_RING_3 .ring3 = true
#define CALLED      RAISES(BARE_USER_VECTOR, 0)

// Preparations of several files.
void with_cr4(uint64_t bits);
void with_umip(void);
void with_ts(void);
void with_bases(void); // of FS and GS, and the one that SWAPGS brings

// Runs a group of tests, one for each row; returns how many failed.
int insn_run_group(const char *group, struct insn_case *cases, size_t num_cases);

#endif
