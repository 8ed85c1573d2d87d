#include <map>
#include <stepscan/models/beam_search.hpp>
#include <stepscan/models/pointer_network_backward.hpp>
#include <stepscan/train/losses.hpp>
#include <support/allocation.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::distance;
using testing::numbers;
using testing::random_sequence;
using testing::Sequence;

namespace {

using Network = PointerNetwork<double>;
using Lesson = PointerLesson<double>;
using Slots = std::vector<Index>;

constexpr Index features = 2, hidden = 5;

Network random_network(bool terminal, bool mask_visited, std::uint64_t seed = 1) {
  Network network(features, hidden, 4, terminal);
  network.mask_visited = mask_visited;
  testing::randomize(network, seed, -1, 1);
  return network;
}

Network::State random_state(const Network& network, Index batch) {
  auto state = network.initial_state(batch);
  testing::randomize(state, 5);
  return state;
}

/// Row b of a batch of states.
Network::State row_of(const Network& network, const Network::State& states, Index b) {
  auto row = network.initial_state(1);
  std::copy_n(states.h.data() + b * hidden, hidden, row.h.data());
  std::copy_n(states.c.data() + b * hidden, hidden, row.c.data());
  return row;
}

/// The sum of log-probabilities of one sequence of slots, by teacher forcing.
double score_of(const Network& network, const Network::State& start, const SequenceView<const double>& x,
                const Slots& slots) {
  Workspace workspace;
  Lesson lesson;
  network.teach(start, x, {slots.data(), static_cast<Index>(slots.size()), nullptr}, lesson, workspace);
  return -lesson.loss * static_cast<double>(slots.size());
}

/// All sequences that a network may point out, longest as they can be, with their scores.
void enumerate(const Network& network, Index items, Index steps, Slots& prefix, std::vector<Slots>& all) {
  const auto ended = [&] { return !prefix.empty() && prefix.back() == items; };
  bool grows = false;
  for (Index j = 0; j < network.slots(items) && static_cast<Index>(prefix.size()) < steps && !ended(); ++j) {
    if (network.mask_visited && j < items && std::find(prefix.begin(), prefix.end(), j) != prefix.end()) continue;
    grows = true;
    prefix.push_back(j);
    enumerate(network, items, steps, prefix, all);
    prefix.pop_back();
  }
  if (!grows) all.push_back(prefix);
}

/// A sequence with -1 behind its end.
Slots padded(Slots slots, Index steps) {
  slots.resize(static_cast<std::size_t>(steps), -1);
  return slots;
}

Slots found_slots(const PointerSequences<double>& found, Index b, Index k) {
  const Index steps = found.slots.extent(2);
  const Index* const first = found.slots.data() + (b * found.slots.extent(1) + k) * steps;
  return {first, first + steps};
}

}  // namespace

TEST_CASE("pointer_network: a beam wide enough for everything is exhaustive search", "[models]") {
  for (const bool terminal : {false, true}) {
    for (const bool mask_visited : {false, true}) {
      for (const auto& [items, steps] : std::map<Index, Index>{{1, 1}, {2, 3}, {3, 3}, {4, 3}, {0, 2}}) {
        CAPTURE(terminal, mask_visited, items, steps);
        const Network network = random_network(terminal, mask_visited);
        const auto start = random_state(network, 1);
        const auto x = random_sequence<double>(1, items, features, 2);
        std::vector<Slots> all;
        Slots prefix;
        enumerate(network, items, steps, prefix, all);
        std::vector<std::pair<double, Slots>> expected;
        for (const Slots& slots : all) {
          expected.emplace_back(slots.empty() ? 0 : -score_of(network, start, x, slots), padded(slots, steps));
        }
        std::sort(expected.begin(), expected.end());
        Workspace workspace;
        const Index beams = static_cast<Index>(all.size()) + 2;
        const auto found = beam_search<double>(network, start, x, beams, steps, workspace);
        for (Index k = 0; k < beams; ++k) {
          CAPTURE(k);
          const auto& [score, slots] =
              k + 2 < beams ? expected[static_cast<std::size_t>(k)] : std::pair{0.0, padded({}, steps)};
          CHECK(found_slots(found, 0, k) == slots);
          CHECK(std::abs(found.scores(0, k) + score) < 1e-12);
        }
      }
    }
  }
}

TEST_CASE("pointer_network: greedy search is a beam of one, and steps beyond the items point at nothing", "[models]") {
  for (const bool terminal : {false, true}) {
    const Network network = random_network(terminal, true, 3);
    const auto x = random_sequence<double>(3, 4, features, 2);
    const auto start = random_state(network, 3);
    Workspace workspace;
    const auto greedy = greedy_search<double>(network, start, x, 7, workspace);
    const auto beam = beam_search<double>(network, start, x, 1, 7, workspace);
    CHECK(std::equal(greedy.slots.begin(), greedy.slots.end(), beam.slots.begin()));
    CHECK(distance(greedy.scores, beam.scores) == 0);
    for (Index b = 0; b < 3; ++b) CHECK(found_slots(greedy, b, 0).back() == -1);
    CHECK_THROWS_AS(beam_search<double>(network, start, x, 0, 7, workspace), ArgumentError);
  }
}

TEST_CASE("pointer_network: a step of a search allocates nothing", "[models]") {
  const Network network = random_network(false, false);
  const auto x = random_sequence<double>(2, 4, features, 2);
  const auto start = random_state(network, 2);
  Workspace workspace;
  const auto allocations = [&](Index steps, Index beams) {
    const long before = testing::allocation_count();
    if (beams == 0) {
      static_cast<void>(greedy_search<double>(network, start, x, steps, workspace));
    } else {
      static_cast<void>(beam_search<double>(network, start, x, beams, steps, workspace));
    }
    return testing::allocation_count() - before;
  };
  for (const Index beams : {0, 3}) {
    static_cast<void>(allocations(40, beams));
    CHECK(allocations(40, beams) == allocations(2, beams));
  }
}

TEST_CASE("pointer_network: of equal slots the lowest is pointed at", "[models]") {
  Network network = random_network(true, true);
  network.pointer.v.fill(0);
  const auto x = random_sequence<double>(1, 3, features, 2);
  Workspace workspace;
  const auto start = network.initial_state(1);
  CHECK(found_slots(greedy_search<double>(network, start, x, 5, workspace), 0, 0) == Slots{0, 1, 2, 3, -1});
  const auto beam = beam_search<double>(network, start, x, 2, 5, workspace);
  CHECK(found_slots(beam, 0, 0) == Slots{0, 1, 2, 3, -1});
  CHECK(found_slots(beam, 0, 1) == Slots{0, 1, 3, -1, -1});
}

TEST_CASE("pointer_network: members of a ragged batch are what they are alone, whatever the padding holds",
          "[models]") {
  constexpr Index batch = 4, items = 5, steps = 4;
  const Slots lengths{5, 3, 1, 0}, target_lengths{4, 3, 1, 1};
  const Slots targets{4, 0, 2, 5, 1, 2, 5, -1, 0, -1, -1, -1, 5, -1, -1, -1};
  const Network network = random_network(true, true);
  auto x = random_sequence<double>(batch, items, features, 2);
  testing::spoil_padding(x, lengths);
  const auto start = random_state(network, batch);
  const SequenceView<const double> ragged = SequenceView<const double>(std::as_const(x)).ragged(lengths);
  Workspace workspace;
  Lesson lesson;
  network.teach(start, ragged, {targets.data(), steps, target_lengths.data()}, lesson, workspace);
  const auto greedy = greedy_search<double>(network, start, ragged, 6, workspace);
  const auto beam = beam_search<double>(network, start, ragged, 3, 6, workspace);
  for (Index b = 0; b < batch; ++b) {
    CAPTURE(b);
    const auto row = row_of(network, start, b);
    const SequenceView<const double> own = ragged.members(b, 1);
    Lesson alone;
    network.teach(row, own, {targets.data() + b * steps, steps, &target_lengths[static_cast<std::size_t>(b)]}, alone,
                  workspace);
    CHECK(std::equal(alone.log_probs.begin(), alone.log_probs.end(), &lesson.log_probs(b, 0, 0)));
    CHECK(numbers(alone.decoder) == numbers(row_of(network, lesson.decoder, b)));
    CHECK(std::isfinite(alone.loss));
    const auto own_greedy = greedy_search<double>(network, row, own, 6, workspace);
    CHECK(found_slots(own_greedy, 0, 0) == found_slots(greedy, b, 0));
    CHECK(own_greedy.scores(0, 0) == greedy.scores(b, 0));
    const auto own_beam = beam_search<double>(network, row, own, 3, 6, workspace);
    for (Index k = 0; k < 3; ++k) {
      CHECK(found_slots(own_beam, 0, k) == found_slots(beam, b, k));
      CHECK(own_beam.scores(0, k) == beam.scores(b, k));
    }
  }
}

TEST_CASE("pointer_network: gradients are finite differences, with padding and without targets", "[models]") {
  constexpr Index batch = 3, items = 4, steps = 3;
  const Slots lengths{4, 2, 0}, target_lengths{3, 2, 0}, targets{2, 0, 3, 1, 0, -1, -1, -1, -1};
  for (const bool terminal : {false, true}) {
    Network network = random_network(terminal, true);
    auto x = random_sequence<double>(batch, items, features, 2);
    testing::spoil_padding(x, lengths);
    auto start = random_state(network, batch);
    auto dlog_probs = random_sequence<double>(batch, steps, network.slots(items), 6);
    testing::spoil_padding(dlog_probs, target_lengths);
    PointerLessonCotangents<double> d{std::as_const(dlog_probs), 0.7, random_state(network, batch),
                                      random_state(network, batch)};
    const PointerTargets taught{targets.data(), steps, target_lengths.data()};
    const auto view = [&] { return SequenceView<const double>(std::as_const(x)).ragged(lengths); };
    Workspace workspace;
    Lesson lesson;
    const auto loss = [&] {
      network.teach(start, view(), taught, lesson, workspace);
      double total = d.loss * lesson.loss;
      for (Index i = 0; i < dlog_probs.size(); ++i) {
        if (!std::isnan(dlog_probs[i])) total += dlog_probs[i] * lesson.log_probs[i];
      }
      const auto add = [&](const Path&, const auto& cotangent, const auto& value) {
        for (Index i = 0; i < value.size(); ++i) total += cotangent[i] * value[i];
      };
      for_each_tensor(add, d.encoder, lesson.encoder);
      for_each_tensor(add, d.decoder, lesson.decoder);
      return total;
    };
    Training<Network>::Tape tape;
    Lesson taped;
    Training<Network>::forward(network, start, view(), taught, taped, tape);
    Network gradient = zeros_like(network);
    Sequence<double> dx(x.shape());
    dx.fill(std::numeric_limits<double>::quiet_NaN());
    auto dstart = start;
    Training<Network>::backward(network, tape, taped, d, gradient, dx, dstart);
    double error = 0;
    const auto compare = [&](const Path&, auto& values, const auto& found) {
      for (Index i = 0; i < values.size(); ++i) {
        constexpr double h = 1e-5;
        const double before = values[i];
        if (std::isnan(before)) {
          CHECK(found[i] == 0);
          continue;
        }
        values[i] = before + h;
        const double above = loss();
        values[i] = before - h;
        const double off = std::abs((above - loss()) / (2 * h) - found[i]);
        values[i] = before;
        error = std::isfinite(off) ? std::max(error, off) : std::numeric_limits<double>::infinity();
      }
    };
    for_each_tensor(compare, network, gradient);
    for_each_tensor(compare, start, dstart);
    compare({}, x, dx);
    CHECK(error < 1e-8);
  }
}

TEST_CASE("pointer_network: its loss is NegativeLogLikelihood of its log-probabilities", "[models]") {
  const Slots lengths{4, 2}, target_lengths{3, 2}, targets{2, 0, 3, 1, 0, -1};
  const Network network = random_network(true, true);
  const auto x = random_sequence<double>(2, 4, features, 2);
  const auto view = SequenceView<const double>(x).ragged(lengths);
  const auto start = network.initial_state(2);
  Training<Network>::Tape tape;
  Lesson lesson;
  Training<Network>::forward(network, start, view, {targets.data(), 3, target_lengths.data()}, lesson, tape);
  Tensor<std::int32_t, 2, 3> classes;
  std::transform(targets.begin(), targets.end(), classes.begin(),
                 [](Index slot) { return slot < 0 ? -100 : static_cast<std::int32_t>(slot); });
  Sequence<double> dlog_probs(lesson.log_probs.shape());
  const auto log_probs = SequenceView<const double>(std::as_const(lesson.log_probs)).ragged(lesson.lengths);
  CHECK(NegativeLogLikelihood<double>{}(log_probs, classes, dlog_probs) == Approx(lesson.loss).epsilon(1e-14));
  const auto gradient_of = [&](const PointerLessonCotangents<double>& d) {
    Network gradient = zeros_like(network);
    Sequence<double> dx(x.shape());
    auto dstart = start;
    Training<Network>::backward(network, tape, lesson, d, gradient, dx, dstart);
    return numbers(gradient);
  };
  CHECK(distance(gradient_of({std::as_const(dlog_probs), 0, start, start}), gradient_of({{}, 1, start, start})) <
        1e-15);
}

TEST_CASE("pointer_network: nothing to read, nothing to learn", "[models]") {
  const Network network = random_network(true, true);
  Workspace workspace;
  Lesson lesson;
  const Sequence<double> nobody(0, 3, features), x = random_sequence<double>(2, 3, features, 2);
  network.teach(network.initial_state(0), nobody, {nullptr, 0, nullptr}, lesson, workspace);
  CHECK(lesson.loss == 0);
  CHECK(greedy_search<double>(network, network.initial_state(0), nobody, 3, workspace).scores.size() == 0);
  network.teach(network.initial_state(2), x, {nullptr, 0, nullptr}, lesson, workspace);
  CHECK(lesson.loss == 0);
  CHECK(beam_search<double>(network, network.initial_state(2), x, 2, 0, workspace).scores(1, 1) == 0);
}

TEST_CASE("pointer_network: targets that may not be pointed at are refused", "[models]") {
  const Network network = random_network(true, true);
  const auto x = random_sequence<double>(1, 3, features, 2);
  const Slots lengths{2};
  const auto ragged = SequenceView<const double>(x).ragged(lengths);
  Workspace workspace;
  Lesson lesson;
  const auto teach = [&](const Slots& slots, const Index* count = nullptr) {
    network.teach(network.initial_state(1), ragged, {slots.data(), static_cast<Index>(slots.size()), count}, lesson,
                  workspace);
  };
  CHECK_NOTHROW(teach({1, 0, 3}));
  for (const Slots& slots : {Slots{2}, Slots{4}, Slots{-1}, Slots{1, 1}, Slots{3, 1}}) {
    CHECK_THROWS_AS(teach(slots), ArgumentError);
  }
  const Index too_many = 2;
  CHECK_THROWS_AS(teach({1}, &too_many), ShapeError);
}
