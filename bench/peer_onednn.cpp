#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "support.hpp"

/// LSTM and GRU of oneDNN on the shapes of recurrent_scan and recurrent_step, through its C++ interface with weights in
/// the layout the primitive asks for. Run beside ours, on the same core, to read ratios.
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
  for (std::size_t i = 0; i < description.get_size() / sizeof(float); ++i) data[i] = static_cast<float>(random.uniform(-bound, bound));
  return values;
}

/// The random weights in the primitive's own layout.
memory packed(Primitive& p, const memory::desc& wanted, const memory::dims& dims, memory::format_tag tag, double bound) {
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
  const memory::desc weights_x({1, 1, inputs, gates, hidden}, f32, tag::any), weights_h({1, 1, hidden, gates, hidden}, f32, tag::any);
  const auto inference = dnnl::prop_kind::forward_inference;
  const auto forwards = dnnl::rnn_direction::unidirectional_left2right;
  const double bound = 1 / std::sqrt(static_cast<double>(hidden));
  const auto bind = [&](const auto& description) {
    p.arguments[DNNL_ARG_WEIGHTS_LAYER] = packed(p, description.weights_layer_desc(), {1, 1, inputs, gates, hidden}, tag::ldigo, bound);
    p.arguments[DNNL_ARG_WEIGHTS_ITER] = packed(p, description.weights_iter_desc(), {1, 1, hidden, gates, hidden}, tag::ldigo, bound);
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
    const dnnl::lbr_gru_forward::primitive_desc description({inference, forwards, x, state, weights_x, weights_h, bias, y, state}, p.engine);
    bind(description);
    p.primitive = dnnl::lbr_gru_forward(description);
  }
  return p;
}

void add_case(bool lstm, const std::string& pass, Index batch, Index time, Index inputs, Index hidden, int threads) {
  const double tokens = static_cast<double>(batch * time);
  const double flops = 2.0 * (lstm ? 4 : 3) * static_cast<double>(hidden * (inputs + hidden));
  add(name_of(lstm ? "lstm" : "gru", "onednn", pass, {batch, time, inputs, hidden}, threads), threads, tokens,
      flops * tokens, [=] { return [p = make(lstm, batch, time, inputs, hidden)]() mutable { p.run(); }; });
}

}  // namespace

int main(int argc, char** argv) {
  add_matrix_product();
  for (const bool lstm : {true, false}) {
    for (const Index hidden : {8, 16, 20, 32, 40, 64, 128, 256}) add_case(lstm, "step", 1, 1, 1, hidden, 1);
    for (const int threads : {1, 2}) {
      add_case(lstm, "scan", 1, 1000, 64, 64, threads);
      add_case(lstm, "scan", 1, 1000, 256, 256, threads);
      add_case(lstm, "scan", 16, 128, 256, 256, threads);
      add_case(lstm, "scan", 32, 128, 512, 512, threads);
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
