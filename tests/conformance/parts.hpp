#pragma once

#include <algorithm>
#include <conformance/session.hpp>

/// Inputs that a layer takes as one sequence and a case has as several, one behind the other along the features.
namespace conformance {

/// One of these: in/NAME [batch, time, ...] of so many features; of no name where the case has none: zeros.
struct InputPart {
  std::string name;
  Index features = 0;
};

namespace detail {

/// The parts as one sequence; read(name, features) gives each as [batch, time, features].
template <class Read>
auto join_parts(const std::vector<InputPart>& parts, Read&& read) {
  Index features = 0, at = 0;
  for (const InputPart& part : parts) features += part.features;
  decltype(read(std::string(), features)) joined;
  for (const InputPart& part : parts) {
    if (part.name.empty()) {
      at += part.features;
      continue;
    }
    const auto own = read("in/" + part.name, part.features);
    if (at == 0) joined = std::remove_cvref_t<decltype(joined)>(own.extent(0), own.extent(1), features);
    if (own.extent(0) != joined.extent(0) || own.extent(1) != joined.extent(1)) {
      stepscan::fail<ShapeError>("in/" + part.name + ": expected the batch and time of in/" + parts.front().name +
                                 ", found " + stepscan::shape_text(own.shape()));
    }
    for (Index token = 0; token < own.extent(0) * own.extent(1); ++token) {
      std::copy_n(own.data() + token * part.features, part.features, joined.data() + token * features + at);
    }
    at += part.features;
  }
  return joined;
}

/// The cotangent dx [batch, time, features] of the one sequence, as grad/in/NAME of every part.
template <class SequenceType>
void add_parts(Results& results, const std::vector<InputPart>& parts, const SequenceType& dx) {
  Index at = 0;
  for (const InputPart& part : parts) {
    for (Index token = 0; !part.name.empty() && token < dx.extent(0) * dx.extent(1); ++token) {
      const auto values = dx.span().subspan(static_cast<std::size_t>(token * dx.extent(2) + at));
      results.add("grad/in/" + part.name, values.first(static_cast<std::size_t>(part.features)));
    }
    at += part.features;
  }
}

}  // namespace detail

}  // namespace conformance
