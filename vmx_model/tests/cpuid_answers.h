// What CPUID answers a processor, as tests ask it.
#ifndef VMX_MODEL_TESTS_CPUID_ANSWERS_H
#define VMX_MODEL_TESTS_CPUID_ANSWERS_H

#include <string.h>

#include "vmx_model/cpuid.h"
#include "vmx_tests.h"

enum { EAX = CPUID_EAX, EBX = CPUID_EBX, ECX = CPUID_ECX, EDX = CPUID_EDX };

struct answer {
    uint32_t reg[4];
};

static inline struct answer ask(const struct vmx_cpu *cpu, uint32_t leaf, uint32_t subleaf)
{
    struct answer answer;
    memset(&answer, 0xA5, sizeof(answer));
    vmx_cpuid(cpu->profile, cpu, leaf, subleaf, answer.reg);
    return answer;
}

static inline void assert_answer_equal(struct answer want, struct answer got)
{
    assert_memory_equal(want.reg, got.reg, sizeof(want.reg));
}

static inline bool bit_of(struct answer answer, unsigned reg, unsigned bit)
{
    return (answer.reg[reg] >> bit & 1) != 0;
}

#endif
