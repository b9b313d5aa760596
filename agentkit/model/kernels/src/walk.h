// The order in which one thread multiplies its panels, and the stream that runs ahead of it.
#pragma once

#include "ahead.h"
#include "level.h"
#include "team.h"

namespace agentkit {

// The rows of one expert: [first, first + count) of the sorted order.
struct Segment {
  int32_t expert;
  Rows rows;
  int64_t first, count;
};

// Gate and up, or down: which panels, of how many inputs, and which of them are this thread's.
struct Matrix {
  const void *words;
  const uint16_t *scales;
  int64_t panels;  // of one expert
  int32_t k, weights, group;
  Range mine;

  Panel panel(int32_t expert, int64_t p) const {
    const int64_t number = expert * panels + p;
    return {(const uint32_t *)words + number * (k / word_depth(weights)) * panel_columns,
            scales ? scales + number * (k / group) * panel_columns : nullptr, weights, k, group};
  }
  int64_t word_bytes() const { return agentkit::word_bytes(weights, k); }
};

// One panel times rows [begin, end) of a segment.
struct Task {
  const Segment *segment;
  int64_t begin, end, p;
};

// Segments of up to these rows are light: the memory limits them. The others are limited by
// arithmetic.
constexpr int64_t light_rows = 64;

// Expert by expert, so that an expert's rows stay in the second-level cache while its panels pass
// by; of an expert with many rows, as many at a time as fit (a chunk).
//
// Where light experts are many and heavy ones few (prefill with a shared expert), the heavy ones'
// tasks are spread among the light ones': a heavy task computes while the stream fetches what the
// next light ones read. The chunk and the panel alone decide which light expert a heavy task
// follows, so sums over experts have the same order for any number of threads.
class Walk {
 public:
  Walk(const Matrix &matrix, const Segment *segments, int count)
      : matrix_(&matrix), segments_(segments), count_(count), p_(matrix.mine.first) {
    for (int i = 0; i < count; i++) {
      if (segments[i].count <= light_rows) {
        light_++;
      } else {
        heavy_ += chunks(segments[i], spread_bytes);
      }
    }
    if (heavy_ > light_) heavy_ = 0;
    if (heavy_ > 0) skip_heavy();
  }

  bool next(Task &task) {
    if (matrix_->mine.first >= matrix_->mine.last) return false;
    if (heavy_ == 0) return next_in_order(task);
    if (following_ < following_end_) {
      task = heavy_task(following_++);
      return true;
    }
    if (started_ && ++p_ == matrix_->mine.last) {
      p_ = matrix_->mine.first;
      at_++;
      order_++;
      skip_heavy();
    }
    if (at_ >= count_) return false;
    started_ = true;
    task = {segments_ + at_, 0, segments_[at_].count, p_};
    // Chunk q follows light expert floor(light * (q + f) / heavy), f in [0, 1) scattered over p.
    const int64_t f = p_ * 40503 & 65535;
    following_ = first_chunk(order_, f);
    following_end_ = first_chunk(order_ + 1, f);
    return true;
  }

 private:
  static constexpr int64_t resident_bytes = 1 << 20, spread_bytes = 512 << 10;

  int64_t resident_rows(const Segment &s, int64_t bytes) const {
    const int64_t rows = bytes / row_bytes(s.rows, matrix_->k, matrix_->group);
    return rows < 128 ? 128 : rows / 128 * 128;
  }
  int64_t chunks(const Segment &s, int64_t bytes) const {
    const int64_t rows = resident_rows(s, bytes);
    return (s.count + rows - 1) / rows;
  }

  // The lowest q with light * (q + f / 65536) / heavy >= order, at least 0 and at most heavy.
  int64_t first_chunk(int64_t order, int64_t f) const {
    const int64_t numerator = order * heavy_ * 65536 - f * light_, unit = light_ * 65536;
    const int64_t q = numerator <= 0 ? 0 : (numerator + unit - 1) / unit;
    return q < heavy_ ? q : heavy_;
  }

  Task heavy_task(int64_t q) const {
    const Segment *s = segments_;
    for (;; s++) {
      if (s->count <= light_rows) continue;
      const int64_t here = chunks(*s, spread_bytes);
      if (q < here) break;
      q -= here;
    }
    const int64_t rows = resident_rows(*s, spread_bytes), stop = (q + 1) * rows;
    return {s, q * rows, stop < s->count ? stop : s->count, p_};
  }

  void skip_heavy() {
    while (at_ < count_ && segments_[at_].count > light_rows) at_++;
  }

  bool next_in_order(Task &task) {
    if (p_ == matrix_->mine.last) {
      p_ = matrix_->mine.first;
      begin_ += resident_rows(segments_[at_], resident_bytes);
      if (begin_ >= segments_[at_].count) {
        begin_ = 0;
        at_++;
      }
    }
    if (at_ >= count_) return false;
    const Segment &s = segments_[at_];
    const int64_t stop = begin_ + resident_rows(s, resident_bytes);
    task = {&s, begin_, stop < s.count ? stop : s.count, p_++};
    return true;
  }

  const Matrix *matrix_;
  const Segment *segments_;
  int count_, at_ = 0;
  int64_t light_ = 0, heavy_ = 0;  // light segments, chunks of heavy ones (0: all in order)
  int64_t begin_ = 0, p_;
  int64_t order_ = 0;  // of the current light segment among the light ones
  int64_t following_ = 0, following_end_ = 0;
  bool started_ = false;
};

// Fetches the panels of a walk, then those of another: the memory does not rest between phases.
class PanelStream final : public Ahead {
 public:
  PanelStream(const Matrix &first, const Matrix &second, const Segment *segments, int count)
      : walks_{{first, segments, count}, {second, segments, count}}, matrices_{&first, &second} {
    int64_t steps = 1;
    for (int i = 0; i < count; i++) steps += (segments[i].count + 15) / 16;
    set_pace(count * step_lines(first.weights), steps);
    open();
  }

 private:
  Span next() override {
    Task task;
    while (!walks_[current_].next(task)) {
      if (current_ == 1) return {};
      current_ = 1;
    }
    const Matrix &matrix = *matrices_[current_];
    return span_of(matrix.panel(task.segment->expert, task.p).words, matrix.word_bytes());
  }

  Walk walks_[2];
  const Matrix *matrices_[2];
  int current_ = 0;
};

}  // namespace agentkit
