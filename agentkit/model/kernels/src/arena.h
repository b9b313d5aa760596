// Memory that one call works in, kept for the next: no allocation for each token.
#pragma once

#include <stdint.h>
#include <stdlib.h>

namespace agentkit {

class Arena {
 public:
  ~Arena() { free(base_); }

  // Hand out what `take` asked for; pointers of an earlier layout are void after it.
  bool reserve(int64_t bytes) {
    if (bytes > size_) {
      free(base_);
      base_ = nullptr;
      size_ = 0;
      if (posix_memalign(&base_, 64, static_cast<size_t>(bytes)) != 0) {
        base_ = nullptr;
        return false;
      }
      size_ = bytes;
    }
    return true;
  }

  template <typename T>
  T *at(int64_t offset) const {
    return reinterpret_cast<T *>(static_cast<char *>(base_) + offset);
  }

 private:
  void *base_ = nullptr;
  int64_t size_ = 0;
};

// Lays regions out one after the other, each on a cache line of its own.
class Layout {
 public:
  int64_t take(int64_t bytes) {
    const int64_t at = total_;
    total_ += (bytes + 63) / 64 * 64;
    return at;
  }
  int64_t total() const { return total_; }

 private:
  int64_t total_ = 0;
};

}  // namespace agentkit
