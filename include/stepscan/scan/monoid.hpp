#pragma once

#include <stepscan/core/config.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// A set of elements with an associative product: what a token, or a run of tokens, does to a state.
///
///   m.identity(out)                  out = the element that changes nothing
///   m.combine(earlier, later, out)   out = first `earlier`, then `later`; out is a third element, unless m allows more
///
/// Elements are values, owners of memory or views into a workspace: nothing here copies one, and every result has a
/// place that the caller chose. The product need not commute.
template <class M>
concept Monoid = requires(const M& m, typename M::Element& e, typename M::Element& out) {
  m.identity(out);
  m.combine(e, e, out);
};

/// A monoid whose elements act on states: acting with `earlier` and then with `later` is acting with their product.
///
///   m.act(element, from, to)         to = element . from; `to` is another state than `from`, unless m allows more
template <class M>
concept Action = Monoid<M> &&
    requires(const M& m, typename M::Element& e, typename M::State& from, typename M::State& to) {
  m.act(e, from, to);
};

/// The order in which tokens are visited. Backward passes visit them from the last to the first; the element visited
/// first is then the `earlier` one.
enum class Direction { forward, backward };

}  // namespace stepscan::inline STEPSCAN_ISA
