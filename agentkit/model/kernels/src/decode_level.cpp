// Norms, rotation, attention and gates; compiled once for each width of vectors.
#include "decode_level.h"

#include <math.h>
#include <string.h>

#include "level.h"
#include "vectors.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace {

using namespace agentkit;

#if defined(__AVX512F__)
static inline float total(Vec v) { return _mm512_reduce_add_ps((__m512)v); }
#else
static inline float total(Vec v) { return sum(v); }
#endif

static void add(float *x, const float *y, int64_t n) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(x + i, load(x + i) + load(y + i));
  for (; i < n; i++) x[i] += y[i];
}

static float mean_square(const float *x, int64_t n) {
  Vec even = {}, odd = {};
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    const Vec a = load(x + i), b = load(x + i + lanes);
    even += a * a;
    odd += b * b;
  }
  float rest = 0.0f;
  for (; i < n; i++) rest += x[i] * x[i];
  return (total(even + odd) + rest) / (float)n;
}

static void norm(const float *x, const float *weight, int64_t n, float eps, float *out) {
  const float factor = 1.0f / sqrtf(mean_square(x, n) + eps);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(out + i, load(x + i) * factor * load(weight + i));
  for (; i < n; i++) out[i] = x[i] * factor * weight[i];
}

static void rotate(float *head, const float *cosines, const float *sines, int64_t head_dim) {
  for (int64_t i = 0; i < head_dim / 2; i++) {
    const float real = head[2 * i], imaginary = head[2 * i + 1];
    head[2 * i] = real * cosines[i] - imaginary * sines[i];
    head[2 * i + 1] = real * sines[i] + imaginary * cosines[i];
  }
}

static void unit(float *head, int64_t head_dim, float eps) {
  const float factor = 1.0f / sqrtf(mean_square(head, head_dim) + eps);
  for (int64_t i = 0; i < head_dim; i++) head[i] *= factor;
}

static void put(const float *x, int64_t n, int32_t format, void *out) {
  if (format == AGENTKIT_F32) {
    memcpy(out, x, (size_t)n * 4);
  } else {
    for (int64_t i = 0; i < n; i += lanes) store_bf16((uint16_t *)out + i, load(x + i));
  }
}

template <bool bf16>
static inline Vec load_row(const void *rows, int64_t at) {
  return bf16 ? load_bf16((const uint16_t *)rows + at) : load((const float *)rows + at);
}

// Heads that share one pass over keys and values: as many as the registers hold.
constexpr int heads_at_once = lanes == 16 ? 4 : 2;

template <bool bf16, int heads>
static inline void attend_heads(const float *queries, int64_t head_dim, float factor,
                                const Piece &piece, float *out) {
  float weights[heads][piece_positions] __attribute__((aligned(64)));
  const int64_t positions = piece.positions;
  for (int64_t p = 0; p < positions; p++) {
    Vec sums[heads] = {};
    for (int64_t i = 0; i < head_dim; i += lanes) {
      const Vec key = load_row<bf16>(piece.keys, p * head_dim + i);
#pragma GCC unroll 4
      for (int h = 0; h < heads; h++) sums[h] += load(queries + h * head_dim + i) * key;
    }
#pragma GCC unroll 4
    for (int h = 0; h < heads; h++) weights[h][p] = total(sums[h]) * factor;
  }
  for (int h = 0; h < heads; h++) {
    float *of = out + h * piece_floats(head_dim), *w = weights[h];
    float largest = w[0];
    for (int64_t p = 1; p < positions; p++) largest = w[p] > largest ? w[p] : largest;
    int64_t p = 0;
    float all = 0.0f;
    Vec sums = {};
    for (; p + lanes <= positions; p += lanes) {
      const Vec e = exponential(load(w + p) - largest);
      store(w + p, e);
      sums += e;
    }
    for (; p < positions; p++) {
      w[p] = expf(w[p] - largest);
      all += w[p];
    }
    of[head_dim] = largest;
    of[head_dim + 1] = all + total(sums);
  }
  constexpr int width = 4;
  for (int64_t i = 0; i < head_dim; i += width * lanes) {
    const int vectors = (int)((head_dim - i) / lanes < width ? (head_dim - i) / lanes : width);
    Vec sums[heads][width] = {};
    if (vectors == width) {
      for (int64_t p = 0; p < positions; p++) {
        Vec value[width];
#pragma GCC unroll 4
        for (int j = 0; j < width; j++) value[j] = load_row<bf16>(piece.values, p * head_dim + i + j * lanes);
#pragma GCC unroll 4
        for (int h = 0; h < heads; h++)
#pragma GCC unroll 4
          for (int j = 0; j < width; j++) sums[h][j] += weights[h][p] * value[j];
      }
    } else {
      for (int64_t p = 0; p < positions; p++)
        for (int j = 0; j < vectors; j++) {
          const Vec value = load_row<bf16>(piece.values, p * head_dim + i + j * lanes);
          for (int h = 0; h < heads; h++) sums[h][j] += weights[h][p] * value;
        }
    }
    for (int h = 0; h < heads; h++)
      for (int j = 0; j < vectors; j++) store(out + h * piece_floats(head_dim) + i + j * lanes, sums[h][j]);
  }
}

template <bool bf16>
static void attend_as(const float *queries, int64_t heads, int64_t head_dim, float factor,
                      const Piece &piece, float *out) {
  int64_t h = 0;
  for (; h + heads_at_once <= heads; h += heads_at_once)
    attend_heads<bf16, heads_at_once>(queries + h * head_dim, head_dim, factor, piece,
                                      out + h * piece_floats(head_dim));
  for (; h < heads; h++)
    attend_heads<bf16, 1>(queries + h * head_dim, head_dim, factor, piece, out + h * piece_floats(head_dim));
}

static void attend(const float *queries, int64_t heads, int64_t head_dim, float factor,
                   const Piece &piece, float *out) {
  if (piece.format == AGENTKIT_BF16) {
    attend_as<true>(queries, heads, head_dim, factor, piece, out);
  } else {
    attend_as<false>(queries, heads, head_dim, factor, piece, out);
  }
}

static void merge(const float *pieces, int64_t count, int64_t stride, int64_t head_dim, float *out) {
  float largest = pieces[head_dim];
  for (int64_t n = 1; n < count; n++) {
    const float one = pieces[n * stride + head_dim];
    largest = one > largest ? one : largest;
  }
  float all = 0.0f;
  for (int64_t i = 0; i < head_dim; i++) out[i] = 0.0f;
  for (int64_t n = 0; n < count; n++) {
    const float *piece = pieces + n * stride;
    const float share = expf(piece[head_dim] - largest);
    all += share * piece[head_dim + 1];
    for (int64_t i = 0; i < head_dim; i += lanes) store(out + i, load(out + i) + share * load(piece + i));
  }
  const float factor = 1.0f / all;
  for (int64_t i = 0; i < head_dim; i += lanes) store(out + i, load(out + i) * factor);
}

// Sixteen rows of sixteen words, `stride` words apart, to as many rows of a panel.
#if defined(__AVX512F__)
static inline void turn(const uint32_t *rows, int64_t stride, uint32_t *words) {
  __m512i a[16], b[16];
  for (int i = 0; i < 16; i++) a[i] = _mm512_loadu_si512(rows + i * stride);
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; j++) {
      a[i + 2 * j] = _mm512_unpacklo_epi64(b[i + j], b[i + j + 2]);
      a[i + 2 * j + 1] = _mm512_unpackhi_epi64(b[i + j], b[i + j + 2]);
    }
  // a[4 q + r]: in each quarter c, column 4 c + r of rows 4 q to 4 q + 3.
  for (int r = 0; r < 4; r++) {
    const __m512i even0 = _mm512_shuffle_i32x4(a[r], a[4 + r], 0x88);
    const __m512i odd0 = _mm512_shuffle_i32x4(a[r], a[4 + r], 0xdd);
    const __m512i even1 = _mm512_shuffle_i32x4(a[8 + r], a[12 + r], 0x88);
    const __m512i odd1 = _mm512_shuffle_i32x4(a[8 + r], a[12 + r], 0xdd);
    _mm512_storeu_si512(words + r * panel_columns, _mm512_shuffle_i32x4(even0, even1, 0x88));
    _mm512_storeu_si512(words + (4 + r) * panel_columns, _mm512_shuffle_i32x4(odd0, odd1, 0x88));
    _mm512_storeu_si512(words + (8 + r) * panel_columns, _mm512_shuffle_i32x4(even0, even1, 0xdd));
    _mm512_storeu_si512(words + (12 + r) * panel_columns, _mm512_shuffle_i32x4(odd0, odd1, 0xdd));
  }
}
#else
static inline void turn(const uint32_t *rows, int64_t stride, uint32_t *words) {
  for (int i = 0; i < 16; i++)
    for (int p = 0; p < 16; p++) words[i * panel_columns + p] = rows[p * stride + i];
}
#endif

// A word of a panel is one float32 or two bfloat16 of a column: of keys, what lies side by side.
static void pack_keys(const void *keys, int64_t count, int64_t head_dim, int64_t padded, int32_t format,
                      uint32_t *words) {
  const int64_t depth = format == AGENTKIT_F32 ? 1 : 2, have = head_dim / depth;
  const uint32_t *rows = (const uint32_t *)keys;
  if (count < panel_columns || head_dim < padded) memset(words, 0, (size_t)(padded / depth * panel_columns) * 4);
  const int64_t whole = have % 16 == 0 ? count / 16 * 16 : 0;
  for (int64_t p = 0; p < whole; p += 16)
    for (int64_t i = 0; i < have; i += 16) turn(rows + p * have + i, have, words + i * panel_columns + p);
  for (int64_t p = whole; p < count; p++)
    for (int64_t i = 0; i < have; i++) words[i * panel_columns + p] = rows[p * have + i];
}

static void pack_values(const void *values, int64_t count, int64_t head_dim, int64_t column, int32_t format,
                        uint32_t *words) {
  const int64_t left = head_dim - column, width = left < panel_columns ? left : panel_columns;
  const int64_t depth = format == AGENTKIT_F32 ? 1 : 2;
  if (count < panel_columns || width < panel_columns)
    memset(words, 0, (size_t)(panel_columns / depth * panel_columns) * 4);
  if (depth == 1) {
    for (int64_t p = 0; p < count; p++)
      memcpy(words + p * panel_columns, (const float *)values + p * head_dim + column, (size_t)width * 4);
    return;
  }
  const uint16_t *halves = (const uint16_t *)values + column;
  for (int64_t p = 0; p < count; p += 2)
    for (int64_t i = 0; i < width; i += lanes) {
      Words w = __builtin_convertvector(*(const Halves *)(halves + p * head_dim + i), Words);
      if (p + 1 < count)
        w |= __builtin_convertvector(*(const Halves *)(halves + (p + 1) * head_dim + i), Words) << 16;
      *(Words *)(words + p / 2 * panel_columns + i) = w;
    }
}

static float weigh(float *scores, int64_t visible, float factor, float &largest, float &total_) {
  if (visible == 0) {
    memset(scores, 0, panel_columns * 4);
    return 1.0f;
  }
  for (int64_t p = visible; p < panel_columns; p++) scores[p] = -INFINITY;
  Vec most = splat(largest);
  for (int64_t p = 0; p < panel_columns; p += lanes) {
    const Vec s = load(scores + p) * factor;
    store(scores + p, s);
    most = select(s > most, s, most);
  }
  const float before = largest;
  for (int i = 0; i < lanes; i++) largest = most[i] > largest ? most[i] : largest;
  Vec sums = {};
  for (int64_t p = 0; p < panel_columns; p += lanes) {
    const Vec s = load(scores + p);
    const Vec e = select(s == -INFINITY, Vec{}, exponential(s - largest));
    store(scores + p, e);
    sums += e;
  }
  const float shrink = expf(before - largest);
  total_ = total_ * shrink + total(sums);
  return shrink;
}

static void blend(float *sums, float shrink, const float *y, int64_t n) {
  for (int64_t i = 0; i < n; i += lanes) store(sums + i, load(sums + i) * shrink + load(y + i));
}

static void swiglu(const float *gate, const float *up, int64_t n, float *out) {
  for (int64_t i = 0; i < n; i += lanes) {
    const Vec g = load(gate + i);
    store(out + i, load(up + i) * (g / (exponential(-g) + 1.0f)));
  }
}

}  // namespace

namespace agentkit {

#if defined(__AVX512F__)
extern const DecodeLevel decode_avx512;
const DecodeLevel decode_avx512 = {"avx512",
#elif defined(__AVX2__)
extern const DecodeLevel decode_avx2;
const DecodeLevel decode_avx2 = {"avx2",
#else
extern const DecodeLevel decode_portable;
const DecodeLevel decode_portable = {"portable",
#endif
                                 add, norm, rotate, unit, put, attend, merge, pack_keys, pack_values, weigh, blend,
                                 swiglu};

}  // namespace agentkit
