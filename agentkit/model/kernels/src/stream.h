// The weights a thread reads next, fetched into its second-level cache while it computes.
//
// The processor's own prefetcher stops at each 4 KiB page and knows nothing of the next panel; left
// to it, the memory rests while tiles are multiplied. The driver knows the order of all panels, so
// a product asks for some lines of what comes next with every step of its own.
#pragma once

#include <stdint.h>
#include <unistd.h>

namespace agentkit {

// That pays where arithmetic and memory share the time. Where the memory alone is the limit, a thread
// that reads its panels in order is served best by the processor and by fetching a fixed way ahead
// of itself: a stream that follows several panels cost it 5 to 20 % (measured on Sapphire Rapids,
// from one token to 64). With `most_ahead` 0 a product does that instead.
struct Stream {
  const char *at = nullptr;            // the next line to fetch
  int64_t left = 0;                    // bytes of this span from there
  int64_t ahead = 0;                   // bytes fetched and not yet used
  int64_t most_ahead = 0;              // never fetch further; 0: nothing is fetched from here
  int64_t pace = 0;                    // lines to fetch with each step of arithmetic
  void (*refill)(Stream &) = nullptr;  // to the next span; leaves `left` 0 where there is none
};

// A step is 16 rows by 64 columns by 32 inputs. With more lines than these for each, the memory is
// the limit.
constexpr int64_t most_pace = 48;

// Spread `lines` over `steps`, somewhat faster than they are used, no further ahead than a quarter
// of the second-level cache: rows and the panel being multiplied share it.
inline void set_pace(Stream &stream, int64_t lines, int64_t steps) {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  static const int64_t bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#else
  constexpr int64_t bytes = 0;
#endif
  stream.pace = (lines + lines / 4) / steps + 1;
  stream.most_ahead = stream.pace > most_pace ? 0 : bytes > 0 ? bytes / 4 : 128 << 10;
}

}  // namespace agentkit

namespace {

constexpr int words_ahead = 1024;  // a fixed way ahead of what a product reads

// Static for the reason vectors.h gives.
static inline bool streams(const agentkit::Stream &stream) { return stream.most_ahead > 0; }

static inline void fetch(agentkit::Stream &stream, int64_t lines) {
  while (streams(stream) && lines > 0 && stream.ahead < stream.most_ahead) {
    if (stream.left <= 0) stream.refill(stream);
    if (stream.left <= 0) return;
    const bool late = stream.ahead < 0;  // these the product has read by itself
    const int64_t here = (stream.left + 63) / 64, wanted = late ? (63 - stream.ahead) / 64 : lines;
    const int64_t count = here < wanted ? here : wanted;
    const char *at = stream.at;
    for (int64_t i = 0; !late && i < count; i++) __builtin_prefetch(at + 64 * i, 0, 2);
    stream.at += 64 * count;
    stream.left -= 64 * count;
    stream.ahead += 64 * count;
    lines -= late ? 0 : count;
  }
}

}  // namespace
