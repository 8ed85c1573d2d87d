#pragma once

#include <cmath>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>

/// Reversible instance normalisation (Kim et al., ICLR 2022): every channel of every window by its own mean and
/// deviation over time,
///   mu = mean_t x_t,   sigma = sqrt(mean_t (x_t - mu)^2 + eps),   z_t = w (x_t - mu) / sigma + b,
/// and what is forecast from z brought back to the scale of x: y_t = sigma (z_t - b) / (w + eps^2) + mu.
namespace stepscan::inline STEPSCAN_ISA {

/// mu and sigma, [batch, channels] each.
template <Scalar S>
struct InstanceStatistics {
  MatrixView<S> mean;
  MatrixView<S> deviation;
};

/// w and b, [channels] each, or their gradients.
template <class T>
struct ChannelScale {
  T* weight;
  T* bias;
};

template <Scalar S>
void instance_statistics(SequenceView<const S> x, S eps, const InstanceStatistics<S>& to) noexcept {
  const S count = static_cast<S>(x.time);
  for (Index b = 0; b < x.batch; ++b) {
    for (Index c = 0; c < x.features; ++c) {
      S sum{0}, squares{0};
      for (Index t = 0; t < x.time; ++t) sum += x.token(b, t)[c];
      const S mean = sum / count;
      for (Index t = 0; t < x.time; ++t) squares += (x.token(b, t)[c] - mean) * (x.token(b, t)[c] - mean);
      to.mean(b, c) = mean;
      to.deviation(b, c) = std::sqrt(squares / count + eps);
    }
  }
}

/// z from x.
template <Scalar S>
void to_instance_scale(SequenceView<const S> x, const InstanceStatistics<S>& by, const ChannelScale<const S>& scale,
                       SequenceView<S> z) noexcept {
  for (Index b = 0; b < x.batch; ++b) {
    for (Index t = 0; t < x.time; ++t) {
      for (Index c = 0; c < x.features; ++c) {
        const S unit = (x.token(b, t)[c] - by.mean(b, c)) / by.deviation(b, c);
        z.token(b, t)[c] = scale.weight[c] * unit + scale.bias[c];
      }
    }
  }
}

/// y from z, in its place.
template <Scalar S>
void from_instance_scale(const InstanceStatistics<S>& by, const ChannelScale<const S>& scale, S eps,
                         SequenceView<S> z) noexcept {
  for (Index b = 0; b < z.batch; ++b) {
    for (Index t = 0; t < z.time; ++t) {
      for (Index c = 0; c < z.features; ++c) {
        S& value = z.token(b, t)[c];
        value = by.deviation(b, c) * (value - scale.bias[c]) / (scale.weight[c] + eps * eps) + by.mean(b, c);
      }
    }
  }
}

/// From the cotangent of y: writes those of z, mu and sigma, adds those of w and b.
template <Scalar S>
void from_instance_scale_backward(SequenceView<const S> y, SequenceView<const S> dy, const InstanceStatistics<S>& by,
                                  const ChannelScale<const S>& scale, S eps, SequenceView<S> dz,
                                  const InstanceStatistics<S>& dby, const ChannelScale<S>& dscale) noexcept {
  for (Index b = 0; b < y.batch; ++b) {
    for (Index c = 0; c < y.features; ++c) {
      const S divisor = scale.weight[c] + eps * eps;
      S dmean{0}, dunit{0};
      for (Index t = 0; t < y.time; ++t) {
        const S d = dy.token(b, t)[c];
        dmean += d;
        dunit += d * (y.token(b, t)[c] - by.mean(b, c)) / by.deviation(b, c);
        dz.token(b, t)[c] = d * by.deviation(b, c) / divisor;
      }
      dby.mean(b, c) = dmean;
      dby.deviation(b, c) = dunit;
      dscale.weight[c] -= dunit * by.deviation(b, c) / divisor;
      dscale.bias[c] -= dmean * by.deviation(b, c) / divisor;
    }
  }
}

/// From the cotangents of z, mu and sigma: writes that of x, adds those of w and b.
template <Scalar S>
void to_instance_scale_backward(SequenceView<const S> x, SequenceView<const S> dz, const InstanceStatistics<S>& by,
                                const InstanceStatistics<S>& dby, const ChannelScale<const S>& scale,
                                SequenceView<S> dx, const ChannelScale<S>& dscale) noexcept {
  const S count = static_cast<S>(x.time);
  for (Index b = 0; b < x.batch; ++b) {
    for (Index c = 0; c < x.features; ++c) {
      const auto unit = [&](Index t) { return (x.token(b, t)[c] - by.mean(b, c)) / by.deviation(b, c); };
      S dz_sum{0}, dz_unit{0};
      for (Index t = 0; t < x.time; ++t) {
        dz_sum += dz.token(b, t)[c];
        dz_unit += dz.token(b, t)[c] * unit(t);
      }
      dscale.weight[c] += dz_unit;
      dscale.bias[c] += dz_sum;
      const S slope = scale.weight[c] / by.deviation(b, c);
      const S dmean = dby.mean(b, c) - slope * dz_sum, ddeviation = dby.deviation(b, c) - slope * dz_unit;
      for (Index t = 0; t < x.time; ++t) {
        dx.token(b, t)[c] = slope * dz.token(b, t)[c] + (dmean + ddeviation * unit(t)) / count;
      }
    }
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
