#include <conformance/recurrent.hpp>
#include <stepscan/layers/elman_rnn.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const RecurrentSizes sizes = read_recurrent_sizes(golden.config);
  if (golden.config.choice("nonlinearity", {"tanh", "relu"}) == 0) {
    run_recurrent<stepscan::ElmanRnn<S, Dynamic, Dynamic>>(golden, session, sizes, 1);
  } else {
    run_recurrent<stepscan::ElmanRnn<S, Dynamic, Dynamic, stepscan::ReluActivation>>(golden, session, sizes, 1);
  }
}

}  // namespace

Family elman_rnn_family() { return {"elman_rnn", run_case<float>, run_case<double>}; }

}  // namespace conformance
