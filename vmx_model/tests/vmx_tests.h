// What the test programs of this module share.
#ifndef VMX_MODEL_TESTS_VMX_TESTS_H
#define VMX_MODEL_TESTS_VMX_TESTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmx_model/cpu.h"
#include "vmx_model/msr.h"

#define BIT(n) (UINT64_C(1) << (n))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

// Runs check once per row of cases, whose member .name names the test; adds to failures.
#define RUN_ROWS(failures, group, cases, check)                                                    \
    do {                                                                                           \
        static struct CMUnitTest row_tests[ARRAY_LEN(cases)];                                      \
        for (size_t row = 0; row < ARRAY_LEN(cases); row++) {                                      \
            row_tests[row] =                                                                       \
                (struct CMUnitTest){(cases)[row].name, (check), NULL, NULL, &(cases)[row]};        \
        }                                                                                          \
        (failures) += cmocka_run_group_tests_name(group, row_tests, NULL, NULL);                   \
    } while (0)

// A processor after RESET with the generic profile.
static inline struct vmx_cpu generic_cpu(void)
{
    struct vmx_cpu cpu;
    vmx_cpu_reset(&cpu, &vmx_profile_generic);
    return cpu;
}

// The generic profile but for one feature.
static inline struct vmx_profile generic_without(enum vmx_feature feature)
{
    struct vmx_profile profile = vmx_profile_generic;
    profile.feature[feature] = false;
    return profile;
}

static inline uint64_t read_field(const struct vmx_cpu *cpu, uint32_t encoding)
{
    uint64_t value = 0;
    assert_true(vmcs_read(&cpu->vmcs, encoding, &value));
    return value;
}

static inline void assert_cpu_equal(const struct vmx_cpu *want, const struct vmx_cpu *got)
{
    assert_ptr_equal(want->profile, got->profile);
    assert_memory_equal(want->vmcs.field, got->vmcs.field, sizeof(want->vmcs.field));
    assert_memory_equal(want->gpr, got->gpr, sizeof(want->gpr));
    assert_memory_equal(want->msr, got->msr, sizeof(want->msr));
    assert_memory_equal(want->dr, got->dr, sizeof(want->dr));
    assert_int_equal(want->cr2, got->cr2);
    assert_int_equal(want->cr8, got->cr8);
    assert_int_equal(want->xcr0, got->xcr0);
    assert_int_equal(want->dr6, got->dr6);
    assert_int_equal(want->tsc, got->tsc);
    assert_int_equal(want->feature_control, got->feature_control);
    assert_int_equal(want->pkru, got->pkru);
    assert_int_equal(want->apic_id, got->apic_id);
    assert_int_equal(want->num_cpus, got->num_cpus);
}

// RDMSR by the guest, which is no #GP.
static inline uint64_t read_msr(const struct vmx_cpu *cpu, uint32_t index)
{
    uint64_t value = 0;
    assert_int_equal(MSR_OK, msr_read(cpu, MSR_GUEST, index, &value));
    return value;
}

// WRMSR by the guest; one that is #GP changes nothing.
static inline void assert_write(struct vmx_cpu *cpu, uint32_t index, uint64_t value,
                                enum msr_result want)
{
    struct vmx_cpu before = *cpu;
    assert_int_equal(want, msr_write(cpu, MSR_GUEST, index, value));
    if (want == MSR_GP) {
        assert_cpu_equal(&before, cpu);
    }
}

#endif
