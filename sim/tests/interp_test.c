// Flags, extended state, ports, interrupts by software, and what Unicorn does not decode as the
// manual says: each instruction as it works and as it faults.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "insn_case.h"

static void with_osxsave(void)
{
    with_cr4(0x40000);
    cpu->vmx.xcr0 = 1;
}

static void with_pke(void)
{
    with_cr4(0x400000);
}

static void with_iopl3(void)
{
    cpu_guest(cpu, RFLAGS) |= 0x3000;
}

static void with_em(void)
{
    cpu_guest(cpu, CR0) |= 0x4;
}

static void without_osfxsr(void)
{
    cpu_guest(cpu, CR4) &= ~UINT64_C(0x200);
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

static void with_ports(void)
{
    machine->ports.cmos[0x10] = 0xAB;
    machine->ports.cmos_index = 0x10;
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

static void with_string(void)
{
    bare_poke(BARE_DATA, 0x332211);
}

static void check_masked_store(void)
{
    assert_int_equal(bare_peek(BARE_DATA), UINT64_C(0x00A600A400A200A0));
    assert_int_equal(bare_peek(BARE_DATA + 8), UINT64_C(0x00AE00AC00AA00A8));
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

static struct insn_case cases[] = {
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

int main(void)
{
    return insn_run_group("other instructions", cases, sizeof(cases) / sizeof(cases[0]));
}
