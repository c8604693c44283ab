// What the run loop must know of x87, SSE and AVX: when they are switched off, and the instructions
// that Unicorn does not execute, or executes without its hooks.
#include "interp.h"

#include "exits.h"
#include "interp_handlers.h"
#include "vmx_model/moves.h"

#define CR0_MP      UINT64_C(0x00000002)
#define CR0_EM      UINT64_C(0x00000004)
#define CR0_TS      UINT64_C(0x00000008)
#define CR4_OSFXSR  UINT64_C(0x00000200)
#define CR4_OSXSAVE UINT64_C(0x00040000)
#define XCR0_AVX    UINT64_C(0x6)

enum {
    FWAIT = 0x9B,
    GROUP_15 = 0xAE,
    MASKMOV = 0xF7,
    SEGMENT_FS = 0x64,
};

bool interp_uses_fpu(const struct insn *insn)
{
    bool vector = insn->map == MAP_ONE_BYTE &&
                  (insn->opcode == 0xC4 || insn->opcode == 0xC5 || insn->opcode == 0x62);
    return vector || (insn->map == MAP_0F && insn->opcode == MASKMOV);
}

static bool is_x87(const struct insn *insn)
{
    bool save = insn->map == MAP_0F && insn->opcode == GROUP_15 && (insn->reg & 7) < 2;
    return insn->map == MAP_ONE_BYTE || save; // FXSAVE and FXRSTOR count as x87 here
}

// MMX instructions have no mandatory prefix and lie in these ranges of 0F.
static bool is_mmx(const struct insn *insn)
{
    uint8_t opcode = insn->opcode;
    bool prefixed = insn->operand_16 || insn->repeat != 0;
    bool range =
        (opcode >= 0x60 && opcode <= 0x7F) || opcode == 0xC4 || opcode == 0xC5 || opcode >= 0xD1;
    return insn->map == MAP_0F && range && !prefixed;
}

// SDM 2A, "Exception Classes", and 3A, "Control Registers": EM, TS, MP and OSFXSR.
bool interp_fpu_disabled(struct exec *x, const struct insn *insn)
{
    uint64_t cr0 = cpu_guest(x->cpu, CR0);
    bool task_switched = (cr0 & CR0_TS) != 0;
    if (insn->map == MAP_ONE_BYTE && insn->opcode == FWAIT) {
        if (task_switched && (cr0 & CR0_MP) != 0) {
            exec_raise(x, VECTOR_NM);
        }
        return x->faulted;
    }
    if (is_x87(insn)) {
        if ((cr0 & (CR0_TS | CR0_EM)) != 0) {
            exec_raise(x, VECTOR_NM);
        }
        return x->faulted;
    }
    bool no_sse = !is_mmx(insn) && (cpu_guest(x->cpu, CR4) & CR4_OSFXSR) == 0;
    if ((cr0 & CR0_EM) != 0 || no_sse) {
        exec_raise(x, VECTOR_UD);
    } else if (task_switched) {
        exec_raise(x, VECTOR_NM);
    }
    return x->faulted;
}

void interp_xgetbv(struct exec *x)
{
    if ((cpu_guest(x->cpu, CR4) & CR4_OSXSAVE) == 0) {
        exec_raise(x, VECTOR_UD);
    } else if ((uint32_t)x->cpu->vmx.gpr[VMX_RCX] != 0) {
        exec_raise_code(x, VECTOR_GP, 0);
    }
    interp_set_edx_eax(x, x->cpu->vmx.xcr0);
}

void interp_xsetbv(struct exec *x, const struct insn *insn)
{
    uint64_t value = interp_edx_eax(x);
    if ((cpu_guest(x->cpu, CR4) & CR4_OSXSAVE) == 0) {
        exec_raise(x, VECTOR_UD);
        return;
    }
    interp_require_cpl0(x);
    exit_instruction(x, insn, VMX_EXIT_XSETBV, 0);
    if (!vmx_xcr_write(&x->cpu->vmx, (uint32_t)x->cpu->vmx.gpr[VMX_RCX], value)) {
        interp_gp(x);
    }
}

// XSAVE and XRSTOR exist only where CR4.OSXSAVE says that the system knows them.
void interp_xsave(struct exec *x, const struct insn *insn)
{
    (void)insn;
    if ((cpu_guest(x->cpu, CR4) & CR4_OSXSAVE) == 0) {
        exec_raise(x, VECTOR_UD);
        return;
    }
    x->unsupported = "XSAVE or XRSTOR";
}

void interp_xrstor(struct exec *x, const struct insn *insn)
{
    interp_xsave(x, insn);
}

// VEX and EVEX instructions are undefined until the system enables AVX.
void interp_vector(struct exec *x, const struct insn *insn)
{
    (void)insn;
    bool enabled =
        (cpu_guest(x->cpu, CR4) & CR4_OSXSAVE) != 0 && (x->cpu->vmx.xcr0 & XCR0_AVX) == XCR0_AVX;
    if (!enabled) {
        exec_raise(x, VECTOR_UD);
        return;
    }
    x->unsupported = "a VEX or EVEX instruction";
}

// MASKMOVQ and MASKMOVDQU: the bytes whose mask byte has its top bit set go to [RDI].
void interp_maskmov(struct exec *x, const struct insn *insn)
{
    const struct fpu *fpu = &x->cpu->fpu;
    bool sse = insn->operand_16;
    size_t size = sse ? 16 : 8;
    if (insn->mod != 3) {
        exec_raise(x, VECTOR_UD);
        return;
    }
    if (interp_fpu_disabled(x, insn)) {
        return;
    }
    const uint8_t *source = sse ? fpu->ymm[insn->reg] : fpu->st[insn->reg & 7];
    const uint8_t *mask = sse ? fpu->ymm[insn->rm] : fpu->st[insn->rm & 7];
    uint64_t linear = x->cpu->vmx.gpr[VMX_RDI];
    linear = insn->address_32 ? linear & 0xFFFFFFFF : linear;
    if (insn->segment != 0) {
        linear +=
            insn->segment == SEGMENT_FS ? cpu_guest(x->cpu, FS_BASE) : cpu_guest(x->cpu, GS_BASE);
    }
    exec_check_write(x, ACCESS_DATA, linear, size);
    for (size_t i = 0; i < size; i++) {
        if ((mask[i] & 0x80) != 0) {
            exec_write(x, ACCESS_DATA, linear + i, &source[i], 1);
        }
    }
}
