// VM entry and exit: the CPU's registers into Unicorn and back.
#include "runner_engine.h"

#include <string.h>

// All of RFLAGS that Unicorn may see: the rest (IF, IOPL, TF, AC, ...) is ours.
#define UNICORN_FLAGS (RFLAGS_ARITH | RFLAGS_DF)

// Never paging; NE, so that x87 exceptions come to us.
#define UNICORN_CR0 UINT64_C(0x31)

enum {
    NUM_GPRS = 16,
    NUM_GENERAL = NUM_GPRS + 1, // and RFLAGS
    NUM_XMM = 16,
    NUM_ST = 8,
};

// In the order of the numbers in encodings; not const because Unicorn's prototype is not.
static int general_ids[NUM_GENERAL + 1] = {
    UC_X86_REG_RAX, UC_X86_REG_RCX,    UC_X86_REG_RDX, UC_X86_REG_RBX, UC_X86_REG_RSP,
    UC_X86_REG_RBP, UC_X86_REG_RSI,    UC_X86_REG_RDI, UC_X86_REG_R8,  UC_X86_REG_R9,
    UC_X86_REG_R10, UC_X86_REG_R11,    UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14,
    UC_X86_REG_R15, UC_X86_REG_RFLAGS, UC_X86_REG_RIP,
};

static int xmm_ids[NUM_XMM] = {
    UC_X86_REG_XMM0,  UC_X86_REG_XMM1,  UC_X86_REG_XMM2,  UC_X86_REG_XMM3,
    UC_X86_REG_XMM4,  UC_X86_REG_XMM5,  UC_X86_REG_XMM6,  UC_X86_REG_XMM7,
    UC_X86_REG_XMM8,  UC_X86_REG_XMM9,  UC_X86_REG_XMM10, UC_X86_REG_XMM11,
    UC_X86_REG_XMM12, UC_X86_REG_XMM13, UC_X86_REG_XMM14, UC_X86_REG_XMM15,
};

// FPSW comes before the registers, because TOP says which is ST0.
static int x87_ids[] = {
    UC_X86_REG_FPSW, UC_X86_REG_FPCW, UC_X86_REG_FPTAG, UC_X86_REG_FOP,
    UC_X86_REG_FIP,  UC_X86_REG_FDP,  UC_X86_REG_MXCSR,
};

enum { NUM_X87 = sizeof(x87_ids) / sizeof(x87_ids[0]) };

static void load_bases(struct engine *engine)
{
    const struct cpu *cpu = engine->cpu;
    if (engine->fs_base != cpu_guest(cpu, FS_BASE)) {
        engine->fs_base = cpu_guest(cpu, FS_BASE);
        uc_reg_write(engine->uc, UC_X86_REG_FS_BASE, &engine->fs_base);
    }
    if (engine->gs_base != cpu_guest(cpu, GS_BASE)) {
        engine->gs_base = cpu_guest(cpu, GS_BASE);
        uc_reg_write(engine->uc, UC_X86_REG_GS_BASE, &engine->gs_base);
    }
}

void state_load(struct engine *engine)
{
    struct cpu *cpu = engine->cpu;
    uint64_t rflags = (cpu_guest(cpu, RFLAGS) & UNICORN_FLAGS) | RFLAGS_FIXED;
    void *values[NUM_GENERAL];
    for (size_t i = 0; i < NUM_GPRS; i++) {
        values[i] = &cpu->vmx.gpr[i];
    }
    values[4] = &cpu_guest(cpu, RSP);
    values[NUM_GPRS] = &rflags;
    uc_reg_write_batch(engine->uc, general_ids, values, NUM_GENERAL);
    load_bases(engine);
}

static void take_flags(struct cpu *cpu, uint64_t rflags)
{
    uint64_t kept = cpu_guest(cpu, RFLAGS) & ~UNICORN_FLAGS;
    cpu_guest(cpu, RFLAGS) = kept | (rflags & UNICORN_FLAGS) | RFLAGS_FIXED;
}

void state_save(struct engine *engine)
{
    struct cpu *cpu = engine->cpu;
    uint64_t rflags = 0;
    void *values[NUM_GENERAL + 1];
    for (size_t i = 0; i < NUM_GPRS; i++) {
        values[i] = &cpu->vmx.gpr[i];
    }
    values[4] = &cpu_guest(cpu, RSP);
    values[NUM_GPRS] = &rflags;
    values[NUM_GPRS + 1] = &cpu_guest(cpu, RIP);
    uc_reg_read_batch(engine->uc, general_ids, values, NUM_GENERAL + 1);
    take_flags(cpu, rflags);
}

void state_restore_flags(struct engine *engine)
{
    take_flags(engine->cpu, engine->flags);
}

static void load_fpu_registers(struct engine *engine)
{
    struct fpu *fpu = &engine->cpu->fpu;
    uint64_t x87[NUM_X87] = {fpu->status, fpu->control, fpu->tag,  fpu->opcode,
                             fpu->ip,     fpu->operand, fpu->mxcsr};
    void *x87_values[NUM_X87];
    void *xmm_values[NUM_XMM];
    for (size_t i = 0; i < NUM_X87; i++) {
        x87_values[i] = &x87[i];
    }
    for (size_t i = 0; i < NUM_XMM; i++) {
        xmm_values[i] = fpu->ymm[i];
    }
    uc_reg_write_batch(engine->uc, x87_ids, x87_values, NUM_X87);
    uc_reg_write_batch(engine->uc, xmm_ids, xmm_values, NUM_XMM);
    for (int i = 0; i < NUM_ST; i++) {
        uc_reg_write(engine->uc, UC_X86_REG_ST0 + i, fpu->st[i]);
    }
}

void state_load_fpu(struct engine *engine)
{
    struct runner *runner = engine->runner;
    struct fpu *fpu = &engine->cpu->fpu;
    if (runner->fpu_owner == engine) {
        return;
    }
    state_save_fpu(runner, engine->cpu);
    if (!engine->has_fpu || memcmp(&engine->fpu, fpu, sizeof(*fpu)) != 0) {
        load_fpu_registers(engine);
    }
    engine->has_fpu = true;
    runner->fpu_owner = engine;
}

static void save_fpu_registers(struct engine *engine)
{
    struct fpu *fpu = &engine->cpu->fpu;
    uint64_t x87[NUM_X87] = {0};
    void *x87_values[NUM_X87];
    void *xmm_values[NUM_XMM];
    for (size_t i = 0; i < NUM_X87; i++) {
        x87_values[i] = &x87[i];
    }
    for (size_t i = 0; i < NUM_XMM; i++) {
        xmm_values[i] = fpu->ymm[i];
    }
    uc_reg_read_batch(engine->uc, x87_ids, x87_values, NUM_X87);
    uc_reg_read_batch(engine->uc, xmm_ids, xmm_values, NUM_XMM);
    for (int i = 0; i < NUM_ST; i++) {
        uc_reg_read(engine->uc, UC_X86_REG_ST0 + i, fpu->st[i]);
    }
    fpu->status = (uint16_t)x87[0];
    fpu->control = (uint16_t)x87[1];
    fpu->tag = (uint16_t)x87[2];
    fpu->opcode = (uint16_t)x87[3];
    fpu->ip = x87[4];
    fpu->operand = x87[5];
    fpu->mxcsr = (uint32_t)x87[6];
}

void state_save_fpu(struct runner *runner, struct cpu *cpu)
{
    struct engine *owner = runner->fpu_owner;
    if (!owner) {
        return;
    }
    save_fpu_registers(owner);
    memcpy(&owner->fpu, &cpu->fpu, sizeof(cpu->fpu));
    runner->fpu_owner = NULL;
}

void state_forget_exception(struct engine *engine)
{
    uint64_t cr0 = UNICORN_CR0;
    state_save_fpu(engine->runner, engine->cpu);
    uc_context_restore(engine->uc, engine->clean);
    uc_reg_write(engine->uc, UC_X86_REG_CR0, &cr0);
    engine->has_fpu = false;
    engine->fs_base = 0;
    engine->gs_base = 0;
}
