// Everything around the products: widening, router, gates, combining and storing.
#pragma once

#include <string.h>

#include "level.h"
#include "vectors.h"

namespace {

using namespace agentkit;

static void widen(const void *x, int32_t activations, int64_t n, int64_t padded, float *out) {
  int64_t i = 0;
  if (activations == AGENTKIT_F32) {
    memcpy(out, x, (size_t)n * 4);
    i = n;
  } else {
    const uint16_t *halves = (const uint16_t *)x;
    for (; i + lanes <= n; i += lanes) store(out + i, load_bf16(halves + i));
    for (; i < n; i++) {
      uint32_t word = (uint32_t)halves[i] << 16;
      memcpy(out + i, &word, 4);
    }
  }
  for (; i < padded; i++) out[i] = 0.0f;
}

// Two accumulators per dot product, in the same order whatever the blocking, so that equal router
// rows give equal logits to the bit and a tie stays a tie.
template <int experts>
static inline void dots(const float *x, const float *router, int64_t k, float *out) {
  Vec even[experts] = {}, odd[experts] = {};
  for (int64_t i = 0; i < k; i += 2 * lanes) {
    Vec x0 = load(x + i), x1 = load(x + i + lanes);
    for (int e = 0; e < experts; e++) {
      even[e] += x0 * load(router + e * k + i);
      odd[e] += x1 * load(router + e * k + i + lanes);
    }
  }
  for (int e = 0; e < experts; e++) out[e] = sum(even[e] + odd[e]);
}

static void logits(const float *x, int64_t tokens, int64_t k, const float *router, int64_t first,
                   int64_t last, float *out, int64_t stride) {
  int64_t e = first;
  for (; e + 4 <= last; e += 4)
    for (int64_t t = 0; t < tokens; t++) dots<4>(x + t * k, router + e * k, k, out + t * stride + e);
  for (; e < last; e++)
    for (int64_t t = 0; t < tokens; t++) dots<1>(x + t * k, router + e * k, k, out + t * stride + e);
}

static inline void prepare_plain(Rows rows, const float *x, float factor, int64_t k, void *out) {
  if (rows == Rows::f32) {
    for (int64_t i = 0; i < k; i += lanes) store((float *)out + i, load(x + i) * factor);
  } else {
    for (int64_t i = 0; i < k; i += lanes) store_bf16((uint16_t *)out + i, load(x + i) * factor);
  }
}

static inline Vec gated(const Gate &gate, Vec g, Vec u) {
  if (gate.kind == AGENTKIT_CLAMPED_SWIGLU) {
    g = at_most(g, gate.limit);
    u = at_least(at_most(u, gate.limit), -gate.limit) + 1.0f;
    return u * (g / (exponential(-gate.alpha * g) + 1.0f));
  }
  return u * (g / (exponential(-g) + 1.0f));
}

static void activate(const Gate &gate, const float *c, int64_t n, const float *bias, Rows rows,
                     void *h, int64_t stride) {
  for (int64_t row = 0; row < n; row++, c += panel_columns, h = (char *)h + stride) {
    for (int i = 0; i < gate_columns; i += lanes) {
      Vec g = load(c + i), u = load(c + gate_columns + i);
      if (bias) {
        g += load(bias + i);
        u += load(bias + gate_columns + i);
      }
      Vec value = gated(gate, g, u);
      if (rows == Rows::bf16) {
        store_bf16((uint16_t *)h + i, value);
      } else {
        store((float *)h + i, value);
      }
    }
  }
}

static void combine(const float *c, int64_t n, const float *bias, const int64_t *token,
                    const float *factor, float *acc) {
  for (int64_t row = 0; row < n; row++, c += panel_columns) {
    float *to = acc + token[row] * panel_columns;
    for (int i = 0; i < panel_columns; i += lanes) {
      Vec value = load(c + i);
      if (bias) value += load(bias + i);
      store(to + i, load(to + i) + value * factor[row]);
    }
  }
}

static void store_rows(const float *acc, int64_t n, int32_t activations, void *out, int64_t stride,
                       int64_t columns) {
  for (int64_t row = 0; row < n; row++, acc += panel_columns, out = (char *)out + stride) {
    if (activations == AGENTKIT_F32) {
      memcpy(out, acc, (size_t)columns * 4);
      continue;
    }
    uint16_t halves[panel_columns];
    for (int i = 0; i < panel_columns; i += lanes) store_bf16(halves + i, load(acc + i));
    memcpy(out, halves, (size_t)columns * 2);
  }
}

// Several places at a time, which is what brings most from the memory (stream.h).
static uint64_t read_words(const void *data, int64_t bytes) {
  constexpr int64_t block = 16 << 10, part = block / span_parts;
  const uint32_t *words = (const uint32_t *)data;
  Words sums[span_parts] = {};
  int64_t first = 0;
  for (; first + block <= bytes / 4; first += block)
    for (int64_t i = first; i < first + part; i += lanes)
      for (int j = 0; j < span_parts; j++) sums[j] += load(words + i + j * part);
  for (; first + lanes <= bytes / 4; first += lanes) sums[0] += load(words + first);
  Words all = {};
  for (const Words &sum : sums) all += sum;
  uint64_t total = 0;
  for (int i = 0; i < lanes; i++) total += all[i];
  return total;
}

}  // namespace
