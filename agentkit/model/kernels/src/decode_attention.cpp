// The attention of a step: what each row sees, heads, the cache, pieces and blocks.
#include <math.h>

#include "decode_step.h"

namespace agentkit {

int64_t Step::first_seen(int64_t position) const {
  return layer_->chunk ? position / layer_->chunk * layer_->chunk : 0;
}

int64_t Step::pieces_of(int64_t r) const {
  const int64_t position = rows_[r].position, seen = position + 1 - first_seen(position);
  return (seen + piece_positions - 1) / piece_positions;
}

// How many rows from r on make a block; 0 where there are too few.
int64_t Step::block_at(int64_t r) const {
  const agentkit_row &first = rows_[r];
  int64_t count = 1;
  while (count < block_.most_rows() && r + count < count_) {
    const agentkit_row &next = rows_[r + count];
    if (next.kv != first.kv || next.position != first.position + count) break;
    if (first_seen(next.position) != first_seen(first.position)) break;
    count++;
  }
  return count < BlockAttention::least_rows ? 0 : count;
}

void Step::begin_layer(int32_t number) {
  number_ = number;
  layer_ = &d_.layer[number];
  piece_of_[0] = block_count_ = 0;
  for (int64_t r = 0; r < count_;) {
    const int64_t block = block_at(r), end = r + larger(block, 1);
    if (block > 0) blocks_[block_count_++] = {r, block, rows_[r].position, first_seen(rows_[r].position)};
    for (; r < end; r++) piece_of_[r + 1] = piece_of_[r] + (block > 0 ? 0 : pieces_of(r));
  }
}

// The order of transformers: rotation, then the norm, then the scale of queries without a rotation.
void Step::place_head(float *head, float *angles, bool query, int64_t position) const {
  if (layer_->rotary) level_.rotate(head, angles, angles + d_.head_dim / 2, d_.head_dim);
  if (layer_->qk_norm) level_.unit(head, d_.head_dim, d_.norm_eps);
  if (layer_->tuned && query) {
    const float steps = floorf(((float)position + 1.0f) / d_.tuning_floor);
    const float factor = log1pf(steps) * d_.tuning_strength + 1.0f;
    for (int32_t i = 0; i < d_.head_dim; i++) head[i] *= factor;
  }
}

void Step::place_heads(Range items) {
  const int64_t each = d_.heads + d_.kv_heads;
  for (int64_t item = items.first; item < items.last; item++) {
    const int64_t r = item / each, h = item % each, position = rows_[r].position;
    float *angles = row(angles_, r, d_.head_dim);
    if (h < d_.heads) {
      place_head(row(query_, r, q_stride_) + h * d_.head_dim, angles, true, position);
      continue;
    }
    const int64_t kv_head = h - d_.heads;
    const agentkit_kv &kv = rows_[r].kv[number_];
    float *key = row(key_, r, kv_stride_) + kv_head * d_.head_dim;
    place_head(key, angles, false, position);
    const int64_t at = (kv_head * kv.capacity + position - kv.first) * position_bytes();
    level_.put(key, d_.head_dim, d_.cache_format, (char *)kv.keys + at);
    level_.put(row(value_, r, kv_stride_) + kv_head * d_.head_dim, d_.head_dim, d_.cache_format,
               (char *)kv.values + at);
  }
}

// A row's items: its pieces of the first key-value head, then of the second, ... The item is one of
// `from_row` or of a later row.
PieceTask Step::piece_at(int64_t item, int64_t from_row) const {
  int64_t r = from_row;
  while (item >= piece_of_[r + 1] * d_.kv_heads) r++;
  const int64_t count = piece_of_[r + 1] - piece_of_[r], own = item - piece_of_[r] * d_.kv_heads;
  const int64_t kv_head = own / count, position = rows_[r].position;
  const int64_t from = first_seen(position) + own % count * piece_positions, left = position + 1 - from;
  const agentkit_kv &kv = rows_[r].kv[number_];
  const int64_t at = (kv_head * kv.capacity + from - kv.first) * position_bytes();
  return {r, kv_head, {(const char *)kv.keys + at, (const char *)kv.values + at,
                       left < piece_positions ? left : piece_positions, d_.cache_format}};
}

// Keys and values of some items, in the order in which a thread reads them.
class Step::PieceStream final : public Ahead {
 public:
  PieceStream(const Step &step, Range items) : step_(step), items_(items) { open(); }

 private:
  Span next() override {
    if (values_.left > 0) {
      const Span values = values_;
      values_ = {};
      return values;
    }
    if (items_.first == items_.last) return {};
    const PieceTask task = step_.piece_at(items_.first++, row_);
    const int64_t bytes = task.piece.positions * step_.position_bytes();
    row_ = task.row;
    values_ = span_of(task.piece.values, bytes);
    return span_of(task.piece.keys, bytes);
  }

  const Step &step_;
  Range items_;
  int64_t row_ = 0;
  Span values_;
};

void Step::attend_pieces(Range items, char *own) {
  const int64_t group = d_.heads / d_.kv_heads;
  float *const weights = (float *)own;
  PieceStream stream(*this, items);
  PieceTask task = {};
  for (int64_t item = items.first; item < items.last; item++) {
    task = piece_at(item, task.row);
    const int64_t bytes = task.piece.positions * position_bytes();
    float *const out = pieces_ + item * piece_stride_;
    stream.use(bytes);
    level_.score(row(query_, task.row, q_stride_) + task.kv_head * group * d_.head_dim, group, d_.head_dim,
                 d_.attention_factor, task.piece, stream, weights, out);
    stream.use(bytes);
    level_.mix(weights, group, d_.head_dim, task.piece, stream, out);
  }
}

// Head by head, so that each thread gets short blocks and long ones.
void Step::attend_blocks(Range items, char *own) {
  for (int64_t item = items.first; item < items.last; item++) {
    const Block &block = blocks_[item % block_count_];
    block_.run(block, rows_[block.row].kv[number_], item / block_count_, row(query_, block.row, q_stride_),
               row(mixed_, block.row, q_stride_), q_stride_, own);
  }
}

void Step::merge_row(int64_t r) {
  const int64_t group = d_.heads / d_.kv_heads, count = piece_of_[r + 1] - piece_of_[r];
  if (count == 0) return;  // a block's
  for (int64_t h = 0; h < d_.heads; h++) {
    const int64_t first = piece_of_[r] * d_.kv_heads + h / group * count;
    level_.merge(pieces_ + first * piece_stride_ + h % group * piece_floats(d_.head_dim), count,
                 piece_stride_, d_.head_dim, row(mixed_, r, q_stride_) + h * d_.head_dim);
  }
}

}  // namespace agentkit
