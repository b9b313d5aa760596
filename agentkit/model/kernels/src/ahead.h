// Which panels a stream fetches: those its thread will read, one by one in that order.
#pragma once

#include <unistd.h>

#include "stream.h"

namespace agentkit {

class Ahead : public Stream {
 public:
  Ahead() {
    refill = [](Stream &stream) {
      Ahead &own = static_cast<Ahead &>(stream);
      if (own.bytes_ < most_bytes()) own.open();
    };
  }
  Ahead(const Ahead &) = delete;
  Ahead &operator=(const Ahead &) = delete;

  // A product with the next panel, of so many bytes, starts. What was not fetched of it the product
  // reads by itself; the panel after it may be fetched from now on.
  void use(int64_t bytes) {
    if (bytes < round_bytes) return;  // not a round: it was never opened
    used_++;
    if (opened_ >= used_) bytes_ -= bytes;
    if (opened_ <= used_) open();
  }

 protected:
  // All of the next panel; an empty span where there is none left.
  virtual Span next() = 0;
  ~Ahead() = default;

  // The rounds that fetch `lines` during `steps` of arithmetic; more of them only get in its way.
  void set_pace(int64_t lines, int64_t steps) {
    pace = (lines + steps * span_parts - 1) / (steps * span_parts);
  }

  void open() {
    span = next();
    if (span.left == 0) return;
    opened_++;
    bytes_ += span.left * round_bytes;
  }

 private:
  // Panels beyond the next one are fetched while less than a quarter of the second-level cache is
  // taken by what waits there: rows and the panel being multiplied share it.
  static int64_t most_bytes() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
    static const int64_t bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#else
    constexpr int64_t bytes = 0;
#endif
    return bytes > 0 ? bytes / 4 : 128 << 10;
  }

  int64_t opened_ = 0, used_ = 0;  // panels
  int64_t bytes_ = 0;              // of those opened and not yet used
};

}  // namespace agentkit
