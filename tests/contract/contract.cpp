#include <contract/checks.hpp>

namespace stepscan::testing {

namespace {

template <class S>
void check_all(TrainableModel<S>& model, const Options& options) {
  const ThreadCount one(1);
  Probe<S> probe(model, options);
  SECTION("forms agree") { check_forms_agree(probe); }
  SECTION("splits") { check_splits(probe); }
  SECTION("step") { check_step(probe); }
  SECTION("causality") { check_causality(probe); }
  SECTION("gate strengths") { check_strengths(probe); }
  SECTION("gradients agree") { check_gradients_agree(probe); }
  if constexpr (is_double<S>) {
    SECTION("gradients are finite differences") { check_finite_differences(probe); }
  }
  SECTION("gradients accumulate") { check_gradient_accumulates(probe); }
  SECTION("gradients at gate strengths") { check_gradient_strengths(probe); }
  SECTION("padding") { check_padding(probe); }
  SECTION("packing") { check_packing(probe); }
  SECTION("independence of batch and threads") { check_independence(probe); }
  SECTION("strided and unaligned views") { check_views(probe); }
  SECTION("repeatable") { check_repeatable(probe); }
  SECTION("allocations") { check_allocations(probe); }
  SECTION("empty and single") { check_empty(probe); }
  SECTION("wrong shapes") { check_wrong_shapes(probe); }
  SECTION("states are values") { check_state_values(probe); }
}

}  // namespace

void check(TrainableModel<double>& model, const Options& options) { check_all(model, options); }
void check(TrainableModel<float>& model, const Options& options) { check_all(model, options); }

}  // namespace stepscan::testing
