#include "target.h"

#include <string.h>

#include "target_long64.h"
#include "target_modes.h"

static const struct target *const built_in[] = {
    &target_long64,
#define MODE_TARGET(id) &target_##id,
#include "modes/targets.def"
};

const struct target *target_at(size_t i)
{
    return i < sizeof(built_in) / sizeof(built_in[0]) ? built_in[i] : NULL;
}

const struct target *target_find(const char *name)
{
    for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++) {
        if (strcmp(built_in[i]->name, name) == 0) {
            return built_in[i];
        }
    }
    return NULL;
}

const struct vmx_profile *target_profile(const struct target *target)
{
    return target->profile ? target->profile : &vmx_profile_generic;
}
