// Descriptor tables, segment registers, far transfers and the fast system calls: each instruction
// as it works and as it faults.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "insn_case.h"

static void with_fsgsbase(void)
{
    with_cr4(0x10000);
}

static void without_sce(void)
{
    cpu_guest(cpu, IA32_EFER) &= ~UINT64_C(1);
}

static void with_fsgsbase_and_bases(void)
{
    with_fsgsbase();
    with_bases();
}

static void with_far_pointer(void)
{
    bare_poke(BARE_DATA, 0x12345678 | (uint64_t)BARE_KERNEL_SS << 32);
}

static void with_code_pointer(void)
{
    bare_poke(BARE_DATA, BARE_CODE + 0x100);
    bare_poke(BARE_DATA + 8, BARE_KERNEL_CS);
    bare_program(BARE_CODE + 0x100, "\x90", 1);
}

static void with_table_image(void)
{
    bare_poke(BARE_DATA, 0x000F | 0x5678 << 16);
    bare_poke(BARE_DATA + 8, 0);
}

static void with_bad_table_image(void)
{
    bare_poke(BARE_DATA, 0x000F);
    bare_poke(BARE_DATA + 8, 0x8000);
}

static void with_free_tr(void)
{
    bare_poke(BARE_GDT + BARE_TR, UINT64_C(0x0000890000000067) | BARE_TSS << 16);
    cpu_guest(cpu, TR_BASE) = 0;
}

static void check_gdtr_loaded(void)
{
    assert_int_equal(cpu_guest(cpu, GDTR_LIMIT), 0x000F);
    assert_int_equal(cpu_guest(cpu, GDTR_BASE), 0x5678);
}

static void check_idt_stored(void)
{
    assert_int_equal(bare_peek(BARE_DATA), BARE_IDT << 16 | BARE_IDT_LIMIT);
}

static void check_ldtr(void)
{
    assert_int_equal(cpu_guest(cpu, LDTR_SELECTOR), BARE_LDT);
    assert_int_equal(cpu_guest(cpu, LDTR_BASE), 0xB000);
    assert_int_equal(cpu_guest(cpu, LDTR_LIMIT), 0xF);
    assert_int_equal(cpu_guest(cpu, LDTR_ACCESS), 0x82);
}

static void check_tr_busy(void)
{
    assert_int_equal(cpu_guest(cpu, TR_BASE), BARE_TSS);
    assert_int_equal(cpu_guest(cpu, TR_ACCESS), 0x8B);
    assert_int_equal(bare_peek(BARE_GDT + BARE_TR) >> 40 & 0xFF, 0x8B);
}

static void check_gs_swapped(void)
{
    assert_int_equal(cpu_guest(cpu, GS_BASE), 0x3333);
    assert_int_equal(cpu->vmx.msr[MSR_SLOT_IA32_KERNEL_GS_BASE], UINT64_C(0xFFFF800000002222));
}

static void check_user_ds(void)
{
    assert_int_equal(cpu_guest(cpu, DS_ACCESS), 0xC0F3);
    assert_int_equal(bare_peek(BARE_GDT + 0x20), UINT64_C(0x00CFF3000000FFFF));
}

static void check_stack_segment(void)
{
    assert_int_equal(cpu_guest(cpu, SS_SELECTOR), BARE_KERNEL_SS);
    assert_int_equal(cpu->vmx.gpr[VMX_RBX], 0x12345678);
}

static void check_null_stack_segment(void)
{
    assert_int_equal(cpu_guest(cpu, SS_ACCESS), 0x10000);
}

static void check_far_call(void)
{
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE + 0x102);
    assert_int_equal(cpu_guest(cpu, RSP), BARE_STACK - 16);
    assert_int_equal(bare_frame(0, 0), BARE_CODE + 3);
    assert_int_equal(bare_frame(0, 1), BARE_KERNEL_CS);
}

static void check_far_jump(void)
{
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE + 0x102);
    assert_int_equal(cpu_guest(cpu, RSP), BARE_STACK);
}

static void check_fs_kept_base(void)
{
    assert_int_equal(cpu_guest(cpu, FS_BASE), UINT64_C(0xFFFF800000000000));
}

static struct insn_case cases[] = {
    // Descriptor tables
    {"LGDT loads limit and base", ASM("lgdt [rbx]", "\x0F\x01\x13"), .rbx = BARE_DATA,
     .prepare = with_table_image, .check = check_gdtr_loaded},
    {"LGDT refuses a non-canonical base", ASM("lgdt [rbx]", "\x0F\x01\x13"), .rbx = BARE_DATA,
     .prepare = with_bad_table_image, GP},
    {"LGDT faults in ring 3", ASM("lgdt [rbx]", "\x0F\x01\x13"), .rbx = BARE_USER_CODE, FROM_RING_3,
     GP},
    {"SIDT stores limit and base", ASM("sidt [rbx]", "\x0F\x01\x0B"), .rbx = BARE_DATA,
     .check = check_idt_stored},
    {"SGDT faults in ring 3 with UMIP", ASM("sgdt [rbx]", "\x0F\x01\x03"), .rbx = BARE_USER_CODE,
     FROM_RING_3, .prepare = with_umip, GP},
    {"SGDT into a hole is a page fault", ASM("sgdt [rbx]", "\x0F\x01\x03"), .rbx = BARE_HOLE,
     RAISES(VECTOR_PF, 2)},
    {"LLDT loads the table", ASM("mov ax, 0x50; lldt ax", "\x66\xB8\x50\x00\x0F\x00\xD0"),
     .check = check_ldtr},
    {"LLDT refuses a code segment", ASM("lldt bx", "\x0F\x00\xD3"), .rbx = BARE_KERNEL_CS,
     RAISES(VECTOR_GP, BARE_KERNEL_CS)},
    {"LLDT takes a null selector", ASM("lldt bx; sldt eax", "\x0F\x00\xD3\x0F\x00\xC0"), .rbx = 3,
     GIVES(3)},
    {"LLDT faults in ring 3", ASM("lldt bx", "\x0F\x00\xD3"), FROM_RING_3, GP},
    {"LTR loads the TSS and marks it busy", ASM("ltr bx", "\x0F\x00\xDB"), .rbx = BARE_TR,
     .prepare = with_free_tr, .check = check_tr_busy},
    {"LTR refuses a busy TSS", ASM("ltr bx", "\x0F\x00\xDB"), .rbx = BARE_TR,
     RAISES(VECTOR_GP, BARE_TR)},
    {"LTR refuses a null selector", ASM("ltr bx", "\x0F\x00\xDB"), GP},
    {"STR gives the selector", ASM("str eax", "\x0F\x00\xC8"), .rax = UINT64_MAX, GIVES(BARE_TR)},
    {"VERR accepts readable code", ASM("verr bx; setz al", "\x0F\x00\xE3\x0F\x94\xC0"),
     .rbx = BARE_KERNEL_CS, GIVES(1)},
    {"VERW refuses code", ASM("verw bx; setz al", "\x0F\x00\xEB\x0F\x94\xC0"),
     .rbx = BARE_KERNEL_CS, GIVES(0)},
    {"VERW accepts data", ASM("verw bx; setz al", "\x0F\x00\xEB\x0F\x94\xC0"),
     .rbx = BARE_KERNEL_SS, GIVES(1)},
    {"VERR refuses what lies beyond the table", ASM("verr bx; setz al", "\x0F\x00\xE3\x0F\x94\xC0"),
     .rbx = 0x1000, GIVES(0)},
    {"LAR gives the rights", ASM("lar eax, ebx", "\x0F\x02\xC3"), .rbx = BARE_KERNEL_CS,
     GIVES(0xA09B00)},
    {"LSL gives the limit in bytes", ASM("lsl eax, ebx", "\x0F\x03\xC3"), .rbx = BARE_KERNEL_SS,
     GIVES(0xFFFFFFFF)},
    {"LAR of nothing keeps the register", ASM("lar eax, ebx", "\x0F\x02\xC3"), .rax = 7, GIVES(7)},
    {"INVLPG runs in ring 0", ASM("invlpg [rbx]", "\x0F\x01\x3B"), .rbx = BARE_HOLE},
    {"INVLPG faults in ring 3", ASM("invlpg [rbx]", "\x0F\x01\x3B"), FROM_RING_3, GP},
    {"INVPCID runs in ring 0", ASM("invpcid rax, [rbx]", "\x66\x0F\x38\x82\x03"), .rax = 2,
     .rbx = BARE_DATA + 0x100},
    {"INVPCID refuses type 4", ASM("invpcid rax, [rbx]", "\x66\x0F\x38\x82\x03"), .rax = 4,
     .rbx = BARE_DATA + 0x100, GP},
    {"WBINVD runs in ring 0", ASM("wbinvd", "\x0F\x09"), .rax = 0},
    {"INVD faults in ring 3", ASM("invd", "\x0F\x08"), FROM_RING_3, GP},

    // Segments
    {"SWAPGS exchanges the bases", ASM("swapgs", "\x0F\x01\xF8"), .prepare = with_bases,
     .check = check_gs_swapped},
    {"SWAPGS faults in ring 3", ASM("swapgs", "\x0F\x01\xF8"), FROM_RING_3, GP},
    {"MOV to DS loads a descriptor and marks it accessed", ASM("mov ds, ebx", "\x8E\xDB"),
     .rbx = BARE_USER_SS, .check = check_user_ds},
    {"MOV to DS takes a null selector", ASM("mov ds, ebx; mov eax, ds", "\x8E\xDB\x8C\xD8"),
     .rbx = 2, GIVES(2)},
    {"MOV to DS refuses what lies beyond the table", ASM("mov ds, ebx", "\x8E\xDB"), .rbx = 0x1000,
     RAISES(VECTOR_GP, 0x1000)},
    {"MOV to DS refuses a missing LDT", ASM("mov ds, ebx", "\x8E\xDB"), .rbx = 0xC,
     RAISES(VECTOR_GP, 0xC)},
    {"MOV to DS raises #NP", ASM("mov ds, ebx", "\x8E\xDB"), .rbx = BARE_ABSENT_DS,
     RAISES(VECTOR_NP, BARE_ABSENT_DS)},
    {"MOV to SS raises #SS", ASM("mov ss, ebx", "\x8E\xD3"), .rbx = BARE_ABSENT_DS,
     RAISES(VECTOR_SS, BARE_ABSENT_DS)},
    {"MOV to SS refuses another RPL", ASM("mov ss, ebx", "\x8E\xD3"), .rbx = BARE_USER_SS,
     RAISES(VECTOR_GP, BARE_USER_SS & 0xFC)},
    {"MOV to SS takes a null selector in ring 0", ASM("mov ss, ebx", "\x8E\xD3"), .rbx = 0,
     .check = check_null_stack_segment},
    {"MOV to SS refuses a null selector in ring 3", ASM("mov ss, ebx", "\x8E\xD3"), .rbx = 3,
     FROM_RING_3, GP},
    {"MOV to DS refuses kernel data in ring 3", ASM("mov ds, ebx", "\x8E\xDB"),
     .rbx = BARE_KERNEL_SS | 3, FROM_RING_3, RAISES(VECTOR_GP, BARE_KERNEL_SS)},
    {"MOV to CS is undefined", ASM("8E CB", "\x8E\xCB"), UD},
    {"MOV to segment register 6 is undefined", ASM("8E F3", "\x8E\xF3"), UD},
    {"MOV from CS", ASM("mov eax, cs", "\x8C\xC8"), .rax = UINT64_MAX, GIVES(BARE_KERNEL_CS)},
    {"PUSH and POP of FS", ASM("mov fs, ebx; push fs; pop rax", "\x8E\xE3\x0F\xA0\x58"),
     .rbx = BARE_USER_SS, GIVES(BARE_USER_SS)},
    {"POP of GS refuses a bad selector", ASM("push rbx; pop gs", "\x53\x0F\xA9"), .rbx = 0x1000,
     RAISES_AT(1, VECTOR_GP, 0x1000)},
    {"LSS loads SS and a register", ASM("lss ebx, [rcx]", "\x0F\xB2\x19"), .rcx = BARE_DATA,
     .prepare = with_far_pointer, .check = check_stack_segment},
    {"LFS with a register is undefined", ASM("0F B4 C3", "\x0F\xB4\xC3"), UD},
    {"a far CALL pushes CS and RIP", ASM("48 FF 1B", "\x48\xFF\x1B"), .rbx = BARE_DATA,
     .prepare = with_code_pointer, .check = check_far_call},
    {"a far JMP loads CS and RIP", ASM("48 FF 2B", "\x48\xFF\x2B"), .rbx = BARE_DATA,
     .prepare = with_code_pointer, .check = check_far_jump},
    {"a far RET goes back",
     ASM("push 8; lea rax, [rip + 9]; push rax; .byte 0x48, 0xCB; mov eax, 1; nop; mov eax, 5",
         "\x6A\x08\x48\x8D\x05\x09\x00\x00\x00\x50\x48\xCB\xB8\x01\x00\x00\x00\x90\xB8\x05\x00\x00"
         "\x00"),
     GIVES(5)},
    {"a far RET refuses an inner level",
     ASM("push 8; push rax; .byte 0x48, 0xCB", "\x6A\x08\x50\x48\xCB"), FROM_RING_3,
     RAISES_AT(3, VECTOR_GP, BARE_KERNEL_CS)},
    {"RDFSBASE is undefined without FSGSBASE", ASM("rdfsbase rax", "\xF3\x48\x0F\xAE\xC0"), UD},
    {"RDFSBASE gives the base", ASM("rdfsbase rax", "\xF3\x48\x0F\xAE\xC0"),
     .prepare = with_fsgsbase_and_bases, GIVES(0x1111)},
    {"RDGSBASE of 32 bits", ASM("rdgsbase eax", "\xF3\x0F\xAE\xC8"), .rax = UINT64_MAX,
     .prepare = with_fsgsbase_and_bases, GIVES(0x2222)},
    {"WRFSBASE sets the base in ring 3",
     ASM("wrfsbase rbx; int 0x81", "\xF3\x48\x0F\xAE\xD3\xCD\x81"),
     .rbx = UINT64_C(0xFFFF800000000000), FROM_RING_3, .prepare = with_fsgsbase, CALLED,
     .check = check_fs_kept_base},
    {"WRGSBASE refuses a non-canonical base", ASM("wrgsbase rbx", "\xF3\x48\x0F\xAE\xDB"),
     .rbx = UINT64_C(0x800000000000), .prepare = with_fsgsbase, GP},

    // System calls
    {"SYSCALL is undefined without SCE", ASM("syscall", "\x0F\x05"), .prepare = without_sce, UD},
    {"SYSRET is undefined without SCE", ASM("48 0F 07", "\x48\x0F\x07"), .prepare = without_sce,
     UD},
    {"SYSRET faults in ring 3", ASM("48 0F 07", "\x48\x0F\x07"), FROM_RING_3, GP},
    {"SYSRET refuses a non-canonical RCX", ASM("48 0F 07", "\x48\x0F\x07"),
     .rcx = UINT64_C(0x800000000000), GP},
    {"SYSENTER faults with a null SYSENTER_CS", ASM("sysenter", "\x0F\x34"), FROM_RING_3, GP},
    {"SYSEXIT faults with a null SYSENTER_CS", ASM("0F 35", "\x0F\x35"), GP},
    {"IRETQ faults with NT", ASM("push 0x4002; popfq; iretq", "\x68\x02\x40\x00\x00\x9D\x48\xCF"),
     RAISES_AT(6, VECTOR_GP, 0)},
};

int main(void)
{
    return insn_run_group("segments", cases, sizeof(cases) / sizeof(cases[0]));
}
