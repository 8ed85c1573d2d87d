#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <stepscan/core/view.hpp>
#include <stepscan/core/workspace.hpp>
#include <string>
#include <utility>
#include <vector>

/// A layer behind virtual functions, so that the checks of the contract are compiled once and not once per layer.
namespace stepscan::testing {


/// A form as the checks see it. The first form of every model is the reference, Recurrent.
struct Form {
  std::string name;
  bool iterative = false;  ///< stops at a tolerance of its own
  bool spectral = false;   ///< a Fourier transform spreads rounding errors over the whole sequence
};

/// One tensor of a state or of the parameters; `rows` members of a batch for a state.
template <class S>
struct NamedValues {
  std::string name;
  std::span<S> numbers;        ///< empty for a tensor of whole numbers
  std::span<std::byte> bytes;  ///< of any tensor
  Index rows = 1;
};

/// A layer's State.
template <class S>
class HeldState {
 public:
  virtual ~HeldState() = default;
  [[nodiscard]] virtual std::unique_ptr<HeldState> clone() const = 0;
  virtual void assign(const HeldState& other) = 0;
  [[nodiscard]] virtual std::vector<NamedValues<S>> tensors() = 0;
  /// Its snapshot restored into `to`, through bytes.
  virtual void restore_into(HeldState& to) const = 0;
};

/// A value of any layer's State.
template <class S>
class AnyState {
 public:
  explicit AnyState(std::unique_ptr<HeldState<S>> held) : held_(std::move(held)) {}
  AnyState(const AnyState& other) : held_(other.held_->clone()) {}
  AnyState(AnyState&&) noexcept = default;
  AnyState& operator=(const AnyState& other) {
    if (this != &other) held_->assign(*other.held_);
    return *this;
  }
  AnyState& operator=(AnyState&&) noexcept = default;
  ~AnyState() = default;

  [[nodiscard]] HeldState<S>& held() const noexcept { return *held_; }
  [[nodiscard]] std::vector<NamedValues<S>> tensors() const { return held_->tensors(); }

 private:
  std::unique_ptr<HeldState<S>> held_;
};

/// A layer or a plan.
template <class S>
class Model {
 public:
  virtual ~Model() = default;

  std::string name;
  Index inputs = 0;
  Index outputs = 0;
  bool causal = true;
  std::vector<Form> forms;

  [[nodiscard]] virtual AnyState<S> initial_state(Index batch) const = 0;
  [[nodiscard]] virtual Index output_time(Index time) const = 0;
  virtual void step(AnyState<S>& state, MatrixView<const S> x, MatrixView<S> y) const = 0;
  virtual void scan(std::size_t form, AnyState<S>& state, SequenceView<const S> x, SequenceView<S> y,
                    Workspace& workspace) const = 0;
};

/// A layer with its parameters, one tape and one gradient.
template <class S>
class TrainableModel : public Model<S> {
 public:
  virtual void initialize(std::uint64_t seed) = 0;
  [[nodiscard]] virtual std::vector<NamedValues<S>> parameters() = 0;
  [[nodiscard]] virtual std::vector<NamedValues<S>> gradient() = 0;
  [[nodiscard]] virtual std::unique_ptr<Model<S>> plan() const = 0;

  virtual void forward(std::size_t form, AnyState<S>& state, SequenceView<const S> x, SequenceView<S> y) = 0;
  /// Adds to gradient().
  virtual void backward(SequenceView<const S> dy, const AnyState<S>& dstate_end, SequenceView<S> dx,
                        AnyState<S>& dstate_start) = 0;
};

}  // namespace stepscan::testing
