#include <conformance/recurrent.hpp>
#include <stepscan/layers/lstm.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  run_recurrent<stepscan::Lstm<S, Dynamic, Dynamic>>(golden, session, read_recurrent_sizes(golden.config), 4);
}

}  // namespace

Family lstm_family() { return {"lstm", run_case<float>, run_case<double>}; }

}  // namespace conformance
