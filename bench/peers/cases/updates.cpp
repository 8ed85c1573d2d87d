#include <optional>
#include <stepscan/layers/gated_backward.hpp>
#include <stepscan/layers/gated_linear_attention_layer_backward.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/layers/mamba_backward.hpp>
#include <stepscan/layers/multi_head_attention_backward.hpp>
#include <stepscan/train/data_parallel.hpp>
#include <stepscan/train/losses.hpp>
#include <stepscan/train/optimizers.hpp>
#include <stepscan/train/sequence_gradient.hpp>

#include "case.hpp"

namespace {

using namespace peers;

constexpr double learning_rate = 1e-3;

/// One update of a model: forward, mean squared error against `target`, backward, AdamW. The batch goes through in
/// shards of so many members, on as many threads as there are; one shard leaves the threads to the layer itself.
template <class Model>
class UpdateCase : public Case {
 public:
  UpdateCase(Model model, Index batch, Index time, Index shard)
      : model_(std::move(model)),
        gradient_(zeros_like(model_)),
        shard_(shard),
        x_(batch, time, model_.input_size()),
        target_(batch, time, model_.output_size()) {
    add_tensor("x", x_);
    add_tensor("target", target_);
    add_tensor("loss", loss_);
    add_parameters("", model_);
    add_parameters("gradient.", gradient_);
  }
  void start() override {
    optimizer_.emplace(model_, AdamOptions{.weight_decay = 0.01, .decays = decay_everywhere});
    parallel_.emplace(shard_);
  }
  void run() override {
    clear_tree(gradient_);
    const SequenceView<const float> x(x_), target(target_);
    const LossSum sum = (*parallel_)(x.batch, gradient_, [&](Shard part, Model& gradient, auto& sequence) {
      return sequence(model_, x.members(part.first, part.count), target.members(part.first, part.count), Mse<float>{},
                      gradient);
    });
    scale_tree(gradient_, 1.0 / static_cast<double>(sum.count));
    optimizer_->step(model_, gradient_, learning_rate);
    loss_[0] = static_cast<float>(sum.mean());
  }

 private:
  Model model_, gradient_;
  Index shard_;
  Sequences x_, target_;
  Tensor<float, 1> loss_;
  std::optional<AdamW<Model>> optimizer_;
  std::optional<DataParallel<Model, SequenceGradient<Model>>> parallel_;
};

constexpr Index any = Dynamic;

/// Sizes: batch, time, width in, width out, and last the members of a shard.
template <class L>
L recurrent(const Sizes& n) {
  return L(n.at(2), n.at(3));
}

/// Sizes: batch, time, width, heads; keys half as wide as the model, as the paper has them.
GatedLinearAttention<float, any, any, any, any> linear_attention(const Sizes& n) {
  const Index width = n.at(2), count = n.at(3);
  return GatedLinearAttention<float, any, any, any, any>(
      {.model = width, .heads = count, .kv_heads = count, .key_dim = width / 2 / count, .value_dim = width / count});
}

/// Sizes: batch, time, width, state; the rest as the paper has it.
Mamba<float, any, any, any, any, any> mamba(const Sizes& n) {
  const Index width = n.at(2);
  return {width, 2 * width, n.at(3), 4, (width + 15) / 16};
}

/// Sizes: batch, time, width, heads.
MultiHeadAttention<float, any, any, any, any> attention(const Sizes& n) {
  return MultiHeadAttention<float, any, any, any, any>({.model = n.at(2), .heads = n.at(3), .capacity = n.at(1)});
}

template <class Make>
auto update_of(Make make) {
  return [make](const Sizes& n) {
    return std::make_unique<UpdateCase<decltype(make(n))>>(make(n), n.at(0), n.at(1), n.back());
  };
}

}  // namespace

void peers::add_update_cases(Makers& makers) {
  makers["lstm/update"] = update_of(recurrent<Lstm<float, any, any>>);
  makers["gru/update"] = update_of(recurrent<Gru<float, any, any>>);
  makers["gla_layer/update"] = update_of(linear_attention);
  makers["mamba/update"] = update_of(mamba);
  makers["multi_head_attention/update"] = update_of(attention);
}
