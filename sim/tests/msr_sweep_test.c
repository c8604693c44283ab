// Every MSR number of the two ranges, read and written by a debugger through the protocol, in both
// versions: the answer is what the row says, and nothing else of the machine changes. Of a row that
// has no rule of its own (ANY, READ_ONLY, CLEAR, COMMAND, IGNORED, and every bit that no row lets
// write) the test knows the answer itself; of the others vmx_model's own tests do, and here the
// protocol must give what the model gives a copy of the CPU.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "protocol/debuggee.h"
#include "vmx_model/msr.h"

enum {
    RANGE = 0x2000,
    NUM_CPUS = 4, // of long64
    NO_ROW = -1,
    TSC = 0x10,
};

#define HIGH_RANGE UINT32_C(0xC0000000)
#define GP_V1      UINT64_C(0xC0000045)
#define GP_V2      UINT64_C(0xC001000D)

enum home {
#define VMCS_FIELD(name, encoding, feature) HOME_##name,
#include "vmx_model/vmcs_fields.def"
    HOME_SHARED,
    HOME_PACKAGE,
    HOME_APIC,
    HOME_X2APIC,
    HOME_COUNTER,
    HOME_TSC,
    HOME_FEATURE_CONTROL,
    HOME_NONE,
};

static const struct row {
    const char *name;
    uint32_t index;
    uint64_t writable;
    const char *rule;
    enum home home; // the debugger's
    unsigned number;
} rows[] = {
#define MSR(row_name, row_index, row_reset, row_writable, row_rule, root, guest, needs, row_bank,  \
            row_number, cite)                                                                      \
    {#row_name, row_index, row_writable, #row_rule, HOME_##root, row_number},
#include "vmx_model/msrs.def"
};

enum { NUM_ROWS = sizeof(rows) / sizeof(rows[0]) };
_Static_assert((int)NUM_ROWS == (int)MSR_NUM_SLOTS, "a row per slot, in their order");

// The row of each number, low range first.
static int row_of[2 * RANGE];

struct sweep {
    struct machine *machine;
    struct debuggee debuggee;
    struct debuggee_peer peer;
    enum protocol_version version;
    uint32_t id;
    struct packet reply;
    uint8_t bytes[64];
    struct cpu before[NUM_CPUS];
    uint64_t generation;
    size_t num_dirty;
};

static struct sweep sweep;
static uint8_t memory[DEBUGGEE_MEMORY_SIZE];

static void take(void *user, struct debuggee_peer *peer, const uint8_t *packet, size_t len)
{
    (void)user;
    (void)peer;
    assert_int_equal(packet_read(sweep.version, packet, len, &sweep.reply), PACKET_OK);
}

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(row_of) / sizeof(row_of[0]); i++) {
        row_of[i] = NO_ROW;
    }
    for (int i = 0; i < NUM_ROWS; i++) {
        uint32_t low = rows[i].index & (RANGE - 1);
        if (rows[i].index < RANGE) {
            row_of[low] = i;
        } else if ((rows[i].index & ~UINT32_C(0x1FFF)) == HIGH_RANGE) {
            row_of[RANGE + low] = i;
        }
    }
    const char *error = "";
    sweep.machine = machine_new(target_find("long64"), &error);
    assert_non_null(sweep.machine);
    assert_int_equal(sweep.machine->num_cpus, NUM_CPUS);
    sweep.debuggee = (struct debuggee){.ops = &machine_ops, .target = sweep.machine, .send = take};
    sweep.peer = (struct debuggee_peer){.memory = memory};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    machine_free(sweep.machine);
    return 0;
}

static void ask(struct packet *request)
{
    request->header.version = (uint8_t)sweep.version;
    request->header.id = ++sweep.id;
    size_t len = packet_write(request, sweep.bytes, sizeof(sweep.bytes));
    sweep.reply.kind = PACKET_PING;
    debuggee_receive(&sweep.debuggee, &sweep.peer, sweep.bytes, len);
    assert_int_equal(sweep.reply.header.id, sweep.id);
}

static bool read_msr(uint32_t index, uint64_t *out)
{
    struct packet request = {.kind = PACKET_READ_MSR, .read_msr = {.index = index}};
    ask(&request);
    if (sweep.reply.kind == PACKET_STATUS) {
        assert_int_equal(sweep.reply.status.status, sweep.version == PROTOCOL_V2 ? GP_V2 : GP_V1);
        return false;
    }
    assert_int_equal(sweep.reply.kind, PACKET_MSR_DATA);
    assert_int_equal(sweep.reply.msr_data.index, index);
    *out = sweep.reply.msr_data.value;
    return true;
}

static bool write_msr(uint32_t index, uint64_t value)
{
    struct packet request = {.kind = PACKET_WRITE_MSR,
                             .write_msr = {.index = index, .value = value}};
    ask(&request);
    if (sweep.reply.kind == PACKET_STATUS) {
        assert_int_equal(sweep.reply.status.status, sweep.version == PROTOCOL_V2 ? GP_V2 : GP_V1);
        return false;
    }
    assert_int_equal(sweep.reply.kind, PACKET_SUCCESS);
    return true;
}

static size_t dirty_pages(void)
{
    const struct memory *of = &sweep.machine->memory;
    size_t count = 0;
    for (size_t i = 0; i < of->num_regions; i++) {
        count += of->regions[i].num_dirty;
    }
    return count;
}

static void remember(void)
{
    memcpy(sweep.before, sweep.machine->cpus, sizeof(sweep.before));
    sweep.generation = sweep.machine->memory.generation;
    sweep.num_dirty = dirty_pages();
}

static void put_back(void)
{
    memcpy(sweep.machine->cpus, sweep.before, sizeof(sweep.before));
}

// Memory, the CPUs from `first` on, and what all of them share.
static void expect_unchanged(unsigned first)
{
    const struct machine *machine = sweep.machine;
    assert_int_equal(machine->memory.generation, sweep.generation);
    assert_int_equal(dirty_pages(), sweep.num_dirty);
    assert_false(machine->running);
    assert_int_equal(machine->event, EVENT_INITIAL);
    assert_int_equal(machine->time, 0);
    assert_int_equal(machine->current, 0);
    assert_memory_equal(&machine->cpus[first], &sweep.before[first],
                        (NUM_CPUS - first) * sizeof(struct cpu));
}

static bool is_rule(const struct row *row, const char *rule)
{
    return strcmp(row->rule, rule) == 0;
}

static uint64_t home_value(const struct vmx_cpu *cpu, int slot)
{
    const struct row *row = &rows[slot];
    if (row->home < (enum home)VMCS_NUM_FIELDS) {
        return cpu->vmcs.field[row->home];
    }
    switch ((int)row->home) {
    case HOME_TSC:
        return cpu->tsc;
    case HOME_FEATURE_CONTROL:
        return cpu->feature_control;
    case HOME_COUNTER:
        return cpu->msr[MSR_SLOT_IA32_PMC0 + row->number];
    default:
        return cpu->msr[slot];
    }
}

static bool is_apics(const struct row *row)
{
    return row->home == HOME_APIC || row->home == HOME_X2APIC;
}

// The entries of last-branch records beyond IA32_LBR_DEPTH exist, and are hidden.
static bool exists(int slot)
{
    uint64_t ignored = 0;
    const struct vmx_cpu *cpu = &sweep.machine->cpus[0].vmx;
    return slot != NO_ROW && msr_slot_exists(cpu->profile, (enum msr_slot)slot) &&
           rows[slot].home != HOME_NONE &&
           (is_rule(&rows[slot], "COMMAND") ||
            msr_read(cpu, MSR_DEBUGGER, rows[slot].index, &ignored) == MSR_OK);
}

static void sweep_read(uint32_t index, int slot)
{
    uint64_t value = 0;
    uint64_t again = 0;
    bool ok = read_msr(index, &value);
    expect_unchanged(0);
    assert_int_equal(ok, exists(slot) && !is_rule(&rows[slot], "COMMAND"));
    if (!ok || is_apics(&rows[slot])) {
        return;
    }
    assert_int_equal(msr_read(&sweep.before[0].vmx, MSR_DEBUGGER, index, &again), MSR_OK);
    assert_int_equal(value, again);
    bool plain = is_rule(&rows[slot], "ANY") || rows[slot].home < (enum home)VMCS_NUM_FIELDS;
    if (plain) {
        assert_int_equal(value, home_value(&sweep.before[0].vmx, slot));
    }
}

// What the row alone says of a write: 1 it is accepted, 0 it is #GP, -1 its rule decides.
static int verdict(int slot, uint64_t value)
{
    if (!exists(slot) || is_rule(&rows[slot], "READ_ONLY")) {
        return 0;
    }
    const struct row *row = &rows[slot];
    if ((value & ~row->writable) != 0) {
        return 0;
    }
    bool accepts = is_rule(row, "ANY") || is_rule(row, "CLEAR") || is_rule(row, "COMMAND") ||
                   is_rule(row, "IGNORED");
    return accepts ? 1 : -1;
}

// A write that was accepted has changed CPU 0 as the model changes a copy, the registers that the
// package shares on the others, and where the APIC is meant, the APICs.
static void expect_written(uint32_t index, int slot, uint64_t value, const struct vmx_cpu *model)
{
    struct machine *machine = sweep.machine;
    struct vmx_cpu got = machine->cpus[0].vmx;
    got.cr8 = is_apics(&rows[slot]) ? model->cr8 : got.cr8; // the task priority
    assert_memory_equal(&got, model, sizeof(got));
    if (is_rule(&rows[slot], "ANY") && !is_apics(&rows[slot])) {
        assert_int_equal(home_value(&got, slot), value);
    }
    for (unsigned i = 1; i < NUM_CPUS; i++) {
        struct cpu expected = sweep.before[i];
        msr_copy_package(&expected.vmx, model, index);
        assert_memory_equal(&machine->cpus[i].vmx, &expected.vmx, sizeof(expected.vmx));
        assert_memory_equal(&machine->cpus[i].fpu, &expected.fpu, sizeof(expected.fpu));
    }
    if (!is_apics(&rows[slot]) && index != TSC && !is_rule(&rows[slot], "TSC_ADJUST")) {
        assert_memory_equal(&machine->cpus[0].apic, &sweep.before[0].apic, sizeof(struct apic));
    }
    assert_memory_equal(&machine->cpus[0].fpu, &sweep.before[0].fpu, sizeof(struct fpu));
}

static void sweep_write(uint32_t index, int slot, uint64_t value)
{
    struct vmx_cpu model = sweep.before[0].vmx;
    bool model_ok = msr_write(&model, MSR_DEBUGGER, index, value) == MSR_OK;
    int want = verdict(slot, value);
    bool ok = write_msr(index, value);
    assert_int_equal(ok, model_ok);
    if (want >= 0) {
        assert_int_equal(ok, want);
    }
    if (!ok) {
        sweep.machine->cpus[0].changed = sweep.before[0].changed;
        expect_unchanged(0);
        return;
    }
    expect_written(index, slot, value, &model);
    put_back();
}

static void sweep_number(uint32_t index, int slot)
{
    sweep_read(index, slot);
    sweep_write(index, slot, 0);
    if (!exists(slot)) {
        return;
    }
    sweep_write(index, slot, UINT64_MAX);
    sweep_write(index, slot, UINT64_C(0x5A5A5A5A5A5A5A5A));
    sweep_write(index, slot, home_value(&sweep.before[0].vmx, slot));
    for (unsigned bit = 0; bit < 64; bit++) {
        sweep_write(index, slot, UINT64_C(1) << bit);
    }
}

static void sweep_range(uint32_t first, const int *slots)
{
    remember();
    for (uint32_t i = 0; i < RANGE; i++) {
        sweep_number(first + i, slots[i]);
    }
}

static void the_low_range(void **state)
{
    sweep.version = *(const enum protocol_version *)*state;
    sweep_range(0, row_of);
}

static void the_high_range(void **state)
{
    sweep.version = *(const enum protocol_version *)*state;
    sweep_range(HIGH_RANGE, row_of + RANGE);
}

static enum protocol_version v1 = PROTOCOL_V1;
static enum protocol_version v2 = PROTOCOL_V2;

#define IN(version, test)                                                                          \
    {                                                                                              \
#test " (" #version ")", test, NULL, NULL, &(version)                                      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN(v1, the_low_range),
        IN(v2, the_low_range),
        IN(v1, the_high_range),
        IN(v2, the_high_range),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
