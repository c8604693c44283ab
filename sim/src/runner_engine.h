#ifndef SIM_RUNNER_ENGINE_H
#define SIM_RUNNER_ENGINE_H

// One Unicorn handle, and what it has been told of a CPU: the inside of the runner.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <unicorn/unicorn.h>

#include "exec.h"
#include "interp_decode.h"
#include "machine.h"
#include "runner.h"

enum {
    ENGINE_WINDOWS = 120, // what a mapping costs grows with their number, steeply beyond 128
    ENGINE_RECENT = 64,
    ENGINE_MAX_STORE = 64,
    ENGINE_MAX_EXPECTED = 256,
    ENGINE_MAX_EXITS = 4 * MEMORY_PAGE_SIZE,
    ENGINE_MAX_CHURN = 16384, // translations dropped before the handle is opened anew: Unicorn
                              // never gives their memory back
};

enum window_kind {
    WINDOW_RAM,
    WINDOW_ROM,
    WINDOW_IO,   // a page of a device, of the hypervisor, or of nothing
    WINDOW_HOLE, // translates to nothing: only keeps Unicorn from looking at it ahead of time
};

// A run of linear pages as Unicorn sees them. One that may be executed has a single page.
struct window {
    uint64_t linear;
    uint64_t size;      // 0: not in use
    uint64_t page_size; // of the translation that it shows a part of
    uint64_t guest_phys;
    uint8_t *flags; // page_flag per page; RAM only
    enum window_kind kind;
    uint32_t perms;   // UC_PROT_*
    uint8_t *marks;   // enum insn_class per byte of a page that Unicorn may translate; 0: not known
    bool ahead;       // translated ahead of execution: whether it may be fetched from is not known
    bool refuses;     // stores, until the run that it refused one has ended
    bool has_poison;  // somewhere
    bool guard_stale; // bytes from stale_from to stale_to changed since that was found
    size_t stale_from;
    size_t stale_to;
    struct engine *engine;
};

// Why a run of Unicorn ended.
enum engine_stop {
    STOP_NONE,  // none of ours: an exit, before what may be poison
    STOP_LIMIT, // as many instructions as were asked for
    STOP_BREAKPOINT,
    STOP_SENSITIVE, // the interpreter's turn
    STOP_EXCEPTION, // the instruction raised engine->exception
    STOP_INVALID,   // Unicorn does not know the instruction
    STOP_AGAIN,     // mappings or code changed: run on
    STOP_FAILED,    // Unicorn gave up; the log says why
};

struct engine {
    uc_engine *uc;
    uc_context *clean; // as after opening
    struct runner *runner;
    struct machine *machine;
    struct cpu *cpu;
    uint64_t churn;

    // The run.
    enum engine_stop stop;
    struct exception exception;
    bool again;     // code was written: this run must end before the next instruction
    bool remapped;  // a mapping was made again: what is under way must begin anew
    bool refuses;   // some window refuses stores
    bool forget;    // Unicorn has raised an exception
    bool resume;    // RFLAGS.RF was set: no instruction breakpoint at the first instruction
    uint64_t pc;    // of the instruction under way, or stopped at
    uint32_t size;  // of that instruction, as Unicorn says
    uint64_t flags; // RFLAGS before the instruction at flags_pc, if that is the one under way
    uint64_t flags_pc;
    bool restores_flags; // the instruction has come to nothing
    bool repeats;        // stopped within, or at the end of, a repeated instruction
    uint64_t left;       // instructions of the request that are still to be executed
    uint64_t floor;      // what `left` is when this run ends

    // The code page under way.
    uint64_t code_page; // page number; UINT64_MAX: none
    uint64_t code_phys;
    bool watched; // a breakpoint may stand in it
    uint8_t *marks;
    uint8_t pass; // classes that run without a further look

    // A store that crosses into a page that refuses it, to be undone: bytes of its first page.
    uint8_t *undo_host;
    size_t undo_len;
    uint8_t undo_bytes[ENGINE_MAX_STORE];
    uint64_t rsp_undo; // what a branch that came to nothing has added to RSP
    uint8_t *hole;     // the page that windows over nothing show

    // Poison that is let through because a longer look showed it to be none.
    bool has_exempt;
    uint64_t exempt;
    size_t num_exits; // registered
    bool guard_stale; // the exits registered are not those of the windows

    // What the handle holds.
    struct mmu_registers mapped_for;
    uint64_t fs_base;
    uint64_t gs_base;
    struct fpu fpu;
    bool has_fpu;

    struct window windows[ENGINE_WINDOWS];
    struct window *recent[ENGINE_RECENT]; // by linear page number; to be checked
    unsigned victim;
    uint64_t exits[ENGINE_MAX_EXITS];

    // Exits that a store needs before it may happen, because it makes poison.
    size_t num_expected;
    uint64_t expected[ENGINE_MAX_EXPECTED];
};

struct runner {
    struct engine *engines[2]; // for CPL 0 to 2 and for CPL 3; NULL until needed
    struct engine *fpu_owner;  // holds newer x87 and SSE registers than the CPU; NULL: none
    uint64_t generation;       // of memory, when the windows were made
    bool stale;                // forget everything before the next run

    // A breakpoint does not stop the instruction at skip_rip when skip_left are left to execute.
    uint64_t skip_rip;
    uint64_t skip_left;
    bool is_repeating; // the last run ended within a repeated instruction at skip_rip
};

// runner_engine.c: the handle and its hooks. engine_new gives NULL when the host lacks memory.
struct engine *engine_new(struct machine *machine, struct cpu *cpu);
void engine_free(struct engine *engine);

// Opens the handle anew when it has wasted too much. False: Unicorn refuses.
bool engine_refresh(struct engine *engine);

// Executes up to engine->left - engine->floor instructions from the CPU's RIP on, with the
// registers of the CPU, and puts them back. RIP is that of the instruction that was stopped before,
// or that raised engine->exception.
enum engine_stop engine_run(struct engine *engine);

// runner_execute.c: the engine for the CPU's privilege level, without the windows that have
// outlived what they were made for. NULL when the host lacks memory.
struct engine *engine_for(struct machine *machine, struct cpu *cpu);

// engine_run until something has to be decided: never STOP_NONE or STOP_AGAIN.
enum engine_stop engine_execute(struct engine *engine);

// runner_code.c: the look at an instruction before it is executed. False: engine->stop says why
// not.
bool code_may_run(struct engine *engine, uint64_t pc, uint32_t size);

// Whether a breakpoint, or one of DR0-3, stops at pc in the page at guest_phys; sets engine->stop.
bool code_is_stopped(struct engine *engine, uint64_t pc, uint64_t guest_phys);

// The instruction under way, at engine->pc.
void code_decode(struct engine *engine, struct insn *out);

// Whether the repeated instruction at pc, which was under way before, has no element left.
bool code_is_used_up(struct engine *engine, uint64_t pc);

// runner_map.c: windows.
struct window *window_find(struct engine *engine, uint64_t linear);

// Lets Unicorn make this access at linear, or says why not in engine->exception.
bool window_admit(struct engine *engine, uint64_t linear, enum mmu_access_kind kind);

// Lets Unicorn's translator look at a page ahead of execution, without any effect on the guest.
void window_open_ahead(struct engine *engine, uint64_t linear);
void window_drop(struct engine *engine, struct window *window);

// A store cannot be stopped once Unicorn reports it, but it can be made one that is not allowed,
// until windows_restore_refused.
void window_refuse_stores(struct engine *engine, uint64_t linear);
void windows_restore_refused(struct engine *engine);
void windows_drop_page(struct engine *engine, uint64_t linear);
void windows_drop_all(struct engine *engine);

// Drops what len bytes at guest_phys, within a page, made of translations and marks.
void windows_code_changed(struct engine *engine, uint64_t guest_phys, size_t len);

// runner_guard.c: tells Unicorn where its translator must not go.
void guard_update(struct engine *engine);

// Whether bytes may be stored in a code page now: false when that would make poison where Unicorn
// does not know of it yet. Then it will with the next guard_update, and the store must be tried
// again.
bool guard_allows(struct engine *engine, uint64_t guest_phys, const uint8_t *bytes, size_t len);

// The bytes at these offsets of a window that Unicorn may translate are others now.
void guard_note(struct window *window, size_t from, size_t to);

// runner_state.c: VM entry and exit.
void state_load(struct engine *engine);
void state_save(struct engine *engine);
void state_restore_flags(struct engine *engine); // to engine->flags
void state_load_fpu(struct engine *engine);
void state_save_fpu(struct runner *runner, struct cpu *cpu);

// Unicorn turns every second exception into a double fault: make it forget the first.
void state_forget_exception(struct engine *engine);

#endif
