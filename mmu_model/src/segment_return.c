// Far RET and IRET, and the fast system calls and returns. SDM 2A, "IRET/IRETD/IRETQ"; SDM 2B,
// "RET", "SYSCALL", "SYSENTER", "SYSEXIT", "SYSRET".
#include "mmu_model/segment_transfer.h"

#include "segment_rules.h"

#define RFLAGS_IOPL UINT64_C(0x3000)
#define RFLAGS_NT   UINT64_C(0x4000)

enum {
    TYPE_ACCESSED = 1,
    FLAT_CODE64 = 0xA09B, // G L P S, execute, read, accessed
    FLAT_CODE32 = 0xC09B, // with D
    FLAT_DATA = 0xC093,   // G B P S, read, write, accessed
    DPL_3 = 0x60,
    STAR_SYSCALL = 32,
    STAR_SYSRET = 48,
};

// Execution only moves outwards: the RPL of the new CS is the new CPL.
static struct segment_answer return_code(const struct segment_cpu *cpu, uint16_t selector,
                                         struct segment_loaded *out)
{
    struct segment_descriptor descriptor;
    unsigned rpl = selector & SELECTOR_RPL;
    struct segment_answer answer = segment_fetch(cpu, selector, SEGMENT_VECTOR_GP, &descriptor);
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    *out = segment_loaded_from(selector, &descriptor, TYPE_ACCESSED);
    unsigned dpl = segment_dpl(&out->segment);
    bool level = segment_is_conforming(&out->segment) ? dpl <= rpl : dpl == rpl;
    return segment_check_code(cpu, &out->segment, level && rpl >= cpu->cpl);
}

// SS may be null for code of 64 bits below ring 3.
static struct segment_answer return_stack(const struct segment_cpu *cpu, uint16_t selector,
                                          struct segment_return *out)
{
    struct segment_stack_rule rule = {
        .refusal = SEGMENT_VECTOR_GP,
        .level = out->cpl,
        .may_be_null = segment_is_code64(cpu, &out->code.segment) && out->cpl < 3,
    };
    return segment_load_stack(cpu, selector, &rule, &out->stack);
}

struct segment_answer segment_return(const struct segment_cpu *cpu,
                                     const struct segment_frame *frame, struct segment_return *out)
{
    *out = (struct segment_return){.rip = frame->rip, .cpl = cpu->cpl};
    if (cpu->mode == CPU_MODE_REAL || cpu->mode == CPU_MODE_V86) {
        out->code.segment = cpu->mode == CPU_MODE_REAL ? segment_in_real_mode(&cpu->cs, frame->cs)
                                                       : segment_in_v86_mode(frame->cs);
        return segment_check_entry(cpu, &out->code.segment, frame->rip);
    }
    struct segment_answer answer = return_code(cpu, frame->cs, &out->code);
    out->cpl = frame->cs & SELECTOR_RPL;
    if (answer.outcome == SEGMENT_DONE && frame->has_stack) {
        answer = return_stack(cpu, frame->ss, out);
    }
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    if (!segment_is_code64(cpu, &out->code.segment)) {
        out->rip &= UINT32_MAX;
    }
    return segment_check_entry(cpu, &out->code.segment, out->rip);
}

bool segment_survives(const struct segment *segment, unsigned cpl)
{
    bool usable = (segment->access & SEGMENT_ACCESS_UNUSABLE) == 0;
    return !usable || segment_is_conforming(segment) || segment_dpl(segment) >= cpl;
}

enum segment_iret segment_iret(const struct segment_cpu *cpu, uint64_t rflags, uint16_t cs,
                               uint64_t new_rflags)
{
    bool ia32e = segment_is_ia32e(cpu);
    if (cpu->mode == CPU_MODE_REAL) {
        return SEGMENT_IRET_INNER;
    }
    if (cpu->mode == CPU_MODE_V86) {
        return (rflags & RFLAGS_IOPL) == RFLAGS_IOPL ? SEGMENT_IRET_INNER : SEGMENT_IRET_REFUSED;
    }
    if ((rflags & RFLAGS_NT) != 0) {
        return ia32e ? SEGMENT_IRET_REFUSED : SEGMENT_IRET_TASK;
    }
    if (!ia32e && cpu->cpl == 0 && (new_rflags & MMU_RFLAGS_VM) != 0) {
        return SEGMENT_IRET_V86;
    }
    bool outwards = (unsigned)(cs & SELECTOR_RPL) > cpu->cpl;
    return outwards || cpu->mode == CPU_MODE_LONG64 ? SEGMENT_IRET_STACK : SEGMENT_IRET_INNER;
}

// RPL and DPL are those of the level, 0 or 3.
static struct segment_pair flat_pair(uint64_t cs, uint64_t ss, bool user, bool code64)
{
    uint32_t dpl = user ? DPL_3 : 0;
    uint64_t rpl = user ? SELECTOR_RPL : 0;
    uint32_t rights = code64 ? FLAT_CODE64 : FLAT_CODE32;
    return (struct segment_pair){
        .cs = {(uint16_t)((cs & SELECTOR_ERROR) | rpl), rights | dpl, UINT32_MAX, 0},
        .ss = {(uint16_t)((ss & SELECTOR_ERROR) | rpl), FLAT_DATA | dpl, UINT32_MAX, 0},
    };
}

// The RPL of CS is forced to 0, that of SS is not.
struct segment_pair segment_of_syscall(uint64_t star)
{
    uint64_t base = star >> STAR_SYSCALL;
    struct segment_pair pair = flat_pair(base, 0, false, true);
    pair.ss.selector = (uint16_t)(base + 8);
    return pair;
}

struct segment_pair segment_of_sysret(uint64_t star, bool to_code64)
{
    uint64_t base = star >> STAR_SYSRET;
    return flat_pair(to_code64 ? base + 16 : base, base + 8, true, to_code64);
}

struct segment_pair segment_of_sysenter(uint64_t sysenter_cs, bool ia32e)
{
    return flat_pair(sysenter_cs, sysenter_cs + 8, false, ia32e);
}

struct segment_pair segment_of_sysexit(uint64_t sysenter_cs, bool to_code64)
{
    uint64_t cs = sysenter_cs + (to_code64 ? 32 : 16);
    return flat_pair(cs, cs + 8, true, to_code64);
}
