// Accesses through a segment. SDM 3A, "Limit Checking", "Type Checking", "Canonical Checking",
// "Segmentation in IA-32e Mode"; SDM 2A, "LAR", "LSL"; SDM 2A, "ARPL"; SDM 2B, "VERR/VERW".
#include "mmu_model/segment_check.h"

#include "segment_rules.h"

// SDM 1, "Memory Addressing in 64-Bit Mode": only FS and GS have a base; no limit, no type.
static bool access_long64(const struct segment_cpu *cpu,
                          const struct segment_access_request *request, uint64_t *out_linear)
{
    bool has_base = request->index == SEGMENT_REGISTER_FS || request->index == SEGMENT_REGISTER_GS;
    uint64_t linear = (has_base ? request->segment.base : 0) + request->offset;
    *out_linear = linear;
    return mmu_is_canonical(linear, cpu->linear_bits) &&
           mmu_is_canonical(linear + (request->size - 1), cpu->linear_bits);
}

// SDM 3A, "Type Checking": nothing writes to code, nor reads it unless it is readable. In real
// mode the rights are not looked at.
static bool type_allows(const struct segment_cpu *cpu, const struct segment *segment,
                        enum mmu_access_kind kind)
{
    if (cpu->mode == CPU_MODE_REAL) {
        return true;
    }
    switch (kind) {
    case MMU_ACCESS_READ:
        return segment_is_readable(segment);
    case MMU_ACCESS_WRITE:
        return segment_is_writable(segment);
    case MMU_ACCESS_FETCH:
        break;
    }
    return segment_is_code(segment) || cpu->mode == CPU_MODE_V86;
}

// Every byte lies within the limit: an access does not wrap at the end of its segment.
static bool limit_allows(const struct segment *segment, uint64_t offset, uint64_t size)
{
    uint64_t first = 0;
    uint64_t last = 0;
    return segment_span(segment, &first, &last) && offset >= first && offset <= last &&
           size - 1 <= last - offset;
}

static bool access_legacy(const struct segment_cpu *cpu,
                          const struct segment_access_request *request, uint64_t *out_linear)
{
    const struct segment *segment = &request->segment;
    *out_linear = (segment->base + request->offset) % FOUR_GIB;
    return (segment->access & SEGMENT_ACCESS_UNUSABLE) == 0 &&
           type_allows(cpu, segment, request->kind) &&
           limit_allows(segment, request->offset, request->size);
}

struct segment_answer segment_check_access(const struct segment_cpu *cpu,
                                           const struct segment_access_request *request,
                                           uint64_t *out_linear)
{
    bool is_stack = request->index == SEGMENT_REGISTER_SS;
    bool allowed = cpu->mode == CPU_MODE_LONG64 ? access_long64(cpu, request, out_linear)
                                                : access_legacy(cpu, request, out_linear);
    return allowed ? segment_done()
                   : segment_raise(cpu, is_stack ? SEGMENT_VECTOR_SS : SEGMENT_VECTOR_GP, 0);
}

// The system types that LAR and LSL know.
static bool knows_type(const struct segment_cpu *cpu, enum segment_query query, int type)
{
    static const struct {
        bool lar[2], lsl[2]; // outside IA-32e mode, in it
    } known[] = {
#define SYSTEM_TYPE(type, name, lar, lsl, lar_ia32e, lsl_ia32e)                                    \
    [type] = {{lar, lar_ia32e}, {lsl, lsl_ia32e}},
#include "mmu_model/system_types.def"
    };
    bool ia32e = segment_is_ia32e(cpu);
    return query == SEGMENT_LAR ? known[type].lar[ia32e] : known[type].lsl[ia32e];
}

static bool query_allows(const struct segment_cpu *cpu, enum segment_query query,
                         const struct segment *segment)
{
    int type = segment_system_type(segment);
    switch (query) {
    case SEGMENT_VERR:
        return segment_is_readable(segment);
    case SEGMENT_VERW:
        return segment_is_writable(segment);
    case SEGMENT_LAR:
    case SEGMENT_LSL:
        break;
    }
    return type < 0 || knows_type(cpu, query, type);
}

// Conforming code is visible from every level. Presence does not matter.
static bool is_visible(const struct segment_cpu *cpu, const struct segment *segment)
{
    unsigned dpl = segment_dpl(segment);
    unsigned rpl = segment->selector & SELECTOR_RPL;
    return segment_is_conforming(segment) || (cpu->cpl <= dpl && rpl <= dpl);
}

struct segment_answer segment_query(const struct segment_cpu *cpu, enum segment_query query,
                                    uint16_t selector, bool *out_zf, uint32_t *out)
{
    struct segment_descriptor descriptor;
    *out_zf = false;
    *out = 0;
    if (cpu->mode == CPU_MODE_REAL || cpu->mode == CPU_MODE_V86) {
        return (struct segment_answer){SEGMENT_RAISES, SEGMENT_VECTOR_UD, 0};
    }
    struct segment_answer answer = segment_fetch(cpu, selector, SEGMENT_VECTOR_GP, &descriptor);
    if (answer.outcome == SEGMENT_RAISES) {
        return segment_done(); // no descriptor: ZF says so, not an exception
    }
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    struct segment segment = segment_from_descriptor(selector, descriptor.low, 0);
    *out_zf = query_allows(cpu, query, &segment) && is_visible(cpu, &segment);
    *out = query == SEGMENT_LSL ? segment.limit : segment_access_to_descriptor(segment.access);
    return answer;
}

bool segment_adjust_rpl(uint16_t *selector, uint16_t other)
{
    unsigned rpl = other & SELECTOR_RPL;
    if ((unsigned)(*selector & SELECTOR_RPL) >= rpl) {
        return false;
    }
    *selector = (uint16_t)((*selector & SELECTOR_ERROR) | rpl);
    return true;
}
