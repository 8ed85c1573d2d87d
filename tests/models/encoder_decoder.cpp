#include <numeric>
#include <stepscan/layers/gated_backward.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/models/encoder_decoder_backward.hpp>
#include <stepscan/models/translate.hpp>
#include <support/allocation.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::difference_error;
using testing::distance;
using testing::random_sequence;

namespace {

constexpr Index source_vocabulary = 5, target_vocabulary = 4, end_token = 1;

using Recurrence = Lstm<double, Dynamic, Dynamic>;
using Model = EncoderDecoder<double, source_vocabulary, target_vocabulary, Recurrence>;
using Ids = Tensor<Index, Dynamic, Dynamic, Dynamic>;

Model random_model(bool reverse_source, std::uint64_t seed = 1) {
  Model model(source_vocabulary, target_vocabulary, Recurrence(3, 4),
              {.attention_features = 2, .begin = 0, .end = end_token, .reverse_source = reverse_source});
  testing::randomize(model, seed, -1, 1);
  return model;
}

Ids random_ids(Index batch, Index time, Index vocabulary, std::uint64_t seed = 3) {
  Ids ids(batch, time, 1);
  Random random(seed);
  for (Index& id : ids) id = random.below(static_cast<std::uint32_t>(vocabulary));
  return ids;
}

Tensor<double, Dynamic, Dynamic, Dynamic> taught(const Model& model, const TokenIds& source, const TokenIds& targets) {
  Workspace workspace;
  Model::Lesson lesson;
  model.teach(source, targets, lesson, workspace);
  return lesson.logits;
}

/// The sum of log-probabilities of one sequence of tokens, by teacher forcing.
double score_of(const Model& model, const TokenIds& source, const std::vector<Index>& tokens) {
  auto logits = taught(model, source, TokenIds(tokens.data(), 1, static_cast<Index>(tokens.size()), 1));
  double score = 0;
  for (Index i = 0; i < logits.extent(1); ++i) {
    log_softmax_row(&logits(0, i, 0), target_vocabulary);
    score += logits(0, i, tokens[static_cast<std::size_t>(i)]);
  }
  return score;
}

/// All targets of so many steps at most, -1 behind their end.
std::vector<std::vector<Index>> all_targets(Index steps) {
  std::vector<std::vector<Index>> all{{}};
  for (Index i = 0; i < steps; ++i) {
    std::vector<std::vector<Index>> longer;
    for (const auto& tokens : all) {
      for (Index id = 0; id < target_vocabulary; ++id) {
        auto more = tokens;
        const bool ended = !tokens.empty() && (tokens.back() == end_token || tokens.back() < 0);
        more.push_back(ended ? -1 : id);
        longer.push_back(more);
        if (ended) break;
      }
    }
    all = longer;
  }
  return all;
}

}  // namespace

TEST_CASE("encoder_decoder: a beam wide enough for everything is exhaustive search", "[models]") {
  const Model model = random_model(true);
  const Ids source = random_ids(1, 4, source_vocabulary);
  constexpr Index steps = 3;
  for (const double power : {0.0, 0.8}) {
    std::vector<std::pair<double, std::vector<Index>>> expected;
    std::vector<double> scores;
    for (auto tokens : all_targets(steps)) {
      const auto padded = tokens;
      tokens.erase(std::find(tokens.begin(), tokens.end(), -1), tokens.end());
      const double score = score_of(model, source, tokens);
      expected.emplace_back(-score / std::pow(static_cast<double>(tokens.size()), power), padded);
    }
    std::sort(expected.begin(), expected.end());
    Workspace workspace;
    const auto beams = static_cast<Index>(expected.size()) + 2;
    const auto found = translate(model, source, {.steps = steps, .beams = beams, .length_power = power}, workspace);
    for (Index k = 0; k + 2 < beams; ++k) {
      CAPTURE(k);
      const auto& [rank, tokens] = expected[static_cast<std::size_t>(k)];
      CHECK(std::equal(tokens.begin(), tokens.end(), &found.ids(0, k, 0)));
      const auto length = std::find(tokens.begin(), tokens.end(), -1) - tokens.begin();
      CHECK(std::abs(found.scores(0, k) / std::pow(static_cast<double>(length), power) + rank) < 1e-12);
    }
    CHECK(found.scores(0, beams - 1) == 0);
  }
}

TEST_CASE("encoder_decoder: greedy search takes the likeliest token at each step, each member by itself", "[models]") {
  const Model model = random_model(false, 5);
  const std::vector<Index> lengths{4, 0, 2};
  Ids ids = random_ids(3, 4, source_vocabulary);
  ids(2, 3, 0) = -9;
  const TokenIds source = TokenIds(ids).ragged(lengths);
  Workspace workspace;
  const auto found = translate(model, source, {.steps = 6}, workspace);
  const auto beams = translate(model, source, {.steps = 6, .beams = 3}, workspace);
  for (Index b = 0; b < 3; ++b) {
    const TokenIds own = source.members(b, 1);
    std::vector<Index> tokens(&found.ids(b, 0, 0), &found.ids(b, 0, 0) + 6);
    tokens.erase(std::find(tokens.begin(), tokens.end(), -1), tokens.end());
    REQUIRE((tokens.size() == 6 || tokens.back() == end_token));
    const auto logits = taught(model, own, TokenIds(tokens.data(), 1, static_cast<Index>(tokens.size()), 1));
    for (Index i = 0; i < logits.extent(1); ++i) {
      const double* const row = &logits(0, i, 0);
      CHECK(std::max_element(row, row + target_vocabulary) - row == tokens[static_cast<std::size_t>(i)]);
    }
    CHECK(std::abs(found.scores(b, 0) - score_of(model, own, tokens)) < 1e-12);
    const auto alone = translate(model, own, {.steps = 6, .beams = 3}, workspace);
    CHECK(std::equal(alone.ids.begin(), alone.ids.end(), &beams.ids(b, 0, 0)));
    CHECK(std::equal(alone.scores.begin(), alone.scores.end(), &beams.scores(b, 0)));
  }
  CHECK_THROWS_AS(translate(model, source, {.steps = 6, .beams = 0}, workspace), ArgumentError);
}

TEST_CASE("encoder_decoder: a step of a search allocates nothing", "[models]") {
  Model model = random_model(false);
  model.readout.get<2>().bias[end_token] = -1000;
  const Ids source = random_ids(2, 4, source_vocabulary);
  Workspace workspace;
  const auto allocations = [&](Index steps, Index beams) {
    const long before = testing::allocation_count();
    static_cast<void>(translate(model, source, {.steps = steps, .beams = beams}, workspace));
    return testing::allocation_count() - before;
  };
  for (const Index beams : {1, 3}) {
    static_cast<void>(allocations(30, beams));
    CHECK(allocations(30, beams) == allocations(2, beams));
  }
}

TEST_CASE("encoder_decoder: gradients equal finite differences", "[models]") {
  const std::vector<Index> lengths{4, 2, 0}, target_lengths{3, 1, 2};
  Ids source_ids = random_ids(3, 4, source_vocabulary), target_ids = random_ids(3, 3, target_vocabulary, 4);
  source_ids(1, 3, 0) = target_ids(1, 2, 0) = -5;
  for (const bool ragged : {true, false}) {
    const Index batch = ragged ? 3 : 1;
    Model model = random_model(ragged);
    const TokenIds source = ragged ? TokenIds(source_ids).ragged(lengths) : TokenIds(source_ids).members(0, 1);
    const TokenIds targets = ragged ? TokenIds(target_ids).ragged(target_lengths) : TokenIds(target_ids).members(0, 1);
    auto dlogits = random_sequence<double>(batch, 3, target_vocabulary, 6);
    if (ragged) testing::spoil_padding(dlogits, target_lengths);
    const auto loss = [&] {
      const auto logits = taught(model, source, targets);
      double sum = 0;
      for (Index i = 0; i < logits.size(); ++i) sum += std::isnan(dlogits[i]) ? 0 : dlogits[i] * logits[i];
      return sum;
    };
    Tape<Model> tape;
    Model::Lesson lesson;
    Model gradient = zeros_like(model);
    model.forward(source, targets, lesson, tape);
    CHECK(distance(lesson.logits, taught(model, source, targets)) < 1e-13);
    model.backward(tape, lesson, std::as_const(dlogits), gradient);
    CHECK(difference_error(model, gradient, loss) < 1e-8);
  }
}

TEST_CASE("encoder_decoder: a reversed source is the source read from its end", "[models]") {
  Ids source = random_ids(1, 4, source_vocabulary);
  const Ids targets = random_ids(1, 3, target_vocabulary);
  const auto reversed = taught(random_model(true), source, targets);
  std::reverse(source.begin(), source.end());
  CHECK(distance(taught(random_model(false), source, targets), reversed) == 0);
}

TEST_CASE("encoder_decoder: ids out of range and batches that differ are refused", "[models]") {
  const Model model = random_model(false);
  CHECK_THROWS_AS(Model(5, 4, Recurrence(3, 4), {.begin = 4}), ArgumentError);
  const Ids two = random_ids(2, 3, target_vocabulary), one = random_ids(1, 3, target_vocabulary);
  Ids high = one;
  high[2] = target_vocabulary;
  CHECK_NOTHROW(taught(model, high, one));
  CHECK_THROWS_AS(taught(model, one, high), ArgumentError);
  CHECK_THROWS_AS(taught(model, two, one), ShapeError);
}
