// Prints sim/vm-exits.md from the rows of exits.def.

#include <stdint.h>
#include <stdio.h>

#include "vmx_model/vmx_exit.h"

static const struct row {
    enum vmx_exit_reason reason;
    const char *when;
    const char *then;
} rows[] = {
#define EXIT(name, when, then) {VMX_EXIT_##name, when, then},
#include "exits.def"
};

int main(void)
{
    printf(
        "# VM exits of the run loop\n\n"
        "When the model's hypervisor gets the CPU from its guest, and what it does before it "
        "enters "
        "the guest\nagain. Names in capitals are VMX controls (`pulsim vmcs` shows them). An exit "
        "leaves its reason,\nqualification, addresses, instruction length and information, and "
        "interruption information in the\nread-only data fields of the VMCS, where the next one "
        "overwrites them; the guest notices nothing.\nPrinted from `src/exits.def` by "
        "`./dev rebase`.\n\n"
        "| reason | exit | when | then the hypervisor |\n|---:|---|---|---|\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        printf("| %u | %s | %s | %s |\n", (unsigned)rows[i].reason,
               vmx_exit_reason_text(rows[i].reason), rows[i].when, rows[i].then);
    }
    return 0;
}
