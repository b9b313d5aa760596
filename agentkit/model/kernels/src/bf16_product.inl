// The product of bfloat16 rows with a bfloat16 panel on AVX-512 BF16: one to six rows at a time.
#pragma once

#include <immintrin.h>

#include "level.h"
#include "stream.h"

namespace {

using namespace agentkit;

template <int m>
static inline void bf16_tile(const char *a, int64_t stride, const uint32_t *words, int64_t k,
                             Span &span, float *c) {
  __m512 sums[m][4];
  for (int i = 0; i < m; i++)
    for (int j = 0; j < 4; j++) sums[i][j] = _mm512_setzero_ps();
  for (int64_t pair = 0; pair < k / 2; pair++, words += panel_columns) {
    if (pair % round_rows == 0) fetch(span);
    __m512bh b[4];
    for (int j = 0; j < 4; j++) b[j] = (__m512bh)_mm512_loadu_si512(words + 16 * j);
#pragma GCC unroll 8
    for (int i = 0; i < m; i++) {
      const __m512bh s = (__m512bh)_mm512_set1_epi32(((const int32_t *)(a + i * stride))[pair]);
      for (int j = 0; j < 4; j++) sums[i][j] = _mm512_dpbf16_ps(sums[i][j], s, b[j]);
    }
  }
  for (int i = 0; i < m; i++)
    for (int j = 0; j < 4; j++) _mm512_storeu_ps(c + i * panel_columns + 16 * j, sums[i][j]);
}

static void bf16_rows(const char *a, int64_t stride, int64_t n, const uint32_t *words, int64_t k,
                      Stream &stream, float *c) {
  while (n > 0) {
    Span span = opened(stream);
    const int64_t m = n >= 6 && n != 7 && n != 8 ? 6 : n < 6 ? n : 4;
    switch (m) {
      case 1: bf16_tile<1>(a, stride, words, k, span, c); break;
      case 2: bf16_tile<2>(a, stride, words, k, span, c); break;
      case 3: bf16_tile<3>(a, stride, words, k, span, c); break;
      case 4: bf16_tile<4>(a, stride, words, k, span, c); break;
      case 5: bf16_tile<5>(a, stride, words, k, span, c); break;
      default: bf16_tile<6>(a, stride, words, k, span, c); break;
    }
    a += m * stride;
    c += m * panel_columns;
    n -= m;
    stream.span = span;
  }
}

}  // namespace
