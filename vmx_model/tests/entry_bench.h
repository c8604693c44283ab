// A processor about to enter a guest, in one of several good states.
#ifndef VMX_MODEL_TESTS_ENTRY_BENCH_H
#define VMX_MODEL_TESTS_ENTRY_BENCH_H

#include "vmx_tests.h"

#include "entry_rules.h"

enum { MAX_CHANGES = 6, MAX_WORDS = 8 };

enum op {
    OP_NONE,
    OP_SET,
    OP_SET_BITS,
    OP_CLEAR_BITS,
    OP_WORD, // of memory
    OP_LACK, // a feature
    OP_CURRENT_VMCS,
    OP_IS_SHADOW,
    OP_IS_LAUNCHED,
    OP_RESUMES,
    OP_BLOCKS_MOV_SS,
};

struct change {
    enum op op;
    uint64_t what; // a field, an address, a feature
    uint64_t value;
};

// How changes are written down: see entry_cases.def.
#define AND ,
#define NOTHING                                                                                    \
    {                                                                                              \
        OP_NONE, 0, 0                                                                              \
    }
#define S(slot, value)                                                                             \
    {                                                                                              \
        OP_SET, VMCS_##slot, value                                                                 \
    }
#define O(slot, value)                                                                             \
    {                                                                                              \
        OP_SET_BITS, VMCS_##slot, value                                                            \
    }
#define C(slot, value)                                                                             \
    {                                                                                              \
        OP_CLEAR_BITS, VMCS_##slot, value                                                          \
    }
#define W(address, value)                                                                          \
    {                                                                                              \
        OP_WORD, address, value                                                                    \
    }
#define N(name)                                                                                    \
    {                                                                                              \
        OP_LACK, VMX_FEATURE_##name, 0                                                             \
    }
#define A(member, value)                                                                           \
    {                                                                                              \
        OP_##member, 0, value                                                                      \
    }
#define RESTRICTED  C(SECONDARY_PROCESSOR_CONTROLS, 0x80)
#define WITHOUT_EPT C(SECONDARY_PROCESSOR_CONTROLS, 0x82)
#define LINKED      S(VMCS_LINK_POINTER, 0x6000), W(0x6000, 0x50554C53)
#define POSTED_INTERRUPTS                                                                          \
    O(PIN_CONTROLS, 0x81), O(PROCESSOR_CONTROLS, 0x200000),                                        \
        O(SECONDARY_PROCESSOR_CONTROLS, 0x200), O(EXIT_CONTROLS, 0x8000)
#define MSR_AREA                                                                                   \
    S(ENTRY_MSR_LOAD_COUNT, 2), S(ENTRY_MSR_LOAD_ADDRESS, 0x8000), W(0x8000, 0x174),               \
        W(0x8010, 0x175)

// Good states of a guest.
enum state {
    REAL, // after RESET
    LONG64,
    COMPAT,
    USER64,
    PM32,
    PAE32,
    PM16,
    V86,
    HOST32, // PM32 on a processor without Intel 64
    NUM_STATES
};

struct bench {
    struct vmx_profile profile;
    struct vmx_cpu cpu;
    struct entry_attempt attempt;
    uint64_t address[MAX_WORDS], word[MAX_WORDS];
    unsigned num_words;
};

// A good state on a processor that lacks the features that `given` names (NULL: none).
void bench_init(struct bench *bench, enum state state, const struct change *given);

void bench_apply(struct bench *bench, const struct change changes[MAX_CHANGES]);

// All checks, which change nothing.
struct vmx_entry_outcome bench_check(struct bench *bench);

void assert_entered(const struct vmx_entry_outcome *outcome);

#endif
