// Linear layers on the experts' panels: every weight is read once for all rows of a call.
#pragma once

#include "ahead.h"
#include "decode.h"
#include "level.h"
#include "team.h"

namespace agentkit {

// Rows that go through a panel at a time, and bytes of rows that stay in the cache meanwhile.
constexpr int64_t linear_rows = 128;
constexpr int64_t linear_resident = 1 << 20;
constexpr int64_t product_bytes = (linear_rows + 2 * row_slack) * panel_columns * 4;

bool runnable(const agentkit_linear &m);

// Whether rows prepared for one are rows for the other.
inline bool same_input(const agentkit_linear &a, const agentkit_linear &b) {
  return a.inputs == b.inputs && a.padded_inputs == b.padded_inputs && a.weights == b.weights &&
         a.group == b.group;
}

// Input rows in the format that a product wants.
struct Inputs {
  Rows rows;
  int64_t count, stride;
  char *data;
};

// Bytes for `count` rows of inputs of `m`, slack included.
inline int64_t inputs_bytes(const Level &level, const agentkit_linear &m, int64_t count) {
  return (count + row_slack) * row_bytes(level.rows(m.weights, count), m.padded_inputs, m.group);
}

inline Inputs inputs_at(const Level &level, const agentkit_linear &m, int64_t count, char *data) {
  const Rows rows = level.rows(m.weights, count);
  return {rows, count, row_bytes(rows, m.padded_inputs, m.group), data};
}

// x: padded_inputs float32.
inline void prepare_row(const Level &level, const agentkit_linear &m, const Inputs &in, int64_t row,
                        const float *x) {
  level.prepare(in.rows, x, 1.0f, m.padded_inputs, m.group, m.weights, in.data + row * in.stride);
}

// Bytes that a thread needs to itself for products with `m`.
inline int64_t own_bytes(const agentkit_linear &m) {
  return product_bytes + (m.weights >= AGENTKIT_INT8 ? (int64_t)m.padded_inputs * panel_columns * 2 : 0);
}

// Panels that lie side by side.
class LinearStream final : public Ahead {
 public:
  LinearStream(const char *words, int64_t panels, int64_t panel_bytes, int64_t lines, int64_t steps)
      : words_(words), panels_(panels), panel_bytes_(panel_bytes) {
    set_pace(lines, steps);
    open();
  }

 private:
  Span next() override {
    if (panels_ == 0) return {};
    panels_--;
    words_ += panel_bytes_;
    return span_of(words_ - panel_bytes_, panel_bytes_);
  }

  const char *words_;
  int64_t panels_, panel_bytes_;
};

// The products of all rows with some panels; sink(column, row, n, c) takes c [n][64], bias added.
template <typename Sink>
void multiply(const Level &level, const agentkit_linear &m, const Inputs &in, Range panels, char *own,
              const Sink &sink) {
  const int64_t k = m.padded_inputs;
  float *c = (float *)own;
  int64_t resident = linear_resident / in.stride / linear_rows * linear_rows;
  if (resident < linear_rows) resident = linear_rows;
  const int64_t panel_bytes = word_bytes(m.weights, k);
  const char *words = (const char *)m.words;
  for (int64_t begin = 0; begin < in.count; begin += resident) {
    const int64_t end = begin + resident < in.count ? begin + resident : in.count;
    LinearStream stream(words + panels.first * panel_bytes, panels.last - panels.first, panel_bytes,
                        step_lines(m.weights), (in.count + 15) / 16);
    for (int64_t p = panels.first; p < panels.last; p++) {
      stream.use(panel_bytes);
      Panel panel = {(const uint32_t *)(words + p * panel_bytes), nullptr, m.weights,
                     m.padded_inputs, m.group};
      if (m.scales) panel.scales = m.scales + p * (k / m.group) * panel_columns;
      for (int64_t row = begin; row < end; row += linear_rows) {
        const int64_t n = end - row < linear_rows ? end - row : linear_rows;
        level.product(in.rows, in.data + row * in.stride, in.stride, n, panel, own + product_bytes,
                      row != begin, stream, c);
        if (m.bias)
          for (int64_t i = 0; i < n; i++)
            for (int j = 0; j < panel_columns; j++)
              c[i * panel_columns + j] += m.bias[p * panel_columns + j];
        sink(p * panel_columns, row, n, (const float *)c);
      }
    }
  }
}

inline int64_t panels_of(const agentkit_linear &m) { return m.padded_outputs / panel_columns; }

// Columns of the panel at `column` that the model has.
inline int64_t columns_at(const agentkit_linear &m, int64_t column) {
  const int64_t left = m.outputs - column;
  return left < 0 ? 0 : left < panel_columns ? left : panel_columns;
}

}  // namespace agentkit
