#include <stepscan/layers/lightning_attention.hpp>
#include <support/catch.hpp>

using namespace stepscan;

TEST_CASE("decay schedules are those of the papers", "[layers]") {
  CHECK(retnet_schedule(3)[2] == Approx(std::log(1 - 1.0 / 128)));
  CHECK(log_linspace_schedule(3)[0] == Approx(std::log(1 - 1.0 / 32)));
  CHECK(log_linspace_schedule(3)[1] == Approx(std::log(1 - 1.0 / 128)));
  CHECK(log_linspace_schedule(1).size() == 1);
  const auto six = tnl_schedule(6, 0, 8);  // the slopes of 4 heads, then every second one of 8
  CHECK(six[0] == Approx(-0.2500025));
  CHECK(six[3] == Approx(-0.0039062890625));
  CHECK(six[4] == Approx(-0.500005));
  CHECK(six[5] == Approx(-0.12500125));
  CHECK(tnl_schedule(4, 11, 12)[0] == Approx(-0.25e-5));
  CHECK(tnl_schedule(4, 0, 1)[0] == Approx(-0.2500025));
}

TEST_CASE("fixed decays: one per head, the scale of their layer", "[layers]") {
  CHECK_THROWS_AS((RetentionScan<float, Dynamic, Dynamic, Dynamic>(2, 4, 4, {-0.1})), ShapeError);
  CHECK_THROWS_AS((RetentionScan<float, 3, 4, 4>(2, 4, 4)), ShapeError);
  CHECK(RetentionScan<double, 2, 16, 4>().scale == Approx(0.25));
  CHECK(LightningAttentionScan<double, 2, 16, 4>().scale == Approx(1));
  CHECK(RetentionScan<double, 2, 16, 4>().log_decay[1] == Approx(std::log(1 - 1.0 / 64)));
}
