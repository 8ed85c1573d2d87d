#pragma once

#include <array>
#include <stepscan/layers/combinator.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The states of the blocks, named 0, 1, ..., and room for what one token is between them.
template <std::size_t N, Scalar S, class BlockState>
struct RepeatState {
  std::array<BlockState, N> blocks;
  Scratch<S> between;
  static constexpr auto fields() { return std::tuple{Field{"", &RepeatState::blocks}}; }
};

namespace detail {

/// The sizes stand in the type's name, where the compiler shows them.
template <class Block, Index Inputs, Index Outputs>
struct RepeatSizes {
  static_assert(compatible(Inputs, Outputs),
                "stepscan: the block of a Repeat gives back another number of features than it takes");
  static constexpr bool fit = true;
};

}  // namespace detail

/// N blocks of one type one behind the other, each with parameters and a state of its own, named 0, 1, ...: what
/// Sequential<Block, ..., Block> is, at the compile time of one block.
///   Repeat<6, PreNorm<RmsNorm<float, 64>, Mamba<float, 64, 128>>> model;
/// A causal stack runs through blocks of tokens, as Sequential does.
template <std::size_t N, SequenceLayer Block>
class Repeat
    : public Layer<Repeat<N, Block>, typename Block::scalar_type, Block::static_inputs, Block::static_outputs> {
  using S = typename Block::scalar_type;
  static constexpr Index Inputs = Block::static_inputs;
  static constexpr Index Outputs = Block::static_outputs;
  static_assert(N > 0, "stepscan: a Repeat has at least one block");
  static_assert(detail::RepeatSizes<Block, Inputs, Outputs>::fit);
  static_assert(Block::keeps_time, "stepscan: the block of a Repeat changes the number of tokens");

 public:
  static constexpr const char* name = "Repeat";
  using State = RepeatState<N, S, typename Block::State>;
  using Forms = typename Block::Forms;
  using DefaultForm = OwnForm;
  static constexpr bool causal = Block::causal;
  static constexpr bool any_form = Block::any_form;
  static constexpr bool time_invariant = Block::time_invariant;
  static constexpr Index latency = static_cast<Index>(N) * Block::latency;
  static constexpr Index receptive_field = detail::repeated_fields(Block::receptive_field, static_cast<Index>(N));
  template <class Form>
  static constexpr Index block_tokens = detail::block_of_layer<Block, Form>();

  std::array<Block, N> blocks;

  static constexpr auto fields() requires(Tree<Block>) { return std::tuple{Field{"", &Repeat::blocks}}; }

  Repeat() = default;
  /// N copies of a block, for sizes that are Dynamic. Throws ShapeError when it gives back another number of features
  /// than it takes.
  explicit Repeat(const Block& block) : Repeat(copies(block, std::make_index_sequence<N>{})) {}
  explicit Repeat(std::array<Block, N> stack) : blocks(std::move(stack)) {
    if (blocks[0].input_size() != blocks[0].output_size()) {
      fail<ShapeError>("Repeat: expected as many outputs as inputs, found " + blocks[0].description());
    }
  }

  void initialize(Random& random) {
    for (Block& block : blocks) block.initialize(random);
  }

  [[nodiscard]] Index input_size() const noexcept { return blocks[0].input_size(); }
  [[nodiscard]] Index output_size() const noexcept { return blocks[0].output_size(); }
  [[nodiscard]] State initial_state(Index batch) const {
    const auto state = [&]<std::size_t... I>(std::index_sequence<I...>) {
      return State{{blocks[I].initial_state(batch)...}, Scratch<S>(N > 1 ? batch * output_size() : 0)};
    };
    return state(std::make_index_sequence<N>{});
  }

  /// A Repeat of the blocks' plans.
  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    using Plan = decltype(blocks[0].template plan<Stored, Math>());
    const auto stack = [&]<std::size_t... I>(std::index_sequence<I...>) {
      return std::array<Plan, N>{blocks[I].template plan<Stored, Math>()...};
    };
    return Repeat<N, Plan>(stack(std::make_index_sequence<N>{}));
  }

 private:
  friend Layer<Repeat, S, Inputs, Outputs>;

  template <std::size_t... I>
  static std::array<Block, N> copies(const Block& block, std::index_sequence<I...>) {
    return {(static_cast<void>(I), block)...};
  }

  /// Whether block i writes where the last one does; the blocks between take turns.
  static constexpr bool writes_last(std::size_t i) noexcept { return (N - 1 - i) % 2 == 0; }

  void run_step(State& state, MatrixView<const S, Dynamic, Inputs> x,
                MatrixView<S, Dynamic, Outputs> y) const noexcept {
    const MatrixView<S, Dynamic, Outputs> between(state.between.data(), Index{y.rows}, y.cols);
    MatrixView<const S, Dynamic, Inputs> in = x;
    for (std::size_t i = 0; i < N; ++i) {
      const auto out = writes_last(i) ? y : between;
      blocks[i].step(state.blocks[i], in, out);
      in = out;
    }
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    detail::clear_report(form);
    const Workspace::Scope scope(workspace);
    const Index tokens = std::min(block_tokens<Form>, x.time);
    S* const memory = workspace.template take<S>(N > 1 ? x.batch * tokens * y.features : 0);
    for (Index start = 0; start < x.time; start += tokens) {
      const Index count = std::min(tokens, x.time - start);
      SequenceView<const S, Inputs> in = x.slice(start, count);
      auto last = y.slice(start, count);
      last.lengths = in.lengths;
      last.start = in.start;
      const auto between = detail::BetweenLayers(in).template view<Outputs>(memory, output_size());
      for (std::size_t i = 0; i < N; ++i) {
        const auto out = writes_last(i) ? last : between;
        detail::scan_part(blocks[i], form, state.blocks[i], in, out, workspace);
        in = out;
      }
    }
  }
};

template <std::size_t N, class Block>
struct Training<Repeat<N, Block>> {
  using L = Repeat<N, Block>;
  using S = typename L::scalar_type;
  using Input = SequenceView<const S, L::static_inputs>;
  using Output = SequenceView<S, L::static_outputs>;

  struct Tape {
    std::array<typename Training<Block>::Tape, N> blocks;
    std::array<Tensor<S, Dynamic>, N> outputs;  ///< of every block but the last
    Tensor<S, Dynamic> cotangent;               ///< of what lies before every second block
    Index batch = 0;
    Index time = 0;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, typename L::State& state, const Input& x, const Output& y,
                      Tape& tape) {
    tape.batch = x.batch;
    tape.time = x.time;
    Input in = x;
    for (std::size_t i = 0; i < N; ++i) {
      Output out = y;
      if (i + 1 < N) {
        out = between(layer, tape, tape.outputs[i]);
        out.lengths = x.lengths;
        out.start = x.start;
      }
      layer.blocks[i].forward(state.blocks[i], in, out, tape.blocks[i], form);
      in = out;
    }
  }

  static void backward(const L& layer, Tape& tape, const SequenceView<const S, L::static_outputs>& dy,
                       const typename L::State& dstate_end, L& gradient, const SequenceView<S, L::static_inputs>& dx,
                       typename L::State& dstate_start) {
    SequenceView<const S, L::static_outputs> dout = dy;
    for (std::size_t i = N; i-- > 0;) {
      const SequenceView<S, L::static_inputs> din = i % 2 == 0 ? dx : between(layer, tape, tape.cotangent);
      layer.blocks[i].backward(tape.blocks[i], dout, dstate_end.blocks[i], gradient.blocks[i], din,
                               dstate_start.blocks[i]);
      dout = din;
    }
  }

 private:
  static SequenceView<S, L::static_outputs> between(const L& layer, const Tape& tape, Tensor<S, Dynamic>& memory) {
    const Index features = layer.output_size();
    return {room_in(memory, tape.batch * tape.time * features), tape.batch, tape.time, features};
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
