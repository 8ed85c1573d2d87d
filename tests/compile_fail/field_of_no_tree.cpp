// expect: stepscan: a field is a Tensor, a tree with fields(), or a tuple or vector of trees
#include <stepscan/core/fields.hpp>

using namespace stepscan;

struct Odd {
  int count = 0;
  static constexpr auto fields() { return std::tuple{Field{"count", &Odd::count}}; }
};

Index count(const Odd& odd) { return element_count(odd); }
