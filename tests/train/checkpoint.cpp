#include <io/files.hpp>
#include <stepscan/train/checkpoint_folder.hpp>
#include <stepscan/train/trainer.hpp>
#include <support/catch.hpp>
#include <train/curve_fit.hpp>

#if __has_include(<sys/wait.h>)
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

using namespace stepscan;
using namespace stepscan::testing;
using stepscan_test::message_of;

namespace {

/// A run that draws its batches from a generator and averages its weights.
struct Run {
  FitModel model = fit_model();
  FitOptimizer optimizer{model, {.weight_decay = 0.1}};
  FitModel average = model;
  Random random{5, 2};
  std::vector<double> losses;
  FitParallel parallel{2, 1};
  Trainer<FitModel, FitOptimizer> trainer;

  explicit Run(std::int64_t updates)
      : trainer(model, optimizer, {.updates = updates, .clip_norm = 1, .evaluate_every = 2}) {
    trainer.learning_rate = [](std::int64_t done) { return 0.01 / static_cast<double>(1 + done); };
    trainer.evaluate = [](const FitModel& m) { return numbers(m)[0]; };
    trainer.log = [this](const TrainingRecord& record) { losses.push_back(record.loss); };
    trainer.after_update = [this](const TrainingProgress&) {
      for_each_tensor(
          [](const Path&, auto& mean, const auto& value) {
            for (Index i = 0; i < mean.size(); ++i) mean[i] += 0.1 * (value[i] - mean[i]);
          },
          average, model);
    };
  }
  Run(const Run&) = delete;

  void run() {
    CHECK(trainer.run([this](std::int64_t, FitModel& gradient) {
      return fit_gradient(model, parallel)(random.below(1000), gradient);
    }) == TrainingEnd::finished);
  }
  template <class Action>
  auto with_parts(Action&& action) {
    return action(Kept{"model", model}, Kept{"optimizer", optimizer}, Kept{"average", average}, Kept{"batches", random},
                  Kept{"losses", losses}, Kept{"run", trainer.progress});
  }
};

const auto save_to = [](const std::filesystem::path& path) {
  return [path](const auto&... parts) { save_checkpoint(path, parts...); };
};
const auto load_from = [](const std::filesystem::path& path) {
  return [path](const auto&... parts) { load_checkpoint(path, parts...); };
};

void flip_bit(const std::filesystem::path& path, std::size_t from_end) {
  std::string bytes = stepscan_test::read_text(path);
  bytes[bytes.size() - from_end] = static_cast<char>(bytes[bytes.size() - from_end] ^ 4);
  stepscan_test::write_bytes(path, stepscan_test::bytes_of(bytes));
}

}  // namespace

TEST_CASE("a run that is saved and loaded elsewhere goes on bit for bit", "[train]") {
  const stepscan_test::TemporaryFolder folder;
  Run whole(10);
  whole.run();
  {
    Run first(5);
    first.run();
    first.with_parts(save_to(folder / "half.safetensors"));
  }
  Run second(10);
  second.random = Random(77);
  second.with_parts(load_from(folder / "half.safetensors"));
  CHECK(second.trainer.progress.updates == 5);
  second.run();
  CHECK(numbers(second.model) == numbers(whole.model));
  CHECK(numbers(second.average) == numbers(whole.average));
  CHECK(numbers(second.optimizer) == numbers(whole.optimizer));
  CHECK(second.losses == whole.losses);
  CHECK(second.random.bits() == whole.random.bits());
  CHECK(second.trainer.progress.best_metric == whole.trainer.progress.best_metric);
  CHECK(second.trainer.progress.evaluations_since_best == whole.trainer.progress.evaluations_since_best);
  FitModel alone;
  load_safetensors(folder / "half.safetensors", alone, "model.");
}

TEST_CASE("a checkpoint that does not fit changes nothing", "[train]") {
  const stepscan_test::TemporaryFolder folder;
  const auto path = folder / "checkpoint.safetensors";
  Run run(1);
  run.with_parts(save_to(path));
  FitModel model = fit_model(2);
  const auto before = numbers(model);
  double value = 3;
  std::vector<double> losses{1};
  CHECK_THAT(message_of<FileError>([&] {
               load_checkpoint(path, Kept{"model", model});
             }),
             ContainsSubstring("expected nothing but the parts asked for, found 'average.0.bias'"));
  const auto with_number = [&] {
    run.with_parts([&](const auto&... parts) { load_checkpoint(path, parts..., Kept{"rate", value}); });
  };
  CHECK_THAT(message_of<FileError>(with_number), ContainsSubstring("expected a tensor 'rate', found none"));
  CHECK_THAT(message_of<FileError>([&] {
               load_checkpoint(path, Kept{"losses", value});
             }),
             ContainsSubstring("tensor 'losses': expected numbers: 1, found 0"));
  CHECK(numbers(model) == before);
  CHECK(value == 3);
  CHECK_THROWS_AS(save_checkpoint(path, Kept{"a", value}, Kept{"a", losses}), ArgumentError);

  save_safetensors(path, model);
  CHECK_THAT(message_of<FileError>([&] {
               load_checkpoint(path, Kept{"model", model});
             }),
             ContainsSubstring("expected format stepscan checkpoint 1, found none"));
}

TEST_CASE("a folder keeps the last checkpoints and passes damaged ones over", "[train]") {
  const stepscan_test::TemporaryFolder temporary;
  CheckpointFolder folder(temporary / "run/part");
  std::vector<std::string> reports;
  folder.report = [&](const std::string& text) { reports.push_back(text); };
  double value = 0;
  std::vector<double> list(100);
  const auto save = [&](std::int64_t update) {
    value = static_cast<double>(update);
    folder.save(update, Kept{"value", value}, Kept{"list", list});
  };
  const auto load = [&] { return folder.load_latest(Kept{"value", value}, Kept{"list", list}); };
  CHECK(!load());
  for (const std::int64_t update : {5, 50, 500, 5000}) save(update);
  CHECK(folder.files() == std::vector{folder.path_of(5000), folder.path_of(500)});
  CHECK(load() == 5000);
  flip_bit(folder.path_of(5000), 100);
  CHECK(load() == 500);
  CHECK(value == 500);
  REQUIRE(reports.size() == 1);
  CHECK_THAT(reports[0], ContainsSubstring("checkpoint-000000005000.safetensors': expected hash"));

  stepscan_test::write_bytes(folder.path_of(500).string() + ".partial0", stepscan_test::bytes_of("half"));
  stepscan_test::write_bytes(temporary / "run/part/notes.txt", stepscan_test::bytes_of("mine"));
  save(501);
  CHECK(folder.files() == std::vector{folder.path_of(501), folder.path_of(500)});
  CHECK(std::distance(std::filesystem::directory_iterator(temporary / "run/part"), {}) == 3);

  std::filesystem::resize_file(folder.path_of(501), 300);
  std::filesystem::resize_file(folder.path_of(500), 0);
  CHECK(!load());
  CHECK(value == 501);
  CHECK(reports.size() == 3);
  save(1);
  CHECK(folder.files() == std::vector{folder.path_of(1)});
  CHECK_THROWS_AS(folder.load_latest(Kept{"value", value}), FileError);
  CHECK_THROWS_AS(CheckpointFolder(temporary / "run/part", 0), ArgumentError);
  CHECK_THROWS_AS(CheckpointFolder(temporary / "run/part/notes.txt"), FileError);
}

#if __has_include(<sys/wait.h>)
TEST_CASE("a run that is killed while it writes loses nothing that it had saved", "[train]") {
  const stepscan_test::TemporaryFolder temporary;
  const CheckpointFolder folder(temporary / "run");
  std::vector<std::int64_t> list(20'000);
  std::int64_t update = 0;
  for (int round = 0; round < 12; ++round) {
    std::array<int, 2> channel{};
    REQUIRE(pipe(channel.data()) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      for (std::int64_t next = update + 1;; ++next) {
        list.assign(list.size(), next);
        folder.save(next, Kept{"list", list});
        if (write(channel[1], &next, sizeof(next)) != sizeof(next)) _exit(1);
      }
    }
    close(channel[1]);
    std::int64_t saved = 0;
    REQUIRE(read(channel[0], &saved, sizeof(saved)) == sizeof(saved));
    usleep(static_cast<useconds_t>(1000 + 370 * round));
    kill(child, SIGKILL);
    REQUIRE(waitpid(child, nullptr, 0) == child);
    for (std::int64_t more = 0; read(channel[0], &more, sizeof(more)) == sizeof(more);) saved = more;
    close(channel[0]);

    const auto found = folder.load_latest(Kept{"list", list});
    REQUIRE(found.has_value());
    CHECK(*found >= saved);
    CHECK(list == std::vector<std::int64_t>(20'000, *found));
    update = *found;
  }
  folder.save(update + 1, Kept{"list", list});
  CHECK(std::distance(std::filesystem::directory_iterator(temporary / "run"), {}) == 2);
}
#endif
