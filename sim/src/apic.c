#include "apic.h"

#include <stddef.h>

enum apic_register {
    APIC_ID = 0x802,
    APIC_EOI = 0x80B,
    APIC_LDR = 0x80D,
    APIC_SVR = 0x80F,
    APIC_ISR0 = 0x810,
    APIC_TMR0 = 0x818,
    APIC_IRR0 = 0x820,
    APIC_ESR = 0x828,
    APIC_ICR = 0x830,
    APIC_LVT_TIMER = 0x832,
    APIC_LVT_THERMAL = 0x833,
    APIC_LVT_ERROR = 0x837,
    APIC_INITIAL_COUNT = 0x838,
    APIC_CURRENT_COUNT = 0x839,
    APIC_DIVIDE = 0x83E,
    APIC_SELF_IPI = 0x83F,
};

enum {
    NUM_WORDS = 8, // ISR, TMR and IRR as 32-bit registers
    FIRST_VECTOR = 16,

    SVR_RESET = 0xFF,
    SVR_ENABLED = 0x100,
    SVR_WRITABLE = 0x11FF,

    LVT_VECTOR = 0xFF,
    LVT_READ_ONLY = 0x5000, // delivery status, remote IRR
    LVT_MASKED = 0x10000,
    LVT_PLAIN_WRITABLE = 0x1F7FF, // vector, delivery mode, polarity, trigger mode, mask
    TIMER_WRITABLE = 0x710FF,
    TIMER_MODE = 0x60000,
    TIMER_PERIODIC = 0x20000,
    TIMER_TSC_DEADLINE = 0x40000,

    DIVIDE_WRITABLE = 0xB,
};

// Vector, delivery mode, destination mode, level, trigger mode, shorthand, destination.
#define ICR_WRITABLE UINT64_C(0xFFFFFFFF000CCFFF)

enum icr_shorthand {
    ICR_NO_SHORTHAND,
    ICR_SELF,
    ICR_ALL,
    ICR_OTHERS,
};

#define NOT_ARMED    UINT64_MAX
#define BROADCAST_ID UINT32_MAX

void apic_reset(struct apic *apic, uint32_t id)
{
    *apic = (struct apic){
        .id = id,
        .svr = SVR_RESET,
        .lvt_timer = LVT_MASKED,
        .deadline = NOT_ARMED,
    };
    for (size_t i = 0; i < APIC_NUM_PLAIN_LVTS; i++) {
        apic->lvt[i] = LVT_MASKED;
    }
}

static bool is_enabled(const struct apic *apic)
{
    return (apic->svr & SVR_ENABLED) != 0;
}

// SDM 3A, "APIC Timer": bits 3, 1 and 0 are the power of two minus 1, and 111 divides by 1.
static unsigned divide_shift(const struct apic *apic)
{
    unsigned code = (apic->divide & 3) | (apic->divide >> 1 & 4);
    return (code + 1) & 7;
}

static uint32_t current_count(const struct apic *apic, uint64_t tsc)
{
    bool counts = (apic->lvt_timer & TIMER_MODE) != TIMER_TSC_DEADLINE;
    if (!counts || apic->deadline == NOT_ARMED || apic->deadline <= tsc) {
        return 0;
    }
    uint64_t unit = UINT64_C(1) << divide_shift(apic);
    return (uint32_t)((apic->deadline - tsc + unit - 1) / unit);
}

static uint64_t period(const struct apic *apic)
{
    return (uint64_t)apic->initial_count << divide_shift(apic);
}

static uint32_t logical_id(const struct apic *apic)
{
    return apic->id >> 4 << 16 | UINT32_C(1) << (apic->id & 0xF);
}

static uint32_t word_of(const uint64_t bits[4], uint32_t index)
{
    return (uint32_t)(bits[index / 2] >> (index % 2 * 32));
}

static bool read_plain(const struct apic *apic, uint32_t msr, uint64_t tsc, uint64_t *out)
{
    switch (msr) {
    case APIC_ID:
        *out = apic->id;
        return true;
    case APIC_LDR:
        *out = logical_id(apic);
        return true;
    case APIC_SVR:
        *out = apic->svr;
        return true;
    case APIC_ESR:
        *out = 0;
        return true;
    case APIC_ICR:
        *out = apic->icr;
        return true;
    case APIC_LVT_TIMER:
        *out = apic->lvt_timer;
        return true;
    case APIC_INITIAL_COUNT:
        *out = apic->initial_count;
        return true;
    case APIC_CURRENT_COUNT:
        *out = current_count(apic, tsc);
        return true;
    case APIC_DIVIDE:
        *out = apic->divide;
        return true;
    case APIC_MSR_TSC_DEADLINE: {
        bool armed = apic->deadline != NOT_ARMED;
        *out = armed && (apic->lvt_timer & TIMER_MODE) == TIMER_TSC_DEADLINE ? apic->deadline : 0;
        return true;
    }
    default:
        return false;
    }
}

bool apic_read(const struct apic *apic, uint32_t msr, uint64_t tsc, uint64_t *out)
{
    if (msr - APIC_ISR0 < NUM_WORDS) {
        *out = word_of(apic->isr, msr - APIC_ISR0);
        return true;
    }
    if (msr - APIC_TMR0 < NUM_WORDS) { // no level-triggered interrupts here
        *out = 0;
        return true;
    }
    if (msr - APIC_IRR0 < NUM_WORDS) {
        *out = word_of(apic->irr, msr - APIC_IRR0);
        return true;
    }
    if (msr - APIC_LVT_THERMAL < APIC_NUM_PLAIN_LVTS) {
        *out = apic->lvt[msr - APIC_LVT_THERMAL];
        return true;
    }
    return read_plain(apic, msr, tsc, out);
}

static void set_bit(uint64_t bits[4], unsigned vector)
{
    bits[vector / 64] |= UINT64_C(1) << vector % 64;
}

static void clear_bit(uint64_t bits[4], unsigned vector)
{
    bits[vector / 64] &= ~(UINT64_C(1) << vector % 64);
}

static int highest(const uint64_t bits[4])
{
    for (int i = 3; i >= 0; i--) {
        if (bits[i] != 0) {
            return i * 64 + 63 - __builtin_clzll(bits[i]);
        }
    }
    return -1;
}

static bool write_svr(struct apic *apic, uint64_t value)
{
    if ((value & ~(uint64_t)SVR_WRITABLE) != 0) {
        return false;
    }
    apic->svr = (uint32_t)value;
    if (!is_enabled(apic)) { // SDM 3A, "Local APIC State After It Has Been Software Disabled"
        apic->lvt_timer |= LVT_MASKED;
        for (size_t i = 0; i < APIC_NUM_PLAIN_LVTS; i++) {
            apic->lvt[i] |= LVT_MASKED;
        }
    }
    return true;
}

static uint32_t lvt_value(const struct apic *apic, uint64_t value)
{
    return ((uint32_t)value & ~(uint32_t)LVT_READ_ONLY) | (is_enabled(apic) ? 0 : LVT_MASKED);
}

static bool write_lvt_timer(struct apic *apic, uint64_t value)
{
    bool reserved_mode = (value & TIMER_MODE) == TIMER_MODE;
    if ((value & ~(uint64_t)TIMER_WRITABLE) != 0 || reserved_mode) {
        return false;
    }
    bool was_deadline = (apic->lvt_timer & TIMER_MODE) == TIMER_TSC_DEADLINE;
    bool is_deadline = (value & TIMER_MODE) == TIMER_TSC_DEADLINE;
    apic->lvt_timer = lvt_value(apic, value);
    if (was_deadline != is_deadline) { // a change to or from TSC deadline mode disarms
        apic->deadline = NOT_ARMED;
    }
    return true;
}

static bool write_initial_count(struct apic *apic, uint64_t tsc, uint64_t value)
{
    if (value > UINT32_MAX) {
        return false;
    }
    if ((apic->lvt_timer & TIMER_MODE) != TIMER_TSC_DEADLINE) {
        apic->initial_count = (uint32_t)value;
        apic->deadline = value != 0 ? tsc + period(apic) : NOT_ARMED;
    }
    return true;
}

static bool write_divide(struct apic *apic, uint64_t tsc, uint64_t value)
{
    if ((value & ~(uint64_t)DIVIDE_WRITABLE) != 0) {
        return false;
    }
    uint64_t count = current_count(apic, tsc);
    apic->divide = (uint32_t)value;
    if (count != 0) {
        apic->deadline = tsc + (count << divide_shift(apic));
    }
    return true;
}

static bool write_tsc_deadline(struct apic *apic, uint64_t value)
{
    if ((apic->lvt_timer & TIMER_MODE) == TIMER_TSC_DEADLINE) {
        apic->deadline = value != 0 ? value : NOT_ARMED;
    }
    return true;
}

static bool write_eoi(struct apic *apic, uint64_t value)
{
    int in_service = highest(apic->isr);
    if (value == 0 && in_service >= 0) {
        clear_bit(apic->isr, (unsigned)in_service);
    }
    return value == 0;
}

static bool write_icr(struct apic *apic, uint64_t value, bool *out_icr_sent)
{
    *out_icr_sent = (value & ~ICR_WRITABLE) == 0;
    apic->icr = *out_icr_sent ? value : apic->icr;
    return *out_icr_sent;
}

static bool write_self_ipi(struct apic *apic, uint64_t value)
{
    if (value > LVT_VECTOR) {
        return false;
    }
    apic_request(apic, (uint8_t)value);
    return true;
}

static bool write_plain_lvt(struct apic *apic, uint32_t index, uint64_t value)
{
    if ((value & ~(uint64_t)LVT_PLAIN_WRITABLE) != 0) {
        return false;
    }
    apic->lvt[index] = lvt_value(apic, value);
    return true;
}

bool apic_write(struct apic *apic, uint32_t msr, uint64_t tsc, uint64_t value, bool *out_icr_sent)
{
    *out_icr_sent = false;
    if (msr - APIC_LVT_THERMAL < APIC_NUM_PLAIN_LVTS) {
        return write_plain_lvt(apic, msr - APIC_LVT_THERMAL, value);
    }
    switch (msr) {
    case APIC_EOI:
        return write_eoi(apic, value);
    case APIC_SVR:
        return write_svr(apic, value);
    case APIC_ESR:
        return value == 0;
    case APIC_ICR:
        return write_icr(apic, value, out_icr_sent);
    case APIC_LVT_TIMER:
        return write_lvt_timer(apic, value);
    case APIC_INITIAL_COUNT:
        return write_initial_count(apic, tsc, value);
    case APIC_DIVIDE:
        return write_divide(apic, tsc, value);
    case APIC_SELF_IPI:
        return write_self_ipi(apic, value);
    case APIC_MSR_TSC_DEADLINE:
        return write_tsc_deadline(apic, value);
    default:
        return false;
    }
}

void apic_tick(struct apic *apic, uint64_t tsc)
{
    if (tsc < apic->deadline || apic->deadline == NOT_ARMED) {
        return;
    }
    if ((apic->lvt_timer & LVT_MASKED) == 0) {
        apic_request(apic, (uint8_t)(apic->lvt_timer & LVT_VECTOR));
    }
    if ((apic->lvt_timer & TIMER_MODE) == TIMER_PERIODIC) {
        apic->deadline += ((tsc - apic->deadline) / period(apic) + 1) * period(apic);
    } else {
        apic->deadline = NOT_ARMED;
    }
}

void apic_shift(struct apic *apic, uint64_t difference)
{
    bool absolute = (apic->lvt_timer & TIMER_MODE) == TIMER_TSC_DEADLINE;
    if (!absolute && apic->deadline != NOT_ARMED) {
        apic->deadline += difference;
    }
}

uint8_t apic_priority(const struct apic *apic, uint64_t cr8)
{
    int in_service = highest(apic->isr);
    unsigned tpr = (unsigned)(cr8 & 0xF) << 4;
    unsigned service = in_service < 0 ? 0 : (unsigned)in_service & 0xF0;
    return (uint8_t)(tpr >= service ? tpr : service);
}

int apic_pending(const struct apic *apic, uint64_t cr8)
{
    int vector = highest(apic->irr);
    bool taken = vector >= 0 && vector >> 4 > apic_priority(apic, cr8) >> 4;
    return taken ? vector : -1;
}

void apic_accept(struct apic *apic, int vector)
{
    clear_bit(apic->irr, (unsigned)vector);
    set_bit(apic->isr, (unsigned)vector);
}

void apic_request(struct apic *apic, uint8_t vector)
{
    if (is_enabled(apic) && vector >= FIRST_VECTOR) {
        set_bit(apic->irr, vector);
    }
}

// SDM 3A, "Logical Destination Mode in x2APIC Mode": cluster in bits 31:16, one bit per member.
static bool is_destination(const struct apic *apic, uint64_t icr)
{
    uint32_t destination = (uint32_t)(icr >> 32);
    bool logical = (icr & 0x800) != 0;
    if (destination == BROADCAST_ID) {
        return true;
    }
    if (!logical) {
        return destination == apic->id;
    }
    uint32_t own = logical_id(apic);
    return destination >> 16 == own >> 16 && (destination & own & 0xFFFF) != 0;
}

bool apic_is_addressed(const struct apic *apic, const struct apic *sender)
{
    switch ((enum icr_shorthand)(sender->icr >> 18 & 3)) {
    case ICR_NO_SHORTHAND:
        return is_destination(apic, sender->icr);
    case ICR_SELF:
        return apic == sender;
    case ICR_ALL:
        return true;
    case ICR_OTHERS:
        return apic != sender;
    }
    return false;
}
