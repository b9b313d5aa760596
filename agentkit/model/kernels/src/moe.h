/* The plain C interface of the fused mixture-of-experts kernel. No torch, no C++ in here.
 *
 * Packed weights. A matrix [K, N] (K inputs, N outputs) is cut into panels of 64 output columns. A
 * panel is K/depth rows of 64 words of 32 bits; a word holds `depth` consecutive inputs of one
 * column: 1 float32, 2 bfloat16 (the even input in the low half), 4 int8 (stored as value + 128)
 * or 8 int4 (stored as value + 8; byte b holds input b in its low and input 4 + b in its high
 * nibble). Gate and up share a panel: 32 gate columns, then the same 32 up columns. K and N are
 * padded with zeros to `agentkit_moe_layer.padded_*`, so any hidden and intermediate size works.
 * int8 and int4 have one bfloat16 scale for `group` inputs of a column: [panels][K/group][64].
 * The shared expert, where there is one, is expert number `experts`.
 */
#ifndef AGENTKIT_MOE_H
#define AGENTKIT_MOE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AGENTKIT_MOE_ABI 1
#define AGENTKIT_MOE_PANEL 64
#define AGENTKIT_API __attribute__((visibility("default")))

enum agentkit_weights { AGENTKIT_F32 = 0, AGENTKIT_BF16 = 1, AGENTKIT_INT8 = 2, AGENTKIT_INT4 = 3 };
enum agentkit_gate { AGENTKIT_SWIGLU = 0, AGENTKIT_CLAMPED_SWIGLU = 1 };
enum agentkit_weighting { AGENTKIT_WEIGHT_INPUT = 0, AGENTKIT_WEIGHT_OUTPUT = 1 };

typedef struct {
  int32_t hidden, intermediate;               /* as in the model */
  int32_t padded_hidden, padded_intermediate; /* multiples of 64 and of group */
  int32_t experts;                            /* routed experts */
  int32_t shared;                             /* 1: expert number `experts` sees every token */
  int32_t top_k;
  int32_t weights;     /* enum agentkit_weights */
  int32_t group;       /* inputs per scale: 32, 64 or 128; 0 without scales */
  int32_t activations; /* of x and out: AGENTKIT_F32 or AGENTKIT_BF16 */
  int32_t gate;        /* enum agentkit_gate */
  int32_t weighting;   /* enum agentkit_weighting */
  float gate_alpha, gate_limit; /* of the clamped gate */
  const void *gate_up;          /* [experts + shared][padded_intermediate/32] panels */
  const void *down;             /* [experts + shared][padded_hidden/64] panels */
  const uint16_t *gate_up_scales, *down_scales; /* bfloat16, or NULL */
  const float *gate_up_bias;                    /* [experts + shared][panels][64], or NULL */
  const float *down_bias;                       /* [experts + shared][padded_hidden], or NULL */
  const float *router;                          /* [experts][padded_hidden], or NULL */
} agentkit_moe_layer;

/* Signatures of the OpenMP runtime's entry points that `agentkit_moe_borrow_team` takes. */
typedef void (*agentkit_parallel)(void (*)(void *), void *, unsigned threads, unsigned flags);
typedef int (*agentkit_count)(void);

AGENTKIT_API int32_t agentkit_moe_abi(void);

/* The digest of the sources this library was built from, as the build gave it. */
AGENTKIT_API const char *agentkit_moe_sources(void);

/* Best instruction set of this CPU that this library was built for, and the one in use. */
AGENTKIT_API const char *agentkit_moe_best_level(void);
AGENTKIT_API const char *agentkit_moe_level(void);

/* Use another one; 1 if this CPU and this library have it, 0 (and no change) if not. */
AGENTKIT_API int32_t agentkit_moe_use_level(const char *name);

/* How many threads a call uses, the caller's included. */
AGENTKIT_API void agentkit_moe_use_threads(int32_t threads);

/* Run on the OpenMP team of a runtime that is loaded anyway (torch's), instead of own threads. */
AGENTKIT_API void agentkit_moe_borrow_team(agentkit_parallel parallel, agentkit_count index, agentkit_count size);

/* x, out: [tokens, hidden]; ids: [tokens, top_k], an id outside [0, experts) takes no part;
 * scores: [tokens, top_k]. Returns 0, or 1 for a layer this library cannot run, 2 for no memory. */
AGENTKIT_API int32_t agentkit_moe_run(const agentkit_moe_layer *layer, const void *x, int64_t tokens,
                         const int64_t *ids, const float *scores, void *out);

/* The same with the router inside: logits [tokens, experts] are written, the top_k highest chosen
 * (a tie goes to the lowest index), their sigmoid is the score (Llama 4). */
AGENTKIT_API int32_t agentkit_moe_route_and_run(const agentkit_moe_layer *layer, const void *x, int64_t tokens,
                                   float *logits, void *out);

/* Read `bytes` once with all threads and return their sum: the bandwidth probe of benchmarks. */
AGENTKIT_API uint64_t agentkit_moe_read(const void *data, int64_t bytes);

#ifdef __cplusplus
}
#endif

#endif
