#include <conformance/multihead.hpp>
#include <stepscan/layers/multihead_elman.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  run_heads<stepscan::MultiheadElman<S, Dynamic, Dynamic, Dynamic>,
            stepscan::MultiheadElmanOnGates<S, Dynamic, Dynamic>>(golden, session, {1, 1, 1});
}

}  // namespace

Family multihead_elman_family() { return {"multihead_elman", run_case<float>, run_case<double>}; }

}  // namespace conformance
