#include <filesystem>
#include <stepscan/core/threads.hpp>
#include <stepscan/io/safetensors.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/train/optimizers.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::numbers;

namespace {

/// A matrix that decays and a bias that does not.
using Model = Linear<double, 3, 2>;

/// torch.optim.SGD on one number.
struct SgdByHand {
  double momentum, weight_decay;
  bool nesterov;
  double buffer = 0;
  bool first = true;

  double step(double p, double g, double rate, bool decays) {
    if (decays) g += weight_decay * p;
    if (momentum != 0) {
      buffer = first ? g : momentum * buffer + g;
      first = false;
      g = nesterov ? g + momentum * buffer : buffer;
    }
    return p - rate * g;
  }
};

/// torch.optim.Adam and AdamW on one number.
struct AdamByHand {
  double weight_decay;
  bool decoupled;
  double m = 0, v = 0;
  int t = 0;

  double step(double p, double g, double rate, bool decays) {
    ++t;
    if (decays && decoupled) p *= 1 - rate * weight_decay;
    if (decays && !decoupled) g += weight_decay * p;
    m = m + (g - m) * (1 - 0.9);
    v = 0.999 * v + (1 - 0.999) * g * g;
    const double denominator = std::sqrt(v) / std::sqrt(1 - std::pow(0.999, t)) + 1e-8;
    return p - rate / (1 - std::pow(0.9, t)) * m / denominator;
  }
};

/// The largest difference after ten steps with gradients that change.
template <class Optimizer, class ByHand>
double difference(Optimizer optimizer, const ByHand& by_hand, Model model) {
  std::vector<double> expected = numbers(model);
  std::vector<ByHand> hands(expected.size(), by_hand);
  Model gradient;
  for (int s = 0; s < 10; ++s) {
    const double rate = 0.1 / (1 + s);
    testing::randomize(gradient, static_cast<std::uint64_t>(s) + 5);
    const std::vector<double> slopes = numbers(gradient);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expected[i] = hands[i].step(expected[i], slopes[i], rate, i < 6);
    }
    optimizer.step(model, gradient, rate);
  }
  CHECK(optimizer.steps[0] == 10);
  return testing::distance(numbers(model), expected);
}

Model some_model() {
  Model model;
  testing::randomize(model, 3);
  return model;
}

}  // namespace

TEST_CASE("optimisers: PyTorch's formulas", "[train]") {
  const Model model = some_model();
  CHECK(difference(Sgd<Model>(model), SgdByHand{0, 0, false}, model) < 1e-14);
  CHECK(difference(Sgd<Model>(model, {0.9, false, 0.1}), SgdByHand{0.9, 0.1, false}, model) < 1e-14);
  CHECK(difference(Sgd<Model>(model, {0.8, true, 0.1}), SgdByHand{0.8, 0.1, true}, model) < 1e-14);
  CHECK(difference(Adam<Model>(model), AdamByHand{0, false}, model) < 1e-14);
  CHECK(difference(Adam<Model>(model, {.weight_decay = 0.2}), AdamByHand{0.2, false}, model) < 1e-14);
  CHECK(difference(AdamW<Model>(model), AdamByHand{0.01, true}, model) < 1e-14);
  CHECK(difference(AdamW<Model>(model, {.weight_decay = 0.3}), AdamByHand{0.3, true}, model) < 1e-14);
}

TEST_CASE("optimisers: two steps by hand", "[train]") {
  Linear<double, 1, 1, false> model, gradient;
  model.weight[0] = 1, gradient.weight[0] = 2;
  Sgd<Linear<double, 1, 1, false>> sgd(model, {.momentum = 0.5, .nesterov = true});
  sgd.step(model, gradient, 0.1);  // v = 2, p = 1 - 0.1 (2 + 0.5 2)
  CHECK(model.weight[0] == Approx(0.7));
  sgd.step(model, gradient, 0.1);  // v = 3, p = 0.7 - 0.1 (2 + 0.5 3)
  CHECK(model.weight[0] == Approx(0.35));

  model.weight[0] = 1;
  AdamW<Linear<double, 1, 1, false>> adam(model, {.eps = 0, .weight_decay = 0.5});
  adam.step(model, gradient, 0.1);  // 1 - 0.1 0.5 1 - 0.1
  CHECK(model.weight[0] == Approx(0.85));
  gradient.weight[0] = -1;
  adam.step(model, gradient, 0.1);  // m = 0.08 / 0.19, v = 0.004996 / 0.001999
  CHECK(model.weight[0] == Approx(0.85 * 0.95 - 0.1 * (0.08 / 0.19) / std::sqrt(0.004996 / 0.001999)));
}

TEST_CASE("optimisers: which parameters decay", "[train]") {
  for (const char* path : {"0.weight_hh", "2.in_proj.weight", "embedding.weight", "C", "3.C.re", "Ada.weight"}) {
    CAPTURE(path);
    CHECK(decay_matrices(path, 2));
  }
  for (const char* path :
       {"A_log", "1.A", "0.Lambda.re", "B.im", "log_dt", "nu_log", "k_bias", "dt_bias", "4.ssm.log_A_real"}) {
    CAPTURE(path);
    CHECK_FALSE(decay_matrices(path, 2));
  }
  CHECK_FALSE(decay_matrices("norm.weight", 1));
  CHECK(decay_everywhere("norm.weight", 1));
}

TEST_CASE("optimisers: saved and loaded, a run goes on as if it had not stopped", "[train]") {
  const std::filesystem::path path = std::filesystem::temp_directory_path() / "stepscan_optimizer.safetensors";
  Model model = some_model(), gradient;
  AdamW<Model> optimizer(model);
  testing::randomize(gradient, 1);
  optimizer.step(model, gradient, 0.1);
  save_safetensors(path, optimizer);
  Model again = model;
  AdamW<Model> loaded(model);
  load_safetensors(path, loaded);
  std::filesystem::remove(path);
  CHECK(loaded.steps[0] == 1);
  optimizer.step(model, gradient, 0.1);
  loaded.step(again, gradient, 0.1);
  CHECK(numbers(again) == numbers(model));
}

TEST_CASE("optimisers: the same bits for any number of threads", "[train]") {
  using Wide = Linear<float, Dynamic, Dynamic>;
  Wide gradient(300, 300), start(300, 300);
  testing::randomize(gradient, 1);
  testing::randomize(start, 2);
  const auto stepped = [&](int threads) {
    const int before = max_threads();
    set_max_threads(threads);
    Wide model = start;
    AdamW<Wide> optimizer(model);
    for (int i = 0; i < 3; ++i) optimizer.step(model, gradient, 1e-3);
    set_max_threads(before);
    return numbers(model);
  };
  CHECK(stepped(1) == stepped(3));
}
