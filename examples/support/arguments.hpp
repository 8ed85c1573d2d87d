#pragma once

#include <charconv>
#include <cstdint>
#include <exception>
#include <iostream>
#include <span>
#include <stepscan/core/error.hpp>
#include <string>
#include <string_view>
#include <vector>

/// Command lines of the examples: words, and options that begin with "--".
namespace examples {

class Arguments {
 public:
  Arguments(int count, char** values) : left_(values + 1, values + count) {}

  /// Whether the option is there; takes it out.
  bool flag(std::string_view option) { return take(option, 0) != nullptr; }

  /// The word behind the option, or the one given; takes both out. Throws ArgumentError when nothing follows it.
  std::string word(std::string_view option, std::string otherwise) {
    const std::string* found = take(option, 1);
    return found == nullptr ? otherwise : *found;
  }

  /// The same for a whole number in [low, high]. Throws ArgumentError.
  int number(std::string_view option, int otherwise, int low, int high) {
    const std::string* found = take(option, 1);
    if (found == nullptr) return otherwise;
    int value = 0;
    const char* end = found->data() + found->size();
    const auto [stop, error] = std::from_chars(found->data(), end, value);
    if (error != std::errc{} || stop != end || value < low || value > high) {
      stepscan::fail<stepscan::ArgumentError>(std::string(option) + ": expected a whole number from " +
                                              std::to_string(low) + " to " + std::to_string(high) + ", found '" +
                                              *found + "'");
    }
    return value;
  }

  /// --seed N, 1 without.
  std::uint64_t seed() { return static_cast<std::uint64_t>(number("--seed", 1, 0, 1 << 30)); }

  /// What is left once all options are taken. Throws ArgumentError when that is not `count` words.
  std::span<const std::string> words(std::size_t count) const {
    for (const std::string& word : left_) {
      if (word.starts_with("--")) stepscan::fail<stepscan::ArgumentError>("unknown option '" + word + "'");
    }
    if (left_.size() != count) {
      stepscan::fail<stepscan::ArgumentError>("expected " + std::to_string(count) + " files, found " +
                                              std::to_string(left_.size()));
    }
    return left_;
  }

 private:
  /// Moves the option and the words that belong to it out of left_; null when it is not there.
  const std::string* take(std::string_view option, std::size_t words) {
    for (std::size_t i = 0; i < left_.size(); ++i) {
      if (left_[i] != option) continue;
      if (i + words >= left_.size()) {
        stepscan::fail<stepscan::ArgumentError>(std::string(option) + ": expected a value behind it, found nothing");
      }
      taken_ = left_[i + words];
      const auto first = left_.begin() + static_cast<std::ptrdiff_t>(i);
      left_.erase(first, first + static_cast<std::ptrdiff_t>(words + 1));
      return &taken_;
    }
    return nullptr;
  }

  std::vector<std::string> left_;
  std::string taken_;
};

/// The main function of an example: run(arguments). An error is printed under the program's name, one of the arguments
/// with the usage behind it; returns the exit code.
template <class Run>
int run_program(const std::string& name, const char* usage, int count, char** values, Run&& run) {
  try {
    run(Arguments(count, values));
    return 0;
  } catch (const stepscan::ArgumentError& error) {
    std::cerr << name << ": " << error.what() << "\n" << usage;
    return 2;
  } catch (const std::exception& error) {
    std::cerr << name << ": " << error.what() << "\n";
    return 1;
  }
}

}  // namespace examples
