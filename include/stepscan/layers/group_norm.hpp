#pragma once

#include <stepscan/layers/norm_layer.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Group normalisation of every token by itself (Wu and He, arXiv 1803.08494, equations 1 to 3 and 6;
/// torch.nn.GroupNorm of [tokens, channels]): the features in Groups groups of neighbours, such as heads, each
/// normalised as in LayerNorm. weight and bias [Features]; x and y [batch, time, Features]. Runs in any form.
template <Scalar S, Index Features, Index Groups>
class GroupNorm : public NormLayer<GroupNorm<S, Features, Groups>, Centre::mean, S, Features> {
  static_assert(Groups == Dynamic || Groups > 0, "stepscan: a GroupNorm has at least one group");
  static_assert(Features == Dynamic || Groups == Dynamic || Features % Groups == 0,
                "stepscan: the features of a GroupNorm are no multiple of its groups");

 public:
  static constexpr const char* name = "GroupNorm";

  Tensor<S, Features> weight;
  Tensor<S, Features> bias;
  S eps = static_cast<S>(1e-5);

  static constexpr auto fields() {
    return std::tuple{Field{"weight", &GroupNorm::weight}, Field{"bias", &GroupNorm::bias}};
  }

  /// All parameters zero until initialised or loaded; sizes are needed where they are Dynamic. Throws ShapeError when
  /// the features are no multiple of the groups.
  GroupNorm() = default;
  GroupNorm(Index features, Index groups) : weight(features), bias(features), groups_(groups) {
    if (groups <= 0 || features % groups != 0) {
      fail<ShapeError>("GroupNorm: expected features that are a multiple of the groups, found " +
                       std::to_string(features) + " features in " + std::to_string(groups) + " groups");
    }
  }

  [[nodiscard]] Index group_count() const noexcept { return groups_; }

 private:
  [[no_unique_address]] Extent<Groups> groups_ = Groups == Dynamic ? 1 : Groups;
};

}  // namespace stepscan::inline STEPSCAN_ISA
