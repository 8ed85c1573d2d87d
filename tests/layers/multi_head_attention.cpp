#include <cmath>
#include <complex>
#include <stepscan/layers/attention_weights.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

constexpr Index model = 6, heads = 4, kv_heads = 2, dim = 6, time_steps = 30;
constexpr MultiHeadOptions plain{}, everything{Positions::rotary, true, true, true},
    alibi{.positions = Positions::alibi};
template <MultiHeadOptions Options, class S = double>
using Attention = MultiHeadAttention<S, model, heads, kv_heads, dim, Options>;

/// The layer, random, with so many tokens kept.
template <class L>
L with(const MultiHeadSizes& sizes) {
  L layer(sizes);
  randomize(layer, 1);
  return layer;
}

using Rows = std::vector<std::vector<double>>;

template <class Projection>
Rows projected(const Projection& layer, const Sequence<double>& x) {
  const auto all_rows = scanned(layer, x);
  Rows rows;
  for (Index t = 0; t < x.extent(1); ++t) {
    const double* const row = &all_rows(0, t, 0);
    rows.emplace_back(row, row + all_rows.extent(2));
  }
  return rows;
}

/// Every head of a row divided by its root mean square.
void normalize_row(std::vector<double>& row, const RmsNorm<double, dim>& norm) {
  for (std::size_t h = 0; h < row.size(); h += dim) {
    double squares = 0;
    for (std::size_t i = 0; i < dim; ++i) squares += row[h + i] * row[h + i] / dim;
    for (std::size_t i = 0; i < dim; ++i)
      row[h + i] *= norm.weight[static_cast<Index>(i)] / std::sqrt(squares + norm.eps);
  }
}

/// Pairs of every head turned, by complex products.
void turn_row(std::vector<double>& row, const RotarySettings& settings, Index position) {
  const Index turned = settings.dim == 0 ? dim : settings.dim;
  for (std::size_t h = 0; h < row.size(); h += dim) {
    for (Index i = 0; i < turned / 2; ++i) {
      const bool halves = settings.pairs == RotaryPairs::halves;
      double& a = row[h + static_cast<std::size_t>(halves ? i : 2 * i)];
      double& b = row[h + static_cast<std::size_t>(halves ? i + turned / 2 : 2 * i + 1)];
      const double theta = std::pow(settings.base, -2 * static_cast<double>(i) / static_cast<double>(turned));
      const std::complex<double> both =
          std::complex(a, b) * std::polar(1.0, static_cast<double>(position) * theta / settings.interpolation);
      a = both.real();
      b = both.imag();
    }
  }
}

/// The layer by its equations, one matrix of all pairs.
template <MultiHeadOptions Options>
Sequence<double> by_hand(const Attention<Options>& layer, const MultiHeadSizes& n, const Sequence<double>& x) {
  Rows q = projected(layer.qkv_proj.q_proj, x), k = projected(layer.qkv_proj.k_proj, x),
       v = projected(layer.qkv_proj.v_proj, x);
  Sequence<double> o(1, x.extent(1), heads * dim);
  for (std::size_t t = 0; t < q.size(); ++t) {
    if constexpr (Options.head_norm) {
      normalize_row(q[t], std::get<0>(layer.between).q_norm);
      normalize_row(k[t], std::get<0>(layer.between).k_norm);
    }
    if constexpr (Options.positions == Positions::rotary) {
      turn_row(q[t], n.rotary, static_cast<Index>(t));
      turn_row(k[t], n.rotary, static_cast<Index>(t));
    }
  }
  for (Index h = 0; h < heads; ++h) {
    const std::size_t own = static_cast<std::size_t>(h * dim), shared = static_cast<std::size_t>(h / 2 * dim);
    for (Index t = 0; t < x.extent(1); ++t) {
      double sum = 0;
      double* const y = &o(0, t, h * dim);
      for (Index j = 0; j <= t; ++j) {
        if (t - j >= n.capacity - n.sinks && j >= n.sinks) continue;
        const auto at = static_cast<std::size_t>(t), from = static_cast<std::size_t>(j);
        double s = 0;
        for (std::size_t i = 0; i < dim; ++i) s += q[at][own + i] * k[from][shared + i] / std::sqrt(double{dim});
        if (Options.positions == Positions::alibi) s -= std::exp2(-2.0 * static_cast<double>(h + 1)) * double(t - j);
        const double weight = std::exp(s);
        sum += weight;
        for (std::size_t i = 0; i < dim; ++i) y[i] += weight * v[from][shared + i];
      }
      for (std::size_t i = 0; i < dim; ++i) y[i] /= sum;
    }
  }
  return scanned(layer.o_proj, o);
}

/// Against the equations: in chunks, token by token, prepared, and split in the middle.
template <MultiHeadOptions Options>
void check_by_hand(const MultiHeadSizes& n) {
  const auto layer = with<Attention<Options>>(n);
  const auto x = random_sequence<double>(1, time_steps, model, 2);
  const auto expected = by_hand<Options>(layer, n, x);
  CHECK(distance(scanned(layer, x), expected) < 1e-13);
  const auto plan = prepare(layer);
  CHECK(distance(scanned(plan, x, Recurrent{}), expected) < 1e-13);
  auto state = plan.initial_state(1);
  Sequence<double> y(1, time_steps, model);
  const SequenceView<const double> in(x);
  const SequenceView<double> out(y);
  plan.scan(state, in.slice(0, 17), out.slice(0, 17), Chunked<4>{});
  plan.scan(state, in.slice(17, time_steps - 17), out.slice(17, time_steps - 17), Chunked<4>{});
  CHECK(distance(y, expected) < 1e-13);
}

}  // namespace

TEST_CASE("multi_head_attention is what its equations say", "[layers]") {
  check_by_hand<plain>({.capacity = time_steps});
  check_by_hand<everything>({.capacity = time_steps, .rotary = {.dim = 4, .base = 100, .interpolation = 2}});
  check_by_hand<everything>({.capacity = 9, .sinks = 2, .rotary = {.pairs = RotaryPairs::interleaved}});
  check_by_hand<alibi>({.capacity = time_steps});
  check_by_hand<alibi>({.capacity = 9, .sinks = 2});
}

TEST_CASE("multi_head_attention: parameters and states have the names of the field", "[layers]") {
  const auto names = [](const auto& tree) {
    std::string text;
    for_each_tensor([&](const Path& path, const auto&) { text += path.str() + " "; }, tree);
    return text;
  };
  const Attention<everything> layer({.capacity = 8});
  CHECK(names(layer) ==
        "q_proj.weight q_proj.bias k_proj.weight k_proj.bias v_proj.weight v_proj.bias q_norm.weight k_norm.weight "
        "o_proj.weight o_proj.bias ");
  CHECK(names(layer.initial_state(1)) == "k v length position ");
  CHECK(names(Attention<plain>({.capacity = 8})) == "q_proj.weight k_proj.weight v_proj.weight o_proj.weight ");
}

TEST_CASE("multi_head_attention: a million tokens away all is as it is near", "[layers]") {
  const MultiHeadSizes n{.capacity = time_steps};
  const auto layer = with<Attention<everything>>(n);
  Attention<everything, float> single(n);
  copy_parameters(layer, single);
  const auto x = random_sequence<double>(1, time_steps, model, 2);
  Sequence<float> x_single(x.shape()), y_single(x.shape());
  for (Index i = 0; i < x.size(); ++i) x_single[i] = static_cast<float>(x[i]);
  Sequence<double> y(x.shape());
  auto state = layer.initial_state(1);
  auto state_single = single.initial_state(1);
  std::get<1>(state.between).position[0] = std::get<1>(state_single.between).position[0] = 1000000;
  layer.scan(state, x, y);
  single.scan(state_single, x_single, y_single);
  CHECK(distance(y, scanned(layer, x)) < 1e-8);
  CHECK(distance(y, y_single) < 2e-5);
}

TEST_CASE("multi_head_attention: a larger cache goes on at the same positions", "[layers]") {
  const auto small = with<Attention<everything>>({.capacity = 6}),
             large = with<Attention<everything>>({.capacity = 16});
  const auto x = random_sequence<double>(1, 20, model, 1);
  const SequenceView<const double> in(x);
  Sequence<double> y(1, 20, model), expected(1, 4, model), found = expected;
  auto state = small.initial_state(1);
  small.scan(state, in.slice(0, 16), SequenceView<double>(y).slice(0, 16));
  auto grown = small.reserve(state, 16);
  small.scan(grown, in.slice(16, 4), found);

  // The last six of the tokens before, where they were.
  auto held = large.initial_state(1);
  std::get<1>(held.between).position[0] = 10;
  large.scan(held, in.slice(10, 6), SequenceView<double>(y).slice(0, 6));
  large.scan(held, in.slice(16, 4), expected);
  CHECK(distance(found, expected) < 1e-14);

  const Attention<alibi> sinks({.capacity = 6, .sinks = 1});
  auto dropped = sinks.initial_state(1);
  CHECK_NOTHROW(sinks.reserve(dropped, 8));
  sinks.scan(dropped, in, y);
  CHECK_THROWS_WITH(sinks.reserve(dropped, 8),
                    "AlibiAttentionScan: expected a state with all its tokens, found 6 of 20");
}

TEST_CASE("multi_head_attention: its weights, on request, are those of the values", "[layers]") {
  const auto layer = with<Attention<everything>>({.capacity = 9, .sinks = 2});
  const auto x = random_sequence<double>(1, 26, model, 1);
  const SequenceView<const double> in(x);
  Sequence<double> y(1, 6, model), o(1, 6, heads * dim), earlier(1, 20, model);
  auto state = layer.initial_state(1);
  layer.scan(state, in.slice(0, 20), earlier);
  const std::vector<std::size_t> kept{0, 1, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25};
  const Rows v = projected(layer.qkv_proj.v_proj, x);
  Tensor<double, Dynamic, Dynamic> weights(6, 15);
  Workspace workspace;
  for (Index h = 0; h < heads; ++h) {
    attention_weights(layer, state, in.slice(20, 6), 0, h, weights, workspace);
    for (Index t = 0; t < 6; ++t) {
      for (Index j = 0; j < 15; ++j) {
        const std::vector<double>& value = v[kept[static_cast<std::size_t>(j)]];
        for (Index i = 0; i < dim; ++i)
          o(0, t, h * dim + i) += weights(t, j) * value[static_cast<std::size_t>(h / 2 * dim + i)];
      }
    }
  }
  layer.scan(state, in.slice(20, 6), y);
  CHECK(distance(scanned(layer.o_proj, o), y) < 1e-13);
}

TEST_CASE("multi_head_attention: sizes that do not fit are refused", "[layers]") {
  using Any = MultiHeadAttention<double, Dynamic, Dynamic, Dynamic, Dynamic, everything>;
  CHECK_THROWS_WITH(Any({.model = 10, .heads = 4, .capacity = 8}),
                    "MultiHeadAttention: expected a model that is a multiple of heads, or a head_dim, found 10 and 4");
  CHECK_THROWS_AS(Any({.model = 12, .heads = 4, .kv_heads = 3, .head_dim = 4, .capacity = 8}), ShapeError);
  CHECK_THROWS_AS(Any({.model = 12, .heads = 4, .capacity = 8}), ShapeError);
  CHECK_THROWS_AS(Any({.model = 8, .heads = 4}), ShapeError);
  CHECK_THROWS_AS(Attention<everything>({.model = 8, .capacity = 8}), ShapeError);
  CHECK_NOTHROW(Any({.model = 10, .heads = 4, .head_dim = 4, .capacity = 8}));
}
