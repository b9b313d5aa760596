// How the levels with bfloat16 dot products choose a product. Included by a level after it has said
// what it does with few rows and with many:
//   most_plane_rows      up to these rows bytes are multiplied as they are stored
//   planes_of<weights>   rows in two byte planes with an int8 or int4 panel
//   dense_rows           bfloat16 rows with a bfloat16 panel
#pragma once

#include "float_product.inl"
#include "integer_product.inl"

namespace {

static Rows rows_of(int32_t weights, int64_t n) {
  if (weights == AGENTKIT_F32) return Rows::f32;
  if (weights == AGENTKIT_BF16) return Rows::bf16;
  return n <= most_plane_rows ? Rows::planes : Rows::bf16;
}

static void product(Rows rows, const void *a, int64_t stride, int64_t n, const Panel &panel,
                    void *scratch, bool same_panel, Stream &stream, float *c) {
  const char *bytes = (const char *)a;
  if (rows == Rows::f32) {
    float_product_of<AGENTKIT_F32>((const float *)a, stride / 4, n, panel, stream, c);
  } else if (rows == Rows::planes && panel.weights == AGENTKIT_INT8) {
    planes_of<AGENTKIT_INT8>(bytes, stride, n, panel, stream, c);
  } else if (rows == Rows::planes) {
    planes_of<AGENTKIT_INT4>(bytes, stride, n, panel, stream, c);
  } else {
    const uint32_t *words = bf16_words(panel, scratch, same_panel, stream);
    dense_rows(bytes, stride, n, words, panel.k, stream, c);
  }
}

}  // namespace
