// One linear layer for any number of rows, as transformers' forward calls it.
#include "decode_linear.h"

#include "arena.h"
#include "levels.h"
#include "team.h"

namespace agentkit {

bool runnable(const agentkit_linear &m) {
  const bool quantised = m.weights == AGENTKIT_INT8 || m.weights == AGENTKIT_INT4;
  const int32_t unit = m.group > 64 ? m.group : 64;
  const bool group = quantised ? m.group == 32 || m.group == 64 || m.group == 128 : m.group == 0;
  return m.weights >= AGENTKIT_F32 && m.weights <= AGENTKIT_INT4 && m.inputs > 0 && m.outputs > 0 &&
         m.padded_inputs >= m.inputs && m.padded_outputs >= m.outputs && m.padded_inputs % unit == 0 &&
         m.padded_outputs % unit == 0 && group && m.words && quantised == (m.scales != nullptr);
}

namespace {

// Kept between calls; used under the library's lock.
Arena arena;

struct Call {
  const agentkit_linear &m;
  const Level &level;
  const void *x;
  int32_t activations;
  void *out;
  Inputs in;
  char *own;
  int64_t own_bytes;

  void work(int index, int size, Barrier &barrier) const {
    level.begin();
    const int64_t element = element_bytes(activations);
    char *mine = own + index * own_bytes;
    float *wide = (float *)mine;
    const Range rows = share(in.count, index, size);
    for (int64_t row = rows.first; row < rows.last; row++) {
      level.widen((const char *)x + row * m.inputs * element, activations, m.inputs, m.padded_inputs, wide);
      prepare_row(level, m, in, row, wide);
    }
    barrier.wait();
    multiply(level, m, in, share(panels_of(m), index, size), mine,
             [&](int64_t column, int64_t row, int64_t n, const float *c) {
               const int64_t columns = columns_at(m, column);
               if (columns == 0) return;
               level.store(c, n, activations, (char *)out + (row * m.outputs + column) * element,
                           m.outputs * element, columns);
             });
    level.end();
  }
};

}  // namespace

}  // namespace agentkit

extern "C" int32_t agentkit_linear_run(const agentkit_linear *linear, const void *x,
                                       int32_t activations, int64_t rows, void *out) {
  using namespace agentkit;
  if (linear == nullptr || rows < 0 || !runnable(*linear)) return 1;
  if (activations != AGENTKIT_F32 && activations != AGENTKIT_BF16) return 1;
  if (rows == 0) return 0;
  if (x == nullptr || out == nullptr) return 1;
  const std::lock_guard<TeamLock> guard(team_lock());
  const Level &now = level();
  const int64_t wide = (int64_t)linear->padded_inputs * 4, product = own_bytes(*linear);
  const int64_t own_size = ((wide > product ? wide : product) + 63) / 64 * 64;
  Layout layout;
  const int64_t in = layout.take(inputs_bytes(now, *linear, rows));
  const int64_t own = layout.take(own_size * team_size());
  if (!arena.reserve(layout.total())) return 2;
  const Call call = {*linear, now, x, activations, out, inputs_at(now, *linear, rows, arena.at<char>(in)),
                     arena.at<char>(own), own_size};
  const Job job = {[](void *context, int index, int size, Barrier &barrier) {
                     static_cast<const Call *>(context)->work(index, size, barrier);
                   },
                   const_cast<Call *>(&call)};
  run_on_team(job);
  return 0;
}
