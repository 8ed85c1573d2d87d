#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "../support.hpp"
#include "streaming.hpp"

/// LSTM and GRU of oneDNN, through its C++ interface with weights in the layout the primitive asks for, and ours on the
/// same numbers beside it, to read ratios in one run (--benchmark_enable_random_interleaving). Both have the same
/// parameters, and their outputs are compared before anything is timed. oneDNN takes the widest instruction set of the
/// machine; DNNL_MAX_CPU_ISA=AVX2 holds it to the one that ours is compiled for.
namespace {

using namespace bench;
using namespace peers;
using dnnl::memory;
using tag = memory::format_tag;

struct Shape {
  Index batch, time, inputs, hidden;
};

/// A layer's name, and its gates in oneDNN's order: of each the block of rows in our parameters.
template <std::size_t Gates>
struct Kind {
  const char* name;
  std::array<Index, Gates> gates;
};
constexpr Kind<4> lstm{"lstm", {0, 1, 2, 3}};
constexpr Kind<3> gru{"gru", {1, 0, 2}};

/// A primitive that is ready to run, its input and output among the arguments.
struct Primitive {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::primitive primitive;
  std::unordered_map<int, memory> arguments;

  void run() {
    primitive.execute(stream, arguments);
    stream.wait();
  }
  float* data(int argument) { return static_cast<float*>(arguments.at(argument).get_data_handle()); }
  void add_zeros(int argument, const memory::desc& description) {
    memory zeros(description, engine);
    std::fill_n(static_cast<float*>(zeros.get_data_handle()), description.get_size() / sizeof(float), 0.0f);
    arguments[argument] = zeros;
  }
};

/// Rows [gates * hidden, columns] as oneDNN's [columns, gates, hidden], then in the primitive's own layout.
template <std::size_t Gates>
memory packed(Primitive& p, const Kind<Gates>& kind, const MatrixView<const float>& rows, const memory::desc& wanted) {
  const Index hidden = rows.rows / static_cast<Index>(Gates), columns = rows.cols;
  memory plain({{1, 1, columns, static_cast<Index>(Gates), hidden}, memory::data_type::f32, tag::ldigo}, p.engine);
  auto* to = static_cast<float*>(plain.get_data_handle());
  for (Index i = 0; i < columns; ++i) {
    for (const Index gate : kind.gates) {
      for (Index u = 0; u < hidden; ++u) *to++ = rows(gate * hidden + u, i);
    }
  }
  memory result(wanted, p.engine);
  dnnl::reorder(plain, result).execute(p.stream, plain, result);
  p.stream.wait();
  return result;
}

/// A GRU's candidate has two biases, one of which the reset gate multiplies: the fourth.
template <std::size_t Gates, class L>
void fill_bias(float* to, const Kind<Gates>& kind, const L& layer) {
  const Index hidden = layer.output_size();
  for (std::size_t g = 0; g < 4; ++g) {
    const bool apart = Gates == 3 && g >= 2;
    const Index first = kind.gates[std::min(g, Gates - 1)] * hidden;
    for (Index u = 0; u < hidden; ++u) {
      const float in = layer.bias_ih[first + u], recurrent = layer.bias_hh[first + u];
      *to++ = !apart ? in + recurrent : g == 2 ? in : recurrent;
    }
  }
}

template <std::size_t Gates, class L>
Primitive make(const Kind<Gates>& kind, const L& layer, const Shape& shape, const Sequences& x) {
  constexpr auto f32 = memory::data_type::f32;
  const auto [batch, time, inputs, hidden] = shape;
  Primitive p;
  constexpr Index gates = static_cast<Index>(Gates);
  const memory::desc in({time, batch, inputs}, f32, tag::tnc), out({time, batch, hidden}, f32, tag::tnc);
  const memory::desc state({1, 1, batch, hidden}, f32, tag::ldnc), bias({1, 1, 4, hidden}, f32, tag::ldgo);
  const memory::desc weights_x({1, 1, inputs, gates, hidden}, f32, tag::any),
      weights_h({1, 1, hidden, gates, hidden}, f32, tag::any);
  const auto inference = dnnl::prop_kind::forward_inference;
  const auto forwards = dnnl::rnn_direction::unidirectional_left2right;
  const auto bind = [&](const auto& description) {
    p.arguments[DNNL_ARG_WEIGHTS_LAYER] =
        packed(p, kind, MatrixView<const float>(layer.weight_ih), description.weights_layer_desc());
    p.arguments[DNNL_ARG_WEIGHTS_ITER] =
        packed(p, kind, MatrixView<const float>(layer.weight_hh), description.weights_iter_desc());
    p.add_zeros(DNNL_ARG_BIAS, bias);
    fill_bias(p.data(DNNL_ARG_BIAS), kind, layer);
    p.add_zeros(DNNL_ARG_SRC_LAYER, in);
    p.add_zeros(DNNL_ARG_DST_LAYER, out);
    p.add_zeros(DNNL_ARG_SRC_ITER, state);
    p.add_zeros(DNNL_ARG_DST_ITER, state);
  };
  if constexpr (Gates == 4) {
    const dnnl::lstm_forward::primitive_desc description(
        {inference, forwards, in, state, state, weights_x, weights_h, bias, out, state, state}, p.engine);
    bind(description);
    p.add_zeros(DNNL_ARG_SRC_ITER_C, state);
    p.add_zeros(DNNL_ARG_DST_ITER_C, state);
    p.primitive = dnnl::lstm_forward(description);
  } else {
    const dnnl::lbr_gru_forward::primitive_desc description(
        {inference, forwards, in, state, weights_x, weights_h, bias, out, state}, p.engine);
    bind(description);
    p.primitive = dnnl::lbr_gru_forward(description);
  }
  float* to = p.data(DNNL_ARG_SRC_LAYER);
  for (Index t = 0; t < time; ++t) {
    for (Index b = 0; b < batch; ++b) to = std::copy_n(&x(b, t, 0), inputs, to);
  }
  return p;
}

/// Throws unless both compute the same.
template <class L>
void compare(const std::string& name, const L& plan, Primitive& p, const Sequences& x) {
  constexpr float bound = 2e-5f;
  const Index batch = x.extent(0), time = x.extent(1), hidden = plan.output_size();
  Sequences y(batch, time, hidden);
  auto state = plan.initial_state(batch);
  Workspace workspace;
  plan.scan(state, x, y, workspace);
  p.run();
  float largest = 0;
  const float* theirs = p.data(DNNL_ARG_DST_LAYER);
  for (Index t = 0; t < time; ++t) {
    for (Index b = 0; b < batch; ++b) {
      for (Index u = 0; u < hidden; ++u) largest = std::max(largest, std::abs(y(b, t, u) - *theirs++));
    }
  }
  std::fprintf(stderr, "%s: largest difference %.1e\n", name.c_str(), static_cast<double>(largest));
  if (!(largest <= bound)) fail<Error>(name + ": outputs differ by more than 2e-5, nothing is timed");
}

/// Both sides with the same parameters and inputs: compared, then registered.
template <class L, std::size_t Gates>
void add_pair(const Kind<Gates>& kind, L layer, const Shape& shape, int threads) {
  const auto [batch, time, inputs, hidden] = shape;
  initialize(layer, 1);
  Sequences x(batch, time, inputs);
  fill_uniform(x, 1);
  const std::string pass = batch * time == 1 ? "step" : "scan";
  const Sizes sizes{batch, time, inputs, hidden};
  const std::string name = name_of(std::string("oneDNN:") + kind.name, "own", pass, sizes, threads);
  auto p = std::make_shared<Primitive>(make(kind, layer, shape, x));
  const auto plan = prepare(layer);
  compare(name, plan, *p, x);
  const double tokens = static_cast<double>(batch * time);
  const double flops = 2.0 * static_cast<double>(Gates) * static_cast<double>(hidden * (inputs + hidden));
  add(name, threads, tokens, flops * tokens, [p] { return [p] { p->run(); }; });
  if (pass == "step") {
    add_step(kind.name, plan, 1, flops);
    add_step(std::string(kind.name) + ", Fast", prepare<float, Fast>(layer), 1, flops);
  } else {
    add_scan(kind.name, "Chunked", plan, batch, time, flops, threads);
  }
}

template <template <Index> class Layer, std::size_t Gates>
void add_steps(const Kind<Gates>& kind) {
  for_each_streaming_size([&]<Index H>(std::integral_constant<Index, H>) {
    add_pair(kind, Layer<H>(), {1, 1, 1, H}, 1);
  });
}

template <class L, std::size_t Gates>
void add_scans(const Kind<Gates>& kind) {
  for (const int threads : {1, 2}) {
    for (const Shape& shape : {Shape{1, 1000, 64, 64}, {1, 1000, 256, 256}, {16, 128, 256, 256}, {32, 128, 512, 512}}) {
      add_pair(kind, L(shape.inputs, shape.hidden), shape, threads);
    }
  }
}

}  // namespace

void bench::add_benchmarks() {
  add_steps<StreamingLstm>(lstm);
  add_steps<StreamingGru>(gru);
  add_scans<Lstm<float, Dynamic, Dynamic>>(lstm);
  add_scans<Gru<float, Dynamic, Dynamic>>(gru);
}
