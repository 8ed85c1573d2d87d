#pragma once

#include <cmath>
#include <deque>
#include <set>
#include <stepscan/io/safetensors.hpp>
#include <stepscan/layers/conv1d.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/models/bidirectional.hpp>
#include <string>
#include <vector>

/// GTCRN, a network for speech enhancement (X. Rong et al., ICASSP 2024; https://github.com/Xiaobin-Rong/gtcrn), built
/// from layers. It takes one frame of a short-time Fourier transform at a time. Feature maps [channels, frequency] are
/// sequences over frequency here, [1, bands, channels].
namespace gtcrn {

using stepscan::Dynamic;
using stepscan::Index;
using Map = stepscan::Tensor<float, 1, Dynamic, Dynamic>;
using Dense = stepscan::Linear<float, Dynamic, Dynamic>;
using Convolution = stepscan::Conv1d<float, Dynamic, Dynamic, Dynamic>;
using Recurrence = stepscan::Gru<float, Dynamic, Dynamic>;

inline Map map(Index band_count, Index channel_count) { return Map(Index{1}, band_count, channel_count); }
inline Index bands(const Map& x) { return x.extent(1); }
inline Index channels(const Map& x) { return x.extent(2); }

/// The tensors of the file, and which of them were read.
class Weights {
 public:
  explicit Weights(const std::filesystem::path& path) : file_(stepscan::SafetensorsFile::open(path)) {}

  [[nodiscard]] std::vector<float> values(const std::string& name) {
    read_.insert(name);
    return file_.values<float>(name);
  }
  template <class Tensor>
  void fill(const std::string& name, Tensor& tensor) {
    const auto numbers = values(name);
    if (static_cast<Index>(numbers.size()) != tensor.size())
      stepscan::fail<stepscan::ShapeError>(name + ": wrong size");
    std::copy(numbers.begin(), numbers.end(), tensor.begin());
  }
  [[nodiscard]] Index size(const std::string& name, std::size_t axis) const {
    return file_.tensor(name).shape.at(axis);
  }
  [[nodiscard]] std::size_t unread() const { return file_.tensors().size() - read_.size(); }

  Dense dense(const std::string& name) {
    Dense layer(size(name + ".weight", 1), size(name + ".weight", 0));
    fill(name + ".weight", layer.weight);
    fill(name + ".bias", layer.bias);
    return layer;
  }
  Recurrence gru(const std::string& name, const std::string& suffix = "") {
    Recurrence layer(size(name + ".weight_ih_l0" + suffix, 1), size(name + ".weight_hh_l0" + suffix, 1));
    fill(name + ".weight_ih_l0" + suffix, layer.weight_ih);
    fill(name + ".weight_hh_l0" + suffix, layer.weight_hh);
    fill(name + ".bias_ih_l0" + suffix, layer.bias_ih);
    fill(name + ".bias_hh_l0" + suffix, layer.bias_hh);
    return layer;
  }

 private:
  stepscan::SafetensorsFile file_;
  std::set<std::string> read_;
};

template <class L>
Map apply(const L& layer, const Map& x) {
  stepscan::NoState none;
  Map y = map(layer.output_time(bands(x)), layer.output_size());
  layer.scan(none, x, y);
  return y;
}

inline void add(Map& y, const Map& x) { stepscan::add_tokens<float>(x, y); }

/// Batch normalisation with the statistics of training.
struct BatchNorm {
  std::vector<float> scale, shift;

  BatchNorm(Weights& weights, const std::string& name)
      : scale(weights.values(name + ".weight")), shift(weights.values(name + ".bias")) {
    const auto mean = weights.values(name + ".running_mean"), variance = weights.values(name + ".running_var");
    for (std::size_t c = 0; c < scale.size(); ++c) {
      scale[c] /= std::sqrt(variance[c] + 1e-5F);
      shift[c] -= mean[c] * scale[c];
    }
  }
  void operator()(Map& x) const {
    for (Index i = 0; i < x.size(); ++i) {
      const auto c = static_cast<std::size_t>(i % channels(x));
      x[i] = x[i] * scale[c] + shift[c];
    }
  }
};

/// max(0, x) + slope min(0, x)
struct PRelu {
  float slope;
  PRelu(Weights& weights, const std::string& name) : slope(weights.values(name + ".weight").at(0)) {}
  void operator()(Map& x) const {
    for (float& value : x) value = value > 0 ? value : slope * value;
  }
};

/// Each channel with its neighbours in frequency beside it.
inline Map with_neighbours(const Map& x) {
  Map y = map(bands(x), 3 * channels(x));
  for (Index f = 0; f < bands(x); ++f) {
    for (Index c = 0; c < channels(x); ++c) {
      for (Index k = 0; k < 3; ++k) {
        const Index from = f + k - 1;
        y(0, f, 3 * c + k) = from < 0 || from >= bands(x) ? 0.0F : x(0, from, c);
      }
    }
  }
  return y;
}

/// Convolution over frequency that halves the bands, then batch-norm.
struct DownConvolution {
  Convolution conv;
  BatchNorm norm;

  DownConvolution(Weights& weights, const std::string& name, Index groups)
      : conv(groups * weights.size(name + ".conv.weight", 1), weights.size(name + ".conv.weight", 0),
             weights.size(name + ".conv.weight", 3), {.stride = 2, .left = 2, .right = 2, .groups = groups}),
        norm(weights, name + ".bn") {
    weights.fill(name + ".conv.weight", conv.weight);
    weights.fill(name + ".conv.bias", conv.bias);
  }
  [[nodiscard]] Map operator()(const Map& x) const {
    Map y = apply(conv, x);
    norm(y);
    return y;
  }
};

/// Its transpose, which doubles them.
struct UpConvolution {
  std::vector<float> weight, bias;
  stepscan::Conv1dShape shape;
  BatchNorm norm;

  UpConvolution(Weights& weights, const std::string& name, Index groups)
      : weight(weights.values(name + ".conv.weight")),
        bias(weights.values(name + ".conv.bias")),
        norm(weights, name + ".bn") {
    shape.inputs = weights.size(name + ".conv.weight", 0);
    shape.outputs = groups * weights.size(name + ".conv.weight", 1);
    shape.kernel = weights.size(name + ".conv.weight", 3);
    shape.stride = 2;
    shape.left = shape.right = 2;
    shape.groups = groups;
  }
  [[nodiscard]] Map operator()(const Map& x) const {
    Map y = map(shape.transposed_time(bands(x)), shape.outputs);
    stepscan::conv_transpose1d<float>(shape, weight.data(), bias.data(), x, y);
    norm(y);
    return y;
  }
};

/// A convolution over time and frequency with a temporal attention, on half of the channels.
struct DilatedBlock {
  struct State {
    std::deque<Map> past;  ///< the last 2 dilation inputs of the depthwise convolution, oldest first
    Recurrence::State attention;
  };

  Index dilation;
  Dense point1, point2, attention_out;
  std::vector<Convolution> taps;  ///< over frequency, at times t - 2d, t - d, t
  std::vector<float> depth_bias;
  BatchNorm point_norm1, depth_norm, point_norm2;
  PRelu point_activation, depth_activation;
  Recurrence attention;

  DilatedBlock(Weights& weights, const std::string& name, Index time_dilation, bool transposed)
      : dilation(time_dilation),
        point1(point(weights, name + ".point_conv1", transposed)),
        point2(point(weights, name + ".point_conv2", transposed)),
        attention_out(weights.dense(name + ".tra.att_fc")),
        depth_bias(weights.values(name + ".depth_conv.bias")),
        point_norm1(weights, name + ".point_bn1"),
        depth_norm(weights, name + ".depth_bn"),
        point_norm2(weights, name + ".point_bn2"),
        point_activation(weights, name + ".point_act"),
        depth_activation(weights, name + ".depth_act"),
        attention(weights.gru(name + ".tra.att_gru")) {
    const auto kernel = weights.values(name + ".depth_conv.weight");
    const Index width = static_cast<Index>(depth_bias.size());
    for (Index row = 0; row < 3; ++row) {
      Convolution tap(width, width, 3, {.left = 1, .right = 1, .groups = width});
      for (Index c = 0; c < width; ++c) {
        for (Index k = 0; k < 3; ++k) {
          const Index at = transposed ? (2 - row) * 3 + 2 - k : row * 3 + k;
          tap.weight(c, 0, k) = kernel[static_cast<std::size_t>(c * 9 + at)];
        }
      }
      if (row == 2) std::copy(depth_bias.begin(), depth_bias.end(), tap.bias.begin());
      taps.push_back(tap);
    }
  }

  /// A convolution of one tap is a Linear; a transposed one has its weights [in, out].
  static Dense point(Weights& weights, const std::string& name, bool transposed) {
    const Index rows = weights.size(name + ".weight", 0), cols = weights.size(name + ".weight", 1);
    Dense layer = transposed ? Dense(rows, cols) : Dense(cols, rows);
    const auto values = weights.values(name + ".weight");
    for (Index i = 0; i < rows; ++i) {
      for (Index j = 0; j < cols; ++j) {
        (transposed ? layer.weight(j, i) : layer.weight(i, j)) = values[static_cast<std::size_t>(i * cols + j)];
      }
    }
    weights.fill(name + ".bias", layer.bias);
    return layer;
  }

  [[nodiscard]] State initial_state(Index band_count) const {
    return {std::deque<Map>(static_cast<std::size_t>(2 * dilation), map(band_count, point1.output_size())),
            attention.initial_state(1)};
  }

  [[nodiscard]] Map operator()(State& state, const Map& x) const {
    const Index half = channels(x) / 2;
    Map own = map(bands(x), half);
    for (Index f = 0; f < bands(x); ++f) std::copy_n(&x(0, f, 0), half, &own(0, f, 0));
    Map inner = apply(point1, with_neighbours(own));
    point_norm1(inner);
    point_activation(inner);
    Map deep = apply(taps[2], inner);
    add(deep, apply(taps[1], state.past[static_cast<std::size_t>(dilation)]));
    add(deep, apply(taps[0], state.past.front()));
    state.past.pop_front();
    state.past.push_back(inner);
    depth_norm(deep);
    depth_activation(deep);
    Map out = apply(point2, deep);
    point_norm2(out);
    attend(state, out);
    return interleaved(out, x);
  }

 private:
  void attend(State& state, Map& x) const {
    Map energy = map(1, channels(x)), hidden = map(1, attention.output_size());
    for (Index i = 0; i < x.size(); ++i) energy[i % channels(x)] += x[i] * x[i] / static_cast<float>(bands(x));
    attention.scan(state.attention, energy, hidden);
    const Map weight = apply(attention_out, hidden);
    for (Index i = 0; i < x.size(); ++i) x[i] /= 1.0F + std::exp(-weight[i % channels(x)]);
  }

  /// Processed and passed channels in turn; the second half of x passes.
  static Map interleaved(const Map& processed, const Map& x) {
    Map y = map(bands(x), channels(x));
    const Index half = channels(processed);
    for (Index f = 0; f < bands(x); ++f) {
      for (Index k = 0; k < half; ++k) {
        y(0, f, 2 * k) = processed(0, f, k);
        y(0, f, 2 * k + 1) = x(0, f, half + k);
      }
    }
    return y;
  }
};

/// A bidirectional recurrence along frequency, then one along time for every band; each in two groups of features.
struct DualPath {
  using Intra = stepscan::Bidirectional<Recurrence>;
  using State = std::array<Recurrence::State, 2>;  ///< the bands are the batch

  /// x += norm(dense(mixed)) over all bands and features
  struct Merge {
    Dense dense;
    std::vector<float> scale, shift;

    Merge(Weights& weights, const std::string& dense_name, const std::string& norm_name)
        : dense(weights.dense(dense_name)),
          scale(weights.values(norm_name + ".weight")),
          shift(weights.values(norm_name + ".bias")) {}

    void operator()(const Map& mixed, Map& x) const {
      const Map y = apply(dense, mixed);
      double mean = 0, variance = 0;
      for (const float value : y) mean += static_cast<double>(value) / static_cast<double>(y.size());
      for (const float value : y)
        variance += std::pow(static_cast<double>(value) - mean, 2) / static_cast<double>(y.size());
      const double factor = 1 / std::sqrt(variance + 1e-8);
      for (Index i = 0; i < y.size(); ++i) {
        const auto at = static_cast<std::size_t>(i);
        x[i] += static_cast<float>((static_cast<double>(y[i]) - mean) * factor) * scale[at] + shift[at];
      }
    }
  };

  std::vector<Intra> intra;
  std::vector<Recurrence> inter;
  Merge intra_merge, inter_merge;

  DualPath(Weights& weights, const std::string& name)
      : intra_merge(weights, name + ".intra_fc", name + ".intra_ln"),
        inter_merge(weights, name + ".inter_fc", name + ".inter_ln") {
    for (const std::string group : {"1", "2"}) {
      const std::string own = name + ".intra_rnn.rnn" + group;
      intra.emplace_back(weights.gru(own), weights.gru(own, "_reverse"));
      inter.push_back(weights.gru(name + ".inter_rnn.rnn" + group));
    }
  }

  [[nodiscard]] State initial_state(Index band_count) const {
    return {inter[0].initial_state(band_count), inter[1].initial_state(band_count)};
  }

  void operator()(State& state, Map& x) const {
    Map mixed = map(bands(x), channels(x));
    const Index half = channels(x) / 2;
    const stepscan::SequenceView<const float> in = std::as_const(x);
    const stepscan::SequenceView<float> out = mixed;
    for (std::size_t group = 0; group < 2; ++group) {
      const Index first = static_cast<Index>(group) * half;
      auto start = intra[group].initial_state(1);
      intra[group].scan(start, in.middle_features<Dynamic>(first, half), out.middle_features<Dynamic>(first, half));
    }
    intra_merge(mixed, x);
    for (std::size_t group = 0; group < 2; ++group) {
      const Index first = static_cast<Index>(group) * half;
      inter[group].step(state[group], in.member(0).middle_cols(first, half), out.member(0).middle_cols(first, half));
    }
    inter_merge(mixed, x);
  }
};

}  // namespace gtcrn
