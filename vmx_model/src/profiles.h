// What tools/profiles.c makes from profiles/*.yaml.
#ifndef VMX_MODEL_SRC_PROFILES_H
#define VMX_MODEL_SRC_PROFILES_H

#include <stddef.h>

#include "vmx_model/profile.h"

extern const struct vmx_profile *const vmx_profiles[];
extern const size_t vmx_num_profiles;

#endif
