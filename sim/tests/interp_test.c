// The interpreter's instructions, each as it works and as it faults.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bare.h"
#include "exec.h"
#include "interp_decode.h"
#include "vmx_model/cpu.h"

struct insn_case {
    const char *name;
    struct code code;
    uint64_t rax, rbx, rcx, rdx, rsi, rdi;
    bool ring3;
    void (*prepare)(void);
    bool raises;       // an exception ends it
    int vector;        // which
    uint64_t error;    // its code
    uint64_t fault_at; // offset of the instruction that raises it
    bool has_result;
    uint64_t result; // RAX afterwards
    void (*check)(void);
};

#define RAISES(number, code)            .raises = true, .vector = (number), .error = (code)
#define RAISES_AT(offset, number, code) RAISES(number, code), .fault_at = (offset)
#define GIVES(value)                    .has_result = true, .result = (value)
#define UD                              RAISES(VECTOR_UD, 0)
#define GP                              RAISES(VECTOR_GP, 0)

// In ring 3 a program ends with a system call.
#define FROM_RING_3 .ring3 = true
#define CALLED      RAISES(BARE_USER_VECTOR, 0)

static void with_cr4(uint64_t bits)
{
    cpu_guest(cpu, CR4) |= bits;
}

static void with_fsgsbase(void)
{
    with_cr4(0x10000);
}

static void with_osxsave(void)
{
    with_cr4(0x40000);
    cpu->vmx.xcr0 = 1;
}

static void with_tsd(void)
{
    with_cr4(0x4);
}

static void with_umip(void)
{
    with_cr4(0x800);
}

static void with_de(void)
{
    with_cr4(0x8);
}

static void with_pke(void)
{
    with_cr4(0x400000);
}

static void with_iopl3(void)
{
    cpu_guest(cpu, RFLAGS) |= 0x3000;
}

static void with_general_detect(void)
{
    cpu_guest(cpu, DR7) |= 0x2000;
}

static void with_ts(void)
{
    cpu_guest(cpu, CR0) |= 0x8;
}

static void with_em(void)
{
    cpu_guest(cpu, CR0) |= 0x4;
}

static void without_osfxsr(void)
{
    cpu_guest(cpu, CR4) &= ~UINT64_C(0x200);
}

static void without_sce(void)
{
    cpu_guest(cpu, IA32_EFER) &= ~UINT64_C(1);
}

static void without_x2apic(void)
{
    cpu->vmx.msr[MSR_SLOT_IA32_APIC_BASE] = 0xFEE00900;
}

static void with_bases(void)
{
    cpu_guest(cpu, FS_BASE) = 0x1111;
    cpu_guest(cpu, GS_BASE) = UINT64_C(0xFFFF800000002222);
    cpu->vmx.msr[MSR_SLOT_IA32_KERNEL_GS_BASE] = 0x3333;
}

static void with_fsgsbase_and_bases(void)
{
    with_fsgsbase();
    with_bases();
}

// CMOS 0x10 is allowed to ring 3 by the I/O permission map, port 0x72 is not.
static void with_io_map(void)
{
    cpu_guest(cpu, TR_LIMIT) = 0xFF;
    bare_poke(BARE_TSS + 96, UINT64_C(0x68) << 48);
    for (uint64_t i = 0; i < 16; i++) {
        bare_poke(BARE_TSS + 0x68 + 8 * i, 0);
    }
    bare_poke(BARE_TSS + 0x68 + 0x70 / 8, UINT64_C(0xFC));
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

static void with_ports(void)
{
    machine->ports.cmos[0x10] = 0xAB;
    machine->ports.cmos_index = 0x10;
}

static void with_free_tr(void)
{
    bare_poke(BARE_GDT + BARE_TR, UINT64_C(0x0000890000000067) | BARE_TSS << 16);
    cpu_guest(cpu, TR_BASE) = 0;
}

static void with_mask(void)
{
    struct fpu *fpu = &cpu->fpu;
    for (uint8_t i = 0; i < 16; i++) {
        fpu->ymm[1][i] = (uint8_t)(0xA0 + i);
        fpu->ymm[2][i] = i % 2 == 0 ? 0x80 : 0x7F;
    }
    bare_poke(BARE_DATA, 0);
    bare_poke(BARE_DATA + 8, 0);
}

static void check_masked_store(void)
{
    assert_int_equal(bare_peek(BARE_DATA), UINT64_C(0x00A600A400A200A0));
    assert_int_equal(bare_peek(BARE_DATA + 8), UINT64_C(0x00AE00AC00AA00A8));
}

static void check_sysenter_cs(void)
{
    assert_int_equal(cpu_guest(cpu, SYSENTER_CS), 0x18);
    assert_int_not_equal(cpu->vmx.vmcs.field[VMCS_HOST_SYSENTER_CS], 0x18);
}

static void check_vendor(void)
{
    assert_int_equal(cpu->vmx.gpr[VMX_RBX], 0x756E6547);
    assert_int_equal(cpu->vmx.gpr[VMX_RDX], 0x49656E69);
    assert_int_equal(cpu->vmx.gpr[VMX_RCX], 0x6C65746E);
}

static void check_ts_clear(void)
{
    assert_int_equal(cpu_guest(cpu, CR0), 0x80050033);
}

static void check_debug_detect(void)
{
    assert_int_equal(cpu->vmx.dr6 & 0xE00F, 0x2000);
    assert_int_equal(cpu_guest(cpu, DR7) & 0x2000, 0);
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

static void check_port_80(void)
{
    assert_int_equal(machine->ports.post_code, 0x5A);
}

static void check_string_in(void)
{
    assert_int_equal(bare_peek(BARE_DATA) & 0xFFFFFFFF, 0x00ABABAB);
    assert_int_equal(cpu->vmx.gpr[VMX_RDI], BARE_DATA + 3);
    assert_int_equal(cpu->vmx.gpr[VMX_RCX], 0);
}

static void check_string_out(void)
{
    assert_int_equal(machine->ports.post_code, 0x33);
    assert_int_equal(cpu->vmx.gpr[VMX_RSI], BARE_DATA + 3);
}

static void with_string(void)
{
    bare_poke(BARE_DATA, 0x332211);
}

static void check_shadow(void)
{
    assert_int_equal(cpu_guest(cpu, RFLAGS) & 0x200, 0x200);
}

static void check_iopl_kept(void)
{
    // As pushed by the system call.
    assert_int_equal(bare_frame(0, 2) & 0x3200, 0);
    assert_int_equal(bare_frame(0, 2) & 0x1, 0x1);
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

static void check_self_ipi(void)
{
    assert_int_equal(cpu->apic.irr[1], UINT64_C(1) << 1);
}

static struct insn_case cases[] = {
    // MSRs
    {"RDMSR gives EFER", ASM("rdmsr", "\x0F\x32"), .rcx = 0xC0000080, GIVES(0xD01)},
    {"RDMSR of FS_BASE gives the guest's", ASM("rdmsr", "\x0F\x32"), .rcx = 0xC0000100,
     .prepare = with_bases, GIVES(0x1111)},
    {"RDMSR of a number without a row faults", ASM("rdmsr", "\x0F\x32"), .rcx = 0x999, GP},
    {"RDMSR in ring 3 faults", ASM("rdmsr", "\x0F\x32"), .rcx = 0xC0000080, FROM_RING_3, GP},
    {"RDMSR of SMBASE faults for a guest", ASM("rdmsr", "\x0F\x32"), .rcx = 0x9E, GP},
    {"WRMSR acts on the guest's field", ASM("wrmsr", "\x0F\x30"), .rcx = 0x174, .rax = 0x18,
     .check = check_sysenter_cs},
    {"WRMSR of a non-canonical LSTAR faults", ASM("wrmsr", "\x0F\x30"), .rcx = 0xC0000082,
     .rdx = 0x1000000, GP},
    {"WRMSR in ring 3 faults", ASM("wrmsr", "\x0F\x30"), .rcx = 0x174, FROM_RING_3, GP},
    {"RDMSR of the x2APIC gives its id", ASM("rdmsr", "\x0F\x32"), .rcx = 0x802, .rax = 1,
     GIVES(0)},
    {"RDMSR of the x2APIC faults in xAPIC mode", ASM("rdmsr", "\x0F\x32"), .rcx = 0x802,
     .prepare = without_x2apic, GP},
    {"RDMSR of a hole in the x2APIC faults", ASM("rdmsr", "\x0F\x32"), .rcx = 0x8FF, GP},
    {"RDMSR of TPR gives CR8",
     ASM("mov eax, 3; mov cr8, rax; rdmsr", "\xB8\x03\x00\x00\x00\x44\x0F\x22\xC0\x0F\x32"),
     .rcx = 0x808, GIVES(0x30)},
    {"WRMSR of TPR sets CR8", ASM("wrmsr; mov rax, cr8", "\x0F\x30\x44\x0F\x20\xC0"), .rcx = 0x808,
     .rax = 0x70, GIVES(7)},
    {"WRMSR of TPR refuses more than 8 bits", ASM("wrmsr", "\x0F\x30"), .rcx = 0x808, .rax = 0x100,
     GP},
    {"RDMSR of PPR gives the priority",
     ASM("mov eax, 3; mov cr8, rax; rdmsr", "\xB8\x03\x00\x00\x00\x44\x0F\x22\xC0\x0F\x32"),
     .rcx = 0x80A, GIVES(0x30)},
    {"WRMSR of PPR faults", ASM("wrmsr", "\x0F\x30"), .rcx = 0x80A, GP},
    {"WRMSR of SELF IPI requests an interrupt",
     ASM("mov ecx, 0x80F; mov eax, 0x1FF; xor edx, edx; wrmsr; mov ecx, 0x83F; mov eax, 0x41; "
         "wrmsr",
         "\xB9\x0F\x08\x00\x00\xB8\xFF\x01\x00\x00\x31\xD2\x0F\x30\xB9\x3F\x08\x00\x00\xB8\x41\x00"
         "\x00\x00\x0F\x30"),
     .check = check_self_ipi},
    {"WRMSR of EOI refuses anything but 0", ASM("wrmsr", "\x0F\x30"), .rcx = 0x80B, .rax = 1, GP},
    {"RDMSR of TSC counts instructions", ASM("nop; nop; rdmsr", "\x90\x90\x0F\x32"), .rcx = 0x10,
     GIVES(2)},
    {"WRMSR of TSC sets it", ASM("wrmsr; nop; rdmsr", "\x0F\x30\x90\x0F\x32"), .rcx = 0x10,
     .rax = 1000, GIVES(1002)},

    // CPUID and time
    {"CPUID gives the vendor", ASM("cpuid", "\x0F\xA2"), .check = check_vendor},
    {"CPUID works in ring 3", ASM("cpuid; int 0x81", "\x0F\xA2\xCD\x81"), FROM_RING_3, CALLED},
    {"RDTSC gives the instructions executed", ASM("nop; nop; nop; rdtsc", "\x90\x90\x90\x0F\x31"),
     GIVES(3)},
    {"RDTSCP gives TSC_AUX",
     ASM("mov ecx, 0xC0000103; mov eax, 0x77; xor edx, edx; wrmsr; rdtscp; mov eax, ecx",
         "\xB9\x03\x01\x00\xC0\xB8\x77\x00\x00\x00\x31\xD2\x0F\x30\x0F\x01\xF9\x89\xC8"),
     GIVES(0x77)},
    {"RDTSC works in ring 3", ASM("rdtsc; int 0x81", "\x0F\x31\xCD\x81"), FROM_RING_3, CALLED},
    {"RDTSC faults in ring 3 with TSD", ASM("rdtsc", "\x0F\x31"), FROM_RING_3, .prepare = with_tsd,
     GP},
    {"RDTSCP faults in ring 3 with TSD", ASM("rdtscp", "\x0F\x01\xF9"), FROM_RING_3,
     .prepare = with_tsd, GP},
    {"RDPMC faults", ASM("rdpmc", "\x0F\x33"), GP},

    // Control registers
    {"MOV from CR0", ASM("mov rax, cr0", "\x0F\x20\xC0"), GIVES(0x80050033)},
    {"MOV from CR3", ASM("mov rax, cr3", "\x0F\x20\xD8"), GIVES(BARE_PML4)},
    {"MOV from CR4 into R15", ASM("mov r15, cr4; mov rax, r15", "\x41\x0F\x20\xE7\x4C\x89\xF8"),
     GIVES(0x620)},
    {"MOV to and from CR2", ASM("mov cr2, rbx; mov rax, cr2", "\x0F\x22\xD3\x0F\x20\xD0"),
     .rbx = UINT64_C(0x123456789A), GIVES(UINT64_C(0x123456789A))},
    {"MOV to and from CR8", ASM("mov cr8, rbx; mov rax, cr8", "\x44\x0F\x22\xC3\x44\x0F\x20\xC0"),
     .rbx = 5, GIVES(5)},
    {"MOV to CR8 refuses 16", ASM("mov cr8, rbx", "\x44\x0F\x22\xC3"), .rbx = 16, GP},
    {"MOV from CR0 faults in ring 3", ASM("mov rax, cr0", "\x0F\x20\xC0"), FROM_RING_3, GP},
    {"MOV from CR1 is undefined", ASM("0F 20 C8", "\x0F\x20\xC8"), UD},
    {"MOV to CR5 is undefined", ASM("0F 22 E8", "\x0F\x22\xE8"), UD},
    {"MOV CR ignores mod", ASM("0F 20 00", "\x0F\x20\x00"), GIVES(0x80050033)},
    {"MOV to CR0 refuses to leave paging", ASM("mov cr0, rbx", "\x0F\x22\xC3"), .rbx = 0x33, GP},
    {"MOV to CR0 refuses NW without CD", ASM("mov cr0, rbx", "\x0F\x22\xC3"), .rbx = 0xA0050033,
     GP},
    {"MOV to CR0 refuses bits above 31", ASM("mov cr0, rbx", "\x0F\x22\xC3"),
     .rbx = UINT64_C(0x180050033), GP},
    {"MOV to CR0 ignores undefined bits below and keeps ET",
     ASM("mov cr0, rbx; mov rax, cr0", "\x0F\x22\xC3\x0F\x20\xC0"),
     .rbx = 0x80058F63 & ~UINT64_C(0x10), GIVES(0x80050033)},
    {"MOV to CR3 refuses bits beyond MAXPHYADDR", ASM("mov cr3, rbx", "\x0F\x22\xDB"),
     .rbx = UINT64_C(1) << 46, GP},
    {"MOV to CR3 keeps the low bits", ASM("mov cr3, rbx; mov rax, cr3", "\x0F\x22\xDB\x0F\x20\xD8"),
     .rbx = BARE_PML4 | 0x18, GIVES(BARE_PML4 | 0x18)},
    {"MOV to CR4 refuses to clear PAE", ASM("mov cr4, rbx", "\x0F\x22\xE3"), .rbx = 0x600, GP},
    {"MOV to CR4 refuses to change LA57", ASM("mov cr4, rbx", "\x0F\x22\xE3"), .rbx = 0x1620, GP},
    {"MOV to CR4 refuses a reserved bit", ASM("mov cr4, rbx", "\x0F\x22\xE3"), .rbx = 0x8620, GP},
    {"MOV to CR4 refuses PCIDE with a CR3 that has low bits",
     ASM("mov rax, 0x1018; mov cr3, rax; mov cr4, rbx",
         "\x48\xC7\xC0\x18\x10\x00\x00\x0F\x22\xD8\x0F\x22\xE3"),
     .rbx = 0x20620, RAISES_AT(10, VECTOR_GP, 0)},
    {"MOV to CR4 sets OSXSAVE", ASM("mov cr4, rbx; mov rax, cr4", "\x0F\x22\xE3\x0F\x20\xE0"),
     .rbx = 0x40620, GIVES(0x40620)},
    {"CLTS clears TS", ASM("clts", "\x0F\x06"), .prepare = with_ts, .check = check_ts_clear},
    {"CLTS faults in ring 3", ASM("clts", "\x0F\x06"), FROM_RING_3, GP},
    {"SMSW gives the low half of CR0", ASM("smsw ax", "\x66\x0F\x01\xE0"), .rax = 0xFFFF0000,
     GIVES(0xFFFF0033)},
    {"SMSW faults in ring 3 with UMIP", ASM("smsw ax", "\x66\x0F\x01\xE0"), FROM_RING_3,
     .prepare = with_umip, GP},
    {"LMSW sets TS and cannot clear PE", ASM("lmsw bx; mov rax, cr0", "\x0F\x01\xF3\x0F\x20\xC0"),
     .rbx = 0x8, GIVES(0x80050039)},
    {"LMSW faults in ring 3", ASM("lmsw bx", "\x0F\x01\xF3"), FROM_RING_3, GP},

    // Debug registers
    {"MOV to and from DR0", ASM("mov dr0, rbx; mov rax, dr0", "\x0F\x23\xC3\x0F\x21\xC0"),
     .rbx = 0x1234, GIVES(0x1234)},
    {"MOV to DR6 keeps its fixed bits",
     ASM("mov dr6, rbx; mov rax, dr6", "\x0F\x23\xF3\x0F\x21\xF0"), .rbx = 0x1, GIVES(0xFFFE07F1)},
    {"MOV to DR7 keeps its fixed bits",
     ASM("mov dr7, rbx; mov rax, dr7", "\x0F\x23\xFB\x0F\x21\xF8"), .rbx = 0x1, GIVES(0x401)},
    {"MOV from DR4 is DR6", ASM("mov dr6, rbx; .byte 0x0F, 0x21, 0xE0", "\x0F\x23\xF3\x0F\x21\xE0"),
     .rbx = 0x2, GIVES(0xFFFE07F2)},
    {"MOV from DR4 is undefined with DE", ASM("0F 21 E0", "\x0F\x21\xE0"), .prepare = with_de, UD},
    {"MOV to DR7 refuses bits above 31", ASM("mov dr7, rbx", "\x0F\x23\xFB"),
     .rbx = UINT64_C(1) << 32, GP},
    {"MOV from DR faults in ring 3", ASM("mov rax, dr0", "\x0F\x21\xC0"), FROM_RING_3, GP},
    {"MOV DR raises #DB under general detect", ASM("mov rax, dr0", "\x0F\x21\xC0"),
     .prepare = with_general_detect, RAISES(VECTOR_DB, 0), .check = check_debug_detect},
    {"an execution breakpoint is set without harm",
     ASM("mov dr0, rbx; mov eax, 2; mov dr7, rax; nop; mov eax, 9",
         "\x0F\x23\xC3\xB8\x02\x00\x00\x00\x0F\x23\xF8\x90\xB8\x09\x00\x00\x00"),
     .rbx = 0x999999, GIVES(9)},

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

    // Flags
    {"PUSHFQ hides RF and VM", ASM("pushfq; pop rax", "\x9C\x58"), GIVES(0x2)},
    {"POPFQ sets IOPL, IF, AC and ID in ring 0",
     ASM("push rbx; popfq; pushfq; pop rax; cli", "\x53\x9D\x9C\x58\xFA"), .rbx = 0x243202,
     GIVES(0x243202)},
    {"POPFQ in ring 3 keeps IOPL and IF",
     ASM("push 0x3201; popfq; int 0x81", "\x68\x01\x32\x00\x00\x9D\xCD\x81"), FROM_RING_3, CALLED,
     .check = check_iopl_kept},
    {"POPFW changes the low half", ASM("push rbx; popfw; pushfq; pop rax", "\x53\x66\x9D\x9C\x58"),
     .rbx = UINT64_C(0x40001), GIVES(3)},
    {"CLI faults in ring 3", ASM("cli", "\xFA"), FROM_RING_3, GP},
    {"STI faults in ring 3", ASM("sti", "\xFB"), FROM_RING_3, GP},
    {"STI works in ring 3 with IOPL 3", ASM("sti; cli; int 0x81", "\xFB\xFA\xCD\x81"), FROM_RING_3,
     .prepare = with_iopl3, CALLED},
    {"STI sets IF", ASM("sti; nop", "\xFB\x90"), .check = check_shadow},
    {"HLT faults in ring 3", ASM("hlt", "\xF4"), FROM_RING_3, GP},
    {"STAC and CLAC", ASM("stac; pushfq; pop rax; clac", "\x0F\x01\xCB\x9C\x58\x0F\x01\xCA"),
     GIVES(0x40002)},
    {"STAC is undefined in ring 3", ASM("stac", "\x0F\x01\xCB"), FROM_RING_3, UD},

    // Extended state
    {"XGETBV is undefined without OSXSAVE", ASM("xgetbv", "\x0F\x01\xD0"), UD},
    {"XGETBV gives XCR0", ASM("xgetbv", "\x0F\x01\xD0"), .prepare = with_osxsave, GIVES(1)},
    {"XGETBV refuses another register", ASM("xgetbv", "\x0F\x01\xD0"), .rcx = 2,
     .prepare = with_osxsave, GP},
    {"XSETBV sets XCR0", ASM("xsetbv; xor eax, eax; xgetbv", "\x0F\x01\xD1\x31\xC0\x0F\x01\xD0"),
     .rax = 7, .prepare = with_osxsave, GIVES(7)},
    {"XSETBV refuses AVX without SSE", ASM("xsetbv", "\x0F\x01\xD1"), .rax = 5,
     .prepare = with_osxsave, GP},
    {"XSETBV refuses to clear x87", ASM("xsetbv", "\x0F\x01\xD1"), .rax = 2,
     .prepare = with_osxsave, GP},
    {"XSETBV faults in ring 3", ASM("xsetbv", "\x0F\x01\xD1"), .rax = 3, FROM_RING_3,
     .prepare = with_osxsave, GP},
    {"RDPKRU is undefined without PKE", ASM("rdpkru", "\x0F\x01\xEE"), UD},
    {"WRPKRU and RDPKRU", ASM("wrpkru; xor eax, eax; rdpkru", "\x0F\x01\xEF\x31\xC0\x0F\x01\xEE"),
     .rax = 0x55555550, .prepare = with_pke, GIVES(0x55555550)},
    {"WRPKRU refuses RDX", ASM("wrpkru", "\x0F\x01\xEF"), .rdx = 1, .prepare = with_pke, GP},
    {"FADD raises #NM with TS", ASM("fadd st, st(0)", "\xD8\xC0"), .prepare = with_ts,
     RAISES(VECTOR_NM, 0)},
    {"FADD raises #NM with EM", ASM("fadd st, st(0)", "\xD8\xC0"), .prepare = with_em,
     RAISES(VECTOR_NM, 0)},
    {"SSE is undefined with EM", ASM("addps xmm0, xmm1", "\x0F\x58\xC1"), .prepare = with_em, UD},
    {"SSE raises #NM with TS", ASM("addps xmm0, xmm1", "\x0F\x58\xC1"), .prepare = with_ts,
     RAISES(VECTOR_NM, 0)},
    {"SSE is undefined without OSFXSR", ASM("addps xmm0, xmm1", "\x0F\x58\xC1"),
     .prepare = without_osfxsr, UD},
    {"MMX does not need OSFXSR", ASM("paddb mm0, mm1", "\x0F\xFC\xC1"), .prepare = without_osfxsr},
    {"LFENCE runs with EM and TS", ASM("lfence", "\x0F\xAE\xE8"), .prepare = with_em},
    {"VEX is undefined without AVX", ASM("vaddps ymm0, ymm1, ymm2", "\xC5\xF4\x58\xC2"), UD},
    {"MASKMOVDQU writes the selected bytes", ASM("maskmovdqu xmm1, xmm2", "\x66\x0F\xF7\xCA"),
     .rdi = BARE_DATA, .prepare = with_mask, .check = check_masked_store},
    {"MASKMOVDQU into a read-only page faults", ASM("maskmovdqu xmm1, xmm2", "\x66\x0F\xF7\xCA"),
     .rdi = BARE_READ_ONLY, .prepare = with_mask, RAISES(VECTOR_PF, 3)},

    // Ports
    {"IN reads a port", ASM("in al, 0x71", "\xE4\x71"), .rax = UINT64_C(0xFFFFFFFFFFFFFF00),
     .prepare = with_ports, GIVES(UINT64_C(0xFFFFFFFFFFFFFFAB))},
    {"IN of 4 bytes clears the upper half", ASM("in eax, dx", "\xED"), .rax = UINT64_MAX,
     .rdx = 0x60, GIVES(0xFFFFFFFF)},
    {"OUT writes a port", ASM("out 0x80, al", "\xE6\x80"), .rax = 0xFF5A, .check = check_port_80},
    {"IN faults in ring 3 without a map", ASM("in al, 0x71", "\xE4\x71"), FROM_RING_3, GP},
    {"IN is allowed by IOPL", ASM("in al, 0x71; int 0x81", "\xE4\x71\xCD\x81"), FROM_RING_3,
     .prepare = with_iopl3, CALLED},
    {"IN is allowed by the map", ASM("in al, 0x71; int 0x81", "\xE4\x71\xCD\x81"), FROM_RING_3,
     .prepare = with_io_map, CALLED},
    {"IN is refused by the map", ASM("in al, 0x72", "\xE4\x72"), FROM_RING_3,
     .prepare = with_io_map, GP},
    {"IN of two bytes is refused when one is", ASM("in ax, 0x71", "\x66\xE5\x71"), FROM_RING_3,
     .prepare = with_io_map, GP},
    {"REP INSB fills memory", ASM("rep insb", "\xF3\x6C"), .rcx = 3, .rdx = 0x71, .rdi = BARE_DATA,
     .prepare = with_ports, .check = check_string_in},
    {"REP INSB of nothing does nothing",
     ASM("rep insb; mov eax, 6", "\xF3\x6C\xB8\x06\x00\x00\x00"), .rdx = 0x71, .rdi = BARE_HOLE,
     GIVES(6)},
    {"INSB into a hole is a page fault", ASM("insb", "\x6C"), .rdx = 0x71, .rdi = BARE_HOLE,
     RAISES(VECTOR_PF, 2)},
    {"REP OUTSB empties memory", ASM("rep outsb", "\xF3\x6E"), .rcx = 3, .rdx = 0x80,
     .rsi = BARE_DATA, .prepare = with_string, .check = check_string_out},

    // Interrupts by software
    {"INT3 is a trap", ASM("int3", "\xCC"), RAISES(VECTOR_BP, 0), .fault_at = 1},
    {"INT n is a trap", ASM("int 0x30", "\xCD\x30"), RAISES(0x30, 0), .fault_at = 2},
    {"INT n refuses a gate of ring 0 in ring 3", ASM("int 0x30", "\xCD\x30"), FROM_RING_3,
     RAISES(VECTOR_GP, 0x30 * 8 + 2)},
    {"INT n through an absent gate is #NP", ASM("int 0x84", "\xCD\x84"),
     RAISES(VECTOR_NP, 0x84 * 8 + 2)},
    {"INT1 does not look at the gate's level", ASM("F1", "\xF1"), FROM_RING_3, RAISES(VECTOR_DB, 0),
     .fault_at = 1},
    {"INTO is undefined", ASM("CE", "\xCE"), UD},
    {"UD2 is undefined", ASM("ud2", "\x0F\x0B"), UD},

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

    // VMX and others
    {"VMCALL is undefined", ASM("vmcall", "\x0F\x01\xC1"), UD},
    {"VMXOFF is undefined", ASM("0F 01 C4", "\x0F\x01\xC4"), UD},
    {"VMPTRLD is undefined", ASM("vmptrld [rbx]", "\x0F\xC7\x33"), .rbx = BARE_DATA, UD},
    {"VMREAD is undefined", ASM("vmread rax, rbx", "\x0F\x78\xD8"), UD},
    {"INVEPT is undefined", ASM("invept rax, [rbx]", "\x66\x0F\x38\x80\x03"), .rbx = BARE_DATA, UD},
    {"RSM is undefined", ASM("rsm", "\x0F\xAA"), UD},
    {"MONITOR and MWAIT", ASM("monitor; mwait", "\x0F\x01\xC8\x0F\x01\xC9"), .rcx = 0},
    {"MWAIT is undefined in ring 3", ASM("mwait", "\x0F\x01\xC9"), FROM_RING_3, UD},
    {"PAUSE does nothing", ASM("pause; mov eax, 3", "\xF3\x90\xB8\x03\x00\x00\x00"), GIVES(3)},
    {"POPCNT counts", ASM("popcnt rax, rbx", "\xF3\x48\x0F\xB8\xC3"),
     .rbx = UINT64_C(0xFF00000000000001), GIVES(9)},
    {"TZCNT of 0 is the width", ASM("tzcnt eax, ebx", "\xF3\x0F\xBC\xC3"), GIVES(32)},
    {"TZCNT counts", ASM("tzcnt rax, rbx", "\xF3\x48\x0F\xBC\xC3"), .rbx = UINT64_C(1) << 40,
     GIVES(40)},
    {"LZCNT of 16 bits", ASM("lzcnt ax, bx", "\x66\xF3\x0F\xBD\xC3"), .rbx = 0x10, GIVES(11)},
    {"BSF is not TZCNT", ASM("bsf rax, rbx", "\x48\x0F\xBC\xC3"), .rbx = 8, GIVES(3)},
    {"RDRAND sets CF", ASM("rdrand rbx; setc al", "\x48\x0F\xC7\xF3\x0F\x92\xC0"), GIVES(1)},
    {"RDPID gives TSC_AUX", ASM("F3 0F C7 F8", "\xF3\x0F\xC7\xF8"), GIVES(0)},
    {"CMPXCHG8B is Unicorn's", ASM("cmpxchg8b [rdi]", "\x0F\xC7\x0F"), .rdi = BARE_DATA + 0x800,
     GIVES(0)},

    // Encodings on which Unicorn's translator aborts
    {"FF /3 with a register", ASM("FF D8", "\xFF\xD8"), UD},
    {"FF /5 with a register", ASM("FF E8", "\xFF\xE8"), UD},
    {"FF /3 with prefixes", ASM("66 2E 48 FF DF", "\x66\x2E\x48\xFF\xDF"), UD},
    {"LOCK CMPSB", ASM("F0 A6", "\xF0\xA6"), UD},
    {"LOCK CMPSD with REP", ASM("F3 F0 A7", "\xF3\xF0\xA7"), UD},
    {"LOCK CMP of memory", ASM("F0 38 03", "\xF0\x38\x03"), .rbx = BARE_DATA, UD},
    {"LOCK CMP with REX", ASM("F0 48 39 03", "\xF0\x48\x39\x03"), .rbx = BARE_DATA, UD},
    {"LOCK CMP with an immediate", ASM("F0 83 3B 00", "\xF0\x83\x3B\x00"), .rbx = BARE_DATA, UD},
    {"LOCK CMP of a register with an immediate",
     ASM("F0 81 F8 00 00 00 00", "\xF0\x81\xF8\x00\x00\x00\x00"), UD},
    {"LOCK BT", ASM("F0 0F A3 C3", "\xF0\x0F\xA3\xC3"), UD},
    {"LOCK BTS of a register", ASM("F0 0F AB C3", "\xF0\x0F\xAB\xC3"), UD},
    {"LOCK BTC of a register", ASM("F0 0F BA F8 01", "\xF0\x0F\xBA\xF8\x01"), UD},
    {"LOCK BT with an immediate", ASM("F0 0F BA E0 01", "\xF0\x0F\xBA\xE0\x01"), UD},
    {"LOCK MOV", ASM("F0 89 C3", "\xF0\x89\xC3"), UD},
    {"LOCK SHL of memory", ASM("F0 D1 23", "\xF0\xD1\x23"), .rbx = BARE_DATA, UD},
    {"LOCK CLI", ASM("F0 FA", "\xF0\xFA"), UD},
    {"LOCK ADD of memory",
     ASM("lock add dword ptr [rbx], eax; mov eax, 4", "\xF0\x01\x03\xB8\x04\x00\x00\x00"),
     .rbx = BARE_DATA, GIVES(4)},
    {"15 bytes are allowed",
     ASM("66 66 66 66 66 66 66 66 66 66 66 66 66 66 90",
         "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"),
     .rax = 0},
    {"16 bytes are too many",
     ASM("66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90",
         "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"),
     GP},
    {"16 bytes of a sensitive instruction are too many",
     ASM("66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 FA",
         "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\xFA"),
     GP},
};

static void load_registers(const struct insn_case *row)
{
    uint64_t *gpr = cpu->vmx.gpr;
    gpr[VMX_RAX] = row->rax;
    gpr[VMX_RBX] = row->rbx;
    gpr[VMX_RCX] = row->rcx;
    gpr[VMX_RDX] = row->rdx;
    gpr[VMX_RSI] = row->rsi;
    gpr[VMX_RDI] = row->rdi;
}

static bool has_error_code(int vector)
{
    return vector == VECTOR_DF || (vector >= VECTOR_TS && vector <= VECTOR_PF);
}

static void expect_exception(const struct insn_case *row, uint64_t begin)
{
    unsigned i = 0;
    assert_int_equal(bare_vector(cpu), row->vector);
    if (has_error_code(row->vector)) {
        assert_int_equal(bare_frame(0, i++), row->error);
    }
    bool called = row->vector == BARE_USER_VECTOR;
    uint64_t at = called ? row->code.len : row->fault_at;
    assert_int_equal(bare_frame(0, i++), begin + at);
    assert_int_equal(bare_frame(0, i), row->ring3 ? BARE_USER_CS : BARE_KERNEL_CS);
}

static void an_instruction_behaves(void **state)
{
    const struct insn_case *row = *state;
    bare_build(1);
    uint64_t begin = row->ring3 ? BARE_USER_CODE : BARE_CODE;
    bare_program(begin, row->code.bytes, row->code.len);
    if (row->ring3) {
        bare_enter_ring3();
    }
    load_registers(row);
    if (row->prepare) {
        row->prepare();
    }
    struct run_result result = bare_run(0, 100);
    assert_int_equal(result.stop, RUN_WAITING);
    assert_string_equal(bare_log, "");
    if (row->raises) {
        expect_exception(row, begin);
    } else {
        assert_int_equal(bare_vector(cpu), BARE_NO_VECTOR);
    }
    if (row->has_result) {
        assert_int_equal(cpu->vmx.gpr[VMX_RAX], row->result);
    }
    if (row->check) {
        row->check();
    }
    machine_free(machine);
}

enum { NUM_CASES = sizeof(cases) / sizeof(cases[0]) };

int main(void)
{
    struct CMUnitTest tests[NUM_CASES];
    for (size_t i = 0; i < NUM_CASES; i++) {
        tests[i] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = an_instruction_behaves, .initial_state = &cases[i]};
    }
    return _cmocka_run_group_tests("interp", tests, NUM_CASES, NULL, NULL);
}
