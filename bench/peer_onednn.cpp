#include <oneapi/dnnl/dnnl.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>
#include <unordered_map>

#include "support.hpp"

/// LSTM and GRU of oneDNN, through its C++ interface with weights in the layout the primitive asks for, and ours on the
/// same shapes beside it, to read ratios in one run (--benchmark_enable_random_interleaving). oneDNN takes the widest
/// instruction set of the machine; DNNL_MAX_CPU_ISA=AVX2 holds it to the one that ours is compiled for.
namespace {

using namespace bench;
using dnnl::memory;

struct Primitive {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::primitive primitive;
  std::unordered_map<int, memory> arguments;

  void run() {
    primitive.execute(stream, arguments);
    stream.wait();
  }
};

memory filled(const dnnl::engine& engine, const memory::desc& description, double bound) {
  memory values(description, engine);
  Random random(1);
  auto* data = static_cast<float*>(values.get_data_handle());
  for (std::size_t i = 0; i < description.get_size() / sizeof(float); ++i)
    data[i] = static_cast<float>(random.uniform(-bound, bound));
  return values;
}

/// The random weights in the primitive's own layout.
memory packed(Primitive& p, const memory::desc& wanted, const memory::dims& dims, memory::format_tag tag,
              double bound) {
  memory plain = filled(p.engine, {dims, memory::data_type::f32, tag}, bound);
  memory result(wanted, p.engine);
  dnnl::reorder(plain, result).execute(p.stream, plain, result);
  p.stream.wait();
  return result;
}

Primitive make(bool lstm, Index batch, Index time, Index inputs, Index hidden) {
  using tag = memory::format_tag;
  constexpr auto f32 = memory::data_type::f32;
  Primitive p;
  const Index gates = lstm ? 4 : 3;
  const memory::desc x({time, batch, inputs}, f32, tag::tnc), y({time, batch, hidden}, f32, tag::tnc);
  const memory::desc state({1, 1, batch, hidden}, f32, tag::ldnc), bias({1, 1, 4, hidden}, f32, tag::ldgo);
  const memory::desc weights_x({1, 1, inputs, gates, hidden}, f32, tag::any),
      weights_h({1, 1, hidden, gates, hidden}, f32, tag::any);
  const auto inference = dnnl::prop_kind::forward_inference;
  const auto forwards = dnnl::rnn_direction::unidirectional_left2right;
  const double bound = 1 / std::sqrt(static_cast<double>(hidden));
  const auto bind = [&](const auto& description) {
    p.arguments[DNNL_ARG_WEIGHTS_LAYER] =
        packed(p, description.weights_layer_desc(), {1, 1, inputs, gates, hidden}, tag::ldigo, bound);
    p.arguments[DNNL_ARG_WEIGHTS_ITER] =
        packed(p, description.weights_iter_desc(), {1, 1, hidden, gates, hidden}, tag::ldigo, bound);
    p.arguments[DNNL_ARG_BIAS] = filled(p.engine, bias, bound);
    p.arguments[DNNL_ARG_SRC_LAYER] = filled(p.engine, x, 1);
    p.arguments[DNNL_ARG_DST_LAYER] = filled(p.engine, y, 0);
    p.arguments[DNNL_ARG_SRC_ITER] = filled(p.engine, state, 0.1);
    p.arguments[DNNL_ARG_DST_ITER] = filled(p.engine, state, 0);
  };
  if (lstm) {
    const dnnl::lstm_forward::primitive_desc description(
        {inference, forwards, x, state, state, weights_x, weights_h, bias, y, state, state}, p.engine);
    bind(description);
    p.arguments[DNNL_ARG_SRC_ITER_C] = filled(p.engine, state, 0.1);
    p.arguments[DNNL_ARG_DST_ITER_C] = filled(p.engine, state, 0);
    p.primitive = dnnl::lstm_forward(description);
  } else {
    const dnnl::lbr_gru_forward::primitive_desc description(
        {inference, forwards, x, state, weights_x, weights_h, bias, y, state}, p.engine);
    bind(description);
    p.primitive = dnnl::lbr_gru_forward(description);
  }
  return p;
}

struct Shape {
  Index batch, time, inputs, hidden;
};

void add_onednn(bool lstm, const std::string& pass, const Shape& shape, int threads) {
  const auto [batch, time, inputs, hidden] = shape;
  const double tokens = static_cast<double>(batch * time);
  const double flops = 2.0 * (lstm ? 4 : 3) * static_cast<double>(hidden * (inputs + hidden));
  add(name_of(lstm ? "lstm" : "gru", "onednn", pass, {batch, time, inputs, hidden}, threads), threads, tokens,
      flops * tokens, [=] { return [p = make(lstm, batch, time, inputs, hidden)]() mutable { p.run(); }; });
}

template <class L, class Math = Exact>
auto fresh_plan(const L& sizes) {
  L layer = sizes;
  initialize(layer, 1);
  return prepare<float, Math>(layer);
}

/// One streaming step, batch 1, one input.
template <template <Index> class Layer, Index... Hidden>
void add_steps(bool lstm, double gates) {
  const auto one = [&]<Index H>(std::integral_constant<Index, H>) {
    add_onednn(lstm, "step", {1, 1, 1, H}, 1);
    const double flops = 2 * gates * static_cast<double>(H * (H + 1));
    add_step(lstm ? "lstm" : "gru", fresh_plan(Layer<H>()), 1, flops);
    add_step(lstm ? "lstm_fast" : "gru_fast", fresh_plan<Layer<H>, Fast>(Layer<H>()), 1, flops);
  };
  (one(std::integral_constant<Index, Hidden>{}), ...);
}

template <class L>
void add_scans(bool lstm, double gates) {
  for (const int threads : {1, 2}) {
    for (const Shape& shape : {Shape{1, 1000, 64, 64}, {1, 1000, 256, 256}, {16, 128, 256, 256}, {32, 128, 512, 512}}) {
      add_onednn(lstm, "scan", shape, threads);
      add_scan(lstm ? "lstm" : "gru", "Chunked", fresh_plan(L(shape.inputs, shape.hidden)), shape.batch, shape.time,
               2 * gates * static_cast<double>(shape.hidden * (shape.inputs + shape.hidden)), threads);
    }
  }
}

template <Index Hidden>
using StreamingLstm = Lstm<float, 1, Hidden>;
template <Index Hidden>
using StreamingGru = Gru<float, 1, Hidden>;

}  // namespace

int main(int argc, char** argv) {
  add_matrix_product();
  add_steps<StreamingLstm, 8, 16, 20, 32, 40, 64, 128, 256>(true, 4);
  add_steps<StreamingGru, 8, 16, 20, 32, 40, 64, 128, 256>(false, 3);
  add_scans<Lstm<float, Dynamic, Dynamic>>(true, 4);
  add_scans<Gru<float, Dynamic, Dynamic>>(false, 3);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
