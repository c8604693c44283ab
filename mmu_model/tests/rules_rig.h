// Every descriptor at every privilege, against tables of verdicts.
//
// The oracle compares no levels and takes no rights apart: it spells out what a combination is, one
// column per property, and looks the verdict up. SDM 3A, "Privilege Levels" and what follows.
#ifndef MMU_MODEL_TESTS_RULES_RIG_H
#define MMU_MODEL_TESTS_RULES_RIG_H

#include "segment_rig.h"

enum {
    TESTED = 0x08,       // the selector whose descriptor is varied; its upper half is zero
    TSS_SELECTOR = 0x18, // an available TSS
    GATE = 0x20,         // a call gate to the tested descriptor; its upper half is zero
    CONFORMING = 0x38,   // a code segment that every level may enter and return to
    STACKS = 0x50,       // of ring 0, 1 and 2
};

// One descriptor and who looks at it.
struct combination {
    enum cpu_mode mode;
    unsigned type; // with S as bit 4
    bool present;
    unsigned dpl, rpl, cpl;
    unsigned width; // bit 0: D, bit 1: L
};

// One set of letters per column, or - for any:
//
//   mode   p protected, c compatibility, l 64-bit
//   kind   data: r read-only, w writable. code: x execute-only, X readable; conforming: c, C
//          system: L LDT, 1 3 TSS of 16 bits available and busy, 9 B of 32 or 64 bits, 4 and G call
//          gate of 16 bits and wider, 5 task gate, o any other
//   P      1, 0
//   CPL    below, at or above the DPL: < = >
//   RPL    below, at or above the DPL
//   RPL    below, at or above the CPL
//   width  n neither L nor D, d D, l L, b both
//   CPL    0, or n for any other
//
// Every combination is matched by exactly one row.
struct rule {
    const char *when;
    const char *verdict; // ok, task, or the exception with the selector's error code; GP0: with 0
};

// A way to use a descriptor. An answer of UNREAD stands for the verdict "no".
struct use {
    const char *name;
    const struct rule *rules;
    size_t num_rules;
    struct segment_answer (*ask)(struct segment_rig *rig, const struct combination *c);
};

// The letter of the combination's kind.
char kind_of(const struct combination *c);

// The test of a use: every combination has its verdict.
void every_combination_has_its_verdict(void **state);

#endif
