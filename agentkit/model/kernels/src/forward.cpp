#include "forward.h"

#include <math.h>
#include <string.h>

#include "levels.h"
#include "team.h"
#include "walk.h"

// A pass has these phases, with a barrier after each:
//   widen    x to float32, each thread some tokens
//   logits   the router's, each thread some experts        (only if the router decides)
//   choose   the top_k of each token, each thread some     (only if the router decides)
//   sort     token ranks by expert, one thread: it is a counting sort of a few numbers
//   prepare  each row (token x expert) in the format its expert's product wants
//   gate up  each thread its own panels of h, for all experts
//   requant  rows of h that the next product wants as integers
//   down     each thread its own output columns: it alone adds to them, in the order of walk.h
// No result depends on how many threads there are.

namespace agentkit {

namespace {

// Rows of one expert that go through a panel at a time: c and a stay in the cache.
constexpr int64_t row_block = 128;

// Of the first panel, fetched before its product starts.
constexpr int64_t first_rounds = 64;

class Forward {
 public:
  Forward(const Pass &pass, const Level &level) : pass_(pass), layer_(*pass.layer), level_(level) {}

  bool allocate(Arena &arena, int threads) {
    const int64_t tokens = pass_.tokens, ranks = tokens * layer_.top_k;
    rows_ = ranks + (layer_.shared ? tokens : 0);
    x_stride_ = most_row_bytes(layer_.padded_hidden);
    h_stride_ = most_row_bytes(layer_.padded_intermediate);
    const int64_t deepest = layer_.padded_hidden > layer_.padded_intermediate
                                ? layer_.padded_hidden
                                : layer_.padded_intermediate;
    const bool quantised = layer_.weights >= AGENTKIT_INT8;
    Layout layout;
    const int64_t ids = layout.take(ranks * 8), scores = layout.take(ranks * 4);
    const int64_t token = layout.take(rows_ * 8), factor = layout.take(rows_ * 4);
    const int64_t out_factor = layout.take(rows_ * 4);
    const int64_t segments = layout.take((layer_.experts + 1) * (int64_t)sizeof(Segment));
    const int64_t counts = layout.take((layer_.experts + 1) * 8);
    const int64_t wide = layout.take(tokens * layer_.padded_hidden * 4);
    const int64_t a = layout.take((rows_ + row_slack) * x_stride_);
    const int64_t h = layout.take((rows_ + row_slack) * h_stride_);
    const int64_t plain = quantised ? layout.take(rows_ * layer_.padded_intermediate * 4) : 0;
    const int64_t c_bytes = (row_block + 2 * row_slack) * panel_columns * 4;
    const int64_t scratch_bytes = quantised ? deepest * panel_columns * 2 : 0;
    own_bytes_ = c_bytes + (scratch_bytes + 63) / 64 * 64;
    const int64_t own = layout.take(own_bytes_ * threads);
    if (!arena.reserve(layout.total())) return false;
    ids_ = arena.at<int64_t>(ids);
    scores_ = arena.at<float>(scores);
    token_ = arena.at<int64_t>(token);
    factor_ = arena.at<float>(factor);
    out_factor_ = arena.at<float>(out_factor);
    segments_ = arena.at<Segment>(segments);
    counts_ = arena.at<int64_t>(counts);
    wide_ = arena.at<float>(wide);
    acc_ = wide_;
    a_ = arena.at<char>(a);
    h_ = arena.at<char>(h);
    plain_ = quantised ? arena.at<float>(plain) : nullptr;
    own_ = arena.at<char>(own);
    c_bytes_ = c_bytes;
    return true;
  }

  void work(int index, int size, Barrier &barrier) {
    level_.begin();
    widen(share(pass_.tokens, index, size));
    barrier.wait();
    if (pass_.ids == nullptr) {
      const Range experts = share(layer_.experts, index, size);
      level_.logits(wide_, pass_.tokens, layer_.padded_hidden, layer_.router, experts.first,
                    experts.last, pass_.logits, layer_.experts);
      barrier.wait();
      choose(share(pass_.tokens, index, size));
      barrier.wait();
    }
    if (index == 0) sort();
    barrier.wait();
    const Matrix gate_up_panels = gate_up_of(index, size), down_panels = down_of(index, size);
    PanelStream stream(gate_up_panels, down_panels, segments_, segment_count_);
    fetch(stream, first_rounds);
    prepare(index, size);
    barrier.wait();
    gate_up(index, gate_up_panels, stream);
    barrier.wait();
    if (has_planes_) {
      requantise(index, size);
      barrier.wait();
    }
    down(index, down_panels, stream);
    level_.end();
  }

 private:
  int64_t most_row_bytes(int64_t k) const {
    const int64_t f32 = row_bytes(Rows::f32, k, 0);
    if (layer_.weights < AGENTKIT_INT8) return f32;
    const int64_t planes = row_bytes(Rows::planes, k, layer_.group);
    return planes > f32 ? planes : f32;
  }

  // A segment's rows start where rows of the largest format would, and are as dense as their own.
  const char *row_of(const char *base, int64_t most, const Segment &s, int64_t row, int64_t k) const {
    return base + s.first * most + row * row_bytes(s.rows, k, layer_.group);
  }
  char *row_of(char *base, int64_t most, const Segment &s, int64_t row, int64_t k) const {
    return base + s.first * most + row * row_bytes(s.rows, k, layer_.group);
  }

  void widen(Range tokens) {
    const int64_t bytes = element_bytes(layer_.activations);
    for (int64_t t = tokens.first; t < tokens.last; t++)
      level_.widen((const char *)pass_.x + t * layer_.hidden * bytes, layer_.activations,
                   layer_.hidden, layer_.padded_hidden, wide_ + t * layer_.padded_hidden);
  }

  // The top_k highest logits, best first; strict comparison leaves a tie to the lower index. A NaN
  // never wins; where nothing wins (all NaN) the lowest free index is taken with its NaN score.
  void choose(Range tokens) {
    for (int64_t t = tokens.first; t < tokens.last; t++) {
      const float *logits = pass_.logits + t * layer_.experts;
      int64_t *ids = ids_ + t * layer_.top_k;
      for (int slot = 0; slot < layer_.top_k; slot++) {
        int64_t best = -1;
        for (int64_t e = 0; e < layer_.experts; e++) {
          bool taken = false;
          for (int earlier = 0; earlier < slot; earlier++) taken |= ids[earlier] == e;
          if (taken) continue;
          if (best < 0 || logits[e] > logits[best] || (logits[best] != logits[best] && logits[e] == logits[e]))
            best = e;
        }
        ids[slot] = best;
        scores_[t * layer_.top_k + slot] = 1.0f / (1.0f + expf(-logits[best]));
      }
    }
  }

  void sort() {
    const int64_t *ids = pass_.ids ? pass_.ids : ids_;
    const float *scores = pass_.ids ? pass_.scores : scores_;
    const int64_t ranks = pass_.tokens * layer_.top_k;
    memset(counts_, 0, (size_t)(layer_.experts + 1) * 8);
    for (int64_t r = 0; r < ranks; r++)
      if (ids[r] >= 0 && ids[r] < layer_.experts) counts_[ids[r] + 1]++;
    segment_count_ = 0;
    has_planes_ = false;
    for (int32_t e = 0; e < layer_.experts; e++) {
      add_segment(e, counts_[e], counts_[e + 1]);
      counts_[e + 1] += counts_[e];
    }
    int64_t used = counts_[layer_.experts];
    const bool at_input = layer_.weighting == AGENTKIT_WEIGHT_INPUT;
    for (int64_t r = 0; r < ranks; r++) {
      if (ids[r] < 0 || ids[r] >= layer_.experts) continue;
      const int64_t at = counts_[ids[r]]++;
      token_[at] = r / layer_.top_k;
      factor_[at] = at_input ? scores[r] : 1.0f;
      out_factor_[at] = at_input ? 1.0f : scores[r];
    }
    if (layer_.shared) {
      add_segment(layer_.experts, used, pass_.tokens);
      for (int64_t t = 0; t < pass_.tokens; t++, used++) {
        token_[used] = t;
        factor_[used] = out_factor_[used] = 1.0f;
      }
    }
    used_rows_ = used;
  }

  void add_segment(int32_t expert, int64_t first, int64_t count) {
    if (count == 0) return;
    const Rows rows = level_.rows(layer_.weights, count);
    has_planes_ |= rows == Rows::planes;
    segments_[segment_count_++] = {expert, rows, first, count};
  }

  void prepare(int index, int size) {
    const Range mine = share(used_rows_, index, size);
    for (int i = 0; i < segment_count_; i++) {
      const Segment &s = segments_[i];
      for (int64_t row = 0; row < s.count; row++) {
        const int64_t at = s.first + row;
        if (at < mine.first || at >= mine.last) continue;
        level_.prepare(s.rows, wide_ + token_[at] * layer_.padded_hidden, factor_[at],
                       layer_.padded_hidden, layer_.group, layer_.weights,
                       row_of(a_, x_stride_, s, row, layer_.padded_hidden));
      }
    }
  }

  Matrix gate_up_of(int index, int size) const {
    const int64_t panels = layer_.padded_intermediate / gate_columns;
    return {layer_.gate_up, layer_.gate_up_scales, panels, layer_.padded_hidden, layer_.weights,
            layer_.group, share(panels, index, size)};
  }

  // Panels of padding only are left out.
  Matrix down_of(int index, int size) const {
    const int64_t used = (layer_.hidden + panel_columns - 1) / panel_columns;
    return {layer_.down, layer_.down_scales, layer_.padded_hidden / panel_columns,
            layer_.padded_intermediate, layer_.weights, layer_.group, share(used, index, size)};
  }

  // Each of this thread's panels times its rows: use(task, row, n, bias, c) gets rows [row, row + n)
  // of the task's segment in c.
  template <class Use>
  void multiply(int index, const Matrix &matrix, const char *base, int64_t most, const float *biases,
                PanelStream &stream, Use use) {
    char *own = own_ + index * own_bytes_;
    Walk walk(matrix, segments_, segment_count_);
    for (Task task; walk.next(task);) {
      const Segment &s = *task.segment;
      const Panel panel = matrix.panel(s.expert, task.p);
      const float *bias =
          biases ? biases + (s.expert * matrix.panels + task.p) * panel_columns : nullptr;
      stream.use(matrix.word_bytes());
      for (int64_t row = task.begin; row < task.end; row += row_block) {
        const int64_t n = task.end - row < row_block ? task.end - row : row_block;
        level_.product(s.rows, row_of(base, most, s, row, matrix.k),
                       row_bytes(s.rows, matrix.k, matrix.group), n, panel, own + c_bytes_,
                       row != task.begin, stream, (float *)own);
        use(task, row, n, bias, (const float *)own);
      }
    }
  }

  void gate_up(int index, const Matrix &matrix, PanelStream &stream) {
    const Gate gate = {layer_.gate, layer_.gate_alpha, layer_.gate_limit};
    multiply(index, matrix, a_, x_stride_, layer_.gate_up_bias, stream,
             [&](const Task &task, int64_t row, int64_t n, const float *bias, const float *c) {
               write_h(*task.segment, row, n, task.p, gate, bias, c);
             });
  }

  void write_h(const Segment &s, int64_t row, int64_t n, int64_t p, const Gate &gate,
               const float *bias, const float *c) {
    const int64_t width = layer_.padded_intermediate;
    if (s.rows == Rows::planes) {
      level_.activate(gate, c, n, bias, Rows::f32,
                      plain_ + (s.first + row) * width + p * gate_columns, width * 4);
    } else {
      const int64_t element = s.rows == Rows::f32 ? 4 : 2;
      level_.activate(gate, c, n, bias, s.rows,
                      row_of(h_, h_stride_, s, row, width) + p * gate_columns * element,
                      row_bytes(s.rows, width, layer_.group));
    }
  }

  void requantise(int index, int size) {
    const Range mine = share(used_rows_, index, size);
    const int64_t width = layer_.padded_intermediate;
    for (int i = 0; i < segment_count_; i++) {
      const Segment &s = segments_[i];
      if (s.rows != Rows::planes) continue;
      for (int64_t row = 0; row < s.count; row++) {
        const int64_t at = s.first + row;
        if (at < mine.first || at >= mine.last) continue;
        level_.prepare(s.rows, plain_ + at * width, 1.0f, width, layer_.group, layer_.weights,
                       row_of(h_, h_stride_, s, row, width));
      }
    }
  }

  // acc: [panels][tokens][64], in the memory of x in float32, which nobody reads any more.
  void down(int index, const Matrix &matrix, PanelStream &stream) {
    const int64_t plane = pass_.tokens * panel_columns;
    const Range mine = matrix.mine;
    memset(acc_ + mine.first * plane, 0, (size_t)((mine.last - mine.first) * plane * 4));
    multiply(index, matrix, h_, h_stride_, layer_.down_bias, stream,
             [&](const Task &task, int64_t row, int64_t n, const float *bias, const float *c) {
               const int64_t at = task.segment->first + row;
               level_.combine(c, n, bias, token_ + at, out_factor_ + at, acc_ + task.p * plane);
             });
    const int64_t element = element_bytes(layer_.activations);
    for (int64_t p = mine.first; p < mine.last; p++) {
      const int64_t column = p * panel_columns, left = layer_.hidden - column;
      level_.store(acc_ + p * plane, pass_.tokens, layer_.activations,
                   (char *)pass_.out + column * element, layer_.hidden * element,
                   left < panel_columns ? left : panel_columns);
    }
  }

  const Pass &pass_;
  const agentkit_moe_layer &layer_;
  const Level &level_;
  int64_t rows_ = 0, used_rows_ = 0, x_stride_ = 0, h_stride_ = 0;
  int64_t own_bytes_ = 0, c_bytes_ = 0;
  int segment_count_ = 0;
  bool has_planes_ = false;
  int64_t *ids_ = nullptr, *token_ = nullptr, *counts_ = nullptr;
  float *scores_ = nullptr, *factor_ = nullptr, *out_factor_ = nullptr;
  float *wide_ = nullptr, *plain_ = nullptr, *acc_ = nullptr;
  Segment *segments_ = nullptr;
  char *a_ = nullptr, *h_ = nullptr, *own_ = nullptr;
};

}  // namespace

bool forward(const Pass &pass, Arena &arena) {
  Forward state(pass, level());
  if (!state.allocate(arena, team_size())) return false;
  const Job job = {[](void *context, int index, int size, Barrier &barrier) {
                     static_cast<Forward *>(context)->work(index, size, barrier);
                   },
                   &state};
  run_on_team(job);
  return true;
}

}  // namespace agentkit
