/// Reads images pixel after pixel with blocks of S4D, or LSTMs to compare: all pixels at once, one by one, and the
/// first half at once with the rest one by one, which give the same answer. Trains them first where there are images to
/// train on. Shows the impulse response of a channel. Without files it draws images and takes fresh parameters, whose
/// answers mean nothing. With --copy it learns the copying memory task instead.

#include <stepscan/io/safetensors.hpp>

#include "../support/arguments.hpp"
#include "copy_task.hpp"
#include "image_training.hpp"
#include "kernel_plot.hpp"

namespace {

using namespace stepscan;
using examples::Logits;

constexpr const char* usage =
    "usage: stepscan_sequential_image [--images FILE [--labels FILE]] [--weights FILE.safetensors] [--count N]\n"
    "                                 [--layer NAME] [--train-images FILE --train-labels FILE [--epochs N]\n"
    "                                 [--shift N] [--folder DIR] [--save FILE.safetensors]]\n"
    "                                 [--channel N] [--svg FILE] [--seed N]\n"
    "       stepscan_sequential_image --quick [--layer NAME] [--seed N]\n"
    "       stepscan_sequential_image --copy DELAY [--updates N] [--seed N]\n"
    "  --images FILE        IDX file of images, as MNIST has them\n"
    "  --labels FILE        IDX file of their labels\n"
    "  --layer NAME         s4d (default) or lstm\n"
    "  --weights FILE       parameters (default: fresh ones)\n"
    "  --count N            images read (default 16; 1000 where it trains)\n"
    "  --train-images FILE  trains the parameters on these images first\n"
    "  --train-labels FILE  and their labels\n"
    "  --epochs N           runs through them (default 10)\n"
    "  --shift N            pixels by which images are moved at most while training (default 1)\n"
    "  --folder DIR         for the log and the curves of training\n"
    "  --save FILE          writes the parameters trained\n"
    "  --quick              trains on small rings that it draws; fails unless it learns to tell their sizes\n"
    "  --channel N          whose impulse response is shown (default 0)\n"
    "  --svg FILE           writes it as an image\n"
    "  --copy DELAY         learns to repeat symbols behind so many silent tokens, in place of images\n"
    "  --updates N          of its parameters (default 1000)\n"
    "  --seed N             of fresh parameters, drawn images and the order of training (default 1)\n";

struct Settings {
  std::string weights, save, svg;
  Index channel = 0;
  examples::Images images;    ///< to be read
  examples::Images training;  ///< none where nothing is trained
  examples::ImageTraining how;
  double least_right = 0;  ///< share of `images` a trained model has to tell right
};

float largest_difference(const Logits& a, const Logits& b) {
  float largest = 0;
  for (Index i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

/// Reads the images and prints the rate of a second reading.
template <class Plan>
Logits read_timed(const Plan& plan, SequenceView<const float> pixels, Index at_once, const char* how) {
  static_cast<void>(examples::read_images(plan, pixels.members(0, 1), at_once));
  const double start = examples::processor_seconds();
  Logits logits = examples::read_images(plan, pixels, at_once);
  const double seconds = examples::processor_seconds() - start;
  std::printf("%-24s %10.0f pixels/s of one core\n", how, static_cast<double>(pixels.batch * pixels.time) / seconds);
  return logits;
}

void show_kernel(const examples::ImageReader<examples::S4dBlock>& model, Index channel, Index length,
                 const std::string& svg) {
  Logits responses(examples::image_width, length);
  Workspace workspace;
  std::get<1>(model.encoder.get<1>().inner.layers).kernel(MatrixView<float>(responses), workspace);
  const std::span<const float> response(&responses(channel, 0), static_cast<std::size_t>(length));
  const std::string title =
      "impulse response of channel " + std::to_string(channel) + " over " + std::to_string(length) + " pixels";
  std::printf("%s:\n", title.c_str());
  examples::print_curve(response);
  if (svg.empty()) return;
  Curve curve;
  for (Index t = 0; t < length; ++t) {
    curve.add(static_cast<double>(t), static_cast<double>(responses(channel, t)));
  }
  CurvePlot{title, "pixel", "response", {curve}}.save(svg);
}

template <class Block>
void run_reader(const Settings& settings) {
  examples::ImageReader<Block> model;
  if (settings.weights.empty()) {
    initialize(model, settings.how.seed);
  } else {
    load_safetensors(settings.weights, model);
  }
  const SequenceView<const float> pixels = settings.images.pixels;
  std::printf("%td parameters, %td images of %td pixels\n", element_count(model), pixels.batch, pixels.time);
  if (!settings.training.labels.empty()) {
    const double right = examples::train_reader(model, settings.training, settings.images, settings.how);
    if (!settings.save.empty()) save_safetensors(settings.save, model);
    if (right < settings.least_right) {
      fail<Error>("expected " + std::to_string(settings.least_right) + " of the images told right, found " +
                  std::to_string(right));
    }
  }
  const auto plan = prepare(model);
  const Logits scanned = read_timed(plan, pixels, pixels.time, "all pixels at once");
  const Logits stepped = read_timed(plan, pixels, 0, "one pixel at a time");
  const Logits mixed = read_timed(plan, pixels, pixels.time / 2, "half and half");
  std::printf("logits at most %.1e apart\n",
              static_cast<double>(std::max(largest_difference(scanned, stepped), largest_difference(scanned, mixed))));
  if (!settings.images.labels.empty()) {
    std::printf("%td of %td images right\n", examples::count_right(scanned, settings.images.labels), pixels.batch);
  }
  if constexpr (std::same_as<Block, examples::S4dBlock>)
    show_kernel(model, settings.channel, pixels.time, settings.svg);
}

void run(examples::Arguments arguments) {
  const bool quick = arguments.flag("--quick");
  const std::string image_path = arguments.word("--images", {}), label_path = arguments.word("--labels", {});
  const std::string train_images = arguments.word("--train-images", {});
  const std::string train_labels = arguments.word("--train-labels", {});
  const std::string layer = arguments.word("--layer", "s4d");
  Settings settings;
  settings.weights = arguments.word("--weights", {});
  settings.save = arguments.word("--save", {});
  settings.svg = arguments.word("--svg", {});
  settings.channel = arguments.number("--channel", 0, 0, examples::image_width - 1);
  settings.how.folder = arguments.word("--folder", {});
  settings.how.epochs = arguments.number("--epochs", 10, 1, 1000);
  settings.how.shift = arguments.number("--shift", quick ? 0 : 1, 0, 8);
  settings.how.seed = arguments.seed();
  const Index count = arguments.number("--count", train_images.empty() ? 16 : 1000, 1, 4096);
  const Index delay = arguments.number("--copy", 0, 0, 1 << 16);
  const int updates = arguments.number("--updates", 1000, 1, 1 << 24);
  static_cast<void>(arguments.words(0));
  if (delay > 0) return examples::run_copies(delay, updates, settings.how.seed);
  if (layer != "s4d" && layer != "lstm") fail<ArgumentError>("--layer: expected s4d or lstm, found '" + layer + "'");
  if (image_path.empty() && !label_path.empty()) fail<ArgumentError>("--labels: expected --images beside it");
  if (train_images.empty() != train_labels.empty()) {
    fail<ArgumentError>("expected --train-images and --train-labels together");
  }
  if (!train_images.empty() && label_path.empty()) {
    fail<ArgumentError>("--train-images: expected --images and --labels to test on beside it");
  }

  constexpr Index all_images = 1 << 20, quick_side = 10;
  if (quick) {
    settings.images = examples::draw_images(100, settings.how.seed + 1, quick_side);
    settings.training = examples::draw_images(320, settings.how.seed, quick_side);
    settings.least_right = 0.8;
  } else {
    settings.images = image_path.empty() ? examples::draw_images(count, settings.how.seed)
                                         : examples::read_images(image_path, label_path, count);
  }
  if (!train_images.empty()) settings.training = examples::read_images(train_images, train_labels, all_images);
  return layer == "s4d" ? run_reader<examples::S4dBlock>(settings) : run_reader<examples::LstmBlock>(settings);
}

}  // namespace

int main(int count, char** values) {
  return examples::run_program("stepscan_sequential_image", usage, count, values, run);
}
