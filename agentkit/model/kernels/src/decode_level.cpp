// Norms, rotation and gates, and attention from decode_attend.inl; compiled once for each width of vectors.
#include "decode_level.h"

#include <math.h>
#include <string.h>

#include "decode_attend.inl"
#include "level.h"
#include "vectors.h"

namespace {

using namespace agentkit;

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
  const int64_t depth = word_depth(format), have = head_dim / depth;
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
  const int64_t depth = word_depth(format);
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
      Words w = widened(halves + p * head_dim + i);
      if (p + 1 < count) w |= widened(halves + (p + 1) * head_dim + i) << 16;
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
                                 add, norm, rotate, unit, put, score, mix, merge, pack_keys, pack_values, weigh, blend,
                                 swiglu};

}  // namespace agentkit
