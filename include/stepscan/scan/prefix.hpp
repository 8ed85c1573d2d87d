#pragma once

#include <algorithm>
#include <stepscan/scan/executors.hpp>

/// Scans of arrays of elements. An array is anything that gives its i-th element, a reference or a view, when called
/// with i. Input, output and scratch are different arrays.
namespace stepscan::inline STEPSCAN_ISA {

/// The same array from its last element to its first: for scans that visit tokens backwards.
template <class Array>
[[nodiscard]] auto reversed(Array array, Index count) {
  return [array, count](Index i) -> decltype(auto) { return array(count - 1 - i); };
}

/// out(i) = in(0), then ..., then in(i). One element after another.
template <Monoid M, class In, class Out>
void inclusive_scan(const M& monoid, Index count, const In& in, const Out& out, typename M::Element& identity) {
  if (count == 0) return;
  monoid.identity(identity);
  monoid.combine(identity, in(0), out(0));
  for (Index i = 1; i < count; ++i) monoid.combine(out(i - 1), in(i), out(i));
}

/// out(i) = in(0), then ..., then in(i - 1); out(0) is the identity. One element after another.
template <Monoid M, class In, class Out>
void exclusive_scan(const M& monoid, Index count, const In& in, const Out& out) {
  if (count == 0) return;
  monoid.identity(out(0));
  for (Index i = 1; i < count; ++i) monoid.combine(out(i - 1), in(i - 1), out(i));
}

namespace detail {

/// Elements as states: an element acts on the product of those before it.
template <Monoid M>
struct ProductAction {
  using Element = typename M::Element;
  using State = typename M::Element;
  const M& elements;

  void act(auto&& element, auto&& from, auto&& to) const { elements.combine(from, element, to); }
};

/// The state that enters a chunk is the product of the chunks before, in scratch; without it, the chunk's product is
/// its last output.
template <Monoid M, class In, class Out, class Scratch>
struct InclusiveScan {
  static constexpr bool keeps_local = false;
  const M& elements;
  Index count;
  Index chunk;
  const In& in;
  const Out& out;
  const Scratch& scratch;

  [[nodiscard]] Index length(Index) const noexcept { return count; }
  [[nodiscard]] ProductAction<M> monoid() const noexcept { return {elements}; }
  decltype(auto) state(Index, Index position) const { return scratch(position); }
  decltype(auto) element(Index, Index position) const { return out(std::min((position + 1) * chunk, count) - 1); }
  void summarise(const ScanJob& job, auto&&) const { emit(job, scratch(0)); }
  void emit(const ScanJob& job, auto&& before) const {
    elements.combine(before, in(job.tokens.begin), out(job.tokens.begin));
    for (Index i = job.tokens.begin + 1; i < job.tokens.end; ++i) elements.combine(out(i - 1), in(i), out(i));
  }
  void finish(Index, Index) const noexcept {}
};

/// The state that enters a chunk is the chunk's first output; the chunk's product stands in scratch.
template <Monoid M, class In, class Out, class Scratch>
struct ExclusiveScan {
  static constexpr bool keeps_local = false;
  const M& elements;
  Index count;
  Index chunk;
  const In& in;
  const Out& out;
  const Scratch& scratch;

  [[nodiscard]] Index length(Index) const noexcept { return count; }
  [[nodiscard]] ProductAction<M> monoid() const noexcept { return {elements}; }
  decltype(auto) state(Index, Index position) const { return out(position * chunk); }
  decltype(auto) element(Index, Index position) const { return scratch(position); }
  void summarise(const ScanJob& job, auto&& element) const {
    const Index last = job.tokens.end - 1;
    elements.identity(out(job.tokens.begin));
    emit(job, out(job.tokens.begin));
    elements.combine(out(last), in(last), element);
  }
  void emit(const ScanJob& job, auto&&) const {
    for (Index i = job.tokens.begin + 1; i < job.tokens.end; ++i) elements.combine(out(i - 1), in(i - 1), out(i));
  }
  void finish(Index, Index) const noexcept {}
};

inline ScanGrid prefix_grid(Index count, Index chunk) {
  return {1, count, chunk, worker_count(chunk_count(count, chunk)), Direction::forward};
}

}  // namespace detail

/// inclusive_scan with chunks of `chunk` elements spread over threads; scratch holds one element per chunk.
template <Monoid M, class In, class Out, class Scratch>
void inclusive_scan_parallel(const M& monoid, Index count, Index chunk, const In& in, const Out& out,
                             const Scratch& scratch) {
  if (count == 0) return;
  monoid.identity(scratch(0));
  scan_parallel(detail::InclusiveScan<M, In, Out, Scratch>{monoid, count, chunk, in, out, scratch},
                detail::prefix_grid(count, chunk));
}

/// exclusive_scan with chunks of `chunk` elements spread over threads; scratch holds one element per chunk.
template <Monoid M, class In, class Out, class Scratch>
void exclusive_scan_parallel(const M& monoid, Index count, Index chunk, const In& in, const Out& out,
                             const Scratch& scratch) {
  if (count == 0) return;
  monoid.identity(out(0));
  scan_parallel(detail::ExclusiveScan<M, In, Out, Scratch>{monoid, count, chunk, in, out, scratch},
                detail::prefix_grid(count, chunk));
}

}  // namespace stepscan::inline STEPSCAN_ISA
