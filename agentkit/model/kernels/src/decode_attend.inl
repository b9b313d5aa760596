// Attention of one token over a piece of what its stream has seen: scores, then weighted values.
//
// Both passes read memory for the first time, so each fetches what the next one reads (stream.h).
#pragma once

#include <math.h>

#include <type_traits>

#include "decode_level.h"
#include "stream.h"
#include "vectors.h"

namespace {

using namespace agentkit;

#if defined(__AVX512F__)
static inline float total(Vec v) { return _mm512_reduce_add_ps((__m512)v); }

// Four in one go take a third of the instructions of four totals.
static inline void four_totals(Vec v0, Vec v1, Vec v2, Vec v3, float *out) {
  const __m512 a = (__m512)v0, b = (__m512)v1, c = (__m512)v2, d = (__m512)v3;
  const __m512d ab = (__m512d)_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512d cd = (__m512d)_mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512 all = _mm512_add_ps((__m512)_mm512_unpacklo_pd(ab, cd), (__m512)_mm512_unpackhi_pd(ab, cd));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
}
#else
static inline float total(Vec v) { return sum(v); }
#endif

// Heads that share one pass over keys and values: as many as the registers hold, and how many of
// more heads than that take turns.
constexpr int heads_at_once = lanes == 16 ? 6 : 2, heads_in_turn = lanes == 16 ? 4 : 2;

// Scores of some heads lie side by side for each position, with room for a power of two of them.
constexpr int room_of(int heads) { return heads <= 2 ? heads : heads <= 4 ? 4 : 8; }

// The total of each vector; room that nobody takes gets what no softmax sees.
template <int heads>
static inline void totals(const Vec (&v)[heads], float *out) {
  int h = 0;
#if defined(__AVX512F__)
  if constexpr (heads > 2) {
    four_totals(v[0], v[1], v[2], v[heads > 3 ? 3 : 0], out);
    h = 4;
  }
#endif
  for (; h < heads; h++) out[h] = total(v[h]);
  for (h = heads; h < room_of(heads); h++) out[h] = -INFINITY;
}

template <bool bf16>
static inline Vec load_row(const void *rows, int64_t at) {
  return bf16 ? load_bf16((const uint16_t *)rows + at) : load((const float *)rows + at);
}

// Fetches a round whenever as many bytes as it brings have been read of rows.
class Alongside {
 public:
  Alongside(Stream &stream, int64_t row_bytes) : stream_(stream), row_bytes_(row_bytes) {}

  void row() {
    for (read_ += row_bytes_; read_ >= round_bytes; read_ -= round_bytes) fetch(stream_, 1);
  }

 private:
  Stream &stream_;
  int64_t row_bytes_, read_ = 0;
};

// Scores [positions][room], with room for whole vectors, to weights that their total has yet to
// divide; largest and total as in decode_level.h.
template <int heads>
static inline void soften(float *scores, int64_t positions, float factor, int64_t head_dim, float *out) {
  constexpr int room = room_of(heads);
  const int64_t end = positions * room;
  for (int64_t i = end; i % lanes; i++) scores[i] = -INFINITY;
  Vec most = splat(-INFINITY), sums = {};
  for (int64_t i = 0; i < end; i += lanes) {
    const Vec s = load(scores + i) * factor;
    store(scores + i, s);
    most = select(s > most, s, most);
  }
  float largest[room];
  for (int h = 0; h < room; h++) {
    largest[h] = most[h];
    for (int i = h + room; i < lanes; i += room) largest[h] = most[i] > largest[h] ? most[i] : largest[h];
  }
  for (int i = 0; i < lanes; i++) most[i] = largest[i % room];
  for (int64_t i = 0; i < end; i += lanes) {
    const Vec s = load(scores + i), e = select(s == -INFINITY, Vec{}, exponential(s - most));
    store(scores + i, e);
    sums += e;
  }
  for (int h = 0; h < heads; h++) {
    float *of = out + h * piece_floats(head_dim) + head_dim;
    of[0] = largest[h];
    of[1] = 0.0f;
    for (int i = h; i < lanes; i += room) of[1] += sums[i];
  }
}

template <bool bf16, int heads>
static inline void score_heads(const float *queries, int64_t head_dim, float factor, const Piece &piece,
                               Stream &stream, float *weights, float *out) {
  Alongside alongside(stream, head_dim * (bf16 ? 2 : 4));
  for (int64_t p = 0; p < piece.positions; p++) {
    alongside.row();
    Vec sums[heads] = {};
    for (int64_t i = 0; i < head_dim; i += lanes) {
      const Vec key = load_row<bf16>(piece.keys, p * head_dim + i);
#pragma GCC unroll 8
      for (int h = 0; h < heads; h++) sums[h] += load(queries + h * head_dim + i) * key;
    }
    totals(sums, weights + p * room_of(heads));
  }
  soften<heads>(weights, piece.positions, factor, head_dim, out);
}

template <bool bf16, int heads>
static inline void mix_heads(const float *weights, int64_t head_dim, const Piece &piece, Stream &stream,
                             float *out) {
  constexpr int width = 4;
  Stream none;
  for (int64_t i = 0; i < head_dim; i += width * lanes) {
    const int vectors = (int)((head_dim - i) / lanes < width ? (head_dim - i) / lanes : width);
    Alongside alongside(i == 0 ? stream : none, head_dim * (bf16 ? 2 : 4));
    Vec sums[heads][width] = {};
    if (vectors == width) {
      for (int64_t p = 0; p < piece.positions; p++) {
        alongside.row();
        Vec value[width];
#pragma GCC unroll 4
        for (int j = 0; j < width; j++) value[j] = load_row<bf16>(piece.values, p * head_dim + i + j * lanes);
#pragma GCC unroll 8
        for (int h = 0; h < heads; h++)
#pragma GCC unroll 4
          for (int j = 0; j < width; j++) sums[h][j] += weights[p * room_of(heads) + h] * value[j];
      }
    } else {
      for (int64_t p = 0; p < piece.positions; p++) {
        alongside.row();
        for (int j = 0; j < vectors; j++) {
          const Vec value = load_row<bf16>(piece.values, p * head_dim + i + j * lanes);
          for (int h = 0; h < heads; h++) sums[h][j] += weights[p * room_of(heads) + h] * value;
        }
      }
    }
    for (int h = 0; h < heads; h++)
      for (int j = 0; j < vectors; j++) store(out + h * piece_floats(head_dim) + i + j * lanes, sums[h][j]);
  }
}

// use(n, h, stream) for n heads from h on, until all had their turn. Heads beyond the first few find
// what they read in the cache, and fetch nothing.
template <class Use>
static inline void by_heads(int64_t heads, Stream &stream, const Use &use) {
  Stream none;
  for (int64_t h = 0; h < heads;) {
    const int64_t left = heads - h, n = left <= heads_at_once ? left : heads_in_turn;
    Stream &now = h == 0 ? stream : none;
    switch (n) {
      case 1: use(std::integral_constant<int, 1>(), h, now); break;
      case 2: use(std::integral_constant<int, 2>(), h, now); break;
#if defined(__AVX512F__)
      case 3: use(std::integral_constant<int, 3>(), h, now); break;
      case 4: use(std::integral_constant<int, 4>(), h, now); break;
      case 5: use(std::integral_constant<int, 5>(), h, now); break;
      case 6: use(std::integral_constant<int, 6>(), h, now); break;
#endif
    }
    h += n;
  }
}

template <bool bf16>
static void score_as(const float *queries, int64_t heads, int64_t head_dim, float factor, const Piece &piece,
                     Stream &stream, float *weights, float *out) {
  by_heads(heads, stream, [&](auto n, int64_t h, Stream &now) {
    score_heads<bf16, decltype(n)::value>(queries + h * head_dim, head_dim, factor, piece, now,
                                          weights + h * piece_positions, out + h * piece_floats(head_dim));
  });
}

template <bool bf16>
static void mix_as(const float *weights, int64_t heads, int64_t head_dim, const Piece &piece, Stream &stream,
                   float *out) {
  by_heads(heads, stream, [&](auto n, int64_t h, Stream &now) {
    mix_heads<bf16, decltype(n)::value>(weights + h * piece_positions, head_dim, piece, now,
                                        out + h * piece_floats(head_dim));
  });
}

static void score(const float *queries, int64_t heads, int64_t head_dim, float factor, const Piece &piece,
                  Stream &stream, float *weights, float *out) {
  const auto as = piece.format == AGENTKIT_BF16 ? score_as<true> : score_as<false>;
  as(queries, heads, head_dim, factor, piece, stream, weights, out);
}

static void mix(const float *weights, int64_t heads, int64_t head_dim, const Piece &piece, Stream &stream,
                float *out) {
  const auto as = piece.format == AGENTKIT_BF16 ? mix_as<true> : mix_as<false>;
  as(weights, heads, head_dim, piece, stream, out);
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

}  // namespace
