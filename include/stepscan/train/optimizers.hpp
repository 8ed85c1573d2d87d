#pragma once

#include <cmath>
#include <cstdint>
#include <stepscan/ops/optimizer_update.hpp>
#include <stepscan/ops/vectors.hpp>
#include <stepscan/train/decay_rule.hpp>
#include <stepscan/train/trees.hpp>
#include <utility>

/// Optimisers. Each is a tree of its own, the moments shaped as the model and the number of steps taken, so that it is
/// saved, loaded and copied like a model:
///
///   AdamW<Model> optimizer(model, {.weight_decay = 0.1});
///   optimizer.step(model, gradient, learning_rate);   // one update; the gradient stays as it is
///   save_safetensors(path, optimizer);
///
/// Options are no part of the tree: an optimiser that is to be loaded is made with the same ones. A model of other
/// sizes than the one it was made for is refused by ShapeError. Results do not depend on the number of threads.
namespace stepscan::inline STEPSCAN_ISA {

struct SgdOptions {
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;
  DecayRule decays = decay_matrices;
};

/// Stochastic gradient descent, with (Nesterov's) momentum and weight decay; the equations stand at SgdUpdate.
template <Tree Model>
class Sgd {
 public:
  Model velocity;
  Tensor<std::int64_t, 1> steps;  ///< taken so far

  static constexpr auto fields() { return std::tuple{Field{"velocity", &Sgd::velocity}, Field{"steps", &Sgd::steps}}; }

  explicit Sgd(const Model& model, SgdOptions how = {})
      : velocity(zeros_like(model)),
        options_(std::move(how)),
        decays_(detail::decaying_parameters(model, options_.decays)) {}

  void step(Model& model, const Model& gradient, double learning_rate) {
    detail::check_same_shapes("Sgd", velocity, model, gradient);
    ++steps[0];
    auto decays = decays_.begin();
    for_each_tensor(
        [&](const Path&, auto& p, const auto& g, auto& v) {
          const SgdUpdate update{learning_rate, options_.momentum, *decays++ ? options_.weight_decay : 0,
                                 options_.nesterov};
          for_each_block(p.size(), [&](Index first, Index count) {
            update.apply(count, p.data() + first, g.data() + first, v.data() + first);
          });
        },
        model, gradient, velocity);
  }

  [[nodiscard]] const SgdOptions& options() const noexcept { return options_; }

 private:
  SgdOptions options_;
  std::vector<bool> decays_;
};

struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  DecayRule decays = decay_matrices;
};

/// What Adam and AdamW share; the equations stand at AdamUpdate.
template <Tree Model, bool Decoupled>
class AdamOptimizer {
 public:
  Model first_moment;
  Model second_moment;
  Tensor<std::int64_t, 1> steps;  ///< taken so far

  static constexpr auto fields() {
    return std::tuple{Field{"first_moment", &AdamOptimizer::first_moment},
                      Field{"second_moment", &AdamOptimizer::second_moment}, Field{"steps", &AdamOptimizer::steps}};
  }

  explicit AdamOptimizer(const Model& model, AdamOptions how = {.weight_decay = Decoupled ? 0.01 : 0})
      : first_moment(zeros_like(model)),
        second_moment(first_moment),
        options_(std::move(how)),
        decays_(detail::decaying_parameters(model, options_.decays)) {}

  void step(Model& model, const Model& gradient, double learning_rate) {
    detail::check_same_shapes(Decoupled ? "AdamW" : "Adam", first_moment, model, gradient);
    const double t = static_cast<double>(++steps[0]);
    AdamUpdate update{.learning_rate = learning_rate,
                      .beta1 = options_.beta1,
                      .beta2 = options_.beta2,
                      .eps = options_.eps,
                      .decoupled = Decoupled,
                      .correction1 = 1 - std::pow(options_.beta1, t),
                      .correction2 = 1 - std::pow(options_.beta2, t)};
    auto decays = decays_.begin();
    for_each_tensor(
        [&](const Path&, auto& p, const auto& g, auto& m, auto& v) {
          update.weight_decay = *decays++ ? options_.weight_decay : 0;
          for_each_block(p.size(), [&](Index first, Index count) {
            update.apply(count, p.data() + first, g.data() + first, m.data() + first, v.data() + first);
          });
        },
        model, gradient, first_moment, second_moment);
  }

  [[nodiscard]] const AdamOptions& options() const noexcept { return options_; }

 private:
  AdamOptions options_;
  std::vector<bool> decays_;
};

/// Adam, weight decay as a term of the loss (torch.optim.Adam).
template <Tree Model>
using Adam = AdamOptimizer<Model, false>;

/// Adam with decoupled weight decay, 0.01 unless the options say another (torch.optim.AdamW).
template <Tree Model>
using AdamW = AdamOptimizer<Model, true>;

}  // namespace stepscan::inline STEPSCAN_ISA
