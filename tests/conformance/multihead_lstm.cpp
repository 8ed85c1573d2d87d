#include <conformance/multihead.hpp>
#include <stepscan/layers/multihead_lstm.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  run_heads<stepscan::MultiheadLstm<S, Dynamic, Dynamic, Dynamic>, stepscan::MultiheadLstmOnGates<S, Dynamic, Dynamic>>(
      golden, session, {4, 4, 4});
}

}  // namespace

Family multihead_lstm_family() { return {"multihead_lstm", run_case<float>, run_case<double>}; }

}  // namespace conformance
