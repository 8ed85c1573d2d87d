#include <conformance/multihead.hpp>
#include <stepscan/layers/slstm.hpp>

namespace conformance {

namespace {

template <Scalar S, stepscan::NormalizerFloor Floor>
void run_slstm_of(Case& golden, Session& session) {
  run_heads<stepscan::Slstm<S, Dynamic, Dynamic, Dynamic, Floor>, stepscan::SlstmOnGates<S, Dynamic, Dynamic, Floor>>(
      golden, session, {4, 4, 4});
}

template <Scalar S>
void run_case(Case& golden, Session& session) {
  switch (golden.config.size("normalizer_floor", 0)) {
    case 0: return run_slstm_of<S, stepscan::NormalizerFloor::zero>(golden, session);
    case 1: return run_slstm_of<S, stepscan::NormalizerFloor::one>(golden, session);
    default: stepscan::fail<FileError>("config: \"normalizer_floor\": expected 0 or 1");
  }
}

}  // namespace

Family slstm_family() { return {"slstm", run_case<float>, run_case<double>}; }

}  // namespace conformance
