#include "harness.h"
#include "segment_checks.h"

enum {
    SELECTOR_RPL = 3,
    SELECTOR_LDT = 4,
    MAX_PARAMETERS = 31,
};

// CS after a transfer, at the level of its RPL, and RIP within it.
static void check_code(struct segment_world *world, const struct segment_loaded *code, uint64_t rip)
{
    const struct segment *segment = &code->segment;
    unsigned level = segment->selector & SELECTOR_RPL;
    unsigned dpl = segment_dpl(segment);
    bool is_64bit = segment_world_is_ia32e(world) && (segment->access & SEGMENT_ACCESS_L) != 0;
    check_loaded(world, code);
    FUZZ_REQUIRE(segment_is_code(segment) && !segment_is_null(segment->selector));
    FUZZ_REQUIRE(segment_is_conforming(segment) ? dpl <= level : dpl == level);
    FUZZ_REQUIRE(!is_64bit || (segment->access & SEGMENT_ACCESS_DB) == 0);
    FUZZ_REQUIRE(is_64bit ? mmu_is_canonical(rip, world->cpu.linear_bits) : rip <= segment->limit);
}

static void check_paragraph(const struct segment *code, uint64_t rip)
{
    FUZZ_REQUIRE(code->base == UINT64_C(16) * code->selector);
    FUZZ_REQUIRE(rip <= code->limit);
}

// SS at a level: null in IA-32e mode, or writable data of that level.
static void check_stack(struct segment_world *world, const struct segment_loaded *stack,
                        unsigned level)
{
    const struct segment *segment = &stack->segment;
    FUZZ_REQUIRE(segment_dpl(segment) == level);
    FUZZ_REQUIRE((segment->selector & SELECTOR_RPL) == (int)level);
    if (segment_is_null(segment->selector)) {
        FUZZ_REQUIRE(segment_world_is_ia32e(world));
        FUZZ_REQUIRE((segment->access & SEGMENT_ACCESS_UNUSABLE) != 0);
        return;
    }
    check_loaded(world, stack);
    FUZZ_REQUIRE(segment_is_writable(segment));
}

// What a transfer through a gate says of itself, between protected-mode levels.
static void check_gated(struct segment_world *world, const struct segment_transfer *to)
{
    unsigned level = to->code.segment.selector & SELECTOR_RPL;
    bool ia32e = segment_world_is_ia32e(world);
    FUZZ_REQUIRE(ia32e ? to->width == 8 : to->width == 2 || to->width == 4);
    FUZZ_REQUIRE(!ia32e || (to->code.segment.access & SEGMENT_ACCESS_L) != 0);
    FUZZ_REQUIRE(to->width != 2 || to->offset <= UINT16_MAX);
    FUZZ_REQUIRE(level <= world->cpu.cpl);
    FUZZ_REQUIRE(to->changes_level == (level < world->cpu.cpl));
    FUZZ_REQUIRE(to->switches_stack || !to->changes_level);
    FUZZ_REQUIRE(to->num_parameters <= MAX_PARAMETERS);
    FUZZ_REQUIRE(to->num_parameters == 0 || (to->switches_stack && !ia32e));
    if (to->switches_stack) {
        FUZZ_REQUIRE(!ia32e || mmu_is_canonical(to->sp, world->cpu.linear_bits));
        check_stack(world, &to->stack, level);
    }
}

static void check_task(const struct segment_world *world, const struct segment_transfer *to)
{
    FUZZ_REQUIRE(!segment_world_is_ia32e(world));
    FUZZ_REQUIRE((to->task & SELECTOR_LDT) == 0 && !segment_is_null(to->task));
}

static void check_transfer(struct segment_world *world, const struct segment_transfer *to)
{
    if (!segment_world_is_protected(world)) {
        FUZZ_REQUIRE(!to->gated && to->offset == world->offset);
        check_paragraph(&to->code.segment, to->offset);
        return;
    }
    check_code(world, &to->code, to->offset);
    FUZZ_REQUIRE(!to->masks_interrupts);
    if (to->gated) {
        check_gated(world, to);
        FUZZ_REQUIRE(to->switches_stack == to->changes_level);
        return;
    }
    FUZZ_REQUIRE(to->offset == world->offset);
    FUZZ_REQUIRE(((to->code.segment.selector ^ world->selector) & ~SELECTOR_RPL) == 0);
    FUZZ_REQUIRE((to->code.segment.selector & SELECTOR_RPL) == (int)world->cpu.cpl);
    FUZZ_REQUIRE(!to->changes_level && !to->switches_stack && to->num_parameters == 0);
}

static enum segment_outcome transfer(struct segment_world *world, enum segment_transfer_kind kind,
                                     struct segment_transfer *out)
{
    struct far_pointer to = {world->selector, world->offset};
    struct segment_answer answer = segment_transfer(&world->cpu, kind, to, out);
    check_answer(world, answer);
    if (answer.outcome == SEGMENT_DONE) {
        check_transfer(world, out);
    }
    if (answer.outcome == SEGMENT_TASK_SWITCH) {
        FUZZ_REQUIRE(segment_world_is_protected(world));
        check_task(world, out);
    }
    return answer.outcome;
}

// Where a JMP goes a CALL goes too, and stays at its level; a CALL goes further inwards.
void check_transfers(struct segment_world *world)
{
    struct segment_transfer call;
    struct segment_transfer jump;
    enum segment_outcome calls = transfer(world, SEGMENT_CALL, &call);
    enum segment_outcome jumps = transfer(world, SEGMENT_JMP, &jump);
    FUZZ_REQUIRE((calls == SEGMENT_TASK_SWITCH) == (jumps == SEGMENT_TASK_SWITCH));
    if (jumps != SEGMENT_DONE) {
        return;
    }
    FUZZ_REQUIRE(calls == SEGMENT_DONE);
    FUZZ_REQUIRE(!jump.changes_level);
    FUZZ_REQUIRE(jump.offset == call.offset);
    FUZZ_REQUIRE(jump.code.segment.selector == call.code.segment.selector);
}

static enum segment_outcome interrupt(struct segment_world *world, bool software,
                                      struct segment_transfer *out)
{
    struct segment_interrupt request = world->interrupt;
    request.software = software;
    struct segment_answer answer = segment_interrupt(&world->cpu, &request, out);
    check_interrupt_answer(world, answer);
    if (answer.outcome == SEGMENT_TASK_SWITCH) {
        check_task(world, out);
    }
    return answer.outcome;
}

// What INT n may, the hardware may, with the same result. In real mode nothing is a gate's.
void check_interrupt(struct segment_world *world)
{
    struct segment_transfer to;
    struct segment_transfer by_software;
    enum segment_outcome outcome = interrupt(world, false, &to);
    enum segment_outcome software = interrupt(world, true, &by_software);
    if (software == SEGMENT_DONE || software == SEGMENT_TASK_SWITCH) {
        FUZZ_REQUIRE(outcome == software);
        FUZZ_REQUIRE(to.code.segment.base == by_software.code.segment.base);
        FUZZ_REQUIRE(to.offset == by_software.offset && to.sp == by_software.sp);
    }
    if (outcome != SEGMENT_DONE) {
        return;
    }
    FUZZ_REQUIRE(to.gated && to.num_parameters == 0);
    if (world->cpu.mode == CPU_MODE_REAL) {
        check_paragraph(&to.code.segment, to.offset);
        FUZZ_REQUIRE(to.masks_interrupts && to.width == 2);
        return;
    }
    check_code(world, &to.code, to.offset);
    check_gated(world, &to);
    if (world->cpu.mode == CPU_MODE_V86) {
        FUZZ_REQUIRE((to.code.segment.selector & SELECTOR_RPL) == 0 && to.switches_stack);
    }
}

static void check_iret(const struct segment_world *world)
{
    uint64_t rflags = world->offset & UINT64_C(0x7000);
    uint64_t new_rflags = world->offset & MMU_RFLAGS_VM;
    enum segment_iret kind = segment_iret(&world->cpu, rflags, world->frame.cs, new_rflags);
    bool ia32e = segment_world_is_ia32e(world);
    bool outwards = (unsigned)(world->frame.cs & SELECTOR_RPL) > world->cpu.cpl;
    switch (kind) {
    case SEGMENT_IRET_REFUSED:
        FUZZ_REQUIRE(ia32e || world->cpu.mode == CPU_MODE_V86);
        break;
    case SEGMENT_IRET_TASK:
        FUZZ_REQUIRE(!ia32e && segment_world_is_protected(world));
        break;
    case SEGMENT_IRET_V86:
        FUZZ_REQUIRE(!ia32e && segment_world_is_protected(world) && world->cpu.cpl == 0);
        break;
    case SEGMENT_IRET_INNER:
        FUZZ_REQUIRE(!segment_world_is_protected(world) || !outwards);
        break;
    case SEGMENT_IRET_STACK:
        FUZZ_REQUIRE(segment_world_is_protected(world));
        break;
    }
}

// A data segment register that survives at a level survives further in.
static void check_survivors(struct segment_world *world)
{
    for (unsigned i = 0; i < NUM_SEGMENT_REGISTERS; i++) {
        const struct segment *segment = segment_world_register(world, (enum segment_register)i);
        FUZZ_REQUIRE(segment_survives(segment, 0));
        for (unsigned cpl = 1; cpl <= 3; cpl++) {
            FUZZ_REQUIRE(segment_survives(segment, cpl - 1) || !segment_survives(segment, cpl));
        }
    }
}

void check_return(struct segment_world *world)
{
    struct segment_return to;
    struct segment_answer answer = segment_return(&world->cpu, &world->frame, &to);
    check_answer(world, answer);
    FUZZ_REQUIRE(answer.outcome != SEGMENT_TASK_SWITCH);
    check_iret(world);
    check_survivors(world);
    if (answer.outcome != SEGMENT_DONE) {
        return;
    }
    FUZZ_REQUIRE(to.code.segment.selector == world->frame.cs);
    if (!segment_world_is_protected(world)) {
        check_paragraph(&to.code.segment, to.rip);
        return;
    }
    check_code(world, &to.code, to.rip);
    FUZZ_REQUIRE(to.cpl >= world->cpu.cpl);
    FUZZ_REQUIRE(to.cpl == (unsigned)(world->frame.cs & SELECTOR_RPL));
    if (world->frame.has_stack) {
        check_stack(world, &to.stack, to.cpl);
        FUZZ_REQUIRE(to.stack.segment.selector == world->frame.ss);
    }
}

// CS and SS of a fast system call are flat, present and of one level.
static void check_pair(struct segment_pair pair, unsigned level, bool code64)
{
    FUZZ_REQUIRE(segment_is_code(&pair.cs) && segment_is_writable(&pair.ss));
    FUZZ_REQUIRE(segment_dpl(&pair.cs) == level && segment_dpl(&pair.ss) == level);
    FUZZ_REQUIRE((pair.cs.selector & SELECTOR_RPL) == (int)level);
    FUZZ_REQUIRE(pair.cs.base == 0 && pair.ss.base == 0);
    FUZZ_REQUIRE(pair.cs.limit == UINT32_MAX && pair.ss.limit == UINT32_MAX);
    FUZZ_REQUIRE((pair.cs.access & SEGMENT_ACCESS_P) != 0);
    FUZZ_REQUIRE(((pair.cs.access & SEGMENT_ACCESS_L) != 0) == code64);
    FUZZ_REQUIRE(((pair.cs.access & SEGMENT_ACCESS_DB) == 0) == code64);
}

void check_fast_calls(const struct segment_world *world)
{
    uint64_t value = world->offset;
    check_pair(segment_of_syscall(value), 0, true);
    check_pair(segment_of_sysret(value, true), 3, true);
    check_pair(segment_of_sysret(value, false), 3, false);
    check_pair(segment_of_sysenter(value, true), 0, true);
    check_pair(segment_of_sysenter(value, false), 0, false);
    check_pair(segment_of_sysexit(value, true), 3, true);
    check_pair(segment_of_sysexit(value, false), 3, false);
}
