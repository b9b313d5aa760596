// The product of float32 rows with a panel of any weight format, in float32.
#pragma once

#include "level.h"
#include "stream.h"
#include "vectors.h"

namespace {

using namespace agentkit;

// Input number `part` of the words of one vector of columns.
template <int weights>
static inline Vec decode(const uint32_t *words, int part, Vec scale) {
  Words w = load(words);
  if (weights == AGENTKIT_F32) return bits(w);
  if (weights == AGENTKIT_BF16) return bits(part ? w & 0xffff0000u : w << 16);
  if (weights == AGENTKIT_INT8) {
    Ints q = (Ints)((w >> (8 * part)) & 255u) - 128;
    return __builtin_convertvector(q, Vec) * scale;
  }
  Ints q = (Ints)((w >> (part < 4 ? 8 * part : 8 * (part - 4) + 4)) & 15u) - 8;
  return __builtin_convertvector(q, Vec) * scale;
}

// c[m][width * lanes] = a[m][k] times that many columns of the panel. Sums run over k in order.
template <int weights, int m, int width>
static inline void float_tile(const float *a, int64_t stride, const Panel &panel, int column,
                              Span &span, float *c) {
  constexpr int depth = 1 << weights, passes = panel_columns / (width * lanes);
  Vec sums[m][width] = {};
  Vec scale[width] = {};
  const uint32_t *words = panel.words + column;
  const int step = panel.scales ? panel.group : panel.k;
  for (int first = 0; first < panel.k; first += step) {
    if (panel.scales)
      for (int j = 0; j < width; j++)
        scale[j] = load_bf16(panel.scales + first / step * panel_columns + column + j * lanes);
    for (int k = first; k < first + step; k += depth, words += panel_columns) {
      if (k / depth % (round_rows * passes) == 0) fetch(span);
#pragma GCC unroll 8
      for (int part = 0; part < depth; part++) {
        Vec b[width];
#pragma GCC unroll 16
        for (int j = 0; j < width; j++) b[j] = decode<weights>(words + j * lanes, part, scale[j]);
#pragma GCC unroll 8
        for (int i = 0; i < m; i++) {
          const float s = a[i * stride + k + part];
#pragma GCC unroll 16
          for (int j = 0; j < width; j++) sums[i][j] += s * b[j];
        }
      }
    }
  }
  for (int i = 0; i < m; i++)
    for (int j = 0; j < width; j++) store(c + i * panel_columns + column + j * lanes, sums[i][j]);
}

// AVX-512 has 32 registers, the others 16: width and rows are chosen to fit.
template <int weights, int m>
static inline void float_rows(const float *a, int64_t stride, const Panel &panel, Span &span,
                              float *c) {
  constexpr int most = lanes == 16 ? 4 : (m == 1 ? 8 : m == 2 ? 4 : 2);
  constexpr int width = most * lanes > panel_columns ? panel_columns / lanes : most;
  for (int column = 0; column < panel_columns; column += width * lanes)
    float_tile<weights, m, width>(a, stride, panel, column, span, c);
}

template <int weights>
static void float_product_of(const float *a, int64_t stride, int64_t n, const Panel &panel,
                             Stream &stream, float *c) {
  while (n > 0) {
    const int64_t m = n >= 6 && n != 7 && n != 8 ? 6 : n < 6 ? n : 4;
    Span span = opened(stream);
    switch (m) {
      case 1: float_rows<weights, 1>(a, stride, panel, span, c); break;
      case 2: float_rows<weights, 2>(a, stride, panel, span, c); break;
      case 3: float_rows<weights, 3>(a, stride, panel, span, c); break;
      case 4: float_rows<weights, 4>(a, stride, panel, span, c); break;
      case 5: float_rows<weights, 5>(a, stride, panel, span, c); break;
      default: float_rows<weights, 6>(a, stride, panel, span, c); break;
    }
    a += m * stride;
    c += m * panel_columns;
    n -= m;
    stream.span = span;
  }
}

static void float_product(const float *a, int64_t stride_bytes, int64_t n, const Panel &panel,
                          Stream &stream, float *c) {
  const int64_t stride = stride_bytes / 4;
  switch (panel.weights) {
    case AGENTKIT_F32: float_product_of<AGENTKIT_F32>(a, stride, n, panel, stream, c); break;
    case AGENTKIT_BF16: float_product_of<AGENTKIT_BF16>(a, stride, n, panel, stream, c); break;
    case AGENTKIT_INT8: float_product_of<AGENTKIT_INT8>(a, stride, n, panel, stream, c); break;
    default: float_product_of<AGENTKIT_INT4>(a, stride, n, panel, stream, c); break;
  }
}

}  // namespace
