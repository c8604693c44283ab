// Searches without an end that anybody could wait for: what a slice of them does is bounded, others
// are served between slices, and a break-in or the peer's leaving ends them.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "long64.h"
#include "machine.h"
#include "rig.h"
#include "search.h"

enum {
    PAGE = 4096,
    NUM_TABLES = 4,
    NUM_ENTRIES = 512,
    PRESENT = 1,
    ENOUGH_SLICES = 200, // to see that each of them is bounded
};

#define TIMEOUT UINT64_C(0xC0000007)

// Four tables, each of whose entries leads to the next and at last to one page: it is mapped 2^36
// times, at every canonical address.
#define ROOT          LONG64_FREE
#define TABLE(n)      (ROOT + UINT64_C(0x1000) * (n))
#define ENDLESS_PAGE  TABLE(NUM_TABLES)
#define HALF_A_SPACE  (UINT64_C(1) << 47)
#define UPPER_HALF    (UINT64_MAX - HALF_A_SPACE + 1)
#define UNUSED        (LONG64_FREE + UINT64_C(0x10000)) // guest-physical
#define UNUSED_LINEAR (LONG64_2M_PAGE + UINT64_C(0x10000))
#define UNUSED_LEN    UINT64_C(0x80000)

typedef size_t poke_fn(void *target, uint64_t guest_phys, const void *bytes, size_t len);

static void make_endless(poke_fn *poke, void *target)
{
    for (unsigned table = 0; table < NUM_TABLES; table++) {
        uint64_t entries[NUM_ENTRIES];
        for (size_t i = 0; i < NUM_ENTRIES; i++) {
            entries[i] = TABLE(table + 1) | PRESENT;
        }
        poke(target, TABLE(table), entries, sizeof(entries));
    }
}

static size_t poke_machine(void *target, uint64_t guest_phys, const void *bytes, size_t len)
{
    return memory_write(target, guest_phys, bytes, len);
}

static size_t poke_pulsim(void *target, uint64_t guest_phys, const void *bytes, size_t len)
{
    return pulsim_poke(target, guest_phys, bytes, len);
}

// --- what a slice does ------------------------------------------------------------------------

struct slice_row {
    const char *name;
    enum target_space space;
    uint64_t root;
    uint64_t start, end;
    uint32_t step;
    uint32_t pattern_len; // zeros and at the end, or for `first` at the beginning, what is nowhere
    bool first;
    uint64_t most; // candidates in one slice
};

// Of candidates of a long pattern that is looked for with memmem.
#define SCANNED (SEARCH_SLICE_WORK / 2)
// Of candidates that are compared to their end, at 32 bytes for a unit of work.
#define COMPARED(len) ((uint64_t)SEARCH_SLICE_WORK / ((len) / 32) + 1)
// Of pages that are each found by a walk.
#define WALKED (SEARCH_SLICE_WORK / SEARCH_WALK_WORK * (uint64_t)PAGE + PAGE)

static struct slice_row slice_rows[] = {
    {"one page 2^36 times, upwards", TARGET_LINEAR, ROOT, 0, UINT64_MAX, 1, 8, .most = WALKED},
    {"one page 2^36 times, downwards", TARGET_LINEAR, ROOT, UINT64_MAX, 0, 1, 8, .most = WALKED},
    {"one page 2^36 times, page by page", TARGET_LINEAR, ROOT, 0, UINT64_MAX, PAGE, 8,
     .most = WALKED / PAGE},
    {"one page 2^36 times, at its end", TARGET_LINEAR, ROOT, PAGE - 4, UINT64_MAX, PAGE, 8,
     .most = WALKED / PAGE / 3},
    {"one page 2^36 times, 4,096 bytes", TARGET_LINEAR, ROOT, 0, UINT64_MAX, 1, PAGE,
     .most = WALKED / PAGE / 2},
    {"one page 2^36 times, a selector", TARGET_VIRTUAL, ROOT, 0, HALF_A_SPACE - 1, PAGE, 8,
     .most = WALKED / PAGE / 2},
    {"zeros, a long pattern, upwards", TARGET_PHYSICAL, 0, UNUSED, UNUSED + UNUSED_LEN, 1, PAGE,
     .most = SCANNED},
    {"zeros, a long pattern, downwards", TARGET_PHYSICAL, 0, UNUSED + UNUSED_LEN, UNUSED, 1, PAGE,
     .most = COMPARED(PAGE)},
    {"zeros, a long pattern, every other", TARGET_PHYSICAL, 0, UNUSED, UNUSED + UNUSED_LEN, 2, PAGE,
     .most = COMPARED(PAGE)},
    {"zeros, a long pattern, every third down", TARGET_PHYSICAL, 0, UNUSED + UNUSED_LEN, UNUSED, 3,
     PAGE, .most = COMPARED(PAGE)},
    {"zeros, what is missing stands first", TARGET_PHYSICAL, 0, UNUSED, UNUSED + UNUSED_LEN, 1,
     PAGE, .first = true, .most = SCANNED},
    {"zeros, 256 bytes", TARGET_PHYSICAL, 0, UNUSED, UNUSED + UNUSED_LEN, 1, 256,
     .most = COMPARED(256)},
    {"zeros through a large page, upwards", TARGET_LINEAR, LONG64_CR3, UNUSED_LINEAR,
     UNUSED_LINEAR + UNUSED_LEN, 1, 512, .most = SCANNED},
    {"zeros through a large page, downwards", TARGET_LINEAR, LONG64_CR3, UNUSED_LINEAR + UNUSED_LEN,
     UNUSED_LINEAR, 1, 512, .most = COMPARED(512)},
};

static struct target_search search_of(const struct slice_row *row)
{
    struct target_search search = {
        .where = {.space = row->space, .root = row->root},
        .start = row->start,
        .end = row->end,
        .step = row->step,
        .ignore_gaps = true,
        .pattern_len = row->pattern_len,
    };
    search.pattern[row->first ? 0 : row->pattern_len - 1] = 0xA7;
    return search;
}

// Candidates between two places of a search; a gap between the halves of the space is none.
static uint64_t candidates_between(const struct target_search *search, uint64_t before)
{
    uint64_t distance =
        search->start <= search->end ? search->next - before : before - search->next;
    return distance / search->step;
}

static void a_slice_is_bounded(void **state)
{
    const struct slice_row *row = *state;
    const char *error = NULL;
    struct machine *machine = machine_new(target_find("long64"), &error);
    assert_non_null(machine);
    make_endless(poke_machine, &machine->memory);
    struct target_search search = search_of(row);
    enum pulse_status status = STATUS_PENDING;
    uint64_t total = 0;
    for (unsigned i = 0; i < ENOUGH_SLICES && status == STATUS_PENDING; i++) {
        uint64_t before = search.started ? search.next : row->start;
        int64_t work = SEARCH_SLICE_WORK;
        uint64_t address = 0;
        status = search_run(machine, &search, &work, &address);
        uint64_t candidates = candidates_between(&search, before);
        assert_true(candidates <= row->most + 1);
        // The last candidate's bytes lie in three pages at most, and are no longer than a page.
        assert_true(work > -(6 * SEARCH_SEGMENT_WORK + 2 * PAGE));
        assert_true(status != STATUS_PENDING || work <= 0);
        total += candidates;
    }
    // It is not bounded by doing nothing.
    assert_true(total >= row->most / 8);
    bool is_endless = row->root == ROOT;
    assert_true(!is_endless || status == STATUS_PENDING);
    machine_free(machine);
}

// --- what others see --------------------------------------------------------------------------

struct endless_row {
    const char *name;
    enum packet_kind kind;
    uint64_t start, end;
    uint32_t step;
};

static struct endless_row endless_rows[] = {
    {"linear, upwards", PACKET_SEARCH_LINEAR, 0, UINT64_MAX, 1},
    {"linear, downwards", PACKET_SEARCH_LINEAR, UINT64_MAX, 0, 1},
    {"linear, in steps", PACKET_SEARCH_LINEAR, 5, UINT64_MAX, 4093},
    {"linear, downwards in steps", PACKET_SEARCH_LINEAR, UINT64_MAX - 5, 3, 4099},
    {"virtual, upwards", PACKET_SEARCH_VIRTUAL, 0, UINT64_MAX, 1},
    {"virtual, downwards", PACKET_SEARCH_VIRTUAL, UINT64_MAX, 0, 1},
};

struct pair {
    struct rig rig; // its peer searches
    struct pulsim_peer *other;
    uint32_t last_id; // of the other
};

static void begin_endless(struct pair *pair, const struct endless_row *row)
{
    static const uint8_t pattern[] = "\xA7 it is nowhere \xA7";
    rig_open(&pair->rig, PROTOCOL_V2, false);
    pair->other = pulsim_peer_new(pair->rig.pulsim);
    pair->last_id = 5000;
    assert_non_null(pair->other);
    make_endless(poke_pulsim, pair->rig.pulsim);
    struct packet request = {.kind = PACKET_SEARCH_LINEAR,
                             .search_linear = {.root = ROOT,
                                               .start = row->start,
                                               .end = row->end,
                                               .step = row->step,
                                               .ignore_gaps = 1,
                                               .length = sizeof(pattern),
                                               .pattern = pattern}};
    if (row->kind == PACKET_SEARCH_VIRTUAL) {
        request = (struct packet){.kind = PACKET_SEARCH_VIRTUAL,
                                  .search_virtual = {.root = ROOT,
                                                     .start = row->start,
                                                     .end = row->end,
                                                     .step = row->step,
                                                     .ignore_gaps = 1,
                                                     .length = sizeof(pattern),
                                                     .pattern = pattern}};
    }
    rig_ask(&pair->rig, &request);
    assert_false(pair->rig.has_reply);
}

// The other peer asks, and is answered at once.
static struct packet ask_other(struct pair *pair, struct packet *request)
{
    const void *reply = NULL;
    size_t len = 0;
    request->header.version = PROTOCOL_V2;
    request->header.id = ++pair->last_id;
    len = packet_write(request, pair->rig.bytes, sizeof(pair->rig.bytes));
    pulsim_request(pair->other, pair->rig.bytes, len, &reply, &len);
    struct packet out;
    assert_int_equal(packet_read(PROTOCOL_V2, reply, len, &out), PACKET_OK);
    assert_int_equal(out.header.id, pair->last_id);
    return out;
}

static void others_are_served_and_a_break_in_ends_it(void **state)
{
    static struct pair pair;
    begin_endless(&pair, *state);
    for (unsigned i = 0; i < 20; i++) {
        rig_continue(&pair.rig);
        assert_false(pair.rig.has_reply);
        struct packet read = {
            .kind = PACKET_READ_LINEAR,
            .read_linear = {.root = ROOT, .address = (uint64_t)i * PAGE, .length = 16}};
        assert_int_equal(ask_other(&pair, &read).kind, PACKET_LINEAR_DATA);
    }
    struct packet break_in = rig_plain(PACKET_BREAK_IN);
    assert_int_equal(ask_other(&pair, &break_in).kind, PACKET_SUCCESS);
    rig_continue(&pair.rig);
    assert_true(pair.rig.has_reply);
    assert_int_equal(pair.rig.reply.header.id, pair.rig.last_id);
    assert_int_equal(pair.rig.reply.kind, PACKET_STATUS);
    assert_int_equal(pair.rig.reply.status.status, TIMEOUT);
    const void *reply = NULL;
    size_t len = 0;
    assert_false(pulsim_continue(pair.other, &reply, &len));
    rig_close(&pair.rig);
}

static void it_ends_when_its_peer_leaves(void **state)
{
    static struct pair pair;
    const void *reply = NULL;
    size_t len = 0;
    begin_endless(&pair, *state);
    assert_true(pulsim_continue(pair.other, &reply, &len));
    pulsim_peer_free(pair.rig.peer);
    assert_false(pulsim_continue(pair.other, &reply, &len));
    assert_int_equal(len, 0);
    rig_close(&pair.rig);
}

// --------------------------------------------------------------------------------------------

#define RUN_ROWS(failed, group, rows, check)                                                       \
    do {                                                                                           \
        enum { NUM_ROWS = sizeof(rows) / sizeof((rows)[0]) };                                      \
        struct CMUnitTest tests[NUM_ROWS];                                                         \
        for (size_t i = 0; i < NUM_ROWS; i++) {                                                    \
            tests[i] = (struct CMUnitTest){                                                        \
                .name = (rows)[i].name, .test_func = (check), .initial_state = &(rows)[i]};        \
        }                                                                                          \
        (failed) += cmocka_run_group_tests_name(group, tests, NULL, NULL);                         \
    } while (0)

int main(void)
{
    int failed = 0;
    RUN_ROWS(failed, "slices", slice_rows, a_slice_is_bounded);
    RUN_ROWS(failed, "break-in", endless_rows, others_are_served_and_a_break_in_ends_it);
    RUN_ROWS(failed, "leaving", endless_rows, it_ends_when_its_peer_leaves);
    return failed;
}
