// Which engine executes, and what keeps it going.
#include "interp.h"
#include "runner_engine.h"

enum { MAX_FRUITLESS_RUNS = 256 }; // of Unicorn, one after the other, that execute nothing

// Unicorn stopped before bytes that its translator might abort on. Most often they are no poison
// and only look like it together with what may follow: then they run alone.
static enum engine_stop run_exit(struct engine *engine)
{
    struct exec x = exec_begin(engine->machine, engine->cpu);
    struct mmu_walk walk;
    struct insn insn;
    uint64_t rip = cpu_guest(engine->cpu, RIP);
    engine->pc = rip;
    if (engine->left == engine->floor) {
        return STOP_LIMIT;
    }
    if (!exec_translate(&x, ACCESS_DATA, rip, MMU_ACCESS_FETCH, &walk) ||
        !interp_fetch(&x, &insn)) {
        return STOP_SENSITIVE; // which raises it
    }
    if (code_is_stopped(engine, rip, walk.guest_phys)) {
        return engine->stop;
    }
    if (insn_classify(&insn) >= INSN_SENSITIVE) {
        return STOP_SENSITIVE;
    }
    uint64_t floor = engine->floor;
    engine->has_exempt = true;
    engine->exempt = rip;
    engine->guard_stale = true;
    engine->floor = engine->left - 1;
    enum engine_stop stop = engine_run(engine);
    engine->has_exempt = false;
    engine->guard_stale = true;
    engine->floor = floor;
    return stop == STOP_LIMIT ? STOP_AGAIN : stop;
}

enum engine_stop engine_execute(struct engine *engine)
{
    uint64_t left = engine->left;
    for (unsigned fruitless = 0; fruitless < MAX_FRUITLESS_RUNS; fruitless++) {
        enum engine_stop stop = engine_run(engine);
        if (stop == STOP_NONE) {
            stop = run_exit(engine);
        }
        if (stop != STOP_AGAIN) {
            return stop;
        }
        if (engine->left == engine->floor) {
            return STOP_LIMIT;
        }
        fruitless = engine->left == left ? fruitless : 0;
        left = engine->left;
    }
    machine_log(engine->machine, "CPU %u makes no progress", engine->cpu->vmx.apic_id);
    return STOP_FAILED;
}

static bool translates_alike(const struct mmu_registers *a, const struct mmu_registers *b)
{
    bool smap = (a->cr4 & MMU_CR4_SMAP) != 0;
    bool ac = ((a->rflags ^ b->rflags) & MMU_RFLAGS_AC) == 0;
    return a->cr0 == b->cr0 && a->cr3 == b->cr3 && a->cr4 == b->cr4 && a->efer == b->efer &&
           a->pkru == b->pkru && a->pkrs == b->pkrs && (ac || !smap);
}

struct engine *engine_for(struct machine *machine, struct cpu *cpu)
{
    bool user = cpu_cpl(cpu) == 3;
    struct engine **slot = &cpu->runner->engines[user];
    struct mmu_registers registers;
    if (!*slot) {
        *slot = engine_new(machine, cpu);
    }
    if (!*slot || !engine_refresh(*slot)) {
        return NULL;
    }
    cpu_mmu_registers(machine, cpu, &registers);
    if (!translates_alike(&(*slot)->mapped_for, &registers)) {
        windows_drop_all(*slot);
        (*slot)->mapped_for = registers;
    }
    return *slot;
}
