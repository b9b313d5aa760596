// AVX-512 BF16 with VNNI: bfloat16 and byte dot products in vectors.
#include "float_product.inl"
#include "integer_product.inl"
#include "rows.inl"

namespace {

static void nothing() {}

static Rows rows_of(int32_t weights, int64_t n) {
  if (weights == AGENTKIT_F32) return Rows::f32;
  if (weights == AGENTKIT_BF16) return Rows::bf16;
  return n <= plane_rows ? Rows::planes : Rows::bf16;
}

static void product(Rows rows, const void *a, int64_t stride, int64_t n, const Panel &panel,
                    void *scratch, bool same_panel, Stream &stream, float *c) {
  const char *bytes = (const char *)a;
  if (rows == Rows::f32) {
    float_product_of<AGENTKIT_F32>((const float *)a, stride / 4, n, panel, !same_panel, stream, c);
  } else if (rows == Rows::planes && panel.weights == AGENTKIT_INT8) {
    plane_product<AGENTKIT_INT8>(bytes, stride, n, panel, !same_panel, stream, c);
  } else if (rows == Rows::planes) {
    plane_product<AGENTKIT_INT4>(bytes, stride, n, panel, !same_panel, stream, c);
  } else {
    const uint32_t *words = bf16_words(panel, scratch, same_panel, stream);
    bf16_rows(bytes, stride, n, words, panel.k, words == panel.words && !same_panel, stream, c);
  }
}

}  // namespace

namespace agentkit {

extern const Level avx512_bf16_level;
const Level avx512_bf16_level = {"avx512_bf16", has_vectors, nothing,  nothing,
                                 rows_of,       widen,       logits,   prepare,
                                 product,       activate,    combine,  store_rows,
                                 read_words};

}  // namespace agentkit
