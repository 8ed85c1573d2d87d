#include <models/leaky.hpp>
#include <numeric>
#include <stepscan/layers/activation_backward.hpp>
#include <stepscan/models/generate.hpp>
#include <stepscan/models/language_model_backward.hpp>
#include <stepscan/models/residual.hpp>
#include <support/allocation.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::difference_error;
using testing::distance;
using testing::Leaky;
using testing::random_sequence;
using testing::randomize;
using testing::Sequence;

namespace {

constexpr Index vocabulary = 5, features = 4;

using Blocks = Residual<Leaky<double, features>, Tanh<double, features>>;
template <class Head>
using Model = LanguageModel<double, vocabulary, features, Blocks, Head>;
using Ids = Tensor<Index, Dynamic, Dynamic, Dynamic>;

template <class Head>
Model<Head> random_model() {
  Model<Head> model;
  initialize(model, 1);
  randomize(model, 2, 0.2, 1);
  return model;
}

Ids random_ids(Index batch, Index time) {
  Ids ids(batch, time, 1);
  Random random(3);
  for (Index& id : ids) id = random.below(vocabulary);
  return ids;
}

template <class L>
Sequence<double> scanned(const L& model, const TokenIds& ids, typename L::State& state) {
  Workspace workspace;
  Sequence<double> logits(ids.batch, ids.time, vocabulary);
  model.scan(state, ids, logits, workspace);
  return logits;
}

template <class L>
Sequence<double> scanned(const L& model, const TokenIds& ids) {
  auto state = model.initial_state(ids.batch);
  return scanned(model, ids, state);
}

}  // namespace

TEMPLATE_TEST_CASE("language_model: a step, a prefill and a plan go on where a scan ends", "[models]", Tied, Untied) {
  const auto model = random_model<TestType>();
  const auto plan = prepare(model);
  constexpr Index batch = 2, time = 300;
  const Ids ids = random_ids(batch, time);
  const auto whole = scanned(model, ids);
  CHECK(distance(whole, scanned(plan, ids)) < 1e-13);
  for (const Index split : {0, 1, 258, 299}) {
    auto state = plan.initial_state(batch);
    Workspace workspace;
    Tensor<double, Dynamic, vocabulary> last(batch, vocabulary);
    plan.prefill(state, TokenIds(ids).slice(0, split), last, workspace);
    for (Index b = 0; b < batch && split > 0; ++b) {
      CHECK(std::abs(last(b, 1) - whole(b, split - 1, 1)) < 1e-13);
    }
    const long before = testing::allocation_count();
    plan.step(state, TokenIds(ids).frame(split), last);
    CHECK(testing::allocation_count() == before);
    for (Index b = 0; b < batch; ++b) CHECK(std::abs(last(b, 3) - whole(b, split, 3)) < 1e-13);
  }
}

TEST_CASE("language_model: padding is not read, packed ids are as padded ones", "[models]") {
  const auto model = random_model<Tied>();
  const std::vector<Index> lengths{4, 0, 300};
  Ids ids = random_ids(3, 300);
  const auto clean = scanned(model, ids);
  std::vector<Index> packed_ids;
  for (Index b = 0; b < 3; ++b) {
    const Index length = lengths[static_cast<std::size_t>(b)];
    packed_ids.insert(packed_ids.end(), &ids(b, 0, 0), &ids(b, 0, 0) + length);
    for (Index t = length; t < 300; ++t) ids(b, t, 0) = -7;
  }
  const TokenIds ragged = TokenIds(ids).ragged(lengths);
  const auto logits = scanned(model, ragged);
  Workspace workspace;
  auto state = model.initial_state(3);
  Tensor<double, Dynamic, vocabulary> last(3, vocabulary);
  last.fill(1);
  model.prefill(state, ragged, last, workspace);
  for (Index b = 0; b < 3; ++b) {
    const Index length = lengths[static_cast<std::size_t>(b)];
    for (Index t = 0; t < 300; ++t) REQUIRE(logits(b, t, 2) == Approx(t < length ? clean(b, t, 2) : 0).margin(1e-13));
    CHECK(last(b, 2) == Approx(length > 0 ? clean(b, length - 1, 2) : 0).margin(1e-13));
  }
  const Packing packing(std::vector<Index>{0, 4, 4, 304});
  Sequence<double> packed_logits(1, 304, vocabulary);
  auto packed_state = model.initial_state(3);
  model.scan(packed_state, TokenIds(packed_ids.data(), 1, 304, 1).packed(packing),
             SequenceView<double>(packed_logits).packed(packing), workspace);
  for (Index t = 0; t < 304; ++t) REQUIRE(packed_logits(0, t, 4) == (t < 4 ? logits(0, t, 4) : logits(2, t - 4, 4)));
}

TEMPLATE_TEST_CASE("language_model: gradients equal finite differences, from whole logits and from blocks", "[models]",
                   Tied, Untied) {
  auto model = random_model<TestType>();
  const std::vector<Index> lengths{67, 3};
  const Ids ids = random_ids(2, 67);
  const TokenIds ragged = TokenIds(ids).ragged(lengths);
  auto start = model.initial_state(2), dend = start, dstart = start;
  randomize(start, 5);
  randomize(dend, 6);
  auto dlogits = random_sequence<double>(2, 67, vocabulary, 7);
  testing::spoil_padding(dlogits, lengths);
  const auto loss = [&] {
    auto state = start;
    const auto logits = scanned(model, ragged, state);
    double sum = 0;
    for (Index i = 0; i < logits.size(); ++i) sum += std::isnan(dlogits[i]) ? 0 : dlogits[i] * logits[i];
    const std::vector<double> end = testing::numbers(state), cotangent = testing::numbers(dend);
    return std::inner_product(end.begin(), end.end(), cotangent.begin(), sum);
  };

  Tape<Model<TestType>> tape;
  auto gradient = zeros_like(model);
  auto state = start;
  Sequence<double> logits(2, 67, vocabulary);
  model.forward(state, ragged, logits, tape);
  auto scan_state = start;
  CHECK(distance(logits, scanned(model, ragged, scan_state)) < 1e-13);
  model.backward(tape, std::as_const(dlogits), dend, gradient, dstart);
  CHECK(difference_error(model, gradient, loss) < 1e-7);
  CHECK(difference_error(start, dstart, loss) < 1e-7);

  auto by_blocks = zeros_like(model);
  auto dstart_by_blocks = dstart;
  state = start;
  model.forward_hidden(state, ragged, tape);
  model.backward_by(
      tape,
      [&](Index first, const auto& part) {
        for (Index b = 0; b < part.batch; ++b) {
          for (Index t = 0; t < part.length(b); ++t) {
            for (Index i = 0; i < vocabulary; ++i) {
              REQUIRE(part.token(b, t)[i] == Approx(logits(b, first + t, i)).margin(1e-13));
              part.token(b, t)[i] = dlogits(b, first + t, i);
            }
          }
        }
      },
      dend, by_blocks, dstart_by_blocks);
  CHECK(distance(testing::numbers(gradient), testing::numbers(by_blocks)) < 1e-12);
  CHECK(distance(testing::numbers(dstart), testing::numbers(dstart_by_blocks)) < 1e-12);
}

TEST_CASE("language_model: ids out of range and sizes that do not fit are refused, the state as it was", "[models]") {
  const auto model = random_model<Tied>();
  auto state = model.initial_state(1);
  Workspace workspace;
  Sequence<double> logits(1, 2, vocabulary);
  for (const Index id : {-1, 5}) {
    Ids ids(1, 2, 1);
    ids(0, 1, 0) = id;
    CHECK_THROWS_WITH(model.scan(state, ids, logits, workspace),
                      ContainsSubstring("expected ids in [0, 5), found " + std::to_string(id) + " at token 1"));
    Tensor<double, Dynamic, vocabulary> one(1, vocabulary);
    CHECK_THROWS_AS(model.step(state, TokenIds(ids).frame(1), one), ArgumentError);
  }
  const Ids ids = random_ids(1, 3), two = random_ids(2, 2);
  CHECK_THROWS_AS(model.scan(state, ids, logits, workspace), ShapeError);
  CHECK_THROWS_AS(model.scan(state, two, logits, workspace), ShapeError);
  CHECK(testing::numbers(state) == testing::numbers(model.initial_state(1)));
  using Free = LanguageModel<double, Dynamic, Dynamic, Leaky<double, Dynamic>, Untied>;
  CHECK(Free(7, Leaky<double, Dynamic>(3), RmsNorm<double, Dynamic>(3)).head.weight.size() == 21);
  CHECK_THROWS_AS(Free(7, Leaky<double, Dynamic>(3), RmsNorm<double, Dynamic>(4)), ShapeError);
}

TEST_CASE("language_model: names of parameters, a tied weight once", "[models]") {
  const auto names = [](const auto& model) {
    std::vector<std::string> list;
    for_each_parameter([&](const Path& path, const auto&) { list.push_back(path.str()); }, model);
    return list;
  };
  const std::vector<std::string> shared{"embedding.weight", "blocks.0.decay", "norm.weight"};
  CHECK(names(Model<Tied>()) == shared);
  CHECK(names(Model<Untied>()).back() == "head.weight");
}

TEST_CASE("language_model: a generation draws from its own logits, each member by itself", "[models]") {
  const auto model = random_model<Tied>();
  const auto plan = prepare(model);
  const std::vector<Index> lengths{3, 1};
  const Ids ids = random_ids(2, 3);
  const TokenIds prompt = TokenIds(ids).ragged(lengths);
  Workspace workspace;
  const Generation wanted{.count = 12, .sampling = {.temperature = 0.8, .top_k = 4}, .seed = 9};
  auto state = plan.initial_state(2);
  const Ids drawn = generate(plan, state, prompt, wanted, workspace);
  for (Index b = 0; b < 2; ++b) {
    const Index length = lengths[static_cast<std::size_t>(b)];
    Ids sequence(1, length + 12, 1);
    std::copy_n(&ids(b, 0, 0), length, sequence.data());
    std::copy_n(&drawn(b, 0, 0), 12, sequence.data() + length);
    const auto logits = scanned(model, sequence);
    Sampler sampler(wanted.sampling, wanted.seed, static_cast<std::uint64_t>(b));
    for (Index i = 0; i < 12; ++i) CHECK(drawn(b, i, 0) == sampler(&logits(0, length - 1 + i, 0), vocabulary));
  }
}

TEST_CASE("language_model: a generation ends with its end token, or when it is told to", "[models]") {
  const auto model = random_model<Tied>();
  const Ids ids = random_ids(2, 3);
  Workspace workspace;
  auto state = model.initial_state(2);
  Generation wanted{.count = 40, .seed = 4};
  const Ids endless = generate(model, state, ids, wanted, workspace);
  wanted.end = endless(0, 5, 0);
  state = model.initial_state(2);
  const Ids ended = generate(model, state, ids, wanted, workspace);
  for (Index b = 0; b < 2; ++b) {
    const Index* const row = &endless(b, 0, 0);
    const auto until = std::find(row, row + 40, wanted.end) - row;
    for (Index i = 0; i < 40; ++i) CHECK(ended(b, i, 0) == (i < until ? row[i] : wanted.end));
  }
  int columns = 0;
  wanted.end = -1;
  state = model.initial_state(2);
  generate_by(model, state, ids, wanted, workspace, [&](const TokenColumn&) { return ++columns < 3; });
  CHECK(columns == 3);
  const std::vector<Index> lengths{3, 0};
  CHECK_THROWS_AS(generate(model, state, TokenIds(ids).ragged(lengths), wanted, workspace), ArgumentError);
}
