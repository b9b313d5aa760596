// The product of bfloat16 rows with a bfloat16 panel on AVX-512 BF16: one to six rows at a time.
#pragma once

#include <immintrin.h>

#include "level.h"
#include "stream.h"

namespace {

using namespace agentkit;

template <int m, bool streamed>
static inline void bf16_tile(const char *a, int64_t stride, const uint32_t *words, int64_t k,
                             bool fresh, Stream &stream, float *c) {
  __m512 sums[m][4];
  for (int i = 0; i < m; i++)
    for (int j = 0; j < 4; j++) sums[i][j] = _mm512_setzero_ps();
  for (int64_t pair = 0; pair < k / 2; pair++, words += panel_columns) {
    if (streamed && fresh && pair % 4 == 0) fetch(stream, 18);
    if (!streamed && m <= 4)
      for (int j = 0; j < 4; j++)
        _mm_prefetch((const char *)(words + words_ahead + 16 * j), _MM_HINT_T0);
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

template <bool streamed>
static void bf16_rows_of(const char *a, int64_t stride, int64_t n, const uint32_t *words, int64_t k,
                      bool fresh, Stream &stream, float *c) {
  while (n > 0) {
    const int64_t m = n >= 6 && n != 7 && n != 8 ? 6 : n < 6 ? n : 4;
    switch (m) {
      case 1: bf16_tile<1, streamed>(a, stride, words, k, fresh, stream, c); break;
      case 2: bf16_tile<2, streamed>(a, stride, words, k, fresh, stream, c); break;
      case 3: bf16_tile<3, streamed>(a, stride, words, k, fresh, stream, c); break;
      case 4: bf16_tile<4, streamed>(a, stride, words, k, fresh, stream, c); break;
      case 5: bf16_tile<5, streamed>(a, stride, words, k, fresh, stream, c); break;
      default: bf16_tile<6, streamed>(a, stride, words, k, fresh, stream, c); break;
    }
    a += m * stride;
    c += m * panel_columns;
    n -= m;
    fresh = false;
  }
}

// fresh: the panel is read for the first time.
static void bf16_rows(const char *a, int64_t stride, int64_t n, const uint32_t *words, int64_t k,
                      bool fresh, Stream &stream, float *c) {
  if (streams(stream)) {
    bf16_rows_of<true>(a, stride, n, words, k, fresh, stream, c);
  } else {
    bf16_rows_of<false>(a, stride, n, words, k, fresh, stream, c);
  }
}

}  // namespace
