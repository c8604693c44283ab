// VM exits by instructions: a row per exit, the guest's instruction stepped by a debugger, and the
// VMCS afterwards.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exits.h"
#include "exits_guest.h"

#define FREE (LONG64_KERNEL + LONG64_FREE)

enum { UD = 6, GP = 13 };

struct exit_case {
    const char *name;
    const char *code;
    uint8_t length;
    uint32_t reason; // NONE: no exit but the step's own
    uint64_t qualification;
    uint32_t information;
    uint64_t linear;
    struct change changes[NUM_CHANGES];
    uint64_t rax, rcx, rdx, rbx;
    unsigned raises; // the exception that the guest gets; 0: none
    bool waits;      // the step is not over: the CPU waits for an interrupt
    bool ones;       // the first page of FREE holds ones: a bitmap
};

#define EXITS(name) .reason = VMX_EXIT_##name
#define BITMAPS     CONTROL_BIT(PROCESSOR, 28)

static struct exit_case cases[] = {
    {"CPUID", ASM("\x0F\xA2"), EXITS(CPUID)},
    {"GETSEC with SMXE", ASM("\x0F\x37"), EXITS(GETSEC), WITH({GUEST_CR4, 0x4000}), .raises = UD},
    {"GETSEC without SMXE", ASM("\x0F\x37"), .reason = NONE, .raises = UD},
    {"HLT by its control", ASM("\xF4"), EXITS(HLT), WITH(CONTROL_BIT(PROCESSOR, 7)), .waits = true},
    {"INVD", ASM("\x0F\x08"), EXITS(INVD)},
    {"WBINVD", ASM("\x0F\x09"), .reason = NONE},
    {"WBINVD by its control", ASM("\x0F\x09"), EXITS(WBINVD), WITH(CONTROL_BIT(SECONDARY, 6))},
    {"WBINVD, secondary controls off", ASM("\x0F\x09"), .reason = NONE,
     WITH(CONTROL_BIT(SECONDARY, 6), {PROCESSOR, 0x80000000})},
    {"INVLPG", ASM("\x0F\x01\x3B"), .reason = NONE},
    {"INVLPG by its control", ASM("\x0F\x01\x7B\x08"), EXITS(INVLPG), FREE + 8,
     WITH(CONTROL_BIT(PROCESSOR, 9)), .rbx = FREE},
    {"RDPMC", ASM("\x0F\x33"), .reason = NONE, .rcx = 0x99, .raises = GP},
    {"RDPMC by its control", ASM("\x0F\x33"), EXITS(RDPMC), WITH(CONTROL_BIT(PROCESSOR, 11)),
     .rcx = 0x99, .raises = GP},
    {"RDTSC", ASM("\x0F\x31"), .reason = NONE},
    {"RDTSC by its control", ASM("\x0F\x31"), EXITS(RDTSC), WITH(CONTROL_BIT(PROCESSOR, 12))},
    {"RDTSCP by its control", ASM("\x0F\x01\xF9"), EXITS(RDTSCP), WITH(CONTROL_BIT(PROCESSOR, 12))},

    {"VMCALL", ASM("\x0F\x01\xC1"), EXITS(VMCALL), .raises = UD},
    {"VMLAUNCH", ASM("\x0F\x01\xC2"), EXITS(VMLAUNCH), .raises = UD},
    {"VMRESUME", ASM("\x0F\x01\xC3"), EXITS(VMRESUME), .raises = UD},
    {"VMXOFF", ASM("\x0F\x01\xC4"), EXITS(VMXOFF), .raises = UD},
    {"VMCALL with 66", ASM("\x66\x0F\x01\xC1"), .reason = NONE, .raises = UD},
    {"VMPTRLD [rbx+8]", ASM("\x0F\xC7\x73\x08"), EXITS(VMPTRLD), 8, 0x61C18100, .raises = UD},
    {"VMPTRST [rip+0x10]", ASM("\x0F\xC7\x3D\x10\0\0\0"), EXITS(VMPTRST), LONG64_ENTRY + 7 + 0x10,
     0x78418100, .raises = UD},
    {"VMCLEAR [r12+r9*4-1]", ASM("\x66\x43\x0F\xC7\x74\x8C\xFF"), EXITS(VMCLEAR), UINT64_MAX,
     0x66258102, .raises = UD},
    {"VMXON fs:[rbx]", ASM("\x64\xF3\x0F\xC7\x33"), EXITS(VMXON), 0, 0x61C20100, .raises = UD},
    {"VMXON [ebx]", ASM("\x67\xF3\x0F\xC7\x33"), EXITS(VMXON), 0, 0x61C18080, .raises = UD},
    {"VMXON [rsp]", ASM("\xF3\x0F\xC7\x34\x24"), EXITS(VMXON), 0, 0x62410100, .raises = UD},
    {"0F C7 /6 with F2", ASM("\xF2\x0F\xC7\x33"), .reason = NONE, .raises = UD},
    {"0F C7 /7 with 66", ASM("\x66\x0F\xC7\x3B"), .reason = NONE, .raises = UD},
    {"VMREAD rcx, rdx", ASM("\x0F\x78\xD1"), EXITS(VMREAD), 0, 0x20000408, .raises = UD},
    {"VMWRITE rdx, [rbx]", ASM("\x0F\x79\x13"), EXITS(VMWRITE), 0, 0x21C18100, .raises = UD},
    {"0F 78 with 66", ASM("\x66\x0F\x78\xD1"), .reason = NONE, .raises = UD},
    {"INVEPT rcx, [rbx]", ASM("\x66\x0F\x38\x80\x0B"), EXITS(INVEPT), 0, 0x11C18100, .raises = UD},
    {"INVVPID r9, [rbx]", ASM("\x66\x44\x0F\x38\x81\x0B"), EXITS(INVVPID), 0, 0x91C18100,
     .raises = UD},
    {"INVEPT of a register", ASM("\x66\x0F\x38\x80\xCB"), .reason = NONE, .raises = UD},
    {"INVEPT without 66", ASM("\x0F\x38\x80\x0B"), .reason = NONE, .raises = UD},
    {"INVPCID by its control", ASM("\x66\x0F\x38\x82\x0B"), EXITS(INVPCID), 0, 0x11C18100,
     WITH(CONTROL_BIT(PROCESSOR, 9)), .rbx = FREE, .rcx = 2},
    {"VMFUNC", ASM("\x0F\x01\xD4"), .reason = NONE, .raises = UD},
    {"VMFUNC by its control", ASM("\x0F\x01\xD4"), EXITS(VMFUNC), WITH(CONTROL_BIT(SECONDARY, 13)),
     .raises = UD},

    {"MOV to CR0 as its shadow is", ASM("\x0F\x22\xC0"), .reason = NONE, .rax = LONG64_CR0},
    {"MOV to CR0 of another NE", ASM("\x0F\x22\xC3"), EXITS(CONTROL_REGISTER), 0x300,
     .rbx = LONG64_CR0 & ~UINT64_C(0x20)},
    {"MOV to CR0 of a bit of the mask", ASM("\x41\x0F\x22\xC4"), EXITS(CONTROL_REGISTER), 0xC00,
     WITH({CR0_MASK, 0x40000}, {CR0_SHADOW, 0x40000}), .raises = GP},
    {"MOV to CR4 of another VMXE", ASM("\x0F\x22\xE0"), EXITS(CONTROL_REGISTER), 0x4,
     .rax = LONG64_CR4 & ~UINT64_C(0x2000)},
    {"MOV to CR4 as its shadow is", ASM("\x0F\x22\xE0"), .reason = NONE, .rax = LONG64_CR4},
    {"MOV from CR0", ASM("\x0F\x20\xC0"), .reason = NONE},
    {"MOV to CR3", ASM("\x0F\x22\xD8"), .reason = NONE, .rax = LONG64_CR3},
    {"MOV to CR3 by its control", ASM("\x0F\x22\xD8"), EXITS(CONTROL_REGISTER), 0x3,
     WITH(CONTROL_BIT(PROCESSOR, 15)), .rax = LONG64_CR3},
    {"MOV to CR3 of a target", ASM("\x0F\x22\xD8"), .reason = NONE,
     WITH(CONTROL_BIT(PROCESSOR, 15), {CR3_COUNT, 1}, {CR3_TARGET_0, LONG64_CR3}),
     .rax = LONG64_CR3},
    {"MOV from CR3 by its control", ASM("\x0F\x20\xDA"), EXITS(CONTROL_REGISTER), 0x213,
     WITH(CONTROL_BIT(PROCESSOR, 16))},
    {"MOV to CR8 by its control", ASM("\x44\x0F\x22\xC0"), EXITS(CONTROL_REGISTER), 0x8,
     WITH(CONTROL_BIT(PROCESSOR, 19))},
    {"MOV from CR8 by its control", ASM("\x44\x0F\x20\xC1"), EXITS(CONTROL_REGISTER), 0x118,
     WITH(CONTROL_BIT(PROCESSOR, 20))},
    {"CLTS by mask and shadow", ASM("\x0F\x06"), EXITS(CONTROL_REGISTER), 0x20,
     WITH({CR0_MASK, 8}, {CR0_SHADOW, 8})},
    {"LMSW of a register", ASM("\x0F\x01\xF0"), EXITS(CONTROL_REGISTER), 0x1270030,
     WITH({CR0_MASK, 4}), .rax = 0x127},
    {"LMSW of memory", ASM("\x0F\x01\x33"), EXITS(CONTROL_REGISTER), 0xFFFF0070, .linear = FREE,
     WITH({CR0_MASK, 4}), .rbx = FREE, .ones = true},
    {"MOV to DR7", ASM("\x0F\x23\xF8"), .reason = NONE, .rax = 0x400},
    {"MOV to DR7 by its control", ASM("\x0F\x23\xF9"), EXITS(MOV_DR), 0x107,
     WITH(CONTROL_BIT(PROCESSOR, 23)), .rcx = 0x400},
    {"MOV from DR0 by its control", ASM("\x41\x0F\x21\xC1"), EXITS(MOV_DR), 0x910,
     WITH(CONTROL_BIT(PROCESSOR, 23))},

    {"IN", ASM("\xEC"), .reason = NONE, .rdx = 0x70},
    {"IN al, dx by its control", ASM("\xEC"), EXITS(IO), 0x700008, WITH(CONTROL_BIT(PROCESSOR, 24)),
     .rdx = 0x70},
    {"OUT 0x80, eax by its control", ASM("\xE7\x80"), EXITS(IO), 0x800043,
     WITH(CONTROL_BIT(PROCESSOR, 24))},
    {"REP OUTSB by its control", ASM("\xF3\x6E"), EXITS(IO), 0x800030, 0x18100, .linear = FREE,
     WITH(CONTROL_BIT(PROCESSOR, 24)), .rdx = 0x80, .rcx = 1},
    {"INSW by its control", ASM("\x66\x6D"), EXITS(IO), 0x800019, 0x100, .linear = FREE + 0x800,
     WITH(CONTROL_BIT(PROCESSOR, 24)), .rdx = 0x80},
    {"IN, bitmap of zeros", ASM("\xEC"), .reason = NONE,
     WITH(CONTROL_BIT(PROCESSOR, 24), CONTROL_BIT(PROCESSOR, 25)), .rdx = 0x70},
    {"IN, bitmap of ones", ASM("\xEC"), EXITS(IO), 0x700008,
     WITH(CONTROL_BIT(PROCESSOR, 25), {IO_BITMAP_A, LONG64_FREE}), .rdx = 0x70, .ones = true},
    {"IN of two bytes into the second bitmap", ASM("\x66\xED"), EXITS(IO), 0x7FFF0009,
     WITH(CONTROL_BIT(PROCESSOR, 25), {IO_BITMAP_B, LONG64_FREE}), .rdx = 0x7FFF, .ones = true},
    {"IN around the end of the ports", ASM("\x66\xED"), EXITS(IO), 0xFFFF0009,
     WITH(CONTROL_BIT(PROCESSOR, 25)), .rdx = 0xFFFF},

    {"RDMSR without bitmaps", ASM("\x0F\x32"), EXITS(RDMSR), .rcx = 0x277},
    {"WRMSR without bitmaps", ASM("\x0F\x30"), EXITS(WRMSR), .rcx = 0x174},
    {"RDMSR, bitmap of zeros", ASM("\x0F\x32"), .reason = NONE, WITH(BITMAPS), .rcx = 0x277},
    {"WRMSR, bitmap of zeros", ASM("\x0F\x30"), .reason = NONE, WITH(BITMAPS), .rcx = 0x174},
    {"RDMSR beyond the bitmaps", ASM("\x0F\x32"), EXITS(RDMSR), .rcx = 0x40000000, .raises = GP},
    {"WRMSR beyond the bitmaps", ASM("\x0F\x30"), EXITS(WRMSR), WITH(BITMAPS), .rcx = 0x2000,
     .raises = GP},
    {"RDMSR, bitmap of ones", ASM("\x0F\x32"), EXITS(RDMSR),
     WITH(BITMAPS, {MSR_BITMAPS, LONG64_FREE}), .rcx = 0x277, .ones = true},
    {"RDMSR of the high range", ASM("\x0F\x32"), EXITS(RDMSR),
     WITH(BITMAPS, {MSR_BITMAPS, LONG64_FREE}), .rcx = 0xC0001FFF, .raises = GP, .ones = true},
    {"WRMSR, bitmap of ones", ASM("\x0F\x30"), EXITS(WRMSR),
     WITH(BITMAPS, {MSR_BITMAPS, LONG64_FREE}), .rcx = 0x174, .ones = true},
    {"MONITOR by its control", ASM("\x0F\x01\xC8"), EXITS(MONITOR),
     WITH(CONTROL_BIT(PROCESSOR, 29)), .rax = FREE},
    {"MWAIT by its control", ASM("\x0F\x01\xC9"), EXITS(MWAIT), WITH(CONTROL_BIT(PROCESSOR, 10))},
    {"SGDT by its control", ASM("\x0F\x01\x03"), EXITS(GDTR_OR_IDTR), 0, 0x01C18100,
     WITH(CONTROL_BIT(SECONDARY, 2)), .rbx = FREE},
    {"SIDT by its control", ASM("\x0F\x01\x0B"), EXITS(GDTR_OR_IDTR), 0, 0x11C18100,
     WITH(CONTROL_BIT(SECONDARY, 2)), .rbx = FREE},
    {"LLDT by its control", ASM("\x0F\x00\xD0"), EXITS(LDTR_OR_TR), 0, 0x20000400,
     WITH(CONTROL_BIT(SECONDARY, 2))},
    {"STR by its control", ASM("\x0F\x00\xC9"), EXITS(LDTR_OR_TR), 0, 0x10000408,
     WITH(CONTROL_BIT(SECONDARY, 2))},
    {"XSETBV", ASM("\x0F\x01\xD1"), EXITS(XSETBV), WITH({GUEST_CR4, 0x40000}), .rax = 1},
    {"XSETBV without OSXSAVE", ASM("\x0F\x01\xD1"), .reason = NONE, .rax = 1, .raises = UD},
    {"RDRAND by its control", ASM("\x48\x0F\xC7\xF1"), EXITS(RDRAND), 0, 0x1008,
     WITH(CONTROL_BIT(SECONDARY, 11))},
    {"RDSEED by its control", ASM("\x66\x0F\xC7\xFB"), EXITS(RDSEED), 0, 0x18,
     WITH(CONTROL_BIT(SECONDARY, 16))},
};

static void fill_free_page(void)
{
    for (uint64_t at = 0; at < 4096; at += 8) {
        pulsim_poke(guest_rig.pulsim, LONG64_FREE + at, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8);
    }
}

static void prepare(const struct exit_case *row)
{
    guest_place(row->code, row->length);
    if (row->ones) {
        fill_free_page();
    }
    guest_change(row->changes);
    guest_set_register("rax", row->rax);
    guest_set_register("rcx", row->rcx);
    guest_set_register("rdx", row->rdx);
    guest_set_register("rbx", row->rbx);
    guest_set_register("rsi", FREE);
    guest_set_register("rdi", FREE + 0x800);
}

static void an_exit(void **state)
{
    const struct exit_case *row = *state;
    prepare(row);
    if (row->waits) {
        struct packet request = rig_plain(PACKET_STEP);
        rig_ask(&guest_rig, &request);
        assert_false(guest_rig.has_reply);
    } else {
        guest_step();
    }
    if (row->raises != 0) {
        assert_int_equal(guest_register("rip"), LONG64_VECTORS + UINT64_C(16) * row->raises);
    } else {
        assert_int_equal(guest_register("rip"), LONG64_ENTRY + row->length);
    }
    assert_int_equal(guest_field(REASON),
                     row->reason == NONE ? VMX_EXIT_MONITOR_TRAP_FLAG : row->reason);
    if (row->reason == NONE) {
        return;
    }
    assert_int_equal(guest_field(QUALIFICATION), row->qualification);
    assert_int_equal(guest_field(LENGTH), row->length);
    assert_int_equal(guest_field(INFORMATION), row->information);
    assert_int_equal(guest_field(LINEAR), row->linear);
    assert_int_equal(guest_field(INTERRUPTION), 0);
}

int main(void)
{
    enum { NUM_CASES = sizeof(cases) / sizeof(cases[0]) };
    struct CMUnitTest tests[NUM_CASES];
    for (size_t i = 0; i < NUM_CASES; i++) {
        tests[i] = (struct CMUnitTest){cases[i].name, an_exit, guest_open, guest_close, &cases[i]};
    }
    return cmocka_run_group_tests_name("instructions", tests, NULL, NULL);
}
