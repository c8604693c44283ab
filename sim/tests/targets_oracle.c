#include "targets_oracle.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <string.h>

#define SPACE (UINT64_C(1) << 46) // guest-physical

const uint8_t oracle_ink[ORACLE_LENGTH] =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+";

struct oracle group_oracle;

void oracle_open(struct oracle *oracle, const struct mode_target *target)
{
    *oracle = (struct oracle){.target = target, .root = mode_target_register(target, "cr3")};
    const struct pulsim_options options = {.target = target->name};
    rig_open_with(&oracle->rig, PROTOCOL_V2, &options);
    rig_open_with(&oracle->twin, PROTOCOL_V2, &options);
}

void oracle_close(struct oracle *oracle)
{
    rig_close(&oracle->rig);
    rig_close(&oracle->twin);
}

void oracle_reset(struct oracle *oracle)
{
    pulsim_reset(oracle->rig.pulsim);
    pulsim_reset(oracle->twin.pulsim);
    oracle->rig.version = PROTOCOL_V2;
}

int group_oracle_open(void **state)
{
    (void)state;
    oracle_open(&group_oracle, group_oracle.target);
    return 0;
}

int group_oracle_close(void **state)
{
    (void)state;
    oracle_close(&group_oracle);
    return 0;
}

int group_oracle_reset(void **state)
{
    (void)state;
    oracle_reset(&group_oracle);
    return 0;
}

int oracle_run_groups(int (*run_group)(const struct mode_target *target))
{
    int failures = 0;
    const struct mode_target *target = mode_target_at(0);
    for (size_t i = 0; target; target = mode_target_at(++i)) {
        group_oracle.target = target;
        failures += run_group(target);
    }
    return failures;
}

const struct map_row *oracle_row(const struct mode_target *target, uint64_t linear)
{
    for (size_t i = 0; i < target->num_map; i++) {
        if (linear >= target->map[i].from && linear <= target->map[i].to) {
            return &target->map[i];
        }
    }
    fail_msg("no row of %s has 0x%lx", target->name, (unsigned long)linear);
    return NULL;
}

bool oracle_translate(const struct mode_target *target, uint64_t linear, uint64_t *out_phys)
{
    const struct map_row *row = oracle_row(target, linear);
    *out_phys = row->guest_phys + (linear - row->from);
    return row->mapped;
}

enum cpu_mode oracle_cpu_mode(const struct mode_target *target)
{
    static const struct {
        const char *name;
        enum cpu_mode mode;
    } modes[] = {
        {"real16", CPU_MODE_REAL},        {"v86", CPU_MODE_V86},
        {"prot16", CPU_MODE_PROT16},      {"prot32", CPU_MODE_PROT32},
        {"pse32", CPU_MODE_PROT32},       {"pae32", CPU_MODE_PROT32},
        {"compat32", CPU_MODE_LONG32},    {"compat16", CPU_MODE_LONG16},
        {"long64-la57", CPU_MODE_LONG64},
    };
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(modes[i].name, target->name) == 0) {
            return modes[i].mode;
        }
    }
    fail_msg("%s: which mode?", target->name);
    return CPU_MODE_SMM;
}

bool oracle_segment(const struct mode_target *target, const char *name, struct segment *out)
{
    for (size_t i = 0; i < target->num_segment_registers; i++) {
        const struct segment_register_row *row = &target->segment_registers[i];
        if (strcmp(row->name, name) == 0) {
            return mode_target_segment(target, row, out);
        }
    }
    return false;
}

uint16_t oracle_selector(const struct mode_target *target, const char *name)
{
    struct segment segment = {.selector = 0};
    assert_true(oracle_segment(target, name, &segment));
    return segment.selector;
}

static enum region_kind kind_at(const struct mode_target *target, uint64_t guest_phys)
{
    for (size_t i = 0; i < target->num_regions; i++) {
        const struct region_row *row = &target->regions[i];
        if (guest_phys >= row->base && guest_phys - row->base < row->size) {
            return row->kind;
        }
    }
    return REGION_EMPTY;
}

size_t oracle_reach(const struct mode_target *target, uint64_t linear, uint64_t last, size_t len)
{
    size_t reached = 0;
    uint64_t guest_phys = 0;
    while (reached < len && oracle_translate(target, linear + reached, &guest_phys) &&
           guest_phys < SPACE && kind_at(target, guest_phys) != REGION_PROTECTED) {
        reached++;
        if (linear + (reached - 1) == last) {
            break;
        }
    }
    return reached;
}

void oracle_read(struct oracle *oracle, uint64_t linear, void *out, size_t len)
{
    uint8_t *bytes = out;
    for (size_t i = 0; i < len; i++) {
        uint64_t guest_phys = 0;
        assert_true(oracle_translate(oracle->target, linear + i, &guest_phys));
        bytes[i] = 0xFF;
        if (kind_at(oracle->target, guest_phys) != REGION_EMPTY) {
            assert_int_equal(pulsim_peek(oracle->rig.pulsim, guest_phys, bytes + i, 1), 1);
        }
    }
}

void oracle_write(struct oracle *oracle, uint64_t linear, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint64_t guest_phys = 0;
        assert_true(oracle_translate(oracle->target, linear + i, &guest_phys));
        if (kind_at(oracle->target, guest_phys) == REGION_RAM) {
            assert_int_equal(pulsim_poke(oracle->twin.pulsim, guest_phys, oracle_ink + i, 1), 1);
        }
    }
}

void oracle_expect_read(struct oracle *oracle, struct packet *request, uint64_t linear, size_t want)
{
    struct rig *rig = &oracle->rig;
    uint8_t bytes[ORACLE_LENGTH];
    if (want == 0) {
        rig_expect_status(rig, request, oracle_no_translation(oracle));
        return;
    }
    rig_ask(rig, request);
    bool is_virtual = request->kind == PACKET_READ_VIRTUAL;
    assert_int_equal(rig->reply.kind, is_virtual ? PACKET_VIRTUAL_DATA : PACKET_LINEAR_DATA);
    const uint8_t *data = is_virtual ? rig->reply.virtual_data.data : rig->reply.linear_data.data;
    uint32_t length = is_virtual ? rig->reply.virtual_data.length : rig->reply.linear_data.length;
    assert_int_equal(length, want);
    oracle_read(oracle, linear, bytes, want);
    assert_memory_equal(data, bytes, want);
}

void oracle_expect_write(struct oracle *oracle, struct packet *request, uint64_t linear,
                         size_t want)
{
    if (want == 0) {
        rig_expect_status(&oracle->rig, request, oracle_no_translation(oracle));
        return;
    }
    rig_expect_value(&oracle->rig, request, want);
    oracle_write(oracle, linear, want);
}

static uint64_t of_version(const struct oracle *oracle, uint64_t v1, uint64_t v2)
{
    return oracle->rig.version == PROTOCOL_V1 ? v1 : v2;
}

uint64_t oracle_no_translation(const struct oracle *oracle)
{
    return of_version(oracle, 0xC0000017, 0xC0000021);
}

uint64_t oracle_no_mode(const struct oracle *oracle)
{
    return of_version(oracle, 0xC000001F, 0xC0000022);
}

uint64_t oracle_not_supported(const struct oracle *oracle)
{
    return of_version(oracle, 0xC000000D, 0xC0000031);
}

void oracle_expect_equal(struct oracle *oracle)
{
    assert_true(pulsim_equal(oracle->rig.pulsim, oracle->twin.pulsim));
}
