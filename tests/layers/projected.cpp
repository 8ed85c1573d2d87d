#include <stepscan/layers/gated_backward.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/projected.hpp>
#include <stepscan/layers/projected_backward.hpp>
#include <support/allocation.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

using Model = Projected<Gru<double, Dynamic, Dynamic>>;

Model make_model() {
  Model model(3, {7, 5}, 4);
  randomize(model, 1);
  return model;
}

}  // namespace

TEST_CASE("a Projected is its three layers one behind the other", "[layers]") {
  const Model model = make_model();
  const auto x = random_sequence<double>(2, 600, 3, 2);
  const auto expected = scanned(model.out_proj, scanned(model.scan_layer, scanned(model.in_proj, x)));
  CHECK(distance(scanned(model, x), expected) < 1e-12);
  CHECK(distance(scanned(model, x, Recurrent{}), expected) < 1e-12);
  CHECK(distance(scanned(prepare(model), x), expected) < 1e-12);
  Projected<Gru<double, 7, 5>, Linear<double, 3, 7, false>, Linear<double, 5, 4, false>> fixed;
  copy_parameters(model, fixed);
  CHECK(distance(scanned(fixed, x), expected) < 1e-12);
}

TEST_CASE("a Projected names its parameters, and its state as the scan does", "[layers]") {
  const Model model = make_model();
  std::vector<std::string> names;
  const auto add = [&](const Path& path, const auto&) { names.push_back(path.str()); };
  for_each_parameter(add, model);
  const auto state = model.initial_state(1);
  for_each_tensor(add, state);
  CHECK(names == std::vector<std::string>{"in_proj.weight", "scan.weight_ih", "scan.weight_hh", "scan.bias_ih",
                                          "scan.bias_hh", "out_proj.weight", "h"});
}

TEST_CASE("a Projected has the forms of its scan", "[layers]") {
  STATIC_REQUIRE(has_form<Model, Newton<Jacobian::full>>);
  STATIC_REQUIRE(has_form<Model, Chunked<16>>);
  STATIC_REQUIRE_FALSE(has_form<Model, Parallel<>>);
  STATIC_REQUIRE(Model::block_tokens<Chunked<100>> == 300);
}

TEST_CASE("a Projected takes memory of one size, and none in step or a warm scan", "[layers]") {
  const auto plan = prepare(make_model());
  const auto x = random_sequence<double>(2, 5000, 3, 2);
  Sequence<double> y(2, 5000, 4);
  const SequenceView<const double> in = x;
  auto state = plan.initial_state(2);
  Workspace workspace;
  plan.scan(state, in.slice(0, 600), SequenceView<double>(y).slice(0, 600), workspace);
  const Index held = workspace.capacity();
  const long before = allocation_count();
  plan.scan(state, in, y, workspace);
  plan.step(state, in.frame(0), SequenceView<double>(y).frame(0));
  CHECK(allocation_count() == before);
  CHECK(workspace.capacity() == held);
}

TEST_CASE("projections that do not fit the scan are refused, and both layers named", "[layers]") {
  using Projection = Linear<double, Dynamic, Dynamic, false>;
  const auto make = [](Index before, Index behind) { return Model({3, before}, {7, 5}, Projection(behind, 4)); };
  CHECK_THROWS_AS(make(6, 5), ShapeError);
  CHECK_THROWS_WITH(make(6, 5),
                    "Projected: in_proj, Linear [3 -> 6], has 6 outputs, but scan, Gru [7 -> 5], expects 7 inputs");
  CHECK_THROWS_WITH(make(7, 9),
                    "Projected: scan, Gru [7 -> 5], has 5 outputs, but out_proj, Linear [9 -> 4], expects 9 inputs");
}

TEST_CASE("gradients of a Projected equal finite differences", "[layers]") {
  CHECK(gradient_error(make_model(), 2, 4) < 1e-7);
  CHECK(gradient_error(make_model(), 3, 5, {5, 0, 2}) < 1e-7);
  CHECK(gradient_error(make_model(), 2, 0) < 1e-7);
}
