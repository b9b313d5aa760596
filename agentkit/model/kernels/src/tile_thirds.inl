// The product of float32 rows with a float32 panel on AMX tiles, in float32 precision.
//
// A float32 is the exact sum of three bfloat16 (8 + 8 + 8 bits, cut and not rounded). Of the nine
// products of two such sums the six largest are kept; what is left out is below 2^-22 of the
// product, the size of float32's own rounding. Six tile products are still much faster than one
// float32 vector product.
#pragma once

#include <immintrin.h>

#include "level.h"
#include "stream.h"
#include "tiles.inl"

namespace {

struct Thirds {
  __m512i of[3];  // in the upper halves of the words
};

static inline Thirds split(__m512 v) {
  const __m512i upper = _mm512_set1_epi32((int32_t)0xffff0000u);
  Thirds parts;
  for (int i = 0; i < 3; i++) {
    parts.of[i] = _mm512_and_si512(_mm512_castps_si512(v), upper);
    v = _mm512_sub_ps(v, _mm512_castsi512_ps(parts.of[i]));
  }
  return parts;
}

// One row times factor into three planes of k bfloat16.
static void prepare_thirds(const float *x, float factor, int64_t k, void *out) {
  uint16_t *plane = (uint16_t *)out;
  for (int64_t i = 0; i < k; i += 16) {
    const Thirds parts = split(_mm512_mul_ps(_mm512_loadu_ps(x + i), _mm512_set1_ps(factor)));
    for (int j = 0; j < 3; j++)
      _mm256_storeu_si256((__m256i *)(plane + j * k + i),
                          _mm512_cvtepi32_epi16(_mm512_srli_epi32(parts.of[j], 16)));
  }
}

// Inputs at a time: their three bfloat16 panels fit the first-level cache.
constexpr int64_t third_depth = 64;
constexpr int64_t third_words = third_depth / 2 * panel_columns;

// third_depth rows of 64 words to three bfloat16 panels.
static inline void split_panel(const uint32_t *words, uint32_t *out) {
  for (int64_t i = 0; i < third_words; i += panel_columns, words += 2 * panel_columns) {
    for (int j = 0; j < panel_columns; j += 16) {
      const Thirds even = split(_mm512_loadu_ps((const float *)words + j));
      const Thirds odd = split(_mm512_loadu_ps((const float *)words + panel_columns + j));
      for (int part = 0; part < 3; part++)
        _mm512_store_si512(out + part * third_words + i + j,
                           _mm512_or_si512(_mm512_srli_epi32(even.of[part], 16), odd.of[part]));
    }
  }
}

// Which third of a row meets which third of the panel, the small ones first.
struct Pair {
  int8_t row, panel;
};
constexpr Pair third_pairs[6] = {{0, 2}, {2, 0}, {1, 1}, {0, 1}, {1, 0}, {0, 0}};

// 32 rows by 32 columns.
static inline void square_thirds(const char *a, int64_t plane, int64_t stride,
                                 const uint32_t *words, bool first, Stream &stream, int64_t lines,
                                 float *c) {
  if (first) {
    zero_c();
  } else {
    load_c(c, 16 * panel_columns);
  }
  for (const Pair pair : third_pairs) {
    const char *row = a + pair.row * plane;
    const uint32_t *from = words + pair.panel * third_words;
    for (int64_t i = 0; i < third_depth; i += 32, from += 16 * panel_columns) {
      _tile_loadd(4, row + 2 * i, stride);
      _tile_loadd(6, from, panel_row);
      _tile_loadd(7, from + 16, panel_row);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(5, row + 16 * stride + 2 * i, stride);
      _tile_dpbf16ps(1, 4, 7);
      fetch(stream, lines);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  store_c(c, 16 * panel_columns);
}

// 16 rows by 64 columns.
static inline void flat_thirds(const char *a, int64_t plane, int64_t stride, const uint32_t *words,
                               bool first, Stream &stream, int64_t lines, float *c) {
  if (first) {
    zero_c();
  } else {
    load_c(c, 32);
  }
  for (const Pair pair : third_pairs) {
    const char *row = a + pair.row * plane;
    const uint32_t *from = words + pair.panel * third_words;
    for (int64_t i = 0; i < third_depth; i += 32, from += 16 * panel_columns) {
      _tile_loadd(4, row + 2 * i, stride);
      _tile_loadd(6, from, panel_row);
      _tile_loadd(7, from + 16, panel_row);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(6, from + 32, panel_row);
      _tile_dpbf16ps(1, 4, 7);
      _tile_loadd(7, from + 48, panel_row);
      fetch(stream, lines);
      _tile_dpbf16ps(2, 4, 6);
      _tile_dpbf16ps(3, 4, 7);
    }
  }
  store_c(c, 32);
}

// Lines to fetch with each of the 12 steps of third_depth inputs that are read for the first time.
constexpr int64_t third_lines = 24;

static void thirds_product(const char *a, int64_t stride, int64_t n, const Panel &panel, bool fresh,
                           Stream &stream, float *c) {
  uint32_t words[3 * third_words] __attribute__((aligned(64)));
  const int64_t plane = 2 * panel.k, squares = (n + 15) / 32;
  for (int64_t from = 0; from < panel.k; from += third_depth) {
    split_panel(panel.words + from * panel_columns, words);
    memory_is_read();
    const char *row = a + 2 * from;
    for (int64_t i = 0; i < squares; i++)
      for (int column = 0; column < panel_columns; column += 32)
        square_thirds(row + 32 * i * stride, plane, stride, words + column, from == 0, stream,
                      fresh && i == 0 ? third_lines / 2 : lines_again,
                      c + 32 * i * panel_columns + column);
    if (n > 32 * squares)
      flat_thirds(row + 32 * squares * stride, plane, stride, words, from == 0, stream,
                  fresh && squares == 0 ? third_lines : lines_again,
                  c + 32 * squares * panel_columns);
    memory_is_read();
  }
}

}  // namespace
