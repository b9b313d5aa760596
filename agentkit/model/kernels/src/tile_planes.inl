// The product of integer rows in two byte planes with an int8 or int4 panel on AMX tiles.
//
// The weights meet the rows as they are stored: a word is 4 inputs of a column, which is what an
// 8-bit tile wants. Each plane has its own integer sums of a group; they leave the tiles once a
// group, become one number, and are scaled into the float32 result.
#pragma once

#include "integer_product.inl"
#include "tiles.inl"

namespace {

// Integer sums of 16 rows by 32 columns: high and low plane of 16 columns, then of the other 16.
struct GroupSums {
  int32_t of[4][16 * 16] __attribute__((aligned(64)));
};

// words: the group's rows of 64 words, 4 inputs each.
static inline void group_sums(const char *high, const char *low, int64_t stride,
                              const uint32_t *words, int64_t group, GroupSums &sums) {
  zero_c();
  for (int64_t i = 0; i < group; i += 64, words += 16 * panel_columns) {
    _tile_loadd(4, high + i, stride);
    _tile_loadd(6, words, panel_row);
    _tile_dpbsud(0, 4, 6);
    _tile_loadd(5, low + i, stride);
    _tile_dpbsud(1, 5, 6);
    _tile_loadd(7, words + 16, panel_row);
    _tile_dpbsud(2, 4, 7);
    _tile_dpbsud(3, 5, 7);
  }
  _tile_stored(0, sums.of[0], 64);
  _tile_stored(1, sums.of[1], 64);
  _tile_stored(2, sums.of[2], 64);
  _tile_stored(3, sums.of[3], 64);
  memory_is_read();
}

// c[m][32] += (sums - corrections) * scales; the first group finds c undefined.
static inline void add_group(const GroupSums &sums, int64_t m, const int32_t *corrections,
                             int64_t stride, const uint16_t *scales, bool first, float *c) {
  for (int j = 0; j < 2; j++) {
    const __m512 scale = (__m512)load_bf16(scales + 16 * j);
    const int32_t *high = sums.of[2 * j], *low = sums.of[2 * j + 1];
    for (int64_t i = 0; i < m; i++) {
      const int32_t correction = *(const int32_t *)((const char *)corrections + i * stride);
      const __m512i value =
          _mm512_add_epi32(_mm512_slli_epi32(_mm512_load_si512(high + 16 * i), 7),
                           _mm512_sub_epi32(_mm512_load_si512(low + 16 * i),
                                            _mm512_set1_epi32(correction)));
      float *to = c + i * panel_columns + 16 * j;
      const __m512 before = first ? _mm512_setzero_ps() : _mm512_loadu_ps(to);
      _mm512_storeu_ps(to, _mm512_fmadd_ps(_mm512_cvtepi32_ps(value), scale, before));
    }
  }
}

// int4 words, 8 inputs each, to words of 4: the low nibbles of a row, then the high ones.
static inline void unpack_nibbles(const uint32_t *words, int64_t rows, uint32_t *out) {
  const __m512i nibbles = _mm512_set1_epi8(15);
  for (int64_t row = 0; row < rows; row++, words += panel_columns, out += 2 * panel_columns) {
    for (int j = 0; j < panel_columns; j += 16) {
      const __m512i w = _mm512_loadu_si512(words + j);
      _mm512_store_si512(out + j, _mm512_and_si512(w, nibbles));
      _mm512_store_si512(out + panel_columns + j,
                         _mm512_and_si512(_mm512_srli_epi32(w, 4), nibbles));
    }
  }
}

// Sixteen rows at most.
template <int weights>
static void tile_planes_of(const char *a, int64_t stride, int64_t m, const Panel &panel,
                           Stream &stream, float *c) {
  constexpr int depth = 1 << weights;
  const int64_t k = panel.k, group = panel.group, word_rows = group / depth;
  const int64_t rounds = stream.pace * group / 64 + 1;  // for half the columns
  const int32_t *corrections = (const int32_t *)(a + 2 * k);
  uint32_t unpacked[32 * panel_columns] __attribute__((aligned(64)));
  GroupSums sums[2];
  for (int64_t g = 0; g < k / group; g++) {
    const uint32_t *words = panel.words + g * word_rows * panel_columns;
    if (weights == AGENTKIT_INT4) {
      unpack_nibbles(words, word_rows, unpacked);
      words = unpacked;
      memory_is_read();
    }
    const char *high = a + g * group, *low = high + k;
    for (int half = 0; half < 2; half++) {
      group_sums(high, low, stride, words + 32 * half, group, sums[half]);
      fetch(stream, rounds);
    }
    for (int half = 0; half < 2; half++)
      add_group(sums[half], m, corrections + g, stride, panel.scales + g * panel_columns + 32 * half,
                g == 0, c + 32 * half);
  }
  for (int64_t i = 0; i < m; i++) {
    const __m512 scale =
        _mm512_set1_ps(*(const float *)(a + i * stride + 2 * k + 4 * (k / group)));
    for (int j = 0; j < panel_columns; j += 16) {
      float *to = c + i * panel_columns + j;
      _mm512_storeu_ps(to, _mm512_mul_ps(_mm512_loadu_ps(to), scale));
    }
  }
}

template <int weights>
static void tile_planes(const char *a, int64_t stride, int64_t n, const Panel &panel,
                        Stream &stream, float *c) {
  memory_is_read();
  for (int64_t row = 0; row < n; row += 16) {
    const int64_t m = n - row < 16 ? n - row : 16;
    tiles_of((int)m, panel.group < 64 ? panel.group : 64);
    tile_planes_of<weights>(a + row * stride, stride, m, panel, stream, c + row * panel_columns);
  }
  tiles_begin();
}

}  // namespace
