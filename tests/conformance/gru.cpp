#include <conformance/recurrent.hpp>
#include <stepscan/layers/gru.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const RecurrentSizes sizes = read_recurrent_sizes(golden.config);
  if (golden.config.flag("reset_after")) {
    run_recurrent<stepscan::Gru<S, Dynamic, Dynamic>>(golden, session, sizes, 3);
  } else {
    run_recurrent<stepscan::Gru<S, Dynamic, Dynamic, stepscan::Reset::before>>(golden, session, sizes, 3);
  }
}

}  // namespace

Family gru_family() { return {"gru", run_case<float>, run_case<double>}; }

}  // namespace conformance
