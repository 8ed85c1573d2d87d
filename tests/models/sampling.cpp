#include <limits>
#include <stepscan/models/sampling.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

/// How often each id is drawn in 20,000 draws, as a share.
std::vector<double> shares(const std::vector<double>& logits, const Sampling& options) {
  Sampler sampler(options, 7);
  std::vector<double> counts(logits.size());
  for (int i = 0; i < 20000; ++i) {
    counts[static_cast<std::size_t>(sampler(logits.data(), static_cast<Index>(logits.size())))] += 1.0 / 20000;
  }
  return counts;
}

void check_shares(const std::vector<double>& found, std::vector<double> weights) {
  double total = 0;
  for (const double weight : weights) total += weight;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    CAPTURE(i);
    if (weights[i] == 0) CHECK(found[i] == 0);
    CHECK(std::abs(found[i] - weights[i] / total) < 0.015);
  }
}

const std::vector<double> logits{std::log(2.0), std::log(5.0), std::log(0.5), std::log(2.0), std::log(0.5)};

}  // namespace

TEST_CASE("sampling: tokens are drawn as often as the options say", "[models]") {
  check_shares(shares(logits, {}), {2, 5, 0.5, 2, 0.5});
  check_shares(shares(logits, {.temperature = 0.5}), {4, 25, 0.25, 4, 0.25});
  check_shares(shares(logits, {.temperature = 0}), {0, 1, 0, 0, 0});
  check_shares(shares(logits, {.top_k = 2}), {2, 5, 0, 0, 0});
  check_shares(shares(logits, {.top_k = 9}), {2, 5, 0.5, 2, 0.5});
  check_shares(shares(logits, {.top_p = 0.5}), {0, 5, 0, 0, 0});
  check_shares(shares(logits, {.top_p = 0.51}), {2, 5, 0, 0, 0});
  check_shares(shares(logits, {.top_p = 0.92}), {2, 5, 0.5, 2, 0});
  check_shares(shares(logits, {.top_k = 3, .top_p = 0.7}), {2, 5, 0, 0, 0});
  check_shares(shares(logits, {.top_k = 4, .top_p = 1}), {2, 5, 0.5, 2, 0});
}

TEST_CASE("sampling: the same draw under the same seed, stream and position", "[models]") {
  const auto count = static_cast<Index>(logits.size());
  const auto draws = [&](Sampler sampler, std::uint64_t first) {
    sampler.random().seek(first);
    std::vector<Index> ids;
    for (int i = 0; i < 40; ++i) ids.push_back(sampler(logits.data(), count));
    return ids;
  };
  const auto whole = draws(Sampler({}, 3), 0);
  CHECK(draws(Sampler({}, 3), 0) == whole);
  CHECK(draws(Sampler({}, 4), 0) != whole);
  CHECK(draws(Sampler({}, 3, 1), 0) != whole);
  const auto later = draws(Sampler({}, 3), 10);
  CHECK(std::equal(whole.begin() + 10, whole.end(), later.begin()));
}

TEST_CASE("sampling: logits that are no numbers are never drawn, infinite ones always", "[models]") {
  constexpr double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  for (const Sampling& options :
       {Sampling{}, Sampling{.temperature = 0}, Sampling{.top_k = 2}, Sampling{.top_p = 0.6}}) {
    check_shares(shares({nan, 1, -infinity, nan}, options), {0, 1, 0, 0});
    check_shares(shares({3, nan, infinity}, options), {0, 0, 1});
    for (const double value : {nan, -infinity}) CHECK(shares({value, value}, options)[0] > 0.3);
  }
}

TEST_CASE("sampling: options outside their range are refused", "[models]") {
  for (const Sampling& options :
       {Sampling{.temperature = -1}, Sampling{.temperature = std::numeric_limits<double>::quiet_NaN()},
        Sampling{.top_k = -1}, Sampling{.top_p = 0}, Sampling{.top_p = 1.5}}) {
    CHECK_THROWS_AS(Sampler(options), ArgumentError);
  }
}
