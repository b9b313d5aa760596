#include "decode_block.h"

#include <math.h>
#include <string.h>

#include "arena.h"

namespace agentkit {

// query: rows of [padded]; weight: rows of [64]; c: scores, then products with the values; sums:
// [queries][padded] weighted values; largest, total: of each query's softmax so far, shrink: what
// the newest scores leave of what was before; words: the panel; wide: one query.
struct BlockAttention::Own {
  char *query, *weight;
  float *c, *sums, *largest, *total, *shrink, *wide;
  uint32_t *words;
  int64_t bytes;
};

BlockAttention::BlockAttention(const Level &products, const DecodeLevel &level, const agentkit_decoder &decoder)
    : products_(products),
      level_(level),
      d_(decoder),
      group_(decoder.heads / decoder.kv_heads),
      padded_((decoder.head_dim + panel_columns - 1) / panel_columns * panel_columns),
      rows_(products.rows(decoder.cache_format, block_queries)),
      query_bytes_(row_bytes(rows_, padded_, 0)),
      weight_bytes_(row_bytes(rows_, panel_columns, 0)) {}

BlockAttention::Own BlockAttention::own_at(char *own) const {
  constexpr int64_t with_slack = block_queries + row_slack;
  Layout layout;
  const int64_t query = layout.take(with_slack * query_bytes_), weight = layout.take(with_slack * weight_bytes_);
  const int64_t c = layout.take((block_queries + 2 * row_slack) * panel_columns * 4);
  const int64_t sums = layout.take(block_queries * padded_ * 4), numbers = layout.take(3 * block_queries * 4);
  const int64_t wide = layout.take(padded_ * 4);
  const int64_t words = layout.take((padded_ > panel_columns ? padded_ : panel_columns) * panel_columns * 4);
  float *largest = (float *)(own + numbers);
  return {own + query,
          own + weight,
          (float *)(own + c),
          (float *)(own + sums),
          largest,
          largest + block_queries,
          largest + 2 * block_queries,
          (float *)(own + wide),
          (uint32_t *)(own + words),
          layout.total()};
}

int64_t BlockAttention::bytes() const { return own_at(nullptr).bytes; }

void BlockAttention::prepare(const Block &block, int64_t kv_head, const float *queries, int64_t stride,
                             const Own &own) const {
  memset(own.wide, 0, (size_t)padded_ * 4);
  for (int64_t i = 0; i < block.count * group_; i++) {
    memcpy(own.wide, queries + i / group_ * stride + (kv_head * group_ + i % group_) * d_.head_dim,
           (size_t)d_.head_dim * 4);
    products_.prepare(rows_, own.wide, 1.0f, padded_, 0, d_.cache_format, own.query + i * query_bytes_);
    own.largest[i] = -INFINITY;
    own.total[i] = 0.0f;
  }
  memset(own.sums, 0, (size_t)(block.count * group_ * padded_) * 4);
}

void BlockAttention::multiply(const char *rows, int64_t stride, int64_t n, int64_t k, const Own &own) const {
  const Panel panel = {own.words, nullptr, d_.cache_format, (int32_t)k, 0};
  Stream none;
  products_.product(rows_, rows, stride, n, panel, nullptr, false, none, own.c);
}

void BlockAttention::run(const Block &block, const agentkit_kv &kv, int64_t kv_head, const float *queries,
                         float *mixed, int64_t stride, char *scratch) const {
  const Own own = own_at(scratch);
  const int64_t n = block.count * group_, element = element_bytes(d_.cache_format);
  const int64_t end = block.position + block.count;
  prepare(block, kv_head, queries, stride, own);
  for (int64_t from = block.seen; from < end; from += panel_columns) {
    const int64_t here = end - from < panel_columns ? end - from : panel_columns;
    const int64_t at = (kv_head * kv.capacity + from - kv.first) * d_.head_dim * element;
    level_.pack_keys((const char *)kv.keys + at, here, d_.head_dim, padded_, d_.cache_format, own.words);
    multiply(own.query, query_bytes_, n, padded_, own);
    for (int64_t i = 0; i < n; i++) {
      const int64_t left = block.position + i / group_ + 1 - from;
      float *scores = own.c + i * panel_columns;
      own.shrink[i] = level_.weigh(scores, left < 0 ? 0 : left < here ? left : here, d_.attention_factor,
                                   own.largest[i], own.total[i]);
      products_.prepare(rows_, scores, 1.0f, panel_columns, 0, d_.cache_format, own.weight + i * weight_bytes_);
    }
    for (int64_t column = 0; column < padded_; column += panel_columns) {
      level_.pack_values((const char *)kv.values + at, here, d_.head_dim, column, d_.cache_format, own.words);
      multiply(own.weight, weight_bytes_, n, panel_columns, own);
      for (int64_t i = 0; i < n; i++)
        level_.blend(own.sums + i * padded_ + column, own.shrink[i], own.c + i * panel_columns, panel_columns);
    }
  }
  for (int64_t i = 0; i < n; i++) {
    float *out = mixed + i / group_ * stride + (kv_head * group_ + i % group_) * d_.head_dim;
    for (int32_t j = 0; j < d_.head_dim; j++) out[j] = own.sums[i * padded_ + j] / own.total[i];
  }
}

}  // namespace agentkit
