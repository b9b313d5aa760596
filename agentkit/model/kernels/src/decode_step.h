// One step of several streams through all layers: phases of the threads' work.
#pragma once

#include "arena.h"
#include "decode_block.h"
#include "decode_level.h"
#include "decode_linear.h"
#include "team.h"

namespace agentkit {

inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// A piece of what a row sees, for the queries of one key-value head.
struct PieceTask {
  int64_t row, kv_head;
  Piece piece;
};

// Phases of a layer, with a barrier after each:
//   norm      the experts' output of the layer before joins the residual; norm; input of the product
//   product   queries, keys and values: each thread its own panels
//   position  rotation, norms and scales of each head; keys and values into the cache
//   attend    pieces of (row, key-value head, 256 positions), and blocks of rows of one stream
//   merge     a row's pieces into one; input of the next product
//   output    each thread its own columns of the residual
//   norm      input of the experts (which run after the job), or of the dense feed-forward:
//   gate up, swiglu, down
// No result depends on how many threads there are.
class Step {
 public:
  Step(const agentkit_decoder &d, const agentkit_row *rows, int64_t count);

  bool allocate(Arena &arena, int threads);

  // Serial: the residual stream starts as the embeddings; angles of each row's position.
  void start();

  // Serial: which rows make blocks, and where the pieces of the others lie.
  void begin_layer(int32_t number);

  void attention(int index, int size, Barrier &barrier);
  void logits(int index, int size, Barrier &barrier);

  // After `attention` of a layer with experts.
  bool run_experts();

 private:
  class PieceStream;

  float *row(float *base, int64_t r, int64_t stride) const { return base + r * stride; }
  void embed(int64_t token, float *out) const;
  void join_experts(Range rows);
  void norm_rows(Range rows, const float *weight, const agentkit_linear &next);
  void place_heads(Range items);
  void place_head(float *head, float *angles, bool query, int64_t position) const;
  PieceTask piece_at(int64_t item, int64_t from_row) const;
  void attend_pieces(Range items, char *own);
  void attend_blocks(Range items, char *own);
  void merge_row(int64_t r);
  void dense(int index, int size, Barrier &barrier);
  void add_columns(const agentkit_linear &m, const Inputs &in, Range panels, char *own);
  void fill_columns(const agentkit_linear &m, const Inputs &in, Range panels, char *own, float *out,
                    int64_t stride);
  // Bytes of one position of one head in the cache.
  int64_t position_bytes() const { return d_.head_dim * element_bytes(d_.cache_format); }
  int64_t first_seen(int64_t position) const;
  int64_t pieces_of(int64_t r) const;
  int64_t block_at(int64_t r) const;
  char *own_of(int index) const { return own_ + index * own_bytes_; }

  const agentkit_decoder &d_;
  const agentkit_row *rows_;
  int64_t count_;
  const Level &products_;
  const DecodeLevel &level_;
  const BlockAttention block_;
  const agentkit_decoder_layer *layer_ = nullptr;
  int32_t number_ = 0;
  bool experts_ran_ = false;
  int64_t asked_ = 0;  // rows that want logits
  // Strides in floats: hidden and inner rows padded for products, heads side by side.
  int64_t x_stride_ = 0, q_stride_ = 0, kv_stride_ = 0, inner_stride_ = 0, piece_stride_ = 0;
  int64_t own_bytes_ = 0;
  float *x_ = nullptr;                        // [rows][x_stride]: the residual stream
  float *wide_ = nullptr;                     // [rows][x_stride]: normed, zeros in the padding
  float *query_ = nullptr, *key_ = nullptr, *value_ = nullptr, *mixed_ = nullptr;
  float *gate_ = nullptr, *up_ = nullptr, *angles_ = nullptr;
  float *experts_in_ = nullptr, *experts_out_ = nullptr, *router_ = nullptr;
  float *pieces_ = nullptr;
  int64_t *piece_of_ = nullptr;  // [rows + 1]: number of a row's first piece
  Block *blocks_ = nullptr;
  int64_t block_count_ = 0;
  char *inputs_ = nullptr, *own_ = nullptr;
};

}  // namespace agentkit
