#include <conformance/decay_layer.hpp>
#include <stepscan/layers/linear_attention.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const bool maps = golden.config.choice("feature_map", {"identity", "elu_plus_one"}) == 1;
  const bool normalises = golden.config.flag("normalize");
  const S eps = static_cast<S>(golden.config.number("normalizer_eps"));
  const HeadSizes sizes(golden.config);
  const auto run = [&]<class Map, bool Normalised>(Map, std::bool_constant<Normalised>) {
    using L = stepscan::LinearAttentionScan<S, Dynamic, Dynamic, Dynamic, Map, Normalised>;
    L layer(sizes.heads, sizes.key_dim, sizes.value_dim);
    layer.normalizer_eps = eps;
    run_decay_layer(golden, session, layer);
  };
  const auto with_map = [&](auto map) {
    if (normalises) {
      run(map, std::true_type{});
    } else {
      run(map, std::false_type{});
    }
  };
  if (maps) {
    with_map(stepscan::EluPlusOne{});
  } else {
    with_map(stepscan::IdentityMap{});
  }
}

}  // namespace

Family linear_attention_family() { return {"linear_attention", run_case<float>, run_case<double>}; }

}  // namespace conformance
