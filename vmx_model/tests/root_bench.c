#include "root_bench.h"

#include <string.h>

#include "vmx_tests.h"

static bool read_memory(void *context, uint64_t physical, void *buffer, size_t len)
{
    const struct memory *memory = context;
    if (physical < MEMORY_BASE || physical - MEMORY_BASE > MEMORY_SIZE - len) {
        return false;
    }
    memcpy(buffer, memory->byte + (physical - MEMORY_BASE), len);
    return true;
}

static bool write_memory(void *context, uint64_t physical, const void *buffer, size_t len)
{
    struct memory *memory = context;
    if (physical < MEMORY_BASE || physical - MEMORY_BASE > MEMORY_SIZE - len) {
        return false;
    }
    memcpy(memory->byte + (physical - MEMORY_BASE), buffer, len);
    return true;
}

void poke(struct memory *memory, uint64_t physical, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        memory->byte[physical - MEMORY_BASE + i] = (uint8_t)(value >> (8 * i));
    }
}

uint64_t peek(const struct memory *memory, uint64_t physical, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)memory->byte[physical - MEMORY_BASE + i] << (8 * i);
    }
    return value;
}

void bench_init(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    bench->profile = *vmx_profile_find("tigerlake");
    bench->profile.max_phys_bits = 40; // of the emulator
    vmx_root_init(&bench->root, &bench->profile);
    bench->bus = (struct vmx_memory){
        .reader = {.read = read_memory, .context = &bench->memory},
        .write = write_memory,
    };
    poke(&bench->memory, VMXON_REGION, REVISION, 4);
    poke(&bench->memory, REGION, REVISION, 4);
    poke(&bench->memory, OTHER_REGION, REVISION, 4);
    poke(&bench->memory, WRONG_REGION, REVISION + 1, 4);
    poke(&bench->memory, SHADOW_REGION, REVISION | 0x80000000, 4);
}

static enum vmx_status set_control_register(struct vmx_root *root, uint64_t number, uint64_t value)
{
    return number == 0 ? vmx_root_set_cr0(root, value) : vmx_root_set_cr4(root, value);
}

static enum vmx_status invalidate(struct bench *bench, const char *op, uint64_t type,
                                  uint64_t address)
{
    uint64_t descriptor[2] = {
        peek(&bench->memory, address, 8),
        peek(&bench->memory, address + 8, 8),
    };
    return strcmp(op, "invept") == 0 ? vmx_root_invept(&bench->root, type, descriptor)
                                     : vmx_root_invvpid(&bench->root, type, descriptor);
}

static enum vmx_status enter(struct bench *bench, const char *op)
{
    struct vmx_entry_outcome outcome;
    bench->root.blocks_mov_ss = strstr(op, "ss") == op + strlen(op) - 2;
    enum vmx_status status = strncmp(op, "launch", 6) == 0
                                 ? vmx_root_vmlaunch(&bench->root, &bench->bus, &outcome)
                                 : vmx_root_vmresume(&bench->root, &bench->bus, &outcome);
    bench->root.blocks_mov_ss = false;
    return status;
}

static enum vmx_status execute_region(struct bench *bench, const char *op, uint64_t pointer)
{
    struct vmx_root *root = &bench->root;
    if (strcmp(op, "vmxon") == 0) {
        return vmx_root_vmxon(root, &bench->bus, pointer);
    }
    if (strcmp(op, "vmclear") == 0) {
        return vmx_root_vmclear(root, &bench->bus, pointer);
    }
    if (strcmp(op, "vmptrld") == 0) {
        return vmx_root_vmptrld(root, &bench->bus, pointer);
    }
    assert_string_equal("vmxoff", op);
    return vmx_root_vmxoff(root, &bench->bus);
}

enum vmx_status bench_execute(struct bench *bench, const char *op, const uint64_t arg[2],
                              uint64_t *out)
{
    struct vmx_root *root = &bench->root;
    if (strcmp(op, "wrmsr") == 0) {
        root->feature_control = arg[1];
        return VMX_STATUS_SUCCEED;
    }
    if (strcmp(op, "poke") == 0) {
        poke(&bench->memory, arg[0], arg[1], 8);
        return VMX_STATUS_SUCCEED;
    }
    if (strcmp(op, "setcr") == 0) {
        return set_control_register(root, arg[0], arg[1]);
    }
    if (strncmp(op, "inv", 3) == 0) {
        return invalidate(bench, op, arg[0], arg[1]);
    }
    if (strncmp(op, "launch", 6) == 0 || strncmp(op, "resume", 6) == 0) {
        return enter(bench, op);
    }
    if (strcmp(op, "vmread") == 0) {
        return vmx_root_vmread(root, arg[0], out);
    }
    if (strcmp(op, "vmwrite") == 0) {
        return vmx_root_vmwrite(root, arg[0], arg[1]);
    }
    if (strcmp(op, "vmptrst") == 0) {
        return vmx_root_vmptrst(root, out);
    }
    if (strcmp(op, "vmcall") == 0) {
        return vmx_root_vmcall(root);
    }
    return execute_region(bench, op, arg[0]);
}
