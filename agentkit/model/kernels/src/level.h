// What one instruction set provides: a table of functions, one table per translation unit.
//
// The driver (forward.cpp) knows phases, experts and threads; a level knows registers. Everything
// a level computes for one row of one panel is independent of the thread that asks for it.
#pragma once

#include "moe.h"
#include "stream.h"

namespace agentkit {

constexpr int panel_columns = AGENTKIT_MOE_PANEL;
constexpr int gate_columns = panel_columns / 2;

// Rows that a level may read beyond the last one it was asked for, and rows of c it may write.
constexpr int row_slack = 16;

// How the input rows of a panel product are stored.
//   f32:    [k] float32
//   bf16:   [k] bfloat16
//   planes: 15-bit integers in two int8 planes, high [k] and low [k] (value = 128 high + low),
//           then int32 [k / group] of bias times the group's sum, then the float32 row scale.
enum class Rows : int32_t { f32, bf16, planes };

// One panel of packed weights. scales: [k / group][64] bfloat16.
struct Panel {
  const uint32_t *words;
  const uint16_t *scales;
  int32_t weights, k, group;
};

struct Gate {
  int32_t kind;
  float alpha, limit;
};

struct Level {
  const char *name;

  // Whether the CPU runs it; called once.
  bool (*supported)();

  // Per-thread state around one call (AMX tiles).
  void (*begin)();
  void (*end)();

  // The row format for an expert with n rows.
  Rows (*rows)(int32_t weights, int64_t n);

  // x (float32 or bfloat16) to float32, zeros from n to padded.
  void (*widen)(const void *x, int32_t activations, int64_t n, int64_t padded, float *out);

  // logits[token * stride + e] = x[token] . router[e] for experts [first, last), in float32.
  void (*logits)(const float *x, int64_t tokens, int64_t k, const float *router, int64_t first,
                 int64_t last, float *logits, int64_t stride);

  // One float32 row times factor into a row format.
  void (*prepare)(Rows rows, const float *x, float factor, int64_t k, int32_t group, int32_t weights,
                  void *out);

  // c[n][64] = a[n][k] times panel. scratch: k * 64 bfloat16 that this thread keeps between calls;
  // same_panel: the last call was for this panel too; stream: what to fetch meanwhile.
  void (*product)(Rows rows, const void *a, int64_t stride, int64_t n, const Panel &panel,
                  void *scratch, bool same_panel, Stream &stream, float *c);

  // h[n][32] = gate(c), as f32 or bf16 rows; bias: [64] or null.
  void (*activate)(const Gate &gate, const float *c, int64_t n, const float *bias, Rows rows, void *h,
                   int64_t stride);

  // acc[row_of(i)][64] += factor(i) * (c[i] + bias).
  void (*combine)(const float *c, int64_t n, const float *bias, const int64_t *token,
                  const float *factor, float *acc);

  // acc[n][64] to out rows (float32 or bfloat16), the first `columns` columns.
  void (*store)(const float *acc, int64_t n, int32_t activations, void *out, int64_t stride,
                int64_t columns);

  // Sum of words, for the bandwidth probe.
  uint64_t (*read)(const void *data, int64_t bytes);
};

// Bytes of one row of k inputs; odd multiples of a cache line keep rows out of each other's sets.
inline int64_t row_bytes(Rows rows, int64_t k, int32_t group) {
  int64_t bytes = rows == Rows::f32 ? 4 * k : 2 * k;
  if (rows == Rows::planes) bytes += 4 * (k / group) + 4;
  bytes = (bytes + 63) / 64 * 64;
  return bytes / 64 % 2 ? bytes : bytes + 64;
}

inline int32_t word_depth(int32_t weights) { return 1 << weights; }

// Bytes of an activation or of a number in the cache: AGENTKIT_F32 or AGENTKIT_BF16.
inline int64_t element_bytes(int32_t format) { return 4 / word_depth(format); }

// Bytes of a panel's words for k inputs.
inline int64_t word_bytes(int32_t weights, int64_t k) {
  return k / word_depth(weights) * panel_columns * 4;
}

// Lines of 64 columns by 32 inputs.
inline int64_t step_lines(int32_t weights) { return word_bytes(weights, 32) / 64; }

}  // namespace agentkit
