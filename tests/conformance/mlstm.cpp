#include <conformance/decay_layer.hpp>
#include <stepscan/layers/mlstm.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const HeadSizes sizes(golden.config);
  static_cast<void>(golden.config.choice("forget_gate", {"sigmoid"}));
  stepscan::MlstmScan<S, Dynamic, Dynamic, Dynamic> layer(sizes.heads, sizes.key_dim, sizes.value_dim);
  layer.eps = static_cast<S>(golden.config.number("eps"));
  run_decay_layer(golden, session, layer, {"i", "f"});
}

}  // namespace

Family mlstm_family() { return {"mlstm", run_case<float>, run_case<double>}; }

}  // namespace conformance
