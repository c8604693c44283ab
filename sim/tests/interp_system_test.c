// MSRs, CPUID and the time stamp counter, control and debug registers: each instruction as it works
// and as it faults.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "insn_case.h"

static void with_tsd(void)
{
    with_cr4(0x4);
}

static void with_de(void)
{
    with_cr4(0x8);
}

static void with_general_detect(void)
{
    cpu_guest(cpu, DR7) |= 0x2000;
}

static void without_x2apic(void)
{
    cpu->vmx.msr[MSR_SLOT_IA32_APIC_BASE] = 0xFEE00900;
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
};

int main(void)
{
    return insn_run_group("system registers", cases, sizeof(cases) / sizeof(cases[0]));
}
