#pragma once

#include <stepscan/layers/forms.hpp>
#include <string>

/// The forms of a layer by name, for the main job and the benchmarks.
namespace bench {

using namespace stepscan;

[[nodiscard]] inline std::string form_name(Recurrent) { return "Recurrent"; }
[[nodiscard]] inline std::string form_name(Convolution) { return "Convolution"; }
template <Index C>
[[nodiscard]] std::string form_name(Chunked<C>) {
  return "Chunked";
}
template <Index C>
[[nodiscard]] std::string form_name(Parallel<C>) {
  return "Parallel";
}
template <Jacobian J, Index C>
[[nodiscard]] std::string form_name(const Newton<J, C>&) {
  return J == Jacobian::full ? "Newton full" : "Newton diagonal";
}
[[nodiscard]] inline std::string form_name(OwnForm) { return "own"; }

/// The forms to compare: those declared, or the own one of a layer that carries nothing from token to token.
template <class L>
using FormsOf = std::conditional_t<L::any_form, std::tuple<OwnForm>, typename L::Forms>;

}  // namespace bench
