// Execution, state, CPUID and MSRs.

#include "engine.h"

// NOLINTBEGIN(readability-identifier-naming): the documented names

// A request whose reply says no more than its status.
static PULSE_STATUS execute_plain(struct pulse_engine *engine, struct packet packet)
{
    const struct reply *reply = NULL;
    PULSE_STATUS status = engine_enter(engine);
    return status == PULSE_STATUS_SUCCESS ? engine_execute(engine, &packet, &reply) : status;
}

// A request with outputs, which are read from *out_reply when the status is SUCCESS.
static PULSE_STATUS execute(struct pulse_engine *engine, struct packet packet,
                            const struct reply **out_reply)
{
    PULSE_STATUS status = engine_enter(engine);
    return status == PULSE_STATUS_SUCCESS ? engine_execute(engine, &packet, out_reply) : status;
}

PULSE_STATUS PsPing(PPS_ENGINE pEngine)
{
    return execute_plain(pEngine, (struct packet){.kind = PACKET_PING});
}

PULSE_STATUS PsGo(PPS_ENGINE pEngine)
{
    return execute_plain(pEngine, (struct packet){.kind = PACKET_GO});
}

PULSE_STATUS PsBreakIn(PPS_ENGINE pEngine)
{
    return execute_plain(pEngine, (struct packet){.kind = PACKET_BREAK_IN});
}

PULSE_STATUS PsStep(PPS_ENGINE pEngine, uint8_t SuppressInterrupts)
{
    enum packet_kind kind = SuppressInterrupts ? PACKET_STEP_SUPPRESSED : PACKET_STEP;
    return execute_plain(pEngine, (struct packet){.kind = kind});
}

PULSE_STATUS PsSwitchCpu(PPS_ENGINE pEngine, uint64_t TargetCpuIndex)
{
    return execute_plain(
        pEngine, (struct packet){.kind = PACKET_SWITCH_CPU, .switch_cpu = {.cpu = TargetCpuIndex}});
}

PULSE_STATUS PsReboot(PPS_ENGINE pEngine)
{
    return execute_plain(pEngine, (struct packet){.kind = PACKET_REBOOT});
}

PULSE_STATUS PsGetStateInfo(PPS_ENGINE pEngine, PPS_STATE_INFO pStateInfo)
{
    if (pEngine == NULL || pStateInfo == NULL) {
        return engine_status(pEngine, STATUS_INVALID_PARAMETER);
    }
    const struct reply *reply = NULL;
    PULSE_STATUS status = execute(pEngine, (struct packet){.kind = PACKET_GET_STATE}, &reply);
    if (status == PULSE_STATUS_SUCCESS) {
        pStateInfo->Running = reply->packet.state.running;
        pStateInfo->EventCode = reply->packet.state.event;
    }
    return status;
}

PULSE_STATUS PsGetCpuInfo(PPS_ENGINE pEngine, uint8_t *pActiveCpu, uint8_t *pCpuCount)
{
    if (pEngine == NULL || pActiveCpu == NULL || pCpuCount == NULL) {
        return engine_status(pEngine, STATUS_INVALID_PARAMETER);
    }
    const struct reply *reply = NULL;
    PULSE_STATUS status = execute(pEngine, (struct packet){.kind = PACKET_GET_CPU_INFO}, &reply);
    if (status == PULSE_STATUS_SUCCESS) {
        *pActiveCpu = reply->packet.cpu_info.current;
        *pCpuCount = reply->packet.cpu_info.count;
    }
    return status;
}

static void read_target_info(const struct packet_target_info *info, PPS_TARGET_INFO out)
{
    *out = (PS_TARGET_INFO){
        .Version = info->version,
        .LowestVersion = info->lowest_version,
        .HighestVersion = info->highest_version,
        .PhysicalAddressBits = info->max_phys_bits,
        .LinearAddressBits = info->linear_bits,
        .CpuCount = info->cpus,
        .LargestPacket = info->largest_packet,
        .BreakPointLimit = info->breakpoints,
        .FilterLimit = info->filters,
        .LongestPattern = info->longest_pattern,
        .OutstandingRequests = info->outstanding,
        .TypesServed = {info->types_0_63, info->types_64_127},
        .Instance = info->instance,
    };
}

PULSE_STATUS PsGetTargetInfo(PPS_ENGINE pEngine, PPS_TARGET_INFO pTargetInfo)
{
    if (pEngine == NULL || pTargetInfo == NULL) {
        return engine_status(pEngine, STATUS_INVALID_PARAMETER);
    }
    const struct reply *reply = NULL;
    PULSE_STATUS status = execute(pEngine, (struct packet){.kind = PACKET_GET_TARGET_INFO}, &reply);
    if (status == PULSE_STATUS_SUCCESS) {
        read_target_info(&reply->packet.target_info, pTargetInfo);
    }
    return status;
}

PULSE_STATUS PsCpuId(PPS_ENGINE pEngine, uint32_t Leaf, uint32_t Subleaf, uint32_t CpuIdData[4])
{
    if (pEngine == NULL || CpuIdData == NULL) {
        return engine_status(pEngine, STATUS_INVALID_PARAMETER);
    }
    const struct reply *reply = NULL;
    struct packet packet = {.kind = PACKET_CPUID, .cpuid = {.leaf = Leaf, .subleaf = Subleaf}};
    PULSE_STATUS status = execute(pEngine, packet, &reply);
    if (status == PULSE_STATUS_SUCCESS) {
        CpuIdData[0] = reply->packet.cpuid_data.eax;
        CpuIdData[1] = reply->packet.cpuid_data.ebx;
        CpuIdData[2] = reply->packet.cpuid_data.ecx;
        CpuIdData[3] = reply->packet.cpuid_data.edx;
    }
    return status;
}

PULSE_STATUS PsReadMsr(PPS_ENGINE pEngine, uint32_t MsrNumber, uint64_t *pMsrValue)
{
    if (pEngine == NULL || pMsrValue == NULL) {
        return engine_status(pEngine, STATUS_INVALID_PARAMETER);
    }
    const struct reply *reply = NULL;
    struct packet packet = {.kind = PACKET_READ_MSR, .read_msr = {.index = MsrNumber}};
    PULSE_STATUS status = execute(pEngine, packet, &reply);
    if (status == PULSE_STATUS_SUCCESS) {
        *pMsrValue = reply->packet.msr_data.value;
    }
    return status;
}

PULSE_STATUS PsWriteMsr(PPS_ENGINE pEngine, uint32_t MsrNumber, uint64_t MsrValue)
{
    return execute_plain(pEngine,
                         (struct packet){.kind = PACKET_WRITE_MSR,
                                         .write_msr = {.index = MsrNumber, .value = MsrValue}});
}

// NOLINTEND(readability-identifier-naming)
