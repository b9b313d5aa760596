/* The plain C interface of the decode step: linear layers in the experts' layout, and one token of
 * several streams through all layers of a Llama 4. See moe.h for the layout of packed weights.
 */
#ifndef AGENTKIT_DECODE_H
#define AGENTKIT_DECODE_H

#include "moe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y = x W + bias; W is packed as `down` of a layer with one expert. */
typedef struct {
  int32_t inputs, outputs;               /* as in the model */
  int32_t padded_inputs, padded_outputs; /* multiples of 64 and of group */
  int32_t weights;                       /* enum agentkit_weights */
  int32_t group;                         /* inputs per scale; 0 without scales */
  const void *words;                     /* [padded_outputs/64] panels */
  const uint16_t *scales;                /* bfloat16 [padded_outputs/64][padded_inputs/group][64] */
  const float *bias;                     /* [padded_outputs], or NULL */
} agentkit_linear;

/* One decoder layer. Norm weights: [hidden]. Either `experts` is set or gate, up and down are. */
typedef struct {
  const float *attention_norm, *feed_forward_norm;
  agentkit_linear query, key, value, output;
  int32_t rotary;  /* 1: rotary embedding, 0: NoPE */
  int32_t qk_norm; /* 1: heads of queries and keys are brought to length one after the rotation */
  int32_t tuned;   /* 1: queries are scaled with their position */
  int32_t chunk;   /* a token sees its own chunk of that many positions; 0: everything */
  const agentkit_moe_layer *experts; /* activations: AGENTKIT_F32, a router */
  agentkit_linear gate, up, down;
} agentkit_decoder_layer;

typedef struct {
  int32_t hidden, heads, kv_heads, head_dim; /* head_dim: a multiple of 16 */
  int32_t layers;
  int32_t cache_format; /* AGENTKIT_F32 or AGENTKIT_BF16 */
  float norm_eps;
  float attention_factor;              /* of q . k */
  float rotary_factor;                 /* of cosine and sine */
  float tuning_floor, tuning_strength; /* log1p(floor((position + 1) / floor)) * strength + 1 */
  const void *embedding;               /* [vocabulary][hidden]; NULL: what lm_head holds */
  int32_t vocabulary;
  int32_t embedding_format;            /* AGENTKIT_F32 or AGENTKIT_BF16 */
  const float *frequencies;            /* [head_dim / 2] */
  const float *norm;                   /* [hidden] */
  agentkit_linear lm_head;
  const agentkit_decoder_layer *layer; /* [layers] */
} agentkit_decoder;

/* Keys and values of one layer of one stream: [kv_heads][capacity][head_dim] in cache_format. The
 * first row of a head is position `first`. */
typedef struct {
  void *keys, *values;
  int64_t capacity, first;
} agentkit_kv;

/* One token. Tokens of one stream may follow each other in one step, in the order of positions. */
typedef struct {
  int64_t token, position;
  const agentkit_kv *kv; /* [layers] */
  float *logits;         /* [outputs of lm_head], or NULL where nobody asks */
} agentkit_row;

typedef struct agentkit_decode_state agentkit_decode_state;

/* x: [rows, inputs], out: [rows, outputs], both float32 or bfloat16 (enum agentkit_weights).
 * Returns 0, or 1 for a layer this library cannot run, 2 for no memory. */
AGENTKIT_API int32_t agentkit_linear_run(const agentkit_linear *linear, const void *x,
                                         int32_t activations, int64_t rows, void *out);

/* Working memory for steps of `decoder`, which must outlive it; NULL for a decoder this library
 * cannot run or for no memory. */
AGENTKIT_API agentkit_decode_state *agentkit_decode_open(const agentkit_decoder *decoder);
AGENTKIT_API void agentkit_decode_close(agentkit_decode_state *state);

/* Appends each row's keys and values at its position and writes the logits. One step at a time for a
 * state. Returns 0, 1 for rows that do not fit their buffers or the vocabulary, 2 for no memory. */
AGENTKIT_API int32_t agentkit_decode_step(agentkit_decode_state *state, const agentkit_row *rows,
                                          int64_t count);

#ifdef __cplusplus
}
#endif

#endif
