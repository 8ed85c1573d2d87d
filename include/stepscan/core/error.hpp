#pragma once

#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <stepscan/core/config.hpp>
#include <string>

#if defined(__cpp_exceptions)
#include <stdexcept>
#endif

namespace stepscan::inline STEPSCAN_ISA {

#if defined(__cpp_exceptions)

/// Base of everything stepscan throws. The message says what was expected, what was found, and where.
class Error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

#else

/// Without exceptions an error only carries its message to the handler that prints it and aborts.
class Error {
 public:
  explicit Error(const std::string& message) : message_(message) {}
  [[nodiscard]] const char* what() const noexcept { return message_.c_str(); }

 private:
  std::string message_;
};

#endif

/// Sizes that do not fit together: a view, a state, a tensor of another shape than the layer's.
class ShapeError : public Error {
  using Error::Error;
};

/// A file that cannot be opened, is damaged, or does not hold what the model needs.
class FileError : public Error {
  using Error::Error;
};

/// An argument outside its range.
class ArgumentError : public Error {
  using Error::Error;
};

/// Throws E(message); in a build without exceptions prints the message and aborts.
template <class E>
[[noreturn]] void fail(const std::string& message) {
#if defined(__cpp_exceptions)
  throw E(message);
#else
  std::fprintf(stderr, "stepscan: %s\n", E(message).what());
  std::abort();
#endif
}

/// The message of the E that the action throws, or nothing when it throws none: for those who can go on without it. In
/// a build without exceptions the error ends the program as ever.
template <class E, class Action>
[[nodiscard]] std::optional<std::string> failure_of(Action&& action) {
#if defined(__cpp_exceptions)
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
#else
  action();
#endif
  return std::nullopt;
}

/// "[2, 3, 4]", for messages.
template <class Sizes>
[[nodiscard]] std::string shape_text(const Sizes& sizes) {
  std::string text = "[";
  for (const auto size : sizes) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(size);
  }
  return text + "]";
}

[[nodiscard]] inline std::string shape_text(std::initializer_list<Index> sizes) {
  return shape_text<std::initializer_list<Index>>(sizes);
}

}  // namespace stepscan::inline STEPSCAN_ISA
