#include "levels.h"

#include <string.h>

namespace agentkit {

// build.py says which units a compiler could make.
#if defined(AGENTKIT_X86)
extern const Level avx512_level, avx2_level;
#endif
#if defined(AGENTKIT_AVX512_BF16)
extern const Level avx512_bf16_level;
#endif
#if defined(AGENTKIT_AMX)
extern const Level amx_level;
#endif
extern const Level portable_level;

namespace {

const Level *const levels[] = {
#if defined(AGENTKIT_AMX)
    &amx_level,
#endif
#if defined(AGENTKIT_AVX512_BF16)
    &avx512_bf16_level,
#endif
#if defined(AGENTKIT_X86)
    &avx512_level, &avx2_level,
#endif
    &portable_level,
};

const Level *chosen = nullptr;

}  // namespace

const Level &best_level() {
  for (const Level *candidate : levels)
    if (candidate->supported()) return *candidate;
  return portable_level;
}

const Level &level() {
  if (chosen == nullptr) chosen = &best_level();
  return *chosen;
}

bool use_level(const char *name) {
  for (const Level *candidate : levels) {
    if (strcmp(candidate->name, name) == 0 && candidate->supported()) {
      chosen = candidate;
      return true;
    }
  }
  return false;
}

}  // namespace agentkit
