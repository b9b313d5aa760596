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

// Tiles 0-3 from and to c: two tiles side by side, and two more from the element `second` on.
static inline void load_c(const float *c, int64_t second) {
  _tile_loadd(0, c, panel_row);
  _tile_loadd(1, c + 16, panel_row);
  _tile_loadd(2, c + second, panel_row);
  _tile_loadd(3, c + second + 16, panel_row);
}

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

// 32 rows by 32 columns: each tile of a and of the panel is used twice.
static inline void square(const char *a, int64_t stride, const uint32_t *words, int64_t k,
                          bool first, Stream &stream, int64_t lines, float *c) {
  if (first) {
    zero_c();
  } else {
    load_c(c, 16 * panel_columns);
  }
  for (int64_t i = 0; i < k; i += 32, words += 16 * panel_columns) {
    _tile_loadd(4, a + 2 * i, stride);
    _tile_loadd(6, words, panel_row);
    _tile_loadd(7, words + 16, panel_row);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, a + 16 * stride + 2 * i, stride);
    _tile_dpbf16ps(1, 4, 7);
    fetch(stream, lines);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  store_c(c, 16 * panel_columns);
}

// 16 rows by 64 columns.
static inline void flat(const char *a, int64_t stride, const uint32_t *words, int64_t k,
                        Stream &stream, int64_t lines, float *c) {
  zero_c();
  for (int64_t i = 0; i < k; i += 32, words += 16 * panel_columns) {
    _tile_loadd(4, a + 2 * i, stride);
    _tile_loadd(6, words, panel_row);
    _tile_loadd(7, words + 16, panel_row);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(6, words + 32, panel_row);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(7, words + 48, panel_row);
    fetch(stream, lines);
    _tile_dpbf16ps(2, 4, 6);
    _tile_dpbf16ps(3, 4, 7);
  }
  store_c(c, 32);
}

// Inputs at a time where there are many rows: 32 rows of a and both halves of the panel stay in
// the first-level cache.
constexpr int64_t tile_depth = 256;

// Lines to fetch with 32 inputs: a little more than the panel's own 64 where it is read for the
// first time, and else what the memory delivers while four tiles are multiplied.
constexpr int64_t lines_new = 72, lines_again = 6;

// fresh: the panel is read for the first time.
static void tile_product(const char *a, int64_t stride, int64_t n, const uint32_t *words, int64_t k,
                         bool fresh, Stream &stream, float *c) {
  memory_is_read();
  const int64_t squares = (n + 15) / 32;
  const int64_t most = squares == 1 ? k : tile_depth;
  for (int64_t from = 0; squares > 0 && from < k; from += most) {
    const int64_t depth = k - from < most ? k - from : most;
    for (int64_t i = 0; i < squares; i++)
      for (int column = 0; column < panel_columns; column += 32)
        square(a + 32 * i * stride + 2 * from, stride, words + from / 2 * panel_columns + column,
               depth, from == 0, stream, fresh && i == 0 ? lines_new / 2 : lines_again,
               c + 32 * i * panel_columns + column);
  }
  if (n > 32 * squares)
    flat(a + 32 * squares * stride, stride, words, k, stream,
         fresh && squares == 0 ? lines_new : lines_again, c + 32 * squares * panel_columns);
  memory_is_read();
}

}  // namespace
