#pragma once

#include <stepscan/scan/monoid.hpp>
#include <string>

namespace stepscan::testing {

/// Words under concatenation: does not commute, owns memory, and shows every mistake of order.
struct Words {
  using Element = std::string;
  using State = std::string;
  void identity(Element& out) const { out.clear(); }
  void combine(const Element& earlier, const Element& later, Element& out) const { out = earlier + later; }
  void act(const Element& element, const State& from, State& to) const { to = from + element; }
};
static_assert(Action<Words>);

}  // namespace stepscan::testing
