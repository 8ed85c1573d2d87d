/// Reads images pixel after pixel with blocks of S4D: all pixels at once, one by one, and the first half at once with
/// the rest one by one, which give the same answer. Trains them first where there are images to train on. Shows the
/// impulse response of a channel. Without files it draws images and takes fresh parameters, whose answers mean nothing.
/// With --copy it learns the copying memory task instead.

#include <chrono>
#include <stepscan/io/safetensors.hpp>
#include <stepscan/train/curve_plot.hpp>

#include "../support/arguments.hpp"
#include "../support/seconds.hpp"
#include "copy_task.hpp"
#include "image_files.hpp"
#include "image_reader.hpp"
#include "image_training.hpp"
#include "kernel_plot.hpp"

namespace {

using namespace stepscan;

constexpr const char* usage =
    "usage: stepscan_sequential_image [--images FILE [--labels FILE]] [--weights FILE.safetensors] [--count N]\n"
    "                                 [--train-images FILE --train-labels FILE [--epochs N] [--save "
    "FILE.safetensors]]\n"
    "                                 [--channel N] [--svg FILE] [--seed N]\n"
    "       stepscan_sequential_image --copy DELAY [--updates N] [--seed N]\n"
    "  --images FILE        IDX file of images, as MNIST has them\n"
    "  --labels FILE        IDX file of their labels\n"
    "  --weights FILE       parameters (default: fresh ones)\n"
    "  --count N            images read (default 16)\n"
    "  --train-images FILE  trains the parameters on these images first\n"
    "  --train-labels FILE  and their labels\n"
    "  --epochs N           runs through them (default 10)\n"
    "  --save FILE          writes the parameters trained\n"
    "  --channel N          whose impulse response is shown (default 0)\n"
    "  --svg FILE           writes it as an image\n"
    "  --copy DELAY         learns to repeat symbols behind so many silent tokens, in place of images\n"
    "  --updates N          of its parameters (default 1000)\n"
    "  --seed N             of fresh parameters, drawn images and the order of training (default 1)\n";

/// More images than any file is asked for.
constexpr Index all_images = 1 << 20;

using Logits = Tensor<float, Dynamic, Dynamic>;

float largest_difference(const Logits& a, const Logits& b) {
  float largest = 0;
  for (Index i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

/// The logits behind all pixels, of which the first `at_once` are read by one scan; prints the rate of a second
/// reading.
Logits read_images(const examples::ImageReaderPlan& plan, SequenceView<const float> pixels, Index at_once,
                   const char* how) {
  auto stream = plan.start(pixels.batch);
  double seconds = 0;
  for (int i = 0; i < 2; ++i) {
    plan.restart(stream);
    const auto start = std::chrono::steady_clock::now();
    if (at_once > 0) plan.scan(stream, pixels.slice(0, at_once));
    for (Index t = at_once; t < pixels.time; ++t) plan.step(stream, pixels.frame(t));
    seconds = examples::seconds_since(start);
  }
  std::printf("%-24s %10.0f pixels/s\n", how, static_cast<double>(pixels.batch * pixels.time) / seconds);
  return plan.logits(stream);
}

void print_answers(const Logits& logits, const std::vector<int>& labels) {
  Index right = 0;
  for (Index i = 0; i < logits.extent(0); ++i) {
    const float* row = &logits(i, 0);
    const Index answer = std::max_element(row, row + logits.extent(1)) - row;
    if (!labels.empty() && answer == labels[static_cast<std::size_t>(i)]) ++right;
  }
  if (!labels.empty()) std::printf("%td of %td images right\n", right, logits.extent(0));
}

void show_kernel(const examples::ImageReader& model, Index channel, Index length, const std::string& svg) {
  Logits responses(examples::ImageReader::width, length);
  Workspace workspace;
  model.first_system().kernel(MatrixView<float>(responses), workspace);
  const std::span<const float> response(&responses(channel, 0), static_cast<std::size_t>(length));
  const std::string title =
      "impulse response of channel " + std::to_string(channel) + " over " + std::to_string(length) + " pixels";
  std::printf("%s:\n", title.c_str());
  examples::print_curve(response);
  if (svg.empty()) return;
  Curve curve;
  for (Index t = 0; t < length; ++t) {
    curve.x.push_back(static_cast<double>(t));
    curve.y.push_back(static_cast<double>(responses(channel, t)));
  }
  CurvePlot{title, "pixel", "response", {curve}}.save(svg);
}

void train(examples::ImageReader& model, const examples::Images& images, int epochs, Random& random) {
  examples::ImageTrainer trainer(model, images, epochs);
  for (int epoch = 1; epoch <= epochs; ++epoch) {
    const auto start = std::chrono::steady_clock::now();
    const double loss = trainer.run_epoch(random);
    std::printf("epoch %d of %d: loss %.3f, %.1f s\n", epoch, epochs, loss, examples::seconds_since(start));
    std::fflush(stdout);
  }
}

void run(examples::Arguments arguments) {
  const std::string image_path = arguments.word("--images", {}), label_path = arguments.word("--labels", {});
  const std::string weights = arguments.word("--weights", {}), svg = arguments.word("--svg", {});
  const std::string train_images = arguments.word("--train-images", {});
  const std::string train_labels = arguments.word("--train-labels", {}), save = arguments.word("--save", {});
  const int epochs = arguments.number("--epochs", 10, 1, 1000);
  const Index count = arguments.number("--count", 16, 1, 4096);
  const Index channel = arguments.number("--channel", 0, 0, examples::ImageReader::width - 1);
  const auto seed = static_cast<std::uint64_t>(arguments.number("--seed", 1, 0, 1 << 30));
  const Index delay = arguments.number("--copy", 0, 0, 1 << 16);
  const int updates = arguments.number("--updates", 1000, 1, 1 << 24);
  static_cast<void>(arguments.words(0));
  if (delay > 0) return examples::run_copies(delay, updates, seed);
  if (image_path.empty() && !label_path.empty()) fail<ArgumentError>("--labels: expected --images beside it");
  if (train_images.empty() != train_labels.empty()) {
    fail<ArgumentError>("expected --train-images and --train-labels together");
  }

  const examples::Images images =
      image_path.empty() ? examples::draw_images(count, seed) : examples::read_images(image_path, label_path, count);
  examples::ImageReader model;
  Random random(seed);
  if (weights.empty()) {
    model.initialize(random);
  } else {
    load_safetensors(weights, model);
  }
  const SequenceView<const float> pixels = images.pixels;
  std::printf("%td parameters, %td images of %td pixels\n", element_count(model), pixels.batch, pixels.time);
  if (!train_images.empty()) {
    train(model, examples::read_images(train_images, train_labels, all_images), epochs, random);
    if (!save.empty()) save_safetensors(save, model);
  }

  const examples::ImageReaderPlan plan(model);
  const Logits scanned = read_images(plan, pixels, pixels.time, "all pixels at once");
  const Logits stepped = read_images(plan, pixels, 0, "one pixel at a time");
  const Logits mixed = read_images(plan, pixels, pixels.time / 2, "half and half");
  std::printf("logits at most %.1e apart\n",
              static_cast<double>(std::max(largest_difference(scanned, stepped), largest_difference(scanned, mixed))));
  print_answers(scanned, images.labels);
  show_kernel(model, channel, pixels.time, svg);
}

}  // namespace

int main(int count, char** values) {
  return examples::run_program("stepscan_sequential_image", usage, count, values, run);
}
