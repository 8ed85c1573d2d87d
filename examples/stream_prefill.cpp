/// A small hybrid of Mamba, linear attention with retention, a delta rule and gated feed-forward networks reads a long
/// prompt in chunks and goes on token by token. Prints the rate of both, and holds what follows against a copy of the
/// model that has stepped through the whole prompt.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <stepscan/layers/delta_rule.hpp>
#include <stepscan/layers/mamba.hpp>
#include <stepscan/layers/projected.hpp>
#include <stepscan/layers/retention.hpp>
#include <stepscan/layers/rms_norm.hpp>
#include <stepscan/layers/state.hpp>
#include <stepscan/layers/swiglu.hpp>
#include <stepscan/models/residual.hpp>
#include <stepscan/models/sequential.hpp>

#include "support/arguments.hpp"
#include "support/seconds.hpp"

namespace {

using namespace stepscan;

constexpr const char* usage =
    "usage: stepscan_stream_prefill [--prompt N] [--tokens N] [--seed N]\n"
    "  --prompt N   tokens read at once (default 4096)\n"
    "  --tokens N   tokens generated after it (default 256)\n"
    "  --seed N     seed of weights and prompt (default 1)\n";

constexpr Index vocabulary = 256, width = 128, heads = 4, head_dim = 32;

template <class Scan>
using Attention = Projected<Scan, Linear<float, width, Scan::static_inputs, false>,
                            Linear<float, Scan::static_outputs, width, false>>;
template <class Mixer>
using Block = Residual<RmsNorm<float, width>, Mixer>;
using FeedForward = Block<SwiGlu<float, width, 2 * width>>;

using Model = Sequential<Block<Mamba<float, width, 2 * width, 16, 4, 8>>, FeedForward,                    //
                         Block<Attention<RetentionScan<float, heads, head_dim, head_dim>>>, FeedForward,  //
                         Block<Attention<DeltaRuleScan<float, heads, head_dim, head_dim>>>, FeedForward,  //
                         RmsNorm<float, width>, Linear<float, width, vocabulary, false>>;

using Rows = Tensor<float, Dynamic, Dynamic>;

Index most_likely(const Rows& logits) { return std::max_element(logits.begin(), logits.end()) - logits.begin(); }

struct Continuation {
  std::vector<Index> tokens;
  std::vector<float> logits;  ///< of every token generated
  double seconds = 0;
};

/// Generates greedily from where the state stands, `logits` being those of the prompt's last token.
template <class Plan, class State>
Continuation generate(const Plan& plan, State& state, const Rows& embedding, Rows logits, Index count) {
  Continuation result;
  const auto start = std::chrono::steady_clock::now();
  for (Index i = 0; i < count; ++i) {
    const Index token = most_likely(logits);
    result.tokens.push_back(token);
    plan.step(state, MatrixView<const float>(embedding).middle_rows(token, 1), MatrixView<float>(logits));
    result.logits.insert(result.logits.end(), logits.begin(), logits.end());
  }
  result.seconds = examples::seconds_since(start);
  return result;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return largest;
}

void run(examples::Arguments arguments) {
  const Index length = arguments.number("--prompt", 4096, 1, 1 << 20);
  const Index count = arguments.number("--tokens", 256, 1, 1 << 20);
  const int seed = arguments.number("--seed", 1, 0, 1 << 30);
  static_cast<void>(arguments.words(0));

  Model model;
  initialize(model, static_cast<std::uint64_t>(seed));
  const auto plan = prepare(model);
  Random random(static_cast<std::uint64_t>(seed), 2);
  Rows embedding(vocabulary, width);
  for (float& value : embedding) value = static_cast<float>(random.normal());
  Tensor<float, Dynamic, Dynamic, Dynamic> prompt(1, length, width), outputs(1, length, vocabulary);
  for (Index t = 0; t < length; ++t) {
    const Index token = std::min(static_cast<Index>(random.uniform(0, vocabulary)), vocabulary - 1);
    std::copy_n(&embedding(token, 0), width, &prompt(0, t, 0));
  }
  std::printf("%td parameters, a prompt of %td tokens\n", element_count(model), length);

  auto scanned = plan.initial_state(1);
  Workspace workspace;
  const auto start = std::chrono::steady_clock::now();
  plan.scan(scanned, prompt, outputs, workspace);
  const double prefill = examples::seconds_since(start);
  Rows logits(1, vocabulary);
  std::copy_n(&outputs(0, length - 1, 0), vocabulary, logits.data());

  auto stepped = plan.initial_state(1);
  Rows last(1, vocabulary);
  const auto begin = std::chrono::steady_clock::now();
  const SequenceView<const float> tokens(prompt);
  for (Index t = 0; t < length; ++t) plan.step(stepped, tokens.frame(t), MatrixView<float>(last));
  const double stepping = examples::seconds_since(begin);

  auto restored = plan.initial_state(1);
  restore(snapshot(scanned), restored);
  const Continuation behind_scan = generate(plan, scanned, embedding, logits, count);
  const Continuation behind_steps = generate(plan, stepped, embedding, last, count);
  const Continuation behind_restore = generate(plan, restored, embedding, logits, count);

  std::printf("read at once        %10.0f tokens/s\n", static_cast<double>(length) / prefill);
  std::printf("read token by token %10.0f tokens/s\n", static_cast<double>(length) / stepping);
  std::printf("generated           %10.0f tokens/s\n", static_cast<double>(count) / behind_scan.seconds);
  std::printf("%td tokens behind the scan and behind the steps: %s, logits at most %.1e apart\n", count,
              behind_scan.tokens == behind_steps.tokens ? "the same" : "not the same",
              largest_difference(behind_scan.logits, behind_steps.logits));
  const bool same_bits = std::memcmp(behind_scan.logits.data(), behind_restore.logits.data(),
                                     behind_scan.logits.size() * sizeof(float)) == 0;
  std::printf("from the saved and restored state: %s bits\n", same_bits ? "the same" : "other");
}

}  // namespace

int main(int count, char** values) {
  return examples::run_program("stepscan_stream_prefill", usage, count, values, run);
}
