// The levels with bfloat16 dot products: AVX-512 BF16 (with VNNI), and the same plus AMX tiles.
#include "float_product.inl"
#include "integer_product.inl"
#include "rows.inl"

#if defined(__AMX_BF16__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {

// AMX: Linux hands out the tile registers on request, once for the process (arch_prctl 0x1023,
// ARCH_REQ_XCOMP_PERM, of feature 18, tile data).
static bool supported() {
  const bool vectors = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                       __builtin_cpu_supports("avx512vnni") &&
                       __builtin_cpu_supports("avx512bf16");
#if defined(__AMX_BF16__)
  uint32_t a = 7, b = 0, c = 0, d = 0;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  const bool tiles = (d >> 22 & 1u) && (d >> 24 & 1u);
  return vectors && tiles && syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
  return vectors;
#endif
}

static Rows rows_of(int32_t weights, int64_t n) {
  if (weights == AGENTKIT_F32) return Rows::f32;
  if (weights == AGENTKIT_BF16) return Rows::bf16;
  return n <= plane_rows ? Rows::planes : Rows::bf16;
}

static void prepare(Rows rows, const float *x, float factor, int64_t k, int32_t group,
                    int32_t weights, void *out) {
  if (rows == Rows::planes) {
    prepare_planes(x, factor, k, group, weights, out);
  } else {
    prepare_plain(rows, x, factor, k, out);
  }
}

static void product(Rows rows, const void *a, int64_t stride, int64_t n, const Panel &panel,
                    void *scratch, bool same_panel, float *c) {
  if (rows == Rows::f32) {
    float_product((const float *)a, stride, n, panel, c);
  } else if (rows == Rows::planes) {
    if (panel.weights == AGENTKIT_INT8) {
      plane_product<AGENTKIT_INT8>((const char *)a, stride, n, panel, c);
    } else {
      plane_product<AGENTKIT_INT4>((const char *)a, stride, n, panel, c);
    }
  } else {
    uint32_t *dense = (uint32_t *)scratch;
    if (panel.weights == AGENTKIT_INT8 && !same_panel) to_bf16<AGENTKIT_INT8>(panel, dense);
    if (panel.weights == AGENTKIT_INT4 && !same_panel) to_bf16<AGENTKIT_INT4>(panel, dense);
    const uint32_t *words = panel.weights == AGENTKIT_BF16 ? panel.words : dense;
    bf16_product((const char *)a, stride, n, words, panel.k, c);
  }
}

}  // namespace

namespace agentkit {

#if defined(__AMX_BF16__)
extern const Level amx_level;
const Level amx_level = {"amx",
#else
extern const Level avx512_bf16_level;
const Level avx512_bf16_level = {"avx512_bf16",
#endif
                                 supported, tiles_begin, tiles_end, rows_of, widen, logits, prepare,
                                 product, activate, combine, store_rows, read_words};

}  // namespace agentkit
