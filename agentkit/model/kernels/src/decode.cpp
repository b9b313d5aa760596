// The C interface of the decode step: checks, the lock, and the order of the layers.
#include "decode.h"

#include <mutex>
#include <new>

#include "decode_step.h"
#include "levels.h"

struct agentkit_decode_state {
  const agentkit_decoder *decoder;
  agentkit::Arena arena;
};

namespace agentkit {

extern const DecodeLevel decode_portable;
#if defined(AGENTKIT_X86)
extern const DecodeLevel decode_avx2, decode_avx512;
#endif

const DecodeLevel &decode_level() {
#if defined(AGENTKIT_X86)
  const char *name = level().name;
  if (__builtin_strcmp(name, "portable") == 0) return decode_portable;
  return __builtin_strcmp(name, "avx2") == 0 ? decode_avx2 : decode_avx512;
#else
  return decode_portable;
#endif
}

namespace {

// From heads to hidden and back: each layer's matrices must be of the decoder's sizes.
bool fits(const agentkit_linear &m, int64_t inputs, int64_t outputs) {
  return runnable(m) && m.inputs == inputs && m.outputs == outputs && m.padded_inputs <= (inputs + 127) / 128 * 128;
}

bool complete(const agentkit_decoder_layer &l, const agentkit_decoder &d) {
  const int64_t queries = (int64_t)d.heads * d.head_dim, keys = (int64_t)d.kv_heads * d.head_dim;
  const bool attention = l.attention_norm && l.feed_forward_norm && fits(l.query, d.hidden, queries) &&
                         fits(l.key, d.hidden, keys) && fits(l.value, d.hidden, keys) &&
                         fits(l.output, queries, d.hidden) && same_input(l.query, l.key) &&
                         same_input(l.query, l.value) && l.chunk >= 0;
  if (l.experts)
    return attention && l.experts->hidden == d.hidden && l.experts->activations == AGENTKIT_F32 &&
           l.experts->router;
  return attention && fits(l.gate, d.hidden, l.gate.outputs) && fits(l.up, d.hidden, l.gate.outputs) &&
         fits(l.down, l.gate.outputs, d.hidden) && same_input(l.gate, l.up);
}

bool complete(const agentkit_decoder &d) {
  if (d.hidden <= 0 || d.heads <= 0 || d.kv_heads <= 0 || d.heads % d.kv_heads || d.head_dim <= 0 ||
      d.head_dim % 16 || d.layers <= 0 || d.layer == nullptr || !d.frequencies || !d.norm)
    return false;
  if (d.cache_format != AGENTKIT_F32 && d.cache_format != AGENTKIT_BF16) return false;
  if (!fits(d.lm_head, d.hidden, d.lm_head.outputs)) return false;
  if (d.embedding == nullptr && (d.lm_head.weights > AGENTKIT_BF16 || d.vocabulary != d.lm_head.outputs)) return false;
  if (d.embedding_format != AGENTKIT_F32 && d.embedding_format != AGENTKIT_BF16) return false;
  for (int32_t n = 0; n < d.layers; n++)
    if (!complete(d.layer[n], d)) return false;
  return true;
}

// Whether all a row looks at, and its own place, lie in its buffers.
bool in_place(const agentkit_decoder &d, const agentkit_row &row) {
  if (row.token < 0 || row.token >= d.vocabulary || row.position < 0 || row.kv == nullptr) return false;
  for (int32_t n = 0; n < d.layers; n++) {
    const agentkit_kv &kv = row.kv[n];
    const int32_t chunk = d.layer[n].chunk;
    const int64_t seen = chunk ? row.position / chunk * chunk : 0;
    if (!kv.keys || !kv.values || kv.first < 0 || kv.first > seen || row.position - kv.first >= kv.capacity)
      return false;
  }
  return true;
}

template <void (Step::*work)(int, int, Barrier &)>
void run(Step &step) {
  const Job job = {[](void *context, int index, int size, Barrier &barrier) {
                     (static_cast<Step *>(context)->*work)(index, size, barrier);
                   },
                   &step};
  run_on_team(job);
}

}  // namespace

}  // namespace agentkit

extern "C" {

agentkit_decode_state *agentkit_decode_open(const agentkit_decoder *decoder) {
  if (decoder == nullptr || !agentkit::complete(*decoder)) return nullptr;
  return new (std::nothrow) agentkit_decode_state{decoder, {}};
}

void agentkit_decode_close(agentkit_decode_state *state) { delete state; }

int32_t agentkit_decode_step(agentkit_decode_state *state, const agentkit_row *rows, int64_t count) {
  using agentkit::Step;
  if (state == nullptr || rows == nullptr || count < 1) return 1;
  const agentkit_decoder &decoder = *state->decoder;
  for (int64_t r = 0; r < count; r++)
    if (!agentkit::in_place(decoder, rows[r])) return 1;
  const std::lock_guard<agentkit::TeamLock> guard(agentkit::team_lock());
  Step step(decoder, rows, count);
  if (!step.allocate(state->arena, agentkit::team_size())) return 2;
  step.start();
  for (int32_t n = 0; n < decoder.layers; n++) {
    step.begin_layer(n);
    agentkit::run<&Step::attention>(step);
    if (!step.run_experts()) return 2;
  }
  agentkit::run<&Step::logits>(step);
  return 0;
}

}  // extern "C"
