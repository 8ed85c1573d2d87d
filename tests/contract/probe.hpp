#pragma once

#include <algorithm>
#include <cmath>
#include <contract/contract.hpp>
#include <cstring>
#include <limits>
#include <stepscan/core/random.hpp>
#include <stepscan/core/threads.hpp>

/// What the checks of the contract share: sequences, runs of a model, and how results are compared.
namespace stepscan::testing {

template <class S>
using Sequence = Tensor<S, Dynamic, Dynamic, Dynamic>;

template <class S>
inline constexpr bool is_double = std::is_same_v<S, double>;

/// Sets the thread count and puts it back.
class ThreadCount {
 public:
  explicit ThreadCount(int count) { set_max_threads(count); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;
  ~ThreadCount() { set_max_threads(before_); }

 private:
  int before_ = max_threads();
};

/// How far forms that are exact in real arithmetic may lie apart, and iterative ones.
template <class S>
inline constexpr double exact_tolerance = is_double<S> ? 1e-9 : 2e-4;
template <class S>
inline constexpr double iterative_tolerance = is_double<S> ? 1e-7 : 2e-3;

template <class S>
double tolerance(const Form& form) {
  return form.iterative ? iterative_tolerance<S> : exact_tolerance<S>;
}

inline const double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// max |a - b| / max(max |b|, floor); infinite when a number is not finite or the sizes differ.
template <class S>
double distance(std::span<const S> a, std::span<const S> b, double floor = 1e-6) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double scale = floor, worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) return std::numeric_limits<double>::infinity();
    scale = std::max(scale, std::abs(static_cast<double>(b[i])));
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return worst / scale;
}

/// The largest distance between corresponding tensors, and whose it is.
struct Difference {
  double error = 0;
  std::string where;

  void include(const std::string& name, double distance) {
    if (!(distance <= error)) {
      error = distance;
      where = name;
    }
  }
};

/// All numbers, and all bytes, that a state or a parameter tree holds.
template <class S>
std::vector<S> numbers(const std::vector<NamedValues<S>>& tensors) {
  std::vector<S> all;
  for (const auto& tensor : tensors) all.insert(all.end(), tensor.numbers.begin(), tensor.numbers.end());
  return all;
}
template <class S>
std::vector<std::byte> bytes(const std::vector<NamedValues<S>>& tensors) {
  std::vector<std::byte> all;
  for (const auto& tensor : tensors) all.insert(all.end(), tensor.bytes.begin(), tensor.bytes.end());
  return all;
}
template <class S>
std::vector<std::byte> bytes(const Sequence<S>& sequence) {
  const auto view = std::as_bytes(sequence.span());
  return {view.begin(), view.end()};
}
/// The bytes of one batch member.
template <class S>
std::vector<std::byte> row_bytes(const std::vector<NamedValues<S>>& tensors, Index row) {
  std::vector<std::byte> all;
  for (const auto& tensor : tensors) {
    const auto size = tensor.bytes.size() / static_cast<std::size_t>(tensor.rows);
    const auto part = tensor.bytes.subspan(static_cast<std::size_t>(row) * size, size);
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}
template <class S>
std::vector<std::byte> row_bytes(const Sequence<S>& sequence, Index row, Index tokens) {
  const auto view = std::as_bytes(sequence.span());
  const auto token = static_cast<std::size_t>(sequence.extent(2)) * sizeof(S);
  const auto part = view.subspan(static_cast<std::size_t>(row * sequence.extent(1)) * token,
                                 static_cast<std::size_t>(tokens) * token);
  return {part.begin(), part.end()};
}

/// One batch member of a state, as a state of batch 1, and of a sequence.
template <class S>
AnyState<S> row_of(const Model<S>& model, const AnyState<S>& state, Index row) {
  AnyState<S> one = model.initial_state(1);
  const auto from = state.tensors(), to = one.tensors();
  for (std::size_t i = 0; i < from.size(); ++i) {
    const auto size = to[i].bytes.size();
    std::copy_n(from[i].bytes.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(row) * size), size,
                to[i].bytes.begin());
  }
  return one;
}
template <class S>
Sequence<S> row_of(const Sequence<S>& sequence, Index row, Index tokens) {
  Sequence<S> one(1, tokens, sequence.extent(2));
  std::copy_n(&sequence(row, 0, 0), one.size(), one.data());
  return one;
}

template <class S>
void fill_uniform(std::span<S> values, Random& random, double low, double high) {
  for (S& value : values) value = static_cast<S>(random.uniform(low, high));
}

template <class S>
Sequence<S> random_sequence(Index batch, Index time, Index features, Random& random) {
  Sequence<S> sequence(batch, time, features);
  fill_uniform(sequence.span(), random, -1.0, 1.0);
  return sequence;
}

/// The model under test with fresh parameters, and random values that suit it.
template <class S>
class Probe {
 public:
  Probe(TrainableModel<S>& trainable, const Options& given) : model(trainable), options(given), random(given.seed) {
    model.initialize(given.seed);
    for (const auto& parameter : model.parameters()) {
      for (S& value : parameter.numbers) value += static_cast<S>(random.uniform(-0.4, 0.4));
    }
    plan = model.plan();
  }

  AnyState<S> random_state(Index batch) {
    AnyState<S> state = model.initial_state(batch);
    for (const auto& tensor : state.tensors()) {
      const bool positive = tensor.name.substr(tensor.name.rfind('.') + 1) == options.positive_state;
      fill_uniform(tensor.numbers, random, positive ? 0.5 : -0.8, positive ? 1.5 : 0.8);
    }
    return state;
  }
  Sequence<S> random_inputs(Index batch, Index time) {
    Sequence<S> x = random_sequence<S>(batch, time, model.inputs, random);
    make_valid(x);
    return x;
  }
  void make_valid(Sequence<S>& x) const {
    if (!options.valid_input) return;
    for (Index i = 0; i < x.size(); ++i)
      x[i] = static_cast<S>(options.valid_input(i % model.inputs, static_cast<double>(x[i])));
  }
  Sequence<S> random_outputs(Index batch, Index time) {
    return random_sequence<S>(batch, model.output_time(time), model.outputs, random);
  }

  TrainableModel<S>& model;
  const Options& options;
  Random random;
  std::unique_ptr<Model<S>> plan;
};

/// What a scan gives.
template <class S>
struct Outcome {
  Sequence<S> y;
  AnyState<S> end;
};

template <class S>
Outcome<S> run(const Model<S>& model, std::size_t form, const AnyState<S>& start, SequenceView<const S> x) {
  Outcome<S> outcome{Sequence<S>(x.batch, model.output_time(x.time), model.outputs), start};
  outcome.y.fill(static_cast<S>(not_a_number));
  Workspace workspace;
  model.scan(form, outcome.end, x, outcome.y, workspace);
  return outcome;
}

template <class S>
Difference difference(const Outcome<S>& a, const Outcome<S>& b, double floor = 1e-6) {
  Difference worst;
  worst.include("y", distance<S>(a.y.span(), b.y.span(), floor));
  const auto left = a.end.tensors(), right = b.end.tensors();
  for (std::size_t i = 0; i < left.size(); ++i) {
    worst.include("state." + left[i].name, distance<S>(left[i].numbers, right[i].numbers, floor));
  }
  return worst;
}

template <class S>
bool same_bits(const Outcome<S>& a, const Outcome<S>& b) {
  return bytes(a.y) == bytes(b.y) && bytes(a.end.tensors()) == bytes(b.end.tensors());
}

/// The floor under which a distance counts as absolute: an iterative form stops at an absolute change.
inline double floor_of(const Form& form) { return form.iterative ? 1.0 : 1e-6; }

}  // namespace stepscan::testing
