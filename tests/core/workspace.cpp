#include <cstdint>
#include <stepscan/core/workspace.hpp>
#include <support/allocation.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

void use(Workspace& workspace, Index size) {
  const Workspace::Scope scope(workspace);
  float* first = workspace.take<float>(size);
  std::fill_n(first, size, 1.0F);
  const Workspace::Scope inner(workspace);
  double* second = workspace.take<double>(3 * size);
  std::fill_n(second, 3 * size, 2.0);
}

}  // namespace

TEST_CASE("what a workspace hands out is aligned and apart", "[core]") {
  Workspace workspace;
  const Workspace::Scope scope(workspace);
  float* a = workspace.take<float>(3);
  double* b = workspace.take<double>(100000);
  float* c = workspace.take<float>(1);
  for (const void* p : {static_cast<void*>(a), static_cast<void*>(b), static_cast<void*>(c)}) {
    CHECK(reinterpret_cast<std::uintptr_t>(p) % tensor_alignment == 0);
  }
  std::fill_n(a, 3, 1.0F);
  std::fill_n(b, 100000, 2.0);
  *c = 3;
  CHECK(a[2] == 1);
  CHECK(b[99999] == 2);
}

TEST_CASE("a scope gives its memory back", "[core]") {
  Workspace workspace(4096);
  const Workspace::Scope scope(workspace);
  float* first = nullptr;
  {
    const Workspace::Scope inner(workspace);
    first = workspace.take<float>(10);
  }
  CHECK(workspace.take<float>(10) == first);
}

TEST_CASE("a workspace that has grown once allocates no more", "[core]") {
  Workspace workspace;
  for (const Index size : {10, 5000, 100}) use(workspace, size);
  const Index capacity = workspace.capacity();
  const long before = testing::allocation_count();
  for (const Index size : {5000, 1, 4999, 5000}) use(workspace, size);
  CHECK(testing::allocation_count() == before);
  CHECK(workspace.capacity() == capacity);
}

TEST_CASE("the sibling of a workspace stays and stays warm", "[core]") {
  Workspace workspace;
  use(workspace.sibling(), 1000);
  const long before = testing::allocation_count();
  use(workspace.sibling(), 1000);
  CHECK(testing::allocation_count() == before);
  CHECK(&workspace.sibling() != &workspace);
}

TEST_CASE("a sequence from a workspace has the batch, time and lengths of its model", "[core]") {
  Tensor<float, Dynamic, Dynamic, Dynamic> tensor(2, 5, 3);
  const std::array<Index, 2> lengths{1, 4};
  const auto x = SequenceView<float>(tensor).ragged(lengths).slice(2, 3);
  Workspace workspace;
  const Workspace::Scope scope(workspace);
  const auto y = workspace.sequence<double, 7>(x, {});
  CHECK(y.batch == 2);
  CHECK(y.time == 3);
  CHECK(y.features == 7);
  CHECK(y.length(0) == 0);
  CHECK(y.length(1) == 2);
  const auto m = workspace.matrix<float>(4, Extent<Dynamic>(6));
  CHECK(m.rows * m.cols == 24);
}

TEST_CASE("a copy of scratch has its size and memory of its own", "[core]") {
  Scratch<float> a(10);
  a.data()[0] = 1;
  Scratch<float> b = a;
  CHECK(b.size() == 10);
  CHECK(b.data() != a.data());
  const float* memory = b.data();
  b = a;
  CHECK(b.data() == memory);
  b = Scratch<float>(3);
  CHECK(b.size() == 3);
}
