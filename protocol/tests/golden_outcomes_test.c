// The numbers in the transcripts' replies against what the published client returned.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_rows.h"
#include "golden_files.h"
#include "packet_member.h"
#include "protocol/bytes.h"

static struct transcript transcripts[NUM_GOLDEN_FILES];
static uint8_t bytes[TRANSCRIPT_BYTES_MAX];

// What a call returned, and the field of the reply it comes from.
struct output_row {
    const char *call;
    enum packet_kind kind;
    const char *key;
    unsigned index; // in an array
    const char *field;
};

static const struct output_row output_rows[] = {
    {"setbp", PACKET_SUCCESS, "id", 0, "value"},
    {"state", PACKET_STATE, "Running", 0, "running"},
    {"state", PACKET_STATE, "EventCode", 0, "event"},
    {"cpuinfo", PACKET_CPU_INFO, "ActiveCpu", 0, "current"},
    {"cpuinfo", PACKET_CPU_INFO, "CpuCount", 0, "count"},
    {"cpuid", PACKET_CPUID_DATA, "d", 0, "eax"},
    {"cpuid", PACKET_CPUID_DATA, "d", 1, "ebx"},
    {"cpuid", PACKET_CPUID_DATA, "d", 2, "ecx"},
    {"cpuid", PACKET_CPUID_DATA, "d", 3, "edx"},
    {"rdmsr", PACKET_MSR_DATA, "value", 0, "value"},
    {"getctx", PACKET_CONTEXT, "cpumode", 0, "cpu_mode"},
    {"v2p", PACKET_PHYSICAL_ADDRESS, "phys", 0, "address"},
    {"l2p", PACKET_PHYSICAL_ADDRESS, "phys", 0, "address"},
    {"searchvirt", PACKET_SEARCH_HIT, "result", 0, "address"},
    {"searchlin", PACKET_SEARCH_HIT, "result", 0, "address"},
    {"searchphys", PACKET_SEARCH_HIT, "result", 0, "address"},
    {"walklin", PACKET_WALK, "NumEntries", 0, "count"},
    {"walklin", PACKET_WALK, "PageWalkMode", 0, "mode"},
    {"walklin", PACKET_WALK, "LastValidEntry", 0, "last_valid"},
    {"walklin", PACKET_WALK, "ValidTranslation", 0, "valid"},
    {"walkvirt", PACKET_WALK, "NumEntries", 0, "count"},
    {"walkvirt", PACKET_WALK, "PageWalkMode", 0, "mode"},
    {"walkvirt", PACKET_WALK, "LastValidEntry", 0, "last_valid"},
    {"walkvirt", PACKET_WALK, "ValidTranslation", 0, "valid"},
};

// One outcome, cut out of a transcript's comment.
struct outcome {
    char call[16];
    char *text;
};

static bool next_outcome(const char **at, struct outcome *out)
{
    static const char begin[] = "{\"api\": \"";
    const char *start = strstr(*at, begin);
    if (!start) {
        return false;
    }
    const char *end = strstr(start + 1, begin);
    size_t len = end ? (size_t)(end - start) : strlen(start);
    (void)snprintf(out->call, sizeof(out->call), "%.*s", (int)strcspn(start + strlen(begin), "\""),
                   start + strlen(begin));
    out->text = malloc(len + 1);
    assert_non_null(out->text);
    memcpy(out->text, start, len);
    out->text[len] = '\0';
    *at = start + len;
    return true;
}

// The text of a value; NULL when the outcome has none of that name.
static const char *value_text(const struct outcome *outcome, const char *key)
{
    char quoted[32];
    (void)snprintf(quoted, sizeof(quoted), "\"%s\": ", key);
    const char *at = outcome->text ? strstr(outcome->text, quoted) : NULL;
    return at ? at + strlen(quoted) : NULL;
}

static uint64_t value_number(const struct outcome *outcome, const char *key, unsigned index)
{
    const char *at = value_text(outcome, key);
    assert_non_null(at);
    for (; index > 0; index--) {
        at = strchr(at, ',');
        assert_non_null(at);
        at += 2;
    }
    at += strspn(at, "[\"");
    return strtoull(at, NULL, 0);
}

// Whether every output of the call is in this reply. Calls without rows have no outputs.
static bool outcome_fits(const struct outcome *outcome, const struct packet *reply)
{
    size_t num_rows = 0;
    bool is_walk_2018 = reply->kind == PACKET_WALK_2018;
    for (size_t i = 0; i < NUM_OF(output_rows); i++) {
        const struct output_row *row = &output_rows[i];
        if (strcmp(row->call, outcome->call) != 0) {
            continue;
        }
        bool found = false;
        bool same_kind = row->kind == reply->kind || (row->kind == PACKET_WALK && is_walk_2018);
        if (!same_kind || packet_member(reply, row->field, &found) !=
                              value_number(outcome, row->key, row->index)) {
            return false;
        }
        num_rows++;
    }
    return num_rows != 0;
}

static bool some_reply_fits(const struct transcript *transcript, const struct outcome *outcome)
{
    for (size_t i = 0; i < transcript->num_items; i++) {
        struct packet packet;
        const struct item *item = &transcript->items[i];
        if (item->direction == 'D' && item->type == ITEM_PACKET &&
            golden_read(item, bytes, &packet) == PACKET_OK && outcome_fits(outcome, &packet)) {
            return true;
        }
    }
    return false;
}

static bool has_outputs(const struct outcome *outcome)
{
    for (size_t i = 0; i < NUM_OF(output_rows); i++) {
        if (strcmp(output_rows[i].call, outcome->call) == 0) {
            return value_number(outcome, "status", 0) == 0;
        }
    }
    return false;
}

// Replies that the published client interprets though they are of another class, type or kind than
// the call's; and one call that took no CPU mode.
static bool is_from_a_foreign_reply(const char *file)
{
    return strcmp(file, "getcontext_nomode") == 0 || strstr(file, "reply_class_") ||
           strstr(file, "reply_type6_") || strstr(file, "reply_unknown_type_");
}

static size_t check_outcomes(const struct transcript *transcript)
{
    size_t num_outcomes = 0;
    const char *at = transcript->outcomes;
    for (struct outcome outcome = {0}; next_outcome(&at, &outcome); free(outcome.text)) {
        if (has_outputs(&outcome) && !is_from_a_foreign_reply(transcript->name)) {
            assert_true(some_reply_fits(transcript, &outcome));
            num_outcomes++;
        }
    }
    return num_outcomes;
}

static void the_client_returned_what_is_in_the_replies(void **state)
{
    (void)state;
    size_t num_outcomes = 0;
    for (size_t file = 0; file < NUM_GOLDEN_FILES; file++) {
        num_outcomes += check_outcomes(&transcripts[file]);
    }
    assert_int_equal(num_outcomes, 73);
}

static const struct transcript *transcript_named(const char *name)
{
    for (size_t file = 0; file < NUM_GOLDEN_FILES; file++) {
        if (strcmp(transcripts[file].name, name) == 0) {
            return &transcripts[file];
        }
    }
    fail_msg("no transcript %s", name);
    return NULL;
}

// The first packet of the kind.
static void find_packet(const struct transcript *transcript, enum packet_kind kind,
                        struct packet *out)
{
    for (size_t i = 0; i < transcript->num_items; i++) {
        if (golden_read(&transcript->items[i], bytes, out) == PACKET_OK && out->kind == kind) {
            return;
        }
    }
    fail_msg("no such packet in %s", transcript->name);
}

static void check_context(const char *file, size_t num_registers)
{
    const struct transcript *transcript = transcript_named(file);
    struct packet packet = {.kind = NUM_PACKET_KINDS};
    struct context context = {0};
    struct outcome outcome = {0};
    const char *at = transcript->outcomes;
    size_t num = 0;
    find_packet(transcript, PACKET_CONTEXT, &packet);
    context_unpack(packet.context.mask, packet.context.registers, &context);
    assert_true(next_outcome(&at, &outcome));
    for (size_t i = 0; i < NUM_CONTEXT_REGISTERS; i++) {
        bool is_asked = packet.context.mask >> context_registers[i].bit & 1;
        assert_int_equal(value_text(&outcome, context_registers[i].name) != NULL, is_asked);
        if (is_asked) {
            assert_int_equal(context.value[i],
                             value_number(&outcome, context_registers[i].name, 0));
            num++;
        }
    }
    assert_int_equal(num, num_registers);
    free(outcome.text);
}

static void all_65_context_registers_hold_what_the_client_returned(void **state)
{
    (void)state;
    check_context("getcontext_full", 65);
    check_context("serial_getctx_full", 65);
    check_context("pipe_getctx_full", 65);
    check_context("getcontext_seg", 24);
}

static void check_extended(const char *file, size_t num_registers)
{
    const struct transcript *transcript = transcript_named(file);
    struct packet packet = {.kind = NUM_PACKET_KINDS};
    static struct extended_context context;
    struct outcome outcome = {0};
    const char *at = transcript->outcomes;
    size_t num = 0;
    find_packet(transcript, PACKET_EXTENDED_CONTEXT_V1, &packet);
    extended_context_unpack(packet.extended_context_v1.mask, packet.extended_context_v1.registers,
                            &context);
    assert_true(next_outcome(&at, &outcome));
    for (size_t i = 0; i < NUM_EXTENDED_REGISTERS; i++) {
        const struct register_info *info = &extended_registers[i];
        const char *text = value_text(&outcome, info->name);
        assert_int_equal(text != NULL, packet.extended_context_v1.mask >> i & 1);
        for (size_t byte = 0; text && byte < info->size; byte++) {
            const char pair[3] = {text[1 + 2 * byte], text[2 + 2 * byte], '\0'};
            assert_int_equal(context.bytes[info->offset + byte], strtoul(pair, NULL, 16));
        }
        num += text != NULL;
    }
    assert_int_equal(num, num_registers);
    free(outcome.text);
}

static void all_57_extended_registers_hold_what_the_client_returned(void **state)
{
    (void)state;
    check_extended("getextctx_full", 57);
    check_extended("pipe_getctxext_full", 57);
    check_extended("getextctx_fpu", 8);
    check_extended("get_ext_ctx_ymm", 16);
}

// The stand-in and the driver of the client number registers alike, in both directions.
static void a_context_is_set_from_the_same_numbers_as_it_is_read(void **state)
{
    (void)state;
    struct packet packet = {.kind = NUM_PACKET_KINDS};
    struct context got = {0};
    find_packet(transcript_named("setcontext_full"), PACKET_SET_CONTEXT, &packet);
    assert_int_equal(packet.set_context.mask, CONTEXT_FULL_MASK);
    context_unpack(CONTEXT_FULL_MASK, packet.set_context.registers, &got);
    for (size_t i = 0; i < NUM_CONTEXT_REGISTERS; i++) {
        uint64_t low = got.value[i] & 0xFF;
        uint64_t size_mask = UINT64_MAX >> (64 - 8 * context_registers[i].size);
        assert_int_equal(got.value[i], (low * UINT64_C(0x0101010101010101)) & size_mask);
        assert_int_equal(low, (got.value[0] + i) & 0xFF);
    }
}

// Compares the bytes that the first read of a transcript returned, as far as its comment shows
// them, with its first reply. Returns how many.
static size_t check_read(const struct transcript *transcript)
{
    struct outcome outcome = {0};
    const char *at = transcript->outcomes;
    size_t item = 0;
    struct packet packet = {.kind = NUM_PACKET_KINDS};
    while (transcript->items[item].direction != 'D') {
        item++;
    }
    assert_int_equal(golden_read(&transcript->items[item], bytes, &packet), PACKET_OK);
    assert_true(next_outcome(&at, &outcome));
    const char *text = value_text(&outcome, "data") + 1;
    bool found = false;
    uint64_t length = packet_member(&packet, "length", &found);
    size_t i = 0;
    for (; i < length && text[2 * i] != '"' && text[2 * i] != '.'; i++) {
        const char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};
        assert_int_equal(packet_tail(&packet)[i], strtoul(pair, NULL, 16));
    }
    free(outcome.text);
    return i;
}

static void reads_return_the_bytes_of_their_replies(void **state)
{
    (void)state;
    static const char *const files[] = {
        "readphys_64",           "readlin_64",          "readvirt_40000",
        "serial_readphys_40000", "readlin_40000",       "readphys_100000",
        "pipe_readphys_64",      "serial_readphys_300", "readio_d",
    };
    size_t num_bytes = 0;
    for (size_t i = 0; i < NUM_OF(files); i++) {
        num_bytes += check_read(transcript_named(files[i]));
    }
    assert_true(num_bytes > 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_returned_what_is_in_the_replies),
        cmocka_unit_test(all_65_context_registers_hold_what_the_client_returned),
        cmocka_unit_test(all_57_extended_registers_hold_what_the_client_returned),
        cmocka_unit_test(a_context_is_set_from_the_same_numbers_as_it_is_read),
        cmocka_unit_test(reads_return_the_bytes_of_their_replies),
    };
    golden_load(transcripts);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    golden_cleanup(transcripts);
    return failed;
}
