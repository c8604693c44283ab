// The bits of CR0, CR4, IA32_EFER and RFLAGS that decide how an address is formed and translated.
// SDM 3A, "Control Registers", "Extended Feature Enable Register"; SDM 1, "EFLAGS Register".
#ifndef MMU_MODEL_CONTROL_BITS_H
#define MMU_MODEL_CONTROL_BITS_H

#include <stdint.h>

#define MMU_CR0_PE UINT64_C(0x00000001) // protected mode
#define MMU_CR0_WP UINT64_C(0x00010000) // read-only pages bind the supervisor too
#define MMU_CR0_PG UINT64_C(0x80000000) // paging

#define MMU_CR4_PSE  UINT64_C(0x00000010) // 4 MiB pages with 32-bit paging
#define MMU_CR4_PAE  UINT64_C(0x00000020) // 8-byte entries
#define MMU_CR4_PGE  UINT64_C(0x00000080) // global pages
#define MMU_CR4_LA57 UINT64_C(0x00001000) // 5-level paging
#define MMU_CR4_SMEP UINT64_C(0x00100000) // no supervisor fetch from user pages
#define MMU_CR4_SMAP UINT64_C(0x00200000) // no supervisor data access to user pages
#define MMU_CR4_PKE  UINT64_C(0x00400000) // protection keys of user pages, PKRU
#define MMU_CR4_PKS  UINT64_C(0x01000000) // protection keys of supervisor pages, IA32_PKRS

#define MMU_EFER_LME UINT64_C(0x00000100) // IA-32e mode enable
#define MMU_EFER_LMA UINT64_C(0x00000400) // IA-32e mode active
#define MMU_EFER_NXE UINT64_C(0x00000800) // execute-disable bit in page-table entries

#define MMU_RFLAGS_VM UINT64_C(0x00020000) // virtual-8086 mode
#define MMU_RFLAGS_AC UINT64_C(0x00040000) // lets the supervisor past SMAP

#endif
