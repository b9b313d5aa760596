// AVX-512 BF16 with VNNI: bfloat16 and byte dot products in vectors.
#include "integer_product.inl"
#include "rows.inl"

namespace {

static void nothing() {}

// Up to these rows bytes are multiplied as they are stored; more pay for making bfloat16 once.
constexpr int64_t most_plane_rows = 8;

template <int weights>
static void planes_of(const char *a, int64_t stride, int64_t n, const Panel &panel, Stream &stream,
                      float *c) {
  plane_product<weights>(a, stride, n, panel, stream, c);
}

static void dense_rows(const char *a, int64_t stride, int64_t n, const uint32_t *words, int64_t k,
                       Stream &stream, float *c) {
  bf16_rows(a, stride, n, words, k, stream, c);
}

}  // namespace

#include "product.inl"

namespace agentkit {

extern const Level avx512_bf16_level;
const Level avx512_bf16_level = {"avx512_bf16", has_vectors, nothing,  nothing,
                                 rows_of,       widen,       logits,   prepare,
                                 product,       activate,    combine,  store_rows,
                                 read_words};

}  // namespace agentkit
