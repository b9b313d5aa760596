// One pass of tokens through one layer.
#pragma once

#include "arena.h"
#include "level.h"

namespace agentkit {

struct Pass {
  const agentkit_moe_layer *layer;
  const void *x;
  int64_t tokens;
  const int64_t *ids;   // [tokens, top_k], or null: the router decides
  const float *scores;  // [tokens, top_k], or null: the router decides
  float *logits;        // [tokens, experts], written when the router decides
  void *out;
};

// False if there is no memory.
bool forward(const Pass &pass, Arena &arena);

}  // namespace agentkit
