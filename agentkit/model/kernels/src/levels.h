// Which instruction sets this library was built for, best first, and the one in use.
#pragma once

#include "level.h"

namespace agentkit {

const Level &best_level();
const Level &level();
bool use_level(const char *name);

}  // namespace agentkit
