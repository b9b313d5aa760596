// The levels that compute in float32: portable, AVX2 and AVX-512, by the flags of the build.
#include "float_product.inl"
#include "rows.inl"

namespace {

static bool supported() {
#if defined(__AVX512F__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#elif defined(__AVX2__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return true;
#endif
}

static void nothing() {}
static Rows rows_of(int32_t, int64_t) { return Rows::f32; }

static void prepare(Rows rows, const float *x, float factor, int64_t k, int32_t, int32_t, void *out) {
  prepare_plain(rows, x, factor, k, out);
}

static void product(Rows, const void *a, int64_t stride, int64_t n, const Panel &panel, void *,
                    bool, Stream &stream, float *c) {
  float_product((const float *)a, stride, n, panel, stream, c);
}

}  // namespace

namespace agentkit {

#if defined(__AVX512F__)
extern const Level avx512_level;
const Level avx512_level = {"avx512",
#elif defined(__AVX2__)
extern const Level avx2_level;
const Level avx2_level = {"avx2",
#else
extern const Level portable_level;
const Level portable_level = {"portable",
#endif
                            supported, nothing, nothing, rows_of, widen, logits, prepare, product,
                            activate, combine, store_rows, read_words};

}  // namespace agentkit
