#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/multi_head_attention.hpp>
#include <stepscan/layers/multi_head_attention_backward.hpp>
#include <stepscan/layers/swiglu_backward.hpp>
#include <stepscan/models/language_model.hpp>
#include <stepscan/models/transformer.hpp>
#include <stepscan/train/clipping.hpp>
#include <stepscan/train/optimizers.hpp>
#include <stepscan/train/token_gradient.hpp>

#include "support.hpp"

/// A language model of two transformer blocks over 4,096 words: its embedding alone, one token of a generation, a
/// prompt read, and one update of its training (forward pass, loss, backward pass, clipping, AdamW).
///
/// Floors: a token reads all weights; a prompt and an update run at the rate of a matrix product, the update three
/// times the products of a forward pass.
/// Measured: embedding 81 %, a token 46 %, of eight streams 11 %, a prompt 72 %, an update 56 %.
namespace {

using namespace bench;

constexpr Index vocabulary = 4096, width = 256, hidden = 704, head_count = 4, depth = 2, capacity = 1024;
constexpr MultiHeadOptions rotary{.positions = Positions::rotary};
using Ids = Tensor<Index, Dynamic, Dynamic, Dynamic>;

auto fresh_block() {
  return transformer_block(MultiHeadAttention<float, Dynamic, Dynamic, Dynamic, Dynamic, rotary>(
                               {.model = width, .heads = head_count, .capacity = capacity}),
                           SwiGlu<float, Dynamic, Dynamic>(width, hidden));
}

auto fresh_model() {
  using Blocks = decltype(Sequential(fresh_block(), fresh_block()));
  LanguageModel<float, Dynamic, Dynamic, Blocks> model(vocabulary, Sequential(fresh_block(), fresh_block()),
                                                       RmsNorm<float, Dynamic>(width));
  Random random(1);
  model.initialize(random);
  return model;
}
using Model = decltype(fresh_model());

/// Multiply-adds of the blocks' products and of the head, a token.
constexpr double block_weights = depth * (4.0 * width * width + 3.0 * width * hidden),
                 head_weights = double(width) * vocabulary;

std::string model_name(const std::string& pass, Index batch, Index time, int threads) {
  return name_of("language_model", "own", pass, {batch, time, vocabulary, width}, threads);
}

Ids some_ids(Index batch, Index time) {
  Ids ids(batch, time, 1);
  Random random(1);
  for (Index& id : ids) id = static_cast<Index>(random.uniform(0, vocabulary));
  return ids;
}

void add_embedding(Index time) {
  const double bytes = 8.0 * static_cast<double>(time) * width;
  add(name_of("embedding", "own", "scan", {1, time, vocabulary, width}, 1), 1,
      Work{.tokens = static_cast<double>(time), .data = {bytes, bytes}}, [=] {
        Embedding<float, Dynamic, Dynamic> embedding(vocabulary, width);
        Random random(1);
        embedding.initialize(random);
        return [embedding, ids = some_ids(1, time), y = Sequences(1, time, width)]() mutable {
          embedding.embed(TokenIds(std::as_const(ids)), y);
          benchmark::DoNotOptimize(y.data());
        };
      });
}

/// One more token behind a cache that is full, so that every step costs the same.
void add_decode(Index batch) {
  const double weights = block_weights + head_weights, streams = static_cast<double>(batch);
  const Work work{.tokens = streams, .flops = 2 * weights * streams, .weights = {4 * weights, 4 * weights}};
  add(model_name("step", batch, 1, 1), 1, work, [=] {
    const auto plan = prepare(fresh_model());
    auto state = plan.initial_state(batch);
    Tensor<float, Dynamic, Dynamic> logits(batch, vocabulary);
    const Ids prompt = some_ids(batch, capacity);
    Workspace workspace;
    plan.prefill(state, TokenIds(prompt), MatrixView<float>(logits), workspace);
    return [=, token = Tensor<Index, Dynamic, Dynamic>(batch, 1)]() mutable {
      plan.step(state, TokenColumn(token.data(), batch, 1), MatrixView<float>(logits));
      benchmark::DoNotOptimize(logits.data());
    };
  });
}

void add_prompt(Index time, int threads) {
  const Work work{.tokens = static_cast<double>(time),
                  .flops = 2 * (block_weights * static_cast<double>(time) + head_weights)};
  add(model_name("scan", 1, time, threads), threads, work, [=] {
    const auto plan = prepare(fresh_model());
    return [=, start = plan.initial_state(1), ids = some_ids(1, time),
            logits = Tensor<float, Dynamic, Dynamic>(1, vocabulary), workspace = Workspace()]() mutable {
      auto state = start;
      plan.prefill(state, TokenIds(std::as_const(ids)), MatrixView<float>(logits), workspace);
      benchmark::DoNotOptimize(logits.data());
    };
  });
}

void add_update(Index batch, Index time, int threads) {
  const double tokens = static_cast<double>(batch * time);
  const Work work{.tokens = tokens, .flops = 6 * (block_weights + head_weights) * tokens};
  add(model_name("update", batch, time, threads), threads, work, [=] {
    const Model model = fresh_model();
    const Tensor<std::int32_t, Dynamic, Dynamic> targets(batch, time);
    return [=, trained = model, gradient = zeros_like(model), optimizer = AdamW<Model>(model, {}),
            ids = some_ids(batch, time), tokens_gradient = TokenGradient<Model>()]() mutable {
      tokens_gradient(trained, TokenIds(std::as_const(ids)), ClassTargets(targets), CrossEntropy<float>{}, gradient);
      clip_by_global_norm(gradient, 1.0);
      optimizer.step(trained, gradient, 1e-4);
      clear_tree(gradient);
    };
  });
}

}  // namespace

void bench::add_benchmarks() {
  add_embedding(1024);
  add_decode(1);
  add_decode(8);
  for (const int threads : {1, 2}) {
    add_prompt(512, threads);
    add_update(quick ? 1 : 8, 64, threads);
  }
}
