// AVX-512 BF16 with AMX tiles for bfloat16 and bytes.
#include <sys/syscall.h>
#include <unistd.h>

#include "integer_product.inl"
#include "rows.inl"
#include "tile_planes.inl"
#include "tiles.inl"

namespace {

// Linux hands out the tile registers on request, once for the process: arch_prctl 0x1023
// (ARCH_REQ_XCOMP_PERM) of feature 18 (tile data).
static bool supported() {
  uint32_t a = 7, b = 0, c = 0, d = 0;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  const bool tiles = (d >> 22 & 1u) && (d >> 24 & 1u) && (d >> 25 & 1u);
  return has_vectors() && tiles && syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

// Up to these rows bytes are multiplied as they are stored; more pay for making bfloat16 once.
constexpr int64_t most_plane_rows = 16;

// Below these a tile is too empty, and vectors are as fast as the memory.
constexpr int64_t tile_bf16_least = 3, tile_planes_least = 9;

template <int weights>
static void planes_of(const char *a, int64_t stride, int64_t n, const Panel &panel, Stream &stream,
                      float *c) {
  if (n < tile_planes_least) {
    plane_product<weights>(a, stride, n, panel, stream, c);
  } else {
    tile_planes<weights>(a, stride, n, panel, stream, c);
  }
}

static void dense_rows(const char *a, int64_t stride, int64_t n, const uint32_t *words, int64_t k,
                       Stream &stream, float *c) {
  if (n < tile_bf16_least) {
    bf16_rows(a, stride, n, words, k, stream, c);
  } else {
    tile_product(a, stride, n, words, k, stream, c);
  }
}

}  // namespace

#include "product.inl"

namespace agentkit {

extern const Level amx_level;
const Level amx_level = {"amx",   supported,  tiles_begin, tiles_end, rows_of,
                         widen,   logits,     prepare, product,   activate,
                         combine, store_rows, read_words};

}  // namespace agentkit
