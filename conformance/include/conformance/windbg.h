#ifndef CONFORMANCE_WINDBG_H
#define CONFORMANCE_WINDBG_H

// WinDbg's memory calls over an engine, with WinDbg's promises. Addresses are linear, in the
// address space of the current CR3. Nothing is cached, so the uncached calls are the same.
//
//   moved       dbgeng                     wdbgexts
//   everything  S_OK                       TRUE
//   a part      S_OK and the count         FALSE and the count
//   nothing     E_FAIL                     FALSE

#include <stdint.h>

#include "conformance/pulse.h"

#define WINDBG_S_OK          UINT32_C(0x00000000)
#define WINDBG_E_FAIL        UINT32_C(0x80004005)
#define WINDBG_E_OUTOFMEMORY UINT32_C(0x8007000E)
#define WINDBG_E_INVALIDARG  UINT32_C(0x80070057)
#define WINDBG_FALSE         UINT32_C(0)
#define WINDBG_TRUE          UINT32_C(1)

// NOLINTBEGIN(readability-identifier-naming): names in the manner of the calls they stand for

// IDebugDataSpaces4::ReadVirtual and WriteVirtual: an HRESULT. BytesRead and BytesWritten may be
// null.
uint32_t DbgEngReadVirtual(PPS_ENGINE pEngine, uint64_t Offset, void *Buffer, uint32_t BufferSize,
                           uint32_t *BytesRead);
uint32_t DbgEngWriteVirtual(PPS_ENGINE pEngine, uint64_t Offset, void *Buffer, uint32_t BufferSize,
                            uint32_t *BytesWritten);

// ReadMemory and WriteMemory of WdbgExts: a BOOL. The counts may be null.
uint32_t WdbgExtsReadMemory(PPS_ENGINE pEngine, uint64_t offset, void *lpbuffer, uint32_t cb,
                            uint32_t *lpcbBytesRead);
uint32_t WdbgExtsWriteMemory(PPS_ENGINE pEngine, uint64_t offset, void *lpbuffer, uint32_t cb,
                             uint32_t *lpcbBytesWritten);

// NOLINTEND(readability-identifier-naming)

#endif
