// Every call, from its words to the packet that goes out, and from the reply to its line of JSON.
// Packets are written as class, type and body in hexadecimal, without version and id.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "client_fixture.h"
#include "protocol/status.h"

struct row {
    uint32_t version;
    const char *words;
    const char *request;
    const char *reply;
    const char *outputs; // JSON; with the status in front unless it is success
};

#define OK "010000 0000000000000000"

static struct row rows[] = {
    {2, "ping", "000000", OK, "{}"},
    {2, "state", "000d00", "010800 0106", "{'pStateInfo':{'Running':'0x1','EventCode':'0x6'}}"},
    {2, "cpu-info", "000e00", "010900 0204", "{'pActiveCpu':'0x2','pCpuCount':'0x4'}"},
    {2, "cpuid 0x80000001 2", "000f00 01000080 02000000",
     "010a00 11000000 22000000 33000000 44000000", "{'CpuIdData':['0x11','0x22','0x33','0x44']}"},
    {2, "target-info", "004600",
     "014600 02 01 02 34 30 00 0400 00f00000 0004 0004 00100000 0100 0000"
     " ffffffff00000000 7f00000000000000 efcdab8967452301",
     "{'pTargetInfo':{'Version':'0x2','LowestVersion':'0x1','HighestVersion':'0x2',"
     "'PhysicalAddressBits':'0x34','LinearAddressBits':'0x30','CpuCount':'0x4',"
     "'LargestPacket':'0xf000','BreakPointLimit':'0x400','FilterLimit':'0x400',"
     "'LongestPattern':'0x1000','OutstandingRequests':'0x1',"
     "'TypesServed':['0xffffffff','0x7f'],'Instance':'0x123456789abcdef'}}"},
    {2, "break-in", "020000", OK, "{}"},
    {2, "go", "020100", OK, "{}"},
    {2, "step", "020200", OK, "{}"},
    {2, "step 0", "020200", OK, "{}"},
    {2, "step 1", "020400", OK, "{}"},
    {2, "step 2", "020400", OK, "{}"},
    {2, "switch-cpu 3", "020300 0300000000000000", OK, "{}"},
    {2, "switch-cpu 3", "020300 0300000000000000", "010100 2100000000000000",
     "{'status':'0x00000021','status_name':'BARRIER_ALREADY_OWNED'}"},
    {2, "reboot", "020500", OK, "{}"},

    {2, "read-virtual 0x1000 0x10 0x2000 4",
     "000500 0010000000000000 0020000000000000 1000 04000000",
     "010400 0010000000000000 0020000000000000 1000 04000000 deadbeef",
     "{'pBuffer':'deadbeef','pcbRead':'0x4'}"},
    {2, "write-virtual 0x1000 0x10 0x2000 0011aaFF",
     "000600 0010000000000000 0020000000000000 1000 04000000 0011aaff", "010000 0400000000000000",
     "{'pcbWritten':'0x4'}"},
    {2, "read-linear 0x1000 0x2000 3", "000700 0010000000000000 0020000000000000 03000000",
     "010500 0010000000000000 0020000000000000 02000000 c0de",
     "{'status':'0x00000001','status_name':'PARTIAL_READ','pBuffer':'c0de','pcbRead':'0x2'}"},
    {2, "write-linear 0x1000 0x2000 90*3",
     "000800 0010000000000000 0020000000000000 03000000 909090", "010000 0100000000000000",
     "{'status':'0x00000002','status_name':'PARTIAL_WRITE','pcbWritten':'0x1'}"},
    {2, "read-physical 0x2000 1", "000900 0020000000000000 01000000",
     "010600 0020000000000000 01000000 7f", "{'pBuffer':'7f','pcbRead':'0x1'}"},
    {2, "read-physical 0x2000 1", "000900 0020000000000000 01000000", "010100 100000c000000000",
     "{'status':'0xc0000010','status_name':'INVALID_PARAMETER','pcbRead':'0x0'}"},
    {2, "write-physical 0x2000 7f", "000a00 0020000000000000 01000000 7f",
     "010000 0100000000000000", "{'pcbWritten':'0x1'}"},
    {2, "read-mmio-virtual 0x1000 0x10 0x2000 4 6 4",
     "004000 0010000000000000 0020000000000000 1000 04 06 04000000",
     "014000 0010000000000000 0020000000000000 1000 04 00 04000000 01020304",
     "{'pCacheType':'0x0','pBuffer':'01020304','pcbRead':'0x4'}"},
    {2, "write-mmio-virtual 0x1000 0x10 0x2000 4 6 01020304",
     "004100 0010000000000000 0020000000000000 1000 04 06 04000000 01020304",
     "014100 0400000000000000 00", "{'pCacheType':'0x0','pcbWritten':'0x4'}"},
    {2, "read-mmio-linear 0x1000 0x2000 2 7 2",
     "004200 0010000000000000 0020000000000000 02 07 02000000",
     "014200 0010000000000000 0020000000000000 02 07 02000000 0102",
     "{'pCacheType':'0x7','pBuffer':'0102','pcbRead':'0x2'}"},
    {2, "write-mmio-linear 0x1000 0x2000 2 7 0102",
     "004300 0010000000000000 0020000000000000 02 07 02000000 0102", "014100 0200000000000000 07",
     "{'pCacheType':'0x7','pcbWritten':'0x2'}"},
    {2, "read-mmio-physical 0x2000 8 1 8", "004400 0020000000000000 08 01 08000000",
     "014400 0020000000000000 08 01 08000000 0102030405060708",
     "{'pCacheType':'0x1','pBuffer':'0102030405060708','pcbRead':'0x8'}"},
    {2, "write-mmio-physical 0x2000 8 1 ff*8",
     "004500 0020000000000000 08 01 08000000 ffffffffffffffff", "014100 0800000000000000 01",
     "{'pCacheType':'0x1','pcbWritten':'0x8'}"},
    {2, "read-io 0x60 2 2", "000b00 6000 02000000 0200", "010700 6000 02000000 0200 aabb",
     "{'pBuffer':'aabb','pcbRead':'0x2'}"},
    {2, "read-io 0x60 3 4", "000b00 6000 04000000 0300", "010100 0a0000c000000000",
     "{'status':'0xc000000a','status_name':'INVALID_ACCESS_SIZE','pcbRead':'0x0'}"},
    {2, "write-io 0x60 2 aabb", "000c00 6000 02000000 0200 aabb", "010000 0200000000000000",
     "{'pcbWritten':'0x2'}"},
    {2, "read-msr 0x174", "001400 74010000", "010b00 74010000 0800000000000000",
     "{'pMsrValue':'0x8'}"},
    {2, "read-msr 0x999", "001400 99090000", "010100 0d0001c000000000",
     "{'status':'0xc001000d','status_name':'EXCEPTION_GENERAL_PROTECTION'}"},
    {2, "write-msr 372 8", "001500 74010000 0800000000000000", OK, "{}"},

    {2, "get-context 0x80003", "000100 0300080000000000",
     "010200 05 0300080000000000 0010000000000000 0020000000000000 0800",
     "{'pContext':{'rip':'0x1000','cr3':'0x2000','cs':'0x8'},'pCpuMode':'0x5'}"},
    {2, "get-context 0", "000100 0000000000000000", "010200 00 0000000000000000",
     "{'pContext':{},'pCpuMode':'0x0'}"},
    {2, "get-context 0x8000000000000000", "000100 0000000000000080",
     "010200 05 0000000000000080 0100000000000000 0200000000000000",
     "{'pContext':{'dr6':'0x1','dr7':'0x2'},'pCpuMode':'0x5'}"},
    {2, "set-context rax=1 cs=0x10 rip=0xffffffff80000000",
     "000200 0900080000000000 00000080ffffffff 0100000000000000 1000", OK, "{}"},
    {2, "set-context dr6=0xffff0ff0 dr7=0x400",
     "000200 0000000000000080 f00fffff00000000 0004000000000000", OK, "{}"},
    {2, "get-extended-context 0x2800081", "000300 00 8100800200000000",
     "010300 00 8100800200000000 0700000000000000 00112233445566778899 801f0000"
     " 000102030405060708090a0b0c0d0e0f",
     "{'pContextExt':{'xcr0':'0x7','st0':'00112233445566778899','mxcsr':'0x1f80',"
     "'xmm0':'000102030405060708090a0b0c0d0e0f'},'pExtRegMask':'0x2800081'}"},
    {2, "get-extended-context 0xffffffffffffffff", "000300 00 ffffffffffffffff",
     "010300 00 0100000000000000 0700000000000000",
     "{'pContextExt':{'xcr0':'0x7'},'pExtRegMask':'0x1'}"},
    {2, "set-extended-context mxcsr=1fa0 mm7=0xfedcba9876543210 xmm15=11*16",
     "000400 00 0000c00000010000 1032547698badcfe a01f0000 11111111111111111111111111111111", OK,
     "{}"},

    {2, "search-virtual 0x1000 0x10 0x2000 0x3000 c0de 1 1",
     "001600 0010000000000000 0020000000000000 0030000000000000 1000 01000000 01 02000000 c0de",
     "010c00 0528000000000000", "{'pResult':'0x2805'}"},
    {2, "search-linear 0x1000 0x2000 0x3000 c0de 0x10 0",
     "001700 0010000000000000 0020000000000000 0030000000000000 10000000 00 02000000 c0de",
     "010100 090000c000000000", "{'status':'0xc0000009','status_name':'NOT_FOUND'}"},
    {2, "search-physical 0x3000 0x2000 c0de 2 0",
     "001800 0030000000000000 0020000000000000 02000000 00 02000000 c0de",
     "010c00 0020000000000000", "{'pResult':'0x2000'}"},
    {2, "walk-virtual 0x1000 0x10 0x2000", "001900 0010000000000000 1000 0020000000000000",
     "010d00 03 01 02 01 6710000000000000 e720000000000000",
     "{'pPageWalkInfo':{'NumEntries':'0x2','MaxEntries':'0x4','PageWalkMode':'0x3',"
     "'LastValidEntry':'0x1','ValidTranslation':'0x1','Entry':['0x1067','0x20e7']}}"},
    {2, "walk-linear 0x1000 0x2000", "001a00 0010000000000000 0020000000000000",
     "010d00 04 00 01 ff 0000000000000000",
     "{'pPageWalkInfo':{'NumEntries':'0x1','MaxEntries':'0x5','PageWalkMode':'0x4',"
     "'LastValidEntry':'0xff','ValidTranslation':'0x0','Entry':['0x0']}}"},
    {2, "walk-linear 0 0x2000", "001a00 0000000000000000 0020000000000000", "010d00 00 01 00 ff",
     "{'pPageWalkInfo':{'NumEntries':'0x0','MaxEntries':'0x0','PageWalkMode':'0x0',"
     "'LastValidEntry':'0xff','ValidTranslation':'0x1','Entry':[]}}"},
    {2, "virtual-to-physical 0x1000 0x10 0x2000", "001b00 0010000000000000 1000 0020000000000000",
     "010e00 0050000000000000", "{'pPhysicalAddress':'0x5000'}"},
    {2, "linear-to-physical 0x1000 0x2000", "001c00 0010000000000000 0020000000000000",
     "010100 210000c000000000", "{'status':'0xc0000021','status_name':'INVALID_TRANSLATION'}"},

    {2, "set-breakpoint 0x5000", "001000 0050000000000000", "010000 0700000000000000",
     "{'pBreakPointId':'0x7'}"},
    {2, "remove-breakpoint 7", "001100 0700", OK, "{}"},
    {2, "clear-breakpoints", "001f00", OK, "{}"},
    {2, "breakpoints", "001d00 0100 0004",
     "010f00 0100 0200 0300 0000 0100 90 00 0500 0200 0050000000000000"
     " 0200 cc 00 ffff 0000 0060000000000000",
     "{'pBreakPointInfoArray':[{'Id':'0x1','OriginalByte':'0x90','Flags':'0x0','HitCount':'0x5',"
     "'FilterCount':'0x2','PhysAddress':'0x5000'},{'Id':'0x2','OriginalByte':'0xcc',"
     "'Flags':'0x0','HitCount':'0xffff','FilterCount':'0x0','PhysAddress':'0x6000'}],"
     "'pCount':'0x2','pTotalCount':'0x3'}"},
    {2, "breakpoints 9", "001d00 0900 0004", "010f00 0900 0000 0300 0000",
     "{'pBreakPointInfoArray':[],'pCount':'0x0','pTotalCount':'0x3'}"},
    {2, "filters 7 2", "001e00 0700 0200 0004",
     "011000 0700 0200 0100 0300 0400 0800 0300 1000 1111000000000000 2222000000000000"
     " 3333000000000000 4444000000000000",
     "{'pBreakPointFilterInfoArray':[{'Id':'0x4','SegmentSelector':'0x8','MatchFlags':'0x3',"
     "'SkipFlags':'0x10','PageTableAddress':'0x1111','Address':'0x2222',"
     "'FsBaseAddress':'0x3333','GsBaseAddress':'0x4444'}],'pCount':'0x1'}"},
    {2, "add-filter 7 match-cr3=0x1000 skip-address=0x2000 selector=8 fs=3 skip-gs=4",
     "001200 0700 1500 0a00 0800 0010000000000000 0020000000000000 0300000000000000"
     " 0400000000000000",
     "010000 0400000000000000", "{'pBreakPointFilterId':'0x4'}"},
    {2, "add-filter 7",
     "001200 0700 0000 0000 0000 0000000000000000 0000000000000000"
     " 0000000000000000 0000000000000000",
     "010100 100000c000000000", "{'status':'0xc0000010','status_name':'INVALID_PARAMETER'}"},
    {2, "remove-filter 7 4", "001300 0700 0400", OK, "{}"},

    {1, "ping", "000000", OK, "{}"},
    {1, "break-in", "020000", "030100", "{}"},
    {1, "go", "020100", "030200", "{}"},
    {1, "read-physical 0x2000 2", "000900 0020000000000000 02000000",
     "010600 0020000000000000 01000000 7f",
     "{'status':'0x00000005','status_name':'PARTIAL_READ','pBuffer':'7f','pcbRead':'0x1'}"},
    {1, "write-msr 0x999 1", "001500 99090000 0100000000000000", "010100 450000c000000000",
     "{'status':'0xc0000045','status_name':'GENERAL_PROTECTION'}"},
    {1, "get-extended-context 1", "000300 0100000000000000",
     "010300 0100000000000000 0700000000000000",
     "{'pContextExt':{'xcr0':'0x7'},'pExtRegMask':'0x1'}"},
    {1, "set-extended-context xcr0=7", "000400 0100000000000000 0700000000000000", OK, "{}"},
    {1, "remove-breakpoint 7", "001100 07000000", OK, "{}"},
    {1, "add-filter 7 selector=0x10 thread=0x3000 cr3=0x1000 address=0x2000",
     "001200 07000000 0010000000000000 0020000000000000 0030000000000000 1000", OK, "{}"},
    {1, "remove-filter 7 thread=0x3000",
     "001300 07000000 0000000000000000 0000000000000000 0030000000000000 0000",
     "010100 560000c000000000", "{'status':'0xc0000056','status_name':'FILTER_NOT_FOUND'}"},
    {1, "breakpoints", "001d00 01000000 fe030000",
     "010f00 01000000 01000000 01000000 01000000 90 00 0500 0050000000000000",
     "{'pBreakPointInfoArray':[{'Id':'0x1','OriginalByte':'0x90','Flags':'0x0','HitCount':'0x5',"
     "'FilterCount':'0x0','PhysAddress':'0x5000'}],'pCount':'0x1','pTotalCount':'0x1'}"},
    {1, "filters 7", "001e00 07000000 00000000 75020000",
     "011000 07000000 00000000 01000000 1111000000000000 2222000000000000 3333000000000000 0800",
     "{'pBreakPointFilterInfoArray':[{'Id':'0x0','SegmentSelector':'0x8','MatchFlags':'0x0',"
     "'SkipFlags':'0x0','PageTableAddress':'0x1111','Address':'0x2222',"
     "'FsBaseAddress':'0x3333','GsBaseAddress':'0x3333'}],'pCount':'0x1'}"},
    {1, "switch-cpu 1", "020300 0100000000000000", "010100 330000c000000000",
     "{'status':'0xc0000033','status_name':'BARRIER_ALREADY_OWNED'}"},
    {1, "search-linear 0x1000 0x2000 0x3000 c0de 1 0",
     "001700 0010000000000000 0020000000000000 0030000000000000 01000000 00 02000000 c0de",
     "010c00 0528000000000000", "{'pResult':'0x2805'}"},
};

// --- packets as text ------------------------------------------------------------------------

enum { PACKET_SIZE = 512 };

// Class, type and body behind a version and around an id.
static size_t packet_of_text(const char *text, uint8_t version, uint32_t id, uint8_t *out)
{
    uint8_t bytes[PACKET_SIZE] = {0};
    size_t len = 0;
    for (const char *at = text; *at != '\0';) {
        if (*at == ' ') {
            at++;
            continue;
        }
        char pair[3] = {at[0], at[1], 0};
        bytes[len++] = (uint8_t)strtoul(pair, NULL, 16);
        at += 2;
    }
    out[0] = version;
    memcpy(out + 1, bytes, 3);
    memcpy(out + 4, &id, 4);
    memcpy(out + 8, bytes + 3, len - 3);
    return len + 5;
}

static void answer_row(struct fake *fake, const uint8_t *request, size_t len)
{
    (void)len;
    const struct row *row = fake->user;
    uint8_t reply[PACKET_SIZE];
    struct packet_header header = packet_header_read(request);
    size_t reply_len = packet_of_text(row->reply, header.version, header.id, reply);
    fake_send(fake, reply, reply_len);
}

// --- one row --------------------------------------------------------------------------------

static struct words words_of(char *text, char **out)
{
    struct words words = {.at = out};
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        out[words.left++] = word;
    }
    return words;
}

static json_t *expected_outputs(const struct row *row)
{
    char *text = strdup(row->outputs);
    for (char *at = strchr(text, '\''); at != NULL; at = strchr(at, '\'')) {
        *at = '"';
    }
    json_t *expected = json_loads(text, 0, NULL);
    assert_non_null(expected);
    free(text);
    if (json_object_get(expected, "status") == NULL) {
        json_object_set_new(expected, "status", json_string("0x00000000"));
        json_object_set_new(expected, "status_name", json_string("SUCCESS"));
    }
    return expected;
}

static json_t *run_row(const struct row *row, PPS_ENGINE engine)
{
    char *text = strdup(row->words);
    char *word_list[32] = {0};
    struct words words = words_of(text, word_list);
    const struct call_info *info = call_by_command(word_list[0], row->version);
    assert_non_null(info);
    words.at++;
    words.left--;
    struct call call;
    assert_true(call_from_words(info, &words, &call));
    assert_string_equal(words.error, "");
    struct call_result result = call_run(&call, engine);
    json_t *line = json_object();
    json_put_status(line, "status", result.status);
    json_object_set_new(line, "status_name", json_string(result.status_name));
    call_outputs(&call, result, line);
    call_cleanup(&call);
    free(text);
    return line;
}

static void test_row(void **state)
{
    struct row *row = *state;
    struct client client;
    client_open(&client, &(struct client_options){.type = pttPipe,
                                                  .version = row->version,
                                                  .timeout_ms = LONG_TIMEOUT_MS,
                                                  .on_packet = answer_row,
                                                  .user = row});
    json_t *line = run_row(row, client.engine);
    client_close(&client);

    json_t *expected = expected_outputs(row);
    if (!json_equal(line, expected)) {
        json_dumpf(line, stdout, JSON_COMPACT);
        (void)printf("\n");
    }
    assert_true(json_equal(line, expected));
    uint8_t request[PACKET_SIZE];
    uint32_t id = packet_header_read(client.fake.log[0].bytes).id;
    size_t len = packet_of_text(row->request, (uint8_t)row->version, id, request);
    assert_int_equal(client.fake.num_packets, 1);
    assert_int_equal(client.fake.log[0].len, len);
    assert_memory_equal(client.fake.log[0].bytes, request,
                        len < FAKE_LOG_BYTES ? len : FAKE_LOG_BYTES);
    json_decref(line);
    json_decref(expected);
}

// --- all rows -------------------------------------------------------------------------------

static bool has_row(const char *command)
{
    size_t len = strlen(command);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcspn(rows[i].words, " ") == len && strncmp(rows[i].words, command, len) == 0) {
            return true;
        }
    }
    return false;
}

// The facades have a test of their own.
static bool is_facade(const char *command)
{
    return strncmp(command, "dbgeng-", 7) == 0 || strncmp(command, "wdbgexts-", 9) == 0;
}

static const char *const commands[] = {
#define CALL(tag, command, name, function, versions, result) command,
#include "calls.def"
};

static void test_every_call_has_a_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        bool found = is_facade(commands[i]) || has_row(commands[i]);
        if (!found) {
            print_error("no row for %s\n", commands[i]);
        }
        assert_true(found);
    }
}

int main(void)
{
    enum { NUM_ROWS = sizeof(rows) / sizeof(rows[0]) };
    struct CMUnitTest tests[NUM_ROWS + 1];
    static char names[NUM_ROWS][128];
    for (size_t i = 0; i < NUM_ROWS; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "version %u: %s", rows[i].version,
                       rows[i].words);
        tests[i] = (struct CMUnitTest){names[i], test_row, NULL, NULL, &rows[i]};
    }
    tests[NUM_ROWS] = (struct CMUnitTest)cmocka_unit_test(test_every_call_has_a_row);
    return cmocka_run_group_tests_name("calls", tests, NULL, NULL);
}
