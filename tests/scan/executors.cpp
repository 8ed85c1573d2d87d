#include <stepscan/scan/executors.hpp>
#include <stepscan/scan/prefix.hpp>
#include <string>
#include <support/catch.hpp>
#include <vector>

#include "words.hpp"

using namespace stepscan;
using testing::Words;

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// Each token appends its letter; the output of a token is all that was visited up to it.
template <bool KeepsLocal>
struct Spelling {
  static constexpr bool keeps_local = KeepsLocal;
  const std::vector<std::string>& letters;  ///< per sequence
  Direction direction;
  mutable std::vector<std::vector<std::string>> outputs;
  mutable std::vector<std::vector<std::string>> states, elements;

  Spelling(const std::vector<std::string>& text, Direction d, Index chunks)
      : letters(text),
        direction(d),
        states(text.size(), std::vector<std::string>(at(chunks) + 1)),
        elements(text.size(), std::vector<std::string>(at(chunks) + 1)) {
    for (const auto& word : text) outputs.emplace_back(word.size());
    for (std::size_t s = 0; s < text.size(); ++s) states[s][0] = "<" + std::to_string(s) + ">";
  }

  Index length(Index s) const { return static_cast<Index>(letters[at(s)].size()); }
  Words monoid() const { return {}; }
  std::string& element(Index s, Index i) const { return elements[at(s)][at(i)]; }
  std::string& state(Index s, Index i) const { return states[at(s)][at(i)]; }
  void finish(Index s, Index i) const { states[at(s)][0] = states[at(s)][at(i)]; }

  template <class F>
  void visit(const ScanJob& job, F&& f) const {
    const auto [begin, end] = job.tokens;
    for (Index i = 0; i < end - begin; ++i) f(direction == Direction::forward ? begin + i : end - 1 - i);
  }
  void summarise(const ScanJob& job, std::string& out) const {
    out.clear();
    visit(job, [&](Index t) {
      out += letters[at(job.sequence)][at(t)];
      if (KeepsLocal) outputs[at(job.sequence)][at(t)] = out;
    });
  }
  void emit(const ScanJob& job, std::string& running) const {
    const std::string before = running;
    visit(job, [&](Index t) {
      running += letters[at(job.sequence)][at(t)];
      auto& output = outputs[at(job.sequence)][at(t)];
      output = KeepsLocal && !output.empty() ? before + output : running;
    });
  }
};
static_assert(ParallelScanOperation<Spelling<true>>);

enum class Run { sequential, chunked, parallel };

template <bool KeepsLocal>
Spelling<KeepsLocal> run(const std::vector<std::string>& text, Direction direction, Index chunk, Run how,
                         Index workers) {
  Index longest = 0;
  for (const auto& word : text) longest = std::max(longest, static_cast<Index>(word.size()));
  Spelling<KeepsLocal> op(text, direction, chunk_count(longest, chunk));
  const ScanGrid grid{static_cast<Index>(text.size()), longest, chunk, workers, direction};
  if (how == Run::sequential) scan_sequential(op, grid);
  if (how == Run::chunked) scan_chunked(op, grid);
  if (how == Run::parallel) scan_parallel(op, grid);
  return op;
}

std::string alphabet(Index length, char first) {
  std::string text;
  for (Index i = 0; i < length; ++i) text += static_cast<char>(first + i % 26);
  return text;
}

}  // namespace

TEST_CASE("executors: outputs and states of every schedule, forwards and backwards", "[scan]") {
  constexpr Index chunk = 4;
  const auto direction = GENERATE(Direction::forward, Direction::backward);
  std::vector<std::string> text;
  for (const Index length : {0, 1, 3, 4, 5, 8, 17}) text.push_back(alphabet(length, length % 2 == 0 ? 'a' : 'A'));

  const auto expected = run<false>(text, direction, chunk, Run::sequential, 1);
  for (std::size_t s = 0; s < text.size(); ++s) {
    std::string visited = text[s];
    if (direction == Direction::backward) visited = std::string(visited.rbegin(), visited.rend());
    REQUIRE(expected.states[s][0] == "<" + std::to_string(s) + ">" + visited);
    for (std::size_t i = 0; i < visited.size(); ++i) {
      const std::size_t t = direction == Direction::forward ? i : visited.size() - 1 - i;
      REQUIRE(expected.outputs[s][t] == "<" + std::to_string(s) + ">" + visited.substr(0, i + 1));
    }
  }
  for (const Index workers : {1, 2, 3}) {
    for (const Run how : {Run::chunked, Run::parallel}) {
      const auto result = run<false>(text, direction, chunk, how, workers);
      REQUIRE(result.outputs == expected.outputs);
      for (std::size_t s = 0; s < text.size(); ++s) REQUIRE(result.states[s][0] == expected.states[s][0]);
    }
    const auto local = run<true>(text, direction, chunk, Run::parallel, workers);
    REQUIRE(local.outputs == expected.outputs);
    for (std::size_t s = 0; s < text.size(); ++s) REQUIRE(local.states[s][0] == expected.states[s][0]);
  }
}

TEST_CASE("executors: an operation that keeps local work is summarised on every chunk, others on all but the last",
          "[scan]") {
  const std::vector<std::string> text{alphabet(9, 'a')};
  CHECK(run<false>(text, Direction::forward, 4, Run::parallel, 1).elements[0] ==
        std::vector<std::string>{"abcd", "efgh", "", ""});
  CHECK(run<true>(text, Direction::forward, 4, Run::parallel, 1).elements[0] ==
        std::vector<std::string>{"abcd", "efgh", "i", ""});
}

TEST_CASE("executors: nothing to scan", "[scan]") {
  for (const Run how : {Run::sequential, Run::chunked, Run::parallel}) {
    CHECK(run<false>({}, Direction::forward, 3, how, 2).outputs.empty());
    CHECK(run<false>({"", ""}, Direction::forward, 3, how, 2).states[1][0] == "<1>");
  }
}

TEST_CASE("prefix scans: inclusive and exclusive, in sequence and over threads", "[scan]") {
  const Words words;
  const int before = max_threads();
  for (const int threads : {1, 2}) {
    set_max_threads(threads);
    for (const Index count : {0, 1, 3, 4, 5, 17}) {
      const std::string text = alphabet(count, 'a');
      std::vector<std::string> letters, outputs(at(count)), scratch(at(count) + 1);
      for (const char c : text) letters.emplace_back(1, c);
      const auto in = [&](Index i) -> const std::string& { return letters[at(i)]; };
      const auto out = [&](Index i) -> std::string& { return outputs[at(i)]; };
      const auto room = [&](Index i) -> std::string& { return scratch[at(i)]; };
      const auto check = [&](Index extra) {
        for (Index i = 0; i < count; ++i) REQUIRE(outputs[at(i)] == text.substr(0, at(i + extra)));
        for (auto& output : outputs) output = "stale";
      };
      inclusive_scan(words, count, in, out, scratch[0]);
      check(1);
      exclusive_scan(words, count, in, out);
      check(0);
      for (const Index chunk : {1, 4, 32}) {
        inclusive_scan_parallel(words, count, chunk, in, out, room);
        check(1);
        exclusive_scan_parallel(words, count, chunk, in, out, room);
        check(0);
      }
      inclusive_scan(words, count, reversed(in, count), reversed(out, count), scratch[0]);
      for (Index i = 0; i < count; ++i)
        REQUIRE(outputs[at(i)] == std::string(text.rbegin(), text.rbegin() + (count - i)));
    }
  }
  set_max_threads(before);
}
