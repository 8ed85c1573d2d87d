#include <cmath>
#include <conformance/session.hpp>
#include <cstdio>
#include <limits>

namespace conformance {

namespace {

/// max |a - b| / max(max |b|, 1e-6); infinite when a number is not finite.
double relative_error(const std::vector<double>& a, const std::vector<double>& b) {
  double scale = 1e-6, worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, std::abs(a[i] - b[i]));
  }
  for (const double value : b) {
    if (std::isfinite(value)) scale = std::max(scale, std::abs(value));
  }
  return worst / scale;
}

}  // namespace

void Session::compare(const Results& results, bool gradients, Worst& worst) const {
  for (const std::string& name : case_.expected_names(gradients)) {
    const auto found = results.values().find(name);
    if (found == results.values().end()) stepscan::fail<FileError>(name + ": the layer does not give this result");
    const std::vector<double> expected = case_.expected(name);
    if (found->second.size() != expected.size()) {
      stepscan::fail<ShapeError>(name + ": expected " + std::to_string(found->second.size()) + " numbers, found " +
                                 std::to_string(expected.size()));
    }
    const bool differs = case_.is_selection(name) && found->second != expected;
    const double error = differs ? std::numeric_limits<double>::infinity() : relative_error(found->second, expected);
    if (error > worst.error) worst = {error, name};
  }
}

void Session::report(const std::string& form, double allowed, const Worst& worst) {
  const bool passed = worst.error >= 0 && worst.error <= allowed;
  ++(passed ? tally_.passed : tally_.failed);
  std::printf("%-4s %s %s %s %s %.1e %s\n", passed ? "ok" : "FAIL", case_.layer.c_str(), form.c_str(), scalar_.c_str(),
              worst.name.c_str(), worst.error, file_.c_str());
}

void Session::fail(const std::string& form, const std::string& reason) {
  ++tally_.failed;
  std::printf("FAIL %s %s %s (%s) %s\n", case_.layer.c_str(), form.c_str(), scalar_.c_str(), reason.c_str(),
              file_.c_str());
}

}  // namespace conformance
