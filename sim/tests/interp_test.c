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

struct code {
    const void *bytes;
    size_t len;
};

#define CODE(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

struct insn_case {
    const char *name;
    struct code code;
    uint64_t rax, rbx, rcx, rdx, rsi, rdi;
    bool ring3;
    void (*prepare)(struct machine *machine);
    bool raises;       // an exception ends it
    int vector;        // which
    uint64_t error;    // its code
    uint64_t fault_at; // offset of the instruction that raises it
    bool has_result;
    uint64_t result; // RAX afterwards
    void (*check)(struct machine *machine);
};

#define RAISES(number, code)            .raises = true, .vector = (number), .error = (code)
#define RAISES_AT(offset, number, code) RAISES(number, code), .fault_at = (offset)
#define GIVES(value)                    .has_result = true, .result = (value)
#define UD                              RAISES(VECTOR_UD, 0)
#define GP                              RAISES(VECTOR_GP, 0)

// In ring 3 a program ends with a system call.
#define FROM_RING_3 .ring3 = true
#define CALLED      RAISES(BARE_USER_VECTOR, 0)

static struct cpu *cpu_of(struct machine *machine)
{
    return &machine->cpus[0];
}

static void with_cr4(struct machine *machine, uint64_t bits)
{
    cpu_guest(cpu_of(machine), CR4) |= bits;
}

static void with_fsgsbase(struct machine *machine)
{
    with_cr4(machine, 0x10000);
}

static void with_osxsave(struct machine *machine)
{
    with_cr4(machine, 0x40000);
    cpu_of(machine)->vmx.xcr0 = 1;
}

static void with_tsd(struct machine *machine)
{
    with_cr4(machine, 0x4);
}

static void with_umip(struct machine *machine)
{
    with_cr4(machine, 0x800);
}

static void with_de(struct machine *machine)
{
    with_cr4(machine, 0x8);
}

static void with_pke(struct machine *machine)
{
    with_cr4(machine, 0x400000);
}

static void with_iopl3(struct machine *machine)
{
    cpu_guest(cpu_of(machine), RFLAGS) |= 0x3000;
}

static void with_general_detect(struct machine *machine)
{
    cpu_guest(cpu_of(machine), DR7) |= 0x2000;
}

static void with_ts(struct machine *machine)
{
    cpu_guest(cpu_of(machine), CR0) |= 0x8;
}

static void with_em(struct machine *machine)
{
    cpu_guest(cpu_of(machine), CR0) |= 0x4;
}

static void without_osfxsr(struct machine *machine)
{
    cpu_guest(cpu_of(machine), CR4) &= ~UINT64_C(0x200);
}

static void without_sce(struct machine *machine)
{
    cpu_guest(cpu_of(machine), IA32_EFER) &= ~UINT64_C(1);
}

static void without_x2apic(struct machine *machine)
{
    cpu_of(machine)->vmx.msr[MSR_SLOT_IA32_APIC_BASE] = 0xFEE00900;
}

static void with_bases(struct machine *machine)
{
    cpu_guest(cpu_of(machine), FS_BASE) = 0x1111;
    cpu_guest(cpu_of(machine), GS_BASE) = 0x2222;
    cpu_of(machine)->vmx.msr[MSR_SLOT_IA32_KERNEL_GS_BASE] = 0x3333;
}

static void with_fsgsbase_and_bases(struct machine *machine)
{
    with_fsgsbase(machine);
    with_bases(machine);
}

// CMOS 0x10 is allowed to ring 3 by the I/O permission map, port 0x72 is not.
static void with_io_map(struct machine *machine)
{
    cpu_guest(cpu_of(machine), TR_LIMIT) = 0xFF;
    bare_poke(machine, BARE_TSS + 96, UINT64_C(0x68) << 48);
    for (uint64_t i = 0; i < 16; i++) {
        bare_poke(machine, BARE_TSS + 0x68 + 8 * i, 0);
    }
    bare_poke(machine, BARE_TSS + 0x68 + 0x70 / 8, UINT64_C(0xFC));
}

static void with_far_pointer(struct machine *machine)
{
    bare_poke(machine, BARE_DATA, 0x12345678 | (uint64_t)BARE_KERNEL_SS << 32);
}

static void with_code_pointer(struct machine *machine)
{
    bare_poke(machine, BARE_DATA, BARE_CODE + 0x100);
    bare_poke(machine, BARE_DATA + 8, BARE_KERNEL_CS);
    bare_program(machine, BARE_CODE + 0x100, "\x90", 1);
}

static void with_table_image(struct machine *machine)
{
    bare_poke(machine, BARE_DATA, 0x000F | 0x5678 << 16);
    bare_poke(machine, BARE_DATA + 8, 0);
}

static void with_bad_table_image(struct machine *machine)
{
    bare_poke(machine, BARE_DATA, 0x000F);
    bare_poke(machine, BARE_DATA + 8, 0x8000);
}

static void with_ports(struct machine *machine)
{
    machine->ports.cmos[0x10] = 0xAB;
    machine->ports.cmos_index = 0x10;
}

static void with_free_tr(struct machine *machine)
{
    bare_poke(machine, BARE_GDT + BARE_TR, UINT64_C(0x0000890000000067) | BARE_TSS << 16);
    cpu_guest(cpu_of(machine), TR_BASE) = 0;
}

static void with_mask(struct machine *machine)
{
    struct fpu *fpu = &cpu_of(machine)->fpu;
    for (uint8_t i = 0; i < 16; i++) {
        fpu->ymm[1][i] = (uint8_t)(0xA0 + i);
        fpu->ymm[2][i] = i % 2 == 0 ? 0x80 : 0x7F;
    }
    bare_poke(machine, BARE_DATA, 0);
    bare_poke(machine, BARE_DATA + 8, 0);
}

static void check_masked_store(struct machine *machine)
{
    assert_int_equal(bare_peek(machine, BARE_DATA), UINT64_C(0x00A600A400A200A0));
    assert_int_equal(bare_peek(machine, BARE_DATA + 8), UINT64_C(0x00AE00AC00AA00A8));
}

static void check_sysenter_cs(struct machine *machine)
{
    assert_int_equal(cpu_guest(cpu_of(machine), SYSENTER_CS), 0x18);
    assert_int_not_equal(cpu_of(machine)->vmx.vmcs.field[VMCS_HOST_SYSENTER_CS], 0x18);
}

static void check_vendor(struct machine *machine)
{
    assert_int_equal(cpu_of(machine)->vmx.gpr[VMX_RBX], 0x756E6547);
    assert_int_equal(cpu_of(machine)->vmx.gpr[VMX_RDX], 0x49656E69);
    assert_int_equal(cpu_of(machine)->vmx.gpr[VMX_RCX], 0x6C65746E);
}

static void check_ts_clear(struct machine *machine)
{
    assert_int_equal(cpu_guest(cpu_of(machine), CR0), 0x80050033);
}

static void check_debug_detect(struct machine *machine)
{
    assert_int_equal(cpu_of(machine)->vmx.dr6 & 0xE00F, 0x2000);
    assert_int_equal(cpu_guest(cpu_of(machine), DR7) & 0x2000, 0);
}

static void check_gdtr_loaded(struct machine *machine)
{
    assert_int_equal(cpu_guest(cpu_of(machine), GDTR_LIMIT), 0x000F);
    assert_int_equal(cpu_guest(cpu_of(machine), GDTR_BASE), 0x5678);
}

static void check_idt_stored(struct machine *machine)
{
    assert_int_equal(bare_peek(machine, BARE_DATA), BARE_IDT << 16 | BARE_IDT_LIMIT);
}

static void check_ldtr(struct machine *machine)
{
    const struct cpu *cpu = cpu_of(machine);
    assert_int_equal(cpu_guest(cpu, LDTR_SELECTOR), BARE_LDT);
    assert_int_equal(cpu_guest(cpu, LDTR_BASE), 0xB000);
    assert_int_equal(cpu_guest(cpu, LDTR_LIMIT), 0xF);
    assert_int_equal(cpu_guest(cpu, LDTR_ACCESS), 0x82);
}

static void check_tr_busy(struct machine *machine)
{
    assert_int_equal(cpu_guest(cpu_of(machine), TR_BASE), BARE_TSS);
    assert_int_equal(cpu_guest(cpu_of(machine), TR_ACCESS), 0x8B);
    assert_int_equal(bare_peek(machine, BARE_GDT + BARE_TR) >> 40 & 0xFF, 0x8B);
}

static void check_gs_swapped(struct machine *machine)
{
    const struct cpu *cpu = cpu_of(machine);
    assert_int_equal(cpu_guest(cpu, GS_BASE), 0x3333);
    assert_int_equal(cpu->vmx.msr[MSR_SLOT_IA32_KERNEL_GS_BASE], 0x2222);
}

static void check_user_ds(struct machine *machine)
{
    assert_int_equal(cpu_guest(cpu_of(machine), DS_ACCESS), 0xC0F3);
    assert_int_equal(bare_peek(machine, BARE_GDT + 0x20), UINT64_C(0x00CFF3000000FFFF));
}

static void check_port_80(struct machine *machine)
{
    assert_int_equal(machine->ports.post_code, 0x5A);
}

static void check_string_in(struct machine *machine)
{
    assert_int_equal(bare_peek(machine, BARE_DATA) & 0xFFFFFFFF, 0x00ABABAB);
    assert_int_equal(cpu_of(machine)->vmx.gpr[VMX_RDI], BARE_DATA + 3);
    assert_int_equal(cpu_of(machine)->vmx.gpr[VMX_RCX], 0);
}

static void check_string_out(struct machine *machine)
{
    assert_int_equal(machine->ports.post_code, 0x33);
    assert_int_equal(cpu_of(machine)->vmx.gpr[VMX_RSI], BARE_DATA + 3);
}

static void with_string(struct machine *machine)
{
    bare_poke(machine, BARE_DATA, 0x332211);
}

static void check_shadow(struct machine *machine)
{
    assert_int_equal(cpu_guest(cpu_of(machine), RFLAGS) & 0x200, 0x200);
}

static void check_iopl_kept(struct machine *machine)
{
    // As pushed by the system call.
    assert_int_equal(bare_frame(machine, 0, 2) & 0x3200, 0);
    assert_int_equal(bare_frame(machine, 0, 2) & 0x1, 0x1);
}

static void check_stack_segment(struct machine *machine)
{
    assert_int_equal(cpu_guest(cpu_of(machine), SS_SELECTOR), BARE_KERNEL_SS);
    assert_int_equal(cpu_of(machine)->vmx.gpr[VMX_RBX], 0x12345678);
}

static void check_null_stack_segment(struct machine *machine)
{
    assert_int_equal(cpu_guest(cpu_of(machine), SS_ACCESS), 0x10000);
}

static void check_far_call(struct machine *machine)
{
    const struct cpu *cpu = cpu_of(machine);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE + 0x102);
    assert_int_equal(cpu_guest(cpu, RSP), BARE_STACK - 16);
    assert_int_equal(bare_frame(machine, 0, 0), BARE_CODE + 3);
    assert_int_equal(bare_frame(machine, 0, 1), BARE_KERNEL_CS);
}

static void check_far_jump(struct machine *machine)
{
    assert_int_equal(cpu_guest(cpu_of(machine), RIP), BARE_CODE + 0x102);
    assert_int_equal(cpu_guest(cpu_of(machine), RSP), BARE_STACK);
}

static void check_fs_kept_base(struct machine *machine)
{
    assert_int_equal(cpu_guest(cpu_of(machine), FS_BASE), UINT64_C(0xFFFF800000000000));
}

static void check_self_ipi(struct machine *machine)
{
    assert_int_equal(cpu_of(machine)->apic.irr[1], UINT64_C(1) << 1);
}

static struct insn_case cases[] = {
    // MSRs
    {"RDMSR gives EFER", CODE("\x0F\x32") /* rdmsr */, .rcx = 0xC0000080, GIVES(0xD01)},
    {"RDMSR of FS_BASE gives the guest's", CODE("\x0F\x32") /* rdmsr */, .rcx = 0xC0000100,
     .prepare = with_bases, GIVES(0x1111)},
    {"RDMSR of a number without a row faults", CODE("\x0F\x32") /* rdmsr */, .rcx = 0x999, GP},
    {"RDMSR in ring 3 faults", CODE("\x0F\x32") /* rdmsr */, .rcx = 0xC0000080, FROM_RING_3, GP},
    {"RDMSR of SMBASE faults for a guest", CODE("\x0F\x32") /* rdmsr */, .rcx = 0x9E, GP},
    {"WRMSR acts on the guest's field", CODE("\x0F\x30") /* wrmsr */, .rcx = 0x174, .rax = 0x18,
     .check = check_sysenter_cs},
    {"WRMSR of a non-canonical LSTAR faults", CODE("\x0F\x30") /* wrmsr */, .rcx = 0xC0000082,
     .rdx = 0x1000000, GP},
    {"WRMSR in ring 3 faults", CODE("\x0F\x30") /* wrmsr */, .rcx = 0x174, FROM_RING_3, GP},
    {"RDMSR of the x2APIC gives its id", CODE("\x0F\x32") /* rdmsr */, .rcx = 0x802, .rax = 1,
     GIVES(0)},
    {"RDMSR of the x2APIC faults in xAPIC mode", CODE("\x0F\x32") /* rdmsr */, .rcx = 0x802,
     .prepare = without_x2apic, GP},
    {"RDMSR of a hole in the x2APIC faults", CODE("\x0F\x32") /* rdmsr */, .rcx = 0x8FF, GP},
    {"RDMSR of TPR gives CR8",
     CODE("\xB8\x03\x00\x00\x00\x44\x0F\x22\xC0\x0F\x32") /* mov eax, 3; mov cr8, rax; rdmsr */,
     .rcx = 0x808, GIVES(0x30)},
    {"WRMSR of TPR sets CR8", CODE("\x0F\x30\x44\x0F\x20\xC0") /* wrmsr; mov rax, cr8 */,
     .rcx = 0x808, .rax = 0x70, GIVES(7)},
    {"WRMSR of TPR refuses more than 8 bits", CODE("\x0F\x30") /* wrmsr */, .rcx = 0x808,
     .rax = 0x100, GP},
    {"RDMSR of PPR gives the priority",
     CODE("\xB8\x03\x00\x00\x00\x44\x0F\x22\xC0\x0F\x32") /* mov eax, 3; mov cr8, rax; rdmsr */,
     .rcx = 0x80A, GIVES(0x30)},
    {"WRMSR of PPR faults", CODE("\x0F\x30") /* wrmsr */, .rcx = 0x80A, GP},
    {"WRMSR of SELF IPI requests an interrupt",
     CODE("\xB9\x0F\x08\x00\x00\xB8\xFF\x01\x00\x00\x31\xD2\x0F\x30\xB9\x3F\x08\x00\x00\xB8\x41\x00"
          "\x00\x00\x0F\x30") /* mov ecx, 0x80F; mov eax, 0x1FF; xor edx, edx; wrmsr; mov ecx,
                                 0x83F; mov eax, 0x41; wrmsr */
     ,
     .check = check_self_ipi},
    {"WRMSR of EOI refuses anything but 0", CODE("\x0F\x30") /* wrmsr */, .rcx = 0x80B, .rax = 1,
     GP},
    {"RDMSR of TSC counts instructions", CODE("\x90\x90\x0F\x32") /* nop; nop; rdmsr */,
     .rcx = 0x10, GIVES(2)},
    {"WRMSR of TSC sets it", CODE("\x0F\x30\x90\x0F\x32") /* wrmsr; nop; rdmsr */, .rcx = 0x10,
     .rax = 1000, GIVES(1002)},

    // CPUID and time
    {"CPUID gives the vendor", CODE("\x0F\xA2") /* cpuid */, .check = check_vendor},
    {"CPUID works in ring 3", CODE("\x0F\xA2\xCD\x81") /* cpuid; int 0x81 */, FROM_RING_3, CALLED},
    {"RDTSC gives the instructions executed",
     CODE("\x90\x90\x90\x0F\x31") /* nop; nop; nop; rdtsc */, GIVES(3)},
    {"RDTSCP gives TSC_AUX",
     CODE(
         "\xB9\x03\x01\x00\xC0\xB8\x77\x00\x00\x00\x31\xD2\x0F\x30\x0F\x01\xF9\x89\xC8") /* mov ecx,
                                                                                            0xC0000103;
                                                                                            mov eax,
                                                                                            0x77;
                                                                                            xor edx,
                                                                                            edx;
                                                                                            wrmsr;
                                                                                            rdtscp;
                                                                                            mov eax,
                                                                                            ecx */
     ,
     GIVES(0x77)},
    {"RDTSC works in ring 3", CODE("\x0F\x31\xCD\x81") /* rdtsc; int 0x81 */, FROM_RING_3, CALLED},
    {"RDTSC faults in ring 3 with TSD", CODE("\x0F\x31") /* rdtsc */, FROM_RING_3,
     .prepare = with_tsd, GP},
    {"RDTSCP faults in ring 3 with TSD", CODE("\x0F\x01\xF9") /* rdtscp */, FROM_RING_3,
     .prepare = with_tsd, GP},
    {"RDPMC faults", CODE("\x0F\x33") /* rdpmc */, GP},

    // Control registers
    {"MOV from CR0", CODE("\x0F\x20\xC0") /* mov rax, cr0 */, GIVES(0x80050033)},
    {"MOV from CR3", CODE("\x0F\x20\xD8") /* mov rax, cr3 */, GIVES(BARE_PML4)},
    {"MOV from CR4 into R15", CODE("\x41\x0F\x20\xE7\x4C\x89\xF8") /* mov r15, cr4; mov rax, r15 */,
     GIVES(0x620)},
    {"MOV to and from CR2", CODE("\x0F\x22\xD3\x0F\x20\xD0") /* mov cr2, rbx; mov rax, cr2 */,
     .rbx = UINT64_C(0x123456789A), GIVES(UINT64_C(0x123456789A))},
    {"MOV to and from CR8",
     CODE("\x44\x0F\x22\xC3\x44\x0F\x20\xC0") /* mov cr8, rbx; mov rax, cr8 */, .rbx = 5, GIVES(5)},
    {"MOV to CR8 refuses 16", CODE("\x44\x0F\x22\xC3") /* mov cr8, rbx */, .rbx = 16, GP},
    {"MOV from CR0 faults in ring 3", CODE("\x0F\x20\xC0") /* mov rax, cr0 */, FROM_RING_3, GP},
    {"MOV from CR1 is undefined", CODE("\x0F\x20\xC8"), UD},
    {"MOV to CR5 is undefined", CODE("\x0F\x22\xE8"), UD},
    {"MOV CR ignores mod", CODE("\x0F\x20\x00"), GIVES(0x80050033)},
    {"MOV to CR0 refuses to leave paging", CODE("\x0F\x22\xC3") /* mov cr0, rbx */, .rbx = 0x33,
     GP},
    {"MOV to CR0 refuses NW without CD", CODE("\x0F\x22\xC3") /* mov cr0, rbx */, .rbx = 0xA0050033,
     GP},
    {"MOV to CR0 refuses bits above 31", CODE("\x0F\x22\xC3") /* mov cr0, rbx */,
     .rbx = UINT64_C(0x180050033), GP},
    {"MOV to CR0 ignores undefined bits below and keeps ET",
     CODE("\x0F\x22\xC3\x0F\x20\xC0") /* mov cr0, rbx; mov rax, cr0 */,
     .rbx = 0x80058F63 & ~UINT64_C(0x10), GIVES(0x80050033)},
    {"MOV to CR3 refuses bits beyond MAXPHYADDR", CODE("\x0F\x22\xDB") /* mov cr3, rbx */,
     .rbx = UINT64_C(1) << 46, GP},
    {"MOV to CR3 keeps the low bits",
     CODE("\x0F\x22\xDB\x0F\x20\xD8") /* mov cr3, rbx; mov rax, cr3 */, .rbx = BARE_PML4 | 0x18,
     GIVES(BARE_PML4 | 0x18)},
    {"MOV to CR4 refuses to clear PAE", CODE("\x0F\x22\xE3") /* mov cr4, rbx */, .rbx = 0x600, GP},
    {"MOV to CR4 refuses to change LA57", CODE("\x0F\x22\xE3") /* mov cr4, rbx */, .rbx = 0x1620,
     GP},
    {"MOV to CR4 refuses a reserved bit", CODE("\x0F\x22\xE3") /* mov cr4, rbx */, .rbx = 0x8620,
     GP},
    {"MOV to CR4 refuses PCIDE with a CR3 that has low bits",
     CODE("\x48\xC7\xC0\x18\x10\x00\x00\x0F\x22\xD8\x0F\x22\xE3") /* mov rax, 0x1018; mov cr3, rax;
                                                                     mov cr4, rbx */
     ,
     .rbx = 0x20620, RAISES_AT(10, VECTOR_GP, 0)},
    {"MOV to CR4 sets OSXSAVE", CODE("\x0F\x22\xE3\x0F\x20\xE0") /* mov cr4, rbx; mov rax, cr4 */,
     .rbx = 0x40620, GIVES(0x40620)},
    {"CLTS clears TS", CODE("\x0F\x06") /* clts */, .prepare = with_ts, .check = check_ts_clear},
    {"CLTS faults in ring 3", CODE("\x0F\x06") /* clts */, FROM_RING_3, GP},
    {"SMSW gives the low half of CR0", CODE("\x66\x0F\x01\xE0") /* smsw ax */, .rax = 0xFFFF0000,
     GIVES(0xFFFF0033)},
    {"SMSW faults in ring 3 with UMIP", CODE("\x66\x0F\x01\xE0") /* smsw ax */, FROM_RING_3,
     .prepare = with_umip, GP},
    {"LMSW sets TS and cannot clear PE",
     CODE("\x0F\x01\xF3\x0F\x20\xC0") /* lmsw bx; mov rax, cr0 */, .rbx = 0x8, GIVES(0x80050039)},
    {"LMSW faults in ring 3", CODE("\x0F\x01\xF3") /* lmsw bx */, FROM_RING_3, GP},

    // Debug registers
    {"MOV to and from DR0", CODE("\x0F\x23\xC3\x0F\x21\xC0") /* mov dr0, rbx; mov rax, dr0 */,
     .rbx = 0x1234, GIVES(0x1234)},
    {"MOV to DR6 keeps its fixed bits",
     CODE("\x0F\x23\xF3\x0F\x21\xF0") /* mov dr6, rbx; mov rax, dr6 */, .rbx = 0x1,
     GIVES(0xFFFF0FF1)},
    {"MOV to DR7 keeps its fixed bits",
     CODE("\x0F\x23\xFB\x0F\x21\xF8") /* mov dr7, rbx; mov rax, dr7 */, .rbx = 0x1, GIVES(0x401)},
    {"MOV from DR4 is DR6",
     CODE("\x0F\x23\xF3\x0F\x21\xE0") /* mov dr6, rbx; .byte 0x0F, 0x21, 0xE0 */, .rbx = 0x2,
     GIVES(0xFFFF0FF2)},
    {"MOV from DR4 is undefined with DE", CODE("\x0F\x21\xE0"), .prepare = with_de, UD},
    {"MOV to DR7 refuses bits above 31", CODE("\x0F\x23\xFB") /* mov dr7, rbx */,
     .rbx = UINT64_C(1) << 32, GP},
    {"MOV from DR faults in ring 3", CODE("\x0F\x21\xC0") /* mov rax, dr0 */, FROM_RING_3, GP},
    {"MOV DR raises #DB under general detect", CODE("\x0F\x21\xC0") /* mov rax, dr0 */,
     .prepare = with_general_detect, RAISES(VECTOR_DB, 0), .check = check_debug_detect},
    {"an execution breakpoint is set without harm",
     CODE("\x0F\x23\xC3\xB8\x02\x00\x00\x00\x0F\x23\xF8\x90\xB8\x09\x00\x00\x00") /* mov dr0, rbx;
                                                                                     mov eax, 2; mov
                                                                                     dr7, rax; nop;
                                                                                     mov eax, 9 */
     ,
     .rbx = 0x999999, GIVES(9)},

    // Descriptor tables
    {"LGDT loads limit and base", CODE("\x0F\x01\x13") /* lgdt [rbx] */, .rbx = BARE_DATA,
     .prepare = with_table_image, .check = check_gdtr_loaded},
    {"LGDT refuses a non-canonical base", CODE("\x0F\x01\x13") /* lgdt [rbx] */, .rbx = BARE_DATA,
     .prepare = with_bad_table_image, GP},
    {"LGDT faults in ring 3", CODE("\x0F\x01\x13") /* lgdt [rbx] */, .rbx = BARE_USER_CODE,
     FROM_RING_3, GP},
    {"SIDT stores limit and base", CODE("\x0F\x01\x0B") /* sidt [rbx] */, .rbx = BARE_DATA,
     .check = check_idt_stored},
    {"SGDT faults in ring 3 with UMIP", CODE("\x0F\x01\x03") /* sgdt [rbx] */,
     .rbx = BARE_USER_CODE, FROM_RING_3, .prepare = with_umip, GP},
    {"SGDT into a hole is a page fault", CODE("\x0F\x01\x03") /* sgdt [rbx] */, .rbx = BARE_HOLE,
     RAISES(VECTOR_PF, 2)},
    {"LLDT loads the table", CODE("\x66\xB8\x50\x00\x0F\x00\xD0") /* mov ax, 0x50; lldt ax */,
     .check = check_ldtr},
    {"LLDT refuses a code segment", CODE("\x0F\x00\xD3") /* lldt bx */, .rbx = BARE_KERNEL_CS,
     RAISES(VECTOR_GP, BARE_KERNEL_CS)},
    {"LLDT takes a null selector", CODE("\x0F\x00\xD3\x0F\x00\xC0") /* lldt bx; sldt eax */,
     .rbx = 3, GIVES(3)},
    {"LLDT faults in ring 3", CODE("\x0F\x00\xD3") /* lldt bx */, FROM_RING_3, GP},
    {"LTR loads the TSS and marks it busy", CODE("\x0F\x00\xDB") /* ltr bx */, .rbx = BARE_TR,
     .prepare = with_free_tr, .check = check_tr_busy},
    {"LTR refuses a busy TSS", CODE("\x0F\x00\xDB") /* ltr bx */, .rbx = BARE_TR,
     RAISES(VECTOR_GP, BARE_TR)},
    {"LTR refuses a null selector", CODE("\x0F\x00\xDB") /* ltr bx */, GP},
    {"STR gives the selector", CODE("\x0F\x00\xC8") /* str eax */, .rax = UINT64_MAX,
     GIVES(BARE_TR)},
    {"VERR accepts readable code", CODE("\x0F\x00\xE3\x0F\x94\xC0") /* verr bx; setz al */,
     .rbx = BARE_KERNEL_CS, GIVES(1)},
    {"VERW refuses code", CODE("\x0F\x00\xEB\x0F\x94\xC0") /* verw bx; setz al */,
     .rbx = BARE_KERNEL_CS, GIVES(0)},
    {"VERW accepts data", CODE("\x0F\x00\xEB\x0F\x94\xC0") /* verw bx; setz al */,
     .rbx = BARE_KERNEL_SS, GIVES(1)},
    {"VERR refuses what lies beyond the table",
     CODE("\x0F\x00\xE3\x0F\x94\xC0") /* verr bx; setz al */, .rbx = 0x1000, GIVES(0)},
    {"LAR gives the rights", CODE("\x0F\x02\xC3") /* lar eax, ebx */, .rbx = BARE_KERNEL_CS,
     GIVES(0xA09B00)},
    {"LSL gives the limit in bytes", CODE("\x0F\x03\xC3") /* lsl eax, ebx */, .rbx = BARE_KERNEL_SS,
     GIVES(0xFFFFFFFF)},
    {"LAR of nothing keeps the register", CODE("\x0F\x02\xC3") /* lar eax, ebx */, .rax = 7,
     GIVES(7)},
    {"INVLPG runs in ring 0", CODE("\x0F\x01\x3B") /* invlpg [rbx] */, .rbx = BARE_HOLE},
    {"INVLPG faults in ring 3", CODE("\x0F\x01\x3B") /* invlpg [rbx] */, FROM_RING_3, GP},
    {"INVPCID runs in ring 0", CODE("\x66\x0F\x38\x82\x03") /* invpcid rax, [rbx] */, .rax = 2,
     .rbx = BARE_DATA + 0x100},
    {"INVPCID refuses type 4", CODE("\x66\x0F\x38\x82\x03") /* invpcid rax, [rbx] */, .rax = 4,
     .rbx = BARE_DATA + 0x100, GP},
    {"WBINVD runs in ring 0", CODE("\x0F\x09") /* wbinvd */, .rax = 0},
    {"INVD faults in ring 3", CODE("\x0F\x08") /* invd */, FROM_RING_3, GP},

    // Segments
    {"SWAPGS exchanges the bases", CODE("\x0F\x01\xF8") /* swapgs */, .prepare = with_bases,
     .check = check_gs_swapped},
    {"SWAPGS faults in ring 3", CODE("\x0F\x01\xF8") /* swapgs */, FROM_RING_3, GP},
    {"MOV to DS loads a descriptor and marks it accessed", CODE("\x8E\xDB") /* mov ds, ebx */,
     .rbx = BARE_USER_SS, .check = check_user_ds},
    {"MOV to DS takes a null selector", CODE("\x8E\xDB\x8C\xD8") /* mov ds, ebx; mov eax, ds */,
     .rbx = 2, GIVES(2)},
    {"MOV to DS refuses what lies beyond the table", CODE("\x8E\xDB") /* mov ds, ebx */,
     .rbx = 0x1000, RAISES(VECTOR_GP, 0x1000)},
    {"MOV to DS refuses a missing LDT", CODE("\x8E\xDB") /* mov ds, ebx */, .rbx = 0xC,
     RAISES(VECTOR_GP, 0xC)},
    {"MOV to DS raises #NP", CODE("\x8E\xDB") /* mov ds, ebx */, .rbx = BARE_ABSENT_DS,
     RAISES(VECTOR_NP, BARE_ABSENT_DS)},
    {"MOV to SS raises #SS", CODE("\x8E\xD3") /* mov ss, ebx */, .rbx = BARE_ABSENT_DS,
     RAISES(VECTOR_SS, BARE_ABSENT_DS)},
    {"MOV to SS refuses another RPL", CODE("\x8E\xD3") /* mov ss, ebx */, .rbx = BARE_USER_SS,
     RAISES(VECTOR_GP, BARE_USER_SS & 0xFC)},
    {"MOV to SS takes a null selector in ring 0", CODE("\x8E\xD3") /* mov ss, ebx */, .rbx = 0,
     .check = check_null_stack_segment},
    {"MOV to SS refuses a null selector in ring 3", CODE("\x8E\xD3") /* mov ss, ebx */, .rbx = 3,
     FROM_RING_3, GP},
    {"MOV to DS refuses kernel data in ring 3", CODE("\x8E\xDB") /* mov ds, ebx */,
     .rbx = BARE_KERNEL_SS | 3, FROM_RING_3, RAISES(VECTOR_GP, BARE_KERNEL_SS)},
    {"MOV to CS is undefined", CODE("\x8E\xCB"), UD},
    {"MOV to segment register 6 is undefined", CODE("\x8E\xF3"), UD},
    {"MOV from CS", CODE("\x8C\xC8") /* mov eax, cs */, .rax = UINT64_MAX, GIVES(BARE_KERNEL_CS)},
    {"PUSH and POP of FS", CODE("\x8E\xE3\x0F\xA0\x58") /* mov fs, ebx; push fs; pop rax */,
     .rbx = BARE_USER_SS, GIVES(BARE_USER_SS)},
    {"POP of GS refuses a bad selector", CODE("\x53\x0F\xA9") /* push rbx; pop gs */, .rbx = 0x1000,
     RAISES_AT(1, VECTOR_GP, 0x1000)},
    {"LSS loads SS and a register", CODE("\x0F\xB2\x19") /* lss ebx, [rcx] */, .rcx = BARE_DATA,
     .prepare = with_far_pointer, .check = check_stack_segment},
    {"LFS with a register is undefined", CODE("\x0F\xB4\xC3"), UD},
    {"a far CALL pushes CS and RIP", CODE("\x48\xFF\x1B"), .rbx = BARE_DATA,
     .prepare = with_code_pointer, .check = check_far_call},
    {"a far JMP loads CS and RIP", CODE("\x48\xFF\x2B"), .rbx = BARE_DATA,
     .prepare = with_code_pointer, .check = check_far_jump},
    {"a far RET goes back",
     CODE("\x6A\x08\x48\x8D\x05\x09\x00\x00\x00\x50\x48\xCB\xB8\x01\x00\x00\x00\x90\xB8\x05\x00\x00"
          "\x00") /* push 8; lea rax, [rip + 9]; push rax; .byte 0x48, 0xCB; mov eax, 1; nop; mov
                     eax, 5 */
     ,
     GIVES(5)},
    {"a far RET refuses an inner level",
     CODE("\x6A\x08\x50\x48\xCB") /* push 8; push rax; .byte 0x48, 0xCB */, FROM_RING_3,
     RAISES_AT(3, VECTOR_GP, BARE_KERNEL_CS)},
    {"RDFSBASE is undefined without FSGSBASE", CODE("\xF3\x48\x0F\xAE\xC0") /* rdfsbase rax */, UD},
    {"RDFSBASE gives the base", CODE("\xF3\x48\x0F\xAE\xC0") /* rdfsbase rax */,
     .prepare = with_fsgsbase_and_bases, GIVES(0x1111)},
    {"RDGSBASE of 32 bits", CODE("\xF3\x0F\xAE\xC8") /* rdgsbase eax */, .rax = UINT64_MAX,
     .prepare = with_fsgsbase_and_bases, GIVES(0x2222)},
    {"WRFSBASE sets the base in ring 3",
     CODE("\xF3\x48\x0F\xAE\xD3\xCD\x81") /* wrfsbase rbx; int 0x81 */,
     .rbx = UINT64_C(0xFFFF800000000000), FROM_RING_3, .prepare = with_fsgsbase, CALLED,
     .check = check_fs_kept_base},
    {"WRGSBASE refuses a non-canonical base", CODE("\xF3\x48\x0F\xAE\xDB") /* wrgsbase rbx */,
     .rbx = UINT64_C(0x800000000000), .prepare = with_fsgsbase, GP},

    // Flags
    {"PUSHFQ hides RF and VM", CODE("\x9C\x58") /* pushfq; pop rax */, GIVES(0x2)},
    {"POPFQ sets IOPL, IF, AC and ID in ring 0",
     CODE("\x53\x9D\x9C\x58\xFA") /* push rbx; popfq; pushfq; pop rax; cli */, .rbx = 0x243202,
     GIVES(0x243202)},
    {"POPFQ in ring 3 keeps IOPL and IF",
     CODE("\x68\x01\x32\x00\x00\x9D\xCD\x81") /* push 0x3201; popfq; int 0x81 */, FROM_RING_3,
     CALLED, .check = check_iopl_kept},
    {"POPFW changes the low half",
     CODE("\x53\x66\x9D\x9C\x58") /* push rbx; popfw; pushfq; pop rax */, .rbx = UINT64_C(0x40001),
     GIVES(3)},
    {"CLI faults in ring 3", CODE("\xFA") /* cli */, FROM_RING_3, GP},
    {"STI faults in ring 3", CODE("\xFB") /* sti */, FROM_RING_3, GP},
    {"STI works in ring 3 with IOPL 3", CODE("\xFB\xFA\xCD\x81") /* sti; cli; int 0x81 */,
     FROM_RING_3, .prepare = with_iopl3, CALLED},
    {"STI sets IF", CODE("\xFB\x90") /* sti; nop */, .check = check_shadow},
    {"HLT faults in ring 3", CODE("\xF4") /* hlt */, FROM_RING_3, GP},
    {"STAC and CLAC", CODE("\x0F\x01\xCB\x9C\x58\x0F\x01\xCA") /* stac; pushfq; pop rax; clac */,
     GIVES(0x40002)},
    {"STAC is undefined in ring 3", CODE("\x0F\x01\xCB") /* stac */, FROM_RING_3, UD},

    // Extended state
    {"XGETBV is undefined without OSXSAVE", CODE("\x0F\x01\xD0") /* xgetbv */, UD},
    {"XGETBV gives XCR0", CODE("\x0F\x01\xD0") /* xgetbv */, .prepare = with_osxsave, GIVES(1)},
    {"XGETBV refuses another register", CODE("\x0F\x01\xD0") /* xgetbv */, .rcx = 2,
     .prepare = with_osxsave, GP},
    {"XSETBV sets XCR0",
     CODE("\x0F\x01\xD1\x31\xC0\x0F\x01\xD0") /* xsetbv; xor eax, eax; xgetbv */, .rax = 7,
     .prepare = with_osxsave, GIVES(7)},
    {"XSETBV refuses AVX without SSE", CODE("\x0F\x01\xD1") /* xsetbv */, .rax = 5,
     .prepare = with_osxsave, GP},
    {"XSETBV refuses to clear x87", CODE("\x0F\x01\xD1") /* xsetbv */, .rax = 2,
     .prepare = with_osxsave, GP},
    {"XSETBV faults in ring 3", CODE("\x0F\x01\xD1") /* xsetbv */, .rax = 3, FROM_RING_3,
     .prepare = with_osxsave, GP},
    {"RDPKRU is undefined without PKE", CODE("\x0F\x01\xEE") /* rdpkru */, UD},
    {"WRPKRU and RDPKRU",
     CODE("\x0F\x01\xEF\x31\xC0\x0F\x01\xEE") /* wrpkru; xor eax, eax; rdpkru */, .rax = 0x55555550,
     .prepare = with_pke, GIVES(0x55555550)},
    {"WRPKRU refuses RDX", CODE("\x0F\x01\xEF") /* wrpkru */, .rdx = 1, .prepare = with_pke, GP},
    {"FADD raises #NM with TS", CODE("\xD8\xC0") /* fadd st, st(0) */, .prepare = with_ts,
     RAISES(VECTOR_NM, 0)},
    {"FADD raises #NM with EM", CODE("\xD8\xC0") /* fadd st, st(0) */, .prepare = with_em,
     RAISES(VECTOR_NM, 0)},
    {"SSE is undefined with EM", CODE("\x0F\x58\xC1") /* addps xmm0, xmm1 */, .prepare = with_em,
     UD},
    {"SSE raises #NM with TS", CODE("\x0F\x58\xC1") /* addps xmm0, xmm1 */, .prepare = with_ts,
     RAISES(VECTOR_NM, 0)},
    {"SSE is undefined without OSFXSR", CODE("\x0F\x58\xC1") /* addps xmm0, xmm1 */,
     .prepare = without_osfxsr, UD},
    {"MMX does not need OSFXSR", CODE("\x0F\xFC\xC1") /* paddb mm0, mm1 */,
     .prepare = without_osfxsr},
    {"LFENCE runs with EM and TS", CODE("\x0F\xAE\xE8") /* lfence */, .prepare = with_em},
    {"VEX is undefined without AVX", CODE("\xC5\xF4\x58\xC2") /* vaddps ymm0, ymm1, ymm2 */, UD},
    {"MASKMOVDQU writes the selected bytes", CODE("\x66\x0F\xF7\xCA") /* maskmovdqu xmm1, xmm2 */,
     .rdi = BARE_DATA, .prepare = with_mask, .check = check_masked_store},
    {"MASKMOVDQU into a read-only page faults",
     CODE("\x66\x0F\xF7\xCA") /* maskmovdqu xmm1, xmm2 */, .rdi = BARE_READ_ONLY,
     .prepare = with_mask, RAISES(VECTOR_PF, 3)},

    // Ports
    {"IN reads a port", CODE("\xE4\x71") /* in al, 0x71 */, .rax = UINT64_C(0xFFFFFFFFFFFFFF00),
     .prepare = with_ports, GIVES(UINT64_C(0xFFFFFFFFFFFFFFAB))},
    {"IN of 4 bytes clears the upper half", CODE("\xED") /* in eax, dx */, .rax = UINT64_MAX,
     .rdx = 0x60, GIVES(0xFFFFFFFF)},
    {"OUT writes a port", CODE("\xE6\x80") /* out 0x80, al */, .rax = 0xFF5A,
     .check = check_port_80},
    {"IN faults in ring 3 without a map", CODE("\xE4\x71") /* in al, 0x71 */, FROM_RING_3, GP},
    {"IN is allowed by IOPL", CODE("\xE4\x71\xCD\x81") /* in al, 0x71; int 0x81 */, FROM_RING_3,
     .prepare = with_iopl3, CALLED},
    {"IN is allowed by the map", CODE("\xE4\x71\xCD\x81") /* in al, 0x71; int 0x81 */, FROM_RING_3,
     .prepare = with_io_map, CALLED},
    {"IN is refused by the map", CODE("\xE4\x72") /* in al, 0x72 */, FROM_RING_3,
     .prepare = with_io_map, GP},
    {"IN of two bytes is refused when one is", CODE("\x66\xE5\x71") /* in ax, 0x71 */, FROM_RING_3,
     .prepare = with_io_map, GP},
    {"REP INSB fills memory", CODE("\xF3\x6C") /* rep insb */, .rcx = 3, .rdx = 0x71,
     .rdi = BARE_DATA, .prepare = with_ports, .check = check_string_in},
    {"REP INSB of nothing does nothing",
     CODE("\xF3\x6C\xB8\x06\x00\x00\x00") /* rep insb; mov eax, 6 */, .rdx = 0x71, .rdi = BARE_HOLE,
     GIVES(6)},
    {"INSB into a hole is a page fault", CODE("\x6C") /* insb */, .rdx = 0x71, .rdi = BARE_HOLE,
     RAISES(VECTOR_PF, 2)},
    {"REP OUTSB empties memory", CODE("\xF3\x6E") /* rep outsb */, .rcx = 3, .rdx = 0x80,
     .rsi = BARE_DATA, .prepare = with_string, .check = check_string_out},

    // Interrupts by software
    {"INT3 is a trap", CODE("\xCC") /* int3 */, RAISES(VECTOR_BP, 0), .fault_at = 1},
    {"INT n is a trap", CODE("\xCD\x30") /* int 0x30 */, RAISES(0x30, 0), .fault_at = 2},
    {"INT n refuses a gate of ring 0 in ring 3", CODE("\xCD\x30") /* int 0x30 */, FROM_RING_3,
     RAISES(VECTOR_GP, 0x30 * 8 + 2)},
    {"INT n through an absent gate is #NP", CODE("\xCD\x84") /* int 0x84 */,
     RAISES(VECTOR_NP, 0x84 * 8 + 2)},
    {"INT1 does not look at the gate's level", CODE("\xF1"), FROM_RING_3, RAISES(VECTOR_DB, 0),
     .fault_at = 1},
    {"INTO is undefined", CODE("\xCE"), UD},
    {"UD2 is undefined", CODE("\x0F\x0B") /* ud2 */, UD},

    // System calls
    {"SYSCALL is undefined without SCE", CODE("\x0F\x05") /* syscall */, .prepare = without_sce,
     UD},
    {"SYSRET is undefined without SCE", CODE("\x48\x0F\x07"), .prepare = without_sce, UD},
    {"SYSRET faults in ring 3", CODE("\x48\x0F\x07"), FROM_RING_3, GP},
    {"SYSRET refuses a non-canonical RCX", CODE("\x48\x0F\x07"), .rcx = UINT64_C(0x800000000000),
     GP},
    {"SYSENTER faults with a null SYSENTER_CS", CODE("\x0F\x34") /* sysenter */, FROM_RING_3, GP},
    {"SYSEXIT faults with a null SYSENTER_CS", CODE("\x0F\x35"), GP},
    {"IRETQ faults with NT",
     CODE("\x68\x02\x40\x00\x00\x9D\x48\xCF") /* push 0x4002; popfq; iretq */,
     RAISES_AT(6, VECTOR_GP, 0)},

    // VMX and others
    {"VMCALL is undefined", CODE("\x0F\x01\xC1") /* vmcall */, UD},
    {"VMXOFF is undefined", CODE("\x0F\x01\xC4"), UD},
    {"VMPTRLD is undefined", CODE("\x0F\xC7\x33") /* vmptrld [rbx] */, .rbx = BARE_DATA, UD},
    {"VMREAD is undefined", CODE("\x0F\x78\xD8") /* vmread rax, rbx */, UD},
    {"INVEPT is undefined", CODE("\x66\x0F\x38\x80\x03") /* invept rax, [rbx] */, .rbx = BARE_DATA,
     UD},
    {"RSM is undefined", CODE("\x0F\xAA") /* rsm */, UD},
    {"MONITOR and MWAIT", CODE("\x0F\x01\xC8\x0F\x01\xC9") /* monitor; mwait */, .rcx = 0},
    {"MWAIT is undefined in ring 3", CODE("\x0F\x01\xC9") /* mwait */, FROM_RING_3, UD},
    {"PAUSE does nothing", CODE("\xF3\x90\xB8\x03\x00\x00\x00") /* pause; mov eax, 3 */, GIVES(3)},
    {"POPCNT counts", CODE("\xF3\x48\x0F\xB8\xC3") /* popcnt rax, rbx */,
     .rbx = UINT64_C(0xFF00000000000001), GIVES(9)},
    {"TZCNT of 0 is the width", CODE("\xF3\x0F\xBC\xC3") /* tzcnt eax, ebx */, GIVES(32)},
    {"TZCNT counts", CODE("\xF3\x48\x0F\xBC\xC3") /* tzcnt rax, rbx */, .rbx = UINT64_C(1) << 40,
     GIVES(40)},
    {"LZCNT of 16 bits", CODE("\x66\xF3\x0F\xBD\xC3") /* lzcnt ax, bx */, .rbx = 0x10, GIVES(11)},
    {"BSF is not TZCNT", CODE("\x48\x0F\xBC\xC3") /* bsf rax, rbx */, .rbx = 8, GIVES(3)},
    {"RDRAND sets CF", CODE("\x48\x0F\xC7\xF3\x0F\x92\xC0") /* rdrand rbx; setc al */, GIVES(1)},
    {"RDPID gives TSC_AUX", CODE("\xF3\x0F\xC7\xF8"), GIVES(0)},
    {"CMPXCHG8B is Unicorn's", CODE("\x0F\xC7\x0F") /* cmpxchg8b [rdi] */, .rdi = BARE_DATA + 0x800,
     GIVES(0)},

    // Encodings on which Unicorn's translator aborts
    {"FF /3 with a register", CODE("\xFF\xD8"), UD},
    {"FF /5 with a register", CODE("\xFF\xE8"), UD},
    {"FF /3 with prefixes", CODE("\x66\x2E\x48\xFF\xDF"), UD},
    {"LOCK CMPSB", CODE("\xF0\xA6"), UD},
    {"LOCK CMPSD with REP", CODE("\xF3\xF0\xA7"), UD},
    {"LOCK CMP of memory", CODE("\xF0\x38\x03"), .rbx = BARE_DATA, UD},
    {"LOCK CMP with REX", CODE("\xF0\x48\x39\x03"), .rbx = BARE_DATA, UD},
    {"LOCK CMP with an immediate", CODE("\xF0\x83\x3B\x00"), .rbx = BARE_DATA, UD},
    {"LOCK CMP of a register with an immediate", CODE("\xF0\x81\xF8\x00\x00\x00\x00"), UD},
    {"LOCK BT", CODE("\xF0\x0F\xA3\xC3"), UD},
    {"LOCK BTS of a register", CODE("\xF0\x0F\xAB\xC3"), UD},
    {"LOCK BTC of a register", CODE("\xF0\x0F\xBA\xF8\x01"), UD},
    {"LOCK BT with an immediate", CODE("\xF0\x0F\xBA\xE0\x01"), UD},
    {"LOCK MOV", CODE("\xF0\x89\xC3"), UD},
    {"LOCK SHL of memory", CODE("\xF0\xD1\x23"), .rbx = BARE_DATA, UD},
    {"LOCK CLI", CODE("\xF0\xFA"), UD},
    {"LOCK ADD of memory",
     CODE("\xF0\x01\x03\xB8\x04\x00\x00\x00") /* lock add dword ptr [rbx], eax; mov eax, 4 */,
     .rbx = BARE_DATA, GIVES(4)},
    {"15 bytes are allowed", CODE("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"),
     .rax = 0},
    {"16 bytes are too many",
     CODE("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"), GP},
    {"16 bytes of a sensitive instruction are too many",
     CODE("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\xFA"), GP},
};

static void load_registers(struct machine *machine, const struct insn_case *row)
{
    uint64_t *gpr = cpu_of(machine)->vmx.gpr;
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

static void expect_exception(struct machine *machine, const struct insn_case *row, uint64_t begin)
{
    unsigned i = 0;
    assert_int_equal(bare_vector(cpu_of(machine)), row->vector);
    if (has_error_code(row->vector)) {
        assert_int_equal(bare_frame(machine, 0, i++), row->error);
    }
    bool called = row->vector == BARE_USER_VECTOR;
    uint64_t at = called ? row->code.len : row->fault_at;
    assert_int_equal(bare_frame(machine, 0, i++), begin + at);
    assert_int_equal(bare_frame(machine, 0, i), row->ring3 ? BARE_USER_CS : BARE_KERNEL_CS);
}

static void an_instruction_behaves(void **state)
{
    const struct insn_case *row = *state;
    struct machine *machine = bare_new(1);
    uint64_t begin = row->ring3 ? BARE_USER_CODE : BARE_CODE;
    bare_program(machine, begin, row->code.bytes, row->code.len);
    if (row->ring3) {
        bare_enter_ring3(machine);
    }
    load_registers(machine, row);
    if (row->prepare) {
        row->prepare(machine);
    }
    struct run_result result = bare_run(machine, 0, 100);
    assert_int_equal(result.stop, RUN_WAITING);
    assert_string_equal(bare_log, "");
    if (row->raises) {
        expect_exception(machine, row, begin);
    } else {
        assert_int_equal(bare_vector(cpu_of(machine)), BARE_NO_VECTOR);
    }
    if (row->has_result) {
        assert_int_equal(cpu_of(machine)->vmx.gpr[VMX_RAX], row->result);
    }
    if (row->check) {
        row->check(machine);
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
