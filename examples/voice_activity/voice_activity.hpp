#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <stepscan/io/safetensors.hpp>
#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/conv1d.hpp>
#include <stepscan/layers/lstm.hpp>
#include <string>
#include <vector>

/// A voice activity detector for streams: Silero VAD versions 5 and 6 (https://github.com/snakers4/silero-vad), rebuilt
/// from layers. One call takes a frame of 32 ms and gives the probability that it holds speech:
///
///   window    = [the last C samples before, N new samples, C reflected samples]
///   magnitude = |short-time Fourier transform|     4 time steps of B bins
///   features  = relu(conv(...)) four times         1 time step
///   h, c      = lstm(features)                     carried from frame to frame
///   p         = logistic(conv(relu(h)))
namespace examples {

using stepscan::Dynamic;
using stepscan::Index;

/// The parameters, named as in the weight files.
struct VoiceActivityNetwork {
  using Convolution = stepscan::Conv1d<float, Dynamic, Dynamic, Dynamic>;

  stepscan::Conv1d<float, 1, Dynamic, Dynamic, false> stft;  ///< the real parts of all bins, then the imaginary parts
  std::vector<Convolution> encoder;
  stepscan::Lstm<float, Dynamic, Dynamic> lstm;
  Convolution decoder;

  static constexpr auto fields() {
    using stepscan::Field;
    constexpr auto basis = [](auto& network) -> decltype(auto) { return (network.stft.weight); };
    return std::tuple{Field{"stft.basis", basis}, Field{"encoder", &VoiceActivityNetwork::encoder},
                      Field{"lstm", &VoiceActivityNetwork::lstm},
                      Field{"decoder.conv", &VoiceActivityNetwork::decoder}};
  }
};

namespace detail {

/// The sizes of a tensor of `rank` extents; throws FileError when it has another rank, or none of a size.
inline std::vector<Index> sizes_in(const stepscan::SafetensorsFile& file, const std::string& name, std::size_t rank) {
  const std::vector<Index> sizes = file.tensor(name).shape;
  if (sizes.size() != rank || std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) {
    stepscan::fail<stepscan::FileError>(file.where() + ": tensor '" + name + "': expected " + std::to_string(rank) +
                                        " sizes above zero, found " + stepscan::shape_text(sizes));
  }
  return sizes;
}

/// A convolution of the sizes that its weights have in the file.
inline VoiceActivityNetwork::Convolution convolution_in(const stepscan::SafetensorsFile& file, const std::string& name,
                                                        const stepscan::Conv1dOptions& options) {
  const auto sizes = sizes_in(file, name + ".weight", 3);
  return {sizes[1], sizes[0], sizes[2], options};
}

}  // namespace detail

/// Reads the weights of either sample rate; all sizes but the strides come from the file. Throws FileError.
inline VoiceActivityNetwork load_voice_activity(const std::filesystem::path& path) {
  const auto file = stepscan::SafetensorsFile::open(path);
  const auto basis = detail::sizes_in(file, "stft.basis", 3);
  const auto input = detail::sizes_in(file, "lstm.weight_ih", 2);
  const auto recurrent = detail::sizes_in(file, "lstm.weight_hh", 2);
  if (basis[0] % 2 != 0 || basis[1] != 1 || basis[2] % 4 != 0 || recurrent[0] != input[0] ||
      recurrent[1] * 4 != input[0]) {
    stepscan::fail<stepscan::FileError>(file.where() +
                                        ": expected stft.basis [2 bins, 1, a multiple of 4] and lstm weights [4 "
                                        "hidden, inputs] and [4 hidden, hidden], found " +
                                        stepscan::shape_text(basis) + ", " + stepscan::shape_text(input) + " and " +
                                        stepscan::shape_text(recurrent));
  }
  VoiceActivityNetwork network;
  network.stft = {1, basis[0], basis[2], {.stride = basis[2] / 2}};
  for (const Index stride : {1, 2, 2, 1}) {
    const std::string name = "encoder." + std::to_string(network.encoder.size());
    network.encoder.push_back(detail::convolution_in(file, name, {.stride = stride, .left = 1, .right = 1}));
  }
  network.lstm = {input[1], recurrent[1]};
  network.decoder = detail::convolution_in(file, "decoder.conv", {});
  stepscan::load_safetensors(file, network);
  return network;
}

/// What one stream carries from frame to frame, and what the last frame was on its way through the network.
struct VoiceActivityStream {
  using Sequence = stepscan::Tensor<float, 1, Dynamic, Dynamic>;

  Sequence window;  ///< [context + frame + context samples, 1]
  stepscan::Lstm<float, Dynamic, Dynamic>::State lstm;

  Sequence spectrum;              ///< [time steps, 2 bins]
  Sequence magnitude;             ///< [time steps, bins]
  std::vector<Sequence> encoded;  ///< behind each convolution of the encoder, [time steps, channels]
  Sequence hidden;                ///< [1, hidden]
  stepscan::Workspace workspace;
};

/// The network ready to run; any number of threads may run it, each with a stream of its own.
class VoiceActivityDetector {
 public:
  /// Throws ShapeError when the network's layers do not fit together.
  explicit VoiceActivityDetector(const VoiceActivityNetwork& network)
      : filter_(network.stft.weight.extent(2)),
        stft_(prepare(network.stft)),
        lstm_(prepare(network.lstm)),
        decoder_(prepare(network.decoder)) {
    for (const auto& layer : network.encoder) encoder_.push_back(prepare(layer));
    VoiceActivityStream stream = start();
    static_cast<void>(process(stream, {}));
  }

  /// New samples in one frame: 512 at 16 kHz, 256 at 8 kHz.
  [[nodiscard]] Index frame_size() const noexcept { return 2 * filter_; }
  /// In Hz: a frame lasts 32 ms.
  [[nodiscard]] int sample_rate() const noexcept { return static_cast<int>(frame_size() * 1000 / 32); }

  /// A stream before its first sample.
  [[nodiscard]] VoiceActivityStream start() const {
    using Sequence = VoiceActivityStream::Sequence;
    VoiceActivityStream stream;
    stream.window = Sequence(Index{1}, frame_size() + 2 * context_size(), Index{1});
    stream.lstm = lstm_.initial_state(1);
    Index steps = stft_.output_time(stream.window.extent(1));
    stream.spectrum = Sequence(Index{1}, steps, stft_.output_size());
    stream.magnitude = Sequence(Index{1}, steps, stft_.output_size() / 2);
    for (const auto& layer : encoder_) {
      steps = layer.output_time(steps);
      stream.encoded.emplace_back(Index{1}, steps, layer.output_size());
    }
    stream.hidden = Sequence(Index{1}, Index{1}, lstm_.output_size());
    return stream;
  }

  /// The probability of speech in the next frame; a frame that is too short (the last one of a recording) is filled
  /// with zeros. Throws ShapeError when there are more than frame_size() samples.
  [[nodiscard]] float process(VoiceActivityStream& stream, std::span<const float> samples) const {
    slide_window(stream, samples);
    stepscan::NoState none;
    stft_.scan(none, stream.window, stream.spectrum, stream.workspace);
    measure(stream);
    const VoiceActivityStream::Sequence* from = &stream.magnitude;
    for (std::size_t i = 0; i < encoder_.size(); ++i) {
      encoder_[i].scan(none, *from, stream.encoded[i], stream.workspace);
      rectify(stream.encoded[i]);
      from = &stream.encoded[i];
    }
    lstm_.scan(stream.lstm, *from, stream.hidden, stream.workspace, stepscan::Recurrent{});
    rectify(stream.hidden);
    stepscan::Tensor<float, 1, 1, 1> score;
    decoder_.scan(none, stream.hidden, score, stream.workspace);
    return 1.0F / (1.0F + std::exp(-score[0]));
  }

 private:
  template <class L>
  using Plan = decltype(prepare(std::declval<L>()));

  /// Samples of the last frame that a frame sees again.
  [[nodiscard]] Index context_size() const noexcept { return filter_ / 4; }

  /// Moves the last samples to the front, the new ones behind them, and reflects at the end without its last sample.
  void slide_window(VoiceActivityStream& stream, std::span<const float> samples) const {
    const Index frame = frame_size(), context = context_size(), count = static_cast<Index>(samples.size());
    if (count > frame) {
      stepscan::fail<stepscan::ShapeError>("VoiceActivityDetector: expected a frame of at most " +
                                           std::to_string(frame) + " samples, found " + std::to_string(count));
    }
    float* window = stream.window.data();
    std::copy_n(window + frame, context, window);
    std::copy(samples.begin(), samples.end(), window + context);
    std::fill(window + context + count, window + context + frame, 0.0F);
    const Index end = context + frame;
    for (Index k = 0; k < context; ++k) window[end + k] = window[end - 2 - k];
  }

  static void measure(VoiceActivityStream& stream) noexcept {
    const Index bins = stream.magnitude.extent(2);
    for (Index t = 0; t < stream.magnitude.extent(1); ++t) {
      const float* real = stream.spectrum.data() + t * 2 * bins;
      const float* imaginary = real + bins;
      float* magnitude = stream.magnitude.data() + t * bins;
      for (Index b = 0; b < bins; ++b) magnitude[b] = std::sqrt(real[b] * real[b] + imaginary[b] * imaginary[b]);
    }
  }

  static void rectify(VoiceActivityStream::Sequence& values) noexcept {
    for (float& value : values) value = std::max(value, 0.0F);
  }

  Index filter_;
  Plan<decltype(VoiceActivityNetwork::stft)> stft_;
  std::vector<Plan<VoiceActivityNetwork::Convolution>> encoder_;
  Plan<decltype(VoiceActivityNetwork::lstm)> lstm_;
  Plan<VoiceActivityNetwork::Convolution> decoder_;
};

}  // namespace examples
