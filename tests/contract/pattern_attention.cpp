#include <contract/contract.hpp>
#include <stepscan/layers/pattern_attention.hpp>

using namespace stepscan;
using namespace patterns;
using testing::contract;

TEST_CASE("pattern_attention, strided blocks or a window, of which some keys fall out of the cache: contract",
          "[contract]") {
  contract([] {
    const Or shown(Window<2>(), Blocks<Strided>{2, {1, 3, 1}});
    using Shown = std::remove_const_t<decltype(shown)>;
    return PatternAttentionScan<double, Dynamic, Dynamic, Dynamic, Dynamic, Shown>({2, 2, 3, 2}, shown, 9, 1);
  });
}
