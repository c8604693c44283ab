// VMX and SMX instructions of the guest. In VMX non-root operation they are VM exits, at any CPL;
// the model's hypervisor nests none, so it answers each with #UD. What is no such instruction, by
// its prefixes or operand, is #UD without an exit. SDM 3C, "VMX Instruction Reference".
#include "interp_handlers.h"

#include "exits.h"
#include "vmx_model/controls.h"

#define CR4_SMXE UINT64_C(0x00004000)

enum {
    GROUP_9 = 0xC7,
    VMREAD = 0x78,
    VMWRITE = 0x79,
    INVEPT = 0x80,
    NO_EXIT = 0,
};

// 0F C7 with a memory operand: /6 by its prefix, and /7.
static uint32_t group9_reason(const struct insn *insn)
{
    bool plain = insn->repeat == 0 && !insn->operand_16;
    if ((insn->reg & 7) == 7) {
        return plain ? VMX_EXIT_VMPTRST : NO_EXIT;
    }
    if (insn->repeat == 0xF3) {
        return VMX_EXIT_VMXON;
    }
    if (insn->repeat != 0) {
        return NO_EXIT;
    }
    return plain ? VMX_EXIT_VMPTRLD : VMX_EXIT_VMCLEAR;
}

// 66 0F 38 80 and 81, with memory.
static uint32_t invalidation_reason(const struct exec *x, const struct insn *insn)
{
    bool is_ept = insn->opcode == INVEPT;
    bool has = interp_has(x, is_ept ? VMX_FEATURE_EN_EPT : VMX_FEATURE_EN_VPID);
    if (!has || !insn->operand_16 || insn->repeat != 0 || insn->mod == 3) {
        return NO_EXIT;
    }
    return is_ept ? VMX_EXIT_INVEPT : VMX_EXIT_INVVPID;
}

static uint32_t reason_of(const struct exec *x, const struct insn *insn)
{
    bool plain = insn->repeat == 0 && !insn->operand_16;
    if (insn->map == MAP_0F38) {
        return invalidation_reason(x, insn);
    }
    if (insn->opcode == GROUP_9) {
        return group9_reason(insn);
    }
    if (!plain) {
        return NO_EXIT;
    }
    return insn->opcode == VMREAD ? VMX_EXIT_VMREAD : VMX_EXIT_VMWRITE;
}

void interp_vmx_operand(struct exec *x, const struct insn *insn)
{
    uint32_t reason = reason_of(x, insn);
    if (reason != NO_EXIT) {
        exit_operand(x, insn, (enum vmx_exit_reason)reason);
    }
    exec_raise(x, VECTOR_UD);
}

// 0F 01 C1 to C4 and D4.
void interp_vmx_plain(struct exec *x, const struct insn *insn)
{
    static const enum vmx_exit_reason reasons[] = {VMX_EXIT_VMCALL, VMX_EXIT_VMLAUNCH,
                                                   VMX_EXIT_VMRESUME, VMX_EXIT_VMXOFF};
    bool plain = insn->repeat == 0 && !insn->operand_16;
    bool is_vmfunc = (insn->reg & 7) == 2;
    if (plain && is_vmfunc && exit_secondary(x->cpu, VMX_SECONDARY_VM_FUNCTIONS)) {
        exit_instruction(x, insn, VMX_EXIT_VMFUNC, 0);
    } else if (plain && !is_vmfunc) {
        exit_instruction(x, insn, reasons[(insn->rm & 7) - 1], 0);
    }
    exec_raise(x, VECTOR_UD);
}

void interp_getsec(struct exec *x, const struct insn *insn)
{
    if ((vmx_guest_cr4(&x->cpu->vmx.vmcs) & CR4_SMXE) != 0) {
        exit_instruction(x, insn, VMX_EXIT_GETSEC, 0);
    }
    exec_raise(x, VECTOR_UD);
}
