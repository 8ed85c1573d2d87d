#include <conformance/affine_layer.hpp>
#include <stepscan/layers/min_gru.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  if (is_positive(golden.config)) {
    run_affine_layer<stepscan::MinGru<S, Dynamic, Dynamic, stepscan::PositiveCandidate>>(golden, session, 2);
  } else {
    run_affine_layer<stepscan::MinGru<S, Dynamic, Dynamic, stepscan::IdentityCandidate>>(golden, session, 2);
  }
}

}  // namespace

Family min_gru_family() { return {"min_gru", run_case<float>, run_case<double>}; }

}  // namespace conformance
