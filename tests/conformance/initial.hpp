#pragma once

#include <conformance/session.hpp>

/// What is worked out once before a layer runs, in double whatever the layer computes in: it has no forms.
namespace conformance {

/// Numbers by the names of a case.
using Values = std::map<std::string, std::vector<double>>;

/// Compares what fill(values) gives, rounded to S, with the case, as the form "own".
template <Scalar S, class Fill>
void run_initial(Case& golden, Session& session, Fill&& fill) {
  golden.check_all_read();
  session.form("own", false, [&](const auto& compare) {
    Values values;
    fill(values);
    Results results;
    for (const auto& [name, numbers] : values) {
      const std::vector<S> rounded(numbers.begin(), numbers.end());
      results.add(name, std::span<const S>(rounded));
    }
    compare(results, golden.has_gradients());
  });
}

}  // namespace conformance
