// The driver protocol: conversations, line by line.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "driver.h"
#include "model.h"
#include "protocol/status.h"

struct conversation {
    const char *name;
    const char *says;    // lines to the driver, with ' for " and $ for the model's endpoint
    const char *answers; // lines it answers
    bool talks;
};

#define CONNECT   "{'id':1,'op':'connect','endpoint':'$','protocol':2,'request_timeout_ms':5000}\n"
#define CONNECTED "{'id':1,'status':'0x00000000'}\n"

static struct conversation conversations[] = {
    {"a call and its output",
     CONNECT
     "{'id':2,'op':'call','name':'PsWriteMsr','args':{'MsrNumber':'0x4','MsrValue':'0x8'}}\n"
     "{'id':3,'op':'call','name':'PsReadMsr','args':{'MsrNumber':'0x4'}}\n",
     CONNECTED "{'id':2,'status':'0x00000000'}\n"
               "{'id':3,'status':'0x00000000','pMsrValue':'0x8'}\n",
     false},
    {"a #GP is a status without outputs",
     CONNECT "{'id':2,'op':'call','name':'PsReadMsr','args':{'MsrNumber':'0x999'}}\n",
     CONNECTED "{'id':2,'status':'0xc001000d'}\n", false},
    {"a partial write with its count",
     CONNECT "{'id':2,'op':'call','name':'PsWriteLinearMemory','args':{'PageTableAddress':'0x7000',"
             "'Address':'0x203e','pBuffer':'00112233','cbToWrite':'0x4'}}\n",
     CONNECTED "{'id':2,'status':'0x00000002','pcbWritten':'0x2'}\n", false},
    {"a failed write counts nothing",
     CONNECT "{'id':2,'op':'call','name':'PsWriteLinearMemory','args':{'PageTableAddress':'0x7000',"
             "'Address':'0x3000','pBuffer':'00','cbToWrite':'0x1'}}\n",
     CONNECTED "{'id':2,'status':'0xc0000021','pcbWritten':'0x0'}\n", false},
    {"a read by numbers as they are",
     CONNECT "{'id':2,'op':'call','name':'PsReadLinearMemory','args':{'PageTableAddress':'0x7000',"
             "'Address':'0x2000','cbToRead':'0x2'}}\n",
     CONNECTED "{'id':2,'status':'0x00000000','pBuffer':'0000','pcbRead':'0x2'}\n", false},
    {"a null buffer goes to the library",
     CONNECT "{'id':2,'op':'call','name':'PsReadLinearMemory','args':{'PageTableAddress':'0x7000',"
             "'Address':'0x2000','pBuffer':null,'cbToRead':'0x2'}}\n"
             "{'id':3,'op':'call','name':'PsWriteLinearMemory','args':{'PageTableAddress':'0x7000',"
             "'Address':'0x2000','pBuffer':null,'cbToWrite':'0x2'}}\n",
     CONNECTED "{'id':2,'status':'0xc0000010','pcbRead':'0x0'}\n"
               "{'id':3,'status':'0xc0000010','pcbWritten':'0x0'}\n",
     false},
    {"a null output is not answered",
     CONNECT
     "{'id':2,'op':'call','name':'PsWriteLinearMemory','args':{'PageTableAddress':'0x7000',"
     "'Address':'0x2000','pBuffer':'01','cbToWrite':'0x1','pcbWritten':null}}\n"
     "{'id':3,'op':'call','name':'PsReadLinearMemory','args':{'PageTableAddress':'0x7000',"
     "'Address':'0x2000','cbToRead':'0x1','pcbRead':null}}\n"
     "{'id':4,'op':'call','name':'PsGetContext','args':{'RegMask':'0x2','pCpuMode':null}}\n"
     "{'id':5,'op':'call','name':'PsGetContext','args':{'RegMask':'0x2','pContext':null}}\n",
     CONNECTED "{'id':2,'status':'0x00000000'}\n"
               "{'id':3,'status':'0x00000000','pBuffer':'01'}\n"
               "{'id':4,'status':'0x00000000','pContext':{'cr3':'0x7000'}}\n"
               "{'id':5,'status':'0xc0000010'}\n",
     false},
    {"a null engine goes to the library",
     CONNECT "{'id':2,'op':'call','name':'PsPing','args':{'pEngine':null}}\n",
     CONNECTED "{'id':2,'status':'0xc0000010'}\n", false},
    {"a context goes in as an object",
     CONNECT
     "{'id':2,'op':'call','name':'PsSetContext','args':{'pContext':{'dr6':'0x1','dr7':'0x2'},"
     "'RegMask':'0x8000000000000000'}}\n"
     "{'id':3,'op':'call','name':'PsGetContext','args':{'RegMask':'0x8000000000000000'}}\n"
     "{'id':4,'op':'call','name':'PsSetContext','args':{'pContext':null,'RegMask':'0x1'}}\n",
     CONNECTED "{'id':2,'status':'0x00000000'}\n"
               "{'id':3,'status':'0x00000000','pContext':{'dr6':'0x1','dr7':'0x2'},"
               "'pCpuMode':'0x5'}\n"
               "{'id':4,'status':'0xc0000010'}\n",
     false},
    {"the facades have results of their own",
     CONNECT
     "{'id':2,'op':'call','name':'DbgEngWriteVirtual','args':{'Offset':'0x203f',"
     "'Buffer':'aabb','BufferSize':'0x2'}}\n"
     "{'id':3,'op':'call','name':'WdbgExtsReadMemory','args':{'offset':'0x203f','cb':'0x2'}}\n"
     "{'id':4,'op':'call','name':'WdbgExtsReadMemory','args':{'offset':'0x203f','cb':'0x1'}}\n"
     "{'id':5,'op':'flush'}\n",
     CONNECTED "{'id':2,'status':'0x00000000','BytesWritten':'0x1'}\n"
               "{'id':3,'status':'0x00000000','lpbuffer':'aa','lpcbBytesRead':'0x1'}\n"
               "{'id':4,'status':'0x00000001','lpbuffer':'aa','lpcbBytesRead':'0x1'}\n"
               "{'id':5,'status':'0x00000000'}\n",
     false},
    {"text is an event", CONNECT "{'id':2,'op':'call','name':'PsPing'}\n",
     CONNECTED "{'event':'text','conn':0,'data':'68656c6c6f0d0a'}\n"
               "{'id':2,'status':'0x00000000'}\n",
     true},
    {"what is unknown is unsupported",
     CONNECT "{'id':2,'op':'frobnicate'}\n"
             "{'id':3,'op':'call','name':'PsFrobnicate','args':{}}\n"
             "{'id':4}\n"
             "{'id':5,'op':'call'}\n"
             "{'id':6,'op':'connect','endpoint':'$','protocol':3}\n",
     CONNECTED "{'id':2,'unsupported':true}\n"
               "{'id':3,'unsupported':true}\n"
               "{'id':4,'unsupported':true}\n"
               "{'id':5,'unsupported':true}\n"
               "{'id':6,'unsupported':true}\n",
     false},
    {"arguments that make no sense are an error, not a call",
     CONNECT "{'id':2,'op':'call','name':'PsReadMsr','args':{}}\n"
             "{'id':3,'op':'call','name':'PsReadMsr','args':{'MsrNumber':372}}\n"
             "{'id':4,'op':'call','name':'PsReadMsr','args':{'MsrNumber':'372'}}\n"
             "{'id':5,'op':'call','name':'PsReadMsr','args':{'MsrNumber':'0x100000000'}}\n"
             "{'id':6,'op':'call','name':'PsWriteLinearMemory','args':{'PageTableAddress':'0x7000',"
             "'Address':'0x2000','pBuffer':'00','cbToWrite':'0x2'}}\n"
             "{'id':7,'op':'call','name':'PsSetContext','args':{'pContext':{'eax':'0x1'},"
             "'RegMask':'0x8'}}\n"
             "{'id':8,'op':'call','name':'PsReadLinearMemory','args':{'PageTableAddress':'0x7000',"
             "'Address':'0x2000','cbToRead':'0x1000000'}}\n",
     CONNECTED
     "{'id':2,'error':'MsrNumber is a string with a hexadecimal number up to 0xffffffff'}\n"
     "{'id':3,'error':'MsrNumber is a string with a hexadecimal number up to 0xffffffff'}\n"
     "{'id':4,'error':'MsrNumber is a string with a hexadecimal number up to 0xffffffff'}\n"
     "{'id':5,'error':'MsrNumber is a string with a hexadecimal number up to 0xffffffff'}\n"
     "{'id':6,'error':'cbToWrite is more than pBuffer has'}\n"
     "{'id':7,'error':'pContext has no field eax to set'}\n"
     "{'id':8,'error':'pBuffer is too long for one line'}\n",
     false},
    {"a connection goes and comes again",
     CONNECT "{'id':2,'op':'disconnect'}\n"
             "{'id':3,'op':'call','name':'PsPing'}\n"
             "{'id':4,'op':'disconnect','conn':7}\n",
     CONNECTED "{'id':2,'status':'0x00000000'}\n"
               "{'id':3,'status':'0xc0000400'}\n"
               "{'id':4,'status':'0x00000000'}\n",
     false},
    {"connections have numbers",
     "{'id':1,'op':'connect','conn':5,'endpoint':'$','protocol':1}\n"
     "{'id':2,'op':'call','conn':5,'name':'PsReadMsr','args':{'MsrNumber':'0x999'}}\n"
     "{'id':3,'op':'call','name':'PsPing'}\n",
     "{'id':1,'status':'0x00000000'}\n"
     "{'id':2,'status':'0xc0000045'}\n"
     "{'id':3,'status':'0xc0000400'}\n",
     false},
    {"a connection that cannot be made is a status",
     "{'id':1,'op':'connect','endpoint':'unix:/nonexistent','protocol':2}\n"
     "{'id':2,'op':'connect','endpoint':'carrier-pigeon:3','protocol':2}\n"
     "{'id':3,'op':'connect','protocol':2}\n"
     "{'id':4,'op':'connect','endpoint':'$','protocol':2,'request_timeout_ms':-1}\n",
     "{'id':1,'status':'0xc0000308'}\n"
     "{'id':2,'status':'0xc0000010'}\n"
     "{'id':3,'error':'connect has endpoint, protocol and request_timeout_ms'}\n"
     "{'id':4,'error':'connect has endpoint, protocol and request_timeout_ms'}\n",
     false},
    {"quit ends it, and what follows is not read", "{'id':6,'op':'quit'}\n{'id':7,'op':'hello'}\n",
     "{'id':6,'status':'0x00000000'}\n", false},
    {"lines that are no messages are skipped",
     "\nnonsense\n[1]\n{}\n{'id':'1','op':'hello'}\n{'id':1,'op':'quit'}\n",
     "{'id':1,'status':'0x00000000'}\n", false},
    {"the last line needs no end", "{'id':1,'op':'flush'}", "{'id':1,'status':'0x00000000'}\n",
     false},
};

// Writes text for ' and $.
static char *expand(const char *text, const char *endpoint)
{
    char *out = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&out, &size);
    for (; *text != '\0'; text++) {
        if (*text == '$') {
            (void)fputs(endpoint, file);
        } else {
            (void)fputc(*text == '\'' ? '"' : *text, file);
        }
    }
    (void)fclose(file);
    return out;
}

struct run {
    int code;
    char *out;
    char *errors;
};

static struct run run_driver(const char *says, size_t len)
{
    struct run run = {0};
    size_t out_size = 0;
    size_t errors_size = 0;
    FILE *in = fmemopen((void *)(uintptr_t)says, len, "r");
    FILE *out = open_memstream(&run.out, &out_size);
    FILE *errors = open_memstream(&run.errors, &errors_size);
    run.code = driver_serve(in, out, errors);
    (void)fclose(in);
    (void)fclose(out);
    (void)fclose(errors);
    return run;
}

static void run_cleanup(struct run *run)
{
    free(run->out);
    free(run->errors);
}

static void test_conversation(void **state)
{
    const struct conversation *conversation = *state;
    struct model model = {.talks = conversation->talks};
    struct fake fake;
    fake_start(&fake, pttPipe, model_answer, &model);
    char *says = expand(conversation->says, fake.endpoint);
    char *answers = expand(conversation->answers, fake.endpoint);
    struct run run = run_driver(says, strlen(says));
    fake_stop(&fake);
    assert_int_equal(run.code, 0);
    assert_string_equal(run.out, answers);
    run_cleanup(&run);
    free(says);
    free(answers);
}

enum {
#define CALL(tag, command, name, function, versions, result) ROW_##tag,
#include "calls.def"
    NUM_CALL_ROWS,
};

static void test_hello_lists_every_call(void **state)
{
    (void)state;
    static const char says[] = "{\"id\":1,\"op\":\"hello\",\"suite\":\"pulsim-conform 0.1\"}\n";
    struct run run = run_driver(says, sizeof(says) - 1);
    json_t *hello = json_loads(run.out, 0, NULL);
    assert_non_null(hello);
    assert_int_equal(json_integer_value(json_object_get(hello, "id")), 1);
    assert_string_equal(json_string_value(json_object_get(hello, "client")), "pulsim-client");
    assert_true(json_is_string(json_object_get(hello, "version")));
    assert_int_equal(json_array_size(json_object_get(hello, "protocols")), 2);
    assert_int_equal(json_array_size(json_object_get(hello, "transports")), 4);
    assert_true(json_is_array(json_object_get(hello, "features")));
    json_t *calls = json_object_get(hello, "calls");
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const char *name = json_string_value(json_array_get(calls, i));
        assert_non_null(call_by_name(name, PROTOCOL_V1));
        assert_non_null(call_by_name(name, PROTOCOL_V2));
    }
    // Two names have a form in each version.
    assert_int_equal(json_array_size(calls), NUM_CALL_ROWS - 2);
    json_decref(hello);
    run_cleanup(&run);
}

static void test_a_line_that_is_too_long_is_skipped(void **state)
{
    (void)state;
    static const char end[] = "\n{\"id\":1,\"op\":\"quit\"}\n";
    size_t len = DRIVER_LINE_MAX + 10 + sizeof(end) - 1;
    char *says = malloc(len);
    memset(says, ' ', len);
    memcpy(says + len - (sizeof(end) - 1), end, sizeof(end) - 1);
    struct run run = run_driver(says, len);
    assert_int_equal(run.code, 0);
    assert_string_equal(run.out, "{\"id\":1,\"status\":\"0x00000000\"}\n");
    assert_string_equal(run.errors, "pulsim-client: a line of more than 4 MiB\n");
    run_cleanup(&run);
    free(says);
}

static void test_an_output_that_fails_ends_it(void **state)
{
    (void)state;
    static const char says[] = "{\"id\":1,\"op\":\"flush\"}\n{\"id\":2,\"op\":\"flush\"}\n";
    FILE *in = fmemopen((void *)(uintptr_t)says, sizeof(says) - 1, "r");
    FILE *out = fopen("/dev/full", "w");
    assert_int_equal(driver_serve(in, out, stderr), 1);
    (void)fclose(in);
    (void)fclose(out);
}

int main(void)
{
    enum { NUM_ROWS = sizeof(conversations) / sizeof(conversations[0]) };
    struct CMUnitTest tests[NUM_ROWS + 3];
    for (size_t i = 0; i < NUM_ROWS; i++) {
        tests[i] = (struct CMUnitTest){conversations[i].name, test_conversation, NULL, NULL,
                                       &conversations[i]};
    }
    const struct CMUnitTest others[] = {
        cmocka_unit_test(test_hello_lists_every_call),
        cmocka_unit_test(test_a_line_that_is_too_long_is_skipped),
        cmocka_unit_test(test_an_output_that_fails_ends_it),
    };
    memcpy(tests + NUM_ROWS, others, sizeof(others));
    return cmocka_run_group_tests_name("driver", tests, NULL, NULL);
}
