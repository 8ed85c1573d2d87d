#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <stepscan/layers/layer.hpp>
#include <stepscan/train/gradient_report.hpp>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

struct GradientCheckOptions {
  double step = 1e-5;         ///< of the central differences
  Index most_per_tensor = 0;  ///< of a tensor with more numbers so many random ones are checked; 0: all of every tensor
  std::uint64_t seed = 1;     ///< of random weights and choices
};

namespace detail {

/// sum_i w_i y_i over the real tokens, w uniform in +-1.
struct RandomObjective {
  Tensor<double, Dynamic, Dynamic, Dynamic> weights;

  double operator()(const SequenceView<const double>& y, const SequenceView<double>& dy) const {
    double sum = 0;
    for (Index b = 0; b < y.batch; ++b) {
      for (Index t = 0; t < y.length(b); ++t) {
        for (Index i = 0; i < y.features; ++i) {
          sum += weights(b, t, i) * y.token(b, t)[i];
          if (dy.data != nullptr) dy.token(b, t)[i] = weights(b, t, i);
        }
      }
    }
    return sum;
  }
};

/// Compares slopes, those of `values` by the backward pass, with central differences of value().
template <class Name, class Values, class Slopes, class Value>
void compare_slopes(GradientReport& report, const GradientCheckOptions& options, Random& random, Name&& name,
                    Values& values, const Slopes& slopes, Value&& value) {
  const Index most = options.most_per_tensor, size = values.size();
  const bool all = most <= 0 || size <= most;
  for (Index k = 0; k < (all ? size : most); ++k) {
    const Index i = all ? k : static_cast<Index>(random.below(static_cast<std::uint32_t>(size)));
    const double kept = values[i];
    if (!std::isfinite(kept)) continue;
    values[i] = kept + options.step;
    const double above = value();
    values[i] = kept - options.step;
    const double below = value();
    values[i] = kept;
    report.include(name, i, (above - below) / (2 * options.step), slopes[i]);
  }
}

/// One check: objective(y) + <weights, final state>, by the backward pass and by differences of scans.
template <class Model, class Objective, class Form>
class GradientCheck {
  using State = typename Model::State;
  using Buffer = Tensor<double, Dynamic, Dynamic, Dynamic>;
  static constexpr double unwritten = std::numeric_limits<double>::quiet_NaN();

 public:
  GradientCheck(const Model& model, const State& start, const SequenceView<const double>& x, const Objective& objective,
                const GradientCheckOptions& options, const Form& form)
      : model_(model),
        start_(start),
        weights_(start),
        x_(x.batch, x.time, Index{x.features}),
        y_(x.batch, model.output_time(x.time), Index{model.output_size()}),
        objective_(objective),
        options_(options),
        form_(form),
        random_(options.seed, 1) {
    x_.fill(unwritten);
    y_.fill(unwritten);
    for (Index b = 0; b < x.batch; ++b) {
      lengths_.push_back(x.length(b));
      out_lengths_.push_back(model.output_time(x.length(b)));
      for (Index t = 0; t < x.length(b); ++t) std::copy_n(x.token(b, t), Index{x.features}, &x_(b, t, 0));
    }
    ragged_ = x.is_ragged();
    for_each_tensor(
        [&](const Path&, auto& tensor) {
          if constexpr (is_real<decltype(tensor)>) {
            for (double& w : tensor) w = random_.uniform(-1, 1);
          }
        },
        weights_);
  }

  GradientReport run() {
    Tape<Model> tape;
    Model gradient = zeros_like(model_);
    Buffer dy(y_.shape()), dx(x_.shape()), forward_y(y_.shape());
    State state = start_, dstart = start_;
    dx.fill(unwritten);
    forward_y.fill(unwritten);
    model_.forward(state, input(), forward_y, tape, form_);
    objective_(SequenceView<const double>(output(forward_y)), SequenceView<double>(dy));
    for_each_padded(dy, out_lengths_, [&](Index i) { dy[i] = unwritten; });
    model_.backward(tape, SequenceView<const double>(std::as_const(dy)), weights_, gradient, dx, dstart);

    static_cast<void>(value());
    compare_outputs(forward_y);
    for_each_tensor(
        [&](const Path& path, auto& parameter, const auto& slope) { compare("parameter ", path, parameter, slope); },
        model_, gradient);
    compare_inputs(dx);
    for_each_tensor(
        [&](const Path& path, auto& tensor, const auto& slope) {
          if constexpr (is_real<decltype(tensor)>) compare("state ", path, tensor, slope);
        },
        start_, dstart);
    return report_;
  }

 private:
  template <class T>
  static constexpr bool is_real = std::same_as<typename std::remove_cvref_t<T>::value_type, double>;

  /// Calls f(i) for the flat positions behind each member's length.
  template <class F>
  static void for_each_padded(const Buffer& sequence, const std::vector<Index>& lengths, F&& f) {
    const Index time = sequence.extent(1), features = sequence.extent(2);
    for (Index b = 0; b < sequence.extent(0); ++b) {
      const Index first = b * time + lengths[static_cast<std::size_t>(b)];
      for (Index i = first * features; i < (b + 1) * time * features; ++i) f(i);
    }
  }

  [[nodiscard]] SequenceView<const double> input() const {
    const SequenceView<const double> all = x_;
    return ragged_ ? all.ragged(lengths_) : all;
  }
  [[nodiscard]] SequenceView<double> output(Buffer& y) const {
    const SequenceView<double> all = y;
    return ragged_ ? all.ragged(out_lengths_) : all;
  }

  [[nodiscard]] double value() {
    State state = start_;
    model_.scan(state, input(), y_, workspace_, form_);
    double sum = objective_(SequenceView<const double>(output(y_)), SequenceView<double>());
    for_each_tensor(
        [&](const Path&, const auto& w, const auto& end) {
          if constexpr (is_real<decltype(w)>) {
            for (Index i = 0; i < w.size(); ++i) sum += w[i] * end[i];
          }
        },
        weights_, state);
    return sum;
  }

  template <class Values, class Slopes>
  void compare(const char* kind, const Path& path, Values& values, const Slopes& slopes) {
    compare_slopes(
        report_, options_, random_, [&] { return kind + path.str(); }, values, slopes, [&] { return value(); });
  }

  /// Where x is padding, dx is zero.
  void compare_inputs(const Buffer& dx) {
    const auto name = [] { return std::string("x"); };
    compare_slopes(report_, options_, random_, name, x_, dx, [&] { return value(); });
    for_each_padded(x_, lengths_, [&](Index i) { report_.include(name, i, 0, dx[i]); });
  }

  void compare_outputs(const Buffer& forward_y) {
    const auto name = [] { return std::string("y of the forward pass"); };
    for (Index i = 0; i < y_.size(); ++i) report_.include(name, i, y_[i], forward_y[i]);
  }

  Model model_;
  State start_;
  State weights_;
  Buffer x_;
  Buffer y_;
  std::vector<Index> lengths_, out_lengths_;
  bool ragged_ = false;
  const Objective& objective_;
  GradientCheckOptions options_;
  Form form_;
  Random random_;
  Workspace workspace_;
  GradientReport report_;
};

}  // namespace detail

/// Holds a gradient against central differences of value(model), for whatever is a tree of parameters in double: a
/// language model, a pointer network, a whole training step with its loss. Costs two values a number.
template <Tree Model, class Value>
[[nodiscard]] GradientReport check_gradient(const Model& model, const Model& gradient, Value&& value,
                                            const GradientCheckOptions& options = {}) {
  GradientReport report;
  Model moved = model;
  Random random(options.seed, 1);
  for_each_tensor(
      [&](const Path& path, auto& parameter, const auto& slopes) {
        const auto name = [&] { return "parameter " + path.str(); };
        detail::compare_slopes(report, options, random, name, parameter, slopes,
                               [&] { return static_cast<double>(value(std::as_const(moved))); });
      },
      moved, gradient);
  return report;
}

/// Holds a model's backward pass against central differences, for any assembly of layers in double: the gradient of
///   objective(y) + sum_i w_i s_i,   s the final state, w random
/// in every parameter, input and number of the initial state. `objective(y, dy)` returns a value and writes its
/// cotangent to dy, which may be a view of nothing: a loss with its targets, [&](auto y, auto dy) { return
/// loss(y, targets, dy); }. Padding of x is taken to be NaN, and its dx must be zero. Whole numbers in a state, and
/// numbers that are not finite, have no gradient and are left out.
///
/// A correct layer gives errors of about 1e-9 to 1e-7, where the function is smooth: rectifiers, maxima and choices of
/// the largest give larger ones when a difference straddles a kink. Costs two scans a number.
template <SequenceLayer Model, class Objective, class Form = OwnForm>
[[nodiscard]] GradientReport check_gradients_of(const Objective& objective, const Model& model,
                                                const typename Model::State& start, SequenceView<const double> x,
                                                const GradientCheckOptions& options = {}, const Form& form = {}) {
  static_assert(std::same_as<typename Model::scalar_type, double>, "stepscan: gradients are checked in double");
  return detail::GradientCheck<Model, Objective, Form>(model, start, x, objective, options, form).run();
}

/// The same with random weights on every output as the objective.
template <SequenceLayer Model, class Form = OwnForm>
[[nodiscard]] GradientReport check_gradients(const Model& model, const typename Model::State& start,
                                             SequenceView<const double> x, const GradientCheckOptions& options = {},
                                             const Form& form = {}) {
  detail::RandomObjective objective{
      decltype(detail::RandomObjective::weights)(x.batch, model.output_time(x.time), model.output_size())};
  Random random(options.seed);
  for (double& w : objective.weights) w = random.uniform(-1, 1);
  return check_gradients_of(objective, model, start, x, options, form);
}

/// The same from the model's initial state.
template <SequenceLayer Model, class Form = OwnForm>
[[nodiscard]] GradientReport check_gradients(const Model& model, SequenceView<const double> x,
                                             const GradientCheckOptions& options = {}, const Form& form = {}) {
  return check_gradients(model, model.initial_state(x.batch), x, options, form);
}

}  // namespace stepscan::inline STEPSCAN_ISA
