#include <stepscan/layers/softmax_attention.hpp>

#include "case.hpp"

namespace {

using namespace peers;

using Attention = SoftmaxAttentionScan<float, Dynamic, Dynamic, Dynamic, Dynamic>;

AttentionSizes sizes_of(Index heads, Index dim) { return {heads, heads, dim, dim}; }

/// One token against a full cache: keys and values, of which the token's own are the last.
class DecodeCase : public Case {
 public:
  explicit DecodeCase(const Sizes& n)
      : layer_(sizes_of(n.at(2), n.at(3)), n.at(1)),
        state_(layer_.initial_state(1)),
        x_(1, layer_.input_size()),
        y_(1, layer_.output_size()) {
    add_tensor("x", x_);
    add_tensor("y", y_);
    add_tensor("keys", state_.keys);
    add_tensor("values", state_.values);
  }
  void start() override { state_.length.fill(layer_.capacity() - 1); }
  void run() override { layer_.step(state_, MatrixView<const float>(x_), MatrixView<float>(y_)); }

 private:
  Attention layer_;
  Attention::State state_;
  Tensor<float, Dynamic, Dynamic> x_, y_;
};

}  // namespace

/// Sizes: batch, time (of a step: the tokens kept), heads, features of a head.
void peers::add_attention_cases(Makers& makers) {
  makers["softmax_attention/scan"] = [](const Sizes& n) {
    return std::make_unique<ForwardCase<Attention>>(Attention(sizes_of(n.at(2), n.at(3)), n.at(1)), n.at(0), n.at(1));
  };
  makers["softmax_attention/step"] = [](const Sizes& n) { return std::make_unique<DecodeCase>(n); };
}
