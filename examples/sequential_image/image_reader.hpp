#pragma once

#include <stepscan/layers/layer_norm.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/s4d.hpp>
#include <stepscan/models/s4_block.hpp>
#include <stepscan/models/sequential.hpp>

/// A classifier of images that are read pixel after pixel (sequential MNIST, arXiv 2111.00396, section 4.2): blocks of
/// S4D over the pixels, the mean over all pixels read so far, one linear map.
namespace examples {

using stepscan::Dynamic;
using stepscan::Index;

/// The parameters.
struct ImageReader {
  static constexpr Index width = 64, state_size = 64, classes = 10;
  using Ssm = stepscan::S4d<float, width, state_size>;
  using Block = stepscan::S4Block<Ssm>;
  using Body = stepscan::Sequential<stepscan::Linear<float, 1, width>, Block, Block, stepscan::LayerNorm<float, width>>;
  using Head = stepscan::Linear<float, width, classes>;

  Body body;
  Head head;

  static constexpr auto fields() {
    return std::tuple{stepscan::Field{"body", &ImageReader::body}, stepscan::Field{"head", &ImageReader::head}};
  }

  void initialize(stepscan::Random& random) {
    body.initialize(random);
    head.initialize(random);
  }

  /// The state space of the first block.
  [[nodiscard]] const Ssm& first_system() const noexcept { return std::get<1>(body.get<1>().inner.layers); }
};

/// The parameters ready to run. A stream may take its pixels one by one, all at once, or in any mixture of the two.
class ImageReaderPlan {
  using Body = decltype(prepare(std::declval<ImageReader::Body>()));
  using Head = decltype(prepare(std::declval<ImageReader::Head>()));
  using Rows = stepscan::Tensor<float, Dynamic, ImageReader::width>;
  using Sequence = stepscan::Tensor<float, Dynamic, Dynamic, ImageReader::width>;

 public:
  /// Some images that are read in lockstep.
  struct Stream {
    Body::State state;
    Rows sum;      ///< of what the body gave
    Rows current;  ///< what it gives for one pixel
    Index read = 0;
    Sequence features;
    stepscan::Workspace workspace;
  };

  explicit ImageReaderPlan(const ImageReader& model) : body_(prepare(model.body)), head_(prepare(model.head)) {}

  /// Before the first pixel of `count` images.
  [[nodiscard]] Stream start(Index count) const {
    return {body_.initial_state(count), Rows(count, ImageReader::width), Rows(count, ImageReader::width), 0, {}, {}};
  }

  /// Back before the first pixel.
  void restart(Stream& stream) const {
    stream.state = body_.initial_state(stream.sum.extent(0));
    stream.sum.fill(0);
    stream.read = 0;
  }

  /// Reads pixels [count, time, 1] in the body's own forms.
  void scan(Stream& stream, stepscan::SequenceView<const float> pixels) const {
    if (stream.features.extent(1) != pixels.time) {
      stream.features = Sequence(Index{pixels.batch}, Index{pixels.time}, ImageReader::width);
    }
    body_.scan(stream.state, pixels, stream.features, stream.workspace);
    for (Index b = 0; b < pixels.batch; ++b) {
      for (Index t = 0; t < pixels.time; ++t) add(&stream.features(b, t, 0), b, stream);
    }
    stream.read += pixels.time;
  }

  /// Reads one pixel of every image, pixel [count, 1].
  void step(Stream& stream, stepscan::MatrixView<const float, Dynamic, 1> pixel) const noexcept {
    body_.step(stream.state, pixel, stream.current);
    for (Index b = 0; b < pixel.rows; ++b) add(&stream.current(b, 0), b, stream);
    ++stream.read;
  }

  /// What the pixels read so far speak for, [count, classes].
  [[nodiscard]] stepscan::Tensor<float, Dynamic, Dynamic> logits(const Stream& stream) const {
    Rows mean = stream.sum;
    for (float& value : mean) value /= static_cast<float>(std::max<Index>(stream.read, 1));
    stepscan::Tensor<float, Dynamic, Dynamic> result(mean.extent(0), ImageReader::classes);
    stepscan::NoState none;
    head_.step(none, stepscan::MatrixView<const float>(mean), stepscan::MatrixView<float>(result));
    return result;
  }

 private:
  static void add(const float* features, Index image, Stream& stream) noexcept {
    for (Index i = 0; i < ImageReader::width; ++i) stream.sum(image, i) += features[i];
  }

  Body body_;
  Head head_;
};

}  // namespace examples
