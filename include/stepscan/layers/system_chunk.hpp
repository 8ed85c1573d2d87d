#pragma once

#include <stepscan/layers/forms.hpp>
#include <stepscan/ops/linear_system.hpp>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// Tokens of the chunk operators that a form takes for a state of so many numbers.
template <class Form>
[[nodiscard]] constexpr Index system_chunk(const Form&, Index states, bool dense) noexcept {
  const Index own = solve_system_chunk(states, dense);
  if constexpr (requires { Form::tokens; }) {
    constexpr bool parallel = std::same_as<typename FormKind<Form>::type, Parallel<>>;
    if (Form::tokens > 0) return parallel ? std::min(own, Form::tokens) : Form::tokens;
  }
  return own;
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
