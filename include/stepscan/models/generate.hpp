#pragma once

#include <stepscan/models/language_model.hpp>
#include <stepscan/models/sampling.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// What a generation is to be.
struct Generation {
  Index count = 0;         ///< tokens for each member, at most
  Sampling sampling = {};  ///< how they are drawn
  std::uint64_t seed = 0;  ///< member b draws from stream b, whatever the others do
  Index end = -1;          ///< a member that draws this token draws no more; -1: none does
};

/// Reads a prompt (ragged, at least one token for each member), then draws one token after another and feeds each back.
/// on_tokens(column) is given every member's new token, `end` for a member that has ended, and says whether to go on.
/// The state has then read the prompt and all drawn tokens but the last. `model` is a LanguageModel, or quicker its
/// plan. Throws before anything is drawn. No token allocates beyond the first.
template <class Model, class OnTokens>
void generate_by(const Model& model, typename Model::State& state, TokenIds prompt, const Generation& wanted,
                 Workspace& workspace, OnTokens&& on_tokens) {
  using S = typename Model::scalar_type;
  for (Index b = 0; b < prompt.batch; ++b) {
    if (prompt.length(b) == 0) fail<ArgumentError>("generate: expected a prompt of at least one token for each member");
  }
  std::vector<Sampler> samplers;
  for (Index b = 0; b < prompt.batch; ++b) {
    samplers.emplace_back(wanted.sampling, wanted.seed, static_cast<std::uint64_t>(b));
  }
  const Workspace::Scope scope(workspace);
  const auto logits = workspace.template matrix<S>(prompt.batch, Extent<Dynamic>(model.vocabulary()));
  const MatrixView<Index, Dynamic, 1> ids(workspace.template take<Index>(prompt.batch), prompt.batch, 1);
  bool* const live = workspace.template take<bool>(prompt.batch);
  std::fill_n(live, prompt.batch, true);
  model.prefill(state, prompt, logits, workspace);
  for (Index i = 0; i < wanted.count && std::find(live, live + prompt.batch, true) != live + prompt.batch; ++i) {
    if (i > 0) model.step(state, ids, logits);
    for (Index b = 0; b < prompt.batch; ++b) {
      if (live[b]) ids(b, 0) = samplers[static_cast<std::size_t>(b)](logits.row(b), Index{logits.cols});
      live[b] = live[b] && ids(b, 0) != wanted.end;
    }
    if (!on_tokens(TokenColumn(ids))) return;
  }
}

/// The tokens drawn, [batch, count, 1], `end` behind a member's end.
template <class Model>
[[nodiscard]] Tensor<Index, Dynamic, Dynamic, Dynamic> generate(const Model& model, typename Model::State& state,
                                                                TokenIds prompt, const Generation& wanted,
                                                                Workspace& workspace) {
  Tensor<Index, Dynamic, Dynamic, Dynamic> drawn(prompt.batch, wanted.count, 1);
  drawn.fill(wanted.end);
  Index i = 0;
  generate_by(model, state, prompt, wanted, workspace, [&](const TokenColumn& ids) {
    for (Index b = 0; b < ids.rows; ++b) drawn(b, i, 0) = ids(b, 0);
    ++i;
    return true;
  });
  return drawn;
}

}  // namespace stepscan::inline STEPSCAN_ISA
