#pragma once

#include <algorithm>
#include <numeric>
#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/rows_ahead.hpp>
#include <stepscan/ops/decay_run.hpp>
#include <stepscan/scan/decay.hpp>
#include <stepscan/scan/executors.hpp>
#include <type_traits>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// Heads that do not suffice for all threads, or do not divide among them, are split into bands of their state's
/// columns, which know nothing of each other. What columns share is worked out once for a block of tokens, by all
/// workers; when it stands there, each worker passes the block through its bands. Two blocks' memory, so that workers
/// wait for each other but once a block.
template <class Scan, Scalar S = typename Scan::scalar_type>
struct DecayTeam {
  using Attention = typename Scan::Operator;
  using Policy = typename Attention::Policy;
  static constexpr bool normalised = Attention::Reading::normalised;

  const Scan& scan;
  ScanGrid grid;  ///< its chunks are runs
  Index bands = 1;
  Index runs = 1;            ///< of a block
  S* shared = nullptr;       ///< [2, sequences, runs, shared_size]
  S* rooms = nullptr;        ///< [workers, band_size]
  S* normalisers = nullptr;  ///< [sequences, bands, key_dim]

  /// In so many bands, if all workers are to have as much to do; no narrower than a tile. One where there are so many
  /// heads that it matters little which worker has one more.
  static Index bands_of(const Attention& op, Index sequences, Index workers) noexcept {
    if (sequences >= 4 * workers) return 1;
    const Index narrow = op.sizes.value_dim / Attention::narrowest_band;
    return std::clamp<Index>(workers / std::gcd(workers, sequences), 1, std::max<Index>(narrow, 1));
  }
  static Index runs_of(const ScanGrid& grid, Index bands) noexcept {
    constexpr Index least = 4;
    return std::min((least + bands - 1) / bands * bands, chunk_count(grid.time, grid.chunk));
  }

  DecayTeam(const Scan& of, const ScanGrid& how, Index in_bands, Workspace& workspace)
      : scan(of), grid(how), bands(in_bands), runs(runs_of(how, in_bands)) {
    shared = workspace.take<S>(2 * grid.sequences * runs * shared_size());
    rooms = workspace.take<S>(grid.workers * room_size());
    if (normalised) normalisers = workspace.take<S>(grid.sequences * bands * keys());
  }

  void run() const noexcept {
    for (Index s = 0; s < grid.sequences; ++s) {
      if (!splits(s) && scan.length(s) > 0) scan.emit({s, 0, 0, {0, scan.length(s)}}, scan.state(s, 0));
    }
    if constexpr (normalised) {
      for (Index s = 0; s < grid.sequences; ++s) {
        for (Index i = 0; i < bands; ++i) std::copy_n(scan.state(s, 0).normaliser, keys(), normaliser(s, i));
      }
    }
    SpinBarrier barrier;
    run_team(static_cast<int>(grid.workers), [&](int rank, int size) {
      const auto share = [&](Index jobs, auto&& f) {
        for (Index j = jobs * rank / size; j < jobs * (rank + 1) / size; ++j) f(j);
      };
      for (Index block = 0; block * runs * grid.chunk < grid.time; ++block) {
        if constexpr (Policy::stabilised) {
          share(grid.sequences, [&](Index s) { weigh(s, block); });
          barrier.wait(size);
        }
        share(grid.sequences * runs, [&](Index j) { gather(j / runs, block, j % runs); });
        barrier.wait(size);
        share(grid.sequences * bands, [&](Index j) { pass(j / bands, block, j % bands, rooms + rank * room_size()); });
      }
    });
    if constexpr (normalised) {
      for (Index s = 0; s < grid.sequences; ++s) std::copy_n(normaliser(s, 0), keys(), scan.state(s, 0).normaliser);
    }
  }

 private:
  [[nodiscard]] Index keys() const noexcept { return scan.op.sizes.key_dim; }
  [[nodiscard]] Index shared_size() const noexcept { return padded_lanes<S>(scan.op.shared_size(grid.chunk)); }
  [[nodiscard]] Index room_size() const noexcept { return worker_stride<S>(scan.op.band_size(grid.chunk)); }
  [[nodiscard]] S* normaliser(Index s, Index band) const noexcept { return normalisers + (s * bands + band) * keys(); }
  [[nodiscard]] Index member(Index s) const noexcept { return s / scan.head_count(); }
  [[nodiscard]] Index head(Index s) const noexcept { return s % scan.head_count(); }

  /// Whether the columns of a sequence can be split.
  [[nodiscard]] bool splits(Index s) const noexcept { return Attention::splits_tokens || !scan.in_turn(s); }
  /// Calls f(std::bool_constant<whether tokens of the sequence pass in groups>).
  template <class F>
  void by_groups(Index s, F&& f) const noexcept {
    if constexpr (Attention::splits_tokens) {
      if (scan.in_turn(s)) return f(std::false_type{});
    }
    f(std::true_type{});
  }

  /// Run r of a block of a sequence; none behind its end, nor of one that is not split.
  [[nodiscard]] TokenRange tokens_of(Index s, Index block, Index r) const noexcept {
    const Index begin = (block * runs + r) * grid.chunk, length = splits(s) ? scan.length(s) : 0;
    return {begin, std::max(begin, std::min(begin + grid.chunk, length))};
  }
  /// As many tokens as belong to run r of those that the worker of a band gathers for the next block, where there is one
  /// sequence.
  [[nodiscard]] TokenRange gathered_next(Index s, Index block, Index band, Index r) const noexcept {
    const Index part = grid.chunk / bands, length = scan.length(s);
    const Index begin = ((block + 1) * runs + runs * band / bands) * grid.chunk + r * part;
    return {begin, std::max(begin, std::min(begin + part, length))};
  }
  [[nodiscard]] auto shared_of(Index s, Index block, Index r, TokenRange tokens) const noexcept {
    return scan.op.shared_at(shared + ((block % 2 * grid.sequences + s) * runs + r) * shared_size(), tokens.size());
  }

  /// Maxima follow from each other: weights of stabilised decays run by run.
  void weigh(Index s, Index block) const noexcept {
    S& maximum = *scan.state(s, 0).maximum;
    for (Index r = 0; r < runs; ++r) {
      const TokenRange tokens = tokens_of(s, block, r);
      if (tokens.size() == 0) return;
      auto run = shared_of(s, block, r, tokens);
      if (scan.keeps(tokens)) *scan.kept_at(s, tokens).maximum = maximum;
      scan.op.weigh_run(member(s), head(s), tokens, maximum, run);
      maximum = run.weights.maximum[tokens.size() - 1];
    }
  }

  void gather(Index s, Index block, Index r) const noexcept {
    const TokenRange tokens = tokens_of(s, block, r);
    if (tokens.size() == 0) return;
    auto run = shared_of(s, block, r, tokens);
    if constexpr (!Policy::stabilised) scan.op.weigh_run(member(s), head(s), tokens, S{0}, run);
    by_groups(s, [&](auto grouped) { scan.op.template gather_run<grouped>(member(s), head(s), tokens, run); });
  }

  void pass(Index s, Index block, Index band, S* room) const noexcept {
    constexpr Index narrowest = Attention::narrowest_band;
    const Index values = scan.op.sizes.value_dim, units = (values + narrowest - 1) / narrowest;
    const ColumnRange columns{units * band / bands * narrowest,
                              std::min(units * (band + 1) / bands * narrowest, values)};
    DecayState<S> state = scan.state(s, 0);
    if (normalised) state.normaliser = normaliser(s, band);
    for (Index r = 0; r < runs; ++r) {
      const TokenRange tokens = tokens_of(s, block, r);
      if (tokens.size() == 0) return;
      if (scan.keeps(tokens)) {
        const DecayState<S> kept = scan.kept_at(s, tokens);
        scan.op.copy_columns(columns, state, kept);
        if (normalised && band == 0) std::copy_n(state.normaliser, keys(), kept.normaliser);
      }
      const auto run = shared_of(s, block, r, tokens);
      by_groups(s, [&](auto grouped) {
        RowsAhead<S> ahead = scan.rows_ahead(s, gathered_next(s, block, band, r), tokens_of(s, block + 1, r), columns);
        scan.op.template pass_columns<grouped>(member(s), head(s), tokens, run, columns, room, state,
                                               scan.outputs(member(s), head(s), tokens), ahead);
      });
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA::detail
