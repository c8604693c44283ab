// The numbers in the transcripts' requests against what the published client was asked to do.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_rows.h"
#include "golden_files.h"
#include "packet_member.h"
#include "protocol/bytes.h"

static struct transcript transcripts[NUM_GOLDEN_FILES];
static uint8_t bytes[TRANSCRIPT_BYTES_MAX];

enum { MOST_WORDS = 10 };

// A call and the request it makes. Fields stand in the order of the call's arguments; "-" is an
// argument that no field repeats. A field behind "from " is where a transfer in chunks begins, and
// "most " is its length.
struct request_row {
    const char *call;
    enum packet_kind kind;
    const char *fields[MOST_WORDS];
};

static const struct request_row request_rows[] = {
    {"ping", PACKET_PING, {0}},
    {"getctx", PACKET_GET_CONTEXT, {"mask", "-"}},
    {"setctx", PACKET_SET_CONTEXT, {"mask"}},
    {"getctxext", PACKET_GET_EXTENDED_CONTEXT_V1, {"mask"}},
    {"setctxext", PACKET_SET_EXTENDED_CONTEXT_V1, {"mask"}},
    {"readvirt", PACKET_READ_VIRTUAL, {"root", "selector", "from offset", "most length"}},
    {"writevirt", PACKET_WRITE_VIRTUAL, {"root", "selector", "from offset", "most length"}},
    {"readlin", PACKET_READ_LINEAR, {"root", "from address", "most length"}},
    {"writelin", PACKET_WRITE_LINEAR, {"root", "from address", "most length"}},
    {"readphys", PACKET_READ_PHYSICAL, {"from address", "most length"}},
    {"writephys", PACKET_WRITE_PHYSICAL, {"from address", "most length"}},
    {"readio", PACKET_READ_IO, {"port", "access_size", "most length"}},
    {"writeio", PACKET_WRITE_IO, {"port", "access_size", "most length"}},
    {"state", PACKET_GET_STATE, {0}},
    {"cpuinfo", PACKET_GET_CPU_INFO, {0}},
    {"cpuid", PACKET_CPUID, {"leaf", "subleaf"}},
    {"setbp", PACKET_SET_BREAKPOINT, {"address"}},
    {"rmbp", PACKET_REMOVE_BREAKPOINT_V1, {"breakpoint"}},
    {"addfilter",
     PACKET_ADD_FILTER_V1,
     {"breakpoint", "page_table", "address", "thread_base", "selector"}},
    {"rmfilter",
     PACKET_REMOVE_FILTER_V1,
     {"breakpoint", "page_table", "address", "thread_base", "selector"}},
    {"rdmsr", PACKET_READ_MSR, {"index"}},
    {"wrmsr", PACKET_WRITE_MSR, {"index", "value"}},
    {"searchvirt",
     PACKET_SEARCH_VIRTUAL,
     {"root", "selector", "start", "end", "most length", "step", "ignore_gaps"}},
    // Sent with the type of a virtual search: what is common to both layouts.
    {"searchlin", PACKET_SEARCH_VIRTUAL, {"root", "start", "end", "-", "selector", "-"}},
    {"searchphys", PACKET_SEARCH_VIRTUAL, {"root", "start", "-", "-", "-"}},
    {"walkvirt", PACKET_WALK_VIRTUAL, {"root", "selector", "offset"}},
    {"walklin", PACKET_WALK_LINEAR, {"root", "address"}},
    {"v2p", PACKET_VIRTUAL_TO_PHYSICAL, {"root", "selector", "offset"}},
    {"l2p", PACKET_LINEAR_TO_PHYSICAL, {"root", "address"}},
    {"clearbp", PACKET_CLEAR_BREAKPOINTS, {0}},
    {"breakin", PACKET_BREAK_IN, {0}},
    {"go", PACKET_GO, {0}},
    {"step 0", PACKET_STEP, {0}},
    {"step 1", PACKET_STEP_SUPPRESSED, {0}},
    {"reboot", PACKET_REBOOT, {0}},
    {"switchcpu", PACKET_REBOOT, {"-"}}, // and no CPU number
};

// A call of a transcript, cut into words.
struct call {
    char text[256];
    char *words[MOST_WORDS];
    size_t num_words;
    const struct request_row *row; // NULL: it sends nothing
};

// The call at *at, which moves behind it.
static bool next_call(const char **at, struct call *out)
{
    if (**at == '\0') {
        return false;
    }
    const char *end = strstr(*at, " -- ");
    size_t len = end ? (size_t)(end - *at) : strlen(*at);
    assert_true(len < sizeof(out->text));
    *out = (struct call){.row = NULL};
    memcpy(out->text, *at, len);
    *at += len + (end ? strlen(" -- ") : 0);
    for (size_t i = 0; i < NUM_OF(request_rows); i++) {
        size_t name_len = strlen(request_rows[i].call);
        if (strncmp(out->text, request_rows[i].call, name_len) == 0 &&
            (out->text[name_len] == ' ' || out->text[name_len] == '\0')) {
            out->row = &request_rows[i];
        }
    }
    char *rest = NULL;
    for (char *word = strtok_r(out->text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (strcmp(word, "--") == 0) {
            break; // the last one of a list that ends with it
        }
        assert_true(out->num_words < MOST_WORDS);
        out->words[out->num_words++] = word;
    }
    return true;
}

// "64" as a length, "#64" and hex digits as data of that length.
static uint64_t length_of(const char *call, const char *word)
{
    if (word[0] == '#') {
        return strtoull(word + 1, NULL, 0);
    }
    bool is_data = strncmp(call, "read", 4) != 0;
    return is_data ? strlen(word) / 2 : strtoull(word, NULL, 0);
}

static bool argument_fits(const struct call *call, const char *field, const char *word,
                          const struct packet *packet)
{
    bool is_start = strncmp(field, "from ", 5) == 0;
    bool is_length = strncmp(field, "most ", 5) == 0;
    bool found = false;
    uint64_t value = packet_member(packet, field + (is_start || is_length ? 5 : 0), &found);
    if (strcmp(field, "-") == 0) {
        return true;
    }
    assert_true(found);
    if (is_length) {
        return value != 0 && value <= length_of(call->row->call, word);
    }
    uint64_t wanted = strtoull(word, NULL, 0);
    return is_start ? value >= wanted && value - wanted < 400000 : value == wanted;
}

static bool request_fits(const struct call *call, const struct packet *packet)
{
    size_t first = strncmp(call->row->call, "step", 4) == 0 ? 2 : 1;
    if (packet->kind != call->row->kind) {
        return false;
    }
    for (size_t i = first; i < call->num_words; i++) {
        const char *field = call->row->fields[i - first];
        assert_non_null(field); // the row has one for every argument
        if (!argument_fits(call, field, call->words[i], packet)) {
            return false;
        }
    }
    return true;
}

// A call whose request never leaves the client: nothing to transfer, a pattern too long, or a
// length that cannot be sent.
static bool is_silent(const char *file, const char *call)
{
    if (strcmp(file, "write_short_count_x20") == 0 && strcmp(call, "state") == 0) {
        return true; // the client was deaf by then and never came so far
    }
    return strcmp(file, "readphys_0") == 0 || strcmp(file, "writephys_0") == 0 ||
           strcmp(file, "searchvirt_patsize_4097") == 0 || strstr(file, "searchlin_4bytes");
}

static bool some_call_fits(const struct transcript *transcript, const struct packet *packet)
{
    struct call call;
    for (const char *at = transcript->calls; next_call(&at, &call);) {
        if (call.row && request_fits(&call, packet)) {
            return true;
        }
    }
    return false;
}

static void requests_hold_the_arguments_of_their_calls(void **state)
{
    (void)state;
    size_t num_requests = 0;
    for (struct golden_cursor at = {0}; golden_next(transcripts, &at);) {
        struct packet packet;
        bool is_request = at.item->direction == 'C' && golden_is_packet(at.item) &&
                          golden_read(at.item, bytes, &packet) == PACKET_OK &&
                          packet.kind != PACKET_RESEND;
        assert_true(!is_request || some_call_fits(at.transcript, &packet));
        num_requests += is_request;
    }
    assert_int_equal(num_requests, 429);
}

static bool some_request_fits(const struct transcript *transcript, const struct call *call)
{
    for (size_t i = 0; i < transcript->num_items; i++) {
        const struct item *item = &transcript->items[i];
        struct packet packet;
        if (item->direction == 'C' && golden_read(item, bytes, &packet) == PACKET_OK &&
            request_fits(call, &packet)) {
            return true;
        }
    }
    return false;
}

static void check_calls(const struct transcript *transcript)
{
    // The one write whose packet is too long for any packet_read.
    bool is_too_long = strcmp(transcript->name, "writeio_20000") == 0;
    struct call call;
    for (const char *at = transcript->calls; next_call(&at, &call);) {
        bool should_send = call.row && !is_too_long && !is_silent(transcript->name, call.text);
        bool sent = call.row && some_request_fits(transcript, &call);
        assert_int_equal(sent, should_send);
    }
}

static void every_call_has_sent_its_request(void **state)
{
    (void)state;
    for (size_t file = 0; file < NUM_GOLDEN_FILES; file++) {
        check_calls(&transcripts[file]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_hold_the_arguments_of_their_calls),
        cmocka_unit_test(every_call_has_sent_its_request),
    };
    golden_load(transcripts);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    golden_cleanup(transcripts);
    return failed;
}
