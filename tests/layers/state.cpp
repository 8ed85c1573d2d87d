#include <cstring>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/layers/slstm.hpp>
#include <stepscan/layers/state.hpp>
#include <support/allocation.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

using Cells = Slstm<float, 3, 2, 5>;

Cells::State some_state(Index batch, std::uint64_t seed) {
  auto state = Cells().initial_state(batch);
  randomize(state, seed);
  return state;
}

}  // namespace

TEST_CASE("a snapshot brings a state back bit for bit", "[state]") {
  auto state = some_state(3, 1);
  state.h[0] = -0.0F;
  state.c[1] = std::numeric_limits<float>::denorm_min();
  state.n[2] = std::numeric_limits<float>::infinity();
  state.m[3] = std::numeric_limits<float>::quiet_NaN();
  const auto bytes = snapshot(state);
  CHECK(bytes.size() == snapshot_size(state));
  CHECK(bytes.size() == 32 + 4 * 3 * 10 * sizeof(float));
  auto back = some_state(3, 2);
  restore(bytes, back);
  for_each_tensor([](const Path&, const auto& a,
                     const auto& b) { CHECK(std::memcmp(a.data(), b.data(), a.span().size_bytes()) == 0); },
                  state, back);
  CHECK(snapshot(back) == bytes);
}

TEST_CASE("a sequence goes on from a snapshot as if nothing had happened", "[state]") {
  Cells layer;
  randomize(layer, 1);
  const auto x = random_sequence<float>(2, 10, 3, 2);
  const auto whole = scanned(layer, x, Recurrent{});
  Sequence<float> y(2, 10, 10);
  const SequenceView<const float> in = x;
  const SequenceView<float> out = y;
  auto state = layer.initial_state(2);
  layer.scan(state, in.slice(0, 4), out.slice(0, 4), Recurrent{});
  const auto bytes = snapshot(state);
  auto other = layer.initial_state(2);
  restore(bytes, other);
  layer.scan(other, in.slice(4, 6), out.slice(4, 6), Recurrent{});
  CHECK(y == whole);
}

TEST_CASE("a snapshot of something else is refused and changes nothing", "[state]") {
  auto state = some_state(3, 1);
  const auto before = snapshot(state);
  const auto refused = [&](const std::vector<std::byte>& bytes, const std::string& reason) {
    CHECK_THROWS_AS(restore(bytes, state), ShapeError);
    CHECK_THROWS_WITH(restore(bytes, state), ContainsSubstring(reason));
    CHECK(snapshot(state) == before);
  };
  refused(snapshot(some_state(2, 1)), "names and shapes");
  refused(snapshot(Lstm<float, 3, 10>().initial_state(3)), "names and shapes");
  refused(snapshot(Slstm<double, 3, 2, 5>().initial_state(3)), "numbers of bytes: 4, found 8");
  refused({}, "found 0");
  auto damaged = before;
  damaged[0] ^= std::byte{1};
  refused(damaged, "first bytes");
  damaged = before;
  damaged[8] ^= std::byte{1};
  refused(damaged, "version 1");
  damaged = before;
  damaged.pop_back();
  refused(damaged, "bytes: 512, found 511");
  damaged.resize(20);
  refused(damaged, "found 20");
}

TEST_CASE("a snapshot needs room of its exact size", "[state]") {
  const auto state = some_state(1, 1);
  std::vector<std::byte> bytes(snapshot_size(state) + 1);
  CHECK_THROWS_AS(snapshot(state, bytes), ArgumentError);
}

TEST_CASE("states of nothing can be saved too", "[state]") {
  NoState state;
  restore(snapshot(state), state);
  auto empty = some_state(0, 1);
  restore(snapshot(empty), empty);
  CHECK(snapshot_size(empty) == 32);
}

TEST_CASE("a ring rolls back the last pushes", "[state]") {
  std::vector<Cells::State> states;
  for (std::uint64_t i = 0; i < 6; ++i) states.push_back(some_state(2, i));
  StateRing<Cells::State, 4> ring(states[0]);
  for (const auto& state : states) ring.push(state);
  CHECK(ring.size() == 4);
  auto state = some_state(2, 99);
  const auto before = numbers(state);
  ring.rollback(0, state);
  CHECK(numbers(state) == before);
  ring.rollback(1, state);
  CHECK(numbers(state) == numbers(states[5]));
  ring.rollback(2, state);
  CHECK(numbers(state) == numbers(states[3]));
  CHECK(ring.size() == 1);
  CHECK_THROWS_AS(ring.rollback(2, state), ArgumentError);
  CHECK_THROWS_WITH(ring.rollback(2, state), ContainsSubstring("at most 1") && ContainsSubstring("found 2"));
  ring.push(states[1]);
  ring.push(states[4]);
  ring.rollback(3, state);
  CHECK(numbers(state) == numbers(states[2]));
  ring.clear();
  CHECK(ring.size() == 0);
}

TEST_CASE("a ring allocates nothing once it is made", "[state]") {
  const auto a = some_state(2, 1);
  auto b = some_state(2, 2);
  StateRing<Cells::State, 3> ring(a);
  const long before = allocation_count();
  for (int i = 0; i < 7; ++i) ring.push(a);
  ring.rollback(2, b);
  CHECK(allocation_count() == before);
  CHECK(numbers(a) == numbers(b));
}

TEST_CASE("rows of a batch are copied and selected", "[state]") {
  const auto from = some_state(3, 1);
  auto to = some_state(2, 2);
  const auto untouched = to;
  copy_row(from, 2, to, 1);
  for (Index i = 0; i < 10; ++i) {
    CHECK(to.c(1, i) == from.c(2, i));
    CHECK(to.c(0, i) == untouched.c(0, i));
  }
  auto beams = some_state(4, 3);
  select_rows(from, std::array<Index, 4>{2, 0, 0, 1}, beams);
  for (Index i = 0; i < 10; ++i) {
    CHECK(beams.m(0, i) == from.m(2, i));
    CHECK(beams.m(1, i) == from.m(0, i));
    CHECK(beams.m(2, i) == from.m(0, i));
    CHECK(beams.h(3, i) == from.h(1, i));
  }
}

TEST_CASE("rows that do not exist or do not fit are refused", "[state]") {
  const auto from = some_state(3, 1);
  auto to = some_state(2, 2);
  const auto before = numbers(to);
  CHECK_THROWS_AS(copy_row(from, 3, to, 0), ArgumentError);
  CHECK_THROWS_AS(copy_row(from, 0, to, -1), ArgumentError);
  CHECK_THROWS_AS(select_rows(from, std::array<Index, 2>{0, 3}, to), ArgumentError);
  CHECK_THROWS_AS(select_rows(from, std::array<Index, 3>{0, 1, 2}, to), ShapeError);
  using Wide = Slstm<float, Dynamic, Dynamic, Dynamic>;
  const auto wide = Wide(3, 2, 6).initial_state(2);
  auto narrow = Wide(3, 2, 5).initial_state(2);
  CHECK_THROWS_AS(copy_row(wide, 0, narrow, 0), ShapeError);
  CHECK(numbers(to) == before);
}
