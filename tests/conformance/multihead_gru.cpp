#include <conformance/multihead.hpp>
#include <stepscan/layers/multihead_gru.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  run_heads<stepscan::MultiheadGru<S, Dynamic, Dynamic, Dynamic>, stepscan::MultiheadGruOnGates<S, Dynamic, Dynamic>>(
      golden, session, {3, 3, 4});
}

}  // namespace

Family multihead_gru_family() { return {"multihead_gru", run_case<float>, run_case<double>}; }

}  // namespace conformance
