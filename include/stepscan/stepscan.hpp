#pragma once

/// All of stepscan but what needs an optional dependency (JSON: the file formats in io/). Programs that care about their
/// compile time include the layers they use.

#include <stepscan/core/denormals.hpp>
#include <stepscan/core/random.hpp>
#include <stepscan/core/threads.hpp>
#include <stepscan/core/version.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/kernels/half.hpp>
#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/backward.hpp>
#include <stepscan/layers/causal_conv1d.hpp>
#include <stepscan/layers/conv1d.hpp>
#include <stepscan/layers/elman_rnn.hpp>
#include <stepscan/layers/gated_linear_attention.hpp>
#include <stepscan/layers/group_norm.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/layer_norm.hpp>
#include <stepscan/layers/lightning_attention.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/linear_attention.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/layers/mamba.hpp>
#include <stepscan/layers/min_gru.hpp>
#include <stepscan/layers/min_lstm.hpp>
#include <stepscan/layers/mlstm.hpp>
#include <stepscan/layers/multihead_elman.hpp>
#include <stepscan/layers/multihead_gru.hpp>
#include <stepscan/layers/multihead_lstm.hpp>
#include <stepscan/layers/projected.hpp>
#include <stepscan/layers/retention.hpp>
#include <stepscan/layers/rms_norm.hpp>
#include <stepscan/layers/scalar_gated_attention.hpp>
#include <stepscan/layers/selective_scan.hpp>
#include <stepscan/layers/slstm.hpp>
#include <stepscan/layers/state.hpp>
#include <stepscan/layers/swiglu.hpp>
#include <stepscan/models/bidirectional.hpp>
#include <stepscan/models/residual.hpp>
#include <stepscan/models/sequential.hpp>
#include <stepscan/ops/affine_scan.hpp>
#include <stepscan/ops/affine_scan_backward.hpp>
#include <stepscan/ops/affine_scan_dense.hpp>
#include <stepscan/ops/affine_scan_dense_backward.hpp>
#include <stepscan/ops/decay_attention.hpp>
#include <stepscan/ops/decay_attention_backward.hpp>
