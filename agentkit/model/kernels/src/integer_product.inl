// Products with int8 and int4 panels on AVX-512 VNNI.
//
// Few rows (decode): the row becomes a 15-bit integer in two int8 planes, and each plane meets the
// weights as they are stored in one byte dot product; nothing is converted, so the memory is the
// limit. The error of 15 bits is below bfloat16's. Many rows: the panel is turned into bfloat16
// once, in cache, and takes the bfloat16 path.
#pragma once

#include <immintrin.h>

#include "bf16_product.inl"
#include "level.h"
#include "rows.inl"
#include "stream.h"
#include "vectors.h"

namespace {

using namespace agentkit;

// High plane +-127, low plane -64..63: value = 128 * high + low.
constexpr float plane_limit = 127.0f * 128.0f;

static inline int32_t weight_bias(int32_t weights) { return weights == AGENTKIT_INT8 ? 128 : 8; }

// A row with an infinity or a NaN gets a NaN scale, which makes its whole result NaN.
static void prepare_planes(const float *x, float factor, int64_t k, int32_t group, int32_t weights,
                           void *out) {
  __m512 largest = _mm512_setzero_ps();
  __mmask16 odd = 0;
  const __m512 f = _mm512_set1_ps(factor);
  for (int64_t i = 0; i < k; i += 16) {
    const __m512 v = _mm512_abs_ps(_mm512_mul_ps(_mm512_loadu_ps(x + i), f));
    odd |= _mm512_cmp_ps_mask(v, _mm512_set1_ps(3.0e38f), _CMP_NLE_UQ);
    largest = _mm512_max_ps(largest, v);
  }
  const float most = _mm512_reduce_max_ps(largest);
  const bool finite = odd == 0;
  // Dividing first keeps the reciprocal finite for rows of denormals.
  const float scale = finite && most > 1e-30f ? most / plane_limit : 0.0f;
  const __m512 inverse = _mm512_set1_ps(scale > 0.0f ? 1.0f / scale : 0.0f);
  int8_t *high = (int8_t *)out, *low = high + k;
  int32_t *corrections = (int32_t *)(low + k);
  for (int64_t g = 0; g < k / group; g++) {
    __m512i total = _mm512_setzero_si512();
    for (int64_t i = g * group; i < (g + 1) * group; i += 16) {
      __m512i q = _mm512_setzero_si512();
      if (scale > 0.0f)
        q = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(x + i), f), inverse));
      const __m512i h = _mm512_srai_epi32(_mm512_add_epi32(q, _mm512_set1_epi32(64)), 7);
      const __m512i l = _mm512_sub_epi32(q, _mm512_slli_epi32(h, 7));
      _mm_storeu_si128((__m128i *)(high + i), _mm512_cvtepi32_epi8(h));
      _mm_storeu_si128((__m128i *)(low + i), _mm512_cvtepi32_epi8(l));
      total = _mm512_add_epi32(total, q);
    }
    corrections[g] = weight_bias(weights) * _mm512_reduce_add_epi32(total);
  }
  ((float *)(corrections + k / group))[0] = finite ? scale : __builtin_nanf("");
}

static void prepare(Rows rows, const float *x, float factor, int64_t k, int32_t group,
                    int32_t weights, void *out) {
  if (rows == Rows::planes) {
    prepare_planes(x, factor, k, group, weights, out);
  } else {
    prepare_plain(rows, x, factor, k, out);
  }
}

// Whether the CPU has what this file and bf16_product.inl are compiled for.
static bool has_vectors() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
}

static inline __m512i dot_bytes(__m512i sum, __m512i weights, const int8_t *plane) {
  int32_t four;
  __builtin_memcpy(&four, plane, 4);
  return _mm512_dpbusd_epi32(sum, weights, _mm512_set1_epi32(four));
}

// int4: 8 inputs a word, so a word row is two byte dot products.
template <int weights, int m, int width>
static inline void plane_tile(const char *a, int64_t stride, const Panel &panel, int column,
                              Span &span, float *c) {
  const int64_t k = panel.k, group = panel.group;
  constexpr int depth = 1 << weights;
  __m512 sums[m][width];
  for (int i = 0; i < m; i++)
    for (int j = 0; j < width; j++) sums[i][j] = _mm512_setzero_ps();
  const uint32_t *words = panel.words + column;
  for (int64_t g = 0; g < k / group; g++) {
    __m512i high[m][width], low[m][width];
    for (int i = 0; i < m; i++) {
      const int32_t *corrections = (const int32_t *)(a + i * stride + 2 * k);
      for (int j = 0; j < width; j++) {
        high[i][j] = _mm512_setzero_si512();
        low[i][j] = _mm512_set1_epi32(-corrections[g]);
      }
    }
    for (int64_t n = g * group; n < (g + 1) * group; n += depth, words += panel_columns) {
      if (n / depth % (round_rows * 4 / width) == 0) fetch(span);
#pragma GCC unroll 4
      for (int j = 0; j < width; j++) {
        const __m512i w = _mm512_loadu_si512(words + 16 * j);
        const __m512i nibbles = _mm512_set1_epi8(15);
        const __m512i first = weights == AGENTKIT_INT8 ? w : _mm512_and_si512(w, nibbles);
#pragma GCC unroll 4
        for (int i = 0; i < m; i++) {
          const int8_t *plane = (const int8_t *)(a + i * stride) + n;
          high[i][j] = dot_bytes(high[i][j], first, plane);
          low[i][j] = dot_bytes(low[i][j], first, plane + k);
          if (weights == AGENTKIT_INT4) {
            const __m512i second = _mm512_and_si512(_mm512_srli_epi32(w, 4), nibbles);
            high[i][j] = dot_bytes(high[i][j], second, plane + 4);
            low[i][j] = dot_bytes(low[i][j], second, plane + k + 4);
          }
        }
      }
    }
    for (int j = 0; j < width; j++) {
      const __m512 scale = (__m512)load_bf16(panel.scales + g * panel_columns + column + 16 * j);
      for (int i = 0; i < m; i++) {
        const __m512i value = _mm512_add_epi32(_mm512_slli_epi32(high[i][j], 7), low[i][j]);
        sums[i][j] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(value), scale, sums[i][j]);
      }
    }
  }
  for (int i = 0; i < m; i++) {
    float row_scale;
    __builtin_memcpy(&row_scale, a + i * stride + 2 * k + 4 * (k / group), 4);
    for (int j = 0; j < width; j++)
      _mm512_storeu_ps(c + i * panel_columns + column + 16 * j,
                       _mm512_mul_ps(sums[i][j], _mm512_set1_ps(row_scale)));
  }
}

// 32 registers hold 2 integer and 1 float sum for each row and vector.
template <int weights, int m>
static inline void plane_columns(const char *a, int64_t stride, const Panel &panel, Span &span,
                                 float *c) {
  constexpr int width = m <= 2 ? 4 : 2;
  for (int column = 0; column < panel_columns; column += 16 * width)
    plane_tile<weights, m, width>(a, stride, panel, column, span, c);
}

template <int weights>
static void plane_product(const char *a, int64_t stride, int64_t n, const Panel &panel,
                          Stream &stream, float *c) {
  while (n > 0) {
    const int64_t m = n > 4 ? 4 : n;
    Span span = opened(stream);
    switch (m) {
      case 1: plane_columns<weights, 1>(a, stride, panel, span, c); break;
      case 2: plane_columns<weights, 2>(a, stride, panel, span, c); break;
      case 3: plane_columns<weights, 3>(a, stride, panel, span, c); break;
      default: plane_columns<weights, 4>(a, stride, panel, span, c); break;
    }
    a += m * stride;
    c += m * panel_columns;
    n -= m;
    stream.span = span;
  }
}

// Two consecutive inputs of 16 columns as bfloat16 words: q * scale - bias, rounded once.
static inline void store_pair(uint32_t *out, __m512i q0, __m512i q1, __m512 scale, __m512 bias) {
  const __m512 even = _mm512_fmsub_ps(_mm512_cvtepi32_ps(q0), scale, bias);
  const __m512 odd = _mm512_fmsub_ps(_mm512_cvtepi32_ps(q1), scale, bias);
  const __m512i in_turn = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  _mm512_storeu_si512(out, _mm512_permutexvar_epi16(in_turn, (__m512i)_mm512_cvtne2ps_pbh(odd, even)));
}

// An integer panel as a bfloat16 one: out [k / 2][64] words.
template <int weights>
static void to_bf16(const Panel &panel, Stream &stream, uint32_t *out) {
  constexpr int depth = 1 << weights, vectors = panel_columns / 16;
  constexpr int bits = weights == AGENTKIT_INT8 ? 8 : 4;
  const __m512i mask = _mm512_set1_epi32((1 << bits) - 1);
  const uint32_t *words = panel.words;
  const uint16_t *scales = panel.scales;
  Span span = opened(stream);
  for (int64_t g = 0; g < panel.k / panel.group; g++, scales += panel_columns) {
    __m512 scale[vectors], bias[vectors];
    for (int j = 0; j < vectors; j++) {
      scale[j] = (__m512)load_bf16(scales + 16 * j);
      bias[j] = _mm512_mul_ps(scale[j], _mm512_set1_ps((float)weight_bias(weights)));
    }
    for (int64_t n = 0; n < panel.group; n += depth, words += panel_columns, out += depth / 2 * panel_columns) {
      if (n / depth % round_rows == 0) fetch(span);
#pragma GCC unroll 4
      for (int j = 0; j < vectors; j++) {
        const __m512i w = _mm512_loadu_si512(words + 16 * j);
#pragma GCC unroll 4
        for (int part = 0; part < depth; part += 2) {
          // int4: byte b holds input b low and input 4 + b high.
          const int shift = weights == AGENTKIT_INT8 ? 8 * part : 8 * (part % 4) + part / 4 * 4;
          store_pair(out + part / 2 * panel_columns + 16 * j, _mm512_and_si512(_mm512_srli_epi32(w, shift), mask),
                     _mm512_and_si512(_mm512_srli_epi32(w, shift + 8), mask), scale[j], bias[j]);
        }
      }
    }
  }
  stream.span = span;
}

// The words of a panel for a bfloat16 product: its own, or made in scratch for the first rows.
static const uint32_t *bf16_words(const Panel &panel, void *scratch, bool same_panel,
                                  Stream &stream) {
  if (panel.weights == AGENTKIT_BF16) return panel.words;
  uint32_t *dense = (uint32_t *)scratch;
  if (same_panel) return dense;
  if (panel.weights == AGENTKIT_INT8) {
    to_bf16<AGENTKIT_INT8>(panel, stream, dense);
  } else {
    to_bf16<AGENTKIT_INT4>(panel, stream, dense);
  }
  return dense;
}

}  // namespace
