#pragma once

#include <stepscan/layers/linear_system_layer.hpp>
#include <stepscan/ops/diagonal_kernel.hpp>
#include <stepscan/ops/diagonal_recurrence.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// A layer of diagonal systems, whose modes follow from its parameters: Self provides modes(), has_input,
/// mode(feature, n) and skip(feature).
template <class Self, Scalar S, Index Features, Index Modes, class Default>
class DiagonalLayer : public LinearSystemLayer<Self, S, Features, Features, ModeState<S, Features, Modes>, Default> {
 public:
  using State = ModeState<S, Features, Modes>;
  static constexpr bool dense = false;

  [[nodiscard]] Index output_size() const noexcept { return features(); }
  [[nodiscard]] Index states() const noexcept { return 2 * modes(); }

  /// All zero.
  [[nodiscard]] State initial_state(Index batch) const { return {batch, modes(), features(), step_room()}; }

  [[nodiscard]] Index step_room() const noexcept { return DiagonalStep<S>::size(features(), modes(), Self::has_input); }
  [[nodiscard]] DiagonalStep<S> step_system(S* scratch) const noexcept { return fill<DiagonalStep<S>>(scratch); }
  [[nodiscard]] DiagonalStep<S> step_at(const S* memory) const noexcept {
    return DiagonalStep<S>::at(features(), modes(), Self::has_input, memory);
  }

  /// The modes in double.
  [[nodiscard]] DiagonalSystem system(Workspace& workspace) const {
    return fill<DiagonalSystem>(workspace.take<double>(DiagonalSystem::size(features(), modes(), Self::has_input)));
  }

  [[nodiscard]] ChunkSystem<const S> operators(Index chunk, Workspace& workspace) const {
    const DiagonalSystem modes = system(workspace);
    const Index size = system_shape(modes, chunk).operators_size() * features();
    return diagonal_chunk_system<S>(modes, chunk, workspace.take<S>(size), workspace);
  }

  /// Writes the impulse response without the skip, response [features, length].
  void kernel(MatrixView<S> response, Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    diagonal_kernel<S>(system(workspace), response, workspace);
  }

 protected:
  DiagonalLayer() = default;

 private:
  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }
  [[nodiscard]] Index features() const noexcept { return self().input_size(); }
  [[nodiscard]] Index modes() const noexcept { return self().modes(); }

  template <class Planes, class T>
  [[nodiscard]] Planes fill(T* memory) const noexcept {
    return Planes::fill(
        features(), modes(), Self::has_input, memory, [&](Index f, Index n) { return self().mode(f, n); },
        [&](Index f) { return self().skip(f); });
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
