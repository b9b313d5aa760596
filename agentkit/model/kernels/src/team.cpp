#include "team.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace agentkit {

namespace {

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

// Pauses before a thread that waits for work parks: some 50 microseconds, so that the layers of one
// token find their threads awake, and an idle process leaves the cores alone.
constexpr int patience = 2000;

// Own threads, parked between jobs. They live as long as the process; a forked child gets new ones.
class Pool {
 public:
  void run(const Job &job, int size) {
    if (size == 1) {
      Barrier barrier(1);
      job.work(job.context, 0, 1, barrier);
      return;
    }
    Barrier barrier(size);
    {
      std::unique_lock<std::mutex> lock(mutex_);
      grow(size - 1);
      size = workers_ < size - 1 ? workers_ + 1 : size;
      barrier.resize(size);
      job_ = &job;
      barrier_ = &barrier;
      size_ = size;
      running_ = size - 1;
      generation_++;
    }
    wake_.notify_all();
    job.work(job.context, 0, size, barrier);
    for (int spins = 0; spins < patience && running_ != 0; spins++) relax();
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return running_ == 0; });
  }

 private:
  // A process at its thread limit works with the threads it has.
  void grow(int workers) {
    try {
      while (workers_ < workers) {
        std::thread([this, index = workers_ + 1, seen = generation_.load()] { serve(index, seen); }).detach();
        workers_++;
      }
    } catch (const std::system_error &) {
    }
  }

  void serve(int index, uint64_t seen) {
    for (;;) {
      for (int spins = 0; spins < patience && generation_ == seen; spins++) relax();
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return generation_ != seen; });
      seen = generation_;
      if (index >= size_) continue;
      const Job *job = job_;
      Barrier *barrier = barrier_;
      const int size = size_;
      lock.unlock();
      job->work(job->context, index, size, *barrier);
      lock.lock();
      if (--running_ == 0) done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const Job *job_ = nullptr;
  Barrier *barrier_ = nullptr;
  int size_ = 0, workers_ = 0;
  std::atomic<int> running_{0};
  std::atomic<uint64_t> generation_{0};
};

struct Borrowed {
  agentkit_parallel parallel = nullptr;
  agentkit_count index = nullptr, size = nullptr;
};

struct Region {
  const Job *job;
  agentkit_count index, size;
  Barrier *barriers;  // one for each possible team size: the runtime may give fewer threads
};

Borrowed borrowed;
int wanted_threads = 1;
Pool *pool = nullptr;
pid_t pool_owner = 0;

void region(void *data) {
  Region &r = *static_cast<Region *>(data);
  const int size = r.size();
  r.job->work(r.job->context, r.index(), size, r.barriers[size - 1]);
}

}  // namespace

// Spins, because phases are microseconds apart; yields when a partner seems to have no core.
void Barrier::wait() {
  if (size_ == 1) return;
  const int round = __atomic_load_n(&round_, __ATOMIC_ACQUIRE);
  if (__atomic_add_fetch(&arrived_, 1, __ATOMIC_ACQ_REL) == size_) {
    __atomic_store_n(&arrived_, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&round_, round + 1, __ATOMIC_RELEASE);
    return;
  }
  for (int spins = 0; __atomic_load_n(&round_, __ATOMIC_ACQUIRE) == round; spins++) {
    if (spins < 2000) {
      relax();
    } else {
      sched_yield();
    }
  }
}

void borrow_team(agentkit_parallel parallel, agentkit_count index, agentkit_count size) {
  borrowed.parallel = parallel;
  borrowed.index = index;
  borrowed.size = size;
}

void use_threads(int threads) { wanted_threads = threads < 1 ? 1 : threads; }

TeamLock &team_lock() {
  static TeamLock lock;
  return lock;
}

int team_size() { return wanted_threads; }

namespace {

// A fork waits for the call that runs, so that the child finds the lock and all buffers at rest. The
// child has none of the parent's threads: OpenMP's would be waited for without end, ours are made anew.
struct Forks {
  Forks() {
    pthread_atfork([] { team_lock().lock(); }, [] { team_lock().unlock(); },
                   [] {
                     new (&team_lock()) TeamLock;  // the child's thread has another number: it cannot unlock
                     borrowed = Borrowed();
                   });
  }
} const forks;

}  // namespace

void run_on_team(const Job &job) {
  if (borrowed.parallel && wanted_threads > 1) {
    std::vector<Barrier> barriers;
    barriers.reserve(static_cast<size_t>(wanted_threads));
    for (int size = 1; size <= wanted_threads; size++) barriers.emplace_back(size);
    Region r = {&job, borrowed.index, borrowed.size, barriers.data()};
    borrowed.parallel(region, &r, static_cast<unsigned>(wanted_threads), 0);
    return;
  }
  if (pool == nullptr || pool_owner != getpid()) {
    // After a fork the old pool's threads are gone; its memory stays behind, once per fork.
    pool = new Pool();
    pool_owner = getpid();
  }
  pool->run(job, wanted_threads);
}

}  // namespace agentkit
