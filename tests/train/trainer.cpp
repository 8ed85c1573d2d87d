#include <io/files.hpp>
#include <stepscan/train/token_gradient.hpp>
#include <stepscan/train/trainer.hpp>
#include <support/catch.hpp>
#include <train/curve_fit.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

/// One parameter, whose gradient is what a test wants it to be.
struct Weight {
  Tensor<double, 1> value;
  static constexpr auto fields() { return std::tuple{Field{"value", &Weight::value}}; }
};

struct PlainDescent {
  void step(Weight& model, const Weight& gradient, double rate) { model.value[0] -= rate * gradient.value[0]; }
};

struct Run {
  Weight model;
  PlainDescent optimizer;
  Trainer<Weight, PlainDescent> trainer;
  std::vector<TrainingRecord> records;

  explicit Run(TrainerOptions options) : trainer(model, optimizer, std::move(options)) {
    trainer.learning_rate = [](std::int64_t) { return 1.0; };
    trainer.log = [this](const TrainingRecord& record) { records.push_back(record); };
  }
  Run(const Run&) = delete;
  TrainingEnd run(double slope, Index count = 1) {
    return trainer.run([=](std::int64_t, Weight& gradient) {
      gradient.value[0] += slope;
      return LossSum{slope, count};
    });
  }
};

}  // namespace

TEST_CASE("an update divides the sum over its batches by their count, clips it and asks for the learning rate",
          "[train]") {
  Run run({.updates = 2, .accumulate = 3, .clip_norm = 0.5});
  run.trainer.learning_rate = [](std::int64_t updates) { return updates == 0 ? 1.0 : 10.0; };
  CHECK(run.run(8, 2) == TrainingEnd::finished);
  CHECK(run.model.value[0] == Approx(-0.5 - 5));
  REQUIRE(run.records.size() == 2);
  CHECK(run.records[0].loss == Approx(4));
  CHECK(run.records[0].gradient_norm == Approx(4));
  CHECK(run.records[1].learning_rate == 10);
  CHECK(run.records[1].update == 2);
  CHECK(std::isnan(run.records[1].metric));
  CHECK(run.trainer.progress.batches == 6);
}

TEST_CASE("a run stops once its metric has not become better for the time of its patience", "[train]") {
  Run run({.updates = 100, .evaluate_every = 2, .patience = 3});
  std::vector<std::int64_t> best, all;
  run.trainer.evaluate = [](const Weight& model) { return std::abs(model.value[0] + 6); };
  run.trainer.on_best = [&](const TrainingProgress& progress) { best.push_back(progress.updates); };
  run.trainer.after_update = [&](const TrainingProgress& progress) { all.push_back(progress.updates); };
  CHECK(run.run(1) == TrainingEnd::stopped_early);
  CHECK(best == std::vector<std::int64_t>{2, 4, 6});
  CHECK(all.size() == 12);
  CHECK(run.trainer.progress.best_update == 6);
  CHECK(run.trainer.progress.best_metric == 0);
  CHECK(run.records[5].metric == 0);
  CHECK(run.run(1) == TrainingEnd::stopped_early);
  CHECK(run.records.size() == 12);
}

TEST_CASE("a run that diverges leaves the parameters as they were before", "[train]") {
  Run run({.updates = 100});
  int calls = 0;
  const auto slope = [&](std::int64_t, Weight& gradient) {
    gradient.value[0] += ++calls == 3 ? std::numeric_limits<double>::infinity() : 1;
    return LossSum{1, 1};
  };
  CHECK(run.trainer.run(slope) == TrainingEnd::diverged);
  CHECK(run.model.value[0] == -2);
  CHECK(run.run(std::numeric_limits<double>::quiet_NaN()) == TrainingEnd::diverged);
  CHECK(run.model.value[0] == -2);
  CHECK(run.trainer.progress.updates == 2);
}

TEST_CASE("a run ends when its time is up, and asks for a learning rate before it starts", "[train]") {
  Run run({.updates = 1'000'000'000, .seconds = 1e-3});
  CHECK(run.run(0) == TrainingEnd::out_of_time);
  run.trainer.learning_rate = nullptr;
  CHECK_THROWS_AS(run.run(0), ArgumentError);
}

TEST_CASE("a model is trained on sequences of several lengths", "[train]") {
  FitModel model = fit_model();
  FitOptimizer optimizer(model);
  FitParallel parallel(4, 1);
  Trainer trainer(model, optimizer, {.updates = 200, .clip_norm = 1});
  trainer.learning_rate = [](std::int64_t) { return 0.03; };
  double first = 0, last = 0;
  trainer.log = [&](const TrainingRecord& record) { (record.update == 1 ? first : last) = record.loss; };
  CHECK(trainer.run(fit_gradient(model, parallel)) == TrainingEnd::finished);
  CHECK(last < 0.1 * first);
}

TEST_CASE("a sequence may go on from the state where its first part ended", "[train]") {
  const FitModel model = fit_model();
  const FitBatch batch = fit_batch(1, 2, 8);
  const SequenceView<const double, 2> x(batch.x);
  const SequenceView<const double> targets(batch.targets);
  SequenceGradient<FitModel> sequence;
  FitModel gradient = zeros_like(model);
  const double whole = sequence(model, x, targets, Mse<double>{}, gradient).sum;
  auto state = model.initial_state(2);
  double parts = 0;
  for (const Index first : {0, 4}) {
    parts += sequence(model, state, x.slice(first, 4), targets.slice(first, 4), Mse<double>{}, gradient).sum;
  }
  CHECK(parts == Approx(whole).epsilon(1e-13));
}

TEST_CASE("a log has one line for every update and goes on where a run is resumed", "[train]") {
  const stepscan_test::TemporaryFolder folder;
  const TrainingRecord first{1, 0.5, 0.001, 2.25, 3, std::numeric_limits<double>::quiet_NaN()};
  TrainingRecord second{2, 1, 0.001, std::numeric_limits<double>::infinity(), 3, 0.125};
  for (const LogFormat format : {LogFormat::csv, LogFormat::json_lines}) {
    const auto path = folder / "log";
    {
      TrainingLog log(path, format);
      log(first);
      log(second);
      std::ofstream(path, std::ios::app) << "3,half a li";
    }
    TrainingLog log(path, format, 1);
    second.loss = 7;
    log(second);
    CHECK(stepscan_test::read_text(path) ==
          (format == LogFormat::csv
               ? "update,seconds,learning_rate,loss,gradient_norm,metric\n1,0.5,0.001,2.25,3,\n2,1,0.001,7,3,0.125\n"
               : "{\"update\":1,\"seconds\":0.5,\"learning_rate\":0.001,\"loss\":2.25,\"gradient_norm\":3,"
                 "\"metric\":null}\n{\"update\":2,\"seconds\":1,\"learning_rate\":0.001,\"loss\":7,\"gradient_norm\":3,"
                 "\"metric\":0.125}\n"));
  }
  CHECK_THROWS_AS(TrainingLog(folder / "no folder/log"), FileError);
}

TEST_CASE("a progress bar shows rate, loss and the time that is left", "[train]") {
  CHECK(progress_text({"parity", 120, 200, 0.6931, 2, 100}) ==
        "parity [==============>         ] 120/200  loss 0.6931  50 updates/s  ETA 0:02");
  CHECK(progress_text({"", 0, 3, 1, 0, 0}) == "[>                       ] 0/3  loss 1  0 updates/s  ETA -:--");
  CHECK(progress_text({"", 1, 1, 1, 1, 1}) == "[========================] 1/1  loss 1  1 updates/s  ETA 0:00");
  CHECK_THAT(progress_text({"", 1, 7325, 1, 1, 1}), ContainsSubstring("ETA 2:02:04"));
  std::FILE* file = std::tmpfile();
  ProgressBar(file).show({"", 1, 2, 0, 1, 1});
  CHECK(std::ftell(file) == 0);
  std::fclose(file);
}

TEST_CASE("the gradient of a language model is the one its logits give, whatever the lengths", "[train]") {
  using Model = LanguageModel<double, 5, 3, Leaky<double, 3>>;
  Model model, gradient, expected;
  randomize(model, 1);
  constexpr Index batch = 2, time = 70;
  Tensor<Index, Dynamic, Dynamic, Dynamic> ids(batch, time, 1);
  Tensor<std::int32_t, Dynamic, Dynamic> targets(batch, time);
  Random random(4);
  for (Index& id : ids) id = random.below(5);
  for (std::int32_t& target : targets) target = static_cast<std::int32_t>(random.below(5));
  const std::vector<Index> lengths{time, 66};
  const TokenIds tokens = TokenIds(ids).ragged(lengths);

  TokenGradient<Model> token_gradient;
  const LossSum loss = token_gradient(model, tokens, targets, CrossEntropy<double>{}, gradient);

  Sequence<double> logits(batch, time, 5), dlogits(batch, time, 5);
  Tape<Model> tape;
  auto state = model.initial_state(batch), none = state, dstart = state;
  model.forward(state, tokens, logits, tape);
  const auto real = SequenceView<const double>(std::as_const(logits)).ragged(lengths);
  const LossSum whole = CrossEntropy<double>{}.sum(real, targets, dlogits);
  model.backward(tape, dlogits, none, expected, dstart);
  CHECK(loss.count == time + 66);
  CHECK(loss.count == whole.count);
  CHECK(loss.sum == Approx(whole.sum).epsilon(1e-13));
  CHECK(distance(numbers(gradient), numbers(expected)) < 1e-12);
}
