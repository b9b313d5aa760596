#include "decode_step.h"

#include <math.h>
#include <string.h>

#include "levels.h"

namespace agentkit {

namespace {

int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// Rows are padded for the largest group there is.
constexpr int64_t pad = 128;

}  // namespace

Step::Step(const agentkit_decoder &d, const agentkit_row *rows, int64_t count)
    : d_(d), rows_(rows), count_(count), products_(level()), level_(decode_level()), block_(products_, level_, d) {
  for (int64_t r = 0; r < count; r++) asked_ += rows[r].logits != nullptr;
}

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

bool Step::allocate(Arena &arena, int threads) {
  const int64_t group = d_.heads / d_.kv_heads;
  int64_t inputs = 0, pieces = 0, inner = 0, router = 0;
  own_bytes_ = own_bytes(d_.lm_head);
  for (int32_t n = 0; n < d_.layers; n++) {
    layer_ = &d_.layer[n];
    const agentkit_linear *linears[] = {&layer_->query, &layer_->key,  &layer_->value, &layer_->output,
                                        &layer_->gate,  &layer_->up, &layer_->down, &d_.lm_head};
    for (const agentkit_linear *m : linears) {
      if (m->words == nullptr) continue;
      inputs = larger(inputs, inputs_bytes(products_, *m, count_));
      // Fewer rows may ask for logits than there are, and their format may be a wider one.
      inputs = larger(inputs, inputs_bytes(products_, *m, larger(asked_, 1)));
      own_bytes_ = larger(own_bytes_, own_bytes(*m));
    }
    if (layer_->experts) {
      router = larger(router, layer_->experts->experts);
    } else {
      inner = larger(inner, layer_->down.inputs);
    }
    int64_t all = 0;
    for (int64_t r = 0, block; r < count_; r += larger(block, 1)) {
      block = block_at(r);
      if (block == 0) all += pieces_of(r);
    }
    pieces = larger(pieces, all);
  }
  own_bytes_ = round_up(larger(own_bytes_, block_.bytes()), 64);
  x_stride_ = round_up(d_.hidden, pad);
  q_stride_ = round_up((int64_t)d_.heads * d_.head_dim, pad);
  kv_stride_ = round_up((int64_t)d_.kv_heads * d_.head_dim, pad);
  inner_stride_ = round_up(inner, pad);
  piece_stride_ = group * piece_floats(d_.head_dim);
  // Contexts grow by a token a step; their room grows twofold at a time.
  int64_t room = 16;
  while (room < pieces) room *= 2;
  Layout layout;
  const int64_t x = layout.take(count_ * x_stride_ * 4), wide = layout.take(count_ * x_stride_ * 4);
  const int64_t query = layout.take(count_ * q_stride_ * 4), mixed = layout.take(count_ * q_stride_ * 4);
  const int64_t key = layout.take(count_ * kv_stride_ * 4), value = layout.take(count_ * kv_stride_ * 4);
  const int64_t gate = layout.take(count_ * inner_stride_ * 4), up = layout.take(count_ * inner_stride_ * 4);
  const int64_t angles = layout.take(count_ * d_.head_dim * 4);
  const int64_t in = layout.take(count_ * d_.hidden * 4), out = layout.take(count_ * d_.hidden * 4);
  const int64_t scores = layout.take(count_ * router * 4);
  const int64_t piece = layout.take(room * d_.kv_heads * piece_stride_ * 4);
  const int64_t first = layout.take((count_ + 1) * 8);
  const int64_t blocks = layout.take(count_ / BlockAttention::least_rows * (int64_t)sizeof(Block));
  const int64_t data = layout.take(inputs), own = layout.take(own_bytes_ * threads);
  if (!arena.reserve(layout.total())) return false;
  x_ = arena.at<float>(x);
  wide_ = arena.at<float>(wide);
  query_ = arena.at<float>(query);
  mixed_ = arena.at<float>(mixed);
  key_ = arena.at<float>(key);
  value_ = arena.at<float>(value);
  gate_ = arena.at<float>(gate);
  up_ = arena.at<float>(up);
  angles_ = arena.at<float>(angles);
  experts_in_ = arena.at<float>(in);
  experts_out_ = arena.at<float>(out);
  router_ = arena.at<float>(scores);
  pieces_ = arena.at<float>(piece);
  piece_of_ = arena.at<int64_t>(first);
  blocks_ = arena.at<Block>(blocks);
  inputs_ = arena.at<char>(data);
  own_ = arena.at<char>(own);
  return true;
}

void Step::start(const float *x) {
  memset(x_, 0, (size_t)(count_ * x_stride_) * 4);
  memset(wide_, 0, (size_t)(count_ * x_stride_) * 4);
  memset(mixed_, 0, (size_t)(count_ * q_stride_) * 4);
  memset(gate_, 0, (size_t)(count_ * inner_stride_) * 4);
  memset(up_, 0, (size_t)(count_ * inner_stride_) * 4);
  const int64_t half = d_.head_dim / 2;
  for (int64_t r = 0; r < count_; r++) {
    memcpy(row(x_, r, x_stride_), x + r * d_.hidden, (size_t)d_.hidden * 4);
    float *cosines = row(angles_, r, d_.head_dim);
    for (int64_t i = 0; i < half; i++) {
      const float angle = (float)rows_[r].position * d_.frequencies[i];
      cosines[i] = cosf(angle) * d_.rotary_factor;
      cosines[half + i] = sinf(angle) * d_.rotary_factor;
    }
  }
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

void Step::join_experts(Range rows) {
  if (!experts_ran_) return;
  for (int64_t r = rows.first; r < rows.last; r++)
    level_.add(row(x_, r, x_stride_), experts_out_ + r * d_.hidden, d_.hidden);
}

void Step::norm_rows(Range rows, const float *weight, const agentkit_linear &next) {
  const Inputs in = inputs_at(products_, next, count_, inputs_);
  for (int64_t r = rows.first; r < rows.last; r++) {
    float *wide = row(wide_, r, x_stride_);
    level_.norm(row(x_, r, x_stride_), weight, d_.hidden, d_.norm_eps, wide);
    prepare_row(products_, next, in, r, wide);
  }
}

void Step::fill_columns(const agentkit_linear &m, const Inputs &in, Range panels, char *own, float *out,
                        int64_t stride) {
  multiply(products_, m, in, panels, own, [&](int64_t column, int64_t first, int64_t n, const float *c) {
    const size_t bytes = (size_t)columns_at(m, column) * 4;
    for (int64_t i = 0; i < n; i++)
      memcpy(row(out, first + i, stride) + column, c + i * panel_columns, bytes);
  });
}

void Step::add_columns(const agentkit_linear &m, const Inputs &in, Range panels, char *own) {
  multiply(products_, m, in, panels, own, [&](int64_t column, int64_t first, int64_t n, const float *c) {
    for (int64_t i = 0; i < n; i++)
      level_.add(row(x_, first + i, x_stride_) + column, c + i * panel_columns, columns_at(m, column));
  });
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
  const int64_t each = d_.heads + d_.kv_heads, element = d_.cache_format == AGENTKIT_F32 ? 4 : 2;
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
    const int64_t at = (kv_head * kv.capacity + position - kv.first) * d_.head_dim * element;
    level_.put(key, d_.head_dim, d_.cache_format, (char *)kv.keys + at);
    level_.put(row(value_, r, kv_stride_) + kv_head * d_.head_dim, d_.head_dim, d_.cache_format,
               (char *)kv.values + at);
  }
}

void Step::attend_pieces(Range items) {
  const int64_t group = d_.heads / d_.kv_heads, element = d_.cache_format == AGENTKIT_F32 ? 4 : 2;
  int64_t r = 0;
  for (int64_t item = items.first; item < items.last; item++) {
    // A row's items: its pieces of the first key-value head, then of the second, ...
    while (item >= piece_of_[r + 1] * d_.kv_heads) r++;
    const int64_t count = piece_of_[r + 1] - piece_of_[r], own = item - piece_of_[r] * d_.kv_heads;
    const int64_t kv_head = own / count, position = rows_[r].position;
    const int64_t from = first_seen(position) + own % count * piece_positions;
    const int64_t left = position + 1 - from;
    const agentkit_kv &kv = rows_[r].kv[number_];
    const int64_t at = (kv_head * kv.capacity + from - kv.first) * d_.head_dim * element;
    const Piece piece = {(const char *)kv.keys + at, (const char *)kv.values + at,
                         left < piece_positions ? left : piece_positions, d_.cache_format};
    level_.attend(row(query_, r, q_stride_) + kv_head * group * d_.head_dim, group, d_.head_dim,
                  d_.attention_factor, piece, pieces_ + item * piece_stride_);
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

void Step::attention(int index, int size, Barrier &barrier) {
  products_.begin();
  const agentkit_decoder_layer &l = *layer_;
  const Range rows = share(count_, index, size);
  join_experts(rows);
  norm_rows(rows, l.attention_norm, l.query);
  barrier.wait();
  // One run of panels over all three, so that each thread gets the same number of them.
  const agentkit_linear *parts[] = {&l.query, &l.key, &l.value};
  float *const outs[] = {query_, key_, value_};
  const int64_t strides[] = {q_stride_, kv_stride_, kv_stride_};
  const Range mine = share(panels_of(l.query) + panels_of(l.key) + panels_of(l.value), index, size);
  int64_t before = 0;
  for (int i = 0; i < 3; i++) {
    const int64_t panels = panels_of(*parts[i]);
    const int64_t first = larger(mine.first - before, 0);
    const int64_t last = mine.last - before < panels ? mine.last - before : panels;
    if (first < last)
      fill_columns(*parts[i], inputs_at(products_, *parts[i], count_, inputs_), {first, last},
                   own_of(index), outs[i], strides[i]);
    before += panels;
  }
  barrier.wait();
  place_heads(share(count_ * (d_.heads + d_.kv_heads), index, size));
  barrier.wait();
  attend_pieces(share(piece_of_[count_] * d_.kv_heads, index, size));
  attend_blocks(share(block_count_ * d_.kv_heads, index, size), own_of(index));
  barrier.wait();
  const Inputs heads = inputs_at(products_, l.output, count_, inputs_);
  for (int64_t r = rows.first; r < rows.last; r++) {
    merge_row(r);
    prepare_row(products_, l.output, heads, r, row(mixed_, r, q_stride_));
  }
  barrier.wait();
  add_columns(l.output, heads, share(panels_of(l.output), index, size), own_of(index));
  barrier.wait();
  if (l.experts) {
    for (int64_t r = rows.first; r < rows.last; r++)
      level_.norm(row(x_, r, x_stride_), l.feed_forward_norm, d_.hidden, d_.norm_eps,
                  experts_in_ + r * d_.hidden);
  } else {
    dense(index, size, barrier);
  }
  products_.end();
}

void Step::dense(int index, int size, Barrier &barrier) {
  const agentkit_decoder_layer &l = *layer_;
  const Range rows = share(count_, index, size);
  norm_rows(rows, l.feed_forward_norm, l.gate);
  barrier.wait();
  const Inputs in = inputs_at(products_, l.gate, count_, inputs_);
  const Range panels = share(panels_of(l.gate), index, size);
  fill_columns(l.gate, in, panels, own_of(index), gate_, inner_stride_);
  fill_columns(l.up, in, panels, own_of(index), up_, inner_stride_);
  barrier.wait();
  const Inputs inner = inputs_at(products_, l.down, count_, inputs_);
  for (int64_t r = rows.first; r < rows.last; r++) {
    // The padding of both is zero, and so is silu(0) * 0.
    float *gate = row(gate_, r, inner_stride_);
    level_.swiglu(gate, row(up_, r, inner_stride_), inner_stride_, gate);
    prepare_row(products_, l.down, inner, r, gate);
  }
  barrier.wait();
  add_columns(l.down, inner, share(panels_of(l.down), index, size), own_of(index));
}

bool Step::run_experts() {
  experts_ran_ = layer_->experts != nullptr;
  return !experts_ran_ ||
         agentkit_moe_route_and_run(layer_->experts, experts_in_, count_, router_, experts_out_) == 0;
}

void Step::logits(int index, int size, Barrier &barrier) {
  products_.begin();
  const Inputs in = inputs_at(products_, d_.lm_head, asked_, inputs_);
  const Range rows = share(count_, index, size);
  join_experts(rows);
  int64_t at = 0;
  for (int64_t r = 0; r < rows.last; r++) {
    if (rows_[r].logits == nullptr) continue;
    if (r >= rows.first) {
      float *wide = row(wide_, r, x_stride_);
      level_.norm(row(x_, r, x_stride_), d_.norm, d_.hidden, d_.norm_eps, wide);
      prepare_row(products_, d_.lm_head, in, at, wide);
    }
    at++;
  }
  barrier.wait();
  multiply(products_, d_.lm_head, in, share(panels_of(d_.lm_head), index, size), own_of(index),
           [&](int64_t column, int64_t first, int64_t n, const float *c) {
             const size_t bytes = (size_t)columns_at(d_.lm_head, column) * 4;
             int64_t seen = 0;
             for (int64_t r = 0; r < count_ && seen < first + n; r++) {
               if (rows_[r].logits == nullptr) continue;
               if (seen >= first) memcpy(rows_[r].logits + column, c + (seen - first) * panel_columns, bytes);
               seen++;
             }
           });
  products_.end();
}

}  // namespace agentkit
