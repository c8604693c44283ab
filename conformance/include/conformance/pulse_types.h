#ifndef CONFORMANCE_PULSE_TYPES_H
#define CONFORMANCE_PULSE_TYPES_H

// Structures, enumerations and masks of the documented API.

#include <stdint.h>

// NOLINTBEGIN(readability-identifier-naming, bugprone-macro-parentheses): the documented names, as
// rows of tables

typedef enum ps_transport_type {
    pttInvalid = 0,
    pttSerial = 1, // a terminal, for example a pty: its path
    pttNet = 6,    // UDP: HOST[:PORT]
    pttPipe = 9,   // a Unix stream socket: its path
    pttLocal = 10, // inside the same machine; not offered here
    pttTcp = 32,   // ours: HOST[:PORT]
} PS_TRANSPORT_TYPE;

typedef enum ps_cpu_mode {
    cmReal = 0,
    cmSmm = 1,
    cmV86 = 2,
    cmProt32 = 3,
    cmProt16 = 4,
    cmLong64 = 5,
    cmLong32 = 6,
    cmLong16 = 7,
} PS_CPU_MODE;

typedef enum ps_page_walk_mode {
    pwmNone = 0,
    pwm32 = 1,
    pwmPae = 2,
    pwmLvl4 = 3,
    pwmLvl5 = 4, // ours
} PS_PAGE_WALK_MODE;

typedef enum ps_event_code {
    psevInitial = 0,
    psevNone = 1,
    psevBreakIn = 2,
    psevStep = 3,
    psevBreakPoint = 4,
    psevCpuSwitch = 5,
    psevRunning = 6,
    psevMax = 6,
} PS_EVENT_CODE;

// The processor's memory-type encoding (the names are ours).
typedef enum ps_cache_type {
    pctUncacheable = 0,
    pctWriteCombining = 1,
    pctWriteThrough = 4,
    pctWriteProtected = 5,
    pctWriteBack = 6,
    pctUncached = 7, // UC-
} PS_CACHE_TYPE;

// The documentation says 3, the 2018 header 4; here it is 5, so that 5-level paging fits.
#define PS_MAX_PAGE_TABLE_ENTRIES 5

// How many entries a caller of PsGetBreakPointInfo or PsGetBreakPointFilterInfo has room for: the
// calls have no parameter for it, so it is the largest number that there can be.
#define PS_MAX_BREAK_POINTS        1024
#define PS_MAX_BREAK_POINT_FILTERS 1024

#define PS_FILTER_FLAG_MATCH_PAGE_TABLE     0x0001
#define PS_FILTER_FLAG_MATCH_LINEAR_ADDRESS 0x0002
#define PS_FILTER_FLAG_MATCH_FS_BASE        0x0004
#define PS_FILTER_FLAG_MATCH_GS_BASE        0x0008
#define PS_FILTER_FLAG_MATCH_SELECTOR       0x0010

// Bits of a context mask, for any register of PS_CTX and PS_CTX_EXT under its field name, for
// example DBG_CTX_PART_FLAG(cr3). DR6 and DR7 share bit 63.
#define DBG_CTX_PART_FLAG(reg)    (UINT64_C(1) << PS_CTX_BIT_##reg)
#define DBG_CTX_EX_PART_FLAG(reg) (UINT64_C(1) << PS_CTX_EXT_BIT_##reg)

#define DBG_CTX_PART_FLAG_GPR   UINT64_C(0x000000000007FFFD)
#define DBG_CTX_PART_FLAG_CTRL  UINT64_C(0x0000780000000002)
#define DBG_CTX_PART_FLAG_SEG   UINT64_C(0x000007FFFFF80000)
#define DBG_CTX_PART_FLAG_DESC  UINT64_C(0x07FF800000000000)
#define DBG_CTX_PART_FLAG_DEBUG UINT64_C(0xF800000000000000)
#define DBG_CTX_PART_FLAG_FULL  UINT64_C(0xFFFFFFFFFFFFFFFF)

enum ps_ctx_bit {
#define CONTEXT_REGISTER(bit, name, size) PS_CTX_BIT_##name = (bit),
#include "protocol/registers.def"
};

enum ps_ctx_ext_bit {
#define EXTENDED_REGISTER(bit, name, size) PS_CTX_EXT_BIT_##name = (bit),
#include "protocol/registers.def"
};

// A register as a field, by its size: a number, or bytes where no number is wide enough.
#define PS_REGISTER_2(name)  uint16_t name;
#define PS_REGISTER_4(name)  uint32_t name;
#define PS_REGISTER_8(name)  uint64_t name;
#define PS_REGISTER_10(name) uint8_t name[10];
#define PS_REGISTER_16(name) uint8_t name[16];
#define PS_REGISTER_32(name) uint8_t name[32];

// rip, cr3, rsp, ... in the order of protocol/registers.def
typedef struct ps_ctx {
#define CONTEXT_REGISTER(bit, name, size) PS_REGISTER_##size(name)
#include "protocol/registers.def"
} PS_CTX, *PPS_CTX;

// xcr0, fpu_ctrl, ..., st0 to st7, mm0 to mm7, mxcsr, mxcsr_mask, xmm0 to xmm15, ymm0 to ymm15
typedef struct ps_ctx_ext {
#define EXTENDED_REGISTER(bit, name, size) PS_REGISTER_##size(name)
#include "protocol/registers.def"
} PS_CTX_EXT, *PPS_CTX_EXT;

// PS_STATE_INFO, PS_PAGE_WALK_INFO, ...; each with its pointer type PPS_...
#define STRUCT(tag, name)                     typedef struct tag {
#define FIELD(structure, type, name)          type name;
#define NUMBERS(structure, type, name, count) type name[count];
#define END_STRUCT(tag, name)                                                                      \
    }                                                                                              \
    name, *P##name;
#include "conformance/pulse_structs.def"

// NOLINTEND(readability-identifier-naming, bugprone-macro-parentheses)

#endif
