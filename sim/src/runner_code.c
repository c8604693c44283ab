// What happens before an instruction is executed: breakpoints, and who executes it.
#include "runner_engine.h"

#include <string.h>

#include "interp.h"

#define PAGE_MASK  ((uint64_t)MEMORY_PAGE_SIZE - 1)
#define CR0_EM_TS  UINT64_C(0xC)
#define CR4_OSFXSR UINT64_C(0x200)

enum { NUM_DEBUG_ADDRESSES = 4 };

// The page that `linear` is to be fetched from, checked as a fetch. NULL: engine->stop says why
// not.
static struct window *code_window(struct engine *engine, uint64_t linear)
{
    struct window *window = window_find(engine, linear);
    if (window && window->marks && !window->ahead) {
        return window;
    }
    bool is_hole = window && window->kind == WINDOW_HOLE;
    if (!window_admit(engine, linear, MMU_ACCESS_FETCH)) {
        engine->left--;
        engine->stop = STOP_EXCEPTION;
        return NULL;
    }
    if (!window || is_hole || engine->remapped) { // what was translated is not what stands there
        engine->stop = STOP_AGAIN;
        return NULL;
    }
    return window_find(engine, linear);
}

// DR7: Ln and Gn enable address n, R/Wn = 0 means execution.
static bool has_debug_address(const struct cpu *cpu, unsigned n)
{
    uint64_t dr7 = cpu_guest(cpu, DR7);
    return (dr7 >> 2 * n & 3) != 0 && (dr7 >> (16 + 4 * n) & 3) == 0;
}

static bool has_debug_addresses(const struct cpu *cpu)
{
    return has_debug_address(cpu, 0) || has_debug_address(cpu, 1) || has_debug_address(cpu, 2) ||
           has_debug_address(cpu, 3);
}

static bool fpu_is_free(const struct cpu *cpu)
{
    return (cpu_guest(cpu, CR0) & CR0_EM_TS) == 0 && (cpu_guest(cpu, CR4) & CR4_OSFXSR) != 0;
}

static bool enter_page(struct engine *engine, uint64_t pc)
{
    struct window *window = code_window(engine, pc);
    if (!window) {
        return false;
    }
    bool watched = breakpoints_in_page(&engine->machine->breakpoints, window->guest_phys) ||
                   has_debug_addresses(engine->cpu);
    uint8_t pass = INSN_PLAIN;
    pass |= fpu_is_free(engine->cpu) ? INSN_FPU : 0;
    engine->code_page = pc >> MEMORY_PAGE_SHIFT;
    engine->code_phys = window->guest_phys;
    engine->marks = window->marks;
    engine->pass = watched ? 0 : pass;
    engine->watched = watched;
    return true;
}

static void raise_debug(struct engine *engine, uint64_t dr6)
{
    engine->exception = (struct exception){.vector = VECTOR_DB, .payload = dr6};
    engine->left--;
    engine->stop = STOP_EXCEPTION;
}

// SDM 3B, "Instruction-Breakpoint Exception Condition": a fault, unless RF is set.
static bool debug_address_hit(struct engine *engine, uint64_t pc)
{
    uint64_t dr6 = 0;
    for (unsigned n = 0; n < NUM_DEBUG_ADDRESSES; n++) {
        if (has_debug_address(engine->cpu, n) && engine->cpu->vmx.dr[n] == pc) {
            dr6 |= UINT64_C(1) << n;
        }
    }
    if (dr6 == 0 || engine->resume) {
        return false;
    }
    raise_debug(engine, dr6);
    return true;
}

bool code_is_stopped(struct engine *engine, uint64_t pc, uint64_t guest_phys)
{
    const struct cpu *cpu = engine->cpu;
    const struct runner *runner = engine->runner;
    struct breakpoint_view view = {
        .cr3 = cpu_guest(cpu, CR3),
        .rip = pc,
        .fs_base = cpu_guest(cpu, FS_BASE),
        .gs_base = cpu_guest(cpu, GS_BASE),
        .cs = (uint16_t)cpu_guest(cpu, CS_SELECTOR),
    };
    bool skipped = runner->skip_rip == pc && runner->skip_left == engine->left;
    if (!skipped && breakpoints_in_page(&engine->machine->breakpoints, guest_phys) &&
        breakpoints_hit(&engine->machine->breakpoints, guest_phys, &view)) {
        engine->stop = STOP_BREAKPOINT;
        return true;
    }
    return debug_address_hit(engine, pc);
}

// The bytes from linear on that lie in memory behind windows.
static size_t visible_bytes(struct engine *engine, uint64_t linear, uint8_t *out, size_t len)
{
    size_t done = 0;
    while (done < len) {
        struct window *window = window_find(engine, linear + done);
        const uint8_t *page =
            window && window->marks
                ? memory_page(&engine->machine->memory,
                              window->guest_phys + (linear + done - window->linear))
                : NULL;
        size_t offset = (size_t)((linear + done) & PAGE_MASK);
        size_t piece =
            MEMORY_PAGE_SIZE - offset < len - done ? MEMORY_PAGE_SIZE - offset : len - done;
        if (!page) {
            break;
        }
        memcpy(out + done, page + offset, piece);
        done += piece;
    }
    return done;
}

void code_decode(struct engine *engine, struct insn *out)
{
    uint8_t bytes[INSN_MAX_LENGTH];
    size_t len = visible_bytes(engine, engine->pc, bytes, sizeof(bytes));
    insn_decode(bytes, len, out);
}

// Whether the instruction goes on in the next page. Unicorn gives no size for what it does not
// know.
static bool crosses_page(struct engine *engine, uint64_t pc, uint32_t size)
{
    size_t room = MEMORY_PAGE_SIZE - (size_t)(pc & PAGE_MASK);
    if (size <= INSN_MAX_LENGTH || room >= INSN_MAX_LENGTH) {
        return size <= INSN_MAX_LENGTH && size > room;
    }
    uint8_t bytes[INSN_MAX_LENGTH];
    struct insn insn;
    visible_bytes(engine, pc, bytes, room);
    insn_decode(bytes, room, &insn);
    return insn.truncated;
}

static enum insn_class class_of(struct engine *engine, uint64_t pc, bool crosses)
{
    uint8_t *mark = &engine->marks[pc & PAGE_MASK];
    if (*mark != 0) {
        return (enum insn_class) * mark;
    }
    struct insn insn;
    code_decode(engine, &insn);
    enum insn_class class = insn_classify(&insn);
    if (!crosses) { // the next page may change without this one
        *mark = (uint8_t) class;
    }
    return class;
}

static bool fpu_may_run(struct engine *engine)
{
    struct exec x = exec_begin(engine->machine, engine->cpu);
    struct insn insn;
    code_decode(engine, &insn);
    if (!interp_fpu_disabled(&x, &insn)) {
        return true;
    }
    engine->exception = x.exception;
    engine->left--;
    engine->stop = STOP_EXCEPTION;
    return false;
}

static bool class_may_run(struct engine *engine, enum insn_class class, uint64_t pc)
{
    switch (class) {
    case INSN_PLAIN:
        return true;
    case INSN_REPEATED: // the next element is no new instruction for a breakpoint
        engine->runner->skip_rip = pc;
        engine->runner->skip_left = engine->left - 1;
        return true;
    case INSN_EARLY_FLAGS:
        uc_reg_read(engine->uc, UC_X86_REG_RFLAGS, &engine->flags);
        engine->flags_pc = pc;
        return true;
    case INSN_FPU:
        return fpu_may_run(engine);
    case INSN_SENSITIVE:
    case INSN_POISON:
        break;
    }
    engine->stop = STOP_SENSITIVE;
    return false;
}

bool code_is_used_up(struct engine *engine, uint64_t pc)
{
    uint64_t count = 0;
    struct insn insn;
    if (pc >> MEMORY_PAGE_SHIFT != engine->code_page) {
        return false;
    }
    code_decode(engine, &insn);
    uc_reg_read(engine->uc, insn.address_32 ? UC_X86_REG_ECX : UC_X86_REG_RCX, &count);
    return insn_classify(&insn) == INSN_REPEATED && count == 0;
}

bool code_may_run(struct engine *engine, uint64_t pc, uint32_t size)
{
    if (pc >> MEMORY_PAGE_SHIFT != engine->code_page && !enter_page(engine, pc)) {
        return false;
    }
    bool crosses = crosses_page(engine, pc, size);
    uint64_t next_page = (pc | PAGE_MASK) + 1;
    if (crosses && !code_window(engine, next_page)) {
        return false;
    }
    if (engine->watched && code_is_stopped(engine, pc, engine->code_phys + (pc & PAGE_MASK))) {
        return false;
    }
    return class_may_run(engine, class_of(engine, pc, crosses), pc);
}
