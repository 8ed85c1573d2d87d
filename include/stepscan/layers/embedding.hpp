#pragma once

#include <stepscan/core/fields.hpp>
#include <stepscan/core/random.hpp>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/kernels/dot.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Ids of tokens (characters, bytes, words): a sequence [batch, time, 1] of whole numbers, never of rounded ones. As
/// any sequence it may be ragged or packed and takes the bytes of a NumPy or PyTorch array, of 64-bit integers.
using TokenIds = SequenceView<const Index, 1>;
/// One id for every batch member.
using TokenColumn = MatrixView<const Index, Dynamic, 1>;

/// The vectors of token ids (torch.nn.Embedding): y_t = row id_t of the weight [Vocabulary, Features]. Its input is no
/// sequence of scalars, so it is no SequenceLayer: models own one and take ids.
template <Scalar S, Index Vocabulary, Index Features>
class Embedding {
 public:
  using scalar_type = S;
  static constexpr const char* name = "Embedding";
  static constexpr Index static_outputs = Features;

  Tensor<S, Vocabulary, Features> weight;

  static constexpr auto fields() { return std::tuple{Field{"weight", &Embedding::weight}}; }

  /// All parameters zero until initialised or loaded; sizes are needed where they are Dynamic.
  Embedding() = default;
  Embedding(Index vocabulary_size, Index features) : weight(vocabulary_size, features) {}

  /// Normal of this standard deviation; PyTorch takes 1, GPT-2 and most language models 0.02.
  void initialize(Random& random, double deviation = 1) {
    for (S& value : weight) value = static_cast<S>(deviation * random.normal());
  }

  [[nodiscard]] Index vocabulary() const noexcept { return weight.extent(0); }
  [[nodiscard]] Index output_size() const noexcept { return weight.extent(1); }

  /// Throws ArgumentError, which names the place, when a real id lies outside [0, vocabulary).
  void check(const TokenIds& ids) const {
    for (Index b = 0; b < ids.batch; ++b) {
      for (Index t = 0; t < ids.length(b); ++t) {
        const Index id = *ids.token(b, t);
        if (!holds(id)) refuse(id, b, ids.start + t);
      }
    }
  }
  void check(const TokenColumn& ids) const {
    for (Index r = 0; r < ids.rows; ++r) {
      if (!holds(ids(r, 0))) refuse(ids(r, 0), r, 0);
    }
  }

  /// The vectors of checked ids, 0 in the padding.
  void embed(const TokenIds& ids, const SequenceView<S, Features>& y) const noexcept {
    for (Index b = 0; b < ids.batch; ++b) {
      for (Index t = 0; t < ids.length(b); ++t) copy(*ids.token(b, t), y.token(b, t));
    }
    clear_padding(ids, y);
  }
  void embed(const TokenColumn& ids, const MatrixView<S, Dynamic, Features>& y) const noexcept {
    for (Index r = 0; r < ids.rows; ++r) copy(ids(r, 0), y.row(r));
  }

 private:
  [[nodiscard]] bool holds(Index id) const noexcept { return id >= 0 && id < vocabulary(); }

  [[noreturn, gnu::cold, gnu::noinline]] void refuse(Index id, Index b, Index t) const {
    fail<ArgumentError>(std::string(name) + ": expected ids in [0, " + std::to_string(vocabulary()) + "), found " +
                        std::to_string(id) + " at token " + std::to_string(t) + " of member " + std::to_string(b));
  }

  void copy(Index id, S* to) const noexcept {
    STEPSCAN_ASSERT(holds(id));
    std::copy_n(weight.data() + id * output_size(), output_size(), to);
  }
};

/// Adds the cotangents dy of the vectors to the rows of their ids, in the order of the tokens.
template <Scalar S, Index Vocabulary, Index Features>
void embedding_backward(const TokenIds& ids, const SequenceView<const S, Features>& dy,
                        Embedding<S, Vocabulary, Features>& gradient) noexcept {
  const Index features = gradient.output_size();
  for (Index b = 0; b < ids.batch; ++b) {
    for (Index t = 0; t < ids.length(b); ++t) {
      add_scaled<S>(1, dy.token(b, t), gradient.weight.data() + *ids.token(b, t) * features, features);
    }
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
