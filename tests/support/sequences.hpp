#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <stepscan/layers/layer.hpp>
#include <stepscan/train/gradient_check.hpp>
#include <vector>

/// What tests of layers share: random sequences and parameters, distances, and gradients by finite differences.
namespace stepscan::testing {

template <class S>
using Sequence = Tensor<S, Dynamic, Dynamic, Dynamic>;

/// Uniform in +-scale.
template <class S>
[[nodiscard]] Sequence<S> random_sequence(Index batch, Index time, Index features, std::uint64_t seed,
                                          double scale = 1) {
  Sequence<S> sequence(batch, time, features);
  Random random(seed, 17);
  for (S& value : sequence) value = static_cast<S>(random.uniform(-scale, scale));
  return sequence;
}

/// Every number of a tree (parameters, a state) uniform in [low, high].
template <class T>
void randomize(T& tree, std::uint64_t seed, double low = -0.6, double high = 0.6) {
  Random random(seed, 23);
  for_each_tensor(
      [&](const Path&, auto& tensor) {
        for (auto& value : tensor)
          value = static_cast<std::remove_reference_t<decltype(value)>>(random.uniform(low, high));
      },
      tree);
}

/// The numbers of one layer in another of other scalars or static sizes.
template <class From, class To>
void copy_parameters(const From& from, To& to) {
  std::vector<double> values;
  for_each_tensor([&](const Path&, const auto& tensor) { values.insert(values.end(), tensor.begin(), tensor.end()); },
                  from);
  std::size_t i = 0;
  for_each_tensor(
      [&](const Path&, auto& tensor) {
        for (auto& value : tensor) value = static_cast<std::remove_reference_t<decltype(value)>>(values.at(i++));
      },
      to);
}

/// The largest difference of two ranges of one size; infinite when sizes differ or one is not a number.
template <class A, class B>
[[nodiscard]] double distance(const A& a, const B& b) {
  constexpr double far = std::numeric_limits<double>::infinity();
  if (std::distance(a.begin(), a.end()) != std::distance(b.begin(), b.end())) return far;
  double most = 0;
  auto other = b.begin();
  for (const auto value : a) {
    const double difference = std::abs(static_cast<double>(value) - static_cast<double>(*other++));
    if (!(difference <= std::numeric_limits<double>::max())) return far;
    most = std::max(most, difference);
  }
  return most;
}

/// All numbers of a tree.
template <class T>
[[nodiscard]] std::vector<double> numbers(const T& tree) {
  std::vector<double> values;
  for_each_tensor([&](const Path&, const auto& tensor) { values.insert(values.end(), tensor.begin(), tensor.end()); },
                  tree);
  return values;
}

/// Output of one scan from a zero state, or from the one given.
template <class L, class Form = OwnForm>
[[nodiscard]] auto scanned(const L& layer, const Sequence<typename L::scalar_type>& x, const Form& form = {}) {
  Sequence<typename L::scalar_type> y(x.extent(0), layer.output_time(x.extent(1)), layer.output_size());
  auto state = layer.initial_state(x.extent(0));
  layer.scan(state, x, y, form);
  return y;
}

/// Bytes of workspace that a scan of so many tokens takes.
template <class L>
[[nodiscard]] Index scan_memory(const L& layer, Index batch, Index time) {
  const auto x = random_sequence<typename L::scalar_type>(batch, time, layer.input_size(), 2);
  Sequence<typename L::scalar_type> y(batch, layer.output_time(time), layer.output_size());
  auto state = layer.initial_state(batch);
  Workspace workspace;
  layer.scan(state, x, y, workspace);
  return workspace.capacity();
}

/// Writes NaN to the padding.
template <class S>
void spoil_padding(Sequence<S>& x, const std::vector<Index>& lengths) {
  for (Index b = 0; b < x.extent(0); ++b) {
    for (Index t = lengths[static_cast<std::size_t>(b)]; t < x.extent(1); ++t) {
      for (Index i = 0; i < x.extent(2); ++i) x(b, t, i) = std::numeric_limits<S>::quiet_NaN();
    }
  }
}

/// The largest relative difference between a gradient, a tree or tensor like `values`, and central finite differences
/// of loss() in every number of `values`; infinite where one is not a number. Where `values` has NaN, padding, the
/// gradient is 0. The options may ask for some numbers of each tensor alone.
template <class T, class Loss>
[[nodiscard]] double difference_error(T& values, const T& gradient, Loss&& loss,
                                      const GradientCheckOptions& options = {}) {
  GradientReport report;
  Random random(1);
  bool clean = true;
  const auto compare = [&](const Path& path, auto& tensor, const auto& slopes) {
    for (Index i = 0; i < tensor.size(); ++i) clean = clean && (!std::isnan(tensor[i]) || slopes[i] == 0);
    stepscan::detail::compare_slopes(
        report, options, random, [&] { return path.str(); }, tensor, slopes, loss);
  };
  if constexpr (Tree<T>) {
    for_each_tensor(compare, values, gradient);
  } else {
    compare({}, values, gradient);
  }
  return clean ? report.error : std::numeric_limits<double>::infinity();
}

/// What check_gradients finds at a random input and initial state; with `lengths`, of a ragged batch.
template <class L>
[[nodiscard]] double gradient_error(const L& layer, Index batch, Index time, const std::vector<Index>& lengths = {}) {
  const auto x = random_sequence<double>(batch, time, layer.input_size(), 1);
  const SequenceView<const double> all = x;
  auto start = layer.initial_state(batch);
  randomize(start, 3);
  return check_gradients(layer, start, lengths.empty() ? all : all.ragged(lengths)).error;
}

}  // namespace stepscan::testing
