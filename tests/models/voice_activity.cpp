#include "../../examples/voice_activity/voice_activity.hpp"

#include <models/shared_data.hpp>
#include <support/allocation.hpp>

#include "../../examples/voice_activity/speech_segments.hpp"

using namespace stepscan;
using examples::VoiceActivityDetector;
using shared_data::difference;
using shared_data::path;
using shared_data::present;

namespace {

/// [time, channels] as [channels, time].
std::vector<float> transposed(const examples::VoiceActivityStream::Sequence& x) {
  std::vector<float> values;
  for (Index c = 0; c < x.extent(2); ++c) {
    for (Index t = 0; t < x.extent(1); ++t) values.push_back(x(0, t, c));
  }
  return values;
}

/// Row `row` of a recorded tensor whose rows hold `size` numbers.
std::span<const float> row_of(const std::vector<float>& values, std::size_t row, std::size_t size) {
  return std::span(values).subspan(row * size, size);
}

/// The largest difference, relative to numbers above one.
double relative_difference(std::span<const float> values, std::span<const float> expected) {
  double most = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double wanted = static_cast<double>(expected[i]);
    most = std::max(most, std::abs(static_cast<double>(values[i]) - wanted) / std::max(1.0, std::abs(wanted)));
  }
  return most;
}

}  // namespace

TEST_CASE("the voice activity detector agrees with the engine it comes from, frame by frame",
          "[voice_activity][shared]") {
  struct Recorded {
    std::string rate, audio;
    int speech_frames;
  };
  const Recorded recorded =
      GENERATE(Recorded{"16k", "librivox_gaps_16k", 332}, Recorded{"16k", "espeak_pinknoise_16k", 283},
               Recorded{"8k", "librivox_gaps_8k", 339});
  const std::string model_file = "models/silero_vad_v5_" + recorded.rate + ".safetensors";
  const std::string expected_file = "data/vad_v5_" + recorded.audio + ".safetensors";
  if (!present({model_file, expected_file, "data/" + recorded.audio + ".wav"})) return;
  CAPTURE(recorded.audio);

  const auto samples = shared_data::read_wav("data/" + recorded.audio + ".wav");
  const auto expected = SafetensorsFile::open(path(expected_file));
  const auto state_h = expected.values<float>("out/state.h"), state_c = expected.values<float>("out/state.c");
  const auto inner_frames = expected.values<std::int64_t>("frame/index");
  std::vector<std::vector<float>> inner{expected.values<float>("frame/magnitude")};
  for (int i = 0; i < 4; ++i) inner.push_back(expected.values<float>("frame/encoder." + std::to_string(i)));

  const VoiceActivityDetector detector(examples::load_voice_activity(path(model_file)));
  REQUIRE(detector.sample_rate() == (recorded.rate == "16k" ? 16000 : 8000));
  auto stream = detector.start();
  std::vector<float> probabilities;
  std::size_t inner_seen = 0;
  double h_error = 0, c_error = 0, inner_error = 0;
  const auto frame = static_cast<std::size_t>(detector.frame_size());
  for (std::size_t at = 0; at < samples.size(); at += frame) {
    const std::size_t index = probabilities.size();
    probabilities.push_back(
        detector.process(stream, std::span(samples).subspan(at, std::min(frame, samples.size() - at))));
    const auto hidden = static_cast<std::size_t>(stream.lstm.h.size());
    h_error = std::max(h_error, difference(stream.lstm.h.span(), row_of(state_h, index, hidden)));
    c_error = std::max(c_error, relative_difference(stream.lstm.c.span(), row_of(state_c, index, hidden)));
    const auto found = std::find(inner_frames.begin(), inner_frames.end(), static_cast<std::int64_t>(index));
    if (found == inner_frames.end()) continue;
    ++inner_seen;
    const auto row = static_cast<std::size_t>(found - inner_frames.begin());
    for (std::size_t i = 0; i < inner.size(); ++i) {
      const auto values = transposed(i == 0 ? stream.magnitude : stream.encoded[i - 1]);
      const auto wanted = row_of(inner[i], row, values.size());
      const float scale = std::max(1.0F, *std::max_element(wanted.begin(), wanted.end()));
      inner_error = std::max(inner_error, difference(values, wanted) / static_cast<double>(scale));
    }
  }
  CHECK(difference(probabilities, expected.values<float>("out/prob")) < 1e-5);
  CHECK(difference(probabilities, expected.values<double>("ref64/prob")) < 1e-5);
  CHECK(std::count_if(probabilities.begin(), probabilities.end(), [](float p) { return p >= 0.5F; }) ==
        recorded.speech_frames);
  CHECK(inner_seen == inner_frames.size());
  CHECK(inner_error < 1e-5);
  CHECK(h_error < 1e-4);
  CHECK(c_error < 5e-5);  // c is not bounded: it reaches 240
}

TEST_CASE("streams of one detector are independent, and a frame allocates nothing", "[voice_activity][shared]") {
  if (!present({"models/silero_vad_v5_8k.safetensors", "data/librivox_gaps_8k.wav"})) return;
  const VoiceActivityDetector detector(examples::load_voice_activity(path("models/silero_vad_v5_8k.safetensors")));
  const auto samples = shared_data::read_wav("data/librivox_gaps_8k.wav");
  const auto frame = static_cast<std::size_t>(detector.frame_size());
  const auto frame_at = [&](std::size_t i) { return std::span(samples).subspan(i * frame, frame); };
  auto first = detector.start(), alone = detector.start();
  std::vector<float> expected, found;
  for (std::size_t i = 60; i < 80; ++i) expected.push_back(detector.process(alone, frame_at(i)));
  auto second = detector.start();
  static_cast<void>(detector.process(second, frame_at(0)));
  const long before = testing::allocation_count();
  static_cast<void>(detector.process(second, frame_at(1)));
  CHECK(testing::allocation_count() == before);
  for (std::size_t i = 60; i < 80; ++i) {
    found.push_back(detector.process(first, frame_at(i)));
    static_cast<void>(detector.process(second, frame_at(i + 100)));
  }
  CHECK(found == expected);
  const auto too_long = std::span(samples).first(frame + 1);
  CHECK_THROWS_AS(detector.process(first, too_long), ShapeError);
}

TEST_CASE("the detector takes its sizes from the file and refuses files that do not fit together", "[voice_activity]") {
  const auto file = std::filesystem::temp_directory_path() / "stepscan_voice_activity_test.safetensors";
  const auto save = [&](Index hidden, Index recurrent_rows, Index encoder_inputs) {
    TensorMap tensors;
    Random random(11);
    const auto add = [&](const std::string& name, std::vector<Index> shape) {
      Index count = 1;
      for (const Index size : shape) count *= size;
      std::vector<float> values(static_cast<std::size_t>(count));
      for (float& value : values) value = static_cast<float>(random.uniform(-0.2, 0.2));
      set_tensor<float>(tensors, name, shape, values);
    };
    const std::array<Index, 5> channels{encoder_inputs, 7, 5, 6, 9};
    add("stft.basis", {10, 1, 16});
    for (std::size_t i = 0; i < 4; ++i) {
      add("encoder." + std::to_string(i) + ".weight", {channels[i + 1], channels[i], 3});
      add("encoder." + std::to_string(i) + ".bias", {channels[i + 1]});
    }
    add("lstm.weight_ih", {4 * hidden, 9});
    add("lstm.weight_hh", {recurrent_rows, hidden});
    add("lstm.bias_ih", {4 * hidden});
    add("lstm.bias_hh", {4 * hidden});
    add("decoder.conv.weight", {1, hidden, 1});
    add("decoder.conv.bias", {1});
    save_safetensors(file, tensors);
  };
  save(11, 44, 5);
  const VoiceActivityDetector detector(examples::load_voice_activity(file));
  CHECK(detector.frame_size() == 32);
  auto stream = detector.start();
  const std::vector<float> samples(32, 0.5F);
  const float probability = detector.process(stream, samples);
  CHECK((probability > 0 && probability < 1));
  save(11, 40, 5);
  CHECK_THROWS_AS(examples::load_voice_activity(file), FileError);
  save(11, 44, 4);
  CHECK_THROWS_AS(VoiceActivityDetector(examples::load_voice_activity(file)), ShapeError);
  std::filesystem::remove(file);
}

TEST_CASE("speech segments: two thresholds, shortest speech and silence, padding", "[voice_activity]") {
  using examples::find_speech;
  examples::SegmentOptions options;
  options.min_silence = 0.2;
  options.min_speech = 0.3;
  options.padding = 0;
  const auto at = [&](std::vector<float> p) { return find_speech(p, 0.1, options); };
  CHECK(at({}).empty());
  CHECK(at({0.4F, 0.4F, 0.4F, 0.4F}).empty());
  const auto held = at({0.1F, 0.6F, 0.4F, 0.1F, 0.4F, 0.1F, 0.1F, 0.1F});
  REQUIRE(held.size() == 1);
  CHECK(held[0].begin == Approx(0.1));
  CHECK(held[0].end == Approx(0.5));
  CHECK(at({0.9F, 0.9F, 0.1F, 0.1F, 0.9F, 0.9F}).empty());
  const auto to_the_end = at({0.1F, 0.9F, 0.9F, 0.9F});
  REQUIRE(to_the_end.size() == 1);
  CHECK(to_the_end[0].end == Approx(0.4));
  options.padding = 0.15;
  const auto padded = at({0.9F, 0.9F, 0.9F, 0.0F, 0.0F, 0.9F, 0.9F, 0.9F, 0.0F, 0.0F, 0.0F});
  REQUIRE(padded.size() == 2);
  CHECK(padded[0].begin == Approx(0.0).margin(1e-12));
  CHECK(padded[0].end == Approx(0.4));
  CHECK(padded[1].begin == Approx(0.4));
  CHECK(padded[1].end == Approx(0.95));
}
