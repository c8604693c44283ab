#ifndef CONFORMANCE_PULSE_H
#define CONFORMANCE_PULSE_H

// The documented API of the debugger's side, over UDP, TCP, Unix sockets and ptys.
//
//   PPS_TRANSPORT transport;                       PPS_ENGINE engine;
//   TransportCreate(&transport, pttNet);           EngCreateEngine(&engine);
//   TransportSetInterfaceName(transport, "127.0.0.1:50100");
//   EngAssignTransport(engine, transport);         EngStart(engine);
//   PsPing(engine);  ...                           EngDestroyEngine(engine);
//                                                  TransportDestroy(transport);
//
// An engine and its transport belong to one thread at a time. A call ends by the rules that the
// README of this module lists; outputs mean something when its status is of the success class, byte
// counts always. A null engine, and a null pointer where the prototype does not say optional, is
// INVALID_PARAMETER.

#include <stdint.h>

#include "conformance/pulse_status.h"
#include "conformance/pulse_types.h"

// NOLINTBEGIN(readability-identifier-naming): the documented names

typedef struct pulse_transport *PPS_TRANSPORT;
typedef struct pulse_engine *PPS_ENGINE;

// Log text: bytes that came outside packets.
typedef void (*PS_RAW_DATA_CALLBACK)(uintptr_t Context, void *pRawDataBuffer, uint32_t RawDataSize);

// Transports. Their statuses have the numbers of version 2, since they know no version.

PULSE_STATUS TransportCreate(PPS_TRANSPORT *ppTransport, PS_TRANSPORT_TYPE Type);
// Always 0: interfaces are named, not enumerated.
PULSE_STATUS TransportGetInterfaceCount(PPS_TRANSPORT pTransport, uint32_t *pCount);
// The name that was set, whatever the index; *pcbBufSize is the buffer's size.
PULSE_STATUS TransportGetInterfaceName(PPS_TRANSPORT pTransport, uint32_t Index, char *pName,
                                       uint32_t *pcbBufSize);
// Opens the connection. DEVICE_CONNECTION_LOST when nobody is there, INVALID_PARAMETER when the
// name cannot be one.
PULSE_STATUS TransportSetInterfaceName(PPS_TRANSPORT pTransport, const char *pName);
PULSE_STATUS TransportSetInterfaceIndex(PPS_TRANSPORT pTransport, uint32_t Index);
PULSE_STATUS TransportSetRawDataCallback(PPS_TRANSPORT pTransport, PS_RAW_DATA_CALLBACK Callback,
                                         uintptr_t Context);
// Opens the connection anew; what was lost is usable again.
PULSE_STATUS TransportResetConnection(PPS_TRANSPORT pTransport);
PULSE_STATUS TransportDestroy(PPS_TRANSPORT pTransport);

// Engines.

PULSE_STATUS EngCreateEngine(PPS_ENGINE *ppEngine);
PULSE_STATUS EngAssignTransport(PPS_ENGINE pEngine, PPS_TRANSPORT pTransport);
// Milliseconds, counted from the first send of a request; 5,000 unless set.
PULSE_STATUS EngSetRequestTimeout(PPS_ENGINE pEngine, uint32_t Timeout);
// ENGINE_INIT_FAILED without a transport that has an interface.
PULSE_STATUS EngStart(PPS_ENGINE pEngine);
PULSE_STATUS EngStop(PPS_ENGINE pEngine);
// The transport stays; it is the caller's.
PULSE_STATUS EngDestroyEngine(PPS_ENGINE pEngine);

// Ours: which protocol is spoken, 1 or 2 (2 unless set); 0 asks the debuggee before the first
// request.
PULSE_STATUS EngSetProtocolVersion(PPS_ENGINE pEngine, uint32_t Version);
// Ours: the version spoken; 0 while it is not known.
PULSE_STATUS EngGetProtocolVersion(PPS_ENGINE pEngine, uint32_t *pVersion);

// Execution.

PULSE_STATUS PsPing(PPS_ENGINE pEngine);
PULSE_STATUS PsGo(PPS_ENGINE pEngine);
PULSE_STATUS PsBreakIn(PPS_ENGINE pEngine);
PULSE_STATUS PsStep(PPS_ENGINE pEngine, uint8_t SuppressInterrupts);
PULSE_STATUS PsSwitchCpu(PPS_ENGINE pEngine, uint64_t TargetCpuIndex);
PULSE_STATUS PsReboot(PPS_ENGINE pEngine);
PULSE_STATUS PsGetStateInfo(PPS_ENGINE pEngine, PPS_STATE_INFO pStateInfo);
PULSE_STATUS PsGetCpuInfo(PPS_ENGINE pEngine, uint8_t *pActiveCpu, uint8_t *pCpuCount);
// Ours: GetTargetInfo of version 2.
PULSE_STATUS PsGetTargetInfo(PPS_ENGINE pEngine, PPS_TARGET_INFO pTargetInfo);

// Registers and CPU. pCpuMode may be null.

PULSE_STATUS PsGetContext(PPS_ENGINE pEngine, PPS_CTX pContext, uint64_t RegMask,
                          PS_CPU_MODE *pCpuMode);
PULSE_STATUS PsSetContext(PPS_ENGINE pEngine, PPS_CTX pContext, uint64_t RegMask);
// *pExtRegMask: wanted, then filled in.
PULSE_STATUS PsGetExtendedContext(PPS_ENGINE pEngine, PPS_CTX_EXT pContextExt,
                                  uint8_t ExtRegSetIndex, uint64_t *pExtRegMask);
PULSE_STATUS PsSetExtendedContext(PPS_ENGINE pEngine, PPS_CTX_EXT pContextExt, uint64_t ExtRegMask);
PULSE_STATUS PsCpuId(PPS_ENGINE pEngine, uint32_t Leaf, uint32_t Subleaf, uint32_t CpuIdData[4]);
PULSE_STATUS PsReadMsr(PPS_ENGINE pEngine, uint32_t MsrNumber, uint64_t *pMsrValue);
PULSE_STATUS PsWriteMsr(PPS_ENGINE pEngine, uint32_t MsrNumber, uint64_t MsrValue);

// Memory and ports. pcbRead and pcbWritten may be null.

PULSE_STATUS PsReadVirtualMemory(PPS_ENGINE pEngine, uint64_t PageTableAddress,
                                 uint16_t SelectorValue, uint64_t Offset, void *pBuffer,
                                 uint64_t cbToRead, uint64_t *pcbRead);
PULSE_STATUS PsWriteVirtualMemory(PPS_ENGINE pEngine, uint64_t PageTableAddress,
                                  uint16_t SelectorValue, uint64_t Offset, void *pBuffer,
                                  uint64_t cbToWrite, uint64_t *pcbWritten);
PULSE_STATUS PsReadLinearMemory(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint64_t Address,
                                void *pBuffer, uint64_t cbToRead, uint64_t *pcbRead);
PULSE_STATUS PsWriteLinearMemory(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint64_t Address,
                                 void *pBuffer, uint64_t cbToWrite, uint64_t *pcbWritten);
PULSE_STATUS PsReadPhysicalMemory(PPS_ENGINE pEngine, uint64_t Address, void *pBuffer,
                                  uint64_t cbToRead, uint64_t *pcbRead);
PULSE_STATUS PsWritePhysicalMemory(PPS_ENGINE pEngine, uint64_t Address, void *pBuffer,
                                   uint64_t cbToWrite, uint64_t *pcbWritten);
PULSE_STATUS PsReadIo(PPS_ENGINE pEngine, uint16_t Port, uint16_t AccessSize, void *pBuffer,
                      uint64_t cbToRead, uint64_t *pcbRead);
PULSE_STATUS PsWriteIo(PPS_ENGINE pEngine, uint16_t Port, uint16_t AccessSize, void *pBuffer,
                       uint64_t cbToWrite, uint64_t *pcbWritten);

// MMIO, version 2. *pCacheType: wanted, then really used.

PULSE_STATUS PsReadMmioVirtual(PPS_ENGINE pEngine, uint64_t PageTableAddress,
                               uint16_t SelectorValue, uint64_t Offset, uint8_t AccessSize,
                               PS_CACHE_TYPE *pCacheType, void *pBuffer, uint64_t cbToRead,
                               uint64_t *pcbRead);
PULSE_STATUS PsWriteMmioVirtual(PPS_ENGINE pEngine, uint64_t PageTableAddress,
                                uint16_t SelectorValue, uint64_t Offset, uint8_t AccessSize,
                                PS_CACHE_TYPE *pCacheType, void *pBuffer, uint64_t cbToWrite,
                                uint64_t *pcbWritten);
PULSE_STATUS PsReadMmioLinear(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint64_t Address,
                              uint8_t AccessSize, PS_CACHE_TYPE *pCacheType, void *pBuffer,
                              uint64_t cbToRead, uint64_t *pcbRead);
PULSE_STATUS PsWriteMmioLinear(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint64_t Address,
                               uint8_t AccessSize, PS_CACHE_TYPE *pCacheType, void *pBuffer,
                               uint64_t cbToWrite, uint64_t *pcbWritten);
PULSE_STATUS PsReadMmioPhysical(PPS_ENGINE pEngine, uint64_t Address, uint8_t AccessSize,
                                PS_CACHE_TYPE *pCacheType, void *pBuffer, uint64_t cbToRead,
                                uint64_t *pcbRead);
PULSE_STATUS PsWriteMmioPhysical(PPS_ENGINE pEngine, uint64_t Address, uint8_t AccessSize,
                                 PS_CACHE_TYPE *pCacheType, void *pBuffer, uint64_t cbToWrite,
                                 uint64_t *pcbWritten);

// Searches, walks, translations. pResult and pPhysicalAddress may be null.

PULSE_STATUS PsSearchVirtualMemory(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint16_t Selector,
                                   uint64_t StartOffset, uint64_t EndOffset, void *pPattern,
                                   uint32_t PatternSize, uint32_t SearchStep, uint8_t IgnoreGaps,
                                   uint64_t *pResult);
PULSE_STATUS PsSearchLinearMemory(PPS_ENGINE pEngine, uint64_t PageTableAddress,
                                  uint64_t StartAddress, uint64_t EndAddress, void *pPattern,
                                  uint32_t PatternSize, uint32_t SearchStep, uint8_t IgnoreGaps,
                                  uint64_t *pResult);
PULSE_STATUS PsSearchPhysicalMemory(PPS_ENGINE pEngine, uint64_t StartAddress, uint64_t EndAddress,
                                    void *pPattern, uint32_t PatternSize, uint32_t SearchStep,
                                    uint8_t IgnoreGaps, uint64_t *pResult);
PULSE_STATUS PsWalkPageVirtual(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint16_t Selector,
                               uint64_t Offset, PPS_PAGE_WALK_INFO pPageWalkInfo);
PULSE_STATUS PsWalkPageLinear(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint64_t Address,
                              PPS_PAGE_WALK_INFO pPageWalkInfo);
PULSE_STATUS PsVirtualToPhysical(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint16_t Selector,
                                 uint64_t Offset, uint64_t *pPhysicalAddress);
PULSE_STATUS PsLinearToPhysical(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint64_t Address,
                                uint64_t *pPhysicalAddress);

// Breakpoints and filters. Ids that come back may go to null. The lists want room for
// PS_MAX_BREAK_POINTS and PS_MAX_BREAK_POINT_FILTERS entries.

PULSE_STATUS PsSetBreakPoint(PPS_ENGINE pEngine, uint64_t PhysicalAddress, uint16_t *pBreakPointId);
PULSE_STATUS PsRemoveBreakPoint(PPS_ENGINE pEngine, uint16_t BreakPointId);
PULSE_STATUS PsClearBreakPoints(PPS_ENGINE pEngine);
PULSE_STATUS PsAddBreakPointFilter(PPS_ENGINE pEngine, uint16_t BreakPointId,
                                   PPS_BREAK_POINT_FILTER_PARAMS pBreakPointFilterParams,
                                   uint16_t *pBreakPointFilterId);
PULSE_STATUS PsRemoveBreakPointFilter(PPS_ENGINE pEngine, uint16_t BreakPointId,
                                      uint16_t BreakPointFilterId);
// The array may be null when pTotalCount is not: then only the total is asked for.
PULSE_STATUS PsGetBreakPointInfo(PPS_ENGINE pEngine, PPS_BREAK_POINT_INFO pBreakPointInfoArray,
                                 uint16_t StartBreakPointId, uint16_t *pCount,
                                 uint16_t *pTotalCount);
PULSE_STATUS PsGetBreakPointFilterInfo(PPS_ENGINE pEngine,
                                       PPS_BREAK_POINT_FILTER_INFO pBreakPointFilterInfoArray,
                                       uint16_t BreakPointId, uint16_t FiltersSkipCount,
                                       uint16_t *pCount);

// The same two calls as the 2018 header has them: version 1 only. (Version 2's are NOT_SUPPORTED in
// version 1.)
PULSE_STATUS PsAddBreakPointFilter2018(PPS_ENGINE pEngine, uint32_t BreakPointId,
                                       uint64_t PageTable, uint64_t Address, uint64_t ThreadBase,
                                       uint16_t Selector);
PULSE_STATUS PsRemoveBreakPointFilter2018(PPS_ENGINE pEngine, uint32_t BreakPointId,
                                          uint64_t PageTable, uint64_t Address, uint64_t ThreadBase,
                                          uint16_t Selector);

// NOLINTEND(readability-identifier-naming)

#endif
