#include "segment_checks.h"

#include "harness.h"

#define FOUR_GIB (UINT64_C(1) << 32)

enum {
    SELECTOR_RPL = 3,
    SELECTOR_LDT = 4,
    ERROR_EXTERNAL = 1,
    ERROR_IDT = 2,
    TYPE_ACCESSED = 1,
    TYPE_BUSY = 2,
    RIGHTS_BYTE = 5, // of a descriptor
};

// --- answers --------------------------------------------------------------------------------

static void check_outcome(const struct segment_world *world, struct segment_answer answer)
{
    if (answer.outcome != SEGMENT_RAISES) {
        FUZZ_REQUIRE(answer.vector == 0 && answer.code == 0);
    }
    if (answer.outcome == SEGMENT_UNREAD) {
        FUZZ_REQUIRE(world->memory.num_refused != 0);
    }
    if (answer.outcome == SEGMENT_TASK_SWITCH) {
        FUZZ_REQUIRE(segment_world_is_protected(world) || world->cpu.mode == CPU_MODE_V86);
        FUZZ_REQUIRE(!segment_world_is_ia32e(world));
    }
}

void check_interrupt_answer(const struct segment_world *world, struct segment_answer answer)
{
    if (answer.outcome != SEGMENT_RAISES || (answer.code & ERROR_IDT) == 0) {
        check_answer(world, answer);
        return;
    }
    FUZZ_REQUIRE(answer.vector == SEGMENT_VECTOR_GP || answer.vector == SEGMENT_VECTOR_NP);
    FUZZ_REQUIRE(answer.code >> 3 == world->interrupt.vector);
    FUZZ_REQUIRE((answer.code & SELECTOR_LDT) == 0);
    FUZZ_REQUIRE((answer.code & ERROR_EXTERNAL) == world->cpu.external);
}

void check_answer(const struct segment_world *world, struct segment_answer answer)
{
    check_outcome(world, answer);
    if (answer.outcome != SEGMENT_RAISES) {
        return;
    }
    if (answer.vector == SEGMENT_VECTOR_UD) {
        FUZZ_REQUIRE(answer.code == 0);
        return;
    }
    FUZZ_REQUIRE(answer.vector >= SEGMENT_VECTOR_TS && answer.vector <= SEGMENT_VECTOR_GP);
    FUZZ_REQUIRE(answer.code <= UINT16_MAX);
    FUZZ_REQUIRE((answer.code & ERROR_IDT) == 0);
    FUZZ_REQUIRE((answer.code & ERROR_EXTERNAL) == world->cpu.external);
}

// --- where ----------------------------------------------------------------------------------

// The answer at distance bytes from the offset is *here moved by as much.
static void check_moved(struct segment_world *world, const struct segment_linear *here,
                        enum segment_fault fault, uint64_t distance)
{
    struct segment_linear there;
    FUZZ_REQUIRE(segment_world_translate(world, world->offset + distance, &there) == fault);
    FUZZ_REQUIRE(there.linear == (fault == SEGMENT_FAULT_NONE ? here->linear + distance : 0));
    // From 0 on all of 2^64 bytes get one answer, a number that does not exist.
    FUZZ_REQUIRE(here->length - distance == there.length || here->length == UINT64_MAX ||
                 there.length == UINT64_MAX);
    FUZZ_REQUIRE(there.before == here->before + distance);
}

// At the first byte that the answer does not cover there is another answer, or another space.
static void check_end(struct segment_world *world, const struct segment_linear *here,
                      enum segment_fault fault)
{
    struct segment_linear there;
    uint64_t end = world->offset + here->length;
    enum segment_fault next = segment_world_translate(world, end, &there);
    bool wraps = end == 0 || here->linear + here->length == 0;
    bool wraps_legacy = here->linear + here->length == FOUR_GIB && there.linear == 0;
    FUZZ_REQUIRE(next != fault || wraps || wraps_legacy || here->length == UINT64_MAX);
}

void check_translation(struct segment_world *world)
{
    struct segment_linear here;
    enum segment_fault fault = segment_world_translate(world, world->offset, &here);
    FUZZ_REQUIRE(segment_fault_text(fault));
    FUZZ_REQUIRE(here.length != 0);
    FUZZ_REQUIRE(here.linear + (here.length - 1) >= here.linear);
    if (fault == SEGMENT_FAULT_NONE) {
        FUZZ_REQUIRE(here.before <= here.linear);
        if (world->cpu.mode != CPU_MODE_LONG64) {
            FUZZ_REQUIRE(here.before <= world->offset);
            FUZZ_REQUIRE(here.linear + here.length <= FOUR_GIB);
        }
    }
    check_moved(world, &here, fault, here.length - 1);
    check_moved(world, &here, fault, (here.length - 1) / 2);
    check_moved(world, &here, fault, -here.before);
    check_end(world, &here, fault);
}

void check_descriptors(const struct segment_world *world)
{
    for (size_t i = 0; i < world->memory.num_words; i++) {
        uint64_t word = world->memory.word[i];
        struct segment segment = segment_from_descriptor(world->selector, word, 0);
        FUZZ_REQUIRE(segment_to_descriptor(&segment) == word);
        uint32_t rights = segment_access_to_descriptor(segment.access);
        FUZZ_REQUIRE(segment_access_from_descriptor(rights) == segment.access);
        FUZZ_REQUIRE(segment.base <= UINT32_MAX);
        FUZZ_REQUIRE((segment.access & SEGMENT_ACCESS_G) != 0 || segment.limit <= 0xFFFFF);
    }
}

// --- loads ----------------------------------------------------------------------------------

void check_loaded(struct segment_world *world, const struct segment_loaded *loaded)
{
    uint64_t raw = 0;
    uint32_t access = loaded->segment.access;
    FUZZ_REQUIRE((access & SEGMENT_ACCESS_P) != 0);
    FUZZ_REQUIRE((access & SEGMENT_ACCESS_UNUSABLE) == 0);
    FUZZ_REQUIRE(segment_world_is_ia32e(world) || loaded->linear < FOUR_GIB);
    FUZZ_REQUIRE(segment_world_get(world, loaded->linear, &raw));
    FUZZ_REQUIRE((raw >> 40 & loaded->set) == 0);
    FUZZ_REQUIRE(segment_to_descriptor(&loaded->segment) == (raw | (uint64_t)loaded->set << 40));
    if ((access & SEGMENT_ACCESS_S) != 0) {
        FUZZ_REQUIRE((access & TYPE_ACCESSED) != 0);
        FUZZ_REQUIRE((loaded->set & ~TYPE_ACCESSED) == 0);
        FUZZ_REQUIRE(loaded->segment.base <= UINT32_MAX);
    }
}

static void check_null(const struct segment_loaded *loaded, uint32_t dpl)
{
    const struct segment *segment = &loaded->segment;
    FUZZ_REQUIRE(segment->access == (SEGMENT_ACCESS_UNUSABLE | dpl << 5));
    FUZZ_REQUIRE(segment->base == 0 && segment->limit == 0);
    FUZZ_REQUIRE(loaded->set == 0);
}

static bool load(struct segment_world *world, enum segment_register index, uint16_t selector,
                 struct segment_loaded *out)
{
    const struct segment *old = segment_world_register(world, index);
    struct segment_answer answer = segment_load(&world->cpu, index, selector, old, out);
    check_answer(world, answer);
    FUZZ_REQUIRE(answer.outcome != SEGMENT_TASK_SWITCH);
    FUZZ_REQUIRE(answer.outcome != SEGMENT_DONE || out->segment.selector == selector);
    return answer.outcome == SEGMENT_DONE;
}

// In real and virtual-8086 mode a load never fails.
static void check_paragraph(const struct segment_world *world, const struct segment_loaded *loaded)
{
    FUZZ_REQUIRE(loaded->segment.base == UINT64_C(16) * loaded->segment.selector);
    FUZZ_REQUIRE(loaded->set == 0);
    FUZZ_REQUIRE((loaded->segment.access & SEGMENT_ACCESS_UNUSABLE) == 0);
    if (world->cpu.mode == CPU_MODE_V86) {
        FUZZ_REQUIRE(loaded->segment.access == 0xF3 && loaded->segment.limit == 0xFFFF);
    }
}

// What may be loaded may be loaded at an inner level, and with a lower RPL.
static void check_inner_loads(struct segment_world *world)
{
    unsigned cpl = world->cpu.cpl;
    struct segment_loaded loaded;
    while (world->cpu.cpl != 0) {
        world->cpu.cpl--;
        FUZZ_REQUIRE(load(world, SEGMENT_REGISTER_DS, world->selector, &loaded));
    }
    world->cpu.cpl = cpl;
    unsigned rpl = world->selector & SELECTOR_RPL;
    while (rpl != 0) {
        rpl--;
        uint16_t selector = (uint16_t)((world->selector & 0xFFFC) | rpl);
        FUZZ_REQUIRE(load(world, SEGMENT_REGISTER_DS, selector, &loaded));
    }
}

// With the flag set in memory a load gives the same and sets nothing.
static void check_load_again(struct segment_world *world, enum segment_register index,
                             const struct segment_loaded *loaded)
{
    struct segment_world after = *world;
    struct segment_loaded again;
    after.cpu.context = &after;
    if (!segment_world_or(&after, loaded->linear + RIGHTS_BYTE, loaded->set)) {
        return;
    }
    FUZZ_REQUIRE(load(&after, index, world->selector, &again));
    FUZZ_REQUIRE(again.set == 0);
    FUZZ_REQUIRE(again.segment.access == loaded->segment.access);
}

// The debugger finds the segment that the CPU loads, unless a register holds its selector.
static void check_debugger_finds(struct segment_world *world, const struct segment *segment)
{
    struct segment_linear where;
    for (unsigned i = 0; i < NUM_SEGMENT_REGISTERS; i++) {
        if (segment_world_register(world, (enum segment_register)i)->selector ==
            segment->selector) {
            return;
        }
    }
    bool expands_down = !segment_is_code(segment) && (segment->access & SEGMENT_ACCESS_EXPAND_DOWN);
    enum segment_fault fault = segment_world_translate(world, segment->limit, &where);
    if (world->cpu.mode == CPU_MODE_LONG64) {
        FUZZ_REQUIRE(fault == SEGMENT_FAULT_NONE && where.linear == segment->limit);
        return;
    }
    FUZZ_REQUIRE(fault == (expands_down ? SEGMENT_FAULT_LIMIT : SEGMENT_FAULT_NONE));
    FUZZ_REQUIRE(expands_down || where.linear == (segment->base + segment->limit) % FOUR_GIB);
    FUZZ_REQUIRE(expands_down || where.length == 1);
}

void check_data_load(struct segment_world *world)
{
    struct segment_loaded loaded;
    bool done = load(world, SEGMENT_REGISTER_DS, world->selector, &loaded);
    if (!segment_world_is_protected(world)) {
        FUZZ_REQUIRE(done);
        check_paragraph(world, &loaded);
        return;
    }
    if (!done) {
        return;
    }
    check_inner_loads(world);
    if (segment_is_null(world->selector)) {
        check_null(&loaded, 0);
        return;
    }
    check_loaded(world, &loaded);
    FUZZ_REQUIRE(segment_is_readable(&loaded.segment));
    FUZZ_REQUIRE(segment_is_conforming(&loaded.segment) ||
                 segment_dpl(&loaded.segment) >= world->cpu.cpl);
    check_load_again(world, SEGMENT_REGISTER_DS, &loaded);
    check_debugger_finds(world, &loaded.segment);
}

void check_stack_load(struct segment_world *world)
{
    struct segment_loaded loaded;
    struct segment_loaded data;
    struct segment_loaded code;
    FUZZ_REQUIRE(!load(world, SEGMENT_REGISTER_CS, world->selector, &code));
    bool done = load(world, SEGMENT_REGISTER_SS, world->selector, &loaded);
    if (!segment_world_is_protected(world) || !done) {
        FUZZ_REQUIRE(done || segment_world_is_protected(world));
        return;
    }
    FUZZ_REQUIRE((world->selector & SELECTOR_RPL) == (int)world->cpu.cpl);
    FUZZ_REQUIRE(segment_dpl(&loaded.segment) == world->cpu.cpl);
    FUZZ_REQUIRE(load(world, SEGMENT_REGISTER_DS, world->selector, &data));
    if (segment_is_null(world->selector)) {
        FUZZ_REQUIRE(world->cpu.mode == CPU_MODE_LONG64 && world->cpu.cpl < 3);
        check_null(&loaded, world->cpu.cpl);
        return;
    }
    check_loaded(world, &loaded);
    FUZZ_REQUIRE(segment_is_writable(&loaded.segment));
    FUZZ_REQUIRE(data.linear == loaded.linear && data.set == loaded.set);
    FUZZ_REQUIRE(segment_to_descriptor(&data.segment) == segment_to_descriptor(&loaded.segment));
    check_load_again(world, SEGMENT_REGISTER_SS, &loaded);
}

// LDTR and TR come from the GDT, in ring 0 of protected mode.
static void check_system(struct segment_world *world, const struct segment_loaded *loaded)
{
    FUZZ_REQUIRE(segment_world_is_protected(world) && world->cpu.cpl == 0);
    FUZZ_REQUIRE((world->selector & SELECTOR_LDT) == 0);
    FUZZ_REQUIRE((loaded->segment.access & SEGMENT_ACCESS_S) == 0);
    check_loaded(world, loaded);
    if (segment_world_is_ia32e(world)) {
        FUZZ_REQUIRE(mmu_is_canonical(loaded->segment.base, world->cpu.linear_bits));
        return;
    }
    FUZZ_REQUIRE(loaded->segment.base <= UINT32_MAX);
}

void check_system_loads(struct segment_world *world)
{
    struct segment_loaded ldtr;
    struct segment_loaded tr;
    struct segment_answer answer = segment_load_ldtr(&world->cpu, world->selector, &ldtr);
    check_answer(world, answer);
    bool is_ldt = answer.outcome == SEGMENT_DONE;
    if (is_ldt && segment_is_null(world->selector)) {
        check_null(&ldtr, 0);
    } else if (is_ldt) {
        check_system(world, &ldtr);
        FUZZ_REQUIRE((ldtr.segment.access & SEGMENT_ACCESS_TYPE) == SYSTEM_TYPE_LDT);
        FUZZ_REQUIRE(ldtr.set == 0);
    }
    answer = segment_load_tr(&world->cpu, world->selector, &tr);
    check_answer(world, answer);
    if (answer.outcome == SEGMENT_DONE) {
        FUZZ_REQUIRE(!is_ldt);
        check_system(world, &tr);
        FUZZ_REQUIRE(tr.set == TYPE_BUSY);
    }
}

// --- accesses -------------------------------------------------------------------------------

static bool query(struct segment_world *world, enum segment_query kind, uint32_t *out)
{
    bool zf = false;
    struct segment_answer answer = segment_query(&world->cpu, kind, world->selector, &zf, out);
    check_answer(world, answer);
    FUZZ_REQUIRE(answer.outcome == SEGMENT_DONE || !zf);
    FUZZ_REQUIRE(answer.outcome != SEGMENT_RAISES || !segment_world_is_protected(world));
    return zf;
}

// LSL knows fewer types than LAR, VERW fewer than VERR; what DS may hold may be read.
void check_queries(struct segment_world *world)
{
    uint32_t rights = 0;
    uint32_t limit = 0;
    uint32_t ignored = 0;
    struct segment_loaded loaded;
    bool lar = query(world, SEGMENT_LAR, &rights);
    bool lsl = query(world, SEGMENT_LSL, &limit);
    bool verr = query(world, SEGMENT_VERR, &ignored);
    bool verw = query(world, SEGMENT_VERW, &ignored);
    FUZZ_REQUIRE(lar || !lsl);
    FUZZ_REQUIRE(lsl || !verr);
    FUZZ_REQUIRE(verr || !verw);
    FUZZ_REQUIRE(!lar || (rights & ~UINT32_C(0x00F0FF00)) == 0);
    bool done = load(world, SEGMENT_REGISTER_DS, world->selector, &loaded);
    if (segment_world_is_protected(world) && !segment_is_null(world->selector)) {
        bool present = (rights & 0x8000) != 0;
        FUZZ_REQUIRE(done == (verr && present));
        FUZZ_REQUIRE(!done || loaded.segment.limit == limit);
    }
    uint16_t selector = world->selector;
    bool raised = segment_adjust_rpl(&selector, world->frame.ss);
    FUZZ_REQUIRE(raised == (selector != world->selector));
    FUZZ_REQUIRE((selector & SELECTOR_RPL) >= (world->frame.ss & SELECTOR_RPL));
    FUZZ_REQUIRE((selector & ~SELECTOR_RPL) == (world->selector & ~SELECTOR_RPL));
}

static bool may(const struct segment_world *world, const struct segment_access_request *request,
                uint64_t *out_linear)
{
    struct segment_answer answer = segment_check_access(&world->cpu, request, out_linear);
    bool is_stack = request->index == SEGMENT_REGISTER_SS;
    check_answer(world, answer);
    FUZZ_REQUIRE(answer.outcome == SEGMENT_DONE || answer.outcome == SEGMENT_RAISES);
    FUZZ_REQUIRE(answer.outcome == SEGMENT_DONE ||
                 answer.vector == (is_stack ? SEGMENT_VECTOR_SS : SEGMENT_VECTOR_GP));
    FUZZ_REQUIRE(answer.code <= ERROR_EXTERNAL);
    return answer.outcome == SEGMENT_DONE;
}

// Whether the debugger takes this register for its own selector.
static bool means_register(struct segment_world *world, enum segment_register index)
{
    static const enum segment_register order[] = {SEGMENT_REGISTER_CS, SEGMENT_REGISTER_SS,
                                                  SEGMENT_REGISTER_DS, SEGMENT_REGISTER_ES,
                                                  SEGMENT_REGISTER_FS, SEGMENT_REGISTER_GS};
    uint16_t selector = segment_world_register(world, index)->selector;
    size_t i = 0;
    while (segment_world_register(world, order[i])->selector != selector) {
        i++;
    }
    return order[i] == index && (world->cpu.mode != CPU_MODE_LONG64 || !segment_is_null(selector));
}

static void check_access_is_found(struct segment_world *world,
                                  const struct segment_access_request *request, bool allowed,
                                  uint64_t linear)
{
    struct segment_world there = *world;
    struct segment_linear where;
    there.selector = request->segment.selector;
    enum segment_fault fault = segment_world_translate(&there, request->offset, &where);
    if (allowed) {
        FUZZ_REQUIRE(fault == SEGMENT_FAULT_NONE);
        FUZZ_REQUIRE(where.linear == linear);
        bool wraps = where.linear + where.length == FOUR_GIB || where.linear + where.length == 0;
        FUZZ_REQUIRE(request->size <= where.length || wraps);
        return;
    }
    // The other way round: the limit does not refuse what the debugger finds.
    bool fits = fault == SEGMENT_FAULT_NONE && request->size <= where.length;
    bool readable = segment_is_readable(&request->segment) || world->cpu.mode <= CPU_MODE_SMM;
    FUZZ_REQUIRE(!fits || !readable || request->kind != MMU_ACCESS_READ);
}

void check_access(struct segment_world *world)
{
    struct segment_access_request request = {
        .index = world->index,
        .segment = *segment_world_register(world, world->index),
        .kind = world->kind,
        .offset = world->cpu.mode == CPU_MODE_LONG64 ? world->offset : world->offset % FOUR_GIB,
        .size = world->size,
    };
    uint64_t linear = 0;
    uint64_t linear_smaller = 0;
    bool allowed = may(world, &request, &linear);
    if (means_register(world, world->index)) {
        check_access_is_found(world, &request, allowed, linear);
    }
    struct segment_access_request smaller = request;
    smaller.size = 1 + request.size / 2;
    FUZZ_REQUIRE(may(world, &smaller, &linear_smaller) || !allowed || request.size == 1);
    FUZZ_REQUIRE(!allowed || linear == linear_smaller);
    if (request.kind == MMU_ACCESS_WRITE) {
        request.kind = MMU_ACCESS_READ;
        FUZZ_REQUIRE(may(world, &request, &linear) || !allowed);
    }
}
