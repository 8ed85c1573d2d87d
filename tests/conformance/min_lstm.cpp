#include <conformance/affine_layer.hpp>
#include <stepscan/layers/min_lstm.hpp>

namespace conformance {

namespace {

template <Scalar S, bool Normalize>
void run_min_lstm_of(Case& golden, Session& session) {
  if (is_positive(golden.config)) {
    run_affine_layer<stepscan::MinLstm<S, Dynamic, Dynamic, stepscan::PositiveCandidate, Normalize>>(golden, session,
                                                                                                     3);
  } else {
    run_affine_layer<stepscan::MinLstm<S, Dynamic, Dynamic, stepscan::IdentityCandidate, Normalize>>(golden, session,
                                                                                                     3);
  }
}

template <Scalar S>
void run_case(Case& golden, Session& session) {
  golden.config.flag("normalize_gates") ? run_min_lstm_of<S, true>(golden, session)
                                        : run_min_lstm_of<S, false>(golden, session);
}

}  // namespace

Family min_lstm_family() { return {"min_lstm", run_case<float>, run_case<double>}; }

}  // namespace conformance
