// A null pointer is an invalid parameter wherever it is given, and sends nothing.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client_fixture.h"
#include "protocol/status.h"

static void take_nothing(uintptr_t context, void *bytes, uint32_t len)
{
    (void)context;
    (void)bytes;
    (void)len;
}

static void check_all_refused(const PULSE_STATUS *statuses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(statuses[i], PULSE_STATUS_INVALID_PARAMETER);
    }
}

#define CHECK_REFUSED(...)                                                                         \
    do {                                                                                           \
        const PULSE_STATUS statuses[] = {__VA_ARGS__};                                             \
        check_all_refused(statuses, sizeof(statuses) / sizeof(statuses[0]));                       \
    } while (0)

static void test_null_pointers_of_engines_and_transports(void **state)
{
    (void)state;
    uint32_t number = 0;
    char name[8];
    PPS_TRANSPORT transport = NULL;
    PPS_ENGINE engine = NULL;
    TransportCreate(&transport, pttNet);
    EngCreateEngine(&engine);
    CHECK_REFUSED(
        TransportCreate(NULL, pttNet), TransportCreate(&(PPS_TRANSPORT){NULL}, pttLocal),
        TransportGetInterfaceCount(NULL, &number), TransportGetInterfaceCount(transport, NULL),
        TransportGetInterfaceName(NULL, 0, name, &number),
        TransportGetInterfaceName(transport, 0, NULL, &number),
        TransportGetInterfaceName(transport, 0, name, NULL),
        TransportSetInterfaceName(NULL, "127.0.0.1"), TransportSetInterfaceName(transport, NULL),
        TransportSetRawDataCallback(NULL, take_nothing, 0), TransportResetConnection(NULL),
        TransportDestroy(NULL), EngCreateEngine(NULL), EngAssignTransport(NULL, transport),
        EngAssignTransport(engine, NULL), EngSetRequestTimeout(NULL, 0), EngStart(NULL),
        EngStop(NULL), EngDestroyEngine(NULL), EngSetProtocolVersion(NULL, 1),
        EngSetProtocolVersion(engine, 3), EngGetProtocolVersion(NULL, &number),
        EngGetProtocolVersion(engine, NULL));
    TransportDestroy(transport);
    EngDestroyEngine(engine);
}

static void check_null_registers(PPS_ENGINE engine)
{
    uint8_t byte = 0;
    uint64_t mask = 1;
    PS_CTX_EXT extended;
    CHECK_REFUSED(PsGetStateInfo(engine, NULL), PsGetCpuInfo(engine, NULL, &byte),
                  PsGetCpuInfo(engine, &byte, NULL), PsGetTargetInfo(engine, NULL),
                  PsGetContext(engine, NULL, 1, NULL), PsSetContext(engine, NULL, 1),
                  PsGetExtendedContext(engine, NULL, 0, &mask),
                  PsGetExtendedContext(engine, &extended, 0, NULL),
                  PsSetExtendedContext(engine, NULL, 1), PsCpuId(engine, 0, 0, NULL),
                  PsReadMsr(engine, 0, NULL));
}

static void check_null_memory(PPS_ENGINE engine)
{
    uint64_t moved = 9;
    CHECK_REFUSED(PsReadVirtualMemory(engine, 0, 0, 0, NULL, 1, NULL),
                  PsWriteVirtualMemory(engine, 0, 0, 0, NULL, 1, NULL),
                  PsReadLinearMemory(engine, 0, 0, NULL, 1, NULL),
                  PsWriteLinearMemory(engine, 0, 0, NULL, 1, NULL),
                  PsReadPhysicalMemory(engine, 0, NULL, 0, NULL),
                  PsWritePhysicalMemory(engine, 0, NULL, 1, &moved),
                  PsReadIo(engine, 0, 1, NULL, 1, NULL), PsWriteIo(engine, 0, 1, NULL, 1, NULL));
    assert_int_equal(moved, 0);
}

static void check_null_mmio(PPS_ENGINE engine)
{
    uint8_t byte = 0;
    uint64_t moved = 9;
    PS_CACHE_TYPE cache = pctUncacheable;
    CHECK_REFUSED(PsReadMmioVirtual(engine, 0, 0, 0, 1, NULL, &byte, 1, &moved),
                  PsReadMmioVirtual(engine, 0, 0, 0, 1, &cache, NULL, 1, NULL),
                  PsWriteMmioVirtual(engine, 0, 0, 0, 1, NULL, &byte, 1, NULL),
                  PsReadMmioLinear(engine, 0, 0, 1, NULL, &byte, 1, NULL),
                  PsWriteMmioLinear(engine, 0, 0, 1, &cache, NULL, 1, NULL),
                  PsReadMmioPhysical(engine, 0, 1, NULL, &byte, 1, NULL),
                  PsWriteMmioPhysical(engine, 0, 1, NULL, &byte, 1, NULL));
    assert_int_equal(moved, 0);
}

static void check_null_searches(PPS_ENGINE engine)
{
    static uint8_t pattern[PATTERN_MAX + 1];
    CHECK_REFUSED(PsSearchVirtualMemory(engine, 0, 0, 0, 1, NULL, 1, 1, 0, NULL),
                  PsSearchLinearMemory(engine, 0, 0, 1, pattern, 0, 1, 0, NULL),
                  PsSearchPhysicalMemory(engine, 0, 1, pattern, sizeof(pattern), 1, 0, NULL),
                  PsWalkPageVirtual(engine, 0, 0, 0, NULL), PsWalkPageLinear(engine, 0, 0, NULL));
}

static void check_null_breakpoints(PPS_ENGINE engine)
{
    static PS_BREAK_POINT_INFO breakpoints[PS_MAX_BREAK_POINTS];
    static PS_BREAK_POINT_FILTER_INFO filters[PS_MAX_BREAK_POINT_FILTERS];
    uint16_t count = 0;
    CHECK_REFUSED(PsAddBreakPointFilter(engine, 1, NULL, NULL),
                  PsGetBreakPointInfo(engine, NULL, 1, &count, NULL),
                  PsGetBreakPointInfo(engine, breakpoints, 1, NULL, &count),
                  PsGetBreakPointFilterInfo(engine, NULL, 1, 0, &count),
                  PsGetBreakPointFilterInfo(engine, filters, 1, 0, NULL));
}

static void check_null_calls(PPS_ENGINE engine)
{
    check_null_registers(engine);
    check_null_memory(engine);
    check_null_mmio(engine);
    check_null_searches(engine);
    check_null_breakpoints(engine);
}

static void test_null_pointers_of_calls_send_nothing(void **state)
{
    (void)state;
    struct client client;
    client_open_plain(&client, pttPipe, answer_success);
    check_null_calls(client.engine);
    client_close(&client);
    assert_int_equal(client.fake.num_packets, 0);
}

static void test_a_null_engine_is_an_invalid_parameter(void **state)
{
    (void)state;
    uint8_t byte = 0;
    uint64_t number = 0;
    PS_BREAK_POINT_FILTER_PARAMS params = {0};
    check_null_calls(NULL);
    CHECK_REFUSED(
        PsPing(NULL), PsGo(NULL), PsBreakIn(NULL), PsStep(NULL, 0), PsSwitchCpu(NULL, 0),
        PsReboot(NULL), PsReadMsr(NULL, 0, &number), PsWriteMsr(NULL, 0, 0),
        PsReadPhysicalMemory(NULL, 0, &byte, 1, NULL),
        PsWritePhysicalMemory(NULL, 0, &byte, 1, NULL), PsVirtualToPhysical(NULL, 0, 0, 0, &number),
        PsLinearToPhysical(NULL, 0, 0, &number), PsSetBreakPoint(NULL, 0, NULL),
        PsRemoveBreakPoint(NULL, 1), PsClearBreakPoints(NULL),
        PsAddBreakPointFilter(NULL, 1, &params, NULL), PsRemoveBreakPointFilter(NULL, 1, 1),
        PsAddBreakPointFilter2018(NULL, 1, 0, 0, 0, 0),
        PsRemoveBreakPointFilter2018(NULL, 1, 0, 0, 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_null_pointers_of_engines_and_transports),
        cmocka_unit_test(test_null_pointers_of_calls_send_nothing),
        cmocka_unit_test(test_a_null_engine_is_an_invalid_parameter),
    };
    return cmocka_run_group_tests_name("null pointers", tests, NULL, NULL);
}
