// Attention of several rows of one stream at a time, for prompts.
//
// A token alone reads keys and values once, in pieces (decode_level.h). Many rows would read them
// again for each row; here they become panels, 64 positions at a time: scores and weighted values
// are products as those of a linear layer are, between them runs a softmax that is corrected as
// larger scores come.
#pragma once

#include "decode_level.h"
#include "level.h"

namespace agentkit {

// `count` rows of one stream from row `row` on, at `position` and what follows; they see from
// position `seen` on, each up to itself.
struct Block {
  int64_t row, count, position, seen;
};

class BlockAttention {
 public:
  BlockAttention(const Level &products, const DecodeLevel &level, const agentkit_decoder &decoder);

  // The most rows of a block, and the fewest that are worth one.
  int64_t most_rows() const { return block_queries / group_; }
  static constexpr int64_t least_rows = 4;

  // What a thread needs to itself.
  int64_t bytes() const;

  // Queries and mixed: the first row of the block, `stride` floats a row, heads side by side.
  void run(const Block &block, const agentkit_kv &kv, int64_t kv_head, const float *queries,
           float *mixed, int64_t stride, char *own) const;

 private:
  static constexpr int64_t block_queries = 128;
  struct Own;
  Own own_at(char *own) const;
  void prepare(const Block &block, int64_t kv_head, const float *queries, int64_t stride, const Own &own) const;
  void multiply(const char *rows, int64_t stride, int64_t n, int64_t k, const Own &own) const;

  const Level &products_;
  const DecodeLevel &level_;
  const agentkit_decoder &d_;
  int64_t group_;   // heads that share keys and values
  int64_t padded_;  // a head's size, up to the next multiple of 64
  Rows rows_;
  int64_t query_bytes_, weight_bytes_;  // of one row
};

}  // namespace agentkit
