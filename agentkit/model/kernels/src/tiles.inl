// The product of bfloat16 rows with a bfloat16 panel on AMX tiles.
//
// A panel is already what a tile wants: a row of it is a pair of inputs for 64 columns, so 16 rows
// by 16 words load as they are. Rows of a and c beyond n exist as slack and nobody looks at them.
#pragma once

#include <immintrin.h>

#include "level.h"
#include "stream.h"

namespace {

using namespace agentkit;

// The tile intrinsics do not tell the compiler which memory they read.
static inline void memory_is_read() { __asm__ volatile("" ::: "memory"); }

// All eight tiles with `rows` rows; 0-3 hold c, 4-5 rows of a (`depth` bytes each), 6-7 columns of
// the panel (`depth` / 4 words each).
static void tiles_of(int rows, int depth) {
  struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t columns[16];
    uint8_t rows[16];
  } config __attribute__((aligned(64))) = {};
  config.palette = 1;
  for (int i = 0; i < 8; i++) {
    config.columns[i] = i == 4 || i == 5 ? depth : 64;
    config.rows[i] = i < 6 ? rows : depth / 4;
  }
  memory_is_read();
  _tile_loadconfig(&config);
}

static void tiles_begin() { tiles_of(16, 64); }
static void tiles_end() { _tile_release(); }

constexpr int panel_row = 4 * panel_columns;

// Tiles 0-3 to c: two tiles side by side, and two more from the element `second` on.
static inline void store_c(float *c, int64_t second) {
  _tile_stored(0, c, panel_row);
  _tile_stored(1, c + 16, panel_row);
  _tile_stored(2, c + second, panel_row);
  _tile_stored(3, c + second + 16, panel_row);
}

static inline void zero_c() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

// The next tile of 16 rows, from the second-level cache into the first: a multiplication does not
// go on while a tile is loaded, and from the second level that takes three times as long.
static inline void near_tile(const void *at, int64_t stride) {
#pragma GCC unroll 16
  for (int row = 0; row < 16; row++) __builtin_prefetch((const char *)at + row * stride, 0, 3);
}

constexpr int next_words = 16 * panel_columns;

// A step fetches in three bursts, 0 to 2: while one is under way, no load of the step's own gets a
// turn.
static inline void fetch_third(Stream &stream, int burst) { fetch(stream, (stream.pace + burst) / 3); }

// 32 rows by 32 columns: each tile of a and of the panel is used twice.
static inline void square(const char *a, int64_t stride, const uint32_t *words, int64_t k,
                          Stream &stream, float *c) {
  const char *below = a + 16 * stride;
  zero_c();
  for (int64_t i = 0; i < k; i += 32, a += 64, below += 64, words += next_words) {
    _tile_loadd(4, a, stride);
    near_tile(a + 64, stride);
    _tile_loadd(6, words, panel_row);
    near_tile(words + next_words, panel_row);
    _tile_loadd(7, words + 16, panel_row);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, below, stride);
    fetch_third(stream, 0);
    _tile_dpbf16ps(1, 4, 7);
    near_tile(below + 64, stride);
    fetch_third(stream, 1);
    _tile_dpbf16ps(2, 5, 6);
    near_tile(words + next_words + 16, panel_row);
    fetch_third(stream, 2);
    _tile_dpbf16ps(3, 5, 7);
  }
  store_c(c, 16 * panel_columns);
}

// 16 rows by 64 columns.
static inline void flat(const char *a, int64_t stride, const uint32_t *words, int64_t k,
                        Stream &stream, float *c) {
  zero_c();
  for (int64_t i = 0; i < k; i += 32, a += 64, words += next_words) {
    _tile_loadd(4, a, stride);
    near_tile(a + 64, stride);
    _tile_loadd(6, words, panel_row);
    _tile_loadd(7, words + 16, panel_row);
    near_tile(words + next_words, panel_row);
    _tile_dpbf16ps(0, 4, 6);
    fetch_third(stream, 0);
    _tile_loadd(6, words + 32, panel_row);
    near_tile(words + next_words + 16, panel_row);
    _tile_dpbf16ps(1, 4, 7);
    fetch_third(stream, 1);
    _tile_loadd(7, words + 48, panel_row);
    near_tile(words + next_words + 32, panel_row);
    _tile_dpbf16ps(2, 4, 6);
    fetch_third(stream, 2);
    near_tile(words + next_words + 48, panel_row);
    _tile_dpbf16ps(3, 4, 7);
  }
  store_c(c, 32);
}

static void tile_product(const char *a, int64_t stride, int64_t n, const uint32_t *words, int64_t k,
                         Stream &stream, float *c) {
  memory_is_read();
  const int64_t squares = (n + 15) / 32;
  for (int64_t i = 0; i < squares; i++)
    for (int column = 0; column < panel_columns; column += 32)
      square(a + 32 * i * stride, stride, words + column, k, stream,
             c + 32 * i * panel_columns + column);
  if (n > 32 * squares)
    flat(a + 32 * squares * stride, stride, words, k, stream, c + 32 * squares * panel_columns);
  memory_is_read();
}

}  // namespace
