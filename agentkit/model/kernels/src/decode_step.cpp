#include "decode_step.h"

#include <math.h>
#include <string.h>

#include "levels.h"

namespace agentkit {

namespace {

int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// Rows are padded for the largest group there is.
constexpr int64_t pad = 128;

}  // namespace

Step::Step(const agentkit_decoder &d, const agentkit_row *rows, int64_t count)
    : d_(d), rows_(rows), count_(count), products_(level()), level_(decode_level()), block_(products_, level_, d) {
  for (int64_t r = 0; r < count; r++) asked_ += rows[r].logits != nullptr;
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
  own_bytes_ = round_up(larger(larger(own_bytes_, block_.bytes()), score_floats(group) * 4), 64);
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

void Step::embed(int64_t token, float *out) const {
  if (d_.embedding) {
    const int64_t line = d_.hidden * element_bytes(d_.embedding_format);
    products_.widen((const char *)d_.embedding + token * line, d_.embedding_format, d_.hidden, x_stride_, out);
    return;
  }
  // A column of a panel; a word of it is one float32 or two bfloat16.
  const agentkit_linear &m = d_.lm_head;
  const int64_t depth = word_depth(m.weights), words = m.padded_inputs / depth;
  const uint32_t *panel = (const uint32_t *)m.words + token / panel_columns * words * panel_columns;
  const uint32_t *column = panel + token % panel_columns;
  memset(out, 0, (size_t)x_stride_ * 4);
  for (int64_t i = 0; i < d_.hidden; i++) {
    const uint32_t word = column[i / depth * panel_columns];
    const uint32_t bits = depth == 1 ? word : i % 2 ? word & 0xffff0000u : word << 16;
    memcpy(out + i, &bits, 4);
  }
}

void Step::start() {
  memset(wide_, 0, (size_t)(count_ * x_stride_) * 4);
  memset(mixed_, 0, (size_t)(count_ * q_stride_) * 4);
  memset(gate_, 0, (size_t)(count_ * inner_stride_) * 4);
  memset(up_, 0, (size_t)(count_ * inner_stride_) * 4);
  const int64_t half = d_.head_dim / 2;
  for (int64_t r = 0; r < count_; r++) {
    embed(rows_[r].token, row(x_, r, x_stride_));
    float *cosines = row(angles_, r, d_.head_dim);
    for (int64_t i = 0; i < half; i++) {
      const float angle = (float)rows_[r].position * d_.frequencies[i];
      cosines[i] = cosf(angle) * d_.rotary_factor;
      cosines[half + i] = sinf(angle) * d_.rotary_factor;
    }
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
  attend_pieces(share(piece_of_[count_] * d_.kv_heads, index, size), own_of(index));
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
