#pragma once

#include <stepscan/layers/forms.hpp>
#include <tuple>

namespace conformance {

/// A declared form: its name on the command line, and the ways to run it, as a tuple of forms.
template <class F>
struct FormTraits {
  static constexpr const char* name = nullptr;
};
template <>
struct FormTraits<stepscan::Recurrent> {
  static constexpr const char* name = "recurrent";
  static constexpr bool iterative = false;
  using Ways = std::tuple<stepscan::Recurrent>;
};
template <>
struct FormTraits<stepscan::Chunked<>> {
  static constexpr const char* name = "chunked";
  static constexpr bool iterative = false;
  using Ways = std::tuple<stepscan::Chunked<>, stepscan::Chunked<4>>;
};
template <>
struct FormTraits<stepscan::Parallel<>> {
  static constexpr const char* name = "parallel";
  static constexpr bool iterative = false;
  using Ways = std::tuple<stepscan::Parallel<>, stepscan::Parallel<4>>;
};
template <>
struct FormTraits<stepscan::Convolution> {
  static constexpr const char* name = "convolution";
  static constexpr bool iterative = false;
  using Ways = std::tuple<stepscan::Convolution>;
};
template <stepscan::Jacobian Kind>
struct FormTraits<stepscan::Newton<Kind>> {
  static constexpr const char* name = Kind == stepscan::Jacobian::full ? "newton-full" : "newton-diagonal";
  static constexpr bool iterative = true;
  using Ways = std::tuple<stepscan::Newton<Kind>>;
};

/// Calls f(FormTraits<F>{}) for each form of a tuple that has a name here.
template <class Forms, class Function>
void for_each_form(Function&& f) {
  [&]<class... Fs>(std::type_identity<std::tuple<Fs...>>) {
    const auto one = [&]<class Traits>(Traits traits) {
      if constexpr (Traits::name != nullptr) f(traits);
    };
    (one(FormTraits<typename stepscan::detail::FormKind<Fs>::type>{}), ...);
  }(std::type_identity<Forms>{});
}

/// Calls f(form) for each way to run a form.
template <class Traits, class Function>
void for_each_way(Function&& f) {
  std::apply([&](const auto&... way) { (f(way), ...); }, typename Traits::Ways{});
}

}  // namespace conformance
