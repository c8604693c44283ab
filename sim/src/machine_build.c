// From a target's tables to a machine.
#include "machine_build.h"

#include <stdlib.h>

#include "context.h"
#include "cpu_msr.h"
#include "vmx_model/controls.h"

static const char *build_memory(struct machine *machine)
{
    const struct target *target = machine->target;
    memory_init(&machine->memory, target_profile(target)->max_phys_bits);
    for (size_t i = 0; i < target->num_regions; i++) {
        const struct target_region *region = &target->regions[i];
        if (!memory_add(&machine->memory, region->kind, region->base, region->size)) {
            return "a memory region overlaps another, is not page aligned, or is more than the "
                   "host can hold";
        }
    }
    for (size_t i = 0; i < target->num_loads; i++) {
        const struct target_load *load = &target->loads[i];
        if (!memory_load(&machine->memory, load->guest_phys, load->bytes, load->len)) {
            return "bytes to be loaded do not lie in RAM or ROM";
        }
    }
    memory_mark(&machine->memory);
    return NULL;
}

static bool is_for(int row_cpu, unsigned index)
{
    return row_cpu == TARGET_ALL_CPUS || row_cpu == (int)index;
}

// Puts an override in its place among those before it, which are in ascending order.
static void insert(struct msr_override *table, uint32_t count, const struct msr_override *override)
{
    uint32_t at = count;
    for (; at > 0 && table[at - 1].index > override->index; at--) {
        table[at] = table[at - 1];
    }
    table[at] = *override;
}

// What the target says of this CPU's MSRs, after they have got their values.
static void override_msrs(struct machine *machine, unsigned index)
{
    const struct target *target = machine->target;
    struct msr_override *table = machine->overrides + index * target->num_overrides;
    uint32_t count = 0;
    for (size_t i = 0; i < target->num_overrides; i++) {
        if (is_for(target->overrides[i].cpu, index)) {
            insert(table, count++, &target->overrides[i].override);
        }
    }
    vmx_cpu_override(&machine->cpus[index].vmx, table, count);
}

// MSRs come before registers, because EFER.LME must be set while paging is off.
static const char *build_cpu(struct machine *machine, unsigned index)
{
    const struct target *target = machine->target;
    struct cpu *cpu = &machine->cpus[index];
    vmx_cpu_reset(&cpu->vmx, target_profile(target));
    vmx_cpu_place(&cpu->vmx, index, machine->num_cpus);
    fpu_reset(&cpu->fpu);
    apic_reset(&cpu->apic, index);
    for (size_t i = 0; i < target->num_msrs; i++) {
        const struct target_msr *row = &target->msrs[i];
        if (is_for(row->cpu, index) &&
            cpu_msr_write(machine, cpu, MSR_GUEST, row->index, row->value) != MSR_OK) {
            return "an MSR does not exist or does not take its value";
        }
    }
    override_msrs(machine, index);
    for (size_t i = 0; i < target->num_registers; i++) {
        const struct target_register *row = &target->registers[i];
        if (is_for(row->cpu, index)) {
            cpu_register_write(cpu, row->reg, row->value);
        }
    }
    if ((cpu_guest(cpu, CR0) & MMU_CR0_PG) && (cpu_guest(cpu, IA32_EFER) & MMU_EFER_LME)) {
        cpu_guest(cpu, IA32_EFER) |= MMU_EFER_LMA;
    }
    vmx_controls_follow_efer(&cpu->vmx.vmcs);
    return NULL;
}

const char *machine_build(struct machine *machine)
{
    machine->num_cpus = machine->target->num_cpus;
    if (machine->num_cpus == 0 || machine->num_cpus > MACHINE_MAX_CPUS) {
        return "a machine has 1 to 64 CPUs";
    }
    machine->cpus = calloc(machine->num_cpus, sizeof(*machine->cpus));
    machine->initial_cpus = calloc(machine->num_cpus, sizeof(*machine->initial_cpus));
    machine->overrides =
        calloc(machine->num_cpus * machine->target->num_overrides + 1, sizeof(*machine->overrides));
    if (!machine->cpus || !machine->initial_cpus || !machine->overrides) {
        return "out of memory";
    }
    const char *error = build_memory(machine);
    for (unsigned i = 0; !error && i < machine->num_cpus; i++) {
        error = build_cpu(machine, i);
    }
    return error;
}
