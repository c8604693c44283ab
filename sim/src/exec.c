#include "exec.h"

#include <string.h>

#include "mmu_model/segment_check.h"
#include "runner.h"

enum { RSP_NUMBER = 4 };

struct exec exec_begin(struct machine *machine, struct cpu *cpu)
{
    struct exec x = {.machine = machine, .cpu = cpu};
    exec_refresh(&x);
    return x;
}

void exec_refresh(struct exec *x)
{
    cpu_mmu_registers(x->machine, x->cpu, &x->mmu);
    x->user = cpu_cpl(x->cpu) == 3;
}

static void raise(struct exec *x, const struct exception *exception)
{
    if (!x->faulted) {
        x->faulted = true;
        x->exception = *exception;
    }
}

void exec_raise(struct exec *x, enum vector vector)
{
    raise(x, &(struct exception){.vector = (uint8_t)vector});
}

void exec_raise_code(struct exec *x, enum vector vector, uint32_t code)
{
    raise(x, &(struct exception){.vector = (uint8_t)vector, .has_code = true, .code = code});
}

void exec_raise_debug(struct exec *x, uint64_t dr6)
{
    raise(x, &(struct exception){.vector = VECTOR_DB, .payload = dr6});
}

static void raise_walk(struct exec *x, enum exec_access as, uint64_t linear,
                       const struct mmu_walk *walk)
{
    if (mmu_fault_is_page_fault(walk->fault)) {
        struct exception fault = {VECTOR_PF, true, walk->error_code, linear};
        raise(x, &fault);
        return;
    }
    exec_raise_code(x, as == ACCESS_STACK ? VECTOR_SS : VECTOR_GP, x->external ? 1 : 0);
}

static void set_flags(struct exec *x, const struct mmu_walk *walk, const struct mmu_access *want)
{
    struct mmu_update updates[MMU_MAX_LEVELS];
    size_t num_updates = mmu_updates(walk, want, updates);
    for (size_t i = 0; i < num_updates; i++) {
        uint8_t low = 0;
        memory_peek(&x->machine->memory, updates[i].guest_phys, &low, 1);
        low |= (uint8_t)updates[i].set;
        exec_write_phys(x->machine, updates[i].guest_phys, &low, 1);
    }
}

bool exec_translate(struct exec *x, enum exec_access as, uint64_t linear, enum mmu_access_kind kind,
                    struct mmu_walk *out)
{
    struct mmu_memory memory = machine_mmu_memory(x->machine);
    struct mmu_access want = {
        .kind = kind,
        .user = x->user && as != ACCESS_SYSTEM,
        .implicit = as == ACCESS_SYSTEM,
    };
    if (x->faulted) {
        return false;
    }
    if (!mmu_access(&x->mmu, &memory, linear, &want, out)) {
        raise_walk(x, as, linear, out);
        return false;
    }
    set_flags(x, out, &want);
    return true;
}

// An access of 64-bit mode as its segment sees it, before any page of it is looked at. The
// segment's base is already part of the address.
static bool check_segment(struct exec *x, enum exec_access as, uint64_t linear, size_t len)
{
    struct segment_cpu cpu = {
        .mode = CPU_MODE_LONG64,
        .linear_bits = cpu_linear_bits(x->cpu),
        .external = x->external,
    };
    struct segment_access_request request = {
        .index = as == ACCESS_STACK ? SEGMENT_REGISTER_SS : SEGMENT_REGISTER_DS,
        .offset = linear,
        .size = len,
    };
    struct segment_answer answer = segment_check_access(&cpu, &request, &linear);
    if (answer.outcome == SEGMENT_RAISES) {
        exec_raise_code(x, (enum vector)answer.vector, answer.code);
    }
    return !x->faulted;
}

// The bytes from linear on that lie in its page.
static size_t in_page(uint64_t linear, size_t len)
{
    size_t room = MEMORY_PAGE_SIZE - (size_t)(linear & (MEMORY_PAGE_SIZE - 1));
    return len < room ? len : room;
}

bool exec_read(struct exec *x, enum exec_access as, uint64_t linear, void *buffer, size_t len)
{
    uint8_t *bytes = buffer;
    struct mmu_walk walk;
    memset(bytes, 0, len);
    if (!check_segment(x, as, linear, len)) {
        return false;
    }
    for (size_t done = 0; done < len;) {
        size_t piece = in_page(linear + done, len - done);
        if (!exec_translate(x, as, linear + done, MMU_ACCESS_READ, &walk)) {
            return false;
        }
        // Protected memory and addresses beyond MAXPHYADDR read as ones, like empty space.
        size_t moved = memory_read(&x->machine->memory, walk.guest_phys, bytes + done, piece);
        memset(bytes + done + moved, 0xFF, piece - moved);
        done += piece;
    }
    return true;
}

void exec_write_phys(struct machine *machine, uint64_t guest_phys, const void *bytes, size_t len)
{
    struct memory *memory = &machine->memory;
    struct region *region = memory_region(memory, guest_phys);
    if (!region) {
        return;
    }
    if (region->kind == REGION_DEVICE) {
        uint64_t generation = memory->generation; // nothing that a CPU caches changes
        memory_write(memory, guest_phys, bytes, len);
        memory->generation = generation;
        return;
    }
    if (region->kind != REGION_RAM) {
        return;
    }
    machine->cpu_writes++;
    memory_touch(memory, guest_phys);
    memcpy(region->host + (guest_phys - region->base), bytes, len);
    if ((*memory_flags(memory, guest_phys) & PAGE_CODE) != 0) {
        runner_code_changed(machine, guest_phys, len);
    }
}

// Translates every page of a write before the first byte moves. A write has at most two pages.
static bool translate_write(struct exec *x, enum exec_access as, uint64_t linear, size_t len,
                            uint64_t out_phys[2])
{
    struct mmu_walk walk;
    size_t first = in_page(linear, len);
    if (!check_segment(x, as, linear, len) ||
        !exec_translate(x, as, linear, MMU_ACCESS_WRITE, &walk)) {
        return false;
    }
    out_phys[0] = walk.guest_phys;
    if (first == len) {
        return true;
    }
    if (!exec_translate(x, as, linear + first, MMU_ACCESS_WRITE, &walk)) {
        return false;
    }
    out_phys[1] = walk.guest_phys;
    return true;
}

bool exec_check_write(struct exec *x, enum exec_access as, uint64_t linear, size_t len)
{
    uint64_t phys[2] = {0};
    return translate_write(x, as, linear, len, phys);
}

bool exec_write(struct exec *x, enum exec_access as, uint64_t linear, const void *buffer,
                size_t len)
{
    const uint8_t *bytes = buffer;
    size_t first = in_page(linear, len);
    uint64_t phys[2] = {0};
    if (!translate_write(x, as, linear, len, phys)) {
        return false;
    }
    exec_write_phys(x->machine, phys[0], bytes, first);
    if (first < len) {
        exec_write_phys(x->machine, phys[1], bytes + first, len - first);
    }
    return true;
}

uint64_t exec_load(struct exec *x, enum exec_access as, uint64_t linear, size_t size)
{
    uint8_t bytes[8];
    uint64_t value = 0;
    exec_read(x, as, linear, bytes, size);
    for (size_t i = size; i-- > 0;) {
        value = value << 8 | bytes[i];
    }
    return x->faulted ? 0 : value;
}

void exec_store(struct exec *x, enum exec_access as, uint64_t linear, size_t size, uint64_t value)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
    exec_write(x, as, linear, bytes, size);
}

bool exec_fetch(struct exec *x, uint64_t linear, uint8_t *buffer, size_t len)
{
    struct mmu_walk walk;
    for (size_t done = 0; done < len;) {
        size_t piece = in_page(linear + done, len - done);
        if (!exec_translate(x, ACCESS_DATA, linear + done, MMU_ACCESS_FETCH, &walk)) {
            return false;
        }
        size_t moved = memory_read(&x->machine->memory, walk.guest_phys, buffer + done, piece);
        memset(buffer + done + moved, 0xFF, piece - moved);
        done += piece;
    }
    return true;
}

// SDM 3C, "Guest Register State": the DPL of SS is the CPL.
unsigned cpu_cpl(const struct cpu *cpu)
{
    return (unsigned)(cpu_guest(cpu, SS_ACCESS) >> 5 & 3);
}

unsigned cpu_iopl(const struct cpu *cpu)
{
    return (unsigned)(cpu_guest(cpu, RFLAGS) >> 12 & 3);
}

unsigned cpu_linear_bits(const struct cpu *cpu)
{
    return (cpu_guest(cpu, CR4) & MMU_CR4_LA57) != 0 ? 57 : 48;
}

bool cpu_is_canonical(const struct cpu *cpu, uint64_t linear)
{
    return mmu_is_canonical(linear, cpu_linear_bits(cpu));
}

static uint64_t *gpr_slot(struct cpu *cpu, unsigned number)
{
    return number == RSP_NUMBER ? &cpu_guest(cpu, RSP) : &cpu->vmx.gpr[number];
}

uint64_t cpu_gpr(const struct cpu *cpu, unsigned number)
{
    return number == RSP_NUMBER ? cpu_guest(cpu, RSP) : cpu->vmx.gpr[number];
}

void cpu_set_gpr(struct cpu *cpu, unsigned number, size_t size, uint64_t value)
{
    uint64_t *slot = gpr_slot(cpu, number);
    switch (size) {
    case 1:
        *slot = (*slot & ~UINT64_C(0xFF)) | (value & 0xFF);
        return;
    case 2:
        *slot = (*slot & ~UINT64_C(0xFFFF)) | (value & 0xFFFF);
        return;
    case 4:
        *slot = value & 0xFFFFFFFF;
        return;
    default:
        *slot = value;
    }
}

void cpu_segment(const struct cpu *cpu, enum segment_index index, struct segment *out)
{
    const uint64_t *field = cpu->vmx.vmcs.field;
    *out = (struct segment){
        .selector = (uint16_t)field[VMCS_GUEST_ES_SELECTOR + index],
        .access = (uint32_t)field[VMCS_GUEST_ES_ACCESS + index],
        .limit = (uint32_t)field[VMCS_GUEST_ES_LIMIT + index],
        .base = field[VMCS_GUEST_ES_BASE + index],
    };
}

// The fields of the segments stand in the VMCS in the order of enum segment_index.
_Static_assert(VMCS_GUEST_TR_SELECTOR - VMCS_GUEST_ES_SELECTOR == SEG_TR, "selectors");
_Static_assert(VMCS_GUEST_TR_ACCESS - VMCS_GUEST_ES_ACCESS == SEG_TR, "rights");
_Static_assert(VMCS_GUEST_TR_LIMIT - VMCS_GUEST_ES_LIMIT == SEG_TR, "limits");
_Static_assert(VMCS_GUEST_TR_BASE - VMCS_GUEST_ES_BASE == SEG_TR, "bases");

void cpu_set_segment(struct cpu *cpu, enum segment_index index, const struct segment *segment)
{
    uint64_t *field = cpu->vmx.vmcs.field;
    field[VMCS_GUEST_ES_SELECTOR + index] = segment->selector;
    field[VMCS_GUEST_ES_ACCESS + index] = segment->access;
    field[VMCS_GUEST_ES_LIMIT + index] = segment->limit;
    field[VMCS_GUEST_ES_BASE + index] = segment->base;
}
