// The weights a thread reads next, fetched into its second-level cache while it computes.
//
// The processor's own prefetcher stops at each 4 KiB page and knows nothing of the next panel; left
// to it, the memory rests while tiles are multiplied. The driver knows the order of all panels, so
// a product asks for some lines of what comes next with every step of its own.
#pragma once

#include <stdint.h>
#include <unistd.h>

namespace agentkit {

// Products of few rows wait for nothing but the memory, and a thread that reads its panels in order
// is served best by the processor and by fetching a fixed way ahead of itself: a stream that follows
// several panels cost it 10 to 20 % (measured on Sapphire Rapids, one token). With `most_ahead` 0 a
// product does that instead.
struct Stream {
  const char *at = nullptr;            // the next line to fetch
  int64_t left = 0;                    // bytes of this span from there
  int64_t ahead = 0;                   // bytes fetched and not yet used
  int64_t most_ahead = 0;              // never fetch further; 0: nothing is fetched from here
  int64_t pace = 0;                    // lines for each step of arithmetic; 0: the product's own
  void (*refill)(Stream &) = nullptr;  // to the next span; leaves `left` 0 where there is none
};

constexpr int64_t streamed_rows = 16;

// How far to fetch ahead in a pass of `rows` rows: a quarter of the second-level cache, which the
// rows and the panel being multiplied share.
inline int64_t bytes_ahead(int64_t rows) {
  if (rows <= streamed_rows) return 0;
#if defined(_SC_LEVEL2_CACHE_SIZE)
  static const int64_t bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#else
  constexpr int64_t bytes = 0;
#endif
  return bytes > 0 ? bytes / 4 : 128 << 10;
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
