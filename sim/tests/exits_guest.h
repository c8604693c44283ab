#ifndef SIM_TESTS_EXITS_GUEST_H
#define SIM_TESTS_EXITS_GUEST_H

// The guest of long64 under a debugger: code at its entry, the fields of CPU 0's VMCS by their
// encodings, and what is changed in them before it goes on.

#include "long64.h"
#include "rig.h"

#define GUEST_CODE_PHYS (LONG64_IMAGE + (LONG64_ENTRY - LONG64_VECTORS))

// Encodings of the fields, as the manual's tables have them.
enum {
    MSR_BITMAPS = 0x2004,
    IO_BITMAP_A = 0x2000,
    IO_BITMAP_B = 0x2002,
    PIN = 0x4000,
    PROCESSOR = 0x4002,
    EXCEPTIONS = 0x4004,
    PF_MASK = 0x4006,
    PF_MATCH = 0x4008,
    CR3_COUNT = 0x400A,
    EXIT_CONTROLS = 0x400C,
    SECONDARY = 0x401E,
    REASON = 0x4402,
    INTERRUPTION = 0x4404,
    INTERRUPTION_CODE = 0x4406,
    LENGTH = 0x440C,
    INFORMATION = 0x440E,
    CR0_MASK = 0x6000,
    CR4_MASK = 0x6002,
    CR0_SHADOW = 0x6004,
    CR4_SHADOW = 0x6006,
    CR3_TARGET_0 = 0x6008,
    QUALIFICATION = 0x6400,
    LINEAR = 0x640A,
    GUEST_CR4 = 0x6804,
};

enum { NONE = 0xFFFF }; // a reason that no exit has

struct change {
    uint32_t encoding; // 0: no change
    uint64_t set;      // ORed into the field; an address replaces it
};

enum { NUM_CHANGES = 3 };

// For rows with the members code, length and changes.
#define ASM(bytes) .code = (bytes), .length = sizeof(bytes) - 1
#define WITH(...)  .changes = {__VA_ARGS__}
#define CONTROL_BIT(field, bit)                                                                    \
    {                                                                                              \
        field, UINT64_C(1) << (bit)                                                                \
    }

extern struct rig guest_rig;

// cmocka's fixture.
int guest_open(void **state);
int guest_close(void **state);

void guest_place(const void *code, size_t len);
void guest_change(const struct change changes[NUM_CHANGES]);
uint64_t guest_field(uint32_t encoding);
uint64_t guest_register(const char *name);
void guest_set_register(const char *name, uint64_t value);
void guest_step(void);

#endif
