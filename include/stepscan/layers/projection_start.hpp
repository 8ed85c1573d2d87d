#pragma once

#include <numbers>
#include <stepscan/layers/initialize.hpp>

/// How authors start the projections around a scan that reads a decaying state: values that are called with the scan,
/// what projects its inputs [q | k | v | gates], what projects its outputs, and a generator. A scan names its own as
/// `projection_start`; Projected calls it. Biases start at zero.
namespace stepscan::inline STEPSCAN_ISA::detail {

/// A projection by one weight, with or without a bias, as Linear.
template <class P>
concept PlainProjection = requires(P& p) {
  p.weight(0, 0) = p.weight(0, 0);
};

template <PlainProjection P>
[[nodiscard]] auto weight_rows(P& projection, Index first, Index count) {
  return MatrixView(&projection.weight(first, 0), Extent<Dynamic>(count), Extent<Dynamic>(projection.input_size()));
}
template <PlainProjection P>
[[nodiscard]] auto weight_rows(P& projection) {
  return weight_rows(projection, 0, projection.output_size());
}

template <PlainProjection P>
void clear_bias(P& projection) {
  if constexpr (requires { projection.bias.fill(0); }) projection.bias.fill(0);
}

/// Xavier-uniform, queries, keys, values and each gate as a matrix by itself.
struct XavierStart {
  double gain_before;
  double gain_behind;

  template <class Scan, PlainProjection In, PlainProjection Out>
  void operator()(const Scan& scan, In& in_proj, Out& out_proj, Random& random) const {
    const Index heads = scan.heads(), all = in_proj.output_size();
    Index first = 0;
    const auto fill = [&](Index rows) {
      fill_xavier(weight_rows(in_proj, first, rows), gain_before, random);
      first += rows;
    };
    for (const Index dim : {scan.key_dim(), scan.key_dim(), scan.value_dim()}) fill(heads * dim);
    while (first < all) fill(std::min(heads, all - first));
    fill_xavier(weight_rows(out_proj), gain_behind, random);
    clear_bias(in_proj);
    clear_bias(out_proj);
  }
};

/// What the authors of GLA, DeltaNet and Gated DeltaNet give every projection.
inline constexpr double small_gain = std::numbers::sqrt2 / 8;  // 2^-2.5

/// All normal.
struct NormalStart {
  double deviation;

  template <class Scan, PlainProjection In, PlainProjection Out>
  void operator()(const Scan&, In& in_proj, Out& out_proj, Random& random) const {
    fill_normal(weight_rows(in_proj), deviation, random);
    fill_normal(weight_rows(out_proj), deviation, random);
    clear_bias(in_proj);
    clear_bias(out_proj);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA::detail
