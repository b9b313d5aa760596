// The product of bfloat16 rows with a bfloat16 panel on AVX-512 BF16 and, where there is, AMX.
#include <immintrin.h>

#include "level.h"

namespace {

using namespace agentkit;

template <int m>
static inline void bf16_tile(const char *a, int64_t stride, const uint32_t *words, int64_t k,
                             float *c) {
  __m512 sums[m][4];
  for (int i = 0; i < m; i++)
    for (int j = 0; j < 4; j++) sums[i][j] = _mm512_setzero_ps();
  for (int64_t pair = 0; pair < k / 2; pair++, words += panel_columns) {
    if (m <= 4)
      for (int j = 0; j < 4; j++) _mm_prefetch((const char *)(words + 1024 + 16 * j), _MM_HINT_T0);
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
                      float *c) {
  while (n > 0) {
    const int64_t m = n >= 6 && n != 7 && n != 8 ? 6 : n < 6 ? n : 4;
    switch (m) {
      case 1: bf16_tile<1>(a, stride, words, k, c); break;
      case 2: bf16_tile<2>(a, stride, words, k, c); break;
      case 3: bf16_tile<3>(a, stride, words, k, c); break;
      case 4: bf16_tile<4>(a, stride, words, k, c); break;
      case 5: bf16_tile<5>(a, stride, words, k, c); break;
      default: bf16_tile<6>(a, stride, words, k, c); break;
    }
    a += m * stride;
    c += m * panel_columns;
    n -= m;
  }
}

#if defined(__AMX_BF16__)

// The tile intrinsics do not tell the compiler which memory they read.
static inline void memory_is_read() { __asm__ volatile("" ::: "memory"); }

// Tiles 0-3 hold c (16 rows x 16 columns each), 4-5 rows of a, 6-7 columns of the panel. All are
// full: rows of a and c beyond n exist as slack and nobody looks at them.
static void tiles_begin() {
  struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t columns[16];
    uint8_t rows[16];
  } config __attribute__((aligned(64))) = {};
  config.palette = 1;
  for (int i = 0; i < 8; i++) {
    config.columns[i] = 64;
    config.rows[i] = 16;
  }
  memory_is_read();
  _tile_loadconfig(&config);
}

static void tiles_end() { _tile_release(); }

// 32 rows by 32 columns: each tile of a and of the panel is used twice. first: c starts at zero.
static inline void amx_square(const char *a, int64_t stride, const uint32_t *words, int64_t k,
                              bool first, float *c) {
  constexpr int row = 4 * panel_columns;
  float *below = c + 16 * panel_columns;
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, c, row);
    _tile_loadd(1, c + 16, row);
    _tile_loadd(2, below, row);
    _tile_loadd(3, below + 16, row);
  }
  for (int64_t i = 0; i < k; i += 32, words += 16 * panel_columns) {
    _tile_loadd(4, a + 2 * i, stride);
    _tile_loadd(6, words, row);
    _tile_loadd(7, words + 16, row);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, a + 16 * stride + 2 * i, stride);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, row);
  _tile_stored(1, c + 16, row);
  _tile_stored(2, below, row);
  _tile_stored(3, below + 16, row);
}

// Inputs at a time: that much of half a panel stays in the first-level cache for all rows.
constexpr int64_t amx_depth = 512;

static void amx_squares(const char *a, int64_t stride, int64_t squares, const uint32_t *words,
                        int64_t k, float *c) {
  for (int64_t from = 0; from < k; from += amx_depth) {
    const int64_t depth = k - from < amx_depth ? k - from : amx_depth;
    for (int column = 0; column < panel_columns; column += 32)
      for (int64_t i = 0; i < squares; i++)
        amx_square(a + 32 * i * stride + 2 * from, stride,
                   words + from / 2 * panel_columns + column, depth, from == 0,
                   c + 32 * i * panel_columns + column);
  }
}

// 16 rows by 64 columns.
static inline void amx_flat(const char *a, int64_t stride, const uint32_t *words, int64_t k,
                            float *c) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t i = 0; i < k; i += 32, words += 16 * panel_columns) {
    _tile_loadd(4, a + 2 * i, stride);
    _tile_loadd(6, words, 4 * panel_columns);
    _tile_loadd(7, words + 16, 4 * panel_columns);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(6, words + 32, 4 * panel_columns);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(7, words + 48, 4 * panel_columns);
    _tile_dpbf16ps(2, 4, 6);
    _tile_dpbf16ps(3, 4, 7);
  }
  for (int j = 0; j < 4; j++) {
    float *to = c + 16 * j;
    switch (j) {
      case 0: _tile_stored(0, to, 4 * panel_columns); break;
      case 1: _tile_stored(1, to, 4 * panel_columns); break;
      case 2: _tile_stored(2, to, 4 * panel_columns); break;
      default: _tile_stored(3, to, 4 * panel_columns); break;
    }
  }
}

// Below this many rows a tile is too empty to beat the dot products.
constexpr int64_t amx_rows = 5;

static void bf16_product(const char *a, int64_t stride, int64_t n, const uint32_t *words, int64_t k,
                         float *c) {
  memory_is_read();
  const int64_t squares = (n + 15) / 32;
  amx_squares(a, stride, squares, words, k, c);
  n -= 32 * squares;
  a += 32 * squares * stride;
  c += 32 * squares * panel_columns;
  if (n >= amx_rows) {
    amx_flat(a, stride, words, k, c);
  } else if (n > 0) {
    bf16_rows(a, stride, n, words, k, c);
  }
}

#else

static void tiles_begin() {}
static void tiles_end() {}

static void bf16_product(const char *a, int64_t stride, int64_t n, const uint32_t *words, int64_t k,
                         float *c) {
  bf16_rows(a, stride, n, words, k, c);
}

#endif

}  // namespace
