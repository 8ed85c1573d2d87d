#include <models/gtcrn_network.hpp>
#include <models/shared_data.hpp>

using namespace stepscan;
using namespace gtcrn;
using shared_data::difference;
using shared_data::present;

namespace {

/// The whole network; the stages as its authors number them.
class Gtcrn {
 public:
  struct State {
    std::vector<DilatedBlock::State> blocks;  ///< in the order they run
    std::array<DualPath::State, 2> dual_paths;
  };

  explicit Gtcrn(Weights& weights)
      : bands_in_(weights.values("erb.erb_fc.weight")),
        bands_out_(weights.values("erb.ierb_fc.weight")),
        high_bands_(weights.size("erb.erb_fc.weight", 0)),
        high_bins_(weights.size("erb.erb_fc.weight", 1)),
        inner_bands_(weights.size("dpgrnn1.intra_ln.weight", 0)),
        down1_(weights, "encoder.en_convs.0", 1),
        down2_(weights, "encoder.en_convs.1", 2),
        down1_activation_(weights, "encoder.en_convs.0.act"),
        down2_activation_(weights, "encoder.en_convs.1.act"),
        dual1_(weights, "dpgrnn1"),
        dual2_(weights, "dpgrnn2"),
        up1_(weights, "decoder.de_convs.3", 2),
        up2_(weights, "decoder.de_convs.4", 1),
        up1_activation_(weights, "decoder.de_convs.3.act") {
    constexpr std::array<Index, 3> dilations{1, 2, 5};
    for (std::size_t i = 0; i < 3; ++i)
      encoder_.emplace_back(weights, "encoder.en_convs." + std::to_string(i + 2), dilations[i], false);
    for (std::size_t i = 0; i < 3; ++i)
      decoder_.emplace_back(weights, "decoder.de_convs." + std::to_string(i), dilations[2 - i], true);
  }

  [[nodiscard]] State initial_state() const {
    State state;
    for (const auto& block : encoder_) state.blocks.push_back(block.initial_state(inner_bands_));
    for (const auto& block : decoder_) state.blocks.push_back(block.initial_state(inner_bands_));
    state.dual_paths = {dual1_.initial_state(inner_bands_), dual2_.initial_state(inner_bands_)};
    return state;
  }

  /// One spectrum [bins, 2] (real, imaginary) to the enhanced one.
  [[nodiscard]] std::vector<float> step(State& state, std::span<const float> spectrum) const {
    std::vector<Map> skips;
    Map x = down1_(with_neighbours(to_bands(spectrum)));
    down1_activation_(x);
    skips.push_back(x);
    x = down2_(x);
    down2_activation_(x);
    skips.push_back(x);
    for (std::size_t i = 0; i < 3; ++i) {
      x = encoder_[i](state.blocks[i], x);
      skips.push_back(x);
    }
    dual1_(state.dual_paths[0], x);
    dual2_(state.dual_paths[1], x);
    for (std::size_t i = 0; i < 3; ++i) {
      add(x, skips[4 - i]);
      x = decoder_[i](state.blocks[3 + i], x);
    }
    add(x, skips[1]);
    x = up1_(x);
    up1_activation_(x);
    add(x, skips[0]);
    x = up2_(x);
    for (float& value : x) value = std::tanh(value);
    return masked(x, spectrum);
  }

 private:
  /// Magnitude, real and imaginary part; the high bins gathered in bands.
  [[nodiscard]] Map to_bands(std::span<const float> spectrum) const {
    const Index bins = static_cast<Index>(spectrum.size()) / 2, low = bins - high_bins_;
    Map parts = map(bins, 3), y = map(low + high_bands_, 3);
    for (Index f = 0; f < bins; ++f) {
      const float re = spectrum[static_cast<std::size_t>(2 * f)], im = spectrum[static_cast<std::size_t>(2 * f + 1)];
      parts(0, f, 0) = std::sqrt(re * re + im * im + 1e-12F);
      parts(0, f, 1) = re;
      parts(0, f, 2) = im;
    }
    merge(parts, bands_in_, low, y);
    return y;
  }

  /// The first `low` rows as they are, then weight [n, m] times the m others, for every channel.
  static void merge(const Map& x, const std::vector<float>& weight, Index low, Map& y) {
    const Index others = bands(x) - low;
    std::copy_n(x.data(), low * channels(x), y.data());
    for (Index n = low; n < bands(y); ++n) {
      for (Index c = 0; c < channels(x); ++c) {
        double sum = 0;
        for (Index m = 0; m < others; ++m) {
          sum += static_cast<double>(weight[static_cast<std::size_t>((n - low) * others + m)]) *
                 static_cast<double>(x(0, low + m, c));
        }
        y(0, n, c) = static_cast<float>(sum);
      }
    }
  }

  /// The spectrum times the mask, as complex numbers.
  [[nodiscard]] std::vector<float> masked(const Map& mask, std::span<const float> spectrum) const {
    const Index bins = static_cast<Index>(spectrum.size()) / 2;
    Map full = map(bins, 2);
    merge(mask, bands_out_, bins - high_bins_, full);
    std::vector<float> y(spectrum.size());
    for (Index f = 0; f < bins; ++f) {
      const auto at = static_cast<std::size_t>(2 * f);
      y[at] = spectrum[at] * full(0, f, 0) - spectrum[at + 1] * full(0, f, 1);
      y[at + 1] = spectrum[at + 1] * full(0, f, 0) + spectrum[at] * full(0, f, 1);
    }
    return y;
  }

  std::vector<float> bands_in_, bands_out_;
  Index high_bands_, high_bins_, inner_bands_;
  DownConvolution down1_, down2_;
  PRelu down1_activation_, down2_activation_;
  std::vector<DilatedBlock> encoder_, decoder_;
  DualPath dual1_, dual2_;
  UpConvolution up1_, up2_;
  PRelu up1_activation_;
};

/// The past of three blocks as [channels, time, frequency], the block of dilation 1 first.
void append_past(const std::array<const DilatedBlock::State*, 3>& blocks, std::vector<float>& values) {
  const Map& any = blocks[0]->past[0];
  for (Index c = 0; c < channels(any); ++c) {
    for (const auto* block : blocks) {
      for (const Map& frame : block->past) {
        for (Index f = 0; f < bands(frame); ++f) values.push_back(frame(0, f, c));
      }
    }
  }
}

}  // namespace

TEST_CASE("GTCRN agrees with the engine it comes from, frame by frame and in its last state", "[gtcrn][shared]") {
  if (!present({"models/gtcrn_dns3.safetensors", "data/gtcrn_gtcrn_mix_16k.safetensors"})) return;
  Weights weights(shared_data::path("models/gtcrn_dns3.safetensors"));
  const Gtcrn network(weights);
  CHECK(weights.unread() == 0);
  const auto file = SafetensorsFile::open(shared_data::path("data/gtcrn_gtcrn_mix_16k.safetensors"));
  const auto spectra = file.values<float>("in/spec"), expected = file.values<float>("out/enh");
  const auto frames = static_cast<std::size_t>(file.tensor("in/spec").shape.at(0)), size = spectra.size() / frames;

  auto state = network.initial_state();
  double worst = 0, loudest = 0;
  for (std::size_t t = 0; t < frames; ++t) {
    const auto y = network.step(state, std::span(spectra).subspan(t * size, size));
    worst = std::max(worst, difference(y, std::span(expected).subspan(t * size, size)));
    for (const float value : y) loudest = std::max(loudest, std::abs(static_cast<double>(value)));
  }
  CHECK(loudest > 10);
  CHECK(worst < 2e-5);

  std::vector<float> past, attention, dual;
  append_past({&state.blocks[0], &state.blocks[1], &state.blocks[2]}, past);
  append_past({&state.blocks[5], &state.blocks[4], &state.blocks[3]}, past);
  for (const auto& block : state.blocks)
    attention.insert(attention.end(), block.attention.h.begin(), block.attention.h.end());
  for (const auto& path : state.dual_paths) {
    for (Index band = 0; band < path[0].h.extent(0); ++band) {
      for (const auto& group : path) {
        for (Index u = 0; u < group.h.extent(1); ++u) dual.push_back(group.h(band, u));
      }
    }
  }
  CHECK(difference(past, file.values<float>("out/conv_cache")) < 1e-4);
  CHECK(difference(attention, file.values<float>("out/tra_cache")) < 1e-5);
  CHECK(difference(dual, file.values<float>("out/inter_cache")) < 1e-4);
}
