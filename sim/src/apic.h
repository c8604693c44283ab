#ifndef SIM_APIC_H
#define SIM_APIC_H

// The part of a local APIC in x2APIC mode that a kernel needs for a timer interrupt: SVR, EOI,
// ISR/IRR, LVT timer (one-shot, periodic, TSC deadline), initial and current count, divide
// configuration, and fixed interrupts between CPUs by ICR. TPR is CR8, which the CPU has.
// SDM 3A, "Advanced Programmable Interrupt Controller".

#include <stdbool.h>
#include <stdint.h>

enum {
    APIC_MSR_TPR = 0x808,
    APIC_MSR_PPR = 0x80A,
    APIC_MSR_TSC_DEADLINE = 0x6E0,
    APIC_NUM_PLAIN_LVTS = 5, // thermal, performance, LINT0, LINT1, error: only stored
};

struct apic {
    uint32_t id;
    uint32_t svr;
    uint32_t lvt_timer;
    uint32_t lvt[APIC_NUM_PLAIN_LVTS];
    uint32_t divide;
    uint32_t initial_count;
    uint64_t deadline; // TSC at which the timer next fires; UINT64_MAX: not armed
    uint64_t irr[4];
    uint64_t isr[4];
    uint64_t icr;
};

void apic_reset(struct apic *apic, uint32_t id);

// RDMSR and WRMSR of the x2APIC registers that this APIC has, and of 0x6E0. What is #GP, and the
// registers that never move by themselves (version, TPR), are vmx_model's. False: not this APIC's,
// or a value that it cannot take. tsc is the CPU's now; out_icr_sent tells that an interprocessor
// interrupt was written, which the caller delivers.
bool apic_read(const struct apic *apic, uint32_t msr, uint64_t tsc, uint64_t *out);
bool apic_write(struct apic *apic, uint32_t msr, uint64_t tsc, uint64_t value, bool *out_icr_sent);

// Lets a timer that is due set its request bit.
void apic_tick(struct apic *apic, uint64_t tsc);

// The TSC was set to another value: an armed timer keeps its distance.
void apic_shift(struct apic *apic, uint64_t difference);

// The processor priority (PPR) under a TPR of cr8.
uint8_t apic_priority(const struct apic *apic, uint64_t cr8);

// The vector to deliver now, by priority above what is in service and above cr8; -1 when none.
int apic_pending(const struct apic *apic, uint64_t cr8);

// The CPU takes vector: from requested to in service.
void apic_accept(struct apic *apic, int vector);

// Sets a fixed interrupt's request bit; lost while the APIC is disabled by software.
void apic_request(struct apic *apic, uint8_t vector);

// Whether an interprocessor interrupt that sender wrote (its icr) is for this APIC.
bool apic_is_addressed(const struct apic *apic, const struct apic *sender);

#endif
