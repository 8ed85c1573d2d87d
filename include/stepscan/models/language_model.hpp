#pragma once

#include <stepscan/layers/combinator.hpp>
#include <stepscan/layers/embedding.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/rms_norm.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The head of a LanguageModel: its embedding's weights once more (arXiv 1608.05859), or weights of its own.
struct Tied {};
struct Untied {};
/// The head of a plan: either of them, packed.
template <class Stored>
struct PackedHead {};

template <Scalar S, class BlocksState>
struct LanguageModelState {
  BlocksState blocks;
  Scratch<S> between;  ///< two times [batch, D]
  static constexpr auto fields() { return std::tuple{Field{"blocks", &LanguageModelState::blocks}}; }
};

namespace detail {

template <class Head, Scalar S, Index D, Index Vocabulary>
struct HeadLayer {
  static_assert(sizeof(Head) == 0, "stepscan: the head of a LanguageModel is Tied or Untied");
};
template <Scalar S, Index D, Index Vocabulary>
struct HeadLayer<Tied, S, D, Vocabulary> {
  using type = NoParameter;
};
template <Scalar S, Index D, Index Vocabulary>
struct HeadLayer<Untied, S, D, Vocabulary> {
  using type = Linear<S, D, Vocabulary, false>;
};
template <class Stored, Scalar S, Index D, Index Vocabulary>
struct HeadLayer<PackedHead<Stored>, S, D, Vocabulary> {
  using type = LinearPlan<S, D, Vocabulary, Stored>;
};

/// The sizes stand in the type's name, where the compiler shows them.
template <class Blocks, Index D, Index Inputs, Index Outputs>
struct LanguageModelSizes {
  static_assert(compatible(D, Inputs) && compatible(D, Outputs),
                "stepscan: the blocks of a LanguageModel take or give another number of features than its embedding");
  static constexpr bool fit = true;
};

}  // namespace detail

/// A model of the next token:
///   h = norm(blocks(embedding(ids))),   logits = W h,   W [Vocabulary, D] the embedding's or the head's own weight.
/// ids [batch, time, 1], each in [0, Vocabulary), else ArgumentError; logits [batch, time, Vocabulary]. Parameters are
/// named embedding.weight, blocks..., norm.weight and, Untied, head.weight; a Tied weight is one parameter and its
/// gradient the sum of both uses.
///   LanguageModel<float, 256, 64, Repeat<4, Residual<RmsNorm<float, 64>, Mamba<float, 64, 128>>>> model;
/// Whole sequences run through blocks of tokens as in Sequential, so that no more than a block's logits need to exist.
/// Training: models/language_model_backward.hpp. Sampling: models/generate.hpp.
template <Scalar S, Index Vocabulary, Index D, SequenceLayer Blocks, class Head = Tied,
          SequenceLayer FinalNorm = RmsNorm<S, D>>
class LanguageModel {
  using HeadType = typename detail::HeadLayer<Head, S, D, Vocabulary>::type;
  static constexpr bool is_tied = std::same_as<Head, Tied>;
  static_assert(detail::LanguageModelSizes<Blocks, D, Blocks::static_inputs, Blocks::static_outputs>::fit);
  static_assert(std::same_as<S, typename Blocks::scalar_type> && std::same_as<S, typename FinalNorm::scalar_type>,
                "stepscan: the layers of a LanguageModel have one scalar type");
  static_assert(Blocks::causal && Blocks::keeps_time,
                "stepscan: the blocks of a LanguageModel are causal and give one output for every token");
  static_assert(std::same_as<typename FinalNorm::State, NoState>,
                "stepscan: the final normalisation of a LanguageModel has no state");

 public:
  using scalar_type = S;
  using State = LanguageModelState<S, typename Blocks::State>;
  static constexpr const char* name = "LanguageModel";

  stepscan::Embedding<S, Vocabulary, D> embedding;
  Blocks blocks;
  FinalNorm norm;
  [[no_unique_address]] HeadType head;

  static constexpr auto fields() requires(Trees<Blocks, FinalNorm, HeadType>) {
    return std::tuple{Field{"embedding", &LanguageModel::embedding}, Field{"blocks", &LanguageModel::blocks},
                      Field{"norm", &LanguageModel::norm}, Field{"head", &LanguageModel::head}};
  }

  LanguageModel() = default;
  /// For sizes that are Dynamic. Throws ShapeError when they do not fit.
  LanguageModel(Index vocabulary_size, Blocks inner, FinalNorm final_norm)
      : LanguageModel({vocabulary_size, inner.input_size()}, inner, final_norm,
                      HeadType(inner.input_size(), vocabulary_size)) {}
  LanguageModel(stepscan::Embedding<S, Vocabulary, D> vectors, Blocks inner, FinalNorm final_norm, HeadType projection)
      : embedding(std::move(vectors)),
        blocks(std::move(inner)),
        norm(std::move(final_norm)),
        head(std::move(projection)) {
    const auto require = [&](const std::string& what, Index found) {
      if (found != embedding.output_size()) {
        fail<ShapeError>("LanguageModel: expected " + what + " of " + std::to_string(embedding.output_size()) +
                         " features, as the embedding has, found " + std::to_string(found));
      }
    };
    require("inputs of " + blocks.description(), blocks.input_size());
    require("outputs of " + blocks.description(), blocks.output_size());
    require("a final normalisation", norm.input_size());
  }

  /// Embeddings normal of standard deviation 0.02, as GPT-2 has them; the layers as they do by themselves.
  void initialize(Random& random) {
    embedding.initialize(random, 0.02);
    blocks.initialize(random);
    norm.initialize(random);
    head.initialize(random);
  }

  [[nodiscard]] Index vocabulary() const noexcept { return embedding.vocabulary(); }
  [[nodiscard]] Index features() const noexcept { return embedding.output_size(); }
  [[nodiscard]] State initial_state(Index batch) const {
    return {blocks.initial_state(batch), Scratch<S>(2 * batch * features())};
  }

  /// The logits behind every token, from the state and into it. Throws before anything is written.
  template <class Form = OwnForm>
  void scan(State& state, TokenIds ids, SequenceView<S, Vocabulary> logits, Workspace& workspace,
            const Form& form = {}) const {
    check(state, ids);
    check_logits(logits.batch, logits.time, logits.features, ids.batch, ids.time);
    hidden_by(form, state, ids, workspace, [&](Index start, const SequenceView<const S, D>& hidden) {
      project<Form>(hidden, logits.slice(start, hidden.time), workspace);
    });
  }

  /// The logits [batch, Vocabulary] behind each member's last token alone, 0 for a member without tokens: a prompt is
  /// read and generation goes on with step. Throws before anything is written.
  template <class Form = OwnForm>
  void prefill(State& state, TokenIds ids, MatrixView<S, Dynamic, Vocabulary> logits, Workspace& workspace,
               const Form& form = {}) const {
    check(state, ids);
    check_logits(logits.rows, 1, logits.cols, ids.batch, 1);
    const Workspace::Scope scope(workspace);
    const MatrixView<S, Dynamic, D> last = workspace.template matrix<S, D>(ids.batch, features());
    std::fill_n(last.data, ids.batch * features(), S{0});
    hidden_by(form, state, ids, workspace, [&](Index start, const SequenceView<const S, D>& hidden) {
      for (Index b = 0; b < ids.batch; ++b) {
        const Index t = ids.length(b) - 1 - start;
        if (t >= 0 && t < hidden.time) std::copy_n(hidden.token(b, t), features(), last.row(b));
      }
    });
    project_rows(last, logits);
  }

  /// The logits behind one more token of every member. Never allocates; throws ArgumentError, and leaves the state as
  /// it was, when an id lies outside the vocabulary. Other sizes are checked in debug builds.
  void step(State& state, TokenColumn ids, MatrixView<S, Dynamic, Vocabulary> logits) const {
    STEPSCAN_ASSERT(ids.rows == logits.rows && logits.cols == vocabulary());
    embedding.check(ids);
    const MatrixView<S, Dynamic, D> a(state.between.data(), Index{ids.rows}, features());
    const MatrixView<S, Dynamic, D> b(a.data + ids.rows * features(), Index{ids.rows}, features());
    NoState none;
    embedding.embed(ids, a);
    blocks.step(state.blocks, a, b);
    norm.step(none, b, a);
    project_rows(a, logits);
  }

  /// A scan that keeps in the tape what `backward` needs. ids must stay where they are until then.
  template <class Form = OwnForm, class TapeType>
  void forward(State& state, TokenIds ids, SequenceView<S, Vocabulary> logits, TapeType& tape,
               const Form& form = {}) const {
    Training<LanguageModel>::forward(*this, form, state, ids, tape);
    Training<LanguageModel>::logits(*this, tape, logits);
  }
  /// The same without logits, for backward_by.
  template <class Form = OwnForm, class TapeType>
  void forward_hidden(State& state, TokenIds ids, TapeType& tape, const Form& form = {}) const {
    Training<LanguageModel>::forward(*this, form, state, ids, tape);
  }

  /// From the cotangents of the logits and of the final state: adds the gradient of the parameters to `gradient`,
  /// writes the cotangent of the initial state. Padding of dlogits is not read.
  template <class TapeType>
  void backward(TapeType& tape, SequenceView<const S, Vocabulary> dlogits, const State& dstate_end,
                LanguageModel& gradient, State& dstate_start) const {
    Training<LanguageModel>::backward(*this, tape, dlogits, dstate_end, gradient, dstate_start);
  }
  /// The same with the logits of some tokens at a time, so that those of all never exist together: cotangents(start,
  /// logits) is given the logits of the tokens from number `start` on and writes their cotangents in their place. Those
  /// of padding are not read.
  template <class TapeType, class Cotangents>
  void backward_by(TapeType& tape, Cotangents&& cotangents, const State& dstate_end, LanguageModel& gradient,
                   State& dstate_start) const {
    Training<LanguageModel>::backward_by(*this, tape, cotangents, dstate_end, gradient, dstate_start);
  }

  /// A LanguageModel of the layers' plans, its head packed.
  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    using BlocksPlan = decltype(blocks.template plan<Stored, Math>());
    using NormPlan = decltype(norm.template plan<Stored, Math>());
    return LanguageModel<S, Vocabulary, D, BlocksPlan, PackedHead<Stored>, NormPlan>(
        embedding, blocks.template plan<Stored, Math>(), norm.template plan<Stored, Math>(),
        LinearPlan<S, D, Vocabulary, Stored>(head_weight(), nullptr));
  }

  /// W [Vocabulary, D], and where its gradient goes.
  [[nodiscard]] MatrixView<const S, Vocabulary, D> head_weight() const noexcept {
    if constexpr (is_tied) {
      return embedding.weight;
    } else {
      return head.weight;
    }
  }
  [[nodiscard]] MatrixView<S, Vocabulary, D> head_weight() noexcept {
    if constexpr (is_tied) {
      return embedding.weight;
    } else {
      return head.weight;
    }
  }

  /// Throws ShapeError or ArgumentError when ids do not fit the state or the vocabulary.
  void check(const State& state, const TokenIds& ids) const {
    for_each_tensor(
        [&](const Path& path, const auto& tensor) {
          if (tensor.extent(0) != ids.batch) {
            fail<ShapeError>("LanguageModel: expected a state for a batch of " + std::to_string(ids.batch) +
                             ", found " + path.str() + " " + shape_text(tensor.shape()));
          }
        },
        state);
    embedding.check(ids);
  }
  void check_logits(Index batch, Index time, Index columns, Index expected_batch, Index expected_time) const {
    if (batch != expected_batch || time != expected_time || columns != vocabulary()) {
      fail<ShapeError>("LanguageModel: expected logits of shape " +
                       shape_text({expected_batch, expected_time, vocabulary()}) + ", found " +
                       shape_text({batch, time, columns}));
    }
  }

  /// W h of whole tokens, and of one row for each member.
  template <class Form>
  void project(SequenceView<const S, D> hidden, SequenceView<S, Vocabulary> logits, Workspace& workspace) const {
    if constexpr (is_tied) {
      detail::linear_scan<Form, S, D, Vocabulary>(embedding.weight, nullptr, hidden, logits, workspace);
    } else {
      NoState none;
      head.template scan<Form>(none, hidden, logits, workspace);
    }
  }
  void project_rows(MatrixView<const S, Dynamic, D> hidden, MatrixView<S, Dynamic, Vocabulary> logits) const noexcept {
    if constexpr (is_tied) {
      plain_linear<S>(embedding.weight, nullptr, hidden, logits);
    } else {
      NoState none;
      head.step(none, hidden, logits);
    }
  }

 private:
  /// Calls f(start, h of the tokens from number `start` on) for one block of tokens after another.
  template <class Form, class Function>
  void hidden_by(const Form& form, State& state, const TokenIds& ids, Workspace& workspace, Function&& f) const {
    static_assert(has_form<Blocks, Form>, "stepscan: the blocks of this LanguageModel do not have the form asked for");
    detail::clear_report(form);
    if (ids.batch == 0 || ids.time == 0) return;
    const Workspace::Scope scope(workspace);
    const Index tokens = std::min(detail::block_of_layer<Blocks, Form>(), ids.time);
    S* const first = workspace.template take<S>(ids.batch * tokens * features());
    S* const second = workspace.template take<S>(ids.batch * tokens * features());
    NoState none;
    for (Index start = 0; start < ids.time; start += tokens) {
      const TokenIds part = ids.slice(start, std::min(tokens, ids.time - start));
      const detail::BetweenLayers shape(part);
      const auto a = shape.template view<D, S>(first, features()), b = shape.template view<D, S>(second, features());
      embedding.embed(part, a);
      detail::scan_part(blocks, form, state.blocks, SequenceView<const S, D>(a), b, workspace);
      norm.scan(none, b, a, workspace);
      f(start, SequenceView<const S, D>(a));
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
