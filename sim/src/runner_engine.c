#include "runner_engine.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_MASK ((uint64_t)MEMORY_PAGE_SIZE - 1)
#define HLT       0xF4

static void stop(struct engine *engine, enum engine_stop why)
{
    engine->stop = why;
    uc_emu_stop(engine->uc);
}

// Before every instruction. With REP before every element, and once more when none is left.
static void on_code(uc_engine *uc, uint64_t pc, uint32_t size, void *user)
{
    struct engine *engine = user;
    if (engine->stop != STOP_NONE) {
        return;
    }
    bool repeats = engine->pc == pc;
    engine->pc = pc;
    engine->size = size;
    if (engine->left == engine->floor) {
        engine->repeats = repeats;
        stop(engine, STOP_LIMIT);
        return;
    }
    if (engine->again) {
        stop(engine, STOP_AGAIN);
        return;
    }
    bool known = pc >> MEMORY_PAGE_SHIFT == engine->code_page &&
                 (engine->marks[pc & PAGE_MASK] & engine->pass) != 0;
    if (known) {
        engine->left--;
        return;
    }
    if (!code_may_run(engine, pc, size)) {
        uc_emu_stop(uc);
    } else if (!repeats || !code_is_used_up(engine, pc)) {
        engine->left--;
    }
}

// A branch to an address that is not canonical is #GP(0) itself (SDM 2A, "JMP", "CALL"), but
// Unicorn has taken it. False: it was no branch, RIP has left the canonical half by itself.
static bool on_wild_branch(struct engine *engine)
{
    struct insn insn;
    code_decode(engine, &insn);
    if (!insn_is_near_branch(&insn)) {
        return false;
    }
    engine->exception = (struct exception){.vector = VECTOR_GP, .has_code = true};
    engine->rsp_undo = insn_rsp_change(&insn);
    engine->stop = STOP_EXCEPTION;
    return true;
}

// Unicorn asks for a page to translate. Only the page of RIP is fetched from for certain: it may
// translate far ahead of what is executed. Whatever comes of it, the run begins anew.
static void on_fetch(struct engine *engine, uint64_t linear)
{
    uint64_t rip = 0;
    uc_reg_read(engine->uc, UC_X86_REG_RIP, &rip);
    if (!cpu_is_canonical(engine->cpu, rip) && on_wild_branch(engine)) {
        return;
    }
    engine->pc = rip;
    if (engine->left == engine->floor) {
        engine->stop = STOP_LIMIT;
        return;
    }
    engine->stop = STOP_AGAIN;
    if ((linear ^ rip) >> MEMORY_PAGE_SHIFT != 0) {
        window_open_ahead(engine, linear);
    } else if (!window_admit(engine, linear, MMU_ACCESS_FETCH)) {
        engine->left--;
        engine->stop = STOP_EXCEPTION;
    }
}

// The instruction under way has had no effect yet, and is not counted.
static void begin_anew(struct engine *engine)
{
    engine->stop = STOP_AGAIN;
    engine->restores_flags = true;
    engine->left++;
}

// An instruction that makes poison of itself and then repeats itself: there can be no exit before
// it, for then it would not run, and none behind it.
static bool overwrites_itself(struct engine *engine, uint64_t guest_phys)
{
    struct insn insn;
    code_decode(engine, &insn);
    uint64_t offset = guest_phys - (engine->code_phys + (engine->pc & PAGE_MASK));
    return insn_ends_block(&insn) && offset < INSN_MAX_LENGTH;
}

// A store into code that may have been translated. False: not yet, the instruction has to begin
// anew. The run ends before the next instruction, since Unicorn goes on with what it had
// translated. It must not be stopped here: that ends an instruction in its middle.
static bool note_code_store(struct engine *engine, uint64_t guest_phys, size_t len, uint64_t value)
{
    uint8_t bytes[sizeof(value)];
    memcpy(bytes, &value, sizeof(bytes));
    len = len < sizeof(bytes) ? len : sizeof(bytes); // Unicorn stores no more at a time
    if (!guard_allows(engine, guest_phys, bytes, len)) {
        begin_anew(engine);
        return false;
    }
    if (engine->has_exempt && overwrites_itself(engine, guest_phys)) {
        begin_anew(engine);
        engine->stop = STOP_FAILED;
        return false;
    }
    engine->num_expected = 0;
    runner_code_changed(engine->machine, guest_phys, len);
    engine->again = true;
    return true;
}

// A store of a CPU begins: `len` bytes, at most 8, in one page. False: it must not happen.
static bool note_store(struct engine *engine, uint64_t guest_phys, size_t len, uint64_t value)
{
    const uint8_t *flags = memory_flags(&engine->machine->memory, guest_phys);
    if (!flags || *flags == PAGE_DIRTY) {
        return true;
    }
    memory_touch(&engine->machine->memory, guest_phys);
    return (*flags & PAGE_CODE) == 0 || note_code_store(engine, guest_phys, len, value);
}

// The same, when a window is there that allows it; else on_fault comes next.
static bool note_window_store(struct engine *engine, uint64_t linear, size_t len, uint64_t value)
{
    const struct window *window = window_find(engine, linear);
    if (!window || !window->flags || (window->perms & UC_PROT_WRITE) == 0) {
        return true;
    }
    uint64_t offset = linear - window->linear;
    return window->flags[offset >> MEMORY_PAGE_SHIFT] == PAGE_DIRTY ||
           note_store(engine, window->guest_phys + offset, len, value);
}

static void note_undo(struct engine *engine, uint64_t linear, size_t len)
{
    const struct window *window = window_find(engine, linear);
    if (!window || window->kind != WINDOW_RAM || (window->perms & UC_PROT_WRITE) == 0) {
        return;
    }
    uint64_t guest_phys = window->guest_phys + (linear - window->linear);
    engine->undo_host =
        memory_page(&engine->machine->memory, guest_phys) + (guest_phys & PAGE_MASK);
    engine->undo_len = len;
    memcpy(engine->undo_bytes, engine->undo_host, len);
}

// A store that crosses into another page happens in both or in none, but Unicorn writes the first
// part before it looks at the second page, and reports no more of it.
static void on_crossing_store(struct engine *engine, uint64_t linear, size_t len, uint64_t value)
{
    struct mmu_walk walk[2];
    size_t first = MEMORY_PAGE_SIZE - (size_t)(linear & PAGE_MASK);
    struct exec x = exec_begin(engine->machine, engine->cpu);
    if (!exec_translate(&x, ACCESS_DATA, linear, MMU_ACCESS_WRITE, &walk[0]) ||
        !exec_translate(&x, ACCESS_DATA, linear + first, MMU_ACCESS_WRITE, &walk[1])) {
        engine->exception = x.exception;
        note_undo(engine, linear, first);
        stop(engine, STOP_EXCEPTION);
        return;
    }
    if (!note_store(engine, walk[0].guest_phys, first, value) ||
        !note_store(engine, walk[1].guest_phys, len - first,
                    first < sizeof(value) ? value >> 8 * first : 0)) {
        window_refuse_stores(engine, linear);
    }
}

// Before every store. Not every window allows it: on_fault comes next then.
// NOLINTNEXTLINE(readability-function-size): the parameters are Unicorn's
static void on_write(uc_engine *uc, uc_mem_type type, uint64_t linear, int size, int64_t value,
                     void *user)
{
    struct engine *engine = user;
    (void)uc;
    (void)type;
    if (engine->stop != STOP_NONE) {
        return;
    }
    if ((linear & PAGE_MASK) + (unsigned)size > MEMORY_PAGE_SIZE) {
        on_crossing_store(engine, linear, (size_t)size, (uint64_t)value);
    } else if (!note_window_store(engine, linear, (size_t)size, (uint64_t)value)) {
        window_refuse_stores(engine, linear);
    }
}

// A read that is half of a read-modify-write is checked as a write. Once the first access of an
// instruction has been refused, nothing more of it counts.
static bool on_data(struct engine *engine, uint64_t linear, bool is_write)
{
    struct insn insn;
    code_decode(engine, &insn);
    bool writes = is_write || insn_modifies_memory(&insn);
    if (!window_admit(engine, linear, writes ? MMU_ACCESS_WRITE : MMU_ACCESS_READ)) {
        if (engine->exception.vector == VECTOR_GP && insn_uses_stack(&insn)) {
            engine->exception.vector = VECTOR_SS;
        }
        engine->restores_flags = true;
        stop(engine, STOP_EXCEPTION);
        return false;
    }
    if (engine->remapped) {
        begin_anew(engine);
    }
    return !engine->remapped;
}

// NOLINTNEXTLINE(readability-function-size): the parameters are Unicorn's
static bool on_fault(uc_engine *uc, uc_mem_type type, uint64_t linear, int size, int64_t value,
                     void *user)
{
    struct engine *engine = user;
    (void)uc;
    if (engine->stop != STOP_NONE) {
        return false;
    }
    if (type == UC_MEM_FETCH_UNMAPPED || type == UC_MEM_FETCH_PROT) {
        on_fetch(engine, linear);
        return false;
    }
    bool is_write = type == UC_MEM_WRITE_UNMAPPED || type == UC_MEM_WRITE_PROT;
    if (!on_data(engine, linear, is_write)) {
        return false;
    }
    size_t room = MEMORY_PAGE_SIZE - (size_t)(linear & PAGE_MASK);
    size_t len = (size_t)size < room ? (size_t)size : room;
    return !is_write || note_window_store(engine, linear, len, (uint64_t)value);
}

// In 64-bit mode what Unicorn raises has an error code of 0 if any: all loads of segments are ours.
static bool has_error_code(uint32_t vector)
{
    return vector == VECTOR_DF || (vector >= VECTOR_TS && vector <= VECTOR_PF);
}

static void on_exception(uc_engine *uc, uint32_t vector, void *user)
{
    struct engine *engine = user;
    (void)uc;
    engine->forget = true;
    if (engine->stop == STOP_NONE) {
        engine->exception =
            (struct exception){.vector = (uint8_t)vector, .has_code = has_error_code(vector)};
        engine->stop = STOP_EXCEPTION;
    }
    uc_emu_stop(engine->uc);
}

static bool on_invalid(uc_engine *uc, void *user)
{
    struct engine *engine = user;
    (void)uc;
    if (engine->stop == STOP_NONE) {
        engine->stop = STOP_INVALID;
    }
    return true;
}

// Unicorn takes callbacks of every kind as pointers to data.
#define CALLBACK(function) ((void *)(uintptr_t)(function))

static bool add_hooks(struct engine *engine)
{
    const struct {
        int type;
        void *callback;
    } hooks[] = {
        {UC_HOOK_CODE, CALLBACK(on_code)},
        {UC_HOOK_MEM_INVALID, CALLBACK(on_fault)},
        {UC_HOOK_MEM_WRITE, CALLBACK(on_write)},
        {UC_HOOK_INTR, CALLBACK(on_exception)},
        {UC_HOOK_INSN_INVALID, CALLBACK(on_invalid)},
    };
    for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
        uc_hook hook = 0;
        if (uc_hook_add(engine->uc, &hook, hooks[i].type, hooks[i].callback, engine, UINT64_C(1),
                        UINT64_C(0)) != UC_ERR_OK) {
            return false;
        }
    }
    return true;
}

static bool open_handle(struct engine *engine)
{
    if (uc_open(UC_ARCH_X86, UC_MODE_64, &engine->uc) != UC_ERR_OK) {
        engine->uc = NULL;
        return false;
    }
    uc_ctl_exits_enable(engine->uc);
    if (uc_context_alloc(engine->uc, &engine->clean) != UC_ERR_OK) {
        engine->clean = NULL;
        return false;
    }
    uc_context_save(engine->uc, engine->clean);
    state_forget_exception(engine);
    return add_hooks(engine);
}

static void close_handle(struct engine *engine)
{
    for (size_t i = 0; i < ENGINE_WINDOWS; i++) {
        free(engine->windows[i].marks);
        engine->windows[i] = (struct window){0};
    }
    if (engine->clean) {
        uc_context_free(engine->clean);
        engine->clean = NULL;
    }
    if (engine->uc) {
        uc_close(engine->uc);
        engine->uc = NULL;
    }
}

struct engine *engine_new(struct machine *machine, struct cpu *cpu)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    if (!engine) {
        return NULL;
    }
    engine->machine = machine;
    engine->cpu = cpu;
    engine->runner = cpu->runner;
    engine->code_page = UINT64_MAX;
    engine->hole = aligned_alloc(MEMORY_PAGE_SIZE, MEMORY_PAGE_SIZE);
    if (!engine->hole || !open_handle(engine)) {
        engine_free(engine);
        return NULL;
    }
    memset(engine->hole, HLT, MEMORY_PAGE_SIZE); // translation goes no further
    return engine;
}

void engine_free(struct engine *engine)
{
    if (!engine) {
        return;
    }
    close_handle(engine);
    free(engine->hole);
    free(engine);
}

bool engine_refresh(struct engine *engine)
{
    if (engine->churn < ENGINE_MAX_CHURN) {
        return true;
    }
    state_save_fpu(engine->runner, engine->cpu);
    close_handle(engine);
    engine->churn = 0;
    engine->num_exits = 0;
    engine->guard_stale = false;
    engine->has_fpu = false;
    return open_handle(engine);
}

static void begin_run(struct engine *engine)
{
    engine->stop = STOP_NONE;
    engine->again = false;
    engine->remapped = false;
    engine->restores_flags = false;
    engine->forget = false;
    engine->undo_len = 0;
    engine->rsp_undo = 0;
    engine->code_page = UINT64_MAX; // breakpoints and CR0 may have changed
    engine->pc = UINT64_MAX;
    engine->repeats = false;
}

// A repeated instruction is over with its last element, not when Unicorn looks for another.
static void finish_repeat(struct engine *engine)
{
    if (engine->repeats && code_is_used_up(engine, engine->pc)) {
        engine->pc += engine->size;
    }
}

static void end_run(struct engine *engine, uc_err error)
{
    if (engine->undo_len != 0) {
        memcpy(engine->undo_host, engine->undo_bytes, engine->undo_len);
    }
    if (engine->restores_flags && engine->flags_pc == engine->pc) {
        state_restore_flags(engine);
    }
    cpu_guest(engine->cpu, RSP) -= engine->rsp_undo;
    if (engine->forget) {
        state_forget_exception(engine);
    }
    if (engine->stop == STOP_LIMIT) {
        finish_repeat(engine);
    }
    if (engine->stop == STOP_NONE && error != UC_ERR_OK) {
        engine->stop = STOP_FAILED;
        machine_log(engine->machine, "Unicorn: %s", uc_strerror(error));
    }
    if (engine->stop != STOP_NONE) {
        cpu_guest(engine->cpu, RIP) = engine->pc;
    }
}

enum engine_stop engine_run(struct engine *engine)
{
    windows_restore_refused(engine);
    guard_update(engine);
    begin_run(engine);
    state_load_fpu(engine);
    state_load(engine);
    uc_err error = uc_emu_start(engine->uc, cpu_guest(engine->cpu, RIP), UINT64_MAX, 0, 0);
    state_save(engine);
    end_run(engine, error);
    return engine->stop;
}
