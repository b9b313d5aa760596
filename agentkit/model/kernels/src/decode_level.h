// What one instruction set provides for everything of a decoder layer that is no product.
#pragma once

#include "decode.h"
#include "stream.h"

namespace agentkit {

// Positions of one piece of attention: pieces are shared out among threads, and their number does
// not depend on how many threads there are.
constexpr int64_t piece_positions = 256;

// Floats of one head of one piece: head_dim sums of weighted values, the largest score, the weights' sum.
inline int64_t piece_floats(int64_t head_dim) { return head_dim + 16; }

// Room for the scores of so many heads over one piece, which lie in groups of up to eight.
inline int64_t score_floats(int64_t heads) { return (heads + 7) / 8 * 8 * piece_positions; }

struct Piece {
  const void *keys, *values;  // [positions][head_dim]
  int64_t positions;          // at most piece_positions
  int32_t format;             // AGENTKIT_F32 or AGENTKIT_BF16
};

struct DecodeLevel {
  const char *name;

  // x += y, n numbers.
  void (*add)(float *x, const float *y, int64_t n);

  // out = x / rms(x) * weight, n numbers.
  void (*norm)(const float *x, const float *weight, int64_t n, float eps, float *out);

  // Rotate consecutive pairs of one head.
  void (*rotate)(float *head, const float *cosines, const float *sines, int64_t head_dim);

  // head /= rms(head).
  void (*unit)(float *head, int64_t head_dim, float eps);

  // float32 into the cache's format.
  void (*put)(const float *x, int64_t n, int32_t format, void *out);

  // Attention of `heads` queries [heads][head_dim] over one piece, in two halves: from its keys the
  // weights [score_floats(heads)], the largest score and the weights' sum, then from its values
  // the rest of out [heads][piece_floats]. stream: what to fetch meanwhile.
  void (*score)(const float *queries, int64_t heads, int64_t head_dim, float factor, const Piece &piece,
                Stream &stream, float *weights, float *out);
  void (*mix)(const float *weights, int64_t heads, int64_t head_dim, const Piece &piece, Stream &stream,
              float *out);

  // One head's pieces, `stride` floats apart, into its output [head_dim].
  void (*merge)(const float *pieces, int64_t count, int64_t stride, int64_t head_dim, float *out);

  // Up to 64 positions [count][head_dim] as a panel of `padded` inputs by 64 positions, and the
  // values' columns from `column` on as one of 64 positions by 64 columns; zeros where there are none.
  void (*pack_keys)(const void *keys, int64_t count, int64_t head_dim, int64_t padded, int32_t format,
                    uint32_t *words);
  void (*pack_values)(const void *values, int64_t count, int64_t head_dim, int64_t column, int32_t format,
                      uint32_t *words);

  // 64 scores to weights of a softmax over the first `visible` and all before: largest and total go
  // on, and what is returned is the factor of the sums so far.
  float (*weigh)(float *scores, int64_t visible, float factor, float &largest, float &total);

  // sums = sums * shrink + y, n numbers; n is a multiple of 16.
  void (*blend)(float *sums, float shrink, const float *y, int64_t n);

  // out = silu(gate) * up, n numbers; n is a multiple of 16.
  void (*swiglu)(const float *gate, const float *up, int64_t n, float *out);
};

// The level that goes with the one the products use.
const DecodeLevel &decode_level();

}  // namespace agentkit
