// The C interface: checks, the lock, and passes of a bounded number of rows.
#include "moe.h"

#include <mutex>

#include "forward.h"
#include "levels.h"
#include "team.h"

namespace {

using agentkit::Arena;
using agentkit::Pass;

// Rows (token x expert) of one pass; a longer input takes several. It bounds the memory of a call.
constexpr int64_t rows_per_pass = 8192;

agentkit::TeamLock &lock = agentkit::team_lock();
Arena arena;

bool runnable(const agentkit_moe_layer &l, bool routed) {
  const int32_t unit = l.group > 64 ? l.group : 64;
  const bool quantised = l.weights == AGENTKIT_INT8 || l.weights == AGENTKIT_INT4;
  const bool sizes = l.hidden > 0 && l.intermediate > 0 && l.experts > 0 && l.top_k > 0 &&
                     l.top_k <= l.experts && l.padded_hidden >= l.hidden &&
                     l.padded_intermediate >= l.intermediate && l.padded_hidden % unit == 0 &&
                     l.padded_intermediate % unit == 0;
  const bool group = quantised ? l.group == 32 || l.group == 64 || l.group == 128 : l.group == 0;
  const bool scales = quantised == (l.gate_up_scales && l.down_scales);
  const bool kinds = l.weights >= AGENTKIT_F32 && l.weights <= AGENTKIT_INT4 &&
                     (l.activations == AGENTKIT_F32 || l.activations == AGENTKIT_BF16) &&
                     (l.gate == AGENTKIT_SWIGLU || l.gate == AGENTKIT_CLAMPED_SWIGLU) &&
                     (l.weighting == AGENTKIT_WEIGHT_INPUT || l.weighting == AGENTKIT_WEIGHT_OUTPUT);
  return sizes && group && scales && kinds && l.gate_up && l.down && (!routed || l.router);
}

int32_t run(const agentkit_moe_layer *layer, const void *x, int64_t tokens, const int64_t *ids,
            const float *scores, float *logits, void *out) {
  if (layer == nullptr || tokens < 0 || !runnable(*layer, ids == nullptr)) return 1;
  const bool given = x && out && (ids ? scores != nullptr : logits != nullptr);
  if (tokens > 0 && !given) return 1;
  const std::lock_guard<agentkit::TeamLock> guard(lock);
  const int64_t element = agentkit::element_bytes(layer->activations);
  const int64_t rows = layer->top_k + (layer->shared ? 1 : 0);
  const int64_t step = rows_per_pass / rows > 0 ? rows_per_pass / rows : 1;
  for (int64_t first = 0; first < tokens; first += step) {
    const int64_t offset = first * layer->hidden * element;
    const Pass pass = {layer,
                       static_cast<const char *>(x) + offset,
                       tokens - first < step ? tokens - first : step,
                       ids ? ids + first * layer->top_k : nullptr,
                       scores ? scores + first * layer->top_k : nullptr,
                       logits ? logits + first * layer->experts : nullptr,
                       static_cast<char *>(out) + offset};
    if (!agentkit::forward(pass, arena)) return 2;
  }
  return 0;
}

struct Reading {
  const char *data;
  int64_t bytes;
  uint64_t total;
};

}  // namespace

extern "C" {

int32_t agentkit_moe_abi(void) { return AGENTKIT_MOE_ABI; }

const char *agentkit_moe_sources(void) { return AGENTKIT_SOURCES; }

const char *agentkit_moe_best_level(void) { return agentkit::best_level().name; }

const char *agentkit_moe_level(void) {
  const std::lock_guard<agentkit::TeamLock> guard(lock);
  return agentkit::level().name;
}

int32_t agentkit_moe_use_level(const char *name) {
  const std::lock_guard<agentkit::TeamLock> guard(lock);
  return agentkit::use_level(name) ? 1 : 0;
}

void agentkit_moe_use_threads(int32_t threads) {
  const std::lock_guard<agentkit::TeamLock> guard(lock);
  agentkit::use_threads(threads);
}

void agentkit_moe_borrow_team(agentkit_parallel parallel, agentkit_count index,
                              agentkit_count size) {
  const std::lock_guard<agentkit::TeamLock> guard(lock);
  agentkit::borrow_team(parallel, index, size);
}

int32_t agentkit_moe_run(const agentkit_moe_layer *layer, const void *x, int64_t tokens,
                         const int64_t *ids, const float *scores, void *out) {
  if (tokens > 0 && (ids == nullptr || scores == nullptr)) return 1;
  static const int64_t none = 0;
  return run(layer, x, tokens, ids ? ids : &none, scores, nullptr, out);
}

int32_t agentkit_moe_route_and_run(const agentkit_moe_layer *layer, const void *x, int64_t tokens,
                                   float *logits, void *out) {
  return run(layer, x, tokens, nullptr, nullptr, logits, out);
}

uint64_t agentkit_moe_read(const void *data, int64_t bytes) {
  const std::lock_guard<agentkit::TeamLock> guard(lock);
  Reading reading = {static_cast<const char *>(data), bytes, 0};
  const agentkit::Job job = {[](void *context, int index, int size, agentkit::Barrier &) {
                               Reading &r = *static_cast<Reading *>(context);
                               const agentkit::Range units = agentkit::share(r.bytes / 256, index, size);
                               const uint64_t sum = agentkit::level().read(
                                   r.data + units.first * 256, (units.last - units.first) * 256);
                               __atomic_add_fetch(&r.total, sum, __ATOMIC_RELAXED);
                             },
                             &reading};
  agentkit::run_on_team(job);
  return reading.total;
}

}  // extern "C"
