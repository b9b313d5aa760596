// Vectors of AGENTKIT_VECTOR_BYTES as the compiler's own vector types: one source for SSE, NEON,
// AVX2 and AVX-512. Everything is static: each translation unit is compiled for another CPU, and a
// shared inline function could end up compiled for the wrong one.
#pragma once

#include <stdint.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace {

constexpr int lanes = AGENTKIT_VECTOR_BYTES / 4;

// Aligned to their elements only: rows and panels start anywhere.
typedef float Vec __attribute__((vector_size(AGENTKIT_VECTOR_BYTES), aligned(4), may_alias));
typedef uint32_t Words __attribute__((vector_size(AGENTKIT_VECTOR_BYTES), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(AGENTKIT_VECTOR_BYTES), aligned(4), may_alias));
typedef uint16_t Halves __attribute__((vector_size(AGENTKIT_VECTOR_BYTES / 2), aligned(2), may_alias));

static inline Vec load(const float *p) { return *(const Vec *)p; }
static inline Words load(const uint32_t *p) { return *(const Words *)p; }
static inline void store(float *p, Vec v) { *(Vec *)p = v; }
static inline Vec bits(Words w) { return (Vec)w; }
static inline Words bits(Vec v) { return (Words)v; }
static inline Vec splat(float s) { return s - (Vec){}; }

// By the instruction for it where there is one: GCC makes six of the conversion.
static inline Words widened(const uint16_t *p) {
#if defined(__AVX512F__)
  return (Words)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
#elif defined(__AVX2__)
  return (Words)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
#else
  return __builtin_convertvector(*(const Halves *)p, Words);
#endif
}

static inline Vec load_bf16(const uint16_t *p) { return bits(widened(p) << 16); }

// Round to nearest even; a NaN stays one.
static inline void store_bf16(uint16_t *p, Vec v) {
  Words w = bits(v);
  Words rounded = (w + 0x7fffu + ((w >> 16) & 1u)) >> 16;
  Words quiet = (w >> 16) | 0x40u;
  Words nan = (Words)(v != v);
  *(Halves *)p = __builtin_convertvector((quiet & nan) | (rounded & ~nan), Halves);
}

static inline float sum(Vec v) {
  float parts[lanes];
  store(parts, v);
  for (int width = lanes / 2; width; width /= 2)
    for (int i = 0; i < width; i++) parts[i] += parts[i + width];
  return parts[0];
}

static inline Vec select(Ints mask, Vec yes, Vec no) {
  return bits((bits(yes) & (Words)mask) | (bits(no) & ~(Words)mask));
}

static inline Vec at_most(Vec v, float limit) { return select(v > limit, splat(limit), v); }
static inline Vec at_least(Vec v, float limit) { return select(v < limit, splat(limit), v); }

// e^x to 2 units in the last place on [-87, 88], clamped outside, NaN for NaN (Cephes' polynomial).
static inline Vec exponential(Vec x) {
  x = at_least(at_most(x, 88.0f), -87.0f);
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  Vec shifted = x * 1.44269504f + magic;
  Vec n = shifted - magic;
  Vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
  Vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  return p * bits((bits(shifted) << 23) + 0x3f800000);  // a product, so that NaN stays NaN
}

}  // namespace
