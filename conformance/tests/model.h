#ifndef CONFORMANCE_MODEL_H
#define CONFORMANCE_MODEL_H

// A debuggee with a few plain answers, for tests of the programs: CR3 is 0x7000, MSRs hold what is
// written to them (16 of them; 0x999 does not exist), linear memory is 64 bytes from 0x2000 on.

#include "fake_debuggee.h"

enum { MODEL_CR3 = 0x7000, MODEL_BASE = 0x2000, MODEL_SIZE = 64, MODEL_NO_MSR = 0x999 };

struct model {
    uint64_t msrs[16];
    uint8_t memory[MODEL_SIZE];
    uint64_t dr6;
    uint64_t dr7;
    bool talks; // a line of text goes out before each reply
};

// For fake_start, with a struct model as its user.
void model_answer(struct fake *fake, const uint8_t *request, size_t len);

#endif
