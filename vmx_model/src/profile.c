#include "vmx_model/profile.h"

#include <string.h>

#include "profiles.h"

static const char *const names[] = {
    [VMX_FEATURE_ALWAYS] = "ALWAYS",
#define CPUID_FEATURE(name, leaf, subleaf, register, bit) [VMX_FEATURE_##name] = #name,
#define MSR_FEATURE(name, msr, bit)                       [VMX_FEATURE_##name] = #name,
#define MODEL_FEATURE(name)                               [VMX_FEATURE_##name] = #name,
#define VMX_FEATURE(name)                                 [VMX_FEATURE_##name] = #name,
#include "vmx_model/features.def"
};

const char *vmx_feature_name(enum vmx_feature feature)
{
    return (unsigned)feature < VMX_NUM_FEATURES ? names[feature] : NULL;
}

const struct vmx_profile *vmx_profile_at(size_t index)
{
    return index < vmx_num_profiles ? vmx_profiles[index] : NULL;
}

const struct vmx_profile *vmx_profile_find(const char *name)
{
    for (size_t i = 0; i < vmx_num_profiles; i++) {
        if (strcmp(vmx_profiles[i]->name, name) == 0) {
            return vmx_profiles[i];
        }
    }
    return NULL;
}
