#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/layers/mamba.hpp>
#include <stepscan/layers/multi_head_attention.hpp>
#include <stepscan/layers/swiglu.hpp>
#include <stepscan/models/bidirectional.hpp>
#include <stepscan/models/residual.hpp>
#include <stepscan/models/sequential.hpp>
#include <stepscan/models/transformer.hpp>

#include "job.hpp"

namespace {

using namespace stepscan;

auto attention_block(Index width) {
  constexpr MultiHeadOptions options{.positions = Positions::rotary};
  return transformer_block(MultiHeadAttention<float, Dynamic, Dynamic, Dynamic, Dynamic, options>(
                               {.model = width, .heads = 4, .kv_heads = 2, .capacity = 1024}),
                           SwiGlu<float, Dynamic, Dynamic>(width, 2 * width));
}

auto mamba_block(Index width) {
  return transformer_block(Mamba<float, Dynamic, Dynamic, 16, 4, Dynamic>(width, 2 * width, 16, 4, (width + 15) / 16),
                           SwiGlu<float, Dynamic, Dynamic>(width, 2 * width));
}

}  // namespace

std::vector<main_job::Entry> main_job::models() {
  using DynamicLstm = Lstm<float, Dynamic, Dynamic>;
  using DynamicLinear = Linear<float, Dynamic, Dynamic>;
  return {
      entry("linear", [](Index width) { return DynamicLinear(width, width); }),
      entry("sequential(lstm, lstm, linear)",
            [](Index width) {
              return Sequential(DynamicLstm(width, width), DynamicLstm(width, width), DynamicLinear(width, width));
            }),
      entry("residual(lstm)", [](Index width) { return Residual(DynamicLstm(width, width)); }),
      entry("bidirectional(lstm)",
            [](Index width) { return Bidirectional(DynamicLstm(width, width), DynamicLstm(width, width)); }),
      entry("transformer_block", attention_block),
      entry("sequential(transformer_block, mamba_block)",
            [](Index width) { return Sequential(attention_block(width), mamba_block(width)); }),
  };
}
