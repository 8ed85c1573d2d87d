#pragma once

#include <concepts>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stepscan/layers/layer.hpp>
#include <string>
#include <vector>

/// What a script that drives a peer asks of this library: the same computation on the numbers that it sends.
namespace peers {

using namespace stepscan;
using Sequences = Tensor<float, Dynamic, Dynamic, Dynamic>;

/// Batch, time, and then what the layer has.
using Sizes = std::vector<Index>;

/// One computation. Its tensors are written and read by name from outside: x, the parameters by their paths, y. They
/// stay where they are.
struct Case {
  std::map<std::string, std::span<float>> tensors;

  Case() = default;
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;
  virtual ~Case() = default;

  /// Takes over the parameters as they are now, and goes back to where a sequence starts.
  virtual void start() = 0;
  /// What is timed.
  virtual void run() = 0;

 protected:
  template <class TensorType>
  void add_tensor(const std::string& name, TensorType& tensor) {
    tensors[name] = {tensor.data(), static_cast<std::size_t>(tensor.size())};
  }
  /// The parameters of a layer, its gradient or a state, each name behind a prefix.
  template <class L>
  void add_parameters(const std::string& prefix, L& layer) {
    for_each_parameter(
        [&](const Path& path, auto& tensor) {
          constexpr bool floats = std::same_as<typename std::remove_cvref_t<decltype(tensor)>::value_type, float>;
          if constexpr (floats) add_tensor(prefix + path.str(), tensor);
        },
        layer);
  }
};

/// By layer/pass, as benchmarks are named; throws what the layer throws about sizes that do not fit.
using Makers = std::map<std::string, std::function<std::unique_ptr<Case>(const Sizes&)>>;

void add_recurrent_cases(Makers& makers);
void add_scan_cases(Makers& makers);
void add_attention_cases(Makers& makers);
void add_update_cases(Makers& makers);

/// A cache of keys starts anew with every sequence; other states go on, which takes the same time.
template <class State>
void rewind(State& state) {
  if constexpr (requires { state.length; }) state.length.fill(0);
}

/// A sequence of a prepared layer: x -> y, and the state where it is. A sequence of one token is a step.
template <class L>
class ForwardCase : public Case {
 public:
  ForwardCase(L layer, Index batch, Index time)
      : layer_(std::move(layer)),
        plan_(prepare(layer_)),
        state_(plan_.initial_state(batch)),
        x_(batch, time, layer_.input_size()),
        y_(batch, time, layer_.output_size()) {
    add_tensor("x", x_);
    add_tensor("y", y_);
    add_parameters("", layer_);
    add_parameters("state.", state_);
  }
  void start() override {
    plan_ = prepare(layer_);
    const auto fresh = plan_.initial_state(x_.extent(0));
    state_ = fresh;  // in place: its numbers are known by their address
  }
  void run() override {
    if (x_.extent(1) == 1) {
      plan_.step(state_, SequenceView<const float>(x_).frame(0), SequenceView<float>(y_).frame(0));
    } else {
      rewind(state_);
      plan_.scan(state_, x_, y_, workspace_);
    }
  }

 private:
  L layer_;
  decltype(prepare(std::declval<const L&>())) plan_;
  typename decltype(plan_)::State state_;
  Sequences x_, y_;
  Workspace workspace_;
};

}  // namespace peers
