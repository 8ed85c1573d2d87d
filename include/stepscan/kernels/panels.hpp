#pragma once

#include <algorithm>
#include <concepts>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/tensor.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/panel_format.hpp>
#include <stepscan/kernels/transpose.hpp>
#include <type_traits>
#include <utility>

/// Matrix products with a matrix that is packed once and used often: y = initial + A x for one row or many rows x.
///
/// A [rows, cols] is cut into panels of a few SIMD vectors of rows. A panel holds its rows column by column, so the
/// kernel broadcasts x[k] and multiplies it with a contiguous run of A[:, k]; every output is one chain of
/// multiply-adds in the order of k. A row of x therefore gives the same bits whichever other rows are computed with it.
namespace stepscan::inline STEPSCAN_ISA {

/// Numbers that a packed [rows, cols] matrix takes.
template <Scalar S>
[[nodiscard]] constexpr Index packed_size(Index rows, Index cols) {
  return (rows + panel_rows<S> - 1) / panel_rows<S> * panel_rows<S> * cols;
}

/// Writes source [n, cols] as rows [at, at + n) of a packed matrix with `cols` columns. Rows that are never written
/// must have been zeroed.
template <Scalar S, class Stored>
void pack_rows(Stored* panels, Index cols, MatrixView<const S> source, Index at) {
  constexpr Index width = panel_rows<S>;
  for (Index i = 0, count = 0; i < source.rows; i += count) {
    const Index lane = (at + i) % width;
    count = std::min(width - lane, source.rows - i);
    Stored* const panel = panels + (at + i - lane) * cols;
    if constexpr (std::same_as<S, Stored>) {
      transpose<S>(source.middle_rows(i, count), {panel + lane, cols, count, width});
    } else {
      for (Index j = 0; j < count; ++j) {
        Stored* const to = panel + PanelFormat<S, Stored>::position(lane + j);
        for (Index k = 0; k < cols; ++k) to[k * width] = static_cast<Stored>(source(i + j, k));
      }
    }
  }
}

/// Writes the transpose of source [cols, n] as rows [at, at + n) of a packed matrix with `cols` columns, of which the
/// source holds columns [first_col, first_col + source.rows).
template <Scalar S, class Stored>
void pack_transposed(Stored* panels, Index cols, MatrixView<const S> source, Index at, Index first_col = 0) {
  constexpr Index width = panel_rows<S>;
  for (Index i = 0, count = 0; i < source.cols; i += count) {
    const Index lane = (at + i) % width;
    count = std::min(width - lane, source.cols - i);
    Stored* column = panels + (at + i - lane) * cols + first_col * width;
    const auto copy = [&](auto n) {
      for (Index k = 0; k < source.rows; ++k, column += width) {
        const S* from = source.row(k) + i;
        for (Index j = 0; j < n; ++j) column[PanelFormat<S, Stored>::position(lane + j)] = static_cast<Stored>(from[j]);
      }
    };
    if (count == width) {
      copy(std::integral_constant<Index, width>{});
    } else {
      copy(count);
    }
  }
}

/// A packed matrix of Rows x Cols that somebody else owns. A static one that fits the first cache level gets code of
/// its own for one row of x; all others share the code of Dynamic.
template <Scalar S, Index Rows = Dynamic, Index Cols = Dynamic, class Stored = S>
struct PanelsView {
  const Stored* panels = nullptr;
  [[no_unique_address]] Extent<Rows> rows;
  [[no_unique_address]] Extent<Cols> cols;

  /// The same with sizes known at run time.
  [[nodiscard]] constexpr PanelsView<S, Dynamic, Dynamic, Stored> dynamic() const noexcept {
    return {panels, Index{rows}, Index{cols}};
  }

  /// The element in row i and column k.
  [[nodiscard]] S at(Index i, Index k) const noexcept {
    constexpr Index width = panel_rows<S>;
    return static_cast<S>(panels[i / width * width * cols + k * width + PanelFormat<S, Stored>::position(i % width)]);
  }

  /// y[r] = initial[r] + A x[r] for every row r. y may be initial; an initial of stride 0 is one row for all.
  /// The result does not depend on `backwards`, the direction in which a single row walks over the panels: a caller
  /// that alternates it from step to step first meets the weights that are still in the nearer cache.
  void multiply(MatrixView<const S> x, MatrixView<const S> initial, MatrixView<S> y,
                bool backwards = false) const noexcept;

  /// y[r] += A x[r].
  void multiply_add(MatrixView<const S> x, MatrixView<S> y, bool backwards = false) const noexcept {
    multiply(x, y, y, backwards);
  }
};

/// A packed matrix that owns its panels; `Stored` is the type the weights are kept in (S, Half or BFloat16).
template <Scalar S, Index Rows = Dynamic, Index Cols = Dynamic, class Stored = S>
class PackedMatrix {
 public:
  PackedMatrix() = default;
  PackedMatrix(Extent<Rows> rows, Extent<Cols> cols) : rows_(rows), cols_(cols), panels_(packed_size<S>(rows, cols)) {}
  explicit PackedMatrix(MatrixView<const S> source) : PackedMatrix(Index{source.rows}, Index{source.cols}) {
    pack(source, 0);
  }

  /// Takes source [n, cols] as rows [at, at + n).
  void pack(MatrixView<const S> source, Index at) { pack_rows<S>(panels_.data(), cols_, source, at); }

  [[nodiscard]] PanelsView<S, Rows, Cols, Stored> view() const noexcept { return {panels_.data(), rows_, cols_}; }

 private:
  static constexpr Index storage_size() {
    return Rows == Dynamic || Cols == Dynamic ? Dynamic : packed_size<S>(Rows, Cols);
  }

  [[no_unique_address]] Extent<Rows> rows_;
  [[no_unique_address]] Extent<Cols> cols_;
  Tensor<Stored, storage_size()> panels_;
};

/// A matrix packed into the workspace.
template <Scalar S, Index Rows = Dynamic, Index Cols = Dynamic>
[[nodiscard]] PanelsView<S, Rows, Cols> packed(std::type_identity_t<MatrixView<const S, Rows, Cols>> source,
                                               Workspace& workspace) {
  const Index size = packed_size<S>(source.rows, source.cols);
  S* const panels = workspace.take<S>(size);
  std::fill_n(panels, size, S{0});
  pack_rows<S>(panels, source.cols, MatrixView<const S>(source), 0);
  return {panels, source.rows, source.cols};
}

/// The transpose of a matrix packed into the workspace.
template <Scalar S>
[[nodiscard]] PanelsView<S> packed_transpose(std::type_identity_t<MatrixView<const S>> source, Workspace& workspace) {
  const Index size = packed_size<S>(source.cols, source.rows);
  S* const panels = workspace.take<S>(size);
  std::fill_n(panels, size, S{0});
  pack_transposed<S>(panels, source.rows, source, 0);
  return {panels, Index{source.cols}, Index{source.rows}};
}

namespace detail {

/// Rows x Vectors accumulators over all columns; `Chains` interleaved partial sums per output when the matrix is too
/// small to hide the latency of the multiply-add. `outputs` counts the rows of A from the first one here.
template <int Rows, int Vectors, int Chains, Scalar S, class Stored, Index Cols>
[[gnu::always_inline]] inline void panel_tile(const Stored* panels, Extent<Cols> cols, const S* x, Index x_stride,
                                              const S* initial, Index initial_stride, S* y, Index y_stride,
                                              Index outputs) noexcept {
  constexpr Index width = simd_width<S>;
  constexpr int per_panel = product_tile.vectors;
  const Index panel_stride = panel_rows<S> * cols;
  Simd<S> sum[Chains][Rows][Vectors];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      const S* from = initial + r * initial_stride + v * width;
      const Index inside = outputs - v * width;
      sum[0][r][v] = inside >= width ? load(from) : load_n(from, std::max<Index>(inside, 0));
      if constexpr (Chains > 1) sum[1][r][v] = Simd<S>(S{0});
    }
  }
  // A panel at a time, so that converted weights are used before the next ones need registers.
  const auto add_column = [&](Index k, int chain) __attribute__((always_inline)) {
#pragma GCC unroll 16
    for (int p = 0; p < Vectors / per_panel; ++p) {
      Simd<S> weights[per_panel];
      PanelFormat<S, Stored>::load_column(panels + p * panel_stride + k * panel_rows<S>, weights);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const Simd<S> input(x[r * x_stride + k]);
#pragma GCC unroll 16
        for (int v = 0; v < per_panel; ++v) {
          Simd<S>& total = sum[chain][r][p * per_panel + v];
          total = fma(weights[v], input, total);
        }
      }
    }
  };
  Index k = 0;
  if constexpr (Chains > 1) {
    for (; k + 1 < cols; k += 2) {
      add_column(k, 0);
      add_column(k + 1, 1);
    }
  }
  for (; k < cols; ++k) add_column(k, 0);
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      if constexpr (Chains > 1) sum[0][r][v] = sum[0][r][v] + sum[1][r][v];
      S* to = y + r * y_stride + v * width;
      const Index inside = outputs - v * width;
      if (inside >= width) {
        store(to, sum[0][r][v]);
      } else if (inside > 0) {
        store_n(to, sum[0][r][v], inside);
      }
    }
  }
}

/// Calls f(integral_constant<int, n>) for the n = Step, 2 Step, ..., Most that equals the run-time value.
template <int Most, int Step, class F>
[[gnu::always_inline]] inline void with_constant(int n, F&& f) {
  if constexpr (Most > 0) {
    if (n == Most) {
      f(std::integral_constant<int, Most>{});
    } else {
      with_constant<Most - Step, Step>(n, f);
    }
  }
}

/// How one row of x is multiplied: panels in groups of about one size, each as large as the registers allow.
struct RowGroups {
  Index panels;
  Index count;

  template <Scalar S>
  [[nodiscard]] static constexpr RowGroups of(Index rows) noexcept {
    constexpr Index most = solve_row_vectors(target_machine) / product_tile.vectors;
    const Index panels = (rows + panel_rows<S> - 1) / panel_rows<S>;
    return {panels, (panels + most - 1) / most};
  }
  [[nodiscard]] constexpr Index first(Index group) const noexcept { return panels * group / count; }
};

/// One row of x against a matrix of static size. Never inlined: constants that a caller's loop keeps in registers would
/// push the accumulators out of theirs.
template <int Chains, Scalar S, class Stored, Index Rows, Index Cols>
[[gnu::noinline]] void multiply_fixed_row(const PanelsView<S, Rows, Cols, Stored>& a, const S* x, const S* initial,
                                          S* y) noexcept {
  constexpr RowGroups groups = RowGroups::of<S>(Rows);
  const auto tiles = [&]<Index... Group>(std::integer_sequence<Index, Group...>) __attribute__((always_inline)) {
    (panel_tile<1, static_cast<int>(groups.first(Group + 1) - groups.first(Group)) * product_tile.vectors, Chains>(
         a.panels + groups.first(Group) * panel_rows<S> * Cols, a.cols, x, 0,
         initial + groups.first(Group) * panel_rows<S>, 0, y + groups.first(Group) * panel_rows<S>, 0,
         Rows - groups.first(Group) * panel_rows<S>),
     ...);
  };
  tiles(std::make_integer_sequence<Index, groups.count>{});
}

/// One row of x against a matrix of any size.
template <Scalar S, class Stored>
[[gnu::noinline]] void multiply_row(PanelsView<S, Dynamic, Dynamic, Stored> a, const S* x, const S* initial, S* y,
                                    bool backwards) noexcept {
  constexpr int vectors = product_tile.vectors;
  const RowGroups groups = RowGroups::of<S>(a.rows);
  for (Index turn = 0; turn < groups.count; ++turn) {
    const Index group = backwards ? groups.count - 1 - turn : turn;
    const Index first = groups.first(group), output = first * panel_rows<S>;
    with_constant<solve_row_vectors(target_machine), vectors>(
        static_cast<int>(groups.first(group + 1) - first) * vectors, [&](auto count) __attribute__((always_inline)) {
          panel_tile<1, count, 1>(a.panels + output * a.cols, a.cols, x, 0, initial + output, 0, y + output, 0,
                                  a.rows - output);
        });
  }
}

/// Many rows of x: slices of panels that stay in the first cache level, each against groups of rows of about one size,
/// as many at a time as stay in the second.
template <int Chains, Scalar S, class Stored>
[[gnu::noinline]] void multiply_rows(PanelsView<S, Dynamic, Dynamic, Stored> a, MatrixView<const S> x,
                                     MatrixView<const S> initial, MatrixView<S> y) noexcept {
  constexpr int most = std::max(product_tile.rows / Chains, 1);
  constexpr Index near = solve_panel_slice(panel_rows<S> * static_cast<Index>(sizeof(Stored)));
  const Index slices = Chains == 1 ? (a.cols + near - 1) / near : 1;
  const Index slice = slices == 0 ? 1 : (a.cols + slices - 1) / slices;
  const Index groups = (x.rows + most - 1) / most;
  const Index passing = solve_passing_rows(a.cols * static_cast<Index>(sizeof(S))) / most;
  const Index passes = (groups + passing - 1) / passing;
  for (Index pass = 0; pass < passes; ++pass) {
    for (Index output = 0; output < a.rows; output += panel_rows<S>) {
      for (Index k = 0; k < a.cols || k == 0; k += slice) {
        const Stored* panel = a.panels + output * a.cols + k * panel_rows<S>;
        const Extent<Dynamic> cols = std::min(slice, a.cols - k);
        const MatrixView<const S> from = k == 0 ? initial : y;
        for (Index group = groups * pass / passes; group < groups * (pass + 1) / passes; ++group) {
          const Index first = x.rows * group / groups;
          const int count = static_cast<int>(x.rows * (group + 1) / groups - first);
          with_constant<most, 1>(
              count, [&](auto rows) __attribute__((always_inline)) {
                panel_tile<rows, product_tile.vectors, Chains>(panel, cols, x.row(first) + k, x.stride,
                                                               from.row(first) + output, from.stride,
                                                               y.row(first) + output, y.stride, a.rows - output);
              });
        }
      }
    }
  }
}

}  // namespace detail

template <Scalar S, Index Rows, Index Cols, class Stored>
[[gnu::always_inline]] inline void PanelsView<S, Rows, Cols, Stored>::multiply(MatrixView<const S> x,
                                                                               MatrixView<const S> initial,
                                                                               MatrixView<S> y,
                                                                               bool backwards) const noexcept {
  constexpr bool fixed =
      Rows != Dynamic && Cols != Dynamic && Rows * Cols * static_cast<Index>(sizeof(Stored)) <= target_machine.l1_bytes;
  constexpr int chains = fixed && Rows <= 4 * simd_width<S> ? 2 : 1;
  if (x.rows != 1) {
    detail::multiply_rows<chains>(dynamic(), x, initial, y);
  } else if constexpr (fixed) {
    detail::multiply_fixed_row<chains>(*this, x.data, initial.data, y.data);
  } else {
    detail::multiply_row(dynamic(), x.data, initial.data, y.data, backwards);
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
