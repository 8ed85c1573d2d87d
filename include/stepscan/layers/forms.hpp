#pragma once

#include <concepts>
#include <stepscan/core/config.hpp>
#include <tuple>

/// The forms in which a layer can run a sequence. All forms of a layer compute the same function and hand one state to
/// each other; they differ in the order of work.
namespace stepscan::inline STEPSCAN_ISA {

/// One token after another, in constant memory: what `step` does, bit for bit.
struct Recurrent {};

/// `Tokens` tokens at a time as matrix products, the state carried from chunk to chunk. 0: the layer chooses from the
/// sizes and the caches.
template <Index Tokens = 0>
struct Chunked {
  static constexpr Index tokens = Tokens;
};

/// The chunks over threads: summarise each, combine the summaries, emit each chunk's outputs from its incoming state.
/// 0: the layer chooses the chunk. The chunks depend on the sizes alone, so the thread count changes no bit.
template <Index Tokens = 0>
struct Parallel {
  static constexpr Index tokens = Tokens;
};

/// The whole sequence through the layer's impulse response; for layers that do not change over time.
struct Convolution {};

/// Which part of the step's Jacobian a Newton iteration keeps.
enum class Jacobian {
  full,      ///< DEER: quadratic convergence, hidden^2 memory per token; for tiny states
  diagonal,  ///< quasi-DEER: the diagonal of each block of h, c, ...; as cheap as an elementwise scan
};

/// How a Newton scan ended.
struct NewtonReport {
  int iterations = 0;       ///< the most that any chunk took
  double residual = 0;      ///< the largest last change of a state
  bool fell_back = false;   ///< some chunk reached the cap and was run token after token instead
};

/// A nonlinear recurrence solved for a whole chunk at once by Newton's iteration (DEER, arXiv 2309.12252; quasi-DEER,
/// arXiv 2407.19115), each iteration one affine scan. A chunk that does not converge within the cap runs token after
/// token; the report, if asked for, says so.
template <Jacobian Kind = Jacobian::full, Index Tokens = 64>
struct Newton {
  static constexpr Jacobian jacobian = Kind;
  static constexpr Index tokens = Tokens;
  double damping = 0;              ///< the Jacobian is scaled by 1 - damping; 1 is Jacobi's iteration
  double tolerance = 0;            ///< largest change of a state at the end; 0: 1e-10 in double, 1e-5 in float
  int max_iterations = 100;
  NewtonReport* report = nullptr;
};

/// Each layer in the form it was declared with: the default of `scan`.
struct OwnForm {};

namespace detail {

/// The form without its chunk size.
template <class F>
struct FormKind {
  using type = F;
};
template <Index Tokens>
struct FormKind<Chunked<Tokens>> {
  using type = Chunked<>;
};
template <Index Tokens>
struct FormKind<Parallel<Tokens>> {
  using type = Parallel<>;
};
template <Jacobian Kind, Index Tokens>
struct FormKind<Newton<Kind, Tokens>> {
  using type = Newton<Kind>;
};

template <class F, class List>
inline constexpr bool listed = false;
template <class F, class... Fs>
inline constexpr bool listed<F, std::tuple<Fs...>> =
    (std::same_as<typename FormKind<F>::type, typename FormKind<Fs>::type> || ...);

template <class L, class F>
inline constexpr bool offers_form = L::any_form || listed<F, typename L::Forms>;

}  // namespace detail

/// Whether layer L can run in form F (any chunk size of it); Convolution only where L is time-invariant.
template <class L, class F>
inline constexpr bool has_form =
    std::same_as<F, OwnForm> ||
    (detail::offers_form<L, F> && (L::time_invariant || !std::same_as<F, Convolution>));

}  // namespace stepscan::inline STEPSCAN_ISA
