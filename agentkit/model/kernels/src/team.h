// The threads that work on one call: those of an OpenMP runtime that is loaded anyway, or our own.
//
// torch's OpenMP threads spin for a while after each of torch's own parallel regions. A second set
// of threads would share the cores with them, so where torch's runtime can be borrowed it is.
#pragma once

#include <mutex>

#include "moe.h"

namespace agentkit {

class Barrier {
 public:
  explicit Barrier(int size) : size_(size) {}
  void resize(int size) { size_ = size; }  // before anyone waits
  void wait();

 private:
  int size_;
  int arrived_ = 0;
  int round_ = 0;
};

struct Range {
  int64_t first, last;
};

// Which of `total` items are those of thread `index` of `size`.
inline Range share(int64_t total, int index, int size) {
  return {total * index / size, total * (index + 1) / size};
}

struct Job {
  void (*work)(void *context, int index, int size, Barrier &barrier);
  void *context;
};

void borrow_team(agentkit_parallel parallel, agentkit_count index, agentkit_count size);
void use_threads(int threads);

// One call at a time: a second one would only take the first one's cores away. A decode step holds
// it while it calls the experts' interface.
using TeamLock = std::recursive_mutex;
TeamLock &team_lock();

// The most threads a job can get.
int team_size();

// Run the job on the team and return when all have finished. One job at a time: the caller holds
// the library's lock.
void run_on_team(const Job &job);

}  // namespace agentkit
